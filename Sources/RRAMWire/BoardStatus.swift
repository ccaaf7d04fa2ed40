/// Answer to the control request STATUS: 16 bytes. Layout: `protocols/framing.md`.
public struct BoardStatus: Sendable, Hashable {
  /// A driver is on.
  public var isEnergised: Bool
  /// All lines are at ground.
  public var isGrounded: Bool
  /// A ``Hello`` was answered and the session has not ended.
  public var hasSession: Bool
  public var lastSafeCause: SafeCause
  /// Queued and running; 255 stands for that many or more.
  public var operations: Int
  public var faults: Faults
  public var bootID: UInt64

  public init(
    isEnergised: Bool, isGrounded: Bool, hasSession: Bool, lastSafeCause: SafeCause, operations: Int,
    faults: Faults = [], bootID: UInt64
  ) {
    self.isEnergised = isEnergised
    self.isGrounded = isGrounded
    self.hasSession = hasSession
    self.lastSafeCause = lastSafeCause
    self.operations = operations
    self.faults = faults
    self.bootID = bootID
  }

  /// Bytes of the layout.
  public static let byteCount = 16
  /// First byte of the layout.
  public static let layoutVersion: UInt8 = 1

  /// - Throws: `wrongLength` for other than 16 bytes, `outOfRange` for another version of the layout.
  public init(bytes: [UInt8]) throws(WireError) {
    guard bytes.count == Self.byteCount else {
      throw WireError(.wrongLength, field: "STATUS", "\(bytes.count) bytes where \(Self.byteCount) belong")
    }
    guard bytes[0] == Self.layoutVersion else {
      throw WireError(.outOfRange, field: "STATUS", byteOffset: 0, "layout \(bytes[0]), known is \(Self.layoutVersion)")
    }
    isEnergised = bytes[1] & 1 != 0
    isGrounded = bytes[1] & 2 != 0
    hasSession = bytes[1] & 4 != 0
    lastSafeCause = SafeCause(rawValue: Int(bytes[2]))
    operations = Int(bytes[3])
    faults = Faults(rawValue: UInt32(littleEndianBytes: bytes[4..<8]))
    bootID = UInt64(littleEndianBytes: bytes[8..<16])
  }

  public var bytes: [UInt8] {
    let flags: UInt8 = (isEnergised ? 1 : 0) | (isGrounded ? 2 : 0) | (hasSession ? 4 : 0)
    return [Self.layoutVersion, flags, UInt8(clamping: lastSafeCause.rawValue), UInt8(clamping: operations)]
      + faults.rawValue.littleEndianBytes + bootID.littleEndianBytes
  }
}

extension FixedWidthInteger {
  fileprivate init(littleEndianBytes bytes: ArraySlice<UInt8>) {
    self = bytes.reversed().reduce(0) { $0 << 8 | Self($1) }
  }

  fileprivate var littleEndianBytes: [UInt8] { withUnsafeBytes(of: littleEndian) { Array($0) } }
}
