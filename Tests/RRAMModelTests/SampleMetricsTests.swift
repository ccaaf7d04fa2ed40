import Foundation
import RRAMFiles
import RRAMModel
import Testing

@Suite struct SampleMetricsTests {
  private static func vector(_ name: String) throws -> SampleQuality {
    struct Record: Decodable {
      var n: Int
      var nData: Int
      var kl1d: Double
      var kl2d: Double
      var slicedWasserstein: Double
      var energyDistance: Double
      var radiusMean: Double
      var radiusStd: Double
    }
    let text = try Data(contentsOf: URL(fileURLWithPath: try Fixture.path("metric-vectors.json")))
    let record = try #require(try JSONDecoder().decode([String: Record].self, from: text)[name])
    return SampleQuality(
      n: record.n, kl1d: record.kl1d, kl2d: record.kl2d, slicedWasserstein: record.slicedWasserstein,
      energyDistance: record.energyDistance, radiusMean: record.radiusMean, radiusStd: record.radiusStd,
      nData: record.nData, nonFinite: 0)
  }

  private func expectEqual(
    _ found: SampleQuality, _ expected: SampleQuality, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(
      found.n == expected.n && found.nData == expected.nData && found.nonFinite == 0, sourceLocation: sourceLocation)
    for (name, value) in [
      ("kl1d", \SampleQuality.kl1d), ("kl2d", \.kl2d), ("slicedWasserstein", \.slicedWasserstein),
      ("energyDistance", \.energyDistance), ("radiusMean", \.radiusMean), ("radiusStd", \.radiusStd),
    ] {
      let difference = abs(found[keyPath: value] - expected[keyPath: value])
      #expect(difference <= 1e-9, "\(name) off by \(difference)", sourceLocation: sourceLocation)
    }
  }

  /// Values computed independently with numpy in float64.
  @Test(arguments: [
    ("ring-software-ode[:20000] vs ring-reference", "ring-software-ode.npy", 20_000, "ring"),
    ("ring-software-ode[:20000] vs ring-data", "ring-software-ode.npy", 20_000, "ring-data.npy"),
    ("ring-software-ode vs ring-reference", "ring-software-ode.npy", 50_000, "ring"),
    ("ring-data vs ring-reference", "ring-data.npy", 10_000, "ring"),
  ])
  func ringMetricsEqualTheReference(name: String, samples: String, n: Int, data: String) throws {
    let points = Array(try Fixture.points(samples).prefix(2 * n))
    let reference = try EvaluationData(data.hasSuffix(".npy") ? try Fixture.path(data) : data)
    let quality = try SampleMetrics.quality(of: points, against: reference).overall
    expectEqual(quality, try Self.vector(name))
  }

  @Test func letterMetricsEqualTheReference() throws {
    let latents = try EvaluationData(try Fixture.path("letters-latents.npz"))
    let points = try latents.points(label: 0)
    let quality = try SampleMetrics.quality(
      of: Array(points.prefix(2000)), against: Array(points.dropFirst(2000)), histogram: .letters)
    expectEqual(quality, try Self.vector("letters H latents[:1000] vs H latents[1000:] 30x30 1.25"))
  }

  @Test func classesAreComparedOneByOne() throws {
    var latents = try EvaluationData(try Fixture.path("letters-latents.npz"))
    latents.histogram = .letters
    let labels = try #require(latents.labels)
    let points = latents.points.map { Float($0) }
    let quality = try SampleMetrics.quality(of: points, labels: labels, against: latents)
    #expect(quality.classes.count == 3 && quality.overall.n == 12_000 && quality.overall.nData == 12_000)
    #expect(quality.overall.kl2d == 0 && quality.overall.slicedWasserstein == 0)
    // Labels in the wrong order: every class is compared with another one.
    let wrong = try SampleMetrics.quality(of: points, labels: labels.map { ($0 + 1) % 3 }, against: latents)
    #expect(wrong.overall.slicedWasserstein > 0.1)
    let mean = wrong.classes.sorted { $0.key < $1.key }.map(\.value.kl2d).reduce(0, +) / 3
    #expect(wrong.overall.kl2d == mean && mean > 1)
    #expect(throws: ModelError.self) { try SampleMetrics.quality(of: points, against: latents) }
    #expect(throws: ModelError.self) {
      try SampleMetrics.quality(of: points, labels: labels.map { $0 + 1 }, against: latents)
    }
  }

  @Test func nonFinitePointsCountFarOutside() throws {
    let data = [0.0, 0, 0.5, 0.5]
    let found = try SampleMetrics.quality(of: [0, 0, .nan, 0, 1, -.infinity], against: data)
    let expected = try SampleMetrics.quality(of: [0, 0, 1e3, 1e3, 1e3, 1e3], against: data)
    #expect(found.nonFinite == 2 && expected.nonFinite == 0)
    #expect(found.slicedWasserstein == expected.slicedWasserstein && found.kl2d == expected.kl2d)
    #expect(found.radiusMean == expected.radiusMean)
  }

  @Test func hugeCoordinatesDoNotTrap() throws {
    let quality = try SampleMetrics.quality(of: [1e300, -1e300, 3.4e38, 0], against: [0, 0])
    #expect(quality.kl1d.isFinite && quality.n == 2)
  }

  @Test func emptyOrImpossibleInputIsRefused() {
    #expect(throws: ModelError.self) { try SampleMetrics.quality(of: [Double](), against: [0, 0]) }
    #expect(throws: ModelError.self) { try SampleMetrics.quality(of: [0.0, 0], against: []) }
    #expect(throws: ModelError.self) { try SampleMetrics.quality(of: [0.0, 0], against: [0, .nan]) }
    for histogram in [
      JointHistogram(bins: 0, halfWidth: 1), JointHistogram(bins: 100_000, halfWidth: 1),
      JointHistogram(bins: 10, halfWidth: 0), JointHistogram(bins: 10, halfWidth: .nan),
    ] {
      #expect(throws: ModelError.self) {
        try SampleMetrics.quality(of: [0.0, 0], against: [0, 0], histogram: histogram)
      }
    }
  }

  @Test func threadsDoNotChangeTheResult() throws {
    let points = try Fixture.points("ring-data.npy").map { Double($0) }
    let data = Array(points.reversed().prefix(3000))
    #expect(
      try SampleMetrics.quality(of: points, against: data, threads: 1)
        == SampleMetrics.quality(of: points, against: data, threads: 3))
  }

  @Test func ratiosOverZeroAreNil() throws {
    let zero = try SampleMetrics.quality(of: [0.0, 0], against: [0, 0])
    let other = try SampleMetrics.quality(of: [1.0, 0], against: [0, 0])
    #expect(other.ratio(to: other).slicedWasserstein == 1)
    #expect(other.ratio(to: zero).slicedWasserstein == nil)
  }

  @Test func jsonHasTheDocumentedKeys() throws {
    let quality = try SampleMetrics.quality(of: [1.0, 0], against: [0, 0])
    let object = try JSONDecoder().decode([String: Double].self, from: try JSONEncoder().encode(quality))
    #expect(
      Set(object.keys) == [
        "n", "kl1d", "kl2d", "slicedWasserstein", "energyDistance", "radiusMean", "radiusStd", "nData", "nonFinite",
      ])
  }
}
