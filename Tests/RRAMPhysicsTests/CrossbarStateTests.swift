import RRAMPhysics
import RRAMProfiles
import RRAMUnits
import Testing

@Suite struct CrossbarStateTests {
  private let reset = Pulse(kind: .reset, wordLine: Volts(3), amplitude: Volts(1.3), width: .microseconds(1))

  /// Pulses, waits and reads in a fixed order; returns every conductance seen.
  private func exercise(_ crossbar: inout Crossbar, cells: [Int], from start: Double) throws -> [[Int: Siemens]] {
    let sensing = try BoardDescription.named("parallel").sensing
    let readOut = Crossbar.ReadOut(
      sensing: sensing, wordLine: sensing.readWordLine, voltage: sensing.readVoltage, range: 1, averages: 3)
    var seen: [[Int: Siemens]] = []
    for step in 1...5 {
      let now = start + Double(step * step)
      try crossbar.pulse(cells, reset, at: now)
      let readings = try crossbar.read(cells, readOut, at: now + 0.5).conductances
      seen.append(Dictionary(uniqueKeysWithValues: zip(cells, readings)))
    }
    return seen
  }

  @Test func orderOfCellsChangesNothing() throws {
    var forward = try Crossbar.formed("cmo-hfox", shape: MacroShape(rows: 8, columns: 8), seed: 4)
    var backward = forward
    let cells = Array(0..<64)
    let a = try exercise(&forward, cells: cells, from: 10)
    let b = try exercise(&backward, cells: cells.reversed(), from: 10)
    #expect(a == b)
    #expect(forward.exportState() == backward.exportState())
  }

  @Test func whatHappensToOtherCellsChangesNothing() throws {
    var alone = try Crossbar.formed("cmo-hfox", shape: MacroShape(rows: 8, columns: 8), seed: 4)
    var together = alone
    for time in [3.0, 5, 7] {
      _ = try together.read(Array(32..<64), integration: .microseconds(3), at: time)
    }
    let a = try exercise(&alone, cells: Array(0..<32), from: 10)
    let b = try exercise(&together, cells: Array(0..<32), from: 10)
    #expect(a == b)
  }

  @Test func macrosAndSeedsAreIndependent() throws {
    let shape = MacroShape(rows: 8, columns: 8)
    let states = try [(0, 4), (1, 4), (0, 5)].map { (macro: Int, seed: UInt64) in
      try Crossbar.formed("cmo-hfox", shape: shape, macro: macro, seed: seed)
    }
    let voltages = states.map { state in (0..<64).map { state.formingVoltage(of: $0) } }
    #expect(voltages[0] != voltages[1])
    #expect(voltages[0] != voltages[2])
    #expect(voltages[1] != voltages[2])
  }

  @Test func aSavedStateContinuesBitForBit() throws {
    let cells = Array(0..<64)
    var original = try Crossbar.formed("cmo-hfox", shape: MacroShape(rows: 8, columns: 8), macro: 3, seed: 6)
    _ = try exercise(&original, cells: cells, from: 10)
    var restored = Crossbar(profile: original.profile, shape: original.shape, macro: 3, seed: 6)
    try restored.importState(original.exportState())
    #expect(restored.exportState() == original.exportState())
    let a = try exercise(&original, cells: cells, from: 1000)
    let b = try exercise(&restored, cells: cells, from: 1000)
    #expect(a == b)
    #expect(restored.exportState() == original.exportState())
  }

  @Test(arguments: [0, 5, 13])
  func aDamagedStateIsRefusedAndChangesNothing(index: Int) throws {
    var crossbar = try Crossbar.formed("cmo-hfox", shape: MacroShape(rows: 2, columns: 2), seed: 1)
    let good = crossbar.exportState()
    var missing = good
    let name = missing.remove(at: index).name
    var misshapen = good
    misshapen[index].shape = [4, 1]
    var unknown = good
    unknown[index].name = "other"
    var twice = good
    twice.append(good[index])
    for bad in [missing, misshapen, unknown, twice] {
      let error = #expect(throws: PhysicsError.self) { try crossbar.importState(bad) }
      #expect(error?.code == .state)
    }
    let error = #expect(throws: PhysicsError.self) { try crossbar.importState(missing) }
    #expect(error?.description == "\(name): is missing")
    #expect(crossbar.exportState() == good)
  }

  @Test func aStateWithNumbersThatAreNotFiniteIsRefused() throws {
    var crossbar = try Crossbar.formed("cmo-hfox", shape: MacroShape(rows: 2, columns: 2), seed: 1)
    var bad = crossbar.exportState()
    bad[1].values = .float32([1, 2, .nan, 3])
    #expect(throws: PhysicsError.self) { try crossbar.importState(bad) }
    bad[1].values = .float64([1, 2, 3, 4])
    #expect(throws: PhysicsError.self) { try crossbar.importState(bad) }
  }

  @Test func theRevisionMovesWithEveryChange() throws {
    var crossbar = try Crossbar.formed("cmo-hfox", shape: MacroShape(rows: 2, columns: 2), seed: 1)
    let before = crossbar.revision
    try crossbar.pulse([0], reset, at: 1)
    let pulsed = crossbar.revision
    _ = try crossbar.read([0], integration: .microseconds(1), at: 2)
    #expect(pulsed != before)
    #expect(crossbar.revision != pulsed)
  }

  @Test func countersCountPulsesAndReadsPerCell() throws {
    var crossbar = try Crossbar.formed("ideal", shape: MacroShape(rows: 1, columns: 2), seed: 1)
    let formingPulses = crossbar.pulseCount(of: 0)
    try crossbar.pulse([0, 0, 1], reset, at: 1)
    _ = try crossbar.read([1], integration: .microseconds(1), at: 2)
    #expect(crossbar.pulseCount(of: 0) == formingPulses + 2)
    #expect(crossbar.readCount(of: 0) == 0)
    #expect(crossbar.readCount(of: 1) == 1)
  }
}
