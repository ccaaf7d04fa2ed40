public import RRAMUnits
public import RRAMWire

/// A write-verify as a state machine: reads of the open cells go in, groups of pulses come out, until no cell is open.
///
/// ```
/// while !process.open.isEmpty {
///   for cell in process.open { process.note(cell, reading, isFormed: …) }   // one read of every open cell
///   for group in process.endRound() { … }                                  // one pulse to the cells of each group
/// }
/// ```
public struct WriteProcess<Strategy: WriteStrategy>: Sendable {
  /// Cells that get their pulses at once: all share line voltages but for the amplitude.
  public struct Group: Sendable, Hashable {
    public var kind: PulseKind
    public var wordLine: Volts
    public var width: Duration
    /// Among the selected cells, ascending.
    public var cells: [Int]
    /// One a cell.
    public var amplitudes: [Volts]
  }

  private struct Cell {
    var memory: Strategy.Cell
    var reason = CellReason(rawValue: 0)
    var pulses: UInt32 = 0
    var reads: UInt32 = 0
    var reversals = 0
    var kind: PulseKind?
    var last = Float.nan
    /// Reads since the last pulse.
    var sum = 0.0
    var count = 0
    /// Extremes of all reads, and pulses of either kind that could not have been stronger.
    var lowest = Float.infinity
    var highest = -Float.infinity
    var strongestSets = 0
    var strongestResets = 0
    /// Joules, and the way through the window in siemens.
    var energy = 0.0
    var way = 0.0
    /// Mean before the last pulse.
    var before = Double.nan
    var isFormed = false
  }

  /// Pulses that cannot be stronger and leave a cell where it was before it counts as stuck.
  private static var stuckPulses: Int { 12 }
  /// Standard errors that a mean must lie beyond the edge of a window to be taken for what it says.
  private static var certainty: Double { 2 }

  private let request: WriteVerify
  private let strategy: Strategy
  private let permitted: ClosedRange<Double>
  private let notFormedBelow: Float
  private var cells: [Cell]
  /// Selected cells that must be read in this round, ascending.
  public private(set) var open: [Int]
  public private(set) var pulses = 0
  public private(set) var reads = 0

  /// - Parameters:
  ///   - permitted: conductances that the chip permits.
  ///   - notFormedBelow: a cell that reads less before its first pulse, and was never seen to conduct more, is pristine.
  public init(_ request: WriteVerify, _ strategy: Strategy, permitted: ClosedRange<Siemens>, notFormedBelow: Siemens) {
    self.request = request
    self.strategy = strategy
    self.permitted = permitted.lowerBound.rawValue...permitted.upperBound.rawValue
    self.notFormedBelow = Float(notFormedBelow.rawValue)
    cells = (0..<request.targets.count).map { Cell(memory: strategy.begin($0)) }
    open = Array(cells.indices)
  }

  public var count: Int { cells.count }
  public var finished: Int { cells.count - open.count }
  public func reason(_ cell: Int) -> CellReason {
    cells[cell].reason.rawValue == 0 ? .notReached : cells[cell].reason
  }
  /// S: the last read.
  public func conductance(_ cell: Int) -> Float { cells[cell].last }
  public func pulses(_ cell: Int) -> UInt32 { cells[cell].pulses }
  public func reads(_ cell: Int) -> UInt32 { cells[cell].reads }
  /// Three numbers, or none where the strategy does not learn.
  public func offsets(_ cell: Int) -> [Float] { strategy.offsets(cells[cell].memory) ?? [] }

  /// Enters the read of an open cell, siemens.
  public mutating func note(_ cell: Int, _ conductance: Float, isFormed: Bool) {
    cells[cell].last = conductance
    cells[cell].reads += 1
    cells[cell].sum += Double(conductance)
    cells[cell].count += 1
    cells[cell].lowest = min(cells[cell].lowest, conductance)
    cells[cell].highest = max(cells[cell].highest, conductance)
    cells[cell].isFormed = isFormed
    if cells[cell].count == 1, cells[cell].before.isFinite {
      cells[cell].way += abs(Double(conductance) - cells[cell].before)
    }
    reads += 1
  }

