import RRAMPhysics
import RRAMProfiles
import RRAMUnits
import RRAMWire
import RRAMWriting
import Testing

/// A process on emulated cells: what it needs, what it keeps to, and when it ends.
@Suite struct WriteProcessTests {
  static let block = CellBlock(macro: 0, shape: MacroShape(rows: 16, columns: 16))

  /// A profile without cells that cannot be written.
  static func profile(_ name: String) throws -> ChipProfile {
    var profile = try ChipProfile.named(name)
    profile.cells.stuckLowFraction = 0
    profile.cells.stuckHighFraction = 0
    profile.cells.unformableFraction = 0
    profile.cells.leakyFraction = 0
    return profile
  }

  static func request(_ profile: ChipProfile, targets: [Float], tolerance: Double? = nil) -> WriteVerify {
    func ramp(_ bias: ChipProfile.Programming.Bias) -> PulseRamp {
      PulseRamp(wordLine: bias.wordLine, start: bias.start, step: bias.step, stop: bias.stop, width: bias.width)
    }
    return WriteVerify(
      cells: CellSelection(block: block), targets: targets,
      tolerance: tolerance.map { .microsiemens($0) } ?? profile.programming.tolerance,
      set: ramp(profile.programming.set), reset: ramp(profile.programming.reset),
      verify: ReadBias(wordLine: Volts(1.1), bitLine: Volts(0.2)), maximumPulses: 300, maximumReversals: 100, credit: 0)
  }

  /// Even over the inner nine tenths of the window.
  static func targets(_ profile: ChipProfile, count: Int = 256) -> [Float] {
    let window = profile.cells.conductance
    let span = (window.upperBound - window.lowerBound).rawValue
    return (0..<count).map {
      Float(window.lowerBound.rawValue + span * (0.05 + 0.9 * Double($0 * 37 % count) / Double(count)))
    }
  }

  /// Cells, formed, with everything that was done to them.
  struct Bench {
    var crossbar: Crossbar
    var now = 1.0
    var pulses: [[WritePulse]]
    var rounds = 0

    init(_ profile: ChipProfile, seed: UInt64 = 5) throws {
      crossbar = Crossbar(profile: profile, shape: WriteProcessTests.block.shape, macro: 0, seed: seed)
      let forming = profile.programming.forming
      pulses = [[WritePulse]](repeating: [], count: crossbar.cellCount)
      let all = Array(0..<crossbar.cellCount)
      var (amplitude, time) = (forming.start, 0.0)
      while amplitude <= forming.stop + Volts(1e-9) {
        time += 1e-4
        let pristine = all.filter { !crossbar.isFormed($0) }
        try crossbar.pulse(
          pristine, Pulse(kind: .forming, wordLine: forming.wordLine, amplitude: amplitude, width: forming.width),
          at: time)
        amplitude = amplitude + forming.step
      }
    }

    /// Runs a request to its end; a round takes 0.3 ms.
    mutating func run(_ request: WriteVerify) throws -> [CellReason] {
      func open<Strategy: WriteStrategy>(_ strategy: Strategy, _ bench: inout Bench) throws -> [CellReason] {
        let window = bench.crossbar.profile.cells.conductance
        var process = WriteProcess(request, strategy, permitted: window, notFormedBelow: window.lowerBound / 8)
        while !process.open.isEmpty {
          bench.now += 3e-4
          bench.rounds += 1
          let cells = process.open
          let values = try bench.crossbar.read(cells, integration: .microseconds(1), at: bench.now)
          for (cell, value) in zip(cells, values) { process.note(cell, Float(value.rawValue), isFormed: true) }
          for group in process.endRound() {
            let pulse = Pulse(
              kind: group.kind == .set ? .set : .reset, wordLine: group.wordLine, amplitude: .zero, width: group.width)
            try bench.crossbar.pulse(group.cells, pulse, amplitudes: group.amplitudes, at: bench.now + 1e-5)
            for (cell, amplitude) in zip(group.cells, group.amplitudes) {
              bench.pulses[cell].append(
                WritePulse(
                  kind: group.kind, wordLine: group.wordLine, amplitude: amplitude, width: group.width,
                  isStrongest: false))
            }
          }
        }
        learnt = (0..<process.count).flatMap(process.offsets)
        return (0..<process.count).map(process.reason)
      }
      var learnt: [Float] = []
      let reasons = try open(request.makeStrategy(), &self)
      offsets = learnt
      return reasons
    }

    var offsets: [Float] = []
    var meanPulses: Double { Double(pulses.reduce(0) { $0 + $1.count }) / Double(pulses.count) }
  }

