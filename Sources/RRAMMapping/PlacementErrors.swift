internal import RRAMWire

extension MappingPlan.LayerPlacement {
  /// realised − target in µS of the cells that are written, NaN where a cell was not read.
  ///
  /// - Parameter conductances: siemens, row-major over the block.
  public func errors(of conductances: [Float]) -> [Double] {
    precondition(conductances.count == targets.count, "\(conductances.count) conductances for \(targets.count) targets")
    let written = written
    return targets.indices.filter { written[$0] }.map { (Double(conductances[$0]) - Double(targets[$0])) * 1e6 }
  }

  /// realised − target of G+ − G− in µS, of the pairs of which both cells are written; NaN where a cell was not read.
  ///
  /// - Parameter conductances: siemens, row-major over the block.
  public func differenceErrors(of conductances: [Float]) -> [Double] {
    precondition(conductances.count == targets.count, "\(conductances.count) conductances for \(targets.count) targets")
    let written = written
    return stride(from: 0, to: targets.count - 1, by: 2).filter { written[$0] && written[$0 + 1] }.map { plus in
      func error(_ cell: Int) -> Double { Double(conductances[cell]) - Double(targets[cell]) }
      return (error(plus) - error(plus + 1)) * 1e6
    }
  }

  /// realised − target in µS of written cells whose partner is not written.
  func singleErrors(of conductances: [Float]) -> [Double] {
    let written = written
    return targets.indices.filter { written[$0] && !written[$0 ^ 1] }.map {
      (Double(conductances[$0]) - Double(targets[$0])) * 1e6
    }
  }

  /// Moves the targets of pairs, by the same for both of their cells, to where writing has left them: the difference stays what it was.
  ///
  /// - Parameters:
  ///   - cells: row-major indices, pair by pair.
  ///   - conductances: siemens, one a cell.
  mutating func recentre(_ cells: [Int], on conductances: [Float]) {
    for k in stride(from: 0, to: cells.count - 1, by: 2) {
      let (plus, minus) = (cells[k], cells[k + 1])
      let shift = (conductances[k] + conductances[k + 1] - targets[plus] - targets[minus]) / 2
      // A target of 0 would say that the cell shall not conduct.
      guard shift.isFinite, min(targets[plus], targets[minus]) + shift > 0 else { continue }
      targets[plus] += shift
      targets[minus] += shift
    }
  }

  /// (realised − ideal weight) / max|w| of all weights, masked cells included; pairs with an unread cell are left out.
  func relativeWeightErrors(of conductances: [Float]) -> [Double] {
    guard maximumWeight > 0 else { return [] }
    return zip(weights(of: conductances), ideal).map { ($0 - $1) / maximumWeight }.filter(\.isFinite)
  }
}

extension MappingPlan {
  /// Root mean square of the relative weight errors of all layers, in %; nil if nothing was read.
  ///
  /// - Parameter conductances: siemens, one array a layer, row-major over its block.
  public func weightErrorPercent(of conductances: [[Float]]) -> Double? {
    let errors = zip(layers, conductances).flatMap { $0.relativeWeightErrors(of: $1) }
    guard !errors.isEmpty else { return nil }
    return 100 * (errors.reduce(0) { $0 + $1 * $1 } / Double(errors.count)).squareRoot()
  }

  /// Statistics of the errors of all layers' differences G+ − G−; nil where no pair has two written cells.
  public func differenceStatistics(of conductances: [[Float]]) -> ErrorStatistics? {
    let errors = zip(layers, conductances).flatMap { $0.differenceErrors(of: $1) }
    return errors.isEmpty ? nil : ErrorStatistics(errors)
  }

  /// Error statistics of all layers' written cells.
  public func errorStatistics(of conductances: [[Float]]) -> ErrorStatistics {
    ErrorStatistics(zip(layers, conductances).flatMap { $0.errors(of: $1) })
  }
}

extension CellMask {
  /// The selected cells of pairs of which both are selected, then the others. Pairs are neighbours in a row that begins on an even index.
  var pairsAndSingles: [(mask: CellMask, isPairs: Bool)] {
    var (pairs, singles) = (CellMask(cellCount: cellCount), CellMask(cellCount: cellCount))
    for cell in 0..<cellCount where self[cell] {
      if self[cell ^ 1] { pairs[cell] = true } else { singles[cell] = true }
    }
    return [(pairs, true), (singles, false)]
  }
}
