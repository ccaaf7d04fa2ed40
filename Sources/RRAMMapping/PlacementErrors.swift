extension MappingPlan.LayerPlacement {
  /// realised − target in µS of the cells that are written, NaN where a cell was not read.
  ///
  /// - Parameter conductances: siemens, row-major over the block.
  public func errors(of conductances: [Float]) -> [Double] {
    precondition(conductances.count == targets.count, "\(conductances.count) conductances for \(targets.count) targets")
    let written = written
    return targets.indices.filter { written[$0] }.map { (Double(conductances[$0]) - Double(targets[$0])) * 1e6 }
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

  /// Error statistics of all layers' written cells.
  public func errorStatistics(of conductances: [[Float]]) -> ErrorStatistics {
    ErrorStatistics(zip(layers, conductances).flatMap { $0.errors(of: $1) })
  }
}
