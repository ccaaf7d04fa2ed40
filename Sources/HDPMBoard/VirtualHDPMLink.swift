public import RRAMTransport
internal import Synchronization

/// A virtual board in this process, in virtual time: line, clock and scope of one driver.
///
/// Time passes only while the driver waits, so a hundred runs of five seconds take no real time. The adapter can be pulled out and put
/// back at given times.
public final class VirtualHDPMLink: SerialLine, SerialClock, ScopeSource {
  private struct State {
    var board: VirtualHDPM
    var now: Duration
    var pending: [UInt8] = []
    var captures: [Result<ScopeCapture, any Error>] = []
    var sent: [(time: Duration, bytes: [UInt8])] = []

    mutating func advance(to time: Duration) {
      now = max(now, time)
      let result = board.advance(to: now)
      pending += result.bytes
      captures += result.captures.map { $0.capture }
    }
  }

  public let address: String
  /// When the adapter is out: writes and reads fail.
  private let unplugged: [Range<Duration>]
  private let state: Mutex<State>

  public init(_ board: VirtualHDPM, address: String = "hdpm-emu:", unplugged: [Range<Duration>] = []) {
    self.address = address
    self.unplugged = unplugged
    state = Mutex(State(board: board, now: board.firmware.time))
  }

  /// Everything the driver has sent, with its time.
  public var sent: [(time: Duration, bytes: [UInt8])] { state.withLock { $0.sent } }
  /// Captures that nobody has taken.
  public var pendingCaptures: Int { state.withLock { $0.captures.count } }

  /// The line itself, or an error while the adapter is out.
  public func open() throws(TransportError) -> any SerialLine {
    let time = now
    if unplugged.contains(where: { $0.contains(time) }) {
      throw TransportError(.notFound, "no such serial port", address: address)
    }
    state.withLock { $0.pending = [] }
    return self
  }

  private func checkPlugged() throws(TransportError) {
    let time = now
    if unplugged.contains(where: { $0.contains(time) }) {
      throw TransportError(.closed, "the adapter is gone", address: address)
    }
  }

  public var now: Duration { state.withLock { $0.now } }

  public func sleep(until deadline: Duration) async throws {
    try Task.checkCancellation()
    state.withLock { $0.advance(to: deadline) }
  }

  public func write(_ bytes: [UInt8]) async throws(TransportError) {
    try checkPlugged()
    state.withLock { state in
      state.sent.append((state.now, bytes))
      state.board.receive(bytes)
    }
  }

  public func read(until deadline: Duration) async throws(TransportError) -> [UInt8] {
    while true {
      try checkPlugged()
      let (bytes, ended) = state.withLock { state -> ([UInt8], Bool) in
        if state.pending.isEmpty, state.now < deadline {
          // In steps, so that an adapter that is pulled out meanwhile is noticed.
          let step = min(deadline, state.now + .milliseconds(10))
          state.advance(to: min(step, max(state.now, state.board.firmware.nextEvent ?? step)))
        }
        defer { state.pending = [] }
        return (state.pending, state.now >= deadline)
      }
      if !bytes.isEmpty || ended { return bytes }
    }
  }

  public func next(until deadline: Duration) async throws -> ScopeCapture? {
    try state.withLock { state in
      if state.captures.isEmpty { state.advance(to: deadline) }
      return state.captures.isEmpty ? nil : try state.captures.removeFirst().get()
    }
  }

  public func close() async {}
}
