import Foundation
import RRAMProfiles
import RRAMUnits
import Testing

@testable import RRAMCharacterization

@Suite struct RelaxationLawTests {
  /// 96 cells (seed 17), six reads from 1 s to a day, drawn from the law: a and b of each cell log-normal with the profile's spreads, a
  /// common shift, deviations upwards and downwards unequal. At 1 µS half of the reads lie at the floor. Bounds: 4 standard errors by the
  /// interval, which themselves are to lie between the spread ÷ √96 of cells whose own a and b were known, and a factor of two.
  @Test(arguments: [1.0, 20]) func aAndBAreTold(level: Double) throws {
    var profile = try ChipProfile.named("hfox-analog")
    profile.readNoise.telegraph.fraction = 0
    let law = try #require(profile.relaxation.components)
    var stream = PhiloxStream(seed: 17, stream: (4, 0, 0))
    let ages = [1.0, 10, 100, 1e3, 1e4, 86400]
    let onset = law.onset.seconds
    let (a, b) = (1.1, 1.7)
    let kappa = law.value(law.asymmetry, at: .microsiemens(level))
    let fast = (law.value(law.fast, at: .microsiemens(level)) * 1e12 / 2).squareRoot()
    // σ by 1/f noise: independent steps of each decade of correlation times, as the cells have them.
    let times = (0..<10).map { 7e-3 * pow(10, Double($0) + 0.5) }
    let shifts = ages.map { -0.03 * level * log10(1 + $0 / 0.2) }
    var changes = [[Double]](repeating: [], count: ages.count)
    for _ in 0..<96 {
      let own = (
        a: a * exp(law.stationarySpread * stream.normal() - law.stationarySpread * law.stationarySpread / 2),
        b: b * exp(law.accumulatingSpread * stream.normal() - law.accumulatingSpread * law.accumulatingSpread / 2)
      )
      let before = times.map { _ in stream.normal() }
      let atWrite = fast * stream.normal()
      var (modes, walk, time, spent) = (before, 0.0, 0.0, 0.0)
      for (place, age) in ages.enumerated() {
        for (mode, tau) in times.enumerated() {
          let keep = exp(-(age - time) / tau)
          modes[mode] = modes[mode] * keep + (1 - keep * keep).squareRoot() * stream.normal()
        }
        let whole = log10(1 + age / onset)
        walk += (own.b * (whole - spent)).squareRoot() * stream.normal()
        (time, spent) = (age, whole)
        let noise = zip(modes, before).reduce(0) { $0 + ($1.0 - $1.1) } * (own.a / 2).squareRoot()
        let deviation = noise + walk + fast * stream.normal() - atWrite
        let change = deviation * (deviation > 0 ? 1 + kappa : 1 - kappa) + shifts[place]
        changes[place].append(max(change, 0.01 - level))
      }
    }
    let found = try #require(
      RelaxationLaw(
        .init(
          level: level, ages: ages, verify: [Double](repeating: level, count: 96), changes: changes, shifts: shifts),
        base: profile))
    for (estimate, truth, spread) in [
      (found.stationary, a, law.stationarySpread), (found.accumulating, b, law.accumulatingSpread),
    ] {
      let error = log(estimate.high / estimate.low) / 2 / 1.96
      #expect(abs(log(estimate.value / truth)) < 4 * error, "\(estimate), truly \(truth)")
      let known = spread / 96.0.squareRoot()
      #expect(error > known && error < log(2), "\(error), \(known)")
    }
  }
}
