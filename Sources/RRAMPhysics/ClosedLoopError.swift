/// Why a closed loop cannot be run.
public struct LoopError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What kind of failure it is; more may be added.
  public struct Code: RawRepresentable, Sendable, Hashable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Arrays, widths or counts that do not fit together.
    public static let shape = Code(rawValue: "shape")
    /// A number that is not finite or has the wrong sign.
    public static let value = Code(rawValue: "value")
    /// An instruction set this machine does not run.
    public static let instructionSet = Code(rawValue: "instructionSet")
    /// Memory for the tables could not be had.
    public static let memory = Code(rawValue: "memory")
  }

  public var code: Code
  public var description: String

  init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }
}
