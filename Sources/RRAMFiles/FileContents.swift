internal import Glibc

/// Whole files as bytes.
public enum FileContents {
  /// Largest file read: 1 GiB.
  public static let sizeLimit = 1 << 30

  /// Reads a regular file.
  ///
  /// - Throws: ``FileError`` if the path cannot be opened, is no regular file (a pipe never blocks the caller),
  ///   or is larger than `limit` bytes.
  public static func read(_ path: String, limit: Int = sizeLimit) throws(FileError) -> [UInt8] {
    // O_NONBLOCK: opening a named pipe must not wait for a writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw FileError(systemError: errno, code: .unreadable, file: path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw FileError(systemError: errno, code: .unreadable, file: path)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw FileError(.unreadable, file: path, reason: "not a regular file")
    }
    let size = Int(status.st_size)
    guard size <= limit else {
      throw FileError(.tooLarge, file: path, reason: "\(size) bytes, the limit is \(limit)")
    }
    var failure: Int32 = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      while count < size {
        let got = Glibc.read(descriptor, buffer.baseAddress?.advanced(by: count), size - count)
        if got < 0 {
          if errno == EINTR { continue }
          failure = errno
          return
        }
        if got == 0 { return }
        count += got
      }
    }
    guard failure == 0 else { throw FileError(systemError: failure, code: .unreadable, file: path) }
    guard bytes.count == size else {
      throw FileError(
        .truncated, file: path, offset: bytes.count, reason: "the file ended while it was read; it had \(size) bytes")
    }
    return bytes
  }
}

extension FileError {
  /// A failed system call, worded by `strerror`.
  init(systemError: Int32, code: Code, file: String) {
    var text = [UInt8](repeating: 0, count: 256)
    let known = text.withUnsafeMutableBytes { buffer in
      guard let start = buffer.bindMemory(to: CChar.self).baseAddress else { return false }
      return strerror_r(systemError, start, buffer.count) == 0
    }
    let reason = known ? String(decoding: text.prefix { $0 != 0 }, as: UTF8.self) : "errno \(systemError)"
    self.init(code, file: file, reason: reason, systemError: systemError)
  }
}
