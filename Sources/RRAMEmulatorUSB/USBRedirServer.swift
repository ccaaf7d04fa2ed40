internal import Glibc
public import Logging
internal import RRAMEmulator
public import RRAMTransport

/// Serves one board over usbredir: QEMU and other virtual machine monitors put it on a port of their guest.
///
/// usbredir has no authentication: whoever can connect has the board. One host at a time; another one waits until the first
/// has gone. One thread waits in poll(2).
public final class USBRedirServer: Sendable {
  /// The address in force.
  public let address: ListenAddress
  /// True if only processes of this machine can connect.
  public let isLocal: Bool
  private let thread: ServerThread

  /// Starts serving `endpoint`.
  ///
  /// - Parameters:
  ///   - allowsFaults: answer the requests of ``USBFault``, for tests.
  /// - Throws: `busy` if the address is taken, `badAddress` if there is no such host, `permission`.
  public init(
    _ address: ListenAddress, endpoint: any DeviceEndpoint, description: USBDescription, allowsFaults: Bool = false,
    logger: Logger = Logger(label: "rram.usbredir")
  ) throws(TransportError) {
    let listener = try Listener(address)
    self.address = listener.address
    isLocal = listener.isLocal
    thread = try ServerThread(address: address.description) { waker, isClosing in
      let device = VirtualUSBDevice(
        description, endpoint: endpoint, allowsFaults: allowsFaults, now: { LinkClock.monotonic.now },
        wake: { waker.wake() })
      serve(listener, device, waker, logger, isClosing)
    }
  }

  /// Ends the connection and the thread; the board loses its power.
  public func close() async { await thread.close() }
}

/// Bytes for a host that does not read, beyond which the board's answers and the host's packets wait.
private let outputLimit = 1 << 20
/// Time for a new host to say hello: it keeps the others out.
private let patience = Duration.seconds(10)

private func serve(
  _ listener: Listener, _ device: VirtualUSBDevice, _ waker: PollWaker, _ logger: Logger, _ isClosing: () -> Bool
) {
  device.plug()
  var session: USBRedirSession?
  var expires = Duration.zero
  while !isClosing() {
    waker.clear()
    if session == nil, let descriptor = listener.accept() {
      session = USBRedirSession(StreamConnection(descriptor: descriptor), device, logger)
      expires = LinkClock.monotonic.now + patience
      logger.debug("a host has connected")
    }
    if let open = session {
      if open.stream.outputBytes <= outputLimit { open.answer() }
      if !open.stream.flush() { session = nil }
    } else {
      _ = device.takeResults()
    }
    let isChoked = session.map { $0.stream.outputBytes > outputLimit } ?? false
    var entries = [pollfd(fd: waker.descriptor, events: Int16(POLLIN), revents: 0)]
    if let open = session {
      let interest = (isChoked ? 0 : POLLIN) | (open.stream.hasOutput ? POLLOUT : 0)
      entries.append(pollfd(fd: open.stream.descriptor, events: Int16(interest), revents: 0))
    } else {
      entries.append(pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0))
    }
    // What the board has to do by itself waits with its answers.
    let deadlines = [isChoked ? nil : device.nextDeadline, session?.isReady == false ? expires : nil]
    let limit = deadlines.compactMap { $0 }.min().map { pollTimeout(until: $0, now: LinkClock.monotonic.now) } ?? -1
    _ = poll(&entries, nfds_t(entries.count), limit)
    let happened = Int32(entries[1].revents)
    if let open = session, happened & (POLLIN | POLLHUP | POLLERR) != 0 {
      if !open.stream.fill() || !open.read() { session = nil }
    }
    if session?.isReady == false, LinkClock.monotonic.now >= expires {
      logger.error("the host did not say hello within \(patience)")
      session = nil
    }
    if session == nil, device.configuration != 0 {
      // The port is empty: the board loses its power.
      device.unplug()
      device.plug()
      logger.debug("the host is gone")
    }
  }
  device.unplug()
}
