import CAnalogKernel
import RRAMProfiles
import RRAMUnits
import Testing

@testable import RRAMPhysics

@Suite struct CellAgeingTests {
  /// Cells of every kind of noise at one level, written at time 0.
  private func placed(
    _ profile: ChipProfile, level: Double, rows: Int = 64, seed: UInt64
  ) -> Crossbar {
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: rows, columns: 64), macro: 1, seed: seed)
    crossbar.place([Siemens](repeating: .microsiemens(level), count: crossbar.cellCount), at: 0)
    return crossbar
  }

  /// The kernel groups neighbours into vectors; lists in any order, with repetitions, give the same bits.
  @Test(arguments: ["cmo-hfox", "hfox-analog", "hfox-mlc"])
  func listsAndRangesAgeAlike(name: String) throws {
    var whole = placed(try ChipProfile.named(name), level: 30, rows: 3, seed: 7)
    var parts = whole
    for time in [1e-3, 0.5, 7, 1e6] {
      whole.advance(to: time)
      let cells = (0..<parts.cellCount).map { $0 &* 77 % parts.cellCount }
      parts.age(Array(cells[..<40]) + Array(cells[..<3]), to: time)
      parts.advance(to: time)
    }
    for (a, b) in zip(whole.exportState(), parts.exportState()) { #expect(a == b, "\(a.name)") }
  }

  /// Every instruction set gives the same bits: arrays of 100 cells aged by all that this machine has.
  @Test func instructionSetsAgree() {
    let count = 100
    let dynamics = CellDynamics(try! ChipProfile.named("hfox-analog"))
    func age(_ isa: ca_isa) -> [[Float]] {
      var modes = [Float](repeating: 0.5, count: dynamics.modeCount * count)
      var walk = [Float](repeating: 0, count: count)
      var variance = walk
      var time = (0..<count).map { Double($0) * 1e-3 }
      let writeTime = [Double](repeating: 0, count: count)
      var draws = [UInt32](repeating: 3, count: count)
      let formed = [UInt8](repeating: 1, count: count)
      let scale = (0..<count).map { 1 + Float($0) / 50 }
      let rates = (0..<count).map { Float($0) / 10 }
      var trap = [UInt8](repeating: 0, count: count)
      modes.withUnsafeMutableBufferPointer { modes in
        walk.withUnsafeMutableBufferPointer { walk in
          variance.withUnsafeMutableBufferPointer { variance in
            time.withUnsafeMutableBufferPointer { time in
              draws.withUnsafeMutableBufferPointer { draws in
                trap.withUnsafeMutableBufferPointer { trap in
                  writeTime.withUnsafeBufferPointer { writeTime in
                    formed.withUnsafeBufferPointer { formed in
                      scale.withUnsafeBufferPointer { scale in
                        rates.withUnsafeBufferPointer { rates in
                          dynamics.rates.withUnsafeBufferPointer { modeRates in
                            dynamics.normals.withUnsafeBufferPointer { normals in
                              dynamics.decay.withUnsafeBufferPointer { decay in
                                dynamics.walkTable.withUnsafeBufferPointer { walkTable in
                                  dynamics.stationaryTable.withUnsafeBufferPointer { stationary in
                                    var law = ca_law()
                                    law.modes = Int32(dynamics.modeCount)
                                    law.rates = modeRates.baseAddress
                                    law.normals = normals.baseAddress
                                    law.decay = decay.baseAddress
                                    law.walk = walkTable.baseAddress
                                    law.stationary = stationary.baseAddress
                                    law.isa = isa
                                    var cells = ca_cells()
                                    cells.count = Int64(count)
                                    cells.seed = 9
                                    cells.modes = modes.baseAddress
                                    cells.walk = walk.baseAddress
                                    cells.walk_variance = variance.baseAddress
                                    cells.time = time.baseAddress
                                    cells.write_time = writeTime.baseAddress
                                    cells.draws = draws.baseAddress
                                    cells.formed = formed.baseAddress
                                    cells.walk_scale = scale.baseAddress
                                    cells.amplitude = scale.baseAddress
                                    cells.trap_rate = rates.baseAddress
                                    cells.trap_state = trap.baseAddress
                                    ca_age(&law, &cells, nil, 0, Int64(count), 2.5)
                                  }
                                }
                              }
                            }
                          }
                        }
                      }
                    }
                  }
                }
              }
            }
          }
        }
      }
      return [modes, walk, variance, trap.map { Float($0) }, draws.map { Float($0) }]
    }
    let baseline = age(CA_BASELINE)
    #expect(age(CA_AVX2) == baseline)
    #expect(age(CA_AVX512) == baseline)
    #expect(age(CA_BEST) == baseline)
    #expect(Set(baseline[4]) == [4])
    // Half of the fastest traps have switched, none of those without a rate.
    #expect(baseline[3][0] == 0)
    #expect((20...80).contains(baseline[3].reduce(0, +)))
  }

  /// The law of two components by itself, without asymmetry, mean, traps or spread: increments between any two times have
  /// the variance a·log10(1 + d/t₀) + b·[log10(1 + t₂/t₀) − log10(1 + t₁/t₀)] + w. Seed 3, n = 4 096: 4/√(2n) = 4.4 %, and up to
  /// 6 % for the sum of processes that stands for the logarithm (10 % at 2 t₀).
  @Test(arguments: [(0.01, 0.02), (0.0, 1.0), (1.0, 3.44), (3.44, 1e5), (1e5, 1.00001e5)])
  func incrementsFollowTheLaw(first: Double, second: Double) throws {
    var profile = try ChipProfile.named("hfox-analog")
    profile.readNoise.telegraph.fraction = 0
    var components = try #require(profile.relaxation.components)
    components.asymmetry = [0, 0, 0, 0, 0]
    components.mean = [.zero, .zero, .zero, .zero, .zero]
    components.stationarySpread = 0
    components.accumulatingSpread = 0
    profile.relaxation.components = components
    var crossbar = placed(profile, level: 25, seed: 3)
    let block = CellBlock(macro: 1, shape: crossbar.shape)
    let before = try crossbar.conductances(of: block, at: first).map(\.microsiemens)
    let after = try crossbar.conductances(of: block, at: second).map(\.microsiemens)
    let n = Double(before.count)
    let differences = zip(after, before).map { $0 - $1 }
    let mean = differences.reduce(0, +) / n
    let variance = differences.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n
    func decades(_ t: Double) -> Double { ProfileLaw.log10(1 + t / 5e-3) }
    let expected = 0.66 * decades(second - first) + 1.07 * (decades(second) - decades(first)) + 0.04
    #expect(
      abs(variance / expected - 1) < (second - first < 0.05 ? 0.15 : 0.11), "\(variance) µS² instead of \(expected)")
  }

  /// Strengths of a and b are the cell's own: a cell noisy now is noisy later. Seed 4, n = 4 096; the noisiest tenth by the first
  /// 20 reads carries more than 40 % of the variance of the next 20.
  @Test func aNoisyMinorityCarriesTheStationaryPart() throws {
    var crossbar = placed(try ChipProfile.named("hfox-analog"), level: 15, seed: 4)
    let cells = Array(0..<crossbar.cellCount)
    func variances(from start: Double) throws -> [Double] {
      var sums = [Double](repeating: 0, count: cells.count)
      var squares = sums
      for read in 0..<20 {
        for (cell, value) in try crossbar.read(cells, integration: .microseconds(1), at: start + Double(read))
          .enumerated()
        {
          sums[cell] += value.microsiemens
          squares[cell] += value.microsiemens * value.microsiemens
        }
      }
      return zip(sums, squares).map { $1 / 20 - $0 * $0 / 400 }
    }
    let first = try variances(from: 1e5)
    let second = try variances(from: 1.1e5)
    let noisiest = cells.sorted { first[$0] > first[$1] }.prefix(cells.count / 10)
    let share = noisiest.reduce(0) { $0 + second[$1] } / second.reduce(0, +)
    #expect(share > 0.4, "\(share)")
  }

  /// Traps switch between two conductances: without other noise a cell shows exactly two, and the variance of the difference
  /// d apart is ½·step²·(1 − e^(−d/τ)). Seed 5, n = 4 096, one τ of 1 s; sampling error 4/√n of the share that switched.
  @Test func telegraphNoiseHasTwoLevelsAndItsTime() throws {
    var profile = try ChipProfile.named("ideal")
    profile.readNoise.telegraph.fraction = 1
    profile.readNoise.telegraph.step = 0.1
    profile.readNoise.telegraph.stepSpread = 0
    profile.readNoise.telegraph.times = .seconds(1) ... .seconds(1)
    var crossbar = placed(profile, level: 50, seed: 5)
    let block = CellBlock(macro: 1, shape: crossbar.shape)
    let first = try crossbar.conductances(of: block, at: 10).map(\.microsiemens)
    let levels = Set(first.map { ($0 * 100).rounded() / 100 })
    // Written to 50 µS in either state, a cell is at 50 or one step of 5 µS beside it.
    #expect(levels.isSubset(of: [45, 50, 55]))
    for (distance, fade) in [(0.1, 0.095_163), (1.0, 0.632_121), (10.0, 0.999_955)] {
      let before = try crossbar.conductances(of: block, at: 100 * distance).map(\.microsiemens)
      let after = try crossbar.conductances(of: block, at: 101 * distance).map(\.microsiemens)
      let switched = Double(zip(before, after).count { abs($0 - $1) > 1 }) / Double(before.count)
      #expect(abs(switched - fade / 2) < 4 * (fade / 2 / 4096).squareRoot(), "\(switched) after \(distance) s")
    }
  }

  /// Arrhenius: an hour at 373.15 K is as long as exp(E/k·(1/T₀ − 1/T)) hours at T₀; the same draws then give the same cells.
  @Test func heatMakesTimeRunFaster() throws {
    let profile = try ChipProfile.named("hfox-analog")
    var hot = placed(profile, level: 20, rows: 4, seed: 6)
    var cold = hot
    let block = CellBlock(macro: 1, shape: hot.shape)
    hot.setTemperature(kelvin: 373.15, at: 0)
    #expect(hot.kelvin == 373.15)
    // 1.1 eV: e^8.6 = 5 500 fold.
    let factor = CellDynamics(profile).timeFactor(at: 373.15)
    #expect((5_000...6_000).contains(factor))
    let baked = try hot.conductances(of: block, at: 3600)
    #expect(try cold.conductances(of: block, at: 3600 * factor) == baked)
    // Cooled again, the clock goes on at its own pace.
    hot.setTemperature(kelvin: 298.15, at: 3600)
    #expect(try hot.conductances(of: block, at: 3700) == cold.conductances(of: block, at: 3600 * factor + 100))
    var restored = Crossbar(profile: profile, shape: hot.shape, macro: 1, seed: 6)
    try restored.importState(hot.exportState())
    #expect(try restored.conductances(of: block, at: 5000) == hot.conductances(of: block, at: 5000))
  }

  /// A pulse that moves G by more than 2σ of a read begins the walk anew, a smaller one does not.
  @Test func onlyALargeMoveRestartsTheWalk() throws {
    var profile = try ChipProfile.named("hfox-analog")
    profile.programming.cycleSpread = 0
    profile.programming.deviceSpread = .zero
    for (amplitude, restarts) in [(1.2, false), (2.0, true)] {
      var crossbar = placed(profile, level: 10, rows: 1, seed: 8)
      crossbar.advance(to: 100)
      let before = crossbar.walkVariance
      try crossbar.pulse(
        Array(0..<64), Pulse(kind: .set, wordLine: Volts(2), amplitude: Volts(amplitude), width: .microseconds(1)),
        at: 100)
      #expect(crossbar.walkVariance.allSatisfy { $0 == 0 } == restarts)
      #expect((crossbar.walkVariance == before) == !restarts)
    }
  }
}

private enum ProfileLaw {
  /// log10 by its series of artanh, so that the expectation does not come from the code under test.
  static func log10(_ x: Double) -> Double {
    let s = (x.significand - 1) / (x.significand + 1)
    var term = s
    var sum = 0.0
    for k in stride(from: 1.0, through: 41, by: 2) {
      sum += term / k
      term *= s * s
    }
    return (2 * sum + Double(x.exponent) * 0.693_147_180_559_945) / 2.302_585_092_994_046
  }
}
