import RRAMUnits
import Testing

@Suite struct SamplingNoiseTests {
  /// Computed with Python's integers and math module from the formula, rounded by numpy.float32.
  @Test(arguments: [
    (UInt64(0), UInt32(0), UInt32(0), UInt32(0), UInt32(0xbf57_f733), UInt32(0x3f87_3e5d)),
    (1, 2, 3, 1, 0x3ce5_e00e, 0x3f13_ce2c),
    (0x0123_4567_89ab_cdef, 49999, 198, 0, 0x3e2c_76dc, 0xbfc1_e0ca),
    (42, 0xffff_ffff, 199, 1, 0xc063_76b3, 0xbf10_e41d),
  ])
  func knownAnswers(seed: UInt64, sample: UInt32, tick: UInt32, channel: UInt32, wiener: UInt32, start: UInt32) {
    #expect(
      SamplingNoise.wiener(seed: seed, sample: sample, tick: tick, channel: channel) == Float(bitPattern: wiener))
    #expect(SamplingNoise.start(seed: seed, sample: sample, dimension: channel) == Float(bitPattern: start))
  }

  @Test func batchesEqualSingleDraws() {
    var batch = [Float](repeating: 0, count: 9)
    batch.withUnsafeMutableBufferPointer {
      SamplingNoise.fillWiener(seed: 5, firstSample: 100, tick: 7, channel: 1, into: $0)
    }
    #expect(
      batch == (0..<9).map { SamplingNoise.wiener(seed: 5, sample: 100 + $0, tick: 7, channel: 1) })
    let starts = SamplingNoise.start(seed: 5, firstSample: 3, count: 4, dimensions: 3)
    #expect(
      starts
        == (0..<12).map { SamplingNoise.start(seed: 5, sample: 3 + $0 / 3, dimension: $0 % 3) })
  }

  /// Seed 3, n = 20 000: mean within 4/√n, variance within 4·√(2/n), correlation of the two channels within 4/√n.
  @Test func channelsAreIndependentStandardNormal() {
    let n = 20_000
    let first = (0..<n).map { Double(SamplingNoise.wiener(seed: 3, sample: UInt32($0), tick: 0, channel: 0)) }
    let second = (0..<n).map { Double(SamplingNoise.wiener(seed: 3, sample: UInt32($0), tick: 0, channel: 1)) }
    let bound = 4 / Double(n).squareRoot()
    #expect(abs(first.reduce(0, +) / Double(n)) < bound)
    #expect(abs(first.reduce(0) { $0 + $1 * $1 } / Double(n) - 1) < bound * 2.0.squareRoot())
    #expect(abs(zip(first, second).reduce(0) { $0 + $1.0 * $1.1 } / Double(n)) < bound)
  }
}
