internal import Foundation

/// Standard errors of estimators that are too dear for a bootstrap: each of 20 groups of devices is left out once.
///
/// Delete-a-group jackknife (Kott, J. Official Stat. 17, 521, 2001); intervals of ± t₀.₉₇₅ with 19 degrees of freedom.
enum Jackknife {
  static let groups = 20
  static let method = "jackknife over 20 groups of cells"
  private static let quantile = 2.093

  /// The statistic of all pieces, and the half width of its interval; NaN where the statistic is not finite.
  static func estimate(
    _ count: Int, _ statistic: ([Int]) -> [Double]
  ) -> [(value: Double, half: Double)] {
    let whole = statistic(Array(0..<count))
    let number = min(groups, count)
    let left = (0..<number).map { group in statistic((0..<count).filter { $0 % number != group }) }
    return whole.indices.map { place in
      let values = left.map { $0[place] }
      let centre = mean(values)
      let sum = values.reduce(0) { $0 + ($1 - centre) * ($1 - centre) }
      return (whole[place], quantile * (Double(number - 1) / Double(number) * sum).squareRoot())
    }
  }
}
