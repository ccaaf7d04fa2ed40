/// Why a chip profile, a board description, a limits record or a plan was refused.
public struct ProfileError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The kind of refusal.
  public struct Code: RawRepresentable, Sendable, Hashable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    /// No shipped document has this name.
    public static let unknownName = Code(rawValue: "unknownName")
    /// The file cannot be read, is too large, or is not UTF-8.
    public static let unreadable = Code(rawValue: "unreadable")
    /// The text is not YAML, or not a mapping.
    public static let malformed = Code(rawValue: "malformed")
    /// A key that the format does not have.
    public static let unknownKey = Code(rawValue: "unknownKey")
    /// A key that the format needs.
    public static let missingKey = Code(rawValue: "missingKey")
    /// A number without a unit, or with one of another kind.
    public static let wrongUnit = Code(rawValue: "wrongUnit")
    /// A number with neither `source` nor `assumed`.
    public static let missingSource = Code(rawValue: "missingSource")
    /// A value that is not a number, outside its range, or at odds with another one.
    public static let invalidValue = Code(rawValue: "invalidValue")
  }

  public var code: Code
  /// The file, or the name under which the document is known.
  public var file: String
  /// Line of the offending text, counted from 1.
  public var line: Int?
  /// Key path from the root, as in `cells.conductance.min`.
  public var key: String?
  /// What is wrong, as a clause.
  public var reason: String
  /// What would have been accepted in this place: keys, units or names.
  public var validChoices: [String]

  public init(
    code: Code, file: String, line: Int? = nil, key: String? = nil, reason: String, validChoices: [String] = []
  ) {
    self.code = code
    self.file = file
    self.line = line
    self.key = key
    self.reason = reason
    self.validChoices = validChoices
  }

  public var description: String {
    var text = file
    if let line { text += ":\(line)" }
    if let key, !key.isEmpty { text += ": \(key)" }
    text += ": \(reason)"
    if !validChoices.isEmpty { text += " (valid: \(validChoices.joined(separator: ", ")))" }
    return text
  }
}
