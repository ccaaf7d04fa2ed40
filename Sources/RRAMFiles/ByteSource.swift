internal import CZlib

/// Bytes in order, with a bound on how many are still to come.
protocol ByteSource: AnyObject {
  /// Bytes read so far, counted from the start of the array file.
  var position: Int { get }
  /// The most that can still be read; known before anything is allocated.
  var bytesLeft: Int { get }
  /// The next `count` bytes; `count` is at most `bytesLeft`.
  func read(_ count: Int) throws(FileError) -> [UInt8]
  /// Checks that nothing is left and that the checksum is right.
  func finish() throws(FileError)
  /// An error at a position of this source.
  func failure(_ code: FileError.Code, at position: Int, _ reason: String) -> FileError
}

/// Bytes that lie in the file as they are.
final class StoredSource: ByteSource {
  private let bytes: [UInt8]
  private let range: Range<Int>
  private let file: String
  private let entry: String?
  private let expectedCRC: UInt32?
  private(set) var position = 0

  init(_ bytes: [UInt8], range: Range<Int>, file: String, entry: String?, crc: UInt32? = nil) {
    self.bytes = bytes
    self.range = range
    self.file = file
    self.entry = entry
    expectedCRC = crc
  }

  var bytesLeft: Int { range.count - position }

  func read(_ count: Int) throws(FileError) -> [UInt8] {
    guard count <= bytesLeft else {
      throw failure(.truncated, at: position, "\(count) bytes expected, \(bytesLeft) are there")
    }
    let start = range.lowerBound + position
    position += count
    return Array(bytes[start..<start + count])
  }

  func finish() throws(FileError) {
    guard bytesLeft == 0 else { throw failure(.malformed, at: position, "\(bytesLeft) bytes after the array") }
    guard let expectedCRC else { return }
    let crc = bytes.withUnsafeBufferPointer { checksum(UnsafeBufferPointer(rebasing: $0[range])) }
    guard crc == expectedCRC else { throw failure(.checksum, at: 0, "the CRC-32 differs") }
  }

  func failure(_ code: FileError.Code, at position: Int, _ reason: String) -> FileError {
    FileError(code, file: file, entry: entry, offset: range.lowerBound + position, reason: reason)
  }
}

/// The inflated bytes of a deflated archive entry.
final class InflatingSource: ByteSource {
  private let bytes: [UInt8]
  private var input: Range<Int>
  private let claimedSize: Int
  private let file: String
  private let entry: String
  private let expectedCRC: UInt32
  private var crc: UInt32 = 0
  private var ended = false
  // zlib keeps a pointer back to its z_stream, so that must not move.
  private let stream: UnsafeMutablePointer<z_stream>
  private(set) var position = 0

  /// - Parameters:
  ///   - range: where the compressed bytes lie.
  ///   - claimedSize: the inflated size that the archive's directory states.
  init(
    _ bytes: [UInt8], range: Range<Int>, claimedSize: Int, file: String, entry: String, crc: UInt32
  ) throws(FileError) {
    self.bytes = bytes
    input = range
    self.claimedSize = claimedSize
    self.file = file
    self.entry = entry
    expectedCRC = crc
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // Negative window bits: a raw deflate stream, as in zip archives.
    guard inflateInit2_(stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw failure(.unreadable, at: 0, "zlib cannot start")
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deinitialize(count: 1)
    stream.deallocate()
  }

  /// Deflate expands at most 1032-fold, so a large claim over a few bytes is refused before memory is taken.
  var bytesLeft: Int { min(claimedSize - position, (input.count + 258) * 1032) }

  func read(_ count: Int) throws(FileError) -> [UInt8] {
    guard count <= bytesLeft else {
      throw failure(.truncated, at: position, "\(count) bytes expected, at most \(bytesLeft) can come")
    }
    var status = Z_OK
    let output = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      status = self.inflate(into: buffer, filled: &filled)
    }
    crc = output.withUnsafeBufferPointer { checksum($0, continuing: crc) }
    guard output.count == count else {
      if status == Z_DATA_ERROR { throw failure(.malformed, at: position + output.count, "broken deflate stream") }
      throw failure(.truncated, at: position + output.count, "\(count - output.count) bytes are missing")
    }
    position += count
    return output
  }

  func finish() throws(FileError) {
    guard position == claimedSize else {
      throw failure(
        .malformed, at: position, "the directory states \(claimedSize) bytes, the array header implies \(position)")
    }
    if !ended {
      // The end mark may not have been reached yet; one spare byte shows whether more data would follow.
      var spare = 0
      var status = Z_OK
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1) {
        status = self.inflate(into: $0, filled: &spare)
      }
      guard spare == 0 else { throw failure(.malformed, at: position, "more bytes than the array header implies") }
      guard ended else {
        throw failure(
          status == Z_DATA_ERROR ? .malformed : .truncated, at: position, "the deflate stream does not end")
      }
    }
    guard input.isEmpty else { throw failure(.malformed, at: position, "bytes after the deflate stream") }
    guard crc == expectedCRC else { throw failure(.checksum, at: 0, "the CRC-32 differs") }
  }

  func failure(_ code: FileError.Code, at position: Int, _ reason: String) -> FileError {
    FileError(code, file: file, entry: entry, offset: position, reason: reason)
  }

  private func inflate(into buffer: UnsafeMutableBufferPointer<UInt8>, filled: inout Int) -> Int32 {
    filled = 0
    guard !ended, !buffer.isEmpty else { return Z_OK }
    return bytes.withUnsafeBufferPointer { all in
      // zlib never writes to next_in; its type only lacks the const.
      stream.pointee.next_in = UnsafeMutablePointer(mutating: all.baseAddress?.advanced(by: input.lowerBound))
      stream.pointee.avail_in = UInt32(input.count)
      stream.pointee.next_out = buffer.baseAddress
      stream.pointee.avail_out = UInt32(buffer.count)
      let status = CZlib.inflate(stream, Z_SYNC_FLUSH)
      input = input.upperBound - Int(stream.pointee.avail_in)..<input.upperBound
      filled = buffer.count - Int(stream.pointee.avail_out)
      ended = status == Z_STREAM_END
      return status
    }
  }
}

/// zlib's CRC-32.
func checksum(_ bytes: UnsafeBufferPointer<UInt8>, continuing crc: UInt32 = 0) -> UInt32 {
  var value = UInt(crc)
  var rest = bytes[...]
  while !rest.isEmpty {
    let part = rest.prefix(1 << 30)
    value = crc32(value, UnsafeBufferPointer(rebasing: part).baseAddress, UInt32(part.count))
    rest = rest.dropFirst(part.count)
  }
  return UInt32(truncatingIfNeeded: value)
}