  /// Ends the round of reads: SET groups by rising word line, then RESET. Cells that have ended leave `open`.
  public mutating func endRound() -> [Group] {
    var given: [(cell: Int, pulse: WritePulse)] = []
    given.reserveCapacity(open.count)
    if request.pairs {
      for first in Set(open.map { $0 & ~1 }).sorted() { decidePair(first, &given) }
    } else {
      for cell in open { decide(cell, goal(cell), &given) }
    }
    open.removeAll { cells[$0].reason.rawValue != 0 }
    return Self.groups(given)
  }

  private static func groups(_ given: [(cell: Int, pulse: WritePulse)]) -> [Group] {
    var groups: [Lines: Group] = [:]
    for (cell, pulse) in given.sorted(by: { $0.cell < $1.cell }) {
      let lines = Lines(isReset: pulse.kind == .reset, wordLine: pulse.wordLine, width: pulse.width)
      groups[
        lines,
        default: Group(kind: pulse.kind, wordLine: pulse.wordLine, width: pulse.width, cells: [], amplitudes: [])
      ].cells.append(cell)
      groups[lines]?.amplitudes.append(pulse.amplitude)
    }
    return groups.sorted {
      let (a, b) = ($0.key, $1.key)
      if a.isReset != b.isReset { return b.isReset }
      return a.wordLine == b.wordLine ? a.width < b.width : a.wordLine < b.wordLine
    }.map(\.value)
  }

  // MARK: One cell

  private func goal(_ cell: Int) -> WriteGoal {
    let target = Siemens(Double(request.targets[cell]))
    guard request.windows.isEmpty else {
      let window = request.windows[cell]
      return WriteGoal(
        target: target, window: Siemens(Double(window.lowerBound))...Siemens(Double(window.upperBound)))
    }
    return WriteGoal(target: target, window: target - request.tolerance...target + request.tolerance)
  }

  private func reading(_ cell: Int) -> CellReading {
    CellReading(conductance: Siemens(cells[cell].sum / Double(max(1, cells[cell].count))), count: cells[cell].count)
  }

  private enum Verdict { case inside, outside, undecided }

  /// Whether reads of mean `value` put a cell inside of a window.
  private func verdict(_ value: Double, last: Double, in window: ClosedRange<Double>, count: Int, sigma: Double)
    -> Verdict
  {
    guard request.confirmMean else {
      guard window.contains(last) else { return .outside }
      return count > request.confirmReads ? .inside : .undecided
    }
    if count > request.confirmReads { return window.contains(value) ? .inside : .outside }
    let error = Self.certainty * sigma / Double(count).squareRoot()
    if value < window.lowerBound - error || value > window.upperBound + error { return .outside }
    // Without a known spread nothing is certain.
    if sigma > 0, value >= window.lowerBound + error, value <= window.upperBound - error { return .inside }
    return .undecided
  }

  private mutating func decide(_ cell: Int, _ goal: WriteGoal, _ given: inout [(cell: Int, pulse: WritePulse)]) {
    if isPristine(cell) {
      cells[cell].reason = .notFormed
      return
    }
    let reading = reading(cell)
    let mean = reading.conductance.rawValue
    switch verdict(
      mean, last: Double(cells[cell].last), in: goal.window.lowerBound.rawValue...goal.window.upperBound.rawValue,
      count: reading.count, sigma: strategy.readSpread * mean)
    {
    case .undecided: return
    case .inside: end(cell, .converged)
    case .outside:
      // Confirming reads that failed tell of one read each; the mean of all is nearer to the truth.
      give(cell, goal, &given)
    }
  }

  private func isPristine(_ cell: Int) -> Bool {
    let cell = cells[cell]
    return cell.pulses == 0 && !cell.isFormed && !(cell.last >= notFormedBelow)
  }

  private mutating func end(_ cell: Int, _ reason: CellReason) {
    strategy.end(&cells[cell].memory, at: reading(cell))
    cells[cell].reason = reason
  }

