internal import Glibc
internal import Synchronization

/// Serves one board on a Unix socket, mode 0600: one host is attached at a time, control requests are answered for anyone.
///
/// One thread waits in poll(2). A second host is told that the board is busy. A socket file that a dead server left is
/// replaced; anything else at the path is refused.
public final class UnixSocketServer: Sendable {
  public let address: String
  public let path: String
  private let waker: PollWaker
  private let isClosing = Atomic(false)
  private let ended: BytePipe

  /// Connections held at once; more are closed at once.
  static let maximumConnections = 8

  /// Starts serving `endpoint` at `path`.
  ///
  /// - Throws: `busy` if another process serves the path, `badAddress` if it is too long, `permission` if something that is
  ///   not a socket of this user is there or others could replace it.
  public init(
    path: String, endpoint: any DeviceEndpoint, capacity: Int = DeviceLink.defaultCapacity
  ) throws(TransportError) {
    let address = "sock:\(path)"
    self.address = address
    self.path = path
    let waker = try PollWaker(address: address)
    self.waker = waker
    ended = BytePipe(capacity: 1, address: address)
    let (listener, lock) = try SocketFile.listen(path: path, address: address)
    let loop = Loop(
      address: address, endpoint: endpoint, capacity: capacity, waker: waker, listener: listener)
    let ended = ended
    let rc = startThread { [weak self] in
      loop.run { self?.isClosing.load(ordering: .acquiring) ?? true }
      // The file goes before the lock: whoever gets the lock next finds no stale file of ours.
      unlink(path)
      Glibc.close(listener)
      Glibc.close(lock)
      ended.finish(TransportError(.closed, "the server was closed", address: address))
    }
    guard rc == 0 else {
      unlink(path)
      Glibc.close(listener)
      Glibc.close(lock)
      throw TransportError(errno: rc, "cannot start a thread", address: address)
    }
  }

  deinit { waker.wake() }

  /// Ends the attached link, removes the socket file and ends the thread.
  public func close() async {
    isClosing.store(true, ordering: .releasing)
    waker.wake()
    // Ends with an error by design: the pipe only marks the end of the thread. A cancelled caller waits as well, or the
    // socket file would be left behind.
    let ended = ended
    await Task { _ = try? await ended.take() }.value
  }

  /// One accepted connection; touched by the server's thread only.
  private final class Connection {
    var stream: SocketStream
    var link: DeviceLink?
    /// A refused host: closed as soon as the refusal has left.
    var isRefused = false
    let doorbell = LatestDoorbell()

    init(stream: consuming SocketStream) { self.stream = stream }
  }

  private struct Loop: Sendable {
    let address: String
    let endpoint: any DeviceEndpoint
    let capacity: Int
    let waker: PollWaker
    let listener: Int32

    func run(isClosing: () -> Bool) {
      var connections: [Connection] = []
      while !isClosing() {
        waker.clear()
        for connection in connections { pump(connection) }
        var entries = [
          pollfd(fd: waker.descriptor, events: Int16(POLLIN), revents: 0),
          pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
        ]
        for connection in connections {
          let wantsInput = connection.link?.inbound.hasRoom ?? true
          let interest = (wantsInput ? POLLIN : 0) | (connection.stream.hasOutput ? POLLOUT : 0)
          entries.append(pollfd(fd: connection.stream.descriptor, events: Int16(interest), revents: 0))
        }
        _ = poll(&entries, nfds_t(entries.count), -1)
        var kept: [Connection] = []
        for (connection, entry) in zip(connections, entries.dropFirst(2)) {
          if serve(connection, happened: Int32(entry.revents), others: connections) {
            kept.append(connection)
          } else {
            drop(connection)
          }
        }
        connections = kept
        while let descriptor = SocketFile.accept(listener) {
          let stream = SocketStream(descriptor: descriptor, address: address)
          // Beyond the bound the stream dies here, which closes the connection.
          if connections.count < UnixSocketServer.maximumConnections {
            connections.append(Connection(stream: stream))
          }
        }
      }
      for connection in connections { drop(connection) }
    }

    /// Moves what the board has written to the socket's queue, one piece at a time: the board's queue keeps the bound.
    private func pump(_ connection: Connection) {
      guard let link = connection.link else { return }
      if let doorbell = connection.doorbell.take() {
        connection.stream.queue(SocketPacket(kind: .event, bytes: [SocketEvent.doorbell] + doorbell.bytes))
      }
      // A failed write shows in poll as a hang-up; the connection ends there.
      try? connection.stream.flush()
      while !connection.stream.hasOutput, case .bytes(let bytes) = link.outbound.tryTake() {
        connection.stream.queue(SocketPacket(kind: .data, bytes: bytes))
        try? connection.stream.flush()
      }
    }

    /// Reads and answers; false when the connection is to be dropped.
    private func serve(_ connection: Connection, happened: Int32, others: [Connection]) -> Bool {
      do throws(TransportError) {
        try connection.stream.flush()
        if connection.isRefused && !connection.stream.hasOutput { return false }
        guard happened & (POLLIN | POLLHUP | POLLERR) != 0 else { return true }
        var open = true
        repeat {
          open = try connection.stream.fill()
          while let packet = try connection.stream.nextPacket() { handle(packet, of: connection, others: others) }
        } while open && happened & POLLHUP != 0
        try connection.stream.flush()
        return open && !(connection.isRefused && !connection.stream.hasOutput)
      } catch {
        return false
      }
    }

    private func handle(_ packet: SocketPacket, of connection: Connection, others: [Connection]) {
      switch packet.kind {
      case .data:
        if connection.link == nil, !connection.isRefused { attach(connection, others: others) }
        _ = connection.link?.inbound.tryPut(packet.bytes, force: true)
      case .controlRequest:
        connection.stream.queue(SocketPacket(kind: .controlReply, bytes: answer(packet.bytes)))
      case .controlReply, .event:
        // Only the device side sends these.
        break
      }
    }

    private func attach(_ connection: Connection, others: [Connection]) {
      guard !others.contains(where: { $0.link != nil }) else {
        connection.isRefused = true
        connection.stream.queue(SocketPacket(kind: .event, bytes: [SocketEvent.busy]))
        return
      }
      let waker = waker
      let latest = connection.doorbell
      let link = DeviceLink(
        endpoint: endpoint, capacity: capacity, address: address, outboundArrived: { waker.wake() },
        inboundFreed: { waker.wake() },
        doorbell: { bell in
          latest.set(bell)
          waker.wake()
        })
      connection.link = link
      connection.stream.queue(SocketPacket(kind: .event, bytes: [SocketEvent.attached]))
      endpoint.linkUp(link)
    }

    private func answer(_ bytes: [UInt8]) -> [UInt8] {
      guard let code = bytes.first, let request = ControlRequest(rawValue: code) else {
        return [1] + Array("unknown control request \(bytes.first.map(String.init) ?? "without a code")".utf8)
      }
      do throws(TransportError) {
        return [0] + (try endpoint.control(request, data: Array(bytes.dropFirst())))
      } catch {
        return [1] + Array(error.message.utf8)
      }
    }

    private func drop(_ connection: Connection) {
      guard let link = connection.link else { return }
      connection.link = nil
      let reason = TransportError(.closed, "the host is gone", address: address)
      link.inbound.finish(reason, discarding: true)
      link.outbound.finish(reason, discarding: true)
      endpoint.linkLost()
    }
  }
}
