public import RRAMRecords

/// What follows from the measurement of a step.
public struct Findings: Sendable {
  public var estimates: [Estimate] = []
  public var tables: [Table] = []
  public var pictures: [Picture] = []
  public var remarks: [String] = []

  public init() {}

  public struct Table: Sendable, Codable {
    public var title: String
    /// First row is the head.
    public var rows: [[String]]
  }

  /// A gnuplot script with its tables.
  public struct Picture: Sendable {
    public var title: String
    public var script: String
    public var tables: [Gnuplot.Table]
    /// Of a picture that is series over axes: two such can be drawn over each other.
    var axes = ""
    var curves: [Curve] = []
    /// Of a heat map, by row and column.
    var map: [[Double]]?
    public var width = 720
    public var height = 400
  }
}

/// A number with its interval of confidence.
public struct Estimate: Sendable, Hashable, Codable {
  public var name: String
  /// What a comparison pairs it by where the name says how this run took it; `nil`: the name.
  public var key: String?
  /// `nil` where the data do not say.
  public var value: Double?
  /// Ends of the 95 % interval.
  public var low: Double?
  public var high: Double?
  public var unit: String
  /// Independent pieces of data: cells, mostly.
  public var n: Int
  /// How the interval was made.
  public var method: String

  init(
    _ name: String, key: String? = nil, _ value: Double, _ interval: ClosedRange<Double>? = nil, unit: String, n: Int,
    method: String = ""
  ) {
    self.name = name
    self.key = key
    self.value = value.isFinite ? value : nil
    low = interval?.lowerBound
    high = interval?.upperBound
    self.unit = unit
    self.n = n
    self.method = interval == nil ? "" : method
  }

  /// True if `other` is the same figure of another run.
  func pairs(with other: Estimate) -> Bool { (key ?? name) == (other.key ?? other.name) && unit == other.unit }
}
