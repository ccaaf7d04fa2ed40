/// A sampling session cannot be run.
public struct SessionError: Error, Sendable, CustomStringConvertible {
  /// What kind of failure it is; an open set.
  public struct Code: RawRepresentable, Sendable, Hashable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }

    /// A count, seed, label, scale or number of ticks that makes no run.
    public static let invalidArgument = Code(rawValue: "invalidArgument")
    /// A start point lies outside the preset converter's range.
    public static let presetOutOfRange = Code(rawValue: "presetOutOfRange")
    /// The schedule does not suit the board.
    public static let schedule = Code(rawValue: "schedule")
    /// The board answered with something that does not match the request.
    public static let malformedAnswer = Code(rawValue: "malformedAnswer")
    /// A sample file cannot be understood.
    public static let malformedFile = Code(rawValue: "malformedFile")
    /// Data that a calibration cannot aim at: too few, without the classes, or of another shape or scale than the network's samples.
    public static let targetData = Code(rawValue: "targetData")
    /// A calibration of another chip, write, model, solver, condition or firmware than the run's.
    public static let otherCalibration = Code(rawValue: "otherCalibration")
    /// A calibration that the records do not have.
    public static let unknownCalibration = Code(rawValue: "unknownCalibration")
  }

  public var code: Code
  public var reason: String
  public var underlying: (any Error)?

  public init(_ code: Code, _ reason: String, underlying: (any Error)? = nil) {
    self.code = code
    self.reason = reason
    self.underlying = underlying
  }

  public var description: String { reason + (underlying.map { ": \($0)" } ?? "") }
}
