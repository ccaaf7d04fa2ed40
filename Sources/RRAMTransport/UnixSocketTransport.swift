internal import Glibc
internal import Synchronization

/// Reaches a board that a ``UnixSocketServer`` serves, usually in another process.
///
/// One thread per link waits in poll(2). A control request takes a connection of its own, so it works while the queue of bytes
/// is stuck.
public final class UnixSocketTransport: Transport {
  public let address: String
  public let events: AsyncStream<TransportEvent>
  private let path: String
  private let eventSink: AsyncStream<TransportEvent>.Continuation
  private let inbound: BytePipe
  private let outbound: BytePipe
  private let waker: PollWaker
  private let isClosing = Atomic(false)
  private let attached: BytePipe
  private let ended: BytePipe

  /// How long ``close()`` tries to send what is queued.
  private static let flushLimit = Duration.seconds(1)

  /// Attaches to the board at `path`.
  ///
  /// - Throws: `notFound` if nobody serves the path, `busy` if another host is attached, `timedOut` after `limit`.
  public static func open(
    path: String, limit: Duration = .seconds(5), capacity: Int = DeviceLink.defaultCapacity
  ) async throws(TransportError) -> UnixSocketTransport {
    let transport = try UnixSocketTransport(path: path, limit: limit, capacity: capacity)
    do throws(TransportError) {
      _ = try await transport.attached.take()
    } catch {
      await transport.close()
      throw error
    }
    return transport
  }

  private init(path: String, limit: Duration, capacity: Int) throws(TransportError) {
    let address = "sock:\(path)"
    self.path = path
    self.address = address
    let (events, sink) = AsyncStream.makeStream(of: TransportEvent.self, bufferingPolicy: .bufferingNewest(8))
    self.events = events
    eventSink = sink
    let waker = try PollWaker(address: address)
    self.waker = waker
    inbound = BytePipe(capacity: capacity, address: address, roomFreed: { waker.wake() })
    outbound = BytePipe(capacity: capacity, address: address, bytesArrived: { waker.wake() })
    attached = BytePipe(capacity: 1, address: address)
    ended = BytePipe(capacity: 1, address: address)
    let descriptor = try SocketFile.connect(path: path, address: address)
    let loop = Loop(
      address: address, inbound: inbound, outbound: outbound, waker: waker, eventSink: sink, attached: attached,
      ended: ended, attachLimit: limit)
    let rc = startThread { [weak self] in
      loop.run(SocketStream(descriptor: descriptor, address: address)) {
        self?.isClosing.load(ordering: .acquiring) ?? true
      }
    }
    guard rc == 0 else {
      Glibc.close(descriptor)
      throw TransportError(errno: rc, "cannot start a thread", address: address)
    }
  }

  deinit { waker.wake() }

  public func send(_ bytes: [UInt8]) async throws(TransportError) { try await outbound.put(bytes) }

  public func receive() async throws(TransportError) -> [UInt8] { try await inbound.take() }

  public func control(_ request: ControlRequest, data: [UInt8]) async throws(TransportError) -> [UInt8] {
    guard !isClosing.load(ordering: .acquiring) else {
      throw TransportError(.closed, "the link is closed", address: address)
    }
    return try await Self.control(path: path, request, data: data)
  }

  /// Asks the board at `path` out of band without attaching to it; works while another host is attached.
  public static func control(
    path: String, _ request: ControlRequest, data: [UInt8] = [], limit: Duration = .seconds(2)
  ) async throws(TransportError) -> [UInt8] {
    let address = "sock:\(path)"
    let descriptor = try SocketFile.connect(path: path, address: address)
    let reply = BytePipe(capacity: SocketPacket.maximumLength, address: address)
    let rc = startThread {
      do throws(TransportError) {
        _ = reply.tryPut(try exchange(descriptor, request, data, address: address, limit: limit))
      } catch {
        reply.finish(error)
      }
    }
    guard rc == 0 else {
      Glibc.close(descriptor)
      throw TransportError(errno: rc, "cannot start a thread", address: address)
    }
    let bytes = try await reply.take()
    guard bytes.first == 0 else {
      throw TransportError(.refused, String(decoding: bytes.dropFirst(), as: UTF8.self), address: address)
    }
    return Array(bytes.dropFirst())
  }

  /// One control request on a connection of its own; blocks the calling thread.
  private static func exchange(
    _ descriptor: Int32, _ request: ControlRequest, _ data: [UInt8], address: String, limit: Duration
  ) throws(TransportError) -> [UInt8] {
    var stream = SocketStream(descriptor: descriptor, address: address)
    stream.queue(SocketPacket(kind: .controlRequest, bytes: [request.rawValue] + data))
    let deadline = ContinuousClock.now + limit
    while true {
      try stream.flush()
      let remaining = ContinuousClock.now.duration(to: deadline)
      guard remaining > .zero else {
        throw TransportError(.timedOut, "no answer to \(request) within \(limit)", address: address)
      }
      var entry = pollfd(fd: descriptor, events: Int16(stream.hasOutput ? POLLIN | POLLOUT : POLLIN), revents: 0)
      _ = poll(&entry, 1, remaining.pollMilliseconds)
      guard entry.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 else { continue }
      let open = try stream.fill()
      while let packet = try stream.nextPacket() {
        if packet.kind == .controlReply, !packet.bytes.isEmpty { return packet.bytes }
      }
      guard open else { throw TransportError(.closed, "the board closed the connection", address: address) }
    }
  }

