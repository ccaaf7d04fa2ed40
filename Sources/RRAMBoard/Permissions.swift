/// What the caller knowingly allows beyond reading and ordinary programming.
public struct Permissions: OptionSet, Sendable, Hashable {
  public var rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Forming changes a pristine cell for ever.
  public static let forming = Permissions(rawValue: 1 << 0)
}
