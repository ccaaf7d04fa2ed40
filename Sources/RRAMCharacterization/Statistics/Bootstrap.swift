internal import RRAMUnits

/// Bootstrap intervals, the pieces of data drawn anew with replacement; cells are the pieces, mostly, because what is read of one
/// cell twice is not independent.
///
/// Percentile intervals (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
enum Bootstrap {
  static let method = "bootstrap over cells"
  static let replicates = 400
  /// Seed of the draws: the same data give the same interval.
  static let seed: UInt64 = 0x5252_414D

  /// The central 95 % of `statistic` over draws of `count` pieces; nil with fewer than 4 pieces or where it is not finite.
  static func interval(_ count: Int, of statistic: ([Int]) -> Double) -> ClosedRange<Double>? {
    guard count >= 4 else { return nil }
    var stream = PhiloxStream(seed: seed, stream: (0x424F_4F54, UInt32(truncatingIfNeeded: count), 0))
    var draws: [Double] = []
    var pieces = [Int](repeating: 0, count: count)
    for _ in 0..<replicates {
      for index in pieces.indices { pieces[index] = Int(stream.nextWord()) % count }
      let value = statistic(pieces)
      if value.isFinite { draws.append(value) }
    }
    guard draws.count > replicates / 2 else { return nil }
    return quantile(draws, 0.025)...quantile(draws, 0.975)
  }

  /// An estimate of `statistic`, which gets the values of the pieces it is called with.
  static func estimate(
    _ name: String, of values: [Double], unit: String, _ statistic: ([Double]) -> Double
  ) -> Estimate {
    let finite = values.filter(\.isFinite)
    guard !finite.isEmpty else { return Estimate(name, .nan, unit: unit, n: 0) }
    return Estimate(
      name, statistic(finite), interval(finite.count) { statistic($0.map { finite[$0] }) }, unit: unit, n: finite.count,
      method: method)
  }
}

/// Wilson's score interval of a proportion (E. B. Wilson, J. Am. Stat. Assoc. 22, 209, 1927) at 95 %.
///
/// - Parameter key: what a comparison pairs it by, where that is not the name.
func proportion(_ name: String, key: String? = nil, _ hits: Int, of count: Int) -> Estimate {
  guard count > 0 else { return Estimate(name, key: key, .nan, unit: "1", n: 0) }
  let (n, p, z) = (Double(count), Double(hits) / Double(count), 1.959_963_984_540_054)
  let centre = (p + z * z / (2 * n)) / (1 + z * z / n)
  let half = z * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot() / (1 + z * z / n)
  return Estimate(
    name, key: key, p, (hits == 0 ? 0 : centre - half)...(hits == count ? 1 : centre + half), unit: "1", n: count,
    method: "Wilson's score interval")
}
