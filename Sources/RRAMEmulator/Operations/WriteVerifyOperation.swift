internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire
internal import RRAMWriting

/// Board-run write-verify: a ``WriteProcess`` fed with this chip's reads.
///
/// A round reads every open cell, then gives the pulses that the strategy asks for, SET groups first.
final class WriteVerifyOperation<Strategy: WriteStrategy>: Operation {
  private enum Phase { case read, pulse, results }

  private let cells: CellList
  private let request: WriteVerify
  private let pages: CellResultPages
  private(set) var account: OperationAccount
  private var process: WriteProcess<Strategy>
  private var groups: [WriteProcess<Strategy>.Group] = []
  /// Into the open cells, the cells of the first group, or the results.
  private var cursor = 0
  private var phase = Phase.read
  private var hasWritten = false
  /// Finished cells that the host has not heard of yet.
  private var unsaid: [Int] = []
  /// They did not all fit into the round's frame.
  private var hasMoreToSay = false

  init(_ request: WriteVerify, _ strategy: Strategy, _ chip: Chip, frameBytes: Int) throws(RequestFailure) {
    cells = try CellList(request.cells, chip)
    try Self.check(request, cells, chip)
    self.request = request
    let window = chip.limits.conductance
    // What conducts so little and was never seen to conduct more is pristine.
    process = WriteProcess(request, strategy, permitted: window, notFormedBelow: window.lowerBound / 8)
    // Between rounds a cell takes its number as well.
    var bytes = CellResultPages.bytesPerCell + CellResultPages.indexBytes
    if case .response = request.strategy { bytes += CellResultPages.offsetBytes }
    pages = CellResultPages(frameBytes: frameBytes, bytesPerCell: bytes)
    account = OperationAccount(total: cells.count)
  }

  private static func check(_ request: WriteVerify, _ cells: CellList, _ chip: Chip) throws(RequestFailure) {
    let cell = cells.cell(0)
    let check = chip.check
    try check.ramp(
      request.set, .set, name: "write_verify.set", columns: cells.blockColumns, celsius: chip.celsius, cell: cell)
    try check.ramp(
      request.reset, .reset, name: "write_verify.reset", columns: cells.blockColumns, celsius: chip.celsius, cell: cell)
    try check.read(request.verify, cell: cell)
    try check.pulses(request.maximumPulses, cell: cell)
    if case .gateRamp(let ramp) = request.strategy { try check.wordLine(ramp.stop, cell: cell) }
    guard request.tolerance.rawValue > 0 else {
      throw RequestFailure(.badArgument, "a tolerance of \(request.tolerance): write_verify.tolerance_s")
    }
    guard request.confirmReads <= 1024 else {
      throw RequestFailure(.badArgument, "\(request.confirmReads) confirming reads, at most 1024")
    }
    guard request.targets.count == cells.count else {
      throw RequestFailure(
        .badArgument, "\(request.targets.count) targets for \(cells.count) selected cells: write_verify.targets")
    }
    let window = chip.limits.conductance
    // Targets come as float32; a target that is the window's edge must pass.
    let low = Float(window.lowerBound.rawValue)
    let high = Float(window.upperBound.rawValue)
    for (k, target) in request.targets.enumerated() where !(target >= low && target <= high) {
      throw RequestFailure(
        refusal: Refusal(
          limit: .conductance, asked: Double(target), minimum: window.lowerBound.rawValue,
          maximum: window.upperBound.rawValue, cell: cells.cell(k)))
    }
    for (k, window) in request.windows.enumerated() where !window.contains(request.targets[k]) {
      throw RequestFailure(
        .badArgument, "a target of \(Siemens(Double(request.targets[k]))) outside of its own window: write_verify.lower"
      )
    }
  }

  var macros: MacroSet { MacroSet(CollectionOfOne(cells.macro)) }

  func step(_ chip: Chip) throws(RequestFailure) -> OperationStep {
    if phase == .results { return nextPage() }
    // What did not fit into the round's frame.
    if hasMoreToSay { return .part(progressFrame()) }
    switch phase {
    case .read: return try readStep(chip)
    case .pulse: return try pulseStep(chip)
    case .results: return nextPage()
    }
  }

