/// What is wrong with a frame or a message, and where.
public struct WireError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Kind of a fault. Open: later versions add members.
  public struct Code: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public var description: String { rawValue }

    /// The payload is not a protobuf message of the expected type.
    public static let malformedMessage = Code(rawValue: "malformed message")
    /// The message has no body, or one this version does not know.
    public static let unknownBody = Code(rawValue: "unknown body")
    /// The body is not the one that answers the request.
    public static let unexpectedBody = Code(rawValue: "unexpected body")
    /// A field that must be set is not.
    public static let missingField = Code(rawValue: "missing field")
    /// A field holds a value outside its range.
    public static let outOfRange = Code(rawValue: "out of range")
    /// A voltage, conductance or current is infinite or not a number.
    public static let notFinite = Code(rawValue: "not finite")
    /// A packed or fixed-size field has the wrong number of bytes.
    public static let wrongLength = Code(rawValue: "wrong length")
    /// A frame is longer than the receiver takes.
    public static let frameTooLong = Code(rawValue: "frame too long")
  }

  public var code: Code
  /// The protobuf name of the field concerned, with its parents: `write_verify.set.start_v`.
  public var field: String?
  /// Offset in the payload at which decoding stopped, where known.
  public var byteOffset: Int?
  /// The facts, as the rest of a sentence.
  public var detail: String

  public init(_ code: Code, field: String? = nil, byteOffset: Int? = nil, _ detail: String) {
    self.code = code
    self.field = field
    self.byteOffset = byteOffset
    self.detail = detail
  }

  public var description: String {
    var text = "\(code)"
    if let field { text += " in \(field)" }
    if let byteOffset { text += " at byte \(byteOffset)" }
    return text + ": " + detail
  }
}
