internal import RRAMUnits

/// Spoils the bytes of another transport, by a seed: the same seed and the same bursts give the same faults.
///
/// Control requests and events pass unharmed.
public final class FaultInjectingTransport: Transport {
  /// How often what goes wrong, as a probability per burst (received: per piece).
  public struct Faults: Sendable, Hashable {
    /// The burst vanishes.
    public var drop = 0.0
    /// One bit of the burst is inverted.
    public var corrupt = 0.0
    /// The burst comes twice.
    public var duplicate = 0.0
    /// The burst is delivered in two pieces.
    public var split = 0.0
    /// The burst waits for ``delayTime`` before it goes on.
    public var delay = 0.0
    public var delayTime = Duration.milliseconds(10)
    /// The link breaks after this many bursts in this direction; `nil`: never.
    public var disconnectAfter: Int?

    public init() {}
  }

  public let address: String
  public let events: AsyncStream<TransportEvent>
  private let eventSink: AsyncStream<TransportEvent>.Continuation
  private let wrapped: any Transport
  private let clock: any Clock<Duration>
  private let forwarding: Task<Void, Never>

  private struct Direction {
    var faults: Faults
    var generator: PhiloxStream
    var bursts = 0
    var injected = 0

    /// What becomes of a burst: pieces to deliver, and whether to wait before.
    mutating func spoil(_ bytes: [UInt8]) -> (pieces: [[UInt8]], delayed: Bool)? {
      if let limit = faults.disconnectAfter, bursts >= limit { return nil }
      bursts += 1
      // Always the same number of draws a burst, so one fault does not shift the next.
      let draws = (0..<5).map { _ in generator.uniform() }
      let position = generator.next()
      guard !bytes.isEmpty else { return ([bytes], false) }
      if draws[0] < faults.drop {
        injected += 1
        return ([], false)
      }
      var bytes = bytes
      if draws[1] < faults.corrupt {
        injected += 1
        let bit = Int(position % UInt64(bytes.count * 8))
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      }
      var pieces = [bytes]
      if draws[2] < faults.split, bytes.count > 1 {
        let cut = 1 + Int((position >> 20) % UInt64(bytes.count - 1))
        pieces = [Array(bytes[..<cut]), Array(bytes[cut...])]
      }
      if draws[3] < faults.duplicate {
        injected += 1
        pieces += [bytes]
      }
      return (pieces, draws[4] < faults.delay)
    }
  }

  private let outgoing: Monitor<Direction>
  private let incoming: Monitor<Direction>
  private let pending = Monitor<[[UInt8]]>([])
  private let isBroken = Monitor(false)

  /// - Parameters:
  ///   - sending: faults of what the host sends.
  ///   - receiving: faults of what the board sends.
  ///   - clock: makes the delays.
  public init(
    _ wrapped: any Transport, seed: UInt64, sending: Faults = Faults(), receiving: Faults = Faults(),
    clock: any Clock<Duration> = ContinuousClock()
  ) {
    self.wrapped = wrapped
    self.clock = clock
    address = wrapped.address
    outgoing = Monitor(Direction(faults: sending, generator: PhiloxStream(seed: seed, stream: (0x4654, 0, 0))))
    incoming = Monitor(Direction(faults: receiving, generator: PhiloxStream(seed: seed, stream: (0x4654, 1, 0))))
    let (events, sink) = AsyncStream.makeStream(of: TransportEvent.self, bufferingPolicy: .bufferingNewest(8))
    self.events = events
    eventSink = sink
    forwarding = Task {
      for await event in wrapped.events { sink.yield(event) }
      sink.finish()
    }
  }

  deinit { forwarding.cancel() }

  /// Changes what goes wrong from the next burst on, for example once a session is open; `nil` leaves a direction as it is.
  public func set(sending: Faults? = nil, receiving: Faults? = nil) {
    if let sending { outgoing.withLock { $0.faults = sending } }
    if let receiving { incoming.withLock { $0.faults = receiving } }
  }

  /// Bursts that were dropped, corrupted or doubled so far: sent, received.
  public var injectedFaults: (sending: Int, receiving: Int) {
    (outgoing.withLock { $0.injected }, incoming.withLock { $0.injected })
  }

  public func send(_ bytes: [UInt8]) async throws(TransportError) {
    guard let (pieces, delayed) = outgoing.withLock({ $0.spoil(bytes) }) else { throw await disconnect() }
    if delayed { try await wait(outgoing.withLock { $0.faults.delayTime }) }
    for piece in pieces { try await wrapped.send(piece) }
  }

  public func receive() async throws(TransportError) -> [UInt8] {
    while true {
      if let piece = pending.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return piece }
      let bytes = try await wrapped.receive()
      guard let (pieces, delayed) = incoming.withLock({ $0.spoil(bytes) }) else { throw await disconnect() }
      if delayed { try await wait(incoming.withLock { $0.faults.delayTime }) }
      pending.withLock { $0 += pieces }
    }
  }

  public func control(_ request: ControlRequest, data: [UInt8]) async throws(TransportError) -> [UInt8] {
    guard !isBroken.withLock({ $0 }) else { throw TransportError(.closed, "the link was lost", address: address) }
    return try await wrapped.control(request, data: data)
  }

  public func close() async {
    await wrapped.close()
    forwarding.cancel()
    eventSink.finish()
  }

  private func wait(_ duration: Duration) async throws(TransportError) {
    do {
      try await clock.sleep(for: duration)
    } catch {
      throw TransportError(.cancelled, "the wait was cancelled", address: address)
    }
  }

  private func disconnect() async -> TransportError {
    let error = TransportError(.closed, "the link was lost", address: address)
    let isFirst = isBroken.withLock { broken in
      defer { broken = true }
      return !broken
    }
    if isFirst {
      eventSink.yield(.linkLost(error))
      await wrapped.close()
    }
    return error
  }
}
