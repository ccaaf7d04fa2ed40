/// Carries bytes between a host and one board.
///
/// Bytes have no frame boundary: ``receive()`` may split or join what the board sent. Control requests travel beside the bytes,
/// so ``ControlRequest/safe`` works while frames are stuck. Every function may be called from any task; calls of ``send(_:)``
/// keep their order only if the caller awaits one before the next. No call blocks a thread of the cooperative pool.
public protocol Transport: Sendable {
  /// How people name this board, for example `sock:/run/rram.sock`; errors repeat it.
  var address: String { get }

  /// Sends the bytes of one burst; returns when the transport has taken them, and waits while it is full.
  func send(_ bytes: [UInt8]) async throws(TransportError)

  /// Waits for the next bytes, at least one; throws ``TransportError/Code-swift.struct/closed`` once the link has ended.
  func receive() async throws(TransportError) -> [UInt8]

  /// Asks the board out of band and waits for its answer.
  func control(_ request: ControlRequest, data: [UInt8]) async throws(TransportError) -> [UInt8]

  /// What happens beside the bytes: doorbells, and the loss of the link as the last element. For one consumer.
  var events: AsyncStream<TransportEvent> { get }

  /// Ends the link after what was sent has left, or could not leave within a second. Further calls do nothing.
  func close() async
}

extension Transport {
  /// Asks the board out of band, without data.
  public func control(_ request: ControlRequest) async throws(TransportError) -> [UInt8] {
    try await control(request, data: [])
  }
}

/// Out-of-band requests; over USB these are vendor requests on endpoint 0 with the raw value as `bRequest`.
public enum ControlRequest: UInt8, Sendable, Hashable, CaseIterable {
  /// Abort everything, ground all lines, switch the drivers off.
  case safe = 1
  /// Abort, ground, empty the queues and forget partial frames.
  case resync = 2
  /// Ask for the board's state; feeds the watchdog.
  case status = 3
}

/// Something that happened beside the bytes of a link.
public enum TransportEvent: Sendable, Hashable {
  case doorbell(Doorbell)
  /// The link ended other than by ``Transport/close()``.
  case linkLost(TransportError)
}

/// What the board signals beside the frames: 16 bytes, little-endian.
public struct Doorbell: Sendable, Hashable {
  /// Events since boot; a gap means doorbells were merged.
  public var eventCount: UInt32
  /// Bit 0 over-temperature, 1 over-current, 2 supply, 3 converter, 4 storage.
  public var faults: UInt32
  /// Microseconds of the board's clock since boot.
  public var boardTimeMicroseconds: UInt64

  public init(eventCount: UInt32, faults: UInt32, boardTimeMicroseconds: UInt64) {
    self.eventCount = eventCount
    self.faults = faults
    self.boardTimeMicroseconds = boardTimeMicroseconds
  }

  /// Reads the 16 bytes of a doorbell; `nil` for any other length.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 16 else { return nil }
    eventCount = UInt32(littleEndianBytes: bytes.prefix(4))
    faults = UInt32(littleEndianBytes: bytes.dropFirst(4).prefix(4))
    boardTimeMicroseconds = UInt64(littleEndianBytes: bytes.dropFirst(8))
  }

  /// Event count u32, faults u32, board time u64.
  public var bytes: [UInt8] {
    eventCount.littleEndianBytes + faults.littleEndianBytes + boardTimeMicroseconds.littleEndianBytes
  }
}

extension FixedWidthInteger {
  init(littleEndianBytes bytes: some Collection<UInt8>) {
    self = bytes.reversed().reduce(0) { $0 << 8 | Self($1) }
  }

  var littleEndianBytes: [UInt8] {
    (0..<Self.bitWidth / 8).map { UInt8(truncatingIfNeeded: self >> Self($0 * 8)) }
  }
}
