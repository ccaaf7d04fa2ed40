/// Finds frames in a stream of bytes, however it is cut, and finds back after damage.
///
/// Work is linear in the bytes received, whatever they are; memory is bounded by two frames of the longest payload. Two things
/// keep it so: a header is only believed with its own check and a permitted length, and a frame whose payload check fails is
/// dropped as a whole.
public struct FrameDecoder: Sendable {
  /// What was found in the stream, in its order.
  public enum Finding: Sendable, Hashable {
    case frame(Frame)
    /// A frame whose payload check failed. It was dropped; the sequence number comes from its header, whose check held.
    case badPayload(sequence: UInt32)
    /// A header with a valid check but another version of the layout. The search went on behind the header.
    case unknownVersion(UInt8)
    /// A header with a valid check and a payload longer than the decoder takes. The search went on at its second byte.
    case tooLong(sequence: UInt32, bytes: UInt32)
  }

  /// Longest payload that is believed.
  public let maximumPayloadBytes: Int
  /// Bytes that belonged to no frame, since the start.
  public private(set) var skippedBytes: UInt64 = 0
  /// Frames dropped because their payload check failed, since the start.
  public private(set) var badFrames: UInt64 = 0
  /// Bytes received and not yet decided on: always the beginning of what may become a frame.
  private var pending: [UInt8] = []

  /// - Parameter maximumPayloadBytes: what the receiver takes; a header with a longer one is treated as damaged.
  public init(maximumPayloadBytes: Int) {
    precondition(
      maximumPayloadBytes >= 0 && maximumPayloadBytes <= Int(UInt32.max), "the header holds lengths of 32 bits")
    self.maximumPayloadBytes = maximumPayloadBytes
  }

  /// Bytes received that may be the beginning of a frame.
  public var pendingBytes: Int { pending.count }

  /// Forgets a frame under way, for example after RESYNC. Counters go on.
  public mutating func reset() {
    skippedBytes += UInt64(pending.count)
    pending.removeAll(keepingCapacity: true)
  }

  /// Takes the next bytes of the stream and returns what they complete.
  public mutating func decode(_ bytes: [UInt8]) -> [Finding] {
    bytes.withUnsafeBytes { decode($0) }
  }

  /// Takes the next bytes of the stream and returns what they complete.
  public mutating func decode(_ bytes: ArraySlice<UInt8>) -> [Finding] {
    bytes.withUnsafeBytes { decode($0) }
  }

  /// Takes the next bytes of the stream and returns what they complete.
  public mutating func decode(_ bytes: UnsafeRawBufferPointer) -> [Finding] {
    var findings: [Finding] = []
    // Bites of a frame's length, so that a long burst is not copied as a whole.
    let bite = maximumPayloadBytes + Frame.overheadBytes
    var at = 0
    while at < bytes.count {
      let end = at + min(bite, bytes.count - at)
      if pending.isEmpty {
        let part = UnsafeRawBufferPointer(rebasing: bytes[at..<end])
        let used = scan(part, &findings)
        pending.append(contentsOf: part[used...])
      } else {
        pending.append(contentsOf: bytes[at..<end])
        // The array is held outside `self` while it is read, so that `scan` may change the counters.
        var held: [UInt8] = []
        swap(&held, &pending)
        let used = held.withUnsafeBytes { scan($0, &findings) }
        if used > 0 { held.removeSubrange(0..<used) }
        swap(&held, &pending)
      }
      at = end
    }
    return findings
  }

  /// Reports every frame in `bytes` and returns where the first undecided byte is.
  private mutating func scan(_ bytes: UnsafeRawBufferPointer, _ findings: inout [Finding]) -> Int {
    var at = 0
    while at < bytes.count {
      // A frame begins with two equal bytes; anything else is passed over one byte at a time.
      guard bytes[at] == UInt8(truncatingIfNeeded: Frame.sync),
        at + 1 >= bytes.count || bytes[at + 1] == UInt8(truncatingIfNeeded: Frame.sync >> 8)
      else {
        at += 1
        skippedBytes += 1
        continue
      }
      guard bytes.count - at >= Frame.headerBytes else { return at }
      let check = CRC32.checksum(UnsafeRawBufferPointer(rebasing: bytes[at..<at + 12]))
      guard check == number(bytes, at + 12) else {
        at += 1
        skippedBytes += 1
        continue
      }
      guard bytes[at + 2] == Frame.version else {
        findings.append(.unknownVersion(bytes[at + 2]))
        at += Frame.headerBytes
        skippedBytes += UInt64(Frame.headerBytes)
        continue
      }
      let sequence = number(bytes, at + 4)
      let length = number(bytes, at + 8)
      guard length <= maximumPayloadBytes else {
        findings.append(.tooLong(sequence: sequence, bytes: length))
        at += 1
        skippedBytes += 1
        continue
      }
      let payloadStart = at + Frame.headerBytes
      let payloadEnd = payloadStart + Int(length)
      guard bytes.count - payloadEnd >= Frame.checkBytes else { return at }
      let payload = UnsafeRawBufferPointer(rebasing: bytes[payloadStart..<payloadEnd])
      if CRC32.checksum(payload) == number(bytes, payloadEnd) {
        findings.append(
          .frame(Frame(flags: Frame.Flags(rawValue: bytes[at + 3]), sequence: sequence, payload: Array(payload))))
      } else {
        badFrames += 1
        findings.append(.badPayload(sequence: sequence))
      }
      at = payloadEnd + Frame.checkBytes
    }
    return at
  }
}

/// The 32-bit little-endian number at `offset`.
private func number(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
  UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
}
