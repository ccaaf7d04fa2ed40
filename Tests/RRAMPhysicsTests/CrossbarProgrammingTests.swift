import RRAMPhysics
import RRAMProfiles
import RRAMUnits
import Testing

@Suite struct CrossbarProgrammingTests {
  /// One-sided pairs: of every pair one cell goes to the bottom of the window, the other anywhere in it.
  private func pairTargets(_ crossbar: Crossbar, seed: UInt64) -> [Siemens] {
    var stream = PhiloxStream(seed: seed, stream: (1, 2, 3))
    let window = crossbar.profile.cells.conductance
    return (0..<crossbar.cellCount).map { cell in
      cell.isMultiple(of: 2)
        ? window.lowerBound : window.lowerBound + stream.uniform() * (window.upperBound - window.lowerBound)
    }
  }

  /// Seed 11, n = 4 096 cells; every cell must converge.
  @Test func plainISPPReachesTheToleranceOfTheIdealChip() throws {
    var crossbar = try Crossbar.formed("ideal", seed: 11)
    let board = try BoardDescription.named("parallel")
    let targets = pairTargets(crossbar, seed: 11)
    let programming = crossbar.profile.programming
    let outcome = try PlainISPP(tolerance: programming.tolerance, maximumPulses: programming.maximumPulses).run(
      &crossbar, cells: Array(0..<crossbar.cellCount), targets: targets, board: board, from: 1)
    #expect(outcome.shareConverged == 1)
    #expect(outcome.meanPulses < 60, "\(outcome.meanPulses)")
    #expect(outcome.percentile(0.95) < 120, "\(outcome.percentile(0.95))")
    let block = CellBlock(macro: 0, shape: crossbar.shape)
    let errors = zip(try crossbar.conductances(of: block, at: outcome.finished + 3600), targets).map {
      ($0 - $1).microsiemens
    }
    // Tolerance 5 nS, quantisation and noise of the 18-bit read-out about 2 nS.
    #expect(errors.allSatisfy { abs($0) < 0.012 })
    let rms = (errors.reduce(0) { $0 + $1 * $1 } / Double(errors.count)).squareRoot()
    #expect(rms < 0.005, "\(rms) µS")
  }

  /// Seed 12, n = 4 096 cells of which 0.03 % are defective on average: at least 99.8 % must converge.
  @Test(arguments: ["parallel", "multiplexed"])
  func plainISPPConvergesOnCMOHfOx(boardName: String) throws {
    var crossbar = try Crossbar.formed("cmo-hfox", seed: 12)
    let board = try BoardDescription.named(boardName)
    let targets = pairTargets(crossbar, seed: 12)
    let programming = crossbar.profile.programming
    let cells = Array(0..<crossbar.cellCount)
    let outcome = try PlainISPP(tolerance: programming.tolerance, maximumPulses: programming.maximumPulses).run(
      &crossbar, cells: cells, targets: targets, board: board, from: 1)
    #expect(outcome.shareConverged >= 0.998, "\(outcome.shareConverged)")
    #expect((10.0...30.0).contains(outcome.meanPulses), "\(outcome.meanPulses)")
    #expect(outcome.percentile(0.95) < 60, "\(outcome.percentile(0.95))")
    // No cell was given more than the ramps ask for.
    for cell in cells {
      let stress = crossbar.stress(of: cell)
      #expect(stress.sourceLine <= Volts(1.4805) && stress.width == .microseconds(1))
    }
  }

