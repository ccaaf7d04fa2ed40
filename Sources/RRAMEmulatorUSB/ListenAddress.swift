internal import Glibc
internal import RRAMTransport

/// Where a server listens: a Unix socket or a TCP port.
public enum ListenAddress: Sendable, Hashable, CustomStringConvertible {
  /// A socket file with mode 0600.
  case unix(path: String)
  /// Port 0 is one that the system chooses.
  case tcp(host: String, port: UInt16)

  public var description: String {
    switch self {
    case .unix(let path): "unix:\(path)"
    case .tcp: "tcp:\(hostAndPort)"
    }
  }

  /// `HOST:PORT`, or the path of a socket.
  public var hostAndPort: String {
    switch self {
    case .unix(let path): path
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
  }

  /// Parses `unix:PATH` or `tcp:HOST:PORT`; an IPv6 address stands in brackets.
  public init?(_ text: String) {
    if text.hasPrefix("unix:"), text.utf8.count > 5 {
      self = .unix(path: String(text.dropFirst(5)))
    } else if text.hasPrefix("tcp:") {
      self.init(hostAndPort: String(text.dropFirst(4)))
    } else {
      return nil
    }
  }

  /// Parses `HOST:PORT`; an IPv6 address stands in brackets.
  public init?(hostAndPort text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      return nil
    }
    guard !host.isEmpty else { return nil }
    self = .tcp(host: String(host), port: port)
  }
}

/// A listening socket, and what belongs to it; closes it at the end.
final class Listener: Sendable {
  let descriptor: Int32
  /// The address in force, with the port that the system chose.
  let address: ListenAddress
  /// Only processes of this machine can connect.
  let isLocal: Bool
  private let lock: Int32?

  init(_ wanted: ListenAddress) throws(TransportError) {
    switch wanted {
    case .unix(let path):
      let (socket, lock) = try SocketFile.listen(path: path, address: wanted.description)
      (descriptor, self.lock, address, isLocal) = (socket, lock, wanted, true)
    case .tcp(let host, let port):
      let found = try Self.listen(host, port, wanted.description)
      descriptor = found.descriptor
      lock = nil
      isLocal = found.isLocal
      address = .tcp(host: host, port: found.port)
    }
  }

  deinit {
    // The file goes before the lock: whoever gets the lock next finds no stale file of ours.
    if case .unix(let path) = address { unlink(path) }
    close(descriptor)
    if let lock { close(lock) }
  }

  /// The next connection, `nil` if none waits.
  func accept() -> Int32? {
    guard let descriptor = SocketFile.accept(descriptor) else { return nil }
    if case .tcp = address {
      var one: Int32 = 1
      let size = socklen_t(MemoryLayout<Int32>.size)
      // Small answers must not wait for each other; a host that vanished is noticed within some ten seconds.
      setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, size)
      setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &one, size)
      for (option, value) in [(TCP_KEEPIDLE, 5), (TCP_KEEPINTVL, 2), (TCP_KEEPCNT, 3), (TCP_USER_TIMEOUT, 10_000)] {
        var number = Int32(value)
        setsockopt(descriptor, Int32(IPPROTO_TCP), option, &number, size)
      }
    }
    return descriptor
  }

  private static func listen(
    _ host: String, _ port: UInt16, _ name: String
  ) throws(TransportError) -> (descriptor: Int32, port: UInt16, isLocal: Bool) {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_PASSIVE
    var list: UnsafeMutablePointer<addrinfo>?
    let rc = getaddrinfo(host, String(port), &hints, &list)
    guard rc == 0, list != nil else {
      let reason = gai_strerror(rc).map { String(cString: $0) } ?? "unknown error"
      throw TransportError(.badAddress, "cannot find '\(host)': \(reason)", address: name)
    }
    defer { freeaddrinfo(list) }
    // A name may stand for addresses of families that this machine lacks.
    var next = list
    var failure = TransportError(.badAddress, "cannot find '\(host)'", address: name)
    while let info = next?.pointee {
      next = info.ai_next
      guard let address = info.ai_addr else { continue }
      do throws(TransportError) {
        let descriptor = try listen(info, address, name)
        return (descriptor, boundPort(descriptor) ?? port, isLoopback(address))
      } catch {
        failure = error
      }
    }
    throw failure
  }

  private static func listen(
    _ info: addrinfo, _ address: UnsafePointer<sockaddr>, _ name: String
  ) throws(TransportError) -> Int32 {
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    let descriptor = socket(info.ai_family, kind, 0)
    guard descriptor >= 0 else { throw TransportError(errno: errno, "cannot make a socket", address: name) }
    var one: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
    guard bind(descriptor, address, info.ai_addrlen) == 0, Glibc.listen(descriptor, 8) == 0 else {
      let number = errno
      close(descriptor)
      throw TransportError(errno: number, "cannot serve", address: name)
    }
    return descriptor
  }

  private static func boundPort(_ descriptor: Int32) -> UInt16? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let rc = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    guard rc == 0 else { return nil }
    // The port stands at the same place in both families.
    return withUnsafeBytes(of: &storage) { UInt16($0[2]) << 8 | UInt16($0[3]) }
  }

  private static func isLoopback(_ address: UnsafePointer<sockaddr>) -> Bool {
    let raw = UnsafeRawBufferPointer(
      start: address,
      count: address.pointee.sa_family == AF_INET
        ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size)
    switch Int32(address.pointee.sa_family) {
    case AF_INET: return raw[4] == 127
    // ::1 after family, port and flow label.
    case AF_INET6: return raw[8..<23].allSatisfy { $0 == 0 } && raw[23] == 1
    default: return false
    }
  }
}
