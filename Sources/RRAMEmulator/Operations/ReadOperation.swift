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
    cellsPerFrame = frameBytes / 4
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
    if account.finished == cells.count { return .finished(takePart()) }
    return part.count == cellsPerFrame ? .part(takePart()) : .working
  }

  func partialResults() -> [ResponseBody] { part.isEmpty ? [] : [takePart()] }

  private func takePart() -> ResponseBody {
    defer {
      part = []
      saturated = 0
    }
    return .conductances(
      Conductances(firstIndex: account.finished - part.count, conductance: part, saturated: saturated))
  }
}
