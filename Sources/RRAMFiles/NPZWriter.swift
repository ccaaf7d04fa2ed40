internal import CZlib

/// Collects arrays and writes them as a numpy `.npz` file.
///
/// The same arrays give the same bytes: entries carry no time of day.
public struct NPZWriter: Sendable {
  private var entries: [(name: String, npy: [UInt8])] = []
  private let deflated: Bool

  /// - Parameter deflated: compress the entries (slower, smaller) instead of storing them.
  public init(deflated: Bool = false) { self.deflated = deflated }

  /// Adds an array; a second one of the same name is a programming error.
  public mutating func add(_ array: NPYArray, as key: String) {
    precondition(!entries.contains { $0.name == key + ".npy" }, "array '\(key)' is added twice")
    precondition(!key.isEmpty && key.utf8.count < 1000 && entries.count < 0xFFFE)
    entries.append((key + ".npy", array.npy))
  }

  /// Adds a 0-d string.
  public mutating func add(_ text: String, as key: String) { add(NPYArray(text), as: key) }

  /// Writes the archive atomically.
  public func write(to path: String, permissions: UInt32 = 0o644) throws(FileError) {
    try AtomicFile.write(try bytes(file: path), to: path, permissions: permissions)
  }

  /// The bytes of the archive; `file` names it in errors.
  ///
  /// - Throws: ``FileError`` if it would exceed the 4 GiB of a plain zip archive.
  public func bytes(file: String = "npz") throws(FileError) -> [UInt8] {
    var output: [UInt8] = []
    var directory: [UInt8] = []
    // 256 bytes cover headers and names; growing by doubling would touch twice the memory.
    if !deflated { output.reserveCapacity(entries.reduce(22) { $0 + $1.npy.count + 256 }) }
    for (name, npy) in entries {
      let packed = deflated ? try deflate(npy, file: file, entry: name) : npy
      guard output.count + packed.count < 0xFFFF_0000, npy.count < 0xFFFF_0000 else {
        throw FileError(.tooLarge, file: file, entry: name, reason: "the archive would exceed 4 GiB")
      }
      let crc = npy.withUnsafeBufferPointer { checksum($0) }
      var common: [UInt8] = []
      common.append(littleEndian: UInt16(20))  // version needed: 2.0
      common.append(littleEndian: UInt16(0x0800))  // names are UTF-8
      common.append(littleEndian: UInt16(deflated ? 8 : 0))
      common.append(littleEndian: UInt16(0))  // midnight
      common.append(littleEndian: UInt16(0x0021))  // 1980-01-01, the first date a zip archive can state
      common.append(littleEndian: crc)
      common.append(littleEndian: UInt32(packed.count))
      common.append(littleEndian: UInt32(npy.count))
      common.append(littleEndian: UInt16(name.utf8.count))
      common.append(littleEndian: UInt16(0))  // no extra field
      directory.append(littleEndian: UInt32(0x0201_4B50))
      directory.append(littleEndian: UInt16(20 | 3 << 8))  // made on Unix
      directory += common
      directory.append(littleEndian: UInt16(0))  // no comment
      directory.append(littleEndian: UInt16(0))  // disk 0
      directory.append(littleEndian: UInt16(0))  // binary
      directory.append(littleEndian: UInt32(0o100644) << 16)
      directory.append(littleEndian: UInt32(output.count))
      directory += Array(name.utf8)
      output.append(littleEndian: UInt32(0x0403_4B50))
      output += common
      output += Array(name.utf8)
      output += packed
    }
    let start = output.count
    output += directory
    output.append(littleEndian: UInt32(0x0605_4B50))
    output.append(littleEndian: UInt32(0))  // one part
    output.append(littleEndian: UInt16(entries.count))
    output.append(littleEndian: UInt16(entries.count))
    output.append(littleEndian: UInt32(directory.count))
    output.append(littleEndian: UInt32(start))
    output.append(littleEndian: UInt16(0))  // no comment
    return output
  }

  private func deflate(_ input: [UInt8], file: String, entry: String) throws(FileError) -> [UInt8] {
    var stream = z_stream()
    return try withUnsafeMutablePointer(to: &stream) { stream throws(FileError) in
      // zlib.h: deflateInit2 with negative window bits writes raw deflate, the form inside zip archives; 8 = default memory.
      guard
        deflateInit2_(
          stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
          Int32(MemoryLayout<z_stream>.size)) == Z_OK
      else { throw FileError(.unwritable, file: file, entry: entry, reason: "zlib cannot start") }
      defer { deflateEnd(stream) }
      guard input.count < Int(UInt32.max) else {
        throw FileError(.tooLarge, file: file, entry: entry, reason: "\(input.count) bytes, the limit is 4 GiB")
      }
      let bound = Int(deflateBound(stream, UInt(input.count)))
      var status = Z_OK
      let packed = [UInt8](unsafeUninitializedCapacity: bound) { output, filled in
        input.withUnsafeBufferPointer { source in
          stream.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
          stream.pointee.avail_in = UInt32(source.count)
          stream.pointee.next_out = output.baseAddress
          stream.pointee.avail_out = UInt32(clamping: bound)
          status = CZlib.deflate(stream, Z_FINISH)
          filled = Int(stream.pointee.total_out)
        }
      }
      guard status == Z_STREAM_END else {
        throw FileError(.unwritable, file: file, entry: entry, reason: "zlib error \(status)")
      }
      return packed
    }
  }
}
