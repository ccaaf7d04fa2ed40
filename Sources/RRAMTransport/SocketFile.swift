internal import Glibc

/// System calls on Unix sockets, each mapped to ``TransportError`` once.
package enum SocketFile {
  /// `sun_path` holds this many bytes with the closing 0 (unix(7)).
  static let maximumPathLength = 107

  static func checkPath(_ path: String, address: String) throws(TransportError) {
    let length = path.utf8.count
    guard length > 0, !path.utf8.contains(0) else {
      throw TransportError(.badAddress, "the socket path is empty", address: address)
    }
    guard length <= maximumPathLength else {
      throw TransportError(
        .badAddress, "the socket path has \(length) bytes, at most \(maximumPathLength) are possible", address: address)
    }
  }

  /// Runs `body` with the address structure of `path`.
  private static func withAddress<R>(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(maximumPathLength)) }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
  }

  private static func makeSocket(address: String) throws(TransportError) -> Int32 {
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    let descriptor = socket(AF_UNIX, kind, 0)
    guard descriptor >= 0 else { throw TransportError(errno: errno, "cannot make a socket", address: address) }
    return descriptor
  }

  /// Connects to the socket at `path`, which must be a socket of this user or of root and no symbolic link.
  static func connect(path: String, address: String) throws(TransportError) -> Int32 {
    try checkPath(path, address: address)
    var status = stat()
    guard lstat(path, &status) == 0 else {
      throw TransportError(errno: errno, "no board is served there", address: address)
    }
    guard status.st_mode & S_IFMT == S_IFSOCK else {
      throw TransportError(.badAddress, "the file is not a socket", address: address)
    }
    guard status.st_uid == geteuid() || status.st_uid == 0 else {
      throw TransportError(.permission, "the socket belongs to user \(status.st_uid)", address: address)
    }
    let descriptor = try makeSocket(address: address)
    // A Unix socket connects at once, or says EAGAIN when the server's queue is full (connect(2)).
    let rc = withAddress(path) { Glibc.connect(descriptor, $0, $1) }
    guard rc == 0 else {
      let number = errno
      Glibc.close(descriptor)
      if number == EAGAIN { throw TransportError(.busy, "the server's queue is full", address: address, errno: number) }
      throw TransportError(errno: number, "no board answers", address: address)
    }
    return descriptor
  }

  /// A listening socket at `path` with mode 0600, and the lock file that makes this process its only server.
  package static func listen(path: String, address: String) throws(TransportError) -> (socket: Int32, lock: Int32) {
    try checkPath(path, address: address)
    try checkDirectory(of: path, address: address)
    let lock = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard lock >= 0 else { throw TransportError(errno: errno, "cannot open the lock file", address: address) }
    do throws(TransportError) {
      guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
        let number = errno
        throw number == EWOULDBLOCK
          ? TransportError(.busy, "another process serves this socket", address: address, errno: number)
          : TransportError(errno: number, "cannot lock", address: address)
      }
      return (try bindSocket(path: path, address: address), lock)
    } catch {
      Glibc.close(lock)
      throw error
    }
  }

  private static func bindSocket(path: String, address: String) throws(TransportError) -> Int32 {
    var status = stat()
    if lstat(path, &status) == 0 {
      // Under the lock nobody serves this path any more; only a socket of ours is ours to remove.
      guard status.st_mode & S_IFMT == S_IFSOCK, status.st_uid == geteuid() else {
        throw TransportError(.permission, "the path exists and is not a socket of this user", address: address)
      }
      if let open = try? connect(path: path, address: address) {
        Glibc.close(open)
        throw TransportError(.busy, "another process serves this socket", address: address)
      }
      guard unlink(path) == 0 else {
        throw TransportError(errno: errno, "cannot remove the stale socket", address: address)
      }
    } else if errno != ENOENT {
      throw TransportError(errno: errno, "cannot look at the path", address: address)
    }
    let descriptor = try makeSocket(address: address)
    // Linux gives the new file the mode of the socket's inode (net/unix/af_unix.c, unix_bind): no moment with another mode,
    // and no change of the umask, which the whole process shares.
    var rc = fchmod(descriptor, 0o600)
    if rc == 0 { rc = withAddress(path) { bind(descriptor, $0, $1) } }
    if rc == 0 { rc = Glibc.listen(descriptor, 8) }
    guard rc == 0 else {
      let number = errno
      Glibc.close(descriptor)
      throw TransportError(errno: number, "cannot serve", address: address)
    }
    return descriptor
  }

  /// Others must not be able to replace the socket: the directory is ours or root's, and writable for others only if sticky.
  private static func checkDirectory(of path: String, address: String) throws(TransportError) {
    let directory: String
    if let slash = path.lastIndex(of: "/") {
      directory = slash == path.startIndex ? "/" : String(path[..<slash])
    } else {
      directory = "."
    }
    var status = stat()
    guard stat(directory, &status) == 0 else {
      throw TransportError(errno: errno, "no directory \(directory)", address: address)
    }
    let writableForOthers = status.st_mode & (S_IWGRP | S_IWOTH) != 0
    guard status.st_uid == geteuid() || status.st_uid == 0, !writableForOthers || status.st_mode & S_ISVTX != 0 else {
      throw TransportError(.permission, "others can replace files in \(directory)", address: address)
    }
  }

  /// The next connection, `nil` if none waits.
  package static func accept(_ listener: Int32) -> Int32? {
    let descriptor = Glibc.accept(listener, nil, nil)
    guard descriptor >= 0 else { return nil }
    // accept4 is hidden without _GNU_SOURCE. Nothing in this process forks without exec's own descriptor list.
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    return descriptor
  }
}

