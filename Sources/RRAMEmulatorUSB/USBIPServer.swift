internal import Glibc
public import Logging
internal import RRAMEmulator
public import RRAMTransport
internal import Synchronization

/// Serves one board over USB/IP: any Linux machine attaches it with `usbip attach` and sees it on a port of its own.
///
/// USB/IP has no authentication: whoever can connect can attach the board. One host at a time; the list of devices is given to
/// anyone. One thread waits in poll(2).
public final class USBIPServer: Sendable {
  /// The address in force.
  public let address: ListenAddress
  /// True if only processes of this machine can connect.
  public let isLocal: Bool
  /// What `usbip attach -b` names.
  public let busID = "1-1"
  private let thread: ServerThread

  /// Starts serving `endpoint`.
  ///
  /// - Parameters:
  ///   - allowsFaults: answer the requests of ``USBFault``, for tests.
  /// - Throws: `busy` if the port is taken, `badAddress` if there is no such host, `permission`.
  public init(
    _ address: ListenAddress, endpoint: any DeviceEndpoint, description: USBDescription, allowsFaults: Bool = false,
    logger: Logger = Logger(label: "rram.usbip")
  ) throws(TransportError) {
    let listener = try Listener(address)
    self.address = listener.address
    isLocal = listener.isLocal
    thread = try ServerThread(address: address.description) { [busID] waker, isClosing in
      let device = VirtualUSBDevice(
        description, endpoint: endpoint, allowsFaults: allowsFaults, now: { LinkClock.monotonic.now },
        wake: { waker.wake() })
      USBIPLoop(listener: listener, device: device, busID: busID, waker: waker, logger: logger).run(isClosing)
    }
  }

  /// Ends the connections and the thread; the board loses its power.
  public func close() async { await thread.close() }
}

/// The server's thread: everything here is touched by it alone.
private final class USBIPLoop {
  private final class Connection {
    let stream: StreamConnection
    /// When a connection that has not attached anything is closed.
    let expires: Duration
    /// The answer was given; closed as soon as it has left.
    var isDone = false
    /// Nothing can be written any more.
    var isBroken = false
    /// The host does not read: nothing more is taken from it before it does.
    var isChoked: Bool { stream.outputBytes > USBIPLoop.outputLimit }

    init(_ stream: StreamConnection, expires: Duration) {
      self.stream = stream
      self.expires = expires
    }
  }

  private let listener: Listener
  private let device: VirtualUSBDevice
  private let busID: String
  private let waker: PollWaker
  private let logger: Logger
  private var connections: [Connection] = []
  /// The connection whose host has attached the board.
  private var attached: Connection?

  private static let maximumConnections = 8
  /// Time for a request on a new connection.
  private static let patience = Duration.seconds(10)
  /// Bytes for a host that does not read, beyond which the board's answers and the host's commands wait.
  fileprivate static let outputLimit = 1 << 20

  init(listener: Listener, device: VirtualUSBDevice, busID: String, waker: PollWaker, logger: Logger) {
    self.listener = listener
    self.device = device
    self.busID = busID
    self.waker = waker
    self.logger = logger
  }

  func run(_ isClosing: () -> Bool) {
    device.plug()
    while !isClosing() {
      waker.clear()
      answer()
      wait()
      let now = LinkClock.monotonic.now
      for connection in connections where !connection.isDone {
        take(connection)
        if connection !== attached, now >= connection.expires { connection.isDone = true }
      }
      connections.removeAll { connection in
        connection.isDone
          && (connection.isBroken || !connection.stream.hasOutput || now >= connection.expires)
      }
      while let descriptor = listener.accept() {
        // Beyond the bound the connection closes here.
        let stream = StreamConnection(descriptor: descriptor)
        if connections.count < Self.maximumConnections {
          connections.append(Connection(stream, expires: now + Self.patience))
        }
      }
    }
    device.unplug()
  }

  /// Hands over what the board has answered, and ends the session of a board that has left.
  private func answer() {
    // A host that reads nothing gets nothing: the results stay with the board, and no command adds to them.
    if let attached, attached.isChoked { return }
    let results = device.takeResults()
    guard let attached else { return }
    guard device.isPresent else {
      logger.debug("the board has left")
      return end(attached)
    }
    for result in results {
      attached.stream.queue(
        USBIP.submitted(
          UInt32(truncatingIfNeeded: result.id), USBIP.Status(result.status), count: result.count, data: result.bytes))
    }
  }

