public import RRAMUnits

extension ChipProfile {
  /// Metal of the array: resistance of the piece of line between two neighbouring cells, and of that before the first.
  public struct Wires: Sendable, Hashable {
    public var bitLineSegment: Ohms
    public var sourceLineSegment: Ohms

    /// Lines without resistance.
    public static let none = Wires(bitLineSegment: .zero, sourceLineSegment: .zero)

    public init(bitLineSegment: Ohms, sourceLineSegment: Ohms) {
      self.bitLineSegment = bitLineSegment
      self.sourceLineSegment = sourceLineSegment
    }
  }
}

extension ChipProfile.Wires {
  static let key = "wires"

  /// The section `wires`; a profile without it has lines without resistance.
  init(_ root: ProfileSection) throws(ProfileError) {
    self = .none
    guard root.has(Self.key) else { return }
    let section = try root.section(Self.key, required: ["bitLineSegment", "sourceLineSegment"])
    bitLineSegment = try section.ohms("bitLineSegment")
    sourceLineSegment = try section.ohms("sourceLineSegment")
    try section.requireNotNegative(bitLineSegment, "bitLineSegment")
    try section.requireNotNegative(sourceLineSegment, "sourceLineSegment")
  }
}
