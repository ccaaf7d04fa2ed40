public import RRAMBoard
public import RRAMUnits
internal import RRAMWire

extension ProgramRecord {
  /// A few cells as they read now beside what they read when the network was programmed.
  public struct SpotCheck: Sendable {
    /// Cells compared.
    public var cells: Int
    /// Root mean square of the differences, siemens.
    public var difference: Siemens
    /// Standard deviation of what was recorded, over the cells of a layer, siemens.
    public var spread: Siemens
    /// The cell that differs most, and what it reads now and was recorded with.
    public var worst: (cell: CellAddress, now: Siemens, recorded: Siemens)

    /// Drift moves cells by a fraction of their spread (0.04 of it in ten minutes on `cmo-hfox`, 0.4 on `hfox-analog`); another network's
    /// differ by 1.0 to 1.4 times it.
    public static let largestShare = 0.75

    public var isOther: Bool { difference > spread * Self.largestShare }
  }

  /// Cells of each layer that are read.
  public static let spotCells = 32

  /// Reads some cells of every layer again, spread evenly over its block.
  ///
  /// - Returns: nil if no cell of the record was ever read.
  /// - Throws: `BoardError`.
  public func spotCheck(on board: Board) async throws -> SpotCheck? {
    let bias = board.defaultReadBias()
    var (count, squares, variance) = (0, 0.0, 0.0)
    var worst: (cell: CellAddress, now: Siemens, recorded: Siemens)?
    for (layer, recorded) in zip(plan.layers, conductances) {
      let known = recorded.indices.filter { recorded[$0] != nil && !layer.masked.contains($0) }
      guard !known.isEmpty else { continue }
      let picked = min(Self.spotCells, known.count)
      let chosen = (0..<picked).map { known[$0 * known.count / picked] }
      var mask = CellMask(cellCount: layer.block.cellCount)
      for cell in chosen { mask[cell] = true }
      let readings = try await board.readings(CellSelection(block: layer.block, mask: mask), bias: bias)
      let before = chosen.map { Double(recorded[$0] ?? 0) }
      let mean = before.reduce(0, +) / Double(picked)
      for (index, cell) in chosen.enumerated() {
        let difference = Double(readings.conductance[index]) - before[index]
        squares += difference * difference
        variance += (before[index] - mean) * (before[index] - mean)
        if abs(difference) > worst.map({ ($0.now - $0.recorded).magnitude.rawValue }) ?? -1 {
          worst = (
            layer.block.address(at: cell), Siemens(Double(readings.conductance[index])), Siemens(before[index])
          )
        }
      }
      count += picked
    }
    guard let worst else { return nil }
    return SpotCheck(
      cells: count, difference: Siemens((squares / Double(count)).squareRoot()),
      spread: Siemens((variance / Double(count)).squareRoot()), worst: worst)
  }

  /// Refuses a chip whose cells are not those of the network that label and counter promise.
  ///
  /// - Throws: ``MappingError`` `changedSince`, saying what was found; `BoardError`.
  public func requireCells(on board: Board) async throws {
    guard let found = try await spotCheck(on: board), found.isOther else { return }
    let (cell, now, recorded) = found.worst
    throw MappingError(
      .changedSince,
      "chip \(chip) of \(board.address) carries the label of '\(model)', but not its cells: \(found.cells) of them read "
        + "\(found.difference) (rms) from what they were when it was programmed, of a spread of \(found.spread); most of all macro "
        + "\(cell.macro), row \(cell.row), column \(cell.column): \(now), was \(recorded)")
  }
}