  private func readStep(_ chip: Chip) throws(RequestFailure) -> OperationStep {
    let open = process.open
    let part = open[cursor..<min(cursor + readsPerStep(request.verify), open.count)]
    let indices = part.map { cells.indices[$0] }[...]
    let reading = try chip.read(macro: cells.macro, indices, request.verify)
    let formed = chip.knownFormed(macro: cells.macro, indices)
    for (position, k) in part.enumerated() {
      process.note(k, reading.conductance[position], isFormed: formed[position])
    }
    account.reads += part.count
    cursor += part.count
    guard cursor == open.count else { return .working }
    cursor = 0
    groups = process.endRound().reversed()
    let converged = open.filter { process.reason($0) == .converged }.map { cells.indices[$0] }
    chip.noteFormed(macro: cells.macro, converged[...])
    account.finished = process.finished
    let stillOpen = Set(process.open)
    unsaid += open.filter { !stillOpen.contains($0) }
    guard !process.open.isEmpty else {
      phase = .results
      unsaid = []
      return nextPage()
    }
    guard groups.isEmpty else {
      phase = .pulse
      // A frame tells how far it is and which cells are done; waiting for its credit is where a slow host slows the board.
      return account.rounds == 0 ? .working : .part(progressFrame())
    }
    // Confirming reads alone.
    return .working
  }

  private func pulseStep(_ chip: Chip) throws(RequestFailure) -> OperationStep {
    guard let group = groups.last else {
      phase = .read
      return .working
    }
    let range = cursor..<min(cursor + cellsPerStep, group.cells.count)
    if !hasWritten {
      hasWritten = true
      chip.willWrite(macro: cells.macro)
    }
    try chip.pulse(
      macro: cells.macro, group.cells[range].map { cells.indices[$0] }[...], kind: group.kind,
      amplitudes: group.amplitudes[range].map(\.rawValue), wordLine: group.wordLine.rawValue, width: group.width)
    account.pulses += range.count
    cursor = range.upperBound
    guard cursor == group.cells.count else { return .working }
    cursor = 0
    groups.removeLast()
    if groups.isEmpty {
      account.rounds += 1
      phase = .read
    }
    return .working
  }

  /// How far it is, and the cells that finished since the frame before, as many as one frame holds.
  private func progressFrame() -> ResponseBody {
    let said = Array(unsaid.prefix(pages.cellsPerPage))
    unsaid.removeFirst(said.count)
    hasMoreToSay = !unsaid.isEmpty
    return .cellResults(
      CellResults(
        firstIndex: 0, count: 0, conductance: said.map(process.conductance), pulses: said.map(process.pulses),
        reads: said.map(process.reads), reasons: said.map(process.reason), progress: account.progress,
        indices: said.map { UInt32($0) }))
  }

  private func nextPage() -> OperationStep {
    let page = page(from: cursor)
    cursor += page.count
    return cursor == cells.count ? .finished(.cellResults(page)) : .part(.cellResults(page))
  }

  /// Cells whose pulse was decided on but not given yet, where the operation ends early.
  private var notYetPulsed: Set<Int> {
    guard phase == .pulse, let group = groups.last else { return [] }
    return Set(groups.dropLast().flatMap(\.cells) + group.cells[cursor...])
  }

  private func page(from first: Int, notYetPulsed: Set<Int> = []) -> CellResults {
    let range = first..<min(first + pages.cellsPerPage, cells.count)
    return CellResults(
      firstIndex: first, count: range.count, conductance: range.map(process.conductance),
      pulses: range.map { process.pulses($0) - (notYetPulsed.contains($0) ? 1 : 0) }, reads: range.map(process.reads),
      reasons: range.map(process.reason),
      offsets: range.flatMap(process.offsets), progress: account.progress)
  }

  func partialResults() -> [ResponseBody] {
    var bodies: [ResponseBody] = []
    var first = phase == .results ? cursor : 0
    let notYetPulsed = notYetPulsed
    while first < cells.count {
      let page = page(from: first, notYetPulsed: notYetPulsed)
      first += page.count
      bodies.append(.cellResults(page))
    }
    return bodies
  }
}

extension WriteVerify {
  /// The operation that carries the request out with the strategy it names.
  func operation(_ chip: Chip, frameBytes: Int) throws(RequestFailure) -> any Operation {
    func make<Strategy: WriteStrategy>(_ strategy: Strategy) throws(RequestFailure) -> any Operation {
      try WriteVerifyOperation(self, strategy, chip, frameBytes: frameBytes)
    }
    return try make(makeStrategy())
  }
}
