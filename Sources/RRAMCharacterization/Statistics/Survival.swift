internal import Foundation

/// Share of pieces still alive after a time, where some were not followed to their end.
///
/// Product-limit estimator (E. L. Kaplan and P. Meier, J. Am. Stat. Assoc. 53, 457, 1958); pointwise 95 % intervals by Greenwood's variance on
/// the scale log(−log S), as in Kalbfleisch and Prentice, The Statistical Analysis of Failure Time Data, 2002, section 1.4.
struct Survival {
  struct Step {
    var time: Double
    /// Share alive after this time.
    var alive: Double
    var low: Double
    var high: Double
  }

  /// One a time of failure, ascending.
  var steps: [Step] = []
  /// Pieces in all.
  let count: Int

  /// - Parameter pieces: how long each was followed, and whether it failed then. One that was left at a time at which others failed was alive
  ///   when they did.
  init(_ pieces: [(time: Double, failed: Bool)]) {
    count = pieces.count
    var (alive, variance) = (1.0, 0.0)
    for time in Set(pieces.filter(\.failed).map(\.time)).sorted() {
      let atRisk = Double(pieces.count { $0.time >= time })
      let failed = Double(pieces.count { $0.failed && $0.time == time })
      alive *= 1 - failed / atRisk
      variance += failed / (atRisk * (atRisk - failed))
      // Where none is left there is no variance; the interval before it holds on.
      guard alive > 0 else {
        steps.append(.init(time: time, alive: 0, low: 0, high: steps.last?.high ?? 1))
        continue
      }
      let centre = log(-log(alive))
      let half = 1.959_963_984_540_054 * variance.squareRoot() / abs(log(alive))
      steps.append(.init(time: time, alive: alive, low: exp(-exp(centre + half)), high: exp(-exp(centre - half))))
    }
  }

  /// The first time after which no more than half are alive; nil where more are to the end. A product of shares misses exactly one half by
  /// rounding.
  var median: Double? { steps.first { $0.alive <= 0.5 + 1e-9 }?.time }

  /// Times whose pointwise interval holds one half (R. Brookmeyer and J. Crowley, Biometrics 38, 29, 1982): 95 % for the median. Nil where it
  /// has no end within the times.
  var medianInterval: ClosedRange<Double>? {
    guard let low = steps.first(where: { $0.low <= 0.5 })?.time, let high = steps.first(where: { $0.high < 0.5 })?.time
    else { return nil }
    return low...high
  }
}
