internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

/// Board-run write-verify by incremental step pulse programming.
///
/// A round pulses every open cell towards its target, SET cells first, then reads them. A cell's ramp climbs from pulse to
/// pulse and begins again when the direction changes. Each cell that passes is read again `confirm_reads` times.
final class WriteVerifyOperation: Operation {
  /// Pulses at the top of a ramp that leave a cell where it was before it counts as stuck.
  private static let stuckPulses = 12

  private enum Phase { case read, set, reset, results }

  /// What the firmware keeps of a cell.
  private struct CellState {
    var reason = CellReason(rawValue: 0)
    var pulses: UInt32 = 0
    var reads: UInt32 = 0
    var reversals = 0
    /// −1 RESET, 1 SET, 0 before the first pulse.
    var direction = 0
    var rampIndex = 0
    var conductance = Float.nan
    /// Extremes of all reads, and pulses given at the top of the ramp.
    var lowest = Float.infinity
    var highest = -Float.infinity
    var pulsesAtStop = 0
  }

  private let cells: CellList
  private let request: WriteVerify
  private let notFormedBelow: Float
  private let pages: CellResultPages
  private(set) var account: OperationAccount
  private var states: [CellState]
  /// Selected cells that are still worked on.
  private var open: [Int]
  /// Those of `open` that the phase under way works on.
  private var batch: [Int]
  private var cursor = 0
  private var phase = Phase.read
  private var hasWritten = false
  /// Finished cells that the host has not heard of yet.
  private var unsaid: [Int] = []
  /// They did not all fit into the round's frame.
  private var hasMoreToSay = false

  init(_ request: WriteVerify, _ chip: Chip, frameBytes: Int) throws(RequestFailure) {
    cells = try CellList(request.cells, chip)
    let cell = cells.cell(0)
    let check = chip.check
    try check.ramp(
      request.set, .set, name: "write_verify.set", columns: cells.blockColumns, celsius: chip.celsius, cell: cell)
    try check.ramp(
      request.reset, .reset, name: "write_verify.reset", columns: cells.blockColumns, celsius: chip.celsius, cell: cell)
    try check.read(request.verify, cell: cell)
    try check.pulses(request.maximumPulses, cell: cell)
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
    self.request = request
    // What conducts so little and was never seen to conduct more is pristine.
    notFormedBelow = low / 8
    // Between rounds a cell takes its number as well.
    pages = CellResultPages(frameBytes: frameBytes, withFormingVoltage: true)
    account = OperationAccount(total: cells.count)
    states = [CellState](repeating: CellState(), count: cells.count)
    open = Array(0..<cells.count)
    batch = open
  }

  var macros: MacroSet { MacroSet(CollectionOfOne(cells.macro)) }

  func step(_ chip: Chip) throws(RequestFailure) -> OperationStep {
    if phase == .results { return nextPage() }
    // What did not fit into the round's frame.
    if hasMoreToSay { return .part(progressFrame()) }
    let step = phase == .read ? readsPerStep(request.verify, times: request.confirmReads + 1) : cellsPerStep
    let part = batch[cursor..<min(cursor + step, batch.count)]
    if !part.isEmpty {
      switch phase {
      case .read: try read(part, chip)
      case .set: try pulse(part, .set, request.set, chip)
      case .reset: try pulse(part, .reset, request.reset, chip)
      case .results: break
      }
    }
    cursor += part.count
    if cursor < batch.count { return .working }
    cursor = 0
    switch phase {
    case .read:
      unsaid += open.filter { states[$0].reason.rawValue != 0 }
      open.removeAll { states[$0].reason.rawValue != 0 }
      account.finished = cells.count - open.count
      if open.isEmpty {
        phase = .results
        unsaid = []
        return nextPage()
      }
      phase = .set
      batch = open.filter { states[$0].direction > 0 }
      // A frame tells how far it is and which cells are done; waiting for its credit is where a slow host slows the board.
      return account.rounds == 0 ? .working : .part(progressFrame())
    case .set:
      phase = .reset
      batch = open.filter { states[$0].direction < 0 }
    case .reset:
      account.rounds += 1
      phase = .read
      batch = open
    case .results: break
    }
    return .working
  }

  private func read(_ part: ArraySlice<Int>, _ chip: Chip) throws(RequestFailure) {
    let reading = try chip.read(macro: cells.macro, part.map { cells.indices[$0] }[...], request.verify)
    account.reads += part.count
    for (k, conductance) in zip(part, reading.conductance) {
      note(k, conductance)
      if passes(k), try confirm(k, chip) {
        states[k].reason = .converged
        chip.noteFormed(macro: cells.macro, cells.indices[k..<k + 1])
      } else {
        decide(k, isFormed: chip.knownFormed(macro: cells.macro, cells.indices[k..<k + 1])[0])
      }
    }
  }

