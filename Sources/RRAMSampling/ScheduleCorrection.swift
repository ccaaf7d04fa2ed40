internal import Glibc

/// What a calibration changes of a schedule's tables, as cosine series in t: Σ_k c_k cos(πkt).
///
/// Coefficients a and b are multiplied by exp(ln 4·tanh(Σ/ln 4)), which lies within ¼ and 4; embeddings and offsets get their series
/// added. All zeros change nothing.
public struct ScheduleCorrection: Sendable, Hashable, Codable {
  /// Terms of a series: the fastest has a period of 2/15 of a run.
  public static let terms = 16

  /// Series of a's and b's factor.
  public var state: [Double]
  public var score: [Double]
  /// One series a channel, in units.
  public var embedding: [[Double]]
  /// One series an axis, in units; empty where the board has no offset channels.
  public var offset: [[Double]]

  public init(state: [Double], score: [Double], embedding: [[Double]], offset: [[Double]]) {
    self.state = state
    self.score = score
    self.embedding = embedding
    self.offset = offset
  }

  /// cos(πkt) for every term.
  static func basis(at t: Double) -> [Double] { (0..<terms).map { cos(Double.pi * Double($0) * t) } }

  /// The value of a series.
  static func sum(_ series: [Double], _ basis: [Double]) -> Double {
    zip(series, basis).reduce(0) { $0 + $1.0 * $1.1 }
  }

  /// The factor that a series makes, and its derivative by the series' value.
  static func factor(_ value: Double) -> (factor: Double, slope: Double) {
    let limit = log(4.0)
    let bent = tanh(value / limit)
    let factor = exp(limit * bent)
    return (factor, factor * (1 - bent * bent))
  }

  /// What becomes of the tables at time t.
  func apply(at t: Double, a: inout Double, b: inout Double, embedding: inout [Double], offset: inout [Double]) {
    let basis = Self.basis(at: t)
    a *= Self.factor(Self.sum(state, basis)).factor
    b *= Self.factor(Self.sum(score, basis)).factor
    for (channel, series) in self.embedding.enumerated() where channel < embedding.count {
      embedding[channel] += Self.sum(series, basis)
    }
    for (axis, series) in self.offset.enumerated() where axis < offset.count {
      offset[axis] += Self.sum(series, basis)
    }
  }

  /// True if every number is finite and every series has its terms.
  var isWellFormed: Bool {
    ([state, score] + embedding + offset).allSatisfy { $0.count == Self.terms && $0.allSatisfy(\.isFinite) }
  }
}
