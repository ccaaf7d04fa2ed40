internal import RRAMUnits

/// Median of some values with its 95 % percentile bootstrap interval, and their 90th percentile.
public struct BootstrapInterval: Sendable, Hashable {
  public var median: Double
  public var lower: Double
  public var upper: Double
  public var ninetieth: Double

  private static let resamples = 2000
  /// "BOOT".
  private static let tag: UInt32 = 0x424F_4F54

  /// - Parameter values: at least one; the draws are Philox of seed 0, so the interval is the same every time.
  public init(medianOf values: [Double]) {
    precondition(!values.isEmpty, "no values")
    let count = values.count
    let sorted = values.sorted()
    var stream = PhiloxStream(seed: 0, stream: (Self.tag, 0, 0))
    let medians = (0..<Self.resamples).map { _ in
      let drawn = (0..<count).map { _ in values[min(count - 1, Int(stream.uniform() * Double(count)))] }
      return Self.quantile(drawn.sorted(), 0.5)
    }.sorted()
    median = Self.quantile(sorted, 0.5)
    ninetieth = Self.quantile(sorted, 0.9)
    lower = Self.quantile(medians, 0.025)
    upper = Self.quantile(medians, 0.975)
  }

  /// Linear interpolation between the values beside the place.
  private static func quantile(_ sorted: [Double], _ share: Double) -> Double {
    let place = share * Double(sorted.count - 1)
    let below = Int(place)
    guard below + 1 < sorted.count else { return sorted[below] }
    return sorted[below] + (place - Double(below)) * (sorted[below + 1] - sorted[below])
  }
}
