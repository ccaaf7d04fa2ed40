public import RRAMUnits

/// A cell that could not be brought to its target, and why.
public struct CellFailure: Sendable, Hashable, Codable {
  public var macro: Int
  public var row: Int
  public var column: Int
  /// `stuck low`, `stuck high`, `oscillating`, `pulse limit`, `masked`, `limit refused`, `not formed`, `not reached`.
  public var reason: String

  public init(_ cell: CellAddress, reason: String) {
    macro = cell.macro
    row = cell.row
    column = cell.column
    self.reason = reason
  }

  public var address: CellAddress { CellAddress(macro: macro, row: row, column: column) }
}

/// A value at verify and at the ages after the last write; `nil`, and `null` in JSON, where it was not measured.
public struct ByAge<Value: Sendable & Hashable & Codable>: Sendable, Hashable, Codable {
  public var verify: Value?
  public var after1s: Value?
  public var after60s: Value?
  public var after600s: Value?

  public init() {}

  /// The value of the largest age measured.
  public var latest: Value? { after600s ?? after60s ?? after1s ?? verify }

  public subscript(_ age: FollowUp) -> Value? {
    get {
      switch age {
      case .oneSecond: after1s
      case .oneMinute: after60s
      case .tenMinutes: after600s
      }
    }
    set {
      switch age {
      case .oneSecond: after1s = newValue
      case .oneMinute: after60s = newValue
      case .tenMinutes: after600s = newValue
      }
    }
  }

  enum CodingKeys: String, CodingKey { case verify, after1s, after60s, after600s }

  public func encode(to encoder: any Encoder) throws {
    // Spelled out because the synthesised form would leave out what is nil.
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(verify, forKey: .verify)
    try container.encode(after1s, forKey: .after1s)
    try container.encode(after60s, forKey: .after60s)
    try container.encode(after600s, forKey: .after600s)
  }
}

/// How long after the last write the cells are read again.
public enum FollowUp: String, Sendable, Hashable, Codable, CaseIterable {
  case oneSecond = "1s"
  case oneMinute = "60s"
  case tenMinutes = "600s"

  /// The age that every cell must have reached.
  public var age: Duration {
    switch self {
    case .oneSecond: .seconds(1)
    case .oneMinute: .seconds(60)
    case .tenMinutes: .seconds(600)
    }
  }

  /// The ages up to this one.
  public var upToHere: [FollowUp] { Self.allCases.filter { $0.age <= age } }
}

/// What programming a network took and reached.
public struct ProgramReport: Sendable, Hashable, Codable {
  /// Cells that were written: those of the plan without the masked ones.
  public var cells: Int
  /// Of these, accepted by the procedure.
  public var inTolerance: Int
  /// nil in records older than strategies.
  public var strategy: WriteStrategyName?
  /// Half width of the verify window, µS; of the strategy `pair-aware` that of the difference of a pair.
  public var tolerance: Double
  /// Pulses a written cell.
  public var pulses: CountStatistics
  /// Reads of cells, verify and later reads together.
  public var reads: Int
  /// Errors of the written cells, realised − target, µS. The targets of pairs that were written as such lie where their common part was
  /// left.
  public var error: ByAge<ErrorStatistics>
  /// Errors of G+ − G− of the pairs with two written cells, realised − target, µS; nil in records that are older.
  public var difference: ByAge<ErrorStatistics>?
  /// Largest time between the beginning of the write and the read, seconds.
  public var age: ByAge<Double>
  /// Root mean square of realised − ideal weight in % of the layer's max|w|, all layers pooled, from the latest read.
  public var weightErrorPercent: Double?
  /// What writing again did; its pulses are not among those above. nil: cells were written once.
  public var retry: RetryReport?
  public var requests: Int
  /// Chip time of writing, without the waits of the later reads.
  public var chipSeconds: Double
  /// Modelled or real time of the bus while writing; nil where the board does not model it.
  public var busSeconds: Double?
  public var hostSeconds: Double
  public var masked: Int
  /// Formed cells that the plan does not use; nil if there are none.
  public var retired: RetireReport?
  public var failures: [CellFailure]

  enum CodingKeys: String, CodingKey {
    case cells, inTolerance, strategy
    case tolerance = "tolerance_uS"
    case pulses, reads
    case error = "error_uS"
    case difference = "differenceError_uS"
    case age = "age_s"
    case weightErrorPercent, retry, requests, chipSeconds, busSeconds, hostSeconds, masked, retired, failures
  }

  /// Share of the written cells that are in tolerance; 1 if there are none.
  public var fractionInTolerance: Double { cells == 0 ? 1 : Double(inTolerance) / Double(cells) }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(cells, forKey: .cells)
    try container.encode(inTolerance, forKey: .inTolerance)
    try container.encode(strategy, forKey: .strategy)
    try container.encode(tolerance, forKey: .tolerance)
    try container.encode(pulses, forKey: .pulses)
    try container.encode(reads, forKey: .reads)
    try container.encode(error, forKey: .error)
    try container.encode(difference, forKey: .difference)
    try container.encode(age, forKey: .age)
    try container.encode(weightErrorPercent, forKey: .weightErrorPercent)
    try container.encode(retry, forKey: .retry)
    try container.encode(requests, forKey: .requests)
    try container.encode(chipSeconds, forKey: .chipSeconds)
    try container.encode(busSeconds, forKey: .busSeconds)
    try container.encode(hostSeconds, forKey: .hostSeconds)
    try container.encode(masked, forKey: .masked)
    try container.encode(retired, forKey: .retired)
    try container.encode(failures, forKey: .failures)
  }
}
