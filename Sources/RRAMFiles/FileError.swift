/// A file could not be read or written.
///
/// One line: the file, the entry or key in it, the byte offset, the reason.
public struct FileError: Error, Sendable, CustomStringConvertible {
  /// What kind of failure it is; an open set.
  public struct Code: RawRepresentable, Hashable, Sendable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The system refused to open or read the file (`systemError` is set), or it is not a regular file.
    public static let unreadable = Code(rawValue: "unreadable")
    /// The system refused to create, write or rename the file (`systemError` is set).
    public static let unwritable = Code(rawValue: "unwritable")
    /// The bytes break the rules of the format.
    public static let malformed = Code(rawValue: "malformed")
    /// The file or entry ends before what its header promises.
    public static let truncated = Code(rawValue: "truncated")
    /// Legal in the format, but outside what is read here.
    public static let unsupported = Code(rawValue: "unsupported")
    /// Larger than the limit for such content.
    public static let tooLarge = Code(rawValue: "tooLarge")
    /// A checksum differs.
    public static let checksum = Code(rawValue: "checksum")
    /// The entry or key asked for is not in the file.
    public static let missing = Code(rawValue: "missing")
    /// The entry holds another kind of value than asked for.
    public static let typeMismatch = Code(rawValue: "typeMismatch")
  }

  public var code: Code
  /// The file as the caller named it.
  public var file: String
  /// The entry of an archive or the key of a tensor.
  public var entry: String?
  /// Where in the file, in bytes; inside a deflated entry, where in its inflated bytes.
  public var offset: Int?
  public var reason: String
  /// The `errno` value behind the failure.
  public var systemError: Int32?

  public init(
    _ code: Code, file: String, entry: String? = nil, offset: Int? = nil, reason: String, systemError: Int32? = nil
  ) {
    self.code = code
    self.file = file
    self.entry = entry
    self.offset = offset
    self.reason = reason
    self.systemError = systemError
  }

  public var description: String {
    var text = code == .unwritable ? "cannot write \(file)" : "cannot read \(file)"
    if let entry { text += ", entry '\(entry)'" }
    if let offset { text += ", byte \(offset)" }
    return text + ": " + reason
  }
}
