/// Feeds the watchdog and asks how the board is.
public struct Heartbeat: WireRequest {
  public typealias Response = HeartbeatResult
  public init() {}
  public var body: RequestBody { .heartbeat(self) }
}

/// Faults a board has seen.
public struct Faults: OptionSet, Sendable, Hashable {
  public var rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static let overTemperature = Faults(rawValue: 1 << 0)
  public static let overCurrent = Faults(rawValue: 1 << 1)
  public static let supply = Faults(rawValue: 1 << 2)
  public static let converter = Faults(rawValue: 1 << 3)
  public static let storage = Faults(rawValue: 1 << 4)
}

public struct HeartbeatResult: WireResponse, Hashable {
  public var isEnergised: Bool
  public var lastSafeCause: SafeCause
  public var queuedOperations: Int
  public var faults: Faults

  public init(isEnergised: Bool, lastSafeCause: SafeCause, queuedOperations: Int, faults: Faults = []) {
    self.isEnergised = isEnergised
    self.lastSafeCause = lastSafeCause
    self.queuedOperations = queuedOperations
    self.faults = faults
  }

  public init?(_ body: ResponseBody) {
    guard case .heartbeat(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .heartbeat(self) }
}

extension HeartbeatResult {
  init(_ message: Rram_Board_V1_HeartbeatResult) {
    isEnergised = message.energised
    lastSafeCause = SafeCause(message.lastSafeCause)
    queuedOperations = Int(message.queuedOperations)
    faults = Faults(rawValue: message.faults)
  }

  func message() throws(WireError) -> Rram_Board_V1_HeartbeatResult {
    var message = Rram_Board_V1_HeartbeatResult()
    message.energised = isEnergised
    message.lastSafeCause = lastSafeCause.message
    message.queuedOperations = try wire32(queuedOperations, "heartbeat.queued_operations")
    message.faults = faults.rawValue
    return message
  }
}
