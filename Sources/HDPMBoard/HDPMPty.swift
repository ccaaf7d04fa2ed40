internal import Foundation
internal import Glibc
public import RRAMTransport
internal import Synchronization

/// Serves a virtual board on a pseudo-terminal in real time, so that any terminal program can talk to it.
///
/// One thread waits in poll(2). Board time is real time since the start.
public final class HDPMPty: Sendable {
  /// The terminal to open, for example `/dev/pts/3`.
  public let path: String
  private let isClosing = Atomic(false)

  /// TIOCSPTLCK = _IOW('T', 0x31, int) and TIOCGPTN = _IOR('T', 0x30, unsigned int) (ioctl_tty(2)).
  private static let setTerminalLock: UInt = 0x4004_5431
  private static let getTerminalNumber: UInt = 0x8004_5430

  /// Starts serving.
  ///
  /// - Parameter onCapture: called on the server's thread with the number and the capture of every run that ended, or with what the
  ///   analog part failed with.
  public init(
    _ board: VirtualHDPM,
    onCapture: @escaping @Sendable (Int, Result<ScopeCapture, any Error>) -> Void
  ) throws(TransportError) {
    let address = "hdpm-emu: on a pseudo-terminal"
    // What posix_openpt(3), unlockpt(3) and ptsname(3) do, which the Glibc module does not show.
    let master = Glibc.open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
    guard master >= 0 else { throw TransportError(errno: errno, "cannot make a pseudo-terminal", address: address) }
    var number: UInt32 = 0
    var unlocked: Int32 = 0
    guard ioctl(master, Self.setTerminalLock, &unlocked) == 0, ioctl(master, Self.getTerminalNumber, &number) == 0
    else {
      let number = errno
      Glibc.close(master)
      throw TransportError(errno: number, "cannot make a pseudo-terminal", address: address)
    }
    let path = "/dev/pts/\(number)"
    // This side keeps the terminal open: else its settings would fall back to echo and line editing after every client.
    let terminal = Glibc.open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
    var settings = termios()
    guard terminal >= 0, tcgetattr(terminal, &settings) == 0 else {
      let number = errno
      Glibc.close(master)
      throw TransportError(errno: number, "cannot open \(path)", address: address)
    }
    cfmakeraw(&settings)
    cfsetispeed(&settings, speed_t(B9600))
    cfsetospeed(&settings, speed_t(B9600))
    tcsetattr(terminal, TCSANOW, &settings)
    self.path = path
    // The board is powered up before anybody can open the terminal.
    let clock = SystemSerialClock()
    let thread = Thread { [weak self] in
      var server = Server(board: board, master: master, terminal: terminal, onCapture: onCapture, clock: clock)
      server.run { self?.isClosing.load(ordering: .acquiring) ?? true }
      Glibc.close(terminal)
      Glibc.close(master)
    }
    thread.name = "rram.hdpm"
    thread.start()
  }

  /// Ends the thread within a tenth of a second; the terminal is then gone for its client, as an adapter that is pulled out.
  public func close() { isClosing.store(true, ordering: .releasing) }

  private struct Server {
    var board: VirtualHDPM
    let master: Int32
    let terminal: Int32
    let onCapture: @Sendable (Int, Result<ScopeCapture, any Error>) -> Void
    let clock: SystemSerialClock

    mutating func run(isClosing: () -> Bool) {
      while !isClosing() {
        play(to: clock.now)
        var wait: Int32 = 100
        if let next = board.firmware.nextEvent {
          let left = next - clock.now
          wait = left <= .zero ? 0 : min(100, Int32(left.components.attoseconds / 1_000_000_000_000_000) + 1)
        }
        var entry = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, wait) > 0 else { continue }
        var buffer = [UInt8](repeating: 0, count: 512)
        let count = buffer.withUnsafeMutableBytes { Glibc.read(master, $0.baseAddress, $0.count) }
        guard count > 0 else { continue }
        // Time has passed in poll; the bytes start to arrive now, not at the last advance.
        play(to: clock.now)
        board.receive(Array(buffer[..<count]))
      }
    }

    private mutating func play(to time: Duration) {
      let result = board.advance(to: time)
      send(result.bytes)
      for (run, capture) in result.captures { onCapture(run, capture) }
    }

    /// A full terminal loses bytes, as a line that nobody listens to does.
    private func send(_ bytes: [UInt8]) {
      guard !bytes.isEmpty else { return }
      _ = bytes.withUnsafeBytes { Glibc.write(master, $0.baseAddress, $0.count) }
    }
  }
}
