internal import Glibc

/// Writing that leaves either the old file or the whole new one, never a part.
public enum AtomicFile {
  /// Writes `bytes` to `path`.
  ///
  /// A temporary file in the same directory is written, synced and renamed over `path`, then the directory is synced:
  /// once this returns, a power cut keeps the new content. A symbolic link stays a link, its target is replaced.
  /// A device or pipe (`/dev/null`) is written to directly, because renaming over it would replace the device.
  ///
  /// - Parameters:
  ///   - permissions: mode bits of a new file, reduced by the process's umask.
  /// - Throws: ``FileError`` with code `unwritable`; the temporary file is removed.
  public static func write(_ bytes: [UInt8], to path: String, permissions: UInt32 = 0o644) throws(FileError) {
    var target = path
    var status = stat()
    if stat(path, &status) == 0 {
      switch status.st_mode & S_IFMT {
      case S_IFREG:
        if let resolved = realpath(path, nil) {
          target = String(cString: resolved)
          free(resolved)
        }
      case S_IFDIR:
        throw FileError(systemError: EISDIR, code: .unwritable, file: path)
      default:
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(systemError: errno, code: .unwritable, file: path) }
        defer { close(descriptor) }
        try writeAll(bytes, to: descriptor, path: path)
        return
      }
    }
    let slash = target.utf8.lastIndex(of: UInt8(ascii: "/"))
    let directory = slash.map { $0 == target.startIndex ? "/" : String(target[..<$0]) } ?? "."
    let name = slash.map { String(target[target.index(after: $0)...]) } ?? target
    guard !name.isEmpty else { throw FileError(systemError: EISDIR, code: .unwritable, file: path) }

    var temporary = ""
    var descriptor: Int32 = -1
    for _ in 0..<16 {
      temporary = "\(directory)/.\(name.prefix(200)).\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
      descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(permissions))
      if descriptor >= 0 || errno != EEXIST { break }
    }
    guard descriptor >= 0 else { throw FileError(systemError: errno, code: .unwritable, file: path) }
    do throws(FileError) {
      defer { close(descriptor) }
      try writeAll(bytes, to: descriptor, path: path)
      guard fsync(descriptor) == 0 else { throw FileError(systemError: errno, code: .unwritable, file: path) }
    } catch {
      unlink(temporary)
      throw error
    }
    guard rename(temporary, target) == 0 else {
      let failure = errno
      unlink(temporary)
      throw FileError(systemError: failure, code: .unwritable, file: path)
    }
    try syncDirectory(directory, for: path)
  }

  private static func writeAll(_ bytes: [UInt8], to descriptor: Int32, path: String) throws(FileError) {
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { buffer in
        Glibc.write(descriptor, buffer.baseAddress?.advanced(by: written), buffer.count - written)
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw FileError(systemError: errno, code: .unwritable, file: path)
      }
      written += count
    }
  }

  private static func syncDirectory(_ directory: String, for path: String) throws(FileError) {
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    // A directory one may write to but not read cannot be synced; the file itself already is.
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 || errno == EINVAL else {
      throw FileError(systemError: errno, code: .unwritable, file: path)
    }
  }
}
