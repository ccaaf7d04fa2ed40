/// How close a set of samples is to data: every metric, float64, natural logarithm.
public struct SampleQuality: Sendable, Hashable, Codable {
  /// Samples.
  public var n: Int
  /// KL(generated ‖ data) of all coordinates pooled, 50 bins on [−4, 4]: the published metric, blind to joint structure.
  public var kl1d: Double
  /// KL(generated ‖ data) of the two-dimensional histograms.
  public var kl2d: Double
  /// Mean over 64 directions of ∫|F − G|dx.
  public var slicedWasserstein: Double
  /// π/2 · mean over the same directions of 2∫(F − G)²dx.
  public var energyDistance: Double
  /// Mean distance of the samples from the origin.
  public var radiusMean: Double
  /// Its standard deviation (divisor n).
  public var radiusStd: Double
  /// Data points.
  public var nData: Int
  /// Samples with a NaN or infinite coordinate, each counted as the point (1e3, 1e3).
  public var nonFinite: Int

  public init(
    n: Int, kl1d: Double, kl2d: Double, slicedWasserstein: Double, energyDistance: Double, radiusMean: Double,
    radiusStd: Double, nData: Int, nonFinite: Int
  ) {
    self.n = n
    self.kl1d = kl1d
    self.kl2d = kl2d
    self.slicedWasserstein = slicedWasserstein
    self.energyDistance = energyDistance
    self.radiusMean = radiusMean
    self.radiusStd = radiusStd
    self.nData = nData
    self.nonFinite = nonFinite
  }

  /// The mean of every metric over classes; counts are summed.
  public static func mean(_ classes: [SampleQuality]) -> SampleQuality {
    precondition(!classes.isEmpty, "no classes")
    func mean(_ value: (SampleQuality) -> Double) -> Double {
      classes.reduce(0) { $0 + value($1) } / Double(classes.count)
    }
    return SampleQuality(
      n: classes.reduce(0) { $0 + $1.n }, kl1d: mean(\.kl1d), kl2d: mean(\.kl2d),
      slicedWasserstein: mean(\.slicedWasserstein), energyDistance: mean(\.energyDistance),
      radiusMean: mean(\.radiusMean), radiusStd: mean(\.radiusStd), nData: classes.reduce(0) { $0 + $1.nData },
      nonFinite: classes.reduce(0) { $0 + $1.nonFinite })
  }

  /// These metrics over those of a reference with the same start noise and n; nil where the reference is 0.
  public func ratio(to reference: SampleQuality) -> QualityRatio {
    func ratio(_ value: KeyPath<SampleQuality, Double>) -> Double? {
      let quotient = self[keyPath: value] / reference[keyPath: value]
      return quotient.isFinite ? quotient : nil
    }
    return QualityRatio(
      kl1d: ratio(\.kl1d), kl2d: ratio(\.kl2d), slicedWasserstein: ratio(\.slicedWasserstein),
      energyDistance: ratio(\.energyDistance))
  }
}

/// Metrics of a chip over metrics of its software reference; below 1 is better than software.
public struct QualityRatio: Sendable, Hashable, Codable {
  public var kl1d: Double?
  public var kl2d: Double?
  public var slicedWasserstein: Double?
  public var energyDistance: Double?
}
