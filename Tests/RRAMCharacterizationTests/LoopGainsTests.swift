import Foundation
import RRAMBoard
import RRAMPhysics
import RRAMUnits
import Testing

@testable import RRAMCharacterization

/// What follows from measured outputs of the loop, on outputs that are drawn.
@Suite struct LoopGainsAnalysisTests {
  /// 400 pairs, 8 passes of 5 patterns, path gains of 1.02 and 0.97 behind the last layer, known by 8 balanced pairs an axis; noise of 0.01
  /// units a value, and 0.05 % a pass that its three balances have in common. Seed 7.
  ///
  /// - Parameters:
  ///   - scale: of the patterns.
  ///   - noise: of the products, units.
  ///   - balance: of a pass, a share.
  private func drawn(
    pairs count: Int, passes: Int = 8, scale: Double = 1, noise: Double = 0, balance: Double = 0.0005,
    isBothAxes: Bool = true
  )
    -> (
      measurement: RRAMCharacterization.Measurement, gains: [Double]
    )
  {
    var stream = PhiloxStream(seed: 7, stream: (1, 2, 3))
    let path = [1.02, 0.97]
    let patterns = [0.0, 4, -3, 1, -1].map { scale * $0 }
    var (gains, products, responses): ([Double], [Double], [Double]) = ([], [], [])
    for pair in 0..<count {
      let gain = 1 + 0.01 * stream.normal()
      gains.append(gain)
      for _ in 0..<passes {
        for pattern in patterns {
          products.append(pattern + (noise > 0 ? noise * stream.normal() : 0))
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
    measurement.add((0..<16).map { isBothAxes ? $0 : 2 * $0 }, as: "balancedPair")
    measurement.add([Double](repeating: 1.5, count: 16), as: "balancedOutput_units")
    measurement.add(
      (0..<16).flatMap { pair in
        (0..<passes).flatMap { _ in
          [Double](repeating: gains[isBothAxes ? pair : 2 * pair] * (1 + balance * stream.normal()), count: 3)
        }
      }, shape: [16, 3 * passes], as: "balancedGain")
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
    #expect(pairs.allSatisfy { abs($0.offset - 0.05) < 0.01 && abs($0.sigma / 0.01 - 1) < 0.5 && $0.isKept })
    // Where balances tell least, their scatter from pass to pass is the error: 1 % / √(8 pairs · 8 passes), on both axes.
    for found in try LoopGains.analyse(drawn(pairs: 32, balance: 0.01).measurement).common.compactMap({ $0 }) {
      #expect((0.7...1.4).contains(found.standardError / (0.01 / 8)), "\(found)")
    }
  }

  /// Outputs of −0.3 to 0.4 units whose products have 0.02 units of noise: a slope over single products would be low by 0.02²/0.054 = 0.7 %, over
  /// means of 8 passes by 0.09 %. 400 pairs tell the mean of slope ÷ truth within 0.08 %, one standard error. Few gains are known to 1 % and kept.
  @Test func noiseOfTheProductsDoesNotFlattenTheSlope() throws {
    let (measurement, gains) = drawn(pairs: 400, scale: 0.1, noise: 0.02)
    let (pairs, common) = try LoopGains.analyse(measurement)
    // Slopes as they were fitted: what the balanced ones of them have of the path is taken off again.
    let slopes = zip(pairs, gains).enumerated().map { index, pair in
      pair.0.gain * (common[index % 2]?.gain ?? .nan) / (pair.1 * [1.02, 0.97][index % 2])
    }
    #expect(abs(mean(slopes) - 1) < 0.003, "\(mean(slopes))")
    let unkept = pairs.count { !$0.isKept }
    #expect(unkept > 300 && pairs.allSatisfy { $0.isKept == ($0.standardError <= 0.01 * $0.gain) }, "\(unkept)")
    #expect(
      try LoopGains.findings(from: measurement).remarks.last
        == "Not kept: \(unkept) of 400 gains, whose standard error is above 1 %; more passes make it smaller.")
  }

  /// Of all subsets the one with the largest sum within reach, of either sign; rows that carry nothing are left alone.
  @Test func aBalanceTakesTheRowsThatAddUpToMost() throws {
    let best = try #require(LoopGains.balancedRows([3, 0.01, 1.2, -0.4, 0.9], reach: 2.2))
    #expect(best.rows == [2, 4] && abs(best.output - 2.1) < 1e-12)
    let negative = try #require(LoopGains.balancedRows([0.3, -1, -1], reach: 2.2))
    #expect(negative.rows == [1, 2] && negative.output == -2)
    // The ten largest are those within reach.
    let many = try #require(LoopGains.balancedRows([Double](repeating: 2.5, count: 12) + [1, 0.5, 0.5], reach: 2.2))
    #expect(many.rows == [12, 13, 14] && many.output == 2)
    #expect(LoopGains.balancedRows([0.05, -0.1], reach: 2.2) == nil)
    #expect(LoopGains.balancedRows([5], reach: 2.2) == nil && LoopGains.balancedRows([], reach: 2.2) == nil)
  }

  /// What could not be balanced has the path behind the last layer in it.
  @Test func anAxisThatWasNotBalancedIsNotKept() throws {
    let measurement = drawn(pairs: 64, isBothAxes: false).measurement
    let (pairs, common) = try LoopGains.analyse(measurement)
    #expect(common[0] != nil && common[1] == nil)
    #expect(pairs.enumerated().allSatisfy { $1.isKept == ($0 % 2 == 0) })
    #expect(
      try LoopGains.findings(from: measurement).remarks.contains {
        $0.contains("y could not be balanced against the embedding")
      })
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
