import RRAMPhysics
import RRAMProfiles
import RRAMUnits
import RRAMWire
import RRAMWriting
import Testing

/// The strategy that computes its pulses.
@Suite struct ResponsePulsesTests {
  typealias Bench = WriteProcessTests.Bench

  private static func request(_ profile: ChipProfile, offsets: [Float] = []) -> WriteVerify {
    let targets = WriteProcessTests.targets(profile)
    var request = WriteProcessTests.request(profile, targets: targets, tolerance: 4)
    var response = PulseResponse(profile)
    response.offsets = offsets
    request.strategy = .response(response)
    request.confirmReads = 1
    request.confirmMean = true
    return request
  }

  /// hfox-mlc, seeds 21–24 of 256 cells: at least 2.5 times fewer pulses than incremental ones, and still fewer once the chip is known.
  @Test func fewerPulsesThanRampsAndFewerStillWithHistory() throws {
    let profile = try WriteProcessTests.profile("hfox-mlc")
    var (ramps, first, second) = (0.0, 0.0, 0.0)
    for seed in 21...24 as ClosedRange<UInt64> {
      var plain = try Bench(profile, seed: seed)
      _ = try plain.run(WriteProcessTests.request(profile, targets: WriteProcessTests.targets(profile), tolerance: 4))
      ramps += plain.meanPulses / 4
      var bench = try Bench(profile, seed: seed)
      _ = try bench.run(Self.request(profile))
      first += bench.meanPulses / 4
      // The same cells, moved away by hand, with what was learnt.
      let reset = Pulse(kind: .reset, wordLine: Volts(3), amplitude: Volts(2.4), width: .microseconds(1))
      try bench.crossbar.pulse(Array(0..<256), reset, at: bench.now + 1e-3)
      bench.now += 1e-2
      bench.pulses = [[WritePulse]](repeating: [], count: 256)
      var unknown = bench
      let offsets = bench.offsets
      _ = try bench.run(Self.request(profile, offsets: offsets))
      _ = try unknown.run(Self.request(profile))
      second += bench.meanPulses / 4
      #expect(bench.meanPulses < unknown.meanPulses, "seed \(seed)")
    }
    #expect(2.5 * first < ramps, "\(first) pulses a cell, \(ramps) by ramps")
    #expect(second < first, "\(second) pulses a cell with history, \(first) without")
  }

  /// What it learns of the cells is what they were made with: ideal cells have no offsets, and a shifted response is found out.
  @Test func offsetsAreThoseOfTheCells() throws {
    let profile = try WriteProcessTests.profile("ideal")
    var request = WriteProcessTests.request(profile, targets: WriteProcessTests.targets(profile))
    var response = PulseResponse(profile)
    response.cellSpread = Volts(0.1)
    response.rateSpread = 0.1
    response.set = response.set + Volts(0.07)
    response.reset = response.reset - Volts(0.04)
    request.strategy = .response(response)
    var bench = try Bench(profile)
    #expect(try bench.run(request).allSatisfy { $0 == .converged })
    let sets = stride(from: 0, to: 768, by: 3).map { bench.offsets[$0] }.filter(\.isFinite)
    let resets = stride(from: 1, to: 768, by: 3).map { bench.offsets[$0] }.filter(\.isFinite)
    #expect(sets.count > 100 && resets.count > 100)
    #expect(abs(sets.reduce(0, +) / Float(sets.count) + 0.07) < 0.01)
    #expect(abs(resets.reduce(0, +) / Float(resets.count) - 0.04) < 0.01)
  }
}
