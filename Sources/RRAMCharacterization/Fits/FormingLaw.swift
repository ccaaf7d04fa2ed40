internal import Foundation

/// The distribution of forming voltages, fitted to ramps by maximum likelihood: V = c₀ + c₁z + c₂z² + c₃z³ of a standard normal z, the
/// profiles' law (`FormingDistribution`).
///
/// A cell that forms at one amplitude and did not at the one before has its voltage between them, one that forms at the first below it:
/// shares of cells are differences of the distribution. Standard errors are those of Fisher's information.
struct FormingLaw {
  typealias Estimate = (value: Double, half: Double)
  /// Volts.
  var mean: Estimate
  var sigma: Estimate
  var quantile1: Estimate
  var quantile99: Estimate

  static let method = "maximum likelihood over cells"

  /// - Parameters:
  ///   - volts: amplitude that formed each cell, whole steps apart.
  ///   - step: of the ramp.
  init?(_ volts: [Double], step: Double) {
    guard let first = volts.min(), let last = volts.max(), volts.count >= 8, step > 0 else { return nil }
    let bins = Int(((last - first) / step).rounded()) + 1
    var counts = [Double](repeating: 0, count: bins)
    for value in volts { counts[Int(((value - first) / step).rounded())] += 1 }
    // Ends of the bins but the last, above which nothing is left; below the first amplitude lies all that formed at once.
    let edges = (0..<bins - 1).map { first + Double($0) * step }
    guard edges.count >= 5 else { return nil }

    func shares(_ c: [Double]) -> [Double] {
      var below = 0.0
      return (edges.map { Self.share(below: $0, c) } + [1]).map { share in
        defer { below = share }
        return max(share - below, 1e-12)
      }
    }
    func likelihood(_ c: [Double]) -> Double { zip(counts, shares(c)).reduce(0) { $0 + $1.0 * log($1.1) } }
    func slopes(_ function: ([Double]) -> [Double], _ c: [Double]) -> [[Double]] {
      c.indices.map { place in
        var (up, down) = (c, c)
        up[place] += 1e-4 * step
        down[place] -= 1e-4 * step
        return zip(function(up), function(down)).map { ($0 - $1) / (2e-4 * step) }
      }
    }
    let middle = volts.map { $0 - step / 2 }
    var c = [RRAMCharacterization.mean(middle), max(deviation(middle), step / 4), 0, 0]
    var covariance: [[Double]] = []
    var best = likelihood(c)
    for round in 0..<100 {
      let (expected, slopes) = (shares(c), slopes(shares, c))
      let information = slopes.map { left in
        slopes.map { right in
          Double(volts.count) * expected.indices.reduce(0.0) { $0 + left[$1] * right[$1] / expected[$1] }
        }
      }
      let score = slopes.map { slope in expected.indices.reduce(0.0) { $0 + counts[$1] * slope[$1] / expected[$1] } }
      guard let inverse = Self.inverse(information) else { return nil }
      covariance = inverse
      var move = inverse.map { row in zip(row, score).reduce(0) { $0 + $1.0 * $1.1 } }
      var isBetter = false
      for _ in 0..<20 where !isBetter {
        let next = zip(c, move).map { $0 + $1 }
        let value = Self.rises(next) ? likelihood(next) : -.infinity
        if value >= best {
          (c, isBetter, best) = (next, true, value)
        } else {
          move = move.map { $0 / 2 }
        }
      }
      if !isBetter || move.allSatisfy({ abs($0) < 1e-7 }) { break }
      if round == 99 { return nil }
    }
    // E[z²] = 1, E[z⁴] = 3, E[z⁶] = 15; z₉₉ as in the profiles' law.
    func figures(_ c: [Double]) -> [Double] {
      [
        c[0] + c[2], (c[1] * c[1] + 2 * c[2] * c[2] + 6 * c[1] * c[3] + 15 * c[3] * c[3]).squareRoot(),
        Self.volts(-2.326_347_874_040_841, c), Self.volts(2.326_347_874_040_841, c),
      ]
    }
    let gradients = slopes(figures, c)
    let estimates = figures(c).enumerated().map { place, value in
      var variance = 0.0
      for i in c.indices {
        for j in c.indices { variance += gradients[i][place] * covariance[i][j] * gradients[j][place] }
      }
      return (value, 1.959_963_984_540_054 * max(0, variance).squareRoot())
    }
    (mean, sigma, quantile1, quantile99) = (estimates[0], estimates[1], estimates[2], estimates[3])
  }

  private static func volts(_ z: Double, _ c: [Double]) -> Double { c[0] + z * (c[1] + z * (c[2] + z * c[3])) }

  /// Within ±4 σ, as the profiles' law asks.
  private static func rises(_ c: [Double]) -> Bool {
    stride(from: -4.0, through: 4.0, by: 0.125).allSatisfy { c[1] + 2 * c[2] * $0 + 3 * c[3] * $0 * $0 > 0 }
  }

  private static func share(below voltage: Double, _ c: [Double]) -> Double {
    var (low, high) = (-4.0, 4.0)
    if volts(low, c) >= voltage { return 0 }
    if volts(high, c) <= voltage { return 1 }
    for _ in 0..<48 {
      let middle = (low + high) / 2
      if volts(middle, c) < voltage { low = middle } else { high = middle }
    }
    return 0.5 * erfc(-(low + high) / 2 / 2.0.squareRoot())
  }

  /// By elimination with the largest pivots; nil for a singular matrix.
  private static func inverse(_ matrix: [[Double]]) -> [[Double]]? {
    let size = matrix.count
    var rows = matrix.enumerated().map { place, row in row + (0..<size).map { $0 == place ? 1 : 0 } }
    for column in 0..<size {
      guard let pivot = (column..<size).max(by: { abs(rows[$0][column]) < abs(rows[$1][column]) }),
        abs(rows[pivot][column]) > 0, rows[pivot][column].isFinite
      else { return nil }
      rows.swapAt(column, pivot)
      let factor = 1 / rows[column][column]
      rows[column] = rows[column].map { $0 * factor }
      for row in 0..<size where row != column {
        let factor = rows[row][column]
        rows[row] = zip(rows[row], rows[column]).map { $0 - factor * $1 }
      }
    }
    return rows.map { Array($0[size...]) }
  }
}
