public import RRAMProfiles

/// How a ``Board`` is opened and how long it waits; all times are of the link, not of the chip.
public struct BoardConfiguration: Sendable {
  /// Name and version of the program, for the board's log; at most 64 bytes.
  public var client = "rram"
  /// `nil`: random. Given in tests and replays; operation ids count up from it.
  public var sessionID: UInt64?
  /// The host's own limits for the chip that the handshake found; the strictest of these and the board's hold.
  public var chipLimits: (@Sendable (BoardInfo) throws -> ChipLimits?)?
  /// Handshake, each request of it.
  public var openLimit = Duration.seconds(5)
  /// Silence after which a request counts as lost. Each frame of its answer, and each frame of an answer the board has to
  /// give before it, starts the time anew.
  public var responseLimit = Duration.seconds(10)
  /// Silence allowed while the board lets chip time pass.
  public var advanceLimit = Duration.seconds(120)
  /// Wait for a frame to make the board safe, before it is done by a control request.
  public var safeLimit = Duration.seconds(1)
  /// While energised, something is sent at least this often.
  public var heartbeatInterval = Duration.milliseconds(500)
  /// Response frames of one stream that may be under way or wait for the consumer.
  public var streamWindow = 8

  public init() {}
}
