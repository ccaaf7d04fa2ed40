/// Aborts everything, grounds all lines, switches the drivers off. Always accepted.
public struct Safe: WireRequest {
  public typealias Response = SafeResult
  public init() {}
  public var body: RequestBody { .safe(self) }
}

/// Why a board made itself safe. Open: later firmware may have more reasons.
public struct SafeCause: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
  public var rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }

  public static let powerOn = SafeCause(rawValue: 1)
  /// ``Safe`` or the control request.
  public static let requested = SafeCause(rawValue: 2)
  /// ``Hello`` with another session id, or the control request RESYNC.
  public static let newSession = SafeCause(rawValue: 3)
  public static let watchdog = SafeCause(rawValue: 4)
  /// USB reset, suspend, deconfiguration, loss of VBUS, or the end of the connection.
  public static let linkLost = SafeCause(rawValue: 5)
  public static let fault = SafeCause(rawValue: 6)

  public var description: String {
    switch self {
    case .powerOn: "power on"
    case .requested: "requested"
    case .newSession: "new session"
    case .watchdog: "watchdog"
    case .linkLost: "link lost"
    case .fault: "fault"
    default: "cause \(rawValue)"
    }
  }
}

public struct SafeResult: WireResponse, Hashable {
  /// Operations that were ended by it.
  public var abortedOperations: Int
  public var isGrounded: Bool

  public init(abortedOperations: Int, isGrounded: Bool) {
    self.abortedOperations = abortedOperations
    self.isGrounded = isGrounded
  }

  public init?(_ body: ResponseBody) {
    guard case .safe(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .safe(self) }
}

extension SafeCause {
  init(_ value: Rram_Board_V1_SafeCause) { self.init(rawValue: value.rawValue) }
  var message: Rram_Board_V1_SafeCause { Rram_Board_V1_SafeCause(rawValue: rawValue) ?? .UNRECOGNIZED(rawValue) }
}

extension SafeResult {
  init(_ message: Rram_Board_V1_SafeResult) {
    abortedOperations = Int(message.abortedOperations)
    isGrounded = message.grounded
  }

  func message() throws(WireError) -> Rram_Board_V1_SafeResult {
    var message = Rram_Board_V1_SafeResult()
    message.abortedOperations = try wire32(abortedOperations, "safe.aborted_operations")
    message.grounded = isGrounded
    return message
  }
}
