/// A numpy `.npz` file: a zip archive of `.npy` entries, stored or deflated.
///
/// Opening checks the directory; an array is inflated when it is asked for, and no further than its header implies.
public struct NPZArchive: Sendable {
  private struct Entry: Sendable {
    var method: UInt16
    var flags: UInt16
    var crc: UInt32
    var compressedSize: Int
    var size: Int
    var headerOffset: Int
    var directoryOffset: Int
  }

  /// The file as the caller named it.
  public let file: String
  /// The array names in archive order, without `.npy`.
  public let keys: [String]
  private let bytes: [UInt8]
  private let entries: [String: Entry]
  private let directoryStart: Int

  /// Opens a file.
  public init(file path: String) throws(FileError) {
    try self.init(bytes: try FileContents.read(path), file: path)
  }

  /// Opens the bytes of a file; `file` names it in errors.
  public init(bytes: [UInt8], file: String) throws(FileError) {
    self.bytes = bytes
    self.file = file
    let end = try Self.endOfDirectory(bytes, file: file)
    func fail(_ code: FileError.Code, _ offset: Int, _ reason: String, entry: String? = nil) -> FileError {
      FileError(code, file: file, entry: entry, offset: offset, reason: reason)
    }
    let disk = bytes.integer(UInt16.self, at: end + 4)
    let directoryDisk = bytes.integer(UInt16.self, at: end + 6)
    let countHere = Int(bytes.integer(UInt16.self, at: end + 8))
    let count = Int(bytes.integer(UInt16.self, at: end + 10))
    let directorySize = Int(bytes.integer(UInt32.self, at: end + 12))
    let start = Int(bytes.integer(UInt32.self, at: end + 16))
    if count == 0xFFFF || directorySize == 0xFFFF_FFFF || start == 0xFFFF_FFFF
      || (end >= 20 && bytes.integer(UInt32.self, at: end - 20) == 0x0706_4B50)
    {
      throw fail(.unsupported, end, "a zip64 archive; plain zip is read")
    }
    guard disk == 0, directoryDisk == 0, countHere == count else {
      throw fail(.unsupported, end, "an archive in several parts")
    }
    guard start + directorySize == end else {
      throw fail(.malformed, end, "the directory of \(directorySize) bytes at \(start) does not end here")
    }
    directoryStart = start
    var at = start
    var keys: [String] = []
    var entries: [String: Entry] = [:]
    for number in 0..<count {
      guard at + 46 <= end, bytes.integer(UInt32.self, at: at) == 0x0201_4B50 else {
        throw fail(.malformed, at, "directory record \(number + 1) of \(count) is missing")
      }
      let nameLength = Int(bytes.integer(UInt16.self, at: at + 28))
      let length =
        46 + nameLength + Int(bytes.integer(UInt16.self, at: at + 30)) + Int(bytes.integer(UInt16.self, at: at + 32))
      guard at + length <= end else { throw fail(.malformed, at, "directory record \(number + 1) is too long") }
      guard var name = String(validating: bytes[at + 46..<at + 46 + nameLength], as: UTF8.self), !name.isEmpty else {
        throw fail(.malformed, at + 46, "an entry name that is not UTF-8")
      }
      if name.hasSuffix(".npy") { name.removeLast(4) }
      let entry = Entry(
        method: bytes.integer(UInt16.self, at: at + 10), flags: bytes.integer(UInt16.self, at: at + 8),
        crc: bytes.integer(UInt32.self, at: at + 16),
        compressedSize: Int(bytes.integer(UInt32.self, at: at + 20)),
        size: Int(bytes.integer(UInt32.self, at: at + 24)),
        headerOffset: Int(bytes.integer(UInt32.self, at: at + 42)), directoryOffset: at)
      if entry.compressedSize == 0xFFFF_FFFF || entry.size == 0xFFFF_FFFF || entry.headerOffset == 0xFFFF_FFFF {
        throw fail(.unsupported, at, "a zip64 entry; plain zip is read", entry: name)
      }
      guard entries.updateValue(entry, forKey: name) == nil else {
        throw fail(.malformed, at, "the name comes twice", entry: name)
      }
      keys.append(name)
      at += length
    }
    guard at == end else { throw fail(.malformed, at, "\(end - at) bytes after the last directory record") }
    self.keys = keys
    self.entries = entries
  }

  /// True if there is an array of that name.
  public func contains(_ key: String) -> Bool { entries[key] != nil }

