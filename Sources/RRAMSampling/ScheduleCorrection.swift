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
  /// The same for the null condition of a guided run; empty without guidance.
  public var nullEmbedding: [[Double]]
  /// One series an axis, in units; empty where the board has no offset channels.
  public var offset: [[Double]]

  public init(
    state: [Double], score: [Double], embedding: [[Double]], nullEmbedding: [[Double]] = [], offset: [[Double]]
  ) {
    self.state = state
    self.score = score
    self.embedding = embedding
    self.nullEmbedding = nullEmbedding
    self.offset = offset
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    state = try container.decode([Double].self, forKey: .state)
    score = try container.decode([Double].self, forKey: .score)
    embedding = try container.decode([[Double]].self, forKey: .embedding)
    // Calibrations of layout 1 know no guidance.
    nullEmbedding = try container.decodeIfPresent([[Double]].self, forKey: .nullEmbedding) ?? []
    offset = try container.decode([[Double]].self, forKey: .offset)
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

  /// True if every number is finite and every series has its terms.
  var isWellFormed: Bool {
    ([state, score] + embedding + nullEmbedding + offset).allSatisfy {
      $0.count == Self.terms && $0.allSatisfy(\.isFinite)
    }
  }
}