/// Wakes a thread that waits in poll(2).
package final class PollWaker: Sendable {
  /// Readable after ``wake()``.
  package let descriptor: Int32
  private let sender: Int32

  package init(address: String) throws(TransportError) {
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    var pair: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, kind, 0, &pair) == 0 else {
      throw TransportError(errno: errno, "cannot make a socket pair", address: address)
    }
    descriptor = pair[0]
    sender = pair[1]
  }

  deinit {
    Glibc.close(descriptor)
    Glibc.close(sender)
  }

  /// A full pair is as good as one byte: the thread will wake.
  package func wake() {
    var one: UInt8 = 1
    _ = send(sender, &one, 1, Int32(MSG_NOSIGNAL))
  }

  package func clear() {
    var bytes: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    withUnsafeMutableBytes(of: &bytes) { while recv(descriptor, $0.baseAddress, $0.count, 0) > 0 {} }
  }
}

/// One non-blocking stream of packets; touched by one thread only.
struct SocketStream: ~Copyable {
  let descriptor: Int32
  private var parser = SocketPacketParser()
  private var output: [UInt8] = []
  private var written = 0
  private var scratch = [UInt8](repeating: 0, count: 65536)
  private let address: String

  init(descriptor: consuming Int32, address: String) {
    self.descriptor = descriptor
    self.address = address
  }

  deinit { Glibc.close(descriptor) }

  var hasOutput: Bool { written < output.count }

  mutating func queue(_ packet: SocketPacket) {
    if !hasOutput {
      output.removeAll(keepingCapacity: true)
      written = 0
    }
    packet.append(to: &output)
  }

  /// Writes what the socket takes now.
  mutating func flush() throws(TransportError) {
    while written < output.count {
      // MSG_NOSIGNAL: a peer that is gone is an error number here, not SIGPIPE.
      let count = output.withUnsafeBytes { bytes in
        send(descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written, Int32(MSG_NOSIGNAL))
      }
      if count > 0 {
        written += count
      } else {
        let number = errno
        if number == EAGAIN { return }
        if number != EINTR { throw TransportError(errno: number, "cannot send", address: address) }
      }
    }
  }

  /// Reads what is there once; false at the end of the stream.
  mutating func fill() throws(TransportError) -> Bool {
    let count = scratch.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
    if count > 0 {
      parser.append(scratch[..<count])
      return true
    }
    if count == 0 { return false }
    let number = errno
    guard number == EAGAIN || number == EINTR else {
      throw TransportError(errno: number, "cannot receive", address: address)
    }
    return true
  }

  mutating func nextPacket() throws(TransportError) -> SocketPacket? { try parser.next(address: address) }
}

/// Event codes of ``SocketPacket/Kind/event``.
enum SocketEvent {
  static let attached: UInt8 = 0
  static let busy: UInt8 = 1
  static let doorbell: UInt8 = 2
}
