internal import RRAMUnits
internal import RRAMWire

/// SET–RESET cycles of every selected cell: all cells RESET, then all SET, before the next cycle.
final class CycleOperation: Operation {
  private let cells: CellList
  /// RESET and SET, in the order of a cycle.
  private let pulses: [CellPulse]
  private let rounds: Int
  private let results: CellResultPages
  private(set) var account: OperationAccount
  private var given: [UInt32]
  /// Pages of the answer that were sent.
  private var cursor = 0
  /// Pulses of one step, so that it takes some milliseconds.
  private static let pulsesPerStep = 4096

  init(_ request: CycleCells, _ chip: Chip, frameBytes: Int) throws(RequestFailure) {
    cells = try CellList(request.cells, chip)
    let cell = cells.cell(0)
    let check = chip.check
    try check.wordLine(request.reset.wordLine, cell: cell)
    try check.sourceLine(request.reset.amplitude, cell: cell)
    try check.width(request.reset.width, cell: cell)
    try check.wordLine(request.set.wordLine, cell: cell)
    try check.bitLine(request.set.amplitude, cell: cell)
    try check.width(request.set.width, cell: cell)
    try check.pulses(2 * request.count, cell: cell)
    for shape in [request.reset, request.set] {
      try check.drive(shape.amplitude, shape.width, columns: cells.blockColumns, celsius: chip.celsius, cell: cell)
    }
    for k in 0..<cells.count {
      try check.reset(lastRead: chip.lastRead(macro: cells.macro, cells.indices[k]), cell: cells.cell(k))
    }
    pulses = [(PulseKind.reset, request.reset), (.set, request.set)].map {
      CellPulse(
        kind: $0, amplitude: $1.amplitude.rawValue, wordLine: $1.wordLine.rawValue, width: $1.width)
    }
    rounds = 2 * request.count
    results = CellResultPages(frameBytes: frameBytes)
    account = OperationAccount(total: cells.count)
    given = [UInt32](repeating: 0, count: cells.count)
  }

  var macros: MacroSet { MacroSet(CollectionOfOne(cells.macro)) }

  func step(_ chip: Chip) throws(RequestFailure) -> OperationStep {
    if account.rounds < rounds {
      if account.pulses == 0 { chip.willWrite(macro: cells.macro) }
      let last = min(rounds, account.rounds + max(1, Self.pulsesPerStep / cells.count))
      while account.rounds < last {
        try chip.pulse(macro: cells.macro, cells.indices[...], pulses[account.rounds & 1])
        account.rounds += 1
        account.pulses += cells.count
      }
      given = [UInt32](repeating: UInt32(account.rounds), count: cells.count)
      if account.rounds < rounds { return .working }
      account.finished = cells.count
    }
    let page = page(from: cursor)
    cursor += page.count
    return cursor == cells.count ? .finished(.cellResults(page)) : .part(.cellResults(page))
  }

  func partialResults() -> [ResponseBody] {
    var pages: [ResponseBody] = []
    var first = cursor
    while first < cells.count {
      let page = page(from: first)
      first += page.count
      pages.append(.cellResults(page))
    }
    return pages
  }

  private func page(from first: Int) -> CellResults {
    let last = min(first + results.cellsPerPage, cells.count)
    return CellResults(
      firstIndex: first, count: last - first, pulses: Array(given[first..<last]), progress: account.progress)
  }
}
