import RRAMProfiles
import RRAMUnits

/// Two published ways to write several bits a cell, and incremental pulses to a conductance, as host loops run them on cells.
struct WriteScheme {
  enum Kind {
    /// The gate ramps up from `start` in every attempt; past the window the cell is reset and the ramp begins again.
    case gateRamp(start: Volts, step: Volts)
    /// One pulse at the gate voltage tabulated for the level; missed: reset and again.
    case fixedPulse
  }

  var kind: Kind
  /// Conductances that count as each level, µS.
  var windows: [ClosedRange<Double>]
  /// Gate voltage that takes the median cell to the middle of each window; `nil` for the state after a RESET.
  var gates: [Volts?]
  var set: Volts
  var reset: Volts
  var resetGate: Volts
  var width: Duration
  var maximumPulses: Int
  /// Chip time of one pulse and its read, in seconds.
  var roundTime = 20e-6

  struct Outcome {
    /// One a cell.
    var pulses: [Int]
    var accepted: [Bool]
    var reads: Int
    /// Chip time at the end, seconds.
    var finished: Double
  }

  /// Writes level k mod `windows.count` to cell k. Cells begin reset.
  func run(_ crossbar: inout Crossbar, from start: Double) throws(PhysicsError) -> Outcome {
    let n = crossbar.cellCount
    var outcome = Outcome(
      pulses: [Int](repeating: 0, count: n), accepted: [Bool](repeating: false, count: n), reads: 0, finished: start)
    let resetPulse = Pulse(kind: .reset, wordLine: resetGate, amplitude: reset, width: width)
    var ramp = [Int](repeating: 0, count: n)
    // Every cell gets the RESET that its first attempt begins with.
    var toReset = Array(0..<n)
    var open = toReset
    var isSet = [Bool](repeating: false, count: n)
    while !open.isEmpty {
      outcome.finished += roundTime
      let now = outcome.finished
      try crossbar.pulse(toReset, resetPulse, at: now)
      for cell in toReset {
        ramp[cell] = 0
        isSet[cell] = false
      }
      var byGate: [Double: [Int]] = [:]
      let resetting = Set(toReset)
      for cell in open where !resetting.contains(cell) {
        guard let gate = gates[cell % gates.count] else { continue }
        let wordLine: Volts
        switch kind {
        case .fixedPulse: wordLine = gate
        case .gateRamp(let first, let step): wordLine = min(first + Double(ramp[cell]) * step, Volts(3))
        }
        byGate[wordLine.rawValue, default: []].append(cell)
        ramp[cell] += 1
        isSet[cell] = true
      }
      for (wordLine, cells) in byGate.sorted(by: { $0.key < $1.key }) {
        try crossbar.pulse(
          cells, Pulse(kind: .set, wordLine: Volts(wordLine), amplitude: set, width: width), at: now)
      }
      for cell in open { outcome.pulses[cell] += 1 }
      let readings = try crossbar.read(open, integration: .microseconds(1), at: now + roundTime / 2)
      outcome.reads += open.count
      toReset = []
      var next: [Int] = []
      for (cell, reading) in zip(open, readings) {
        let value = reading.microsiemens
        let window = windows[cell % windows.count]
        if window.contains(value) {
          outcome.accepted[cell] = true
          continue
        }
        guard outcome.pulses[cell] < maximumPulses else { continue }
        next.append(cell)
        switch kind {
        case .gateRamp(let first, let step):
          let isSpent = (first + Double(ramp[cell]) * step) > Volts(3.0001)
          if value > window.upperBound || isSpent { toReset.append(cell) }
        case .fixedPulse:
          if isSet[cell] || value > window.upperBound { toReset.append(cell) }
        }
      }
      // The highest-resistance level has no SET to begin anew from: a cell that stays above it is set and reset.
      let stuckHigh = next.filter { gates[$0 % gates.count] == nil && outcome.pulses[$0] > 1 }
      if !stuckHigh.isEmpty {
        try crossbar.pulse(
          stuckHigh, Pulse(kind: .set, wordLine: Volts(2), amplitude: set, width: width), at: now + 0.6 * roundTime)
        for cell in stuckHigh { outcome.pulses[cell] += 1 }
      }
      open = next
    }
    return outcome
  }
}

