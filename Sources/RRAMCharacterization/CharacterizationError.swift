/// Why a characterization cannot begin or go on.
public struct CharacterizationError: Error, Sendable, CustomStringConvertible {
  public struct Code: Sendable, Hashable {
    let name: String
    /// The board has no such macro.
    public static let noMacro = Code(name: "noMacro")
    /// Too few cells can be used.
    public static let place = Code(name: "place")
    /// A step asks for more than the limits of the chip or the wear left on it permit.
    public static let limit = Code(name: "limit")
    /// An instrument or a hook beside the board did not do what was asked.
    public static let instrument = Code(name: "instrument")
    /// A record of a run lacks what it should hold.
    public static let malformedRecord = Code(name: "malformedRecord")
    /// The run that is to go on belongs to another chip, macro or plan.
    public static let otherRun = Code(name: "otherRun")
  }

  public let code: Code
  public let reason: String
  public let underlying: (any Error)?

  public init(_ code: Code, _ reason: String, underlying: (any Error)? = nil) {
    self.code = code
    self.reason = reason
    self.underlying = underlying
  }

  public var description: String { reason + (underlying.map { ": \($0)" } ?? "") }
}