  private func wait() {
    var entries = [
      pollfd(fd: waker.descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0),
    ]
    for connection in connections {
      if !connection.stream.flush() {
        connection.isBroken = true
        end(connection)
      }
      let interest =
        (connection.isDone || connection.isChoked ? 0 : POLLIN) | (connection.stream.hasOutput ? POLLOUT : 0)
      entries.append(pollfd(fd: connection.stream.descriptor, events: Int16(interest), revents: 0))
    }
    // A finished connection whose answer has left is swept at once.
    let sweeps = connections.contains { $0.isDone && ($0.isBroken || !$0.stream.hasOutput) }
    // What the board has to do by itself waits with its answers.
    let due = attached?.isChoked == true ? nil : device.nextDeadline
    let deadlines = connections.filter { $0 !== attached }.map(\.expires) + [due].compactMap { $0 }
    let limit = deadlines.min().map { pollTimeout(until: $0, now: LinkClock.monotonic.now) } ?? -1
    _ = poll(&entries, nfds_t(entries.count), sweeps ? 0 : limit)
    for (connection, entry) in zip(connections, entries.dropFirst(2)) where !connection.isDone && entry.revents != 0 {
      if Int32(entry.revents) & (POLLIN | POLLHUP | POLLERR) != 0, !connection.stream.fill() { end(connection) }
    }
  }

  /// The connection is over; a board that it held loses its power.
  private func end(_ connection: Connection) {
    connection.isDone = true
    guard connection === attached else { return }
    attached = nil
    if device.isPresent {
      device.unplug()
      device.plug()
    }
    logger.debug("the host is gone")
  }

  private func take(_ connection: Connection) {
    while !connection.isDone, !connection.isChoked {
      if connection === attached {
        guard takeCommand(connection) else { return }
      } else {
        guard takeOperation(connection) else { return }
      }
    }
  }

  /// Answers a request on a connection that holds no board; false if it is not complete.
  private func takeOperation(_ connection: Connection) -> Bool {
    let stream = connection.stream
    guard let header = stream.peek(USBIP.operationHeaderBytes) else { return false }
    switch USBIP.operation(header) {
    case .listDevices:
      stream.skip(USBIP.operationHeaderBytes)
      stream.queue(USBIP.deviceList(device.isPresent ? [record(interfaces: true)] : []))
      connection.isDone = true
    case .attach:
      guard let request = stream.peek(USBIP.operationHeaderBytes + USBIP.busIDBytes) else { return false }
      let wanted = USBIP.busID(request.dropFirst(USBIP.operationHeaderBytes))
      stream.skip(request.count)
      if wanted != busID {
        refuse(connection, .noDevice)
      } else if attached != nil {
        refuse(connection, .busy)
      } else if !device.isPresent {
        refuse(connection, .notAvailable)
      } else {
        stream.queue(USBIP.attached(record(interfaces: false)))
        attached = connection
        logger.debug("a host has attached the board")
      }
    case nil: connection.isDone = true
    }
    return true
  }

  private func refuse(_ connection: Connection, _ refusal: USBIP.Refusal) {
    connection.stream.queue(USBIP.refused(refusal))
    connection.isDone = true
  }

  private func record(interfaces: Bool) -> [UInt8] {
    USBIP.device(
      device.description, busID: busID, configuration: device.configuration, interfaces: interfaces)
  }

  /// Takes one command of the attached host; false if it is not complete.
  private func takeCommand(_ connection: Connection) -> Bool {
    let stream = connection.stream
    guard let header = stream.peek(USBIP.headerBytes) else { return false }
    switch USBIP.command(header) {
    case .submit(let sequence, let endpoint, let isIn, let length, let setup, let dataBytes):
      // Bytes that the board does not take are held within a bound; a kernel keeps to it by itself.
      guard device.bytesWaiting + dataBytes <= USBIP.maximumTransferBytes else {
        logger.error("the host queued more than \(USBIP.maximumTransferBytes) bytes")
        end(connection)
        return false
      }
      guard let whole = stream.peek(USBIP.headerBytes + dataBytes) else { return false }
      let data = Array(whole.dropFirst(USBIP.headerBytes))
      stream.skip(whole.count)
      if endpoint == BoardEndpoint.control {
        var setup = setup
        guard setup.isIn == isIn || setup.length == 0 else {
          stream.queue(USBIP.submitted(sequence, .stalled, count: 0, data: []))
          return true
        }
        setup.length = min(setup.length, UInt16(clamping: length))
        device.submit(control: UInt64(sequence), setup, data: data)
      } else {
        device.submit(USBTransfer(id: UInt64(sequence), endpoint: endpoint, length: length, data: data))
      }
    case .unlink(let sequence, let victim):
      stream.skip(USBIP.headerBytes)
      // What has ended already is answered as such first.
      answer()
      stream.queue(USBIP.unlinked(sequence, device.cancel(UInt64(victim)) ? .unlinked : .done))
    case nil:
      logger.error("the host sent what is no command")
      end(connection)
      return false
    }
    return true
  }
}
