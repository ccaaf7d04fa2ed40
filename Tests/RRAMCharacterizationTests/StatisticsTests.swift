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
