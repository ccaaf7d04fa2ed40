public import RRAMTransport

/// A serial line to one board: exact bytes, a deadline on every wait, no framing.
///
/// Calls come one after another; the driver sees to that. No call blocks a thread of the cooperative pool.
public protocol SerialLine: Sendable {
  /// How people name it, for example `hdpm:/dev/ttyUSB0`.
  var address: String { get }

  /// Sends the bytes; returns when the line has taken all of them.
  func write(_ bytes: [UInt8]) async throws(TransportError)

  /// The next bytes, or none if none have come by `deadline` of the line's clock.
  ///
  /// - Throws: ``TransportError/Code/closed`` if the adapter is gone.
  func read(until deadline: Duration) async throws(TransportError) -> [UInt8]

  /// Ends the line; further calls do nothing.
  func close() async
}

/// Time of the driver: real, or a virtual board's own.
public protocol SerialClock: Sendable {
  /// Time since an arbitrary origin.
  var now: Duration { get }
  /// Returns at `deadline`, or throws `CancellationError`.
  func sleep(until deadline: Duration) async throws
}

/// The host's monotonic clock, counted from when this value was made.
public struct SystemSerialClock: SerialClock {
  private let origin: ContinuousClock.Instant

  public init() { origin = ContinuousClock.now }

  public var now: Duration { origin.duration(to: ContinuousClock.now) }

  public func sleep(until deadline: Duration) async throws {
    try await ContinuousClock().sleep(until: origin.advanced(by: deadline), tolerance: nil)
  }
}
