internal import Glibc
internal import RRAMFiles

/// The two-dimensional histogram of ``SampleQuality/kl2d``: square, the same bins on both axes.
public struct JointHistogram: Sendable, Hashable, Codable {
  /// Bins an axis, 1 to 2048.
  public var bins: Int
  /// The bins cover −halfWidth to +halfWidth; points outside count in the edge bins.
  public var halfWidth: Double

  public init(bins: Int, halfWidth: Double) {
    self.bins = bins
    self.halfWidth = halfWidth
  }

  /// 50 bins, ±1.5.
  public static let ring = JointHistogram(bins: 50, halfWidth: 1.5)
  /// 30 bins, ±1.25.
  public static let letters = JointHistogram(bins: 30, halfWidth: 1.25)

  /// Refuses settings that make no histogram.
  public func validate() throws(ModelError) {
    guard (1...2048).contains(bins) else {
      throw ModelError(.invalidMetric, "histogram", reason: "\(bins) bins an axis, 1 to 2048 are possible")
    }
    guard halfWidth.isFinite, halfWidth > 0 else {
      throw ModelError(.invalidMetric, "histogram", reason: "half-width \(halfWidth), a number above 0 is needed")
    }
  }
}

/// The metrics that compare samples with data.
public enum SampleMetrics {
  /// Projections of the sliced metrics: directions (i + ½)π/64.
  static let directions = 64

  /// Compares points with data, all classes as one.
  ///
  /// - Parameters:
  ///   - points: samples, shape (n, 2), row-major.
  ///   - data: shape (nData, 2); must be finite.
  ///   - threads: nil for as many as there are processors; the result does not depend on it.
  /// - Throws: ``ModelError`` if either side is empty or the histogram is impossible.
  public static func quality(
    of points: [Double], against data: [Double], histogram: JointHistogram = .ring, threads: Int? = nil
  ) throws(ModelError) -> SampleQuality {
    try histogram.validate()
    guard points.count >= 2, points.count % 2 == 0 else {
      throw ModelError(.invalidMetric, "samples", reason: "\(points.count) coordinates are no points (n, 2)")
    }
    guard data.count >= 2, data.count % 2 == 0 else {
      throw ModelError(.invalidMetric, "data", reason: "\(data.count) coordinates are no points (n, 2)")
    }
    if let bad = data.firstNonFinite {
      throw ModelError(.nonFinite, "data", reason: "coordinate \(bad.index) is \(bad.value)")
    }
    let (points, nonFinite) = replacingNonFinite(points)
    let radius = radius(points)
    let sliced = sliced(points, data, threads: threads ?? processorCount)
    return SampleQuality(
      n: points.count / 2, kl1d: kl1d(points, data), kl2d: kl2d(points, data, histogram),
      slicedWasserstein: sliced.wasserstein, energyDistance: sliced.energy, radiusMean: radius.mean,
      radiusStd: radius.standardDeviation, nData: data.count / 2, nonFinite: nonFinite)
  }

  /// Compares float32 points with an evaluation data set; with classes, class by class and then the mean.
  ///
  /// - Parameters:
  ///   - points: samples, shape (n, 2), row-major.
  ///   - labels: shape (n); required if the data have classes, and each must be one of theirs.
  /// - Returns: the quality, and for data with classes that of every class that was sampled.
  public static func quality(
    of points: [Float], labels: [Int]? = nil, against data: EvaluationData, threads: Int? = nil
  ) throws(ModelError) -> (overall: SampleQuality, classes: [Int: SampleQuality]) {
    let points = points.map { Double($0) }
    guard data.labels != nil else {
      let overall = try quality(of: points, against: data.points, histogram: data.histogram, threads: threads)
      return (overall, [:])
    }
    guard let labels, labels.count * 2 == points.count, !labels.isEmpty else {
      throw ModelError(
        .invalidLabel, "samples",
        reason: labels == nil
          ? "no class labels, and \(data.name) is compared class by class"
          : "\(labels?.count ?? 0) class labels for \(points.count / 2) points")
    }
    var classes: [Int: SampleQuality] = [:]
    for label in Set(labels) {
      let members = labels.indices.filter { labels[$0] == label }.flatMap { [points[2 * $0], points[2 * $0 + 1]] }
      classes[label] = try quality(
        of: members, against: try data.points(label: label), histogram: data.histogram, threads: threads)
    }
    return (.mean(classes.sorted { $0.key < $1.key }.map(\.value)), classes)
  }

  /// Root mean square of the coordinate differences of two sets of points.
  public static func rootMeanSquareDifference(_ a: [Float], _ b: [Float]) -> Double {
    precondition(a.count == b.count && !a.isEmpty, "sets of \(a.count) and \(b.count) coordinates")
    let sum = zip(a, b).reduce(0.0) { sum, pair in
      let difference = Double(pair.0) - Double(pair.1)
      return sum + difference * difference
    }
    return (sum / Double(a.count)).squareRoot()
  }

  /// Mean distance of points (n, 2) from the origin, and its standard deviation (divisor n).
  public static func radius(_ points: [Float]) -> (mean: Double, standardDeviation: Double) {
    radius(points.map { Double($0) })
  }

  // MARK: Parts

