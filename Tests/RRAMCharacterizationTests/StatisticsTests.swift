import Foundation
import RRAMUnits
import Testing

@testable import RRAMCharacterization

@Suite struct StatisticsTests {
  /// Normal values of a seeded stream.
  private func normals(_ count: Int, stream id: UInt32) -> [Double] {
    var stream = PhiloxStream(seed: 7, stream: (id, 0, 0))
    return (0..<count).map { _ in stream.normal() }
  }

  @Test func aProportionHasWilsonsInterval() {
    // Wilson's interval of 8 of 10 at 95 %: (10·0.8 + z²/2 ± z·√(0.8·0.2·10 + z²/4)) / (10 + z²), z = 1.96.
    let estimate = proportion("share", 8, of: 10)
    #expect(estimate.value == 0.8)
    #expect(abs((estimate.low ?? 0) - 0.490_2) < 1e-4 && abs((estimate.high ?? 0) - 0.943_3) < 1e-4)
    #expect(proportion("share", 0, of: 0).value == nil)
    #expect(proportion("share", 0, of: 50).low == 0)
  }

  /// 200 data sets of 40 normal values, seed 7: of 95 % intervals for mean and σ, 170 or more must hold the truth (the bootstrap of so few
  /// values is known to be a little too narrow; 170 is 4.5 σ of a binomial below 190).
  @Test func bootstrapIntervalsCoverTheTruth() {
    var (means, spreads) = (0, 0)
    for set in 0..<200 {
      let values = normals(40, stream: UInt32(set))
      let centre = Bootstrap.estimate("mean", of: values, unit: "1", mean)
      if let low = centre.low, let high = centre.high, low <= 0, high >= 0 { means += 1 }
      let spread = Bootstrap.estimate("σ", of: values, unit: "1", deviation)
      if let low = spread.low, let high = spread.high, low <= 1, high >= 1 { spreads += 1 }
    }
    #expect((170...200).contains(means) && (165...200).contains(spreads), "\(means), \(spreads)")
  }

  /// 400 devices × 50 cycles with known parts, seed 7; bound 4 standard errors.
  @Test func spreadsOfCycleDeviceAndReadAreKeptApart() {
    let (cycle, device, noise) = (0.5, 0.8, 0.3)
    let devices = (0..<400).map { index -> [Double] in
      let draws = normals(101, stream: UInt32(1000 + index))
      return (0..<50).map { 10 + device * draws[100] + cycle * draws[$0] + noise * draws[50 + $0] }
    }
    let spreads = Spreads(devices, noise: noise)
    // The noise is taken off the variance, not the spread: σ of the estimate is (0.5² + 0.3²)/0.5/√(2·400·49).
    let bounds = (cycle: 4 * 0.68 / 39_200.0.squareRoot(), device: 4 * device / 798.0.squareRoot())
    #expect(abs(spreads.cycle - cycle) < bounds.cycle, "\(spreads)")
    #expect(abs(spreads.device - device) < bounds.device, "\(spreads)")
  }

  /// The density of white values integrates to their variance; a sine stands at its frequency. Seed 7, 4096 values.
  @Test func aSpectrumHoldsTheVariance() {
    let white = normals(4096, stream: 5000).map { 3 * $0 }
    let (frequencies, density) = Spectrum.density(white, interval: 0.01)
    #expect(frequencies.count == 2048 && abs(frequencies[0] - 1 / 40.96) < 1e-9 && abs(frequencies[2047] - 50) < 1e-9)
    let power = density.reduce(0, +) / 40.96
    // 9 within 4 standard errors of a Hann-windowed sum over 2048 bins.
    let bound = 4 * 9 * (1.94 / 2048.0).squareRoot()
    #expect(abs(power - 9) < bound, "\(power)")
    let sine = (0..<1024).map { sin(2 * .pi * 100 * Double($0) / 1024) }
    let peak = Spectrum.density(sine, interval: 1 / 1024.0)
    #expect(peak.density.indices.max { peak.density[$0] < peak.density[$1] } == 99)
  }

