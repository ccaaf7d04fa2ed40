internal import Glibc

/// One non-blocking stream of bytes with a queue in each direction; touched by one thread only.
final class StreamConnection {
  let descriptor: Int32
  private var input: [UInt8] = []
  private var consumed = 0
  private var output: [UInt8] = []
  private var written = 0

  init(descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  var hasOutput: Bool { written < output.count }
  var outputBytes: Int { output.count - written }
  var inputBytes: Int { input.count - consumed }

  /// Bytes that came and were not taken; the next `count` of them, or `nil` if fewer are there.
  func peek(_ count: Int) -> ArraySlice<UInt8>? {
    guard inputBytes >= count else { return nil }
    return input[consumed..<consumed + count]
  }

  func skip(_ count: Int) {
    consumed += count
    if consumed == input.count {
      input.removeAll(keepingCapacity: input.capacity <= 1 << 17)
      consumed = 0
    } else if consumed >= 1 << 16 {
      input.removeFirst(consumed)
      consumed = 0
    }
  }

  func queue(_ bytes: some Sequence<UInt8>) {
    if !hasOutput {
      output.removeAll(keepingCapacity: output.capacity <= 1 << 17)
      written = 0
    }
    output += bytes
  }

  /// Writes what the socket takes now; false once it is broken.
  func flush() -> Bool {
    while written < output.count {
      // MSG_NOSIGNAL: a peer that is gone is an error number here, not SIGPIPE.
      let count = output.withUnsafeBytes { bytes in
        send(descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written, Int32(MSG_NOSIGNAL))
      }
      if count > 0 {
        written += count
      } else if errno == EAGAIN {
        return true
      } else if errno != EINTR {
        return false
      }
    }
    return true
  }

  /// Reads what is there once; false at the end of the stream, or once it is broken.
  func fill() -> Bool {
    let room = 1 << 16
    let start = input.count
    input.append(contentsOf: repeatElement(0, count: room))
    let count = input.withUnsafeMutableBytes { bytes in
      recv(descriptor, bytes.baseAddress.map { $0 + start }, room, 0)
    }
    let number = errno
    input.removeLast(room - max(0, count))
    return count > 0 || count < 0 && (number == EAGAIN || number == EINTR)
  }
}