  /// A non-finite point counts as (1e3, 1e3): far outside, but it keeps the metrics defined.
  static func replacingNonFinite(_ points: [Double]) -> ([Double], count: Int) {
    var result = points
    var count = 0
    for i in stride(from: 0, to: points.count, by: 2) where !(points[i].isFinite && points[i + 1].isFinite) {
      result[i] = 1e3
      result[i + 1] = 1e3
      count += 1
    }
    return (result, count)
  }

  static func radius(_ points: [Double]) -> (mean: Double, standardDeviation: Double) {
    let radii = stride(from: 0, to: points.count, by: 2).map { hypot(points[$0], points[$0 + 1]) }
    let mean = radii.reduce(0, +) / Double(radii.count)
    let variance = radii.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(radii.count)
    return (mean, variance.squareRoot())
  }

  /// The bin of a value: clamp(floor((x + w)·B/(2w)), 0, B − 1).
  private static func bin(_ x: Double, bins: Int, halfWidth: Double) -> Int {
    Int(min(max(((x + halfWidth) * Double(bins) / (2 * halfWidth)).rounded(.down), 0), Double(bins - 1)))
  }

  /// Each density is (count/n + 1e-5) / (1 + 1e-5·B²).
  static func kl2d(_ points: [Double], _ data: [Double], _ histogram: JointHistogram) -> Double {
    let bins = histogram.bins
    func density(_ points: [Double]) -> [Double] {
      var counts = [Int](repeating: 0, count: bins * bins)
      points.withUnsafeBufferPointer { points in
        for i in stride(from: 0, to: points.count, by: 2) {
          let row = bin(points[i], bins: bins, halfWidth: histogram.halfWidth)
          let column = bin(points[i + 1], bins: bins, halfWidth: histogram.halfWidth)
          counts[row * bins + column] += 1
        }
      }
      let n = Double(points.count / 2)
      return counts.map { (Double($0) / n + 1e-5) / (1 + 1e-5 * Double(bins * bins)) }
    }
    return zip(density(points), density(data)).reduce(0) { $0 + $1.0 * log($1.0 / $1.1) }
  }

  /// Each density is normalised, + 1e-10, normalised again.
  static func kl1d(_ points: [Double], _ data: [Double]) -> Double {
    let bins = 50
    func density(_ points: [Double]) -> [Double] {
      var counts = [Int](repeating: 0, count: bins)
      for x in points { counts[bin(x, bins: bins, halfWidth: 4)] += 1 }
      let raised = counts.map { Double($0) / Double(points.count) + 1e-10 }
      let sum = raised.reduce(0, +)
      return raised.map { $0 / sum }
    }
    return zip(density(points), density(data)).reduce(0) { $0 + $1.0 * log($1.0 / $1.1) }
  }

  /// Sliced Wasserstein distance (p = 1) and energy distance from the same sorted projections.
  static func sliced(_ points: [Double], _ data: [Double], threads: Int) -> (wasserstein: Double, energy: Double) {
    let parts = [(Double, Double)](unsafeUninitializedCapacity: directions) { parts, filled in
      // Each index writes its own direction only.
      nonisolated(unsafe) let parts = parts
      concurrently(directions, threads: threads) { i in
        let angle = (Double(i) + 0.5) * .pi / Double(directions)
        let (c, s) = (cos(angle), sin(angle))
        let distance = distance(SortedProjection(points, c, s), SortedProjection(data, c, s))
        parts.initializeElement(at: i, to: distance)
      }
      filled = directions
    }
    let sums = parts.reduce((0.0, 0.0)) { ($0.0 + $1.0, $0.1 + $1.1) }
    let count = Double(directions)
    return (sums.0 / count, .pi / 2 * (2 * sums.1 / count))
  }

  /// (∫|F − G|dx, ∫(F − G)²dx) of two empirical distribution functions, exact for unequal counts.
  private static func distance(_ first: SortedProjection, _ second: SortedProjection) -> (Double, Double) {
    first.keys.withUnsafeBufferPointer { a in
      second.keys.withUnsafeBufferPointer { b in
        let (n, m) = (a.count, b.count)
        let (perA, perB) = (1 / Double(n), 1 / Double(m))
        var (i, j) = (0, 0)
        var previous = SortedProjection.value(min(a[0], b[0]))
        var (absolute, squared) = (0.0, 0.0)
        while i < n && j < m {
          let difference = Double(i) * perA - Double(j) * perB
          let takeA = a[i] <= b[j]
          let x = SortedProjection.value(takeA ? a[i] : b[j])
          let width = x - previous
          absolute += abs(difference) * width
          squared += difference * difference * width
          previous = x
          i += takeA ? 1 : 0
          j += takeA ? 0 : 1
        }
        while i < n {
          let difference = Double(i) * perA - 1
          let x = SortedProjection.value(a[i])
          absolute += abs(difference) * (x - previous)
          squared += difference * difference * (x - previous)
          previous = x
          i += 1
        }
        while j < m {
          let difference = 1 - Double(j) * perB
          let x = SortedProjection.value(b[j])
          absolute += abs(difference) * (x - previous)
          squared += difference * difference * (x - previous)
          previous = x
          j += 1
        }
        return (absolute, squared)
      }
    }
  }
}
