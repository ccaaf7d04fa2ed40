/// Why an emulated board cannot be made or kept.
public struct EmulatorError: Error, Sendable, CustomStringConvertible {
  /// What kind of failure it is; open.
  public struct Code: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public var description: String { rawValue }

    /// Another process has opened the state file.
    public static let busy = Code(rawValue: "busy")
    /// The state file was written by a newer version.
    public static let newerVersion = Code(rawValue: "newer version")
    /// The state file was written by an earlier version whose chips cannot be continued.
    public static let olderVersion = Code(rawValue: "older version")
    /// The state file belongs to another profile, seed or board.
    public static let mismatch = Code(rawValue: "mismatch")
    /// The state file is damaged: an array is missing, too short or out of range.
    public static let damaged = Code(rawValue: "damaged")
    /// The state file cannot be read, written or locked.
    public static let file = Code(rawValue: "file")
    /// The board description and the chip's profile do not fit together.
    public static let description = Code(rawValue: "description")
    /// A thread could not be started.
    public static let system = Code(rawValue: "system")
  }

  public var code: Code
  /// What failed and why, as one clause.
  public var message: String
  /// The state file concerned, if one is.
  public var file: String?
  public var underlying: (any Error)?

  public init(_ code: Code, _ message: String, file: String? = nil, underlying: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.file = file
    self.underlying = underlying
  }

  public var description: String {
    guard let file else { return message }
    return "state file \(file): \(message)"
  }
}
