import Glibc
import RRAMEmulatorUSB

/// A blocking client of a server on the loopback, with a bound on every wait.
final class TestClient {
  private let descriptor: Int32

  struct Failed: Error {}

  init(_ address: ListenAddress) throws {
    guard case .tcp(_, let port) = address else { throw Failed() }
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let rc = withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard rc == 0 else { throw Failed() }
  }

  deinit { close(descriptor) }

  /// Sends all of it; a server that has hung up shows in what is read.
  func send(_ bytes: [UInt8]) {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress.map { $0 + sent }, $0.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return }
      sent += count
    }
  }

  /// The next `count` bytes; fewer at the end of the stream.
  func receive(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var got = 0
    while got < count {
      let n = bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress.map { $0 + got }, count - got, 0) }
      guard n > 0 else { break }
      got += n
    }
    return Array(bytes.prefix(got))
  }

  /// True if the server has hung up; a server that is merely silent until the time is over has not.
  var isAtEnd: Bool {
    var byte: UInt8 = 0
    let count = recv(descriptor, &byte, 1, 0)
    return count == 0 || count < 0 && errno == ECONNRESET
  }

  /// Sends the same bytes again and again without reading anything, until the server takes no more for four seconds, or has taken
  /// `most`; how many it took.
  func flood(_ bytes: [UInt8], most: Int) -> Int {
    var sent = 0
    while sent < most {
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
      }
      if count > 0 {
        sent += count
        // A part of it would make another message of the next.
        if count < bytes.count { send(Array(bytes.dropFirst(count))) }
      } else {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard errno == EAGAIN, poll(&entry, 1, 4000) > 0 else { break }
      }
    }
    return sent
  }
}
