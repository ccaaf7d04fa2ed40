/// What forming took and reached.
public struct FormReport: Sendable, Hashable, Codable {
  /// Forming voltages, V; `nil`, and `null` in JSON, where no cell was formed.
  public struct Voltage: Sendable, Hashable, Codable {
    public var mean: Double?
    public var std: Double?
    public var p1: Double?
    public var p99: Double?

    /// Statistics of voltages; those that are not finite (cells that did not form) are left out.
    public init(_ volts: [Double]) {
      let volts = volts.filter(\.isFinite)
      guard !volts.isEmpty else { return }
      let mean = volts.reduce(0, +) / Double(volts.count)
      self.mean = mean
      std = (volts.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(volts.count)).squareRoot()
      p1 = percentile(volts, 0.01)
      p99 = percentile(volts, 0.99)
    }

    enum CodingKeys: String, CodingKey { case mean, std, p1, p99 }

    public func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(mean, forKey: .mean)
      try container.encode(std, forKey: .std)
      try container.encode(p1, forKey: .p1)
      try container.encode(p99, forKey: .p99)
    }
  }

  /// Cells asked for.
  public var cells: Int
  /// Cells that were formed before and were left alone.
  public var alreadyFormed: Int
  /// Those of ``alreadyFormed`` that conduct as little as a pristine cell and are known from the board's books only.
  public var deeplyReset: Int
  /// Cells formed now.
  public var formed: Int
  /// How often the placement moved off cells that turned out unusable; 0 where blocks were named.
  public var moves: Int
  public var formingVoltage: Voltage
  public var pulses: CountStatistics
  public var reads: Int
  public var requests: Int
  public var chipSeconds: Double
  /// Modelled or real time of the bus; nil where the board does not model it.
  public var busSeconds: Double?
  public var hostSeconds: Double
  public var failures: [CellFailure]

  enum CodingKeys: String, CodingKey {
    case cells, alreadyFormed, deeplyReset, formed, moves
    case formingVoltage = "formingVoltage_V"
    case pulses, reads, requests, chipSeconds, busSeconds, hostSeconds, failures
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(cells, forKey: .cells)
    try container.encode(alreadyFormed, forKey: .alreadyFormed)
    try container.encode(deeplyReset, forKey: .deeplyReset)
    try container.encode(formed, forKey: .formed)
    try container.encode(moves, forKey: .moves)
    try container.encode(formingVoltage, forKey: .formingVoltage)
    try container.encode(pulses, forKey: .pulses)
    try container.encode(reads, forKey: .reads)
    try container.encode(requests, forKey: .requests)
    try container.encode(chipSeconds, forKey: .chipSeconds)
    try container.encode(busSeconds, forKey: .busSeconds)
    try container.encode(hostSeconds, forKey: .hostSeconds)
    try container.encode(failures, forKey: .failures)
  }
}