  enum Name: String, CaseIterable { case ramps, gateRamp, fixedGate, response }

  static func strategy(_ name: Name, _ profile: ChipProfile, targets: [Float]) throws -> WriteVerify.Strategy {
    switch name {
    case .ramps: return .ramps
    case .response: return .response(PulseResponse(profile))
    case .gateRamp, .fixedGate:
      let gate = try #require(profile.programming.gate)
      return .gateRamp(
        GateRamp(
          first: targets.map {
            name == .gateRamp ? 0.9 : Float(gate.threshold.rawValue + Double($0) / gate.slope)
          }, step: name == .gateRamp ? Volts(0.1) : .zero, stop: profile.programming.set.wordLine))
    }
  }

  /// 256 cells, seed 5. Accepted at least: all but the four sigma of half a percent.
  @Test(arguments: ["ideal", "cmo-hfox", "hfox-analog", "hfox-mlc"], Name.allCases)
  func strategiesConverge(_ name: String, _ strategy: Name) throws {
    let profile = try Self.profile(name)
    guard profile.programming.gate != nil || strategy == .ramps || strategy == .response else { return }
    let targets = Self.targets(profile)
    var request = Self.request(profile, targets: targets)
    // Attempts by the gate end anywhere within a tenth of G: wide windows for them, as for published levels.
    if name == "hfox-mlc" { request.tolerance = .microsiemens(4) }
    request.strategy = try Self.strategy(strategy, profile, targets: targets)
    var bench = try Bench(profile)
    let reasons = try bench.run(request)
    #expect(reasons.count { $0 == .converged } >= 250, "\(reasons.count { $0 != .converged }) failed")
    // The states of the cells follow: most are still near their targets.
    let later = try bench.crossbar.conductances(of: Self.block, at: bench.now)
    let errors = zip(later, targets).map { abs($0.rawValue - Double($1)) }.sorted()
    #expect(errors[128] <= 2 * request.tolerance.rawValue, "median error \(errors[128])")
  }

  @Test(arguments: Name.allCases) func pulsesKeepToTheRampsStops(_ name: Name) throws {
    let profile = try Self.profile("hfox-mlc")
    let targets = Self.targets(profile)
    var request = Self.request(profile, targets: targets, tolerance: 4)
    request.set.stop = Volts(2.2)
    request.reset.stop = Volts(2.4)
    request.strategy = try Self.strategy(name, profile, targets: targets)
    var bench = try Bench(profile)
    _ = try bench.run(request)
    for pulse in bench.pulses.joined() {
      let ramp = pulse.kind == .set ? request.set : request.reset
      #expect(pulse.amplitude <= ramp.stop)
      #expect(pulse.wordLine <= ramp.wordLine)
    }
  }

  @Test func pulsesAndReversalsAreCapped() throws {
    let profile = try Self.profile("hfox-mlc")
    let targets = Self.targets(profile)
    for strategy in Name.allCases {
      var request = Self.request(profile, targets: targets, tolerance: 0.2)
      request.strategy = try Self.strategy(strategy, profile, targets: targets)
      request.maximumPulses = 7
      var bench = try Bench(profile)
      let reasons = try bench.run(request)
      #expect(bench.pulses.allSatisfy { $0.count <= 7 })
      #expect(reasons.contains(.pulseLimit))
      request.maximumPulses = 300
      request.maximumReversals = 2
      bench = try Bench(profile)
      let reversing = try bench.run(request)
      #expect(reversing.contains(.oscillating))
      for pulses in bench.pulses {
        #expect(zip(pulses, pulses.dropFirst()).count { $0.kind != $1.kind } <= 2)
      }
    }
  }

  @Test func energyAndCyclesAreCapped() throws {
    let profile = try Self.profile("hfox-mlc")
    let targets = Self.targets(profile)
    var request = Self.request(profile, targets: targets, tolerance: 0.2)
    request.maximumEnergy = Joules(2e-9)
    var bench = try Bench(profile)
    #expect(try bench.run(request).contains(.limit))
    // A pulse of V volts takes V²·G·width, at most with the highest conductance that a cell can have.
    let most = 250e-6
    for pulses in bench.pulses {
      let least = pulses.dropLast().reduce(0) { $0 + $1.amplitude.rawValue * $1.amplitude.rawValue * 1e-6 * 5e-6 }
      #expect(least <= 2e-9, "even at 5 µS these pulses take more")
      #expect(!pulses.isEmpty || most > 0)
    }
    request.maximumEnergy = nil
    request.maximumCycles = 0.5
    request.tolerance = .microsiemens(0.05)
    bench = try Bench(profile)
    #expect(try bench.run(request).contains(.limit))
    // Cells of the capped write are worn less than those of one without a cap, by their true count of cycles.
    let capped = (0..<256).map { bench.crossbar.cycleCount(of: $0) }.max() ?? 0
    request.maximumCycles = nil
    var free = try Bench(profile)
    _ = try free.run(request)
    let worn = (0..<256).map { free.crossbar.cycleCount(of: $0) }.max() ?? 0
    #expect(capped < 1.5 && worn > 2 * capped, "\(capped) and \(worn) cycles")
  }

