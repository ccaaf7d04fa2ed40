/// One message with what the link needs to carry it. Layout and rules: `protocols/framing.md`.
public struct Frame: Sendable, Hashable {
  /// Bits of the header's flags byte.
  public struct Flags: OptionSet, Sendable, Hashable {
    public var rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// More frames of this response follow.
    public static let more = Flags(rawValue: 1 << 0)
  }

  public var flags: Flags
  /// Number of the request this frame is or answers; 0: an event.
  public var sequence: UInt32
  /// A protobuf message.
  public var payload: [UInt8]

  public init(flags: Flags = [], sequence: UInt32, payload: [UInt8]) {
    self.flags = flags
    self.sequence = sequence
    self.payload = payload
  }

  /// Bytes of the frame on the link.
  public var byteCount: Int { Self.headerBytes + payload.count + Self.checkBytes }

  /// The first two bytes of every frame, read as a little-endian number: ASCII "RR".
  public static let sync: UInt16 = 0x5252
  /// Version of the frame layout written in every header.
  public static let version: UInt8 = 1
  /// Bytes of the header with its own check.
  public static let headerBytes = 16
  /// Bytes of the check behind the payload.
  public static let checkBytes = 4
  /// Bytes a frame adds to its payload.
  public static let overheadBytes = headerBytes + checkBytes
}
