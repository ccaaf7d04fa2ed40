/// A schedule that a board's converters cannot play.
public struct ScheduleError: Error, Sendable, CustomStringConvertible {
  /// What kind of failure it is; an open set.
  public struct Code: RawRepresentable, Sendable, Hashable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The board has no closed loop.
    public static let noClosedLoop = Code(rawValue: "noClosedLoop")
    /// A value lies outside a converter's range.
    public static let outOfRange = Code(rawValue: "outOfRange")
    /// More ticks, or shorter or longer ones, than the board has.
    public static let ticks = Code(rawValue: "ticks")
    /// The network needs more embedding channels or other dimensions than the board has.
    public static let channels = Code(rawValue: "channels")
    /// The unit voltage drives rows into their clamp.
    public static let rowClamp = Code(rawValue: "rowClamp")
    /// A converter has more bits than a code of the wire, which is 16.
    public static let converter = Code(rawValue: "converter")
  }

  public var code: Code
  public var reason: String
  /// For `outOfRange`: the channel as named in the schedule, the time t and the value it should have had.
  public var channel: String?
  public var time: Double?
  public var value: Double?
  /// The largest β scale with which every channel fits; nil if no scale changes that.
  public var largestScale: Double?
  /// The largest w of guidance with which the network's coefficient fits.
  public var largestGuidance: Double?

  public init(_ code: Code, _ reason: String) {
    self.code = code
    self.reason = reason
  }

  public var description: String { reason }
}
