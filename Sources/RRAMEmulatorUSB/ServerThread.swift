internal import Glibc
internal import RRAMTransport
internal import Synchronization

/// The one thread of a server, and how it is told to end.
final class ServerThread: Sendable {
  private let waker: PollWaker
  private let isClosing: Closing
  private let ended: BytePipe

  private final class Closing: Sendable {
    let flag = Atomic(false)
  }

  /// - Parameters:
  ///   - address: named in errors.
  ///   - body: runs on the thread; returns soon after the flag it is given reads true. The waker wakes it.
  init(
    address: String, _ body: @escaping @Sendable (_ waker: PollWaker, _ isClosing: () -> Bool) -> Void
  ) throws(TransportError) {
    let waker = try PollWaker(address: address)
    let closing = Closing()
    let ended = BytePipe(capacity: 1, address: address)
    self.waker = waker
    isClosing = closing
    self.ended = ended
    // What they hold open is closed before anybody hears of the end. The thread alone touches them.
    nonisolated(unsafe) var work: (body: @Sendable (PollWaker, () -> Bool) -> Void, waker: PollWaker)? = (body, waker)
    let rc = startThread {
      if let (body, waker) = work { body(waker) { closing.flag.load(ordering: .acquiring) } }
      work = nil
      ended.finish(TransportError(.closed, "the server was closed", address: address))
    }
    guard rc == 0 else { throw TransportError(errno: rc, "cannot start a thread", address: address) }
  }

  deinit {
    isClosing.flag.store(true, ordering: .releasing)
    waker.wake()
  }

  /// Returns when the thread has ended.
  func close() async {
    isClosing.flag.store(true, ordering: .releasing)
    waker.wake()
    // Ends with an error by design: the pipe only marks the end. A cancelled caller waits as well, or what the server holds
    // would be left behind.
    let ended = ended
    await Task { _ = try? await ended.take() }.value
  }
}

/// Milliseconds for poll(2), rounded up.
func pollTimeout(until deadline: Duration, now: Duration) -> Int32 {
  guard deadline > now else { return 0 }
  let (seconds, attoseconds) = (deadline - now).components
  return Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1)
}
