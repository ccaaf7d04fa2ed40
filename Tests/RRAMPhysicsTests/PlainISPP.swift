import RRAMPhysics
import RRAMProfiles
import RRAMUnits

/// Plain incremental step pulse programming on a macro, as a board's firmware runs it, for tests of the pulse response.
///
/// Every round reads the open cells and gives each a pulse towards its target: the ramp of a direction begins at its
/// start, gains one step a pulse, and begins again after a reversal.
struct PlainISPP {
  var tolerance: Siemens
  var maximumPulses: Int
  /// Chip time of one round, pulses and reads, in seconds.
  var roundTime = 2e-3

  struct Outcome {
    var pulses: [Int]
    var converged: [Bool]
    var finished: Double

    var meanPulses: Double { Double(pulses.reduce(0, +)) / Double(pulses.count) }
    func percentile(_ p: Double) -> Int { pulses.sorted()[Int(p * Double(pulses.count - 1))] }
    var shareConverged: Double { Double(converged.count { $0 }) / Double(converged.count) }
  }

  func run(
    _ crossbar: inout Crossbar, cells: [Int], targets: [Siemens], board: BoardDescription, from start: Double
  ) throws -> Outcome {
    let programming = crossbar.profile.programming
    let sensing = board.sensing
    let readOut = Crossbar.ReadOut(
      sensing: sensing, wordLine: sensing.readWordLine, voltage: sensing.readVoltage,
      range: sensing.rangeIndex(for: crossbar.profile.cells.asymptotes.upperBound, at: sensing.readVoltage))
    var outcome = Outcome(
      pulses: [Int](repeating: 0, count: cells.count), converged: [Bool](repeating: false, count: cells.count),
      finished: start)
    var amplitudes = [Volts](repeating: .zero, count: cells.count)
    var directions = [Pulse.Kind?](repeating: nil, count: cells.count)
    var open = Array(cells.indices)
    while !open.isEmpty {
      outcome.finished += roundTime / 2
      let readings = try crossbar.read(open.map { cells[$0] }, readOut, at: outcome.finished)
      outcome.finished += roundTime / 2
      var next: [Int] = []
      for (index, reading) in zip(open, readings.conductances) {
        if (reading - targets[index]).magnitude <= tolerance {
          outcome.converged[index] = true
          continue
        }
        guard outcome.pulses[index] < maximumPulses else { continue }
        let kind: Pulse.Kind = reading < targets[index] ? .set : .reset
        let bias = kind == .set ? programming.set : programming.reset
        amplitudes[index] = directions[index] == kind ? min(amplitudes[index] + bias.step, bias.stop) : bias.start
        directions[index] = kind
        outcome.pulses[index] += 1
        next.append(index)
      }
      for kind in [Pulse.Kind.set, .reset] {
        let bias = kind == .set ? programming.set : programming.reset
        let driver = kind == .set ? board.drivers.bitLine : board.drivers.sourceLine
        let chosen = next.filter { directions[$0] == kind }
        try crossbar.pulse(
          chosen.map { cells[$0] },
          Pulse(kind: kind, wordLine: bias.wordLine, amplitude: bias.start, width: bias.width),
          amplitudes: try chosen.map { try driver.output(nearest: amplitudes[$0], of: "driver") },
          at: outcome.finished)
      }
      open = next
    }
    return outcome
  }
}

extension Crossbar {
  /// Forms every cell by the profile's ramp, 1 ms a step from `start`; returns the time it took.
  @discardableResult
  mutating func formAll(from start: Double = 0) throws -> Double {
    let bias = profile.programming.forming
    var amplitude = bias.start
    var now = start
    while amplitude <= bias.stop + Volts(1e-9) {
      now += 1e-3
      let pristine = (0..<cellCount).filter { !isFormed($0) }
      try pulse(
        pristine, Pulse(kind: .forming, wordLine: bias.wordLine, amplitude: amplitude, width: bias.width), at: now)
      amplitude = amplitude + bias.step
    }
    return now
  }

  /// A macro of the shipped profile `name`, all cells formed.
  static func formed(
    _ name: String, shape: MacroShape = MacroShape(rows: 64, columns: 64), macro: Int = 0, seed: UInt64
  ) throws -> Crossbar {
    var crossbar = Crossbar(profile: try ChipProfile.named(name), shape: shape, macro: macro, seed: seed)
    try crossbar.formAll()
    return crossbar
  }
}
