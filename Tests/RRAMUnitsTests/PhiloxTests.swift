import RRAMUnits
import Testing

@Suite struct PhiloxTests {
  /// Known answers published with the Random123 library (kat_vectors, philox4x32 10).
  @Test(arguments: [
    (
      SIMD4<UInt32>(0, 0, 0, 0), SIMD2<UInt32>(0, 0),
      SIMD4<UInt32>(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8)
    ),
    (
      SIMD4<UInt32>(repeating: 0xffff_ffff), SIMD2<UInt32>(repeating: 0xffff_ffff),
      SIMD4<UInt32>(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd)
    ),
    (
      SIMD4<UInt32>(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344),
      SIMD2<UInt32>(0xa409_3822, 0x299f_31d0),
      SIMD4<UInt32>(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1)
    ),
  ])
  func publishedKnownAnswers(counter: SIMD4<UInt32>, key: SIMD2<UInt32>, expected: SIMD4<UInt32>) {
    #expect(Philox4x32.block(counter: counter, key: key) == expected)
  }

  @Test func streamContinuesFromItsPosition() {
    var whole = PhiloxStream(seed: 7, stream: (1, 2, 3))
    let first = (0..<8).map { _ in whole.nextWord() }
    var tail = PhiloxStream(seed: 7, stream: (1, 2, 3), position: 1)
    #expect((0..<4).map { _ in tail.nextWord() } == Array(first[4...]))
  }

  /// Seed 1, n = 100 000: mean within 4/√n and variance within 4·√(2/n) of the standard normal's.
  @Test func normalsHaveUnitVariance() {
    var stream = PhiloxStream(seed: 1, stream: (0, 0, 0))
    let n = 100_000
    let values = (0..<n).map { _ in stream.normal() }
    let mean = values.reduce(0, +) / Double(n)
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(n)
    #expect(abs(mean) < 4 / Double(n).squareRoot())
    #expect(abs(variance - 1) < 4 * (2 / Double(n)).squareRoot())
  }
}
