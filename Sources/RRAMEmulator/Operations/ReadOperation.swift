internal import RRAMUnits
internal import RRAMWire

/// Reads cells; the answer comes in parts of one frame.
final class ReadOperation: Operation {
  private let cells: CellList
  private let bias: ReadBias
  private let cellsPerFrame: Int
  private(set) var account: OperationAccount
  private var part: [Float] = []
  private var saturated = 0

  init(_ request: ReadCells, _ chip: Chip, frameBytes: Int) throws(RequestFailure) {
    cells = try CellList(request.cells, chip)
    bias = request.bias
    try chip.check.read(bias, cell: cells.cell(0))
    // 4 bytes of conductance and one bit a cell.
    cellsPerFrame = frameBytes * 8 / 33 / 8 * 8
    account = OperationAccount(total: cells.count)
  }

  var macros: MacroSet { MacroSet(CollectionOfOne(cells.macro)) }

  func step(_ chip: Chip) throws(RequestFailure) -> OperationStep {
    let first = account.finished
    let count = min(cells.count - first, readsPerStep(bias), cellsPerFrame - part.count)
    let reading = try chip.read(macro: cells.macro, cells.indices[first..<first + count], bias)
    part += reading.conductance
    saturated += reading.saturated
    account.finished += count
    account.reads += count
    if account.finished == cells.count { return .finished(takePart(chip)) }
    return part.count == cellsPerFrame ? .part(takePart(chip)) : .working
  }

  func partialResults() -> [ResponseBody] { part.isEmpty ? [] : [takePart(nil)] }

  /// - Parameter chip: nil where the operation was ended: its last part goes without what the board knows of the cells.
  private func takePart(_ chip: Chip?) -> ResponseBody {
    defer {
      part = []
      saturated = 0
    }
    let first = account.finished - part.count
    let formed = chip?.knownFormed(macro: cells.macro, cells.indices[first..<account.finished]) ?? []
    return .conductances(
      Conductances(firstIndex: first, conductance: part, saturated: saturated, formed: formed))
  }
}
