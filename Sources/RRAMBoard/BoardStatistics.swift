internal import RRAMUnits

/// What crossed the link since the board was opened.
public struct BoardStatistics: Sendable, Hashable {
  /// Requests sent; Credit is none.
  public var requests = 0
  public var framesSent = 0
  public var framesReceived = 0
  /// Bytes of frames, headers included.
  public var bytesSent = 0
  public var bytesReceived = 0
  /// Times a request was sent while none was in flight: round trips that pipelining did not hide.
  public var roundTrips = 0
  /// Frames that arrived damaged, here and by the board's count.
  public var badFrames = 0
  public var badFramesAtBoard = 0
  /// Frames of requests that were given up, dropped.
  public var lateFrames = 0
  /// Frames with a sequence number nobody waits for, dropped.
  public var unaskedFrames = 0
  public var timeouts = 0
  public var reboots = 0
  public var heartbeats = 0
  /// Modelled time on the bus: ``roundTrips`` × round trip + bytes ÷ rate, both as the board stated them; 0 if not modelled.
  public var busSeconds = 0.0
  /// The board's clock at its latest answer, since its boot; on an emulated board the chip's virtual time.
  public var boardTime = Duration.zero

  public init() {}

  mutating func modelBus(roundTrip: Duration, bytesPerSecond: Int) {
    busSeconds = Double(roundTrips) * roundTrip.seconds
    if bytesPerSecond > 0 { busSeconds += Double(bytesSent + bytesReceived) / Double(bytesPerSecond) }
  }
}