  /// Confirming reads come in later rounds; all of them, or their mean, must pass.
  @Test func confirmingReadsAreRounds() throws {
    let profile = try Self.profile("ideal")
    var request = Self.request(profile, targets: Self.targets(profile))
    var bench = try Bench(profile)
    _ = try bench.run(request)
    let plain = bench
    request.confirmReads = 3
    bench = try Bench(profile)
    #expect(try bench.run(request).allSatisfy { $0 == .converged })
    #expect(bench.rounds == plain.rounds + 3)
    #expect(bench.pulses == plain.pulses)
  }

  /// hfox-mlc, seed 5, 256 cells, ±4 µS: the mean of up to four reads accepts fewer cells by chance than one read does.
  @Test func theMeanOfReadsAcceptsBetterCells() throws {
    let profile = try Self.profile("hfox-mlc")
    let targets = Self.targets(profile)
    func outside(_ confirm: Int) throws -> Int {
      var request = Self.request(profile, targets: targets, tolerance: 3)
      request.confirmReads = confirm
      request.confirmMean = confirm > 0
      request.strategy = .response(PulseResponse(profile))
      var bench = try Bench(profile)
      _ = try bench.run(request)
      var sums = [Double](repeating: 0, count: 256)
      for read in 0..<64 {
        let values = try bench.crossbar.read(
          Array(0..<256), integration: .microseconds(1), at: bench.now + 2e-3 * Double(read + 1))
        for (cell, value) in values.enumerated() { sums[cell] += value.microsiemens / 64 }
      }
      return zip(sums, targets).count { abs($0 - Double($1) * 1e6) > 3 }
    }
    let (single, mean) = (try outside(0), try outside(3))
    #expect(mean < single, "\(mean) of 256 outside after the mean of four reads, \(single) after one")
  }

  /// Only the difference counts: fewer pulses than for both cells, and differences within the tolerance.
  @Test func pairsMoveTheCellWithMoreRoom() throws {
    let profile = try Self.profile("ideal")
    var targets = [Float](repeating: 20e-6, count: 256)
    for pair in 0..<128 { targets[2 * pair] = Float(20e-6 + 100e-6 * Double(pair) / 128) }
    var request = Self.request(profile, targets: targets, tolerance: 0.5)
    var alone = try Bench(profile)
    _ = try alone.run(request)
    request.pairs = true
    var bench = try Bench(profile)
    #expect(try bench.run(request).allSatisfy { $0 == .converged })
    let values = try bench.crossbar.conductances(of: Self.block, at: bench.now)
    let window = profile.cells.conductance
    for pair in 0..<128 {
      let difference = (values[2 * pair] - values[2 * pair + 1]).microsiemens
      #expect(abs(difference - Double(targets[2 * pair] - targets[2 * pair + 1]) * 1e6) < 0.51)
      for value in values[2 * pair...2 * pair + 1] {
        #expect(value >= window.lowerBound - .microsiemens(0.6) && value <= window.upperBound + .microsiemens(0.6))
      }
    }
    #expect(bench.meanPulses < 0.8 * alone.meanPulses, "\(bench.meanPulses) and \(alone.meanPulses) pulses a cell")
  }

  /// A cell that no pulse moves is called stuck and not pulsed for ever; hfox-mlc with half of the cells stuck.
  @Test(arguments: Name.allCases) func stuckCellsAreCalledStuck(_ name: Name) throws {
    var profile = try Self.profile("hfox-mlc")
    profile.cells.stuckLowFraction = 0.25
    profile.cells.badRows = 0
    let targets = [Float](repeating: 100e-6, count: 256)
    var request = Self.request(profile, targets: targets, tolerance: 6)
    request.strategy = try Self.strategy(name, profile, targets: targets)
    var bench = try Bench(profile)
    let reasons = try bench.run(request)
    for cell in 0..<256 where bench.crossbar.defect(of: cell) == .stuckLow {
      #expect(reasons[cell] == .stuckLow, "cell \(cell): \(reasons[cell])")
      #expect(bench.pulses[cell].count < 300)
    }
    #expect(reasons.count { $0 == .stuckLow } >= 40)
  }
}
