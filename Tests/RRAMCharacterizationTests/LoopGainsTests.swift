import Foundation
import RRAMBoard
import RRAMPhysics
import RRAMUnits
import Testing

@testable import RRAMCharacterization

/// What follows from measured outputs of the loop, on outputs that are drawn.
@Suite struct LoopGainsAnalysisTests {
  /// 400 pairs, 8 passes of 5 patterns, path gains of 1.02 and 0.97 behind the last layer, known by 8 balanced pairs an axis; noise of 0.01
  /// units a value and 0.05 % a balance. Seed 7.
  private func drawn(pairs count: Int, passes: Int = 8) -> (
    measurement: RRAMCharacterization.Measurement, gains: [Double]
  ) {
    var stream = PhiloxStream(seed: 7, stream: (1, 2, 3))
    let path = [1.02, 0.97]
    let patterns = [0.0, 4, -3, 1, -1]
    var (gains, products, responses): ([Double], [Double], [Double]) = ([], [], [])
    for pair in 0..<count {
      let gain = 1 + 0.01 * stream.normal()
      gains.append(gain)
      for _ in 0..<passes {
        for pattern in patterns {
          products.append(pattern)
          responses.append(path[pair % 2] * (gain * pattern + 0.05) + 0.01 * stream.normal())
        }
      }
    }
    var measurement = RRAMCharacterization.Measurement()
    measurement.add((0..<count).map { $0 / 32 }, as: "macro")
    measurement.add((0..<count).map { $0 % 32 }, as: "pair")
    measurement.add((0..<count).map { $0 % 2 }, as: "axis")
    measurement.add([passes], as: "passes")
    measurement.add(products, shape: [count, passes * patterns.count], as: "product_units")
    measurement.add(responses, shape: [count, passes * patterns.count], as: "loop_units")
    measurement.add(Array(0..<16), as: "balancedPair")
    measurement.add([Double](repeating: 1.5, count: 16), as: "balancedOutput_units")
    measurement.add(
      (0..<16).flatMap { pair in (0..<passes).map { _ in gains[pair] * (1 + 0.0005 * stream.normal()) } },
      shape: [16, passes], as: "balancedGain")
    return (measurement, gains)
  }

  /// 95 % intervals by t of 7 degrees of freedom, 2.36 standard errors: 92 to 98 % of the 400 pairs, 4 binomial standard errors and what the
  /// axes have in common.
  @Test func intervalsHoldTheTruth() throws {
    let (measurement, gains) = drawn(pairs: 400)
    let (pairs, common) = try LoopGains.analyse(measurement)
    #expect(pairs.count == 400)
    for (axis, truth) in [1.02, 0.97].enumerated() {
      let found = try #require(common[axis])
      // Mostly that of eight slopes: 0.01 / √(8 · 27) each.
      let expected = 0.01 / (8 * 8 * 27.0).squareRoot()
      #expect(abs(found.gain / truth - 1) < 3 * expected, "axis \(axis): \(found)")
      #expect((0.5...2).contains(found.standardError / expected), "axis \(axis): \(found)")
    }
    let held = zip(pairs, gains).count { abs($0.gain - $1) <= 2.36 * $0.standardError }
    #expect((368...392).contains(held), "\(held) of 400")
    #expect(pairs.allSatisfy { abs($0.offset - 0.05) < 0.01 && abs($0.sigma / 0.01 - 1) < 0.5 })
  }

  @Test func theDemandIsJudged() throws {
    let remarks = try LoopGains.findings(from: drawn(pairs: 32).measurement).remarks
    #expect(
      remarks[0].hasPrefix("As the board stands: largest difference from read-back ")
        && remarks[0].hasSuffix(" of 32 pairs within the demanded 0.3 %: the demand is not met."), "\(remarks[0])")
    #expect(remarks[1].hasPrefix("No calibration of the loop was in force."), "\(remarks[1])")
    #expect(remarks[2].hasPrefix("Behind the last layer, taken off: x 1.0"), "\(remarks[2])")
  }
}
