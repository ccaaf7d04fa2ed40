internal import Glibc

/// A file that grows piece by piece; each piece is handed to the kernel at once, on a thread of its own.
///
/// What was handed over survives a crash of this process.
final class AppendedFile: Sendable {
  private let path: String
  private let address: String
  private let pieces: BytePipe
  private let written: BytePipe
  /// Locked from making a piece to handing it over.
  private let order: Monitor<BytePipe>

  /// - Parameters:
  ///   - address: named in errors.
  ///   - followsLinks: false refuses a symbolic link.
  /// - Throws: `io` if the file cannot be made: that is no fault of the board's.
  init(path: String, address: String, followsLinks: Bool) throws(TransportError) {
    self.path = path
    self.address = address
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | (followsLinks ? 0 : O_NOFOLLOW)
    let descriptor = open(path, flags, 0o644)
    guard descriptor >= 0 else {
      throw TransportError(.io, "cannot write \(path)", address: address, errno: errno)
    }
    let pieces = BytePipe(capacity: 4 << 20, address: address)
    let written = BytePipe(capacity: 1, address: address)
    self.pieces = pieces
    order = Monitor(pieces)
    self.written = written
    // The disk may be slow; it gets a thread of its own.
    let rc = startThread { written.finish(Self.write(pieces, to: descriptor, path: path, address: address)) }
    guard rc == 0 else {
      Glibc.close(descriptor)
      throw TransportError(errno: rc, "cannot start a thread", address: address)
    }
  }

  deinit { end() }

  /// Writes until the pipe ends, then to the disk; blocks its thread. The reason's code is `closed` when all went well.
  private static func write(
    _ pieces: BytePipe, to descriptor: Int32, path: String, address: String
  ) -> TransportError {
    defer { Glibc.close(descriptor) }
    func failure() -> TransportError { TransportError(.io, "cannot write \(path)", address: address, errno: errno) }
    while case .bytes(let bytes) = pieces.takeBlocking(atMost: nil) {
      var offset = 0
      while offset < bytes.count {
        let count = bytes.withUnsafeBytes {
          Glibc.write(descriptor, $0.baseAddress.map { $0 + offset }, $0.count - offset)
        }
        if count < 0 {
          if errno == EINTR { continue }
          let error = failure()
          pieces.finish(error, discarding: true)
          return error
        }
        offset += count
      }
    }
    // A pipe has no disk below it (fsync(2): EINVAL, EROFS).
    guard fsync(descriptor) == 0 || errno == EINVAL || errno == EROFS else { return failure() }
    return TransportError(.closed, "\(path) has ended", address: address)
  }

  /// Takes past the bound rather than wait: order matters more than a few kilobytes. `make` is called in that order.
  func append(_ make: () -> [UInt8]) {
    order.withLock { _ = $0.tryPut(make(), force: true) }
  }

  /// Takes no more.
  func end() { pieces.finish(TransportError(.closed, "\(path) has ended", address: address)) }

  /// Returns once all is on the disk.
  func finish() async throws(TransportError) {
    end()
    do throws(TransportError) {
      _ = try await written.take()
    } catch {
      if error.code != .closed { throw error }
    }
  }
}