  public func close() async {
    isClosing.store(true, ordering: .releasing)
    outbound.finish(TransportError(.closed, "the link was closed", address: address))
    waker.wake()
    // Ends with an error by design: the pipe only marks the end of the thread.
    _ = try? await ended.take()
  }

  /// The thread's work; shares nothing with the transport but pipes.
  private struct Loop: Sendable {
    let address: String
    let inbound: BytePipe
    let outbound: BytePipe
    let waker: PollWaker
    let eventSink: AsyncStream<TransportEvent>.Continuation
    let attached: BytePipe
    let ended: BytePipe
    let attachLimit: Duration

    func run(_ stream: consuming SocketStream, isClosing: () -> Bool) {
      var stream = stream
      var reason: TransportError
      do throws(TransportError) {
        reason = try serve(&stream, isClosing: isClosing)
      } catch {
        reason = error
        eventSink.yield(.linkLost(error))
      }
      attached.finish(reason)
      inbound.finish(reason)
      outbound.finish(reason, discarding: true)
      eventSink.finish()
      ended.finish(reason)
    }

    /// Carries bytes until the transport is closed, and returns why; throws when the link is lost.
    private func serve(_ stream: inout SocketStream, isClosing: () -> Bool) throws(TransportError) -> TransportError {
      // An empty data packet asks to be attached.
      stream.queue(SocketPacket(kind: .data, bytes: []))
      var isAttached = false
      let attachDeadline = ContinuousClock.now + attachLimit
      var flushDeadline: ContinuousClock.Instant?
      while true {
        waker.clear()
        while !stream.hasOutput, case .bytes(let bytes) = outbound.tryTake() {
          stream.queue(SocketPacket(kind: .data, bytes: bytes))
          try stream.flush()
        }
        try stream.flush()
        var wait: Int32 = -1
        if isClosing() {
          let deadline = flushDeadline ?? ContinuousClock.now + UnixSocketTransport.flushLimit
          flushDeadline = deadline
          let remaining = ContinuousClock.now.duration(to: deadline)
          if !stream.hasOutput && outbound.isEmpty || remaining <= .zero {
            return TransportError(.closed, "the link was closed", address: address)
          }
          wait = remaining.pollMilliseconds
        } else if !isAttached {
          let remaining = ContinuousClock.now.duration(to: attachDeadline)
          guard remaining > .zero else {
            throw TransportError(.timedOut, "the board did not take the link within \(attachLimit)", address: address)
          }
          wait = remaining.pollMilliseconds
        }
        let interest = (inbound.hasRoom ? POLLIN : 0) | (stream.hasOutput ? POLLOUT : 0)
        var entries = [
          pollfd(fd: stream.descriptor, events: Int16(interest), revents: 0),
          pollfd(fd: waker.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        _ = poll(&entries, 2, wait)
        let happened = Int32(entries[0].revents)
        guard happened & (POLLIN | POLLHUP | POLLERR) != 0 else { continue }
        // After a hang-up what is left in the kernel is bounded: take it all, whatever room there is.
        var open = true
        repeat {
          open = try stream.fill()
          while let packet = try stream.nextPacket() {
            try handle(packet, isAttached: &isAttached)
          }
        } while open && happened & POLLHUP != 0
        guard open else {
          throw TransportError(.closed, "the board closed the connection", address: address)
        }
      }
    }

    private func handle(_ packet: SocketPacket, isAttached: inout Bool) throws(TransportError) {
      switch (packet.kind, packet.bytes.first) {
      case (.data, _):
        _ = inbound.tryPut(packet.bytes, force: true)
      case (.event, SocketEvent.attached?):
        isAttached = true
        _ = attached.tryPut([1])
      case (.event, SocketEvent.busy?):
        throw TransportError(.busy, "another host is attached to the board", address: address)
      case (.event, SocketEvent.doorbell?):
        if let doorbell = Doorbell(bytes: packet.bytes.dropFirst()) { eventSink.yield(.doorbell(doorbell)) }
      default:
        // Later servers may say more; what we do not know does not concern us.
        break
      }
    }
  }
}

extension Duration {
  /// Whole milliseconds for poll(2), rounded up so that a wait never ends early.
  var pollMilliseconds: Int32 {
    let (seconds, attoseconds) = components
    guard seconds < 2_000_000 else { return 2_000_000_000 }
    return Int32(seconds) * 1000 + Int32((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }
}
