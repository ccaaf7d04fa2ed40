import Foundation
import RRAMUnits
import Testing

@testable import RRAMCharacterization

@Suite struct PulseLawTests {
  /// 80 devices, 12 ramps each from 0 to 50 with a read noise of 0.2, seed 3; bounds 4 standard errors of a complete regression over
  /// some 3 000 pulses that are seen, doubled for the censored ones.
  @Test func rampsGiveBackTheirLaw() throws {
    var stream = PhiloxStream(seed: 3, stream: (1, 0, 0))
    let volts = (0...12).map { 1.2 + 0.1 * Double($0) }
    var points: [PulseLaw.Point] = []
    for device in 0..<80 {
      let own = 1.95 + 0.08 * stream.normal()
      for _ in 0..<12 {
        var rest = 50.0
        let curve = volts.map { volt in
          rest *= exp(-exp(log(10) * (volt - own) / 0.25 + 0.5 * stream.normal()))
          return 50 - rest + 0.2 * stream.normal()
        }
        points += PulseLaw.points(
          device: device, start: 0, curve: curve, end: 50, volts: volts, noise: 0.2, deepest: 0.15)
      }
    }
    let law = try #require(PulseLaw(points))
    #expect(abs(law.voltage - 1.95) < 4 * 0.08 / 80.0.squareRoot(), "\(law)")
    #expect(abs(law.deviceSpread - 0.08) < 4 * 0.08 / 158.0.squareRoot(), "\(law)")
    #expect(abs(law.voltsPerDecade - 0.25) < 0.012, "\(law)")
    #expect(abs(law.cycleSpread - 0.5) < 2 * 4 * 0.5 / 6000.0.squareRoot(), "\(law)")
    // Pulses that cannot be told from none must not be left out: what is seen of them is the large ones.
    let seen = try #require(PulseLaw(points.filter { $0.kind == .seen }))
    #expect(abs(seen.voltsPerDecade - 0.25) > 2 * abs(law.voltsPerDecade - 0.25), "\(seen)")
  }

  @Test func aJackknifeOfTheMeanIsItsStandardError() {
    var stream = PhiloxStream(seed: 5, stream: (2, 0, 0))
    let values = (0..<400).map { _ in stream.normal() }
    let found = Jackknife.estimate(400) { [mean($0.map { values[$0] })] }[0]
    // t₀.₉₇₅ with 19 degrees of freedom ÷ √400, and what 20 groups leave uncertain of it: 16 %, three times.
    #expect(abs(found.half / (2.093 / 20) - 1) < 0.5 && found.value == mean(values))
  }

  /// Values known to lie in steps of 0.1 up to them: quantiles of a uniform distribution over 0 to 1.
  @Test func quantilesOfGroupedValuesLieWithinTheirSteps() {
    let values = (1...10).flatMap { Array(repeating: Double($0) / 10, count: 100) }
    for p in [0.01, 0.25, 0.5, 0.99] { #expect(abs(ChipFit.grouped(values, 0.1, p) - p) < 1e-9) }
  }

  @Test func leavesOfADocumentAreReplacedByTheirPath() {
    let document =
      "name: old\nsummary: \"x\"\ncells:\n  forming:\n    mean: {value: 3, unit: V}  # why\n  formed:\n    mean: {value: 1, unit: V}\n"
    #expect(
      ChipFit.replacing(["cells.forming.mean": "{value: 2}"], in: document, name: "new", summary: "y")
        == "name: new\nsummary: \"y\"\ncells:\n  forming:\n    mean: {value: 2}\n  formed:\n    mean: {value: 1, unit: V}\n"
    )
  }
}
