/// What travels over a stream socket: kind u8 · reserved u8×3 (0) · length u32 · bytes; little-endian.
///
/// Normative text: `protocols/framing.md`.
struct SocketPacket: Sendable, Hashable {
  enum Kind: UInt8, Sendable {
    /// Bytes of the link. The first packet of a connection with this kind, which may be empty, attaches the host.
    case data = 0
    /// Request u8, then its data. Accepted on every connection, attached or not.
    case controlRequest = 1
    /// Status u8 (0 done, 1 refused), then the answer, or the reason as UTF-8.
    case controlReply = 2
    /// Event u8: 0 attached, 1 busy (another host is attached), 2 doorbell, followed by its 16 bytes.
    case event = 3
  }

  var kind: Kind
  var bytes: [UInt8]

  static let headerLength = 8
  static let maximumLength = 1 << 20

  /// Appends the packet to `output`; data longer than the maximum become several packets.
  func append(to output: inout [UInt8]) {
    var rest = bytes[...]
    repeat {
      let part = rest.prefix(Self.maximumLength)
      rest = rest.dropFirst(part.count)
      output.reserveCapacity(output.count + Self.headerLength + part.count)
      output.append(contentsOf: [kind.rawValue, 0, 0, 0])
      output.append(contentsOf: UInt32(part.count).littleEndianBytes)
      output.append(contentsOf: part)
    } while !rest.isEmpty
  }
}

/// Finds packets in a stream that arrives in any pieces.
struct SocketPacketParser: Sendable {
  private var buffer: [UInt8] = []
  private var first = 0

  mutating func append(_ bytes: some Collection<UInt8>) { buffer.append(contentsOf: bytes) }

  /// The next whole packet, `nil` until one is there; throws if the bytes cannot be packets.
  mutating func next(address: String) throws(TransportError) -> SocketPacket? {
    guard buffer.count - first >= SocketPacket.headerLength else { return nil }
    let header = buffer[first..<first + SocketPacket.headerLength]
    guard let kind = SocketPacket.Kind(rawValue: header[first]) else {
      throw TransportError(.protocolViolation, "unknown packet kind \(header[first])", address: address)
    }
    let length = Int(UInt32(littleEndianBytes: header.suffix(4)))
    guard length <= SocketPacket.maximumLength else {
      throw TransportError(
        .protocolViolation, "packet of \(length) bytes, at most \(SocketPacket.maximumLength)", address: address)
    }
    let start = first + SocketPacket.headerLength
    guard buffer.count - start >= length else { return nil }
    let packet = SocketPacket(kind: kind, bytes: Array(buffer[start..<start + length]))
    first = start + length
    if first == buffer.count {
      buffer.removeAll(keepingCapacity: true)
      first = 0
    } else if first > SocketPacket.maximumLength {
      buffer.removeFirst(first)
      first = 0
    }
    return packet
  }
}
