internal import Dispatch
internal import Glibc
public import RRAMTransport
internal import Synchronization

/// A serial port of this machine: raw, 9600 8N1, no flow control, held exclusively.
///
/// Waits run on the port's own queue with poll(2), never on the cooperative pool.
public final class SerialPort: SerialLine {
  public let address: String
  public let path: String
  private let clock: any SerialClock
  private let queue: DispatchQueue
  /// −1 once closed; touched on the queue only.
  private let descriptor: Mutex<Int32>

  /// Longest time the line may take to accept a command.
  private static let writeTime = Duration.milliseconds(500)

  /// Opens the port.
  ///
  /// - Throws: `notFound` if there is no such file, `busy` if another process holds it, `permission`, or `badAddress` if the file is no
  ///   serial port.
  public static func open(
    path: String, address: String, clock: any SerialClock
  ) throws(TransportError) -> SerialPort {
    let descriptor = Glibc.open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else {
      let number = errno
      throw TransportError(errno: number, "cannot open the serial port", address: address)
    }
    do throws(TransportError) {
      try prepare(descriptor, address: address)
    } catch {
      Glibc.close(descriptor)
      throw error
    }
    return SerialPort(descriptor, path: path, address: address, clock: clock)
  }

  private init(_ descriptor: Int32, path: String, address: String, clock: any SerialClock) {
    self.address = address
    self.path = path
    self.clock = clock
    self.descriptor = Mutex(descriptor)
    queue = DispatchQueue(label: "rram.serial")
  }

  private static func prepare(_ descriptor: Int32, address: String) throws(TransportError) {
    guard isatty(descriptor) == 1 else {
      throw TransportError(.badAddress, "the file is not a serial port", address: address)
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let number = errno
      let code: TransportError.Code = number == EWOULDBLOCK ? .busy : .io
      throw TransportError(code, "another process holds the serial port", address: address, errno: number)
    }
    // The lock serves among programs that ask for it, the mark among those that do not; root passes the mark. On a pseudo-terminal the mark
    // would outlive a client that was killed, because the server has it open as well.
    if !isPseudoTerminal(descriptor), ioctl(descriptor, UInt(TIOCEXCL), 0) != 0 {
      throw TransportError(errno: errno, "cannot hold the serial port exclusively", address: address)
    }
    var settings = termios()
    guard tcgetattr(descriptor, &settings) == 0 else {
      throw TransportError(errno: errno, "cannot read the port's settings", address: address)
    }
    cfmakeraw(&settings)
    settings.c_cflag |= tcflag_t(CLOCAL | CREAD | CS8)
    // HUPCL would drop DTR at the end, which some adapters pass on as a reset.
    settings.c_cflag &= ~(tcflag_t(CSTOPB) | tcflag_t(PARENB) | tcflag_t(HUPCL) | tcflag_t(CRTSCTS))
    settings.c_iflag &= ~(tcflag_t(IXON) | tcflag_t(IXOFF))
    guard cfsetispeed(&settings, speed_t(B9600)) == 0, cfsetospeed(&settings, speed_t(B9600)) == 0,
      tcsetattr(descriptor, TCSANOW, &settings) == 0
    else { throw TransportError(errno: errno, "cannot set 9600 8N1", address: address) }
    // tcsetattr(3) succeeds if any change could be made, so the result is read back.
    var actual = termios()
    guard tcgetattr(descriptor, &actual) == 0, cfgetospeed(&actual) == speed_t(B9600),
      actual.c_cflag & tcflag_t(CSIZE) == tcflag_t(CS8)
    else { throw TransportError(.io, "the adapter does not take 9600 8N1", address: address) }
    tcflush(descriptor, TCIOFLUSH)
  }

  /// Major numbers 136 to 143 (Linux's devices.txt).
  private static func isPseudoTerminal(_ descriptor: Int32) -> Bool {
    var status = stat()
    return fstat(descriptor, &status) == 0 && (136...143).contains((status.st_rdev >> 8) & 0xFFF)
  }

  deinit { Self.release(descriptor.withLock { $0 }) }

  private static func release(_ descriptor: Int32) {
    guard descriptor >= 0 else { return }
    // The mark would outlive this descriptor while another process has the port open.
    _ = ioctl(descriptor, UInt(TIOCNXCL), 0)
    Glibc.close(descriptor)
  }

  public func write(_ bytes: [UInt8]) async throws(TransportError) {
    let address = address
    let result: Result<Void, TransportError> = await perform { [clock] descriptor in
      let deadline = clock.now + Self.writeTime
      var sent = 0
      while sent < bytes.count {
        let count = bytes[sent...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count > 0 {
          sent += count
          continue
        }
        let number = errno
        if number == EINTR { continue }
        guard number == EAGAIN else { return .failure(Self.gone(number, address)) }
        guard clock.now < deadline else {
          return .failure(TransportError(.timedOut, "the port took \(sent) of \(bytes.count) bytes", address: address))
        }
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&entry, 1, 50)
      }
      return .success(())
    }
    try result.get()
  }

  public func read(until deadline: Duration) async throws(TransportError) -> [UInt8] {
    let address = address
    let result: Result<[UInt8], TransportError> = await perform { [clock] descriptor in
      var buffer = [UInt8](repeating: 0, count: 256)
      while true {
        let left = deadline - clock.now
        let milliseconds = max(
          0,
          Int32(clamping: left.components.seconds * 1000)
            + Int32(left.components.attoseconds / 1_000_000_000_000_000))
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let ready = poll(&entry, 1, left > .zero ? max(1, milliseconds) : 0)
        if ready < 0 {
          if errno == EINTR { continue }
          return .failure(Self.gone(errno, address))
        }
        if ready > 0 {
          let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
          if count > 0 { return .success(Array(buffer[..<count])) }
          let number = count == 0 ? ENODEV : errno
          if number != EAGAIN && number != EINTR { return .failure(Self.gone(number, address)) }
          let lost = Int16(POLLHUP) | Int16(POLLERR) | Int16(POLLNVAL)
          if entry.revents & lost != 0 { return .failure(Self.gone(ENODEV, address)) }
        }
        if clock.now >= deadline { return .success([]) }
      }
    }
    return try result.get()
  }

  public func close() async {
    await withCheckedContinuation { continuation in
      queue.async { [self] in
        let old = descriptor.withLock { descriptor in
          defer { descriptor = -1 }
          return descriptor
        }
        Self.release(old)
        continuation.resume()
      }
    }
  }

  private static func gone(_ number: Int32, _ address: String) -> TransportError {
    TransportError(.closed, "the adapter is gone", address: address, errno: number)
  }

  /// Runs blocking work on the port's queue.
  private func perform<R: Sendable>(
    _ body: @escaping @Sendable (Int32) -> Result<R, TransportError>
  ) async -> Result<R, TransportError> {
    await withCheckedContinuation { continuation in
      queue.async { [self] in
        let descriptor = descriptor.withLock { $0 }
        guard descriptor >= 0 else {
          continuation.resume(
            returning: .failure(TransportError(.closed, "the serial port was closed", address: address)))
          return
        }
        continuation.resume(returning: body(descriptor))
      }
    }
  }
}