  /// Weeks of remission of 21 patients, of whom 12 were not followed to its end (E. J. Freireich et al., Blood 21, 699, 1963), and what
  /// scipy 1.17 gives of them: `ecdf(CensoredData(…)).sf`, intervals by `method='log-log'`.
  @Test func survivalOfPiecesThatWereNotFollowedToTheirEnd() throws {
    let failed = [6.0, 6, 6, 7, 10, 13, 16, 22, 23]
    let left = [6.0, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    let survival = Survival(left.map { ($0, false) } + failed.map { ($0, true) })
    #expect(survival.steps.map(\.time) == [6, 7, 10, 13, 16, 22, 23])
    for (step, expected) in zip(
      survival.steps,
      [
        (0.857143, 0.619718, 0.951552), (0.806723, 0.563147, 0.922809), (0.752941, 0.503200, 0.889362),
        (0.690196, 0.431610, 0.849066), (0.627451, 0.367511, 0.804912), (0.537815, 0.267779, 0.746791),
        (0.448179, 0.188052, 0.680143),
      ])
    {
      #expect(abs(step.alive - expected.0) < 1e-6 && abs(step.low - expected.1) < 1e-6, "\(step)")
      #expect(abs(step.high - expected.2) < 1e-6, "\(step)")
    }
    #expect(survival.median == 23 && survival.medianInterval == nil, "the upper end is not within the weeks")
    let all = Survival((1...40).map { (Double($0), true) })
    #expect(all.median == 20 && all.steps.last?.alive == 0)
    let interval = try #require(all.medianInterval)
    // By order statistics the binomial interval is the 14th to the 27th.
    #expect((13...15).contains(interval.lowerBound) && (25...28).contains(interval.upperBound), "\(interval)")
    #expect(Survival([(1, false)]).median == nil)
    // Twelve of 24 leave a product of shares that is above one half by rounding.
    #expect(Survival((1...24).map { (Double(min($0, 13)), $0 <= 12) }).median == 12)
  }

  /// Eight cells, three points of the schedule: two fail, at 10 and at 100 cycles; one is left out after 50 cycles. Kaplan–Meier by hand: 7/8 after
  /// 10, times 5/6 after 100. A cell that was left out from the start fails at the left end of the picture's axis.
  @Test func enduranceCountsCellsThatWereLeftOutForAsLongAsTheyWereCycled() throws {
    func measured(failing: [Int: Int], cycled last: [Double]) throws -> Findings {
      let schedule = [1.0, 10, 100]
      var measurement = Measurement()
      measurement.add(schedule, as: "cycles")
      measurement.add([Double](repeating: 1e-6, count: 24), shape: [3, 8], as: "hrs_S")
      let low = schedule.indices.flatMap { point in
        (0..<8).map { cell in failing[cell].map { point >= $0 } == true ? 1e-6 : 1e-4 }
      }
      measurement.add(low, shape: [3, 8], as: "lrs_S")
      measurement.add(schedule.flatMap { point in last.map { min(point, $0) } }, shape: [3, 8], as: "cycled")
      measurement.add(Array(0..<8), as: "row")
      measurement.add([Int](repeating: 0, count: 8), as: "column")
      measurement.add([1e5], as: "left_out_above_Ohm")
      measurement.add([10.0], as: "window")
      measurement.add([-1.5, 1.2], as: "amplitude_V")
      return try Endurance.findings(from: measurement)
    }
    let all = [Double](repeating: 100, count: 8)
    var short = all
    short[7] = 50
    let found = try measured(failing: [0: 1, 1: 2], cycled: short)
    let share = try #require(found.estimates.first)
    #expect(share.name == "cells that failed within 100 cycles" && share.n == 8)
    #expect(abs((share.value ?? 0) - (1 - 7.0 / 8 * 5 / 6)) < 1e-12, "\(share)")
    // ln(−ln S) ± 1.96 √(1/56 + 1/30)/|ln S|.
    #expect(share.method == "Kaplan–Meier, Greenwood")
    #expect(abs((share.low ?? 1) - 0.0752) < 1e-3 && abs((share.high ?? 0) - 0.7236) < 1e-3, "\(share)")
    #expect(!found.estimates.contains { $0.name == "cycles to failure, median" })
    #expect(found.pictures.count == 2)
    // All were followed: a proportion. None failed, and one was left out: of those that were followed.
    #expect(try measured(failing: [0: 1, 1: 2], cycled: all).estimates[0].method == "Wilson's score interval")
    let none = try measured(failing: [:], cycled: short)
    #expect(none.estimates[0].value == 0 && none.estimates[0].n == 7 && (none.estimates[0].high ?? 0) > 0.3)
    #expect(none.pictures.count == 1)
    // Nobody had more than 50 cycles after the first failure.
    let longest = try measured(failing: [0: 1], cycled: [100] + [Double](repeating: 50, count: 7))
    #expect(longest.estimates[0].name == "cells that failed within 50 cycles", "\(longest.estimates[0])")
  }

  @Test func aLineIsFitted() {
    let fit = line([0, 1, 2, 3], [1, 3, 5, 7])
    #expect(abs(fit.slope - 2) < 1e-12 && abs(fit.offset - 1) < 1e-12)
    #expect(line([1, 1], [0, 5]).slope.isNaN)
  }

  /// A run that was killed in mid-forming knows of some cells that they formed, and not at which voltage: they draw nothing.
  @Test func formingVoltagesThatWereNotHeardOfAreNoStatistics() throws {
    var measurement = Measurement()
    measurement.add([Double.nan, .nan, .nan, 3.1], as: "forming_V")
    measurement.add([4e-5, 5e-5, 4e-5, 6e-5], as: "conductance_S")
    measurement.add([0, 0, 0, 0], as: "outcome")
    measurement.add([0.1], as: "step_V")
    let findings = try Forming.findings(from: measurement)
    #expect(findings.pictures.isEmpty && findings.estimates.map(\.name) == ["yield"], "\(findings)")
    #expect(findings.remarks == ["0 cells had been formed before; 1 now, too few for statistics."])
  }
}