  @Test func pulsesOfTheWrongPolarityOrBelowThresholdDoNothing() throws {
    var crossbar = try Crossbar.formed("ideal", shape: MacroShape(rows: 2, columns: 2), seed: 1)
    let block = CellBlock(macro: 0, shape: crossbar.shape)
    let before = try crossbar.conductances(of: block, at: 1)
    let weak = Pulse(kind: .set, wordLine: Volts(2), amplitude: Volts(1.39), width: .microseconds(1))
    let closed = Pulse(kind: .set, wordLine: Volts(0.4), amplitude: Volts(2.4), width: .microseconds(1))
    try crossbar.pulse([0, 1, 2, 3], weak, at: 2)
    try crossbar.pulse([0, 1, 2, 3], closed, at: 3)
    #expect(try crossbar.conductances(of: block, at: 4) == before)
    #expect(crossbar.pulseCount(of: 0) >= 2)
    // A SET can only raise, a RESET only lower.
    let set = Pulse(kind: .set, wordLine: Volts(2), amplitude: Volts(2), width: .microseconds(1))
    let reset = Pulse(kind: .reset, wordLine: Volts(3), amplitude: Volts(2), width: .microseconds(1))
    try crossbar.pulse([0], set, at: 5)
    try crossbar.pulse([1], reset, at: 5)
    let after = try crossbar.conductances(of: block, at: 6)
    #expect(after[0] > before[0])
    #expect(after[1] < before[1])
    #expect(after[2] == before[2])
  }

  /// G ← G∞ + (G − G∞)·exp(−(w/w₀)·10^((V − V₁)/v)): at V₁ and the reference width 1 − 1/e of the way.
  @Test func aPulseCoversTheStatedShareOfTheWay() throws {
    var crossbar = try Crossbar.formed("ideal", shape: MacroShape(rows: 1, columns: 4), seed: 1)
    let profile = crossbar.profile
    let block = CellBlock(macro: 0, shape: crossbar.shape)
    let before = try crossbar.conductances(of: block, at: 1)[0].microsiemens
    let top = profile.cells.asymptotes.upperBound.microsiemens
    func set(_ amplitude: Double, _ width: Duration) -> Pulse {
      Pulse(kind: .set, wordLine: Volts(2), amplitude: Volts(amplitude), width: width)
    }
    try crossbar.pulse([0], set(2.4, .microseconds(1)), at: 2)
    try crossbar.pulse([1], set(2.2, .microseconds(10)), at: 2)
    try crossbar.pulse([2], set(2.2, .microseconds(1)), at: 2)
    let after = try crossbar.conductances(of: block, at: 2).map(\.microsiemens)
    #expect(abs((top - after[0]) / (top - before) - 0.367_879) < 1e-5)
    #expect(abs((top - after[1]) / (top - before) - 0.367_879) < 1e-5)
    #expect(abs((top - after[2]) / (top - before) - 0.904_837) < 1e-5)
  }