/// Plain incremental step pulse programming to conductances: ramps of the driven line in both directions, restarted at every
/// reversal.
struct IncrementalPulses {
  var tolerance: Siemens
  var maximumPulses: Int
  var maximumReversals: Int
  var roundTime = 20e-6

  struct Outcome {
    var pulses: [Int]
    var accepted: [Bool]
    /// The last read of each cell.
    var verified: [Siemens]
    var finished: Double
  }

  /// Writes one target a cell; a cell is accepted when `confirmations` further reads agree.
  func run(
    _ crossbar: inout Crossbar, targets: [Siemens], confirmations: Int, from start: Double
  ) throws(PhysicsError) -> Outcome {
    let n = crossbar.cellCount
    let programming = crossbar.profile.programming
    var outcome = Outcome(
      pulses: [Int](repeating: 0, count: n), accepted: [Bool](repeating: false, count: n),
      verified: [Siemens](repeating: .zero, count: n), finished: start)
    var amplitudes = [Volts](repeating: .zero, count: n)
    var directions = [Pulse.Kind?](repeating: nil, count: n)
    var reversals = [Int](repeating: 0, count: n)
    var open = Array(0..<n)
    while !open.isEmpty {
      outcome.finished += roundTime
      let now = outcome.finished
      let readings = try crossbar.read(open, integration: .microseconds(1), at: now)
      var passing: [Int] = []
      var failing: [(cell: Int, reading: Siemens)] = []
      for (cell, reading) in zip(open, readings) {
        outcome.verified[cell] = reading
        if (reading - targets[cell]).magnitude <= tolerance {
          passing.append(cell)
        } else {
          failing.append((cell, reading))
        }
      }
      for confirmation in 0..<confirmations where !passing.isEmpty {
        let again = try crossbar.read(passing, integration: .microseconds(1), at: now + 1e-6 * Double(confirmation + 1))
        var still: [Int] = []
        for (cell, reading) in zip(passing, again) {
          outcome.verified[cell] = reading
          if (reading - targets[cell]).magnitude <= tolerance {
            still.append(cell)
          } else {
            failing.append((cell, reading))
          }
        }
        passing = still
      }
      for cell in passing { outcome.accepted[cell] = true }
      var next: [Int] = []
      var byKind: [Pulse.Kind: [Int]] = [.set: [], .reset: []]
      for (cell, reading) in failing {
        let kind: Pulse.Kind = reading < targets[cell] ? .set : .reset
        let bias = kind == .set ? programming.set : programming.reset
        if directions[cell] == kind {
          amplitudes[cell] = min(amplitudes[cell] + bias.step, bias.stop)
        } else {
          if directions[cell] != nil { reversals[cell] += 1 }
          amplitudes[cell] = bias.start
          directions[cell] = kind
        }
        guard outcome.pulses[cell] < maximumPulses, reversals[cell] <= maximumReversals else { continue }
        outcome.pulses[cell] += 1
        byKind[kind, default: []].append(cell)
        next.append(cell)
      }
      for kind in [Pulse.Kind.set, .reset] {
        guard let cells = byKind[kind], !cells.isEmpty else { continue }
        let bias = kind == .set ? programming.set : programming.reset
        try crossbar.pulse(
          cells, Pulse(kind: kind, wordLine: bias.wordLine, amplitude: bias.start, width: bias.width),
          amplitudes: cells.map { amplitudes[$0] }, at: now + roundTime / 2)
      }
      open = next.sorted()
    }
    return outcome
  }
}
