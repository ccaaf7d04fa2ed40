import RRAMProfiles
import RRAMUnits
import Testing

@testable import RRAMPhysics

@Suite struct CellPhysicsTests {
  private func profile(_ name: String, _ change: (inout ChipProfile) -> Void) throws -> ChipProfile {
    var profile = try ChipProfile.named(name)
    change(&profile)
    return profile
  }

  /// 90 µS behind 1 and 2 kΩ reads 82.6 and 76.3 µS, as published: a selector of 1 kΩ at the read gate has 2 kΩ at half the
  /// overdrive.
  @Test func theSelectorIsInSeries() throws {
    let profile = try profile("ideal") { $0.cells.selectorResistance = Ohms(1000) }
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 1, columns: 2), macro: 0, seed: 1)
    let atReadGate = 1 / (1 / 90.0 + 1e-3)
    #expect(abs(atReadGate - 82.6) < 0.05)
    crossbar.place([Siemens](repeating: .microsiemens(atReadGate), count: 2), at: 0)
    let block = CellBlock(macro: 0, shape: crossbar.shape)
    func seen(_ wordLine: Double) throws -> Double {
      try crossbar.conductances(
        of: block, at: 1, bias: CellBias(wordLine: Volts(wordLine), voltage: Volts(0.2)))[0].microsiemens
    }
    #expect(abs(try seen(1.1) - 82.6) < 0.05)
    #expect(abs(try seen(0.8) - 76.3) < 0.05)
    #expect(abs(try seen(5) - 88.93) < 0.05)
  }

  /// sinh: at V the chord is sinh(cV)/(cV) of the ohmic one; polarity counts for negative voltages only.
  @Test func currentGrowsFasterThanVoltage() throws {
    let profile = try profile("ideal") {
      $0.cells.curvature = 2
      $0.cells.polarity = 0.9
    }
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 1, columns: 2), macro: 0, seed: 1)
    crossbar.place([Siemens](repeating: .microsiemens(50), count: 2), at: 0)
    let block = CellBlock(macro: 0, shape: crossbar.shape)
    func seen(_ voltage: Double) throws -> Double {
      try crossbar.conductances(
        of: block, at: 1, bias: CellBias(wordLine: Volts(1.1), voltage: Volts(voltage)))[0].microsiemens
    }
    #expect(abs(try seen(0.2) - 50) < 1e-4)
    // sinh(1)/1 = 1.175201, sinh(0.4)/0.4 = 1.026881.
    #expect(abs(try seen(0.5) - 50 * 1.175_201 / 1.026_881) < 1e-3)
    #expect(abs(try seen(-0.5) - 0.9 * 50 * 1.175_201 / 1.026_881) < 1e-3)
    // Towards 0 V the ohmic limit.
    #expect(abs(try seen(1e-6) - 50 / 1.026_881) < 1e-3)
  }

  /// Half of the defects lie in one row of 64: 16 macros of 64×64, seeds 1 to 16, 3 % of the cells defective (1 966 expected).
  @Test func defectsClusterByRow() throws {
    let profile = try profile("ideal") {
      $0.cells.stuckLowFraction = 0.01
      $0.cells.stuckHighFraction = 0.01
      $0.cells.unformableFraction = 0.01
      $0.cells.badRows = 1.0 / 64
      $0.cells.badRowShare = 0.5
    }
    var total = 0
    var inWorstRows = 0
    for seed in 1...16 {
      let crossbar = Crossbar(
        profile: profile, shape: MacroShape(rows: 64, columns: 64), macro: 0, seed: UInt64(seed))
      let rows = (0..<64).map { row in (0..<64).count { crossbar.defect(of: row * 64 + $0) != .none } }
      total += rows.reduce(0, +)
      inWorstRows += rows.filter { $0 > 20 }.reduce(0, +)
    }
    // The number of bad rows itself is random: 16 ± 4, each with 61 defects of 64.
    #expect((900...2_900).contains(total), "\(total)")
    #expect(
      Double(inWorstRows) / Double(total) > 0.25 && Double(inWorstRows) / Double(total) < 0.75,
      "\(inWorstRows) of \(total)")
  }

  /// A leaky cell conducts before it is formed, cannot be reset below its leak, and with a closed gate as well.
  @Test func aLeakyCellAlwaysConducts() throws {
    let profile = try profile("ideal") {
      $0.cells.leakyFraction = 1
      $0.cells.leak = .microsiemens(7)
    }
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 1, columns: 2), macro: 0, seed: 1)
    let block = CellBlock(macro: 0, shape: crossbar.shape)
    #expect(abs(try crossbar.conductances(of: block, at: 0)[0].microsiemens - 7.01) < 1e-4)
    try crossbar.formAll()
    for _ in 0..<20 {
      try crossbar.pulse(
        [0, 1], Pulse(kind: .reset, wordLine: Volts(3), amplitude: Volts(2.5), width: .microseconds(10)), at: 1)
    }
    #expect(abs(try crossbar.conductances(of: block, at: 1)[0].microsiemens - 8) < 0.01)
    let sensing = try BoardDescription.named("parallel").sensing
    let closed = Crossbar.ReadOut(sensing: sensing, wordLine: .zero, voltage: Volts(0.2), range: 1)
    #expect(abs(try crossbar.read([0], closed, at: 2).conductances[0].microsiemens - 7) < 0.1)
  }

  /// Half-select: the others in the row of a SET pulse drift up by time at voltage, other rows and the pulsed cell's own share do
  /// not. D = n·w·rate·10^((inhibit·V − voltage)/voltsPerDecade).
  @Test func halfSelectedCellsAreDisturbed() throws {
    let profile = try profile("ideal") {
      $0.disturb.rate = 100
      $0.disturb.voltage = Volts(1)
      $0.disturb.voltsPerDecade = Volts(0.5)
      $0.disturb.inhibit = 0.5
    }
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 2, columns: 4), macro: 0, seed: 1)
    crossbar.place([Siemens](repeating: .microsiemens(20), count: 8), at: 0)
    let block = CellBlock(macro: 0, shape: crossbar.shape)
    // 1.3 V is below the threshold: cell 0 itself is not written.
    let pulse = Pulse(kind: .set, wordLine: Volts(2), amplitude: Volts(1.3), width: .microseconds(100))
    for step in 0..<1000 { try crossbar.pulse([0], pulse, at: Double(step)) }
    let values = try crossbar.conductances(of: block, at: 1000).map(\.microsiemens)
    // 0.1 s · 100/s · 10^((0.65 − 1)/0.5) = 1.995: G = 20 + (160 − 20)·(1 − e^−1.995).
    let expected = 20 + 140 * (1 - 0.136_0)
    for cell in 1..<4 { #expect(abs(values[cell] - expected) < 0.2, "cell \(cell): \(values[cell])") }
    #expect(abs(values[0] - 20) < 1e-3)
    for cell in 4..<8 { #expect(abs(values[cell] - 20) < 1e-3) }
    // RESET grounds the bit line; nobody else sees it.
    let before = try crossbar.conductances(of: block, at: 1000)
    try crossbar.pulse(
      [0], Pulse(kind: .reset, wordLine: Volts(3), amplitude: Volts(1.3), width: .microseconds(100)), at: 1001)
    #expect(try crossbar.conductances(of: block, at: 1001) == before)
    // A write ends what was cumulated.
    try crossbar.pulse(
      [1], Pulse(kind: .reset, wordLine: Volts(3), amplitude: Volts(2.5), width: .microseconds(100)), at: 1002)
    #expect(try crossbar.conductances(of: block, at: 1002)[1].microsiemens < 2)
  }

  /// Read disturb: a cell's own time at the read voltage.
  @Test func readsDisturbByTheirTimeAtVoltage() throws {
    let profile = try profile("ideal") {
      $0.disturb.rate = 1000
      $0.disturb.voltage = Volts(0.3)
      $0.disturb.voltsPerDecade = Volts(0.1)
      $0.disturb.inhibit = 0.5
    }
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 1, columns: 2), macro: 0, seed: 1)
    crossbar.place([Siemens](repeating: .microsiemens(20), count: 2), at: 0)
    let sensing = try BoardDescription.named("parallel").sensing
    let readOut = Crossbar.ReadOut(
      sensing: sensing, wordLine: sensing.readWordLine, voltage: Volts(0.2), range: 1, averages: 1000)
    for read in 0..<10 { _ = try crossbar.read([0], readOut, at: Double(read)) }
    let values = try crossbar.conductances(
      of: CellBlock(macro: 0, shape: crossbar.shape), at: 20
    ).map(\.microsiemens)
    // 10 · 1000 · 1 µs · 1000/s · 10^−1 = 1: 63.2 % of the way.
    #expect(abs(values[0] - (20 + 140 * 0.632_12)) < 0.05, "\(values[0])")
    #expect(abs(values[1] - 20) < 1e-4)
  }

  /// Cells wear out at their own number of cycles: median 20, σ 0.2 decades; seed 9, n = 512. After 20 full cycles half of them have
  /// failed (binomial: 256 ± 4·11.3), part shorted and part open, and no pulse moves them any more.
  @Test func cellsFailAfterTheirEndurance() throws {
    let profile = try profile("ideal") {
      $0.wear.endurance = 20
      $0.wear.enduranceSpread = 0.2
      $0.wear.shortShare = 0.5
      $0.wear.onset = 1e5
      $0.wear.setLoss = 0
      $0.wear.spreadGrowth = 0
    }
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 8, columns: 64), macro: 0, seed: 9)
    let cells = Array(0..<512)
    crossbar.place([Siemens](repeating: .microsiemens(2), count: 512), at: 0)
    let set = Pulse(kind: .set, wordLine: Volts(2), amplitude: Volts(2.5), width: .microseconds(100))
    let reset = Pulse(kind: .reset, wordLine: Volts(3), amplitude: Volts(2.5), width: .microseconds(100))
    // One cycle covers 1 to 160 µS, 1.074 windows.
    for cycle in 0..<19 {
      try crossbar.pulse(cells, set, at: Double(cycle))
      try crossbar.pulse(cells, reset, at: Double(cycle) + 0.5)
    }
    let failed = cells.filter { crossbar.isWornOut($0) }
    #expect((200...312).contains(failed.count), "\(failed.count)")
    let block = CellBlock(macro: 0, shape: crossbar.shape)
    let before = try crossbar.conductances(of: block, at: 100)
    let shorted = failed.count { before[$0].microsiemens > 150 }
    #expect(shorted > failed.count / 4 && shorted < failed.count * 3 / 4)
    try crossbar.pulse(failed, set, at: 101)
    try crossbar.pulse(failed, reset, at: 102)
    let after = try crossbar.conductances(of: block, at: 102)
    #expect(failed.allSatisfy { after[$0] == before[$0] })
    #expect(abs(crossbar.cycleCount(of: cells.first { !crossbar.isWornOut($0) } ?? 0) - 20.4) < 0.3)
  }

  /// A tenth of the cells fail early, median 1 000 cycles and σ 0.2 decades, the others last. Seed 12, n = 4 096: after 1e5 cycles,
  /// ten σ beyond that median, 410 ± 4·19.2 have failed, after 10 cycles none.
  @Test func someCellsFailEarly() throws {
    let profile = try profile("ideal") {
      $0.wear.endurance = 1e9
      $0.wear.enduranceSpread = 0.2
      $0.wear.earlyShare = 0.1
      $0.wear.earlyEndurance = 1000
    }
    for (cycles, failures) in [(10.0, 0...0), (1e5, 333...487)] {
      var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 64, columns: 64), macro: 0, seed: 12)
      let cells = Array(0..<crossbar.cellCount)
      crossbar.place([Siemens](repeating: .microsiemens(20), count: cells.count), at: 0)
      crossbar.wear(cycles: cycles)
      try crossbar.pulse(
        cells, Pulse(kind: .set, wordLine: Volts(2), amplitude: Volts(2.5), width: .microseconds(1)), at: 1)
      let failed = cells.count { crossbar.isWornOut($0) }
      #expect(failures.contains(failed), "\(failed) after \(cycles) cycles")
    }
  }

  /// Worn cells SET lower and spread wider: setLoss and spreadGrowth per decade of 1 + cycles/onset. Seed 10, n = 2 048.
  @Test func wearLowersAndSpreadsTheSET() throws {
    let profile = try profile("hfox-mlc") {
      $0.wear.endurance = 0
      $0.wear.enduranceSpread = 0
      $0.wear.shortShare = 0
      $0.wear.onset = 100
      $0.wear.setLoss = 0.2
      $0.wear.spreadGrowth = 1
      $0.programming.endpoints.pulse = 0
      $0.programming.endpoints.cycle = 0
    }
    func sets(after cycles: Double) throws -> (mean: Double, sigma: Double) {
      var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 32, columns: 64), macro: 0, seed: 10)
      crossbar.place([Siemens](repeating: .microsiemens(10), count: 2048), at: 0)
      crossbar.wear(cycles: cycles)
      try crossbar.pulse(
        Array(0..<2048), Pulse(kind: .set, wordLine: Volts(1.6), amplitude: Volts(2.8), width: .microseconds(1)), at: 1)
      let values = try crossbar.conductances(of: CellBlock(macro: 0, shape: crossbar.shape), at: 1).map(\.microsiemens)
      let moments = Moments(values)
      return (moments.median, moments.sigma / moments.mean)
    }
    let fresh = try sets(after: 0)
    let worn = try sets(after: 900)
    // One decade: a factor e^−0.2, and twice the spread.
    #expect(abs(worn.mean / fresh.mean - 0.8187) < 0.02, "\(worn.mean) after \(fresh.mean)")
    #expect((1.8...2.3).contains(worn.sigma / fresh.sigma), "\(worn.sigma) after \(fresh.sigma)")
  }

  /// Two SETs at one gate voltage from the reset state differ by the cycle's draw, the same pulse again by the pulse's.
  @Test func gateControlledSETSpreadsByCycleAndPulse() throws {
    let profile = try profile("hfox-mlc") {
      $0.cells.stuckLowFraction = 0
      $0.cells.stuckHighFraction = 0
      $0.cells.unformableFraction = 0
      $0.cells.leakyFraction = 0
      $0.programming.endpoints.device = 0
      $0.programming.endpoints.pulse = 0
    }
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 32, columns: 64), macro: 0, seed: 11)
    crossbar.place([Siemens](repeating: .microsiemens(100), count: 2048), at: 0)
    let cells = Array(0..<2048)
    let block = CellBlock(macro: 0, shape: crossbar.shape)
    let set = Pulse(kind: .set, wordLine: Volts(1.8), amplitude: Volts(2.8), width: .microseconds(1))
    let reset = Pulse(kind: .reset, wordLine: Volts(3), amplitude: Volts(2.8), width: .microseconds(10))
    var seen: [[Double]] = []
    for cycle in 1...2 {
      try crossbar.pulse(cells, reset, at: Double(cycle))
      try crossbar.pulse(cells, set, at: Double(cycle))
      seen.append(try crossbar.conductances(of: block, at: Double(cycle)).map(\.microsiemens))
      let once = try crossbar.conductances(of: block, at: Double(cycle))
      try crossbar.pulse(cells, set, at: Double(cycle))
      // Without a draw of its own a second pulse finds the cell at its goal.
      let twice = try crossbar.conductances(of: block, at: Double(cycle))
      #expect(zip(once, twice).allSatisfy { abs(($0 - $1).microsiemens) < 0.01 })
    }
    let ratios = zip(seen[0], seen[1]).map { $0 / $1 }
    // σ of the ratio of two cycles: 8 %·√2; n = 2 048.
    #expect(abs(Moments(ratios).sigma - 0.113) < 0.01, "\(Moments(ratios).sigma)")
    #expect(abs(Moments(seen[0]).median - 120) < 2)
  }
}
