public import RRAMBoard
public import RRAMUnits
internal import RRAMWire

extension ProgramRecord {
  /// A few cells of one layer as they read now beside what they read when the network was programmed.
  public struct SpotCheck: Sendable {
    /// Index of the layer, and its cells that were compared.
    public var layer: Int
    public var cells: Int
    /// Root mean square of the differences, siemens.
    public var difference: Siemens
    /// Standard deviation of what was recorded, siemens.
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
  /// - Returns: one entry a layer of which a cell was ever read.
  /// - Throws: `BoardError`.
  public func spotChecks(on board: Board) async throws -> [SpotCheck] {
    let bias = board.defaultReadBias()
    var checks: [SpotCheck] = []
    for (number, (layer, recorded)) in zip(plan.layers, conductances).enumerated() {
      let known = recorded.indices.filter { recorded[$0] != nil && !layer.masked.contains($0) }
      guard !known.isEmpty else { continue }
      let picked = min(Self.spotCells, known.count)
      let chosen = (0..<picked).map { known[$0 * known.count / picked] }
      var mask = CellMask(cellCount: layer.block.cellCount)
      for cell in chosen { mask[cell] = true }
      let readings = try await board.readings(CellSelection(block: layer.block, mask: mask), bias: bias)
      let before = chosen.map { Double(recorded[$0] ?? 0) }
      let mean = before.reduce(0, +) / Double(picked)
      var (squares, variance) = (0.0, 0.0)
      var worst = (cell: layer.block.address(at: chosen[0]), now: Siemens.zero, recorded: Siemens.zero)
      for (index, cell) in chosen.enumerated() {
        let difference = Double(readings.conductance[index]) - before[index]
        squares += difference * difference
        variance += (before[index] - mean) * (before[index] - mean)
        if abs(difference) >= (worst.now - worst.recorded).magnitude.rawValue {
          worst = (
            layer.block.address(at: cell), Siemens(Double(readings.conductance[index])), Siemens(before[index])
          )
        }
      }
      checks.append(
        SpotCheck(
          layer: number, cells: picked, difference: Siemens((squares / Double(picked)).squareRoot()),
          spread: Siemens((variance / Double(picked)).squareRoot()), worst: worst))
    }
    return checks
  }

  /// Refuses a chip whose cells are not those of the network that label and counter promise.
  ///
  /// - Throws: ``MappingError`` `changedSince`, saying what was found; `BoardError`.
  public func requireCells(on board: Board) async throws {
    guard let found = try await spotChecks(on: board).first(where: \.isOther) else { return }
    let (cell, now, recorded) = found.worst
    throw MappingError(
      .changedSince,
      "chip \(chip) of \(board.address) carries the label of '\(model)', but not its cells: \(found.cells) of layer \(found.layer) read "
        + "\(found.difference) (rms) from what they were when it was programmed, of a spread of \(found.spread); most of all macro "
        + "\(cell.macro), row \(cell.row), column \(cell.column): \(now), was \(recorded)")
  }
}