  /// The next pulse of a cell, or why there is none.
  private mutating func give(_ cell: Int, _ goal: WriteGoal, _ given: inout [(cell: Int, pulse: WritePulse)]) {
    let state = cells[cell]
    if Int(state.pulses) >= request.maximumPulses {
      end(cell, stuckReason(state, goal) ?? .pulseLimit)
      return
    }
    let reading = reading(cell)
    let pulse = strategy.pulse(&cells[cell].memory, at: reading, to: goal)
    if let kind = state.kind, kind != pulse.kind {
      cells[cell].reversals += 1
      if cells[cell].reversals > request.maximumReversals {
        cells[cell].reason = .oscillating
        return
      }
    }
    if pulse.isStrongest {
      if max(state.strongestSets, state.strongestResets) >= Self.stuckPulses, let reason = stuckReason(state, goal) {
        cells[cell].reason = reason
        return
      }
      if pulse.kind == .set { cells[cell].strongestSets += 1 } else { cells[cell].strongestResets += 1 }
    }
    let energy =
      pulse.amplitude.rawValue * pulse.amplitude.rawValue * abs(reading.conductance.rawValue) * pulse.width.seconds
    if let cap = request.maximumEnergy?.rawValue, state.energy + energy > cap {
      cells[cell].reason = .limit
      return
    }
    if let cap = request.maximumCycles,
      state.way >= 2 * cap * (permitted.upperBound - permitted.lowerBound)
    {
      cells[cell].reason = .limit
      return
    }
    cells[cell].energy += energy
    cells[cell].kind = pulse.kind
    cells[cell].pulses += 1
    cells[cell].before = reading.conductance.rawValue
    cells[cell].sum = 0
    cells[cell].count = 0
    pulses += 1
    given.append((cell, pulse))
  }

  /// Stuck if pulses, some of them as strong as they get, have not moved the cell by more than reads differ.
  private func stuckReason(_ state: Cell, _ goal: WriteGoal) -> CellReason? {
    let tolerance = (goal.window.upperBound - goal.window.lowerBound).rawValue / 2
    guard max(state.strongestSets, state.strongestResets) > 0, Double(state.highest - state.lowest) <= 4 * tolerance
    else { return nil }
    return Double(state.last) < goal.target.rawValue ? .stuckLow : .stuckHigh
  }

  // MARK: Pairs

  /// Moves that cell of a pair which has more room, or ends both.
  private mutating func decidePair(_ first: Int, _ given: inout [(cell: Int, pulse: WritePulse)]) {
    let both = [first, first + 1]
    for cell in both where cells[cell].reason.rawValue == 0 && isPristine(cell) { cells[cell].reason = .notFormed }
    let means = both.map { cells[$0].count > 0 ? reading($0).conductance.rawValue : Double(cells[$0].last) }
    let open = both.filter { cells[$0].reason.rawValue == 0 }
    guard !open.isEmpty else { return }
    let wanted = Double(request.targets[first]) - Double(request.targets[first + 1])
    let error = means[0] - means[1] - wanted
    let count = open.map { cells[$0].count }.min() ?? 1
    let tolerance = request.tolerance.rawValue
    let last = Double(cells[first].last) - Double(cells[first + 1].last) - wanted
    let sigma = strategy.readSpread * (means[0] * means[0] + means[1] * means[1]).squareRoot()
    // A cell outside of what the chip permits is brought back whatever the difference.
    if let astray = open.first(where: { !permitted(tolerance).contains(means[$0 - first]) }) {
      give(astray, goal(astray), &given)
      return
    }
    switch verdict(error, last: last, in: -tolerance...tolerance, count: count, sigma: sigma) {
    case .undecided: return
    case .inside: for cell in open { end(cell, .converged) }
    case .outside:
      // G₀ must fall by the error, or G₁ rise by it.
      let goals = [means[0] - error, means[1] + error]
      let room = goals.indices.map { k in
        let way = goals[k] - means[k]
        return (way > 0 ? permitted.upperBound - means[k] : means[k] - permitted.lowerBound) - abs(way)
      }
      guard let mover = open.max(by: { room[$0 - first] < room[$1 - first] }) else { return }
      let target = min(max(goals[mover - first], permitted.lowerBound), permitted.upperBound)
      give(
        mover,
        WriteGoal(
          target: Siemens(target), window: Siemens(target - tolerance)...Siemens(target + tolerance)),
        &given)
    }
  }

  private func permitted(_ tolerance: Double) -> ClosedRange<Double> {
    permitted.lowerBound - tolerance...permitted.upperBound + tolerance
  }
}

/// What the cells of a group share.
private struct Lines: Hashable {
  var isReset: Bool
  var wordLine: Volts
  var width: Duration
}
