internal import RRAMUnits
internal import RRAMWire

/// Equal pulses to every selected cell, all cells before the next pulse.
final class PulseOperation: Operation {
  private let cells: CellList
  private let pulse: CellPulse
  private let count: Int
  private let results: CellResultPages
  private(set) var account: OperationAccount
  private var given: [UInt32]
  private var cursor = 0

  init(_ request: Pulse, _ chip: Chip, frameBytes: Int) throws(RequestFailure) {
    cells = try CellList(request.cells, chip)
    let cell = cells.cell(0)
    let check = chip.check
    try check.wordLine(request.wordLine, cell: cell)
    let driven: Volts
    let other: Volts
    switch request.kind {
    case .set:
      try check.bitLine(request.bitLine, cell: cell)
      (driven, other) = (request.bitLine, request.sourceLine)
    case .reset:
      try check.sourceLine(request.sourceLine, cell: cell)
      (driven, other) = (request.sourceLine, request.bitLine)
    case .forming:
      try check.forming(request.bitLine, cell: cell)
      (driven, other) = (request.bitLine, request.sourceLine)
    }
    guard other == .zero else {
      throw RequestFailure(.badArgument, "the line that is not driven must be at 0 V, \(other) asked")
    }
    try check.width(request.width, cell: cell)
    try check.pulses(request.count, cell: cell)
    try check.drive(driven, request.width, columns: cells.blockColumns, celsius: chip.celsius, cell: cell)
    if request.kind == .reset {
      for k in 0..<cells.count {
        try check.reset(lastRead: chip.lastRead(macro: cells.macro, cells.indices[k]), cell: cells.cell(k))
      }
    }
    pulse = CellPulse(
      kind: request.kind, amplitude: driven.rawValue, wordLine: request.wordLine.rawValue, width: request.width)
    count = request.count
    results = CellResultPages(frameBytes: frameBytes)
    account = OperationAccount(total: cells.count)
    given = [UInt32](repeating: 0, count: cells.count)
  }

  var macros: MacroSet { MacroSet(CollectionOfOne(cells.macro)) }

  func step(_ chip: Chip) throws(RequestFailure) -> OperationStep {
    if account.rounds < count {
      if account.pulses == 0 { chip.willWrite(macro: cells.macro) }
      let range = cursor..<min(cursor + cellsPerStep, cells.count)
      try chip.pulse(macro: cells.macro, cells.indices[range], pulse)
      for k in range { given[k] += 1 }
      account.pulses += range.count
      cursor = range.upperBound
      if cursor == cells.count {
        cursor = 0
        account.rounds += 1
      }
      if account.rounds < count { return .working }
      account.finished = cells.count
    }
    let page = page(from: cursor)
    cursor += page.count
    return cursor == cells.count ? .finished(.cellResults(page)) : .part(.cellResults(page))
  }

  func partialResults() -> [ResponseBody] {
    var pages: [ResponseBody] = []
    var first = account.rounds == count ? cursor : 0
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

/// How many cells one frame of results holds.
struct CellResultPages {
  let cellsPerPage: Int

  /// 4 conductance, 4 pulses, 4 reads, 1 reason.
  static let bytesPerCell = 13
  static let formingVoltageBytes = 4
  static let offsetBytes = 12
  /// The number of a cell that is told out of order.
  static let indexBytes = 4

  /// - Parameter frameBytes: bytes of a response that bulk data may take.
  init(frameBytes: Int, bytesPerCell: Int = Self.bytesPerCell) { cellsPerPage = frameBytes / bytesPerCell }
}