  private func note(_ k: Int, _ conductance: Float) {
    states[k].conductance = conductance
    states[k].reads += 1
    states[k].lowest = min(states[k].lowest, conductance)
    states[k].highest = max(states[k].highest, conductance)
  }

  private func passes(_ k: Int) -> Bool {
    abs(Double(states[k].conductance) - Double(request.targets[k])) <= request.tolerance.rawValue
  }

  /// Reads a passing cell again; false at the first read that fails.
  private func confirm(_ k: Int, _ chip: Chip) throws(RequestFailure) -> Bool {
    for _ in 0..<request.confirmReads {
      let reading = try chip.read(macro: cells.macro, cells.indices[k..<k + 1], request.verify)
      account.reads += 1
      note(k, reading.conductance[0])
      if !passes(k) { return false }
    }
    return true
  }

  /// The next pulse of an open cell, or why there is none.
  private func decide(_ k: Int, isFormed: Bool) {
    var state = states[k]
    defer { states[k] = state }
    if state.pulses == 0, !isFormed, !(state.conductance >= notFormedBelow) {
      state.reason = .notFormed
      return
    }
    let direction = state.conductance < request.targets[k] ? 1 : -1
    if state.pulses >= UInt32(clamping: request.maximumPulses) {
      state.reason = stuckReason(state) ?? .pulseLimit
      return
    }
    if state.direction == direction {
      state.rampIndex += 1
    } else {
      if state.direction != 0 { state.reversals += 1 }
      state.direction = direction
      state.rampIndex = 0
      state.pulsesAtStop = 0
      if state.reversals > request.maximumReversals {
        state.reason = .oscillating
        return
      }
    }
    let ramp = direction > 0 ? request.set : request.reset
    if ramp.amplitude(state.rampIndex) >= ramp.stop.rawValue {
      if state.pulsesAtStop >= Self.stuckPulses, let reason = stuckReason(state) {
        state.reason = reason
        return
      }
      state.pulsesAtStop += 1
    }
  }

  /// Stuck if pulses in one direction, some of them at the top of the ramp, have not moved the cell by more than reads differ.
  private func stuckReason(_ state: CellState) -> CellReason? {
    guard state.reversals == 0, state.pulsesAtStop > 0,
      Double(state.highest - state.lowest) <= 4 * request.tolerance.rawValue
    else { return nil }
    return state.direction > 0 ? .stuckLow : .stuckHigh
  }

  private func pulse(
    _ part: ArraySlice<Int>, _ kind: PulseKind, _ ramp: PulseRamp, _ chip: Chip
  ) throws(RequestFailure) {
    if !hasWritten {
      hasWritten = true
      chip.willWrite(macro: cells.macro)
    }
    let amplitudes = part.map { ramp.amplitude(states[$0].rampIndex) }
    try chip.pulse(
      macro: cells.macro, part.map { cells.indices[$0] }[...], kind: kind, amplitudes: amplitudes,
      wordLine: ramp.wordLine.rawValue, width: ramp.width)
    for k in part { states[k].pulses += 1 }
    account.pulses += part.count
  }

  /// How far it is, and the cells that finished since the frame before, as many as one frame holds.
  private func progressFrame() -> ResponseBody {
    let said = Array(unsaid.prefix(pages.cellsPerPage))
    unsaid.removeFirst(said.count)
    hasMoreToSay = !unsaid.isEmpty
    return .cellResults(
      CellResults(
        firstIndex: 0, count: 0, conductance: said.map { states[$0].conductance },
        pulses: said.map { states[$0].pulses },
        reads: said.map { states[$0].reads }, reasons: said.map { states[$0].reason }, progress: account.progress,
        indices: said.map { UInt32($0) }))
  }

  private func nextPage() -> OperationStep {
    let page = page(from: cursor)
    cursor += page.count
    return cursor == cells.count ? .finished(.cellResults(page)) : .part(.cellResults(page))
  }

  private func page(from first: Int) -> CellResults {
    let range = first..<min(first + pages.cellsPerPage, cells.count)
    let part = states[range]
    return CellResults(
      firstIndex: first, count: range.count, conductance: part.map(\.conductance), pulses: part.map(\.pulses),
      reads: part.map(\.reads), reasons: part.map { $0.reason.rawValue == 0 ? .notReached : $0.reason },
      progress: account.progress)
  }

  func partialResults() -> [ResponseBody] {
    var bodies: [ResponseBody] = []
    var first = phase == .results ? cursor : 0
    while first < cells.count {
      let page = page(from: first)
      first += page.count
      bodies.append(.cellResults(page))
    }
    return bodies
  }
}