  /// Seed 5, n = 16 384 cells: mean within 4σ/√n, quantiles within 4 standard errors of the empirical ones.
  @Test func formingVoltagesHaveThePublishedQuantiles() throws {
    let profile = try ChipProfile.named("cmo-hfox")
    let crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 128, columns: 128), macro: 2, seed: 5)
    let n = Double(crossbar.cellCount)
    let voltages = (0..<crossbar.cellCount).map { crossbar.formingVoltage(of: $0).rawValue }.sorted()
    let mean = voltages.reduce(0, +) / n
    let sigma = (voltages.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n).squareRoot()
    #expect(abs(mean - 2.34) < 4 * 0.18 / n.squareRoot())
    #expect(abs(sigma - 0.18) < 0.18 * 0.04)
    func quantile(_ p: Double) -> Double { voltages[Int(p * n)] }
    func bound(_ p: Double) -> Double {
      // √(p(1 − p)/n) in probability, turned into volts by the empirical quantiles around p.
      let error = 4 * (p * (1 - p) / n).squareRoot()
      return quantile(min(p + error, 0.9999)) - quantile(p - error)
    }
    #expect(abs(quantile(0.01) - 1.7625) < bound(0.01))
    #expect(abs(quantile(0.99) - 2.6625) < bound(0.99))
    // Skewed left: the 1 % quantile lies further from the mean than the 99 % one.
    #expect(mean - quantile(0.01) > quantile(0.99) - mean)
  }

  @Test func formingHappensAtTheCellsOwnVoltageAndOnlyThere() throws {
    let profile = try ChipProfile.named("cmo-hfox")
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 4, columns: 4), macro: 0, seed: 3)
    let cells = Array(0..<16)
    for (step, amplitude) in stride(from: 1.4, through: 3.0, by: 0.1).enumerated() {
      try crossbar.pulse(
        cells, Pulse(kind: .forming, wordLine: Volts(1.3), amplitude: Volts(amplitude), width: .microseconds(1)),
        at: Double(step))
      for cell in cells where crossbar.defect(of: cell) == .none {
        #expect(crossbar.isFormed(cell) == (crossbar.formingVoltage(of: cell).rawValue <= amplitude))
      }
    }
  }

  /// A ramp from below the 1 % quantile ends lower than one blow at its ceiling: n = 4 096, seed 8.
  @Test func aSingleHighPulseOverForms() throws {
    let gentle = try Crossbar.formed("cmo-hfox", seed: 8)
    var brutal = Crossbar(profile: gentle.profile, shape: gentle.shape, macro: 0, seed: 8)
    try brutal.pulse(
      Array(0..<brutal.cellCount),
      Pulse(kind: .forming, wordLine: Volts(1.3), amplitude: Volts(3), width: .microseconds(1)), at: 1)
    var both = [gentle, brutal]
    let block = CellBlock(macro: 0, shape: gentle.shape)
    let means = try both.indices.map { index in
      try both[index].conductances(of: block, at: 1).reduce(0) { $0 + $1.microsiemens } / 4096
    }
    #expect(means[1] > means[0] + 10)
  }

  @Test func defectiveCellsBehaveAsTheirDefectSays() throws {
    var profile = try ChipProfile.named("ideal")
    profile.cells.stuckLowFraction = 0.2
    profile.cells.stuckHighFraction = 0.2
    profile.cells.unformableFraction = 0.2
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 32, columns: 32), macro: 0, seed: 2)
    try crossbar.formAll()
    let cells = Array(0..<1024)
    for kind in [Pulse.Kind.set, .reset] {
      try crossbar.pulse(
        cells, Pulse(kind: kind, wordLine: Volts(3), amplitude: Volts(2.5), width: .microseconds(1)), at: 2)
    }
    let values = try crossbar.conductances(of: CellBlock(macro: 0, shape: crossbar.shape), at: 3)
    var counts: [Crossbar.Defect: Int] = [:]
    for cell in cells {
      let defect = crossbar.defect(of: cell)
      counts[defect, default: 0] += 1
      switch defect {
      case .stuckLow: #expect((values[cell].microsiemens - 1).magnitude < 1e-5)
      case .stuckHigh: #expect((values[cell].microsiemens - 160).magnitude < 1e-4)
      case .unformable: #expect((values[cell].microsiemens - 0.01).magnitude < 1e-6)
      case .none: #expect((1.5...30).contains(values[cell].microsiemens))
      }
    }
    // Binomial(1024, 0.2): 205 ± 4·12.8.
    for defect in [Crossbar.Defect.stuckLow, .stuckHigh, .unformable] {
      #expect((153...256).contains(counts[defect] ?? 0))
    }
  }

  @Test func aGateControlledSETStopsWhereTheGateSays() throws {
    var profile = try ChipProfile.named("ideal")
    profile.programming.setControl = .gate
    let yaml = profile.document.replacing(
      "setControl: amplitude",
      with: """
        setControl: gate
          gate:
            threshold: {value: 0.6, unit: V, assumed: test}
            slope: {value: 50, unit: µS/V, assumed: test}
        """)
    profile = try ChipProfile(yaml: yaml, file: "gate.yaml")
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 1, columns: 2), macro: 0, seed: 1)
    try crossbar.formAll()
    try crossbar.pulse(
      [0, 1], Pulse(kind: .reset, wordLine: Volts(3), amplitude: Volts(2.5), width: .microseconds(5)), at: 2)
    for (cell, wordLine) in [(0, 1.6), (1, 2.6)] {
      for _ in 0..<5 {
        try crossbar.pulse(
          [cell], Pulse(kind: .set, wordLine: Volts(wordLine), amplitude: Volts(2.5), width: .microseconds(1)), at: 3)
      }
    }
    let values = try crossbar.conductances(of: CellBlock(macro: 0, shape: crossbar.shape), at: 3).map(\.microsiemens)
    #expect(abs(values[0] - 50) < 0.01)
    #expect(abs(values[1] - 100) < 0.01)
  }

  /// What must have been refused earlier: limit, pulse, and what is said.
  @Test(arguments: [
    (
      Pulse(kind: .set, wordLine: Volts(2), amplitude: Volts(1.6), width: .microseconds(1)), "bitLine",
      "macro 1 row 0 column 2: bitLine: 1.6 V exceeds the limit of 1.5 V"
    ),
    (
      Pulse(kind: .set, wordLine: Volts(3.4), amplitude: Volts(1), width: .microseconds(1)), "wordLine",
      "macro 1 row 0 column 2: wordLine: 3.4 V exceeds the limit of 3.3 V"
    ),
    (
      Pulse(kind: .reset, wordLine: Volts(3), amplitude: Volts(-1.51), width: .microseconds(1)), "sourceLine",
      "macro 1 row 0 column 2: sourceLine: -1.51 V exceeds the limit of 1.5 V"
    ),
    (
      Pulse(kind: .forming, wordLine: Volts(1.3), amplitude: Volts(3.3), width: .microseconds(1)), "forming",
      "macro 1 row 0 column 2: forming: 3.3 V exceeds the limit of 3.2 V"
    ),
    (
      Pulse(kind: .set, wordLine: Volts(2), amplitude: Volts(.nan), width: .microseconds(1)), "bitLine",
      "macro 1 row 0 column 2: bitLine: nan V exceeds the limit of 1.5 V"
    ),
    (
      Pulse(kind: .set, wordLine: Volts(2), amplitude: Volts(1.2), width: .microseconds(101)), "pulseWidth",
      "macro 1 row 0 column 2: pulseWidth: 0.000101 seconds is outside 2e-08 seconds … 0.0001 seconds"
    ),
  ])
  func aPulseBeyondTheLimitsIsRefusedAndTouchesNothing(pulse: Pulse, subject: String, text: String) throws {
    var crossbar = Crossbar(
      profile: try ChipProfile.named("cmo-hfox"), shape: MacroShape(rows: 2, columns: 4), macro: 1, seed: 1)
    let before = crossbar.exportState()
    let error = #expect(throws: PhysicsError.self) { try crossbar.pulse([2, 3], pulse, at: 1) }
    #expect(error?.code == .overLimit)
    #expect(error?.subject == subject)
    #expect(error?.description == text)
    #expect(crossbar.exportState() == before)
  }

  @Test func aChipWithoutLimitsRecordIsOnlyRead() throws {
    var profile = try ChipProfile.named("ideal")
    profile.limits = nil
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 1, columns: 2), macro: 0, seed: 1)
    let sensing = try BoardDescription.named("parallel").sensing
    func readOut(_ voltage: Double) -> Crossbar.ReadOut {
      Crossbar.ReadOut(sensing: sensing, wordLine: sensing.readWordLine, voltage: Volts(voltage), range: 0)
    }
    #expect(try crossbar.read([0, 1], readOut(0.2), at: 1).conductances.count == 2)
    #expect(throws: PhysicsError.self) { try crossbar.read([0], readOut(0.21), at: 1) }
    let pulse = Pulse(kind: .set, wordLine: Volts(1), amplitude: Volts(0.1), width: .zero)
    #expect(throws: PhysicsError.self) { try crossbar.pulse([0], pulse, at: 1) }
  }

  @Test func cellsOutsideTheMacroAreRefused() throws {
    var crossbar = try Crossbar.formed("ideal", shape: MacroShape(rows: 2, columns: 2), seed: 1)
    let pulse = Pulse(kind: .set, wordLine: Volts(2), amplitude: Volts(2), width: .microseconds(1))
    #expect(throws: PhysicsError.self) { try crossbar.pulse([0, 4], pulse, at: 1) }
    #expect(throws: PhysicsError.self) { try crossbar.pulse([0, 1], pulse, amplitudes: [Volts(2)], at: 1) }
    #expect(throws: PhysicsError.self) { try crossbar.read([-1], integration: .microseconds(1), at: 1) }
    let block = CellBlock(macro: 1, shape: MacroShape(rows: 1, columns: 1))
    #expect(throws: PhysicsError.self) { try crossbar.conductances(of: block, at: 1) }
  }
}
