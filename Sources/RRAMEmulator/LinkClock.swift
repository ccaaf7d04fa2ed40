internal import Glibc

/// Link time: the host's monotonic time, which the watchdog counts.
///
/// Chip time is another clock: virtual, advanced by what the chip is made to do.
public struct LinkClock: Sendable {
  private let read: @Sendable () -> Duration

  /// - Parameter now: time since a fixed origin; must never go back and may be called from any thread.
  public init(_ now: @escaping @Sendable () -> Duration) { read = now }

  /// Time since the origin.
  public var now: Duration { read() }

  /// The system's monotonic clock.
  public static let monotonic = LinkClock {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }
}
