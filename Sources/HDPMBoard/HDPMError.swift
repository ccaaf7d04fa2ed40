/// Why the published board, or a prediction of it, cannot do what was asked.
public struct HDPMError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What kind of failure it is; more may be added.
  public struct Code: RawRepresentable, Sendable, Hashable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }

    /// No preset of that name.
    public static let unknownPreset = Code(rawValue: "unknownPreset")
    /// A value that no command of the board can express.
    public static let value = Code(rawValue: "value")
    /// A table of coefficients that cannot be read.
    public static let coefficients = Code(rawValue: "coefficients")
    /// A run whose words would leave the converters' range.
    public static let overflow = Code(rawValue: "overflow")
    /// The board did not answer in time.
    public static let silent = Code(rawValue: "silent")
    /// The board answered something else than its firmware does.
    public static let wrongAnswer = Code(rawValue: "wrongAnswer")
    /// The driver is at work for another caller.
    public static let busy = Code(rawValue: "busy")
    /// A run was asked for before the board was configured.
    public static let notConfigured = Code(rawValue: "notConfigured")
    /// A scope capture that cannot be used.
    public static let capture = Code(rawValue: "capture")
    /// Something that the published firmware cannot do.
    public static let unsupported = Code(rawValue: "unsupported")
    /// Runs were requested, but no captures came.
    public static let noCapture = Code(rawValue: "noCapture")
  }

  public var code: Code
  public var description: String

  public init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }
}
