/// Writes frames for one direction of a link.
public struct FrameEncoder: Sendable {
  /// Longest payload the receiver takes.
  public var maximumPayloadBytes: Int

  /// - Parameter maximumPayloadBytes: from the board's ``HelloResult``; before it, ``HelloResult/leastRequestBytes``.
  public init(maximumPayloadBytes: Int) {
    self.maximumPayloadBytes = maximumPayloadBytes
  }

  /// Appends the frame's bytes to `bytes`; several frames may be sent in one burst.
  ///
  /// - Throws: `frameTooLong` if the payload is longer than the receiver takes; nothing is appended then.
  public func encode(_ frame: Frame, into bytes: inout [UInt8]) throws(WireError) {
    guard frame.payload.count <= maximumPayloadBytes, let length = UInt32(exactly: frame.payload.count) else {
      throw WireError(
        .frameTooLong, "a payload of \(frame.payload.count) bytes, the receiver takes \(maximumPayloadBytes)")
    }
    let start = bytes.count
    bytes.reserveCapacity(start + frame.byteCount)
    append(Frame.sync, to: &bytes)
    bytes.append(Frame.version)
    bytes.append(frame.flags.rawValue)
    append(frame.sequence, to: &bytes)
    append(length, to: &bytes)
    let headerCheck = bytes.withUnsafeBytes { CRC32.checksum(UnsafeRawBufferPointer(rebasing: $0[start...])) }
    append(headerCheck, to: &bytes)
    bytes.append(contentsOf: frame.payload)
    append(CRC32.checksum(frame.payload), to: &bytes)
  }

  /// The frame's bytes.
  ///
  /// - Throws: `frameTooLong` if the payload is longer than the receiver takes.
  public func encode(_ frame: Frame) throws(WireError) -> [UInt8] {
    var bytes: [UInt8] = []
    try encode(frame, into: &bytes)
    return bytes
  }
}

/// Appends a number, least significant byte first.
private func append<T: FixedWidthInteger>(_ value: T, to bytes: inout [UInt8]) {
  withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
}