  /// The array of that name, checksum checked.
  public func array(_ key: String) throws(FileError) -> NPYArray {
    guard let entry = entries[key] else {
      throw FileError(
        .missing, file: file, entry: key,
        reason: "not in the archive, which holds " + (keys.isEmpty ? "nothing" : keys.joined(separator: ", ")))
    }
    let range = try dataRange(of: entry, key: key)
    if entry.method == 0 {
      guard entry.size == entry.compressedSize else {
        throw FileError(
          .malformed, file: file, entry: key, offset: entry.directoryOffset,
          reason: "a stored entry of \(entry.compressedSize) bytes that claims \(entry.size)")
      }
      return try NPYHeader.readArray(
        from: StoredSource(bytes, range: range, file: file, entry: key, crc: entry.crc))
    }
    return try NPYHeader.readArray(
      from: try InflatingSource(
        bytes, range: range, claimedSize: entry.size, file: file, entry: key, crc: entry.crc))
  }

  /// The numbers of an array as `Float`.
  ///
  /// - Parameter shape: the shape it must have; nil takes any.
  public func floats(_ key: String, shape: [Int]? = nil) throws(FileError) -> [Float] {
    let array = try array(key)
    guard let values = array.floats else { throw mismatch(key, array, "numbers") }
    guard shape == nil || array.shape == shape else { throw mismatch(key, array, "shape \(shape ?? [])") }
    return values
  }

  /// The whole numbers of an array.
  public func integers(_ key: String, shape: [Int]? = nil) throws(FileError) -> [Int] {
    let array = try array(key)
    guard let values = array.integers else { throw mismatch(key, array, "whole numbers") }
    guard shape == nil || array.shape == shape else { throw mismatch(key, array, "shape \(shape ?? [])") }
    return values
  }

  /// The text of a string array with one element, for example the JSON of `meta`.
  public func string(_ key: String) throws(FileError) -> String {
    let array = try array(key)
    guard let text = array.string else { throw mismatch(key, array, "one text") }
    return text
  }

  private func mismatch(_ key: String, _ array: NPYArray, _ expected: String) -> FileError {
    FileError(
      .typeMismatch, file: file, entry: key,
      reason: "\(expected) expected, found shape \(array.shape) of \(array.elementType)")
  }

  /// Where the data of an entry lie, from its local header.
  private func dataRange(of entry: Entry, key: String) throws(FileError) -> Range<Int> {
    func fail(_ code: FileError.Code, _ offset: Int, _ reason: String) -> FileError {
      FileError(code, file: file, entry: key, offset: offset, reason: reason)
    }
    guard entry.method == 0 || entry.method == 8 else {
      throw fail(
        .unsupported, entry.directoryOffset, "compression method \(entry.method); stored and deflated are read")
    }
    guard entry.flags & 1 == 0 else { throw fail(.unsupported, entry.directoryOffset, "the entry is encrypted") }
    let header = entry.headerOffset
    guard header + 30 <= directoryStart, bytes.integer(UInt32.self, at: header) == 0x0403_4B50 else {
      throw fail(.malformed, entry.directoryOffset, "no entry header at byte \(header)")
    }
    let nameLength = Int(bytes.integer(UInt16.self, at: header + 26))
    let start = header + 30 + nameLength + Int(bytes.integer(UInt16.self, at: header + 28))
    guard start + entry.compressedSize <= directoryStart else {
      throw fail(.truncated, header, "\(entry.compressedSize) bytes at \(start) run into the directory")
    }
    // The sizes of the local header are not used: numpy writes zip64 place holders there.
    let directoryNameLength = Int(bytes.integer(UInt16.self, at: entry.directoryOffset + 28))
    let directoryName = bytes[entry.directoryOffset + 46..<entry.directoryOffset + 46 + directoryNameLength]
    guard bytes[header + 30..<header + 30 + nameLength] == directoryName,
      bytes.integer(UInt16.self, at: header + 8) == entry.method
    else { throw fail(.malformed, header, "the entry header contradicts the directory") }
    return start..<start + entry.compressedSize
  }

  /// The offset of the end-of-directory record.
  private static func endOfDirectory(_ bytes: [UInt8], file: String) throws(FileError) -> Int {
    let record = 22
    if bytes.count >= record {
      // The record ends with a comment of up to 65 535 bytes, whose length must lead exactly to the end of the file.
      let first = max(0, bytes.count - record - 0xFFFF)
      for at in stride(from: bytes.count - record, through: first, by: -1)
      where bytes.integer(UInt32.self, at: at) == 0x0605_4B50
        && Int(bytes.integer(UInt16.self, at: at + 20)) == bytes.count - record - at
      {
        return at
      }
    }
    let looksLikeZip = bytes.starts(with: [0x50, 0x4B])
    throw FileError(
      looksLikeZip ? .truncated : .malformed, file: file, offset: bytes.count,
      reason: looksLikeZip ? "a zip archive without its directory" : "not an npz file: no zip directory at its end")
  }
}
