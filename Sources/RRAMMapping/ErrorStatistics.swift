/// Mean, spread and tail of conductance errors (realised − target) in microsiemens.
///
/// A value is `nil`, and `null` in JSON, where no cell was read.
public struct ErrorStatistics: Sendable, Hashable, Codable {
  /// Mean error.
  public var mean: Double?
  /// Standard deviation (divisor n).
  public var std: Double?
  /// 99th percentile of |error|, linear interpolation.
  public var p99: Double?

  /// Statistics of errors in µS; those that are not finite (cells that were not read) are left out.
  public init(_ errors: [Double]) {
    let errors = errors.filter(\.isFinite)
    guard !errors.isEmpty else { return }
    let count = Double(errors.count)
    let mean = errors.reduce(0, +) / count
    self.mean = mean
    std = (errors.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count).squareRoot()
    p99 = percentile(errors.map(abs), 0.99)
  }

  enum CodingKeys: String, CodingKey { case mean, std, p99 }

  public func encode(to encoder: any Encoder) throws {
    // Spelled out because the synthesised form would leave out what is nil.
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(mean, forKey: .mean)
    try container.encode(std, forKey: .std)
    try container.encode(p99, forKey: .p99)
  }
}

/// Mean, median, 95th percentile and maximum of a count a cell.
public struct CountStatistics: Sendable, Hashable, Codable {
  public var mean: Double
  public var median: Double
  public var p95: Double
  public var max: Int

  /// Zeros if there are no cells.
  public init(_ counts: [Int]) {
    guard let largest = counts.max() else {
      (mean, median, p95, max) = (0, 0, 0, 0)
      return
    }
    let values = counts.map(Double.init)
    mean = values.reduce(0, +) / Double(values.count)
    median = percentile(values, 0.5)
    p95 = percentile(values, 0.95)
    max = largest
  }
}

/// The `p` quantile by linear interpolation between the order statistics, numpy's default.
///
/// - Precondition: there are values.
func percentile(_ values: [Double], _ p: Double) -> Double {
  let sorted = values.sorted()
  let position = p * Double(sorted.count - 1)
  let lower = Int(position.rounded(.down))
  let upper = min(lower + 1, sorted.count - 1)
  return sorted[lower] + (position - Double(lower)) * (sorted[upper] - sorted[lower])
}
