public import RRAMUnits

/// What the physics refuses: requests that must have been refused before they came here, and unusable state.
public struct PhysicsError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The kind of refusal.
  public struct Code: RawRepresentable, Sendable, Hashable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    /// A voltage, width or count beyond the chip's limits.
    public static let overLimit = Code(rawValue: "overLimit")
    /// A cell, block or list that the macro does not have.
    public static let shape = Code(rawValue: "shape")
    /// A voltage that a converter has no code for.
    public static let converterRange = Code(rawValue: "converterRange")
    /// A saved state that does not belong to this macro or is damaged.
    public static let state = Code(rawValue: "state")
    /// Wires and cells that cannot be solved as a network.
    public static let network = Code(rawValue: "network")
  }

  public var code: Code
  /// Name of the limit, converter or array concerned.
  public var subject: String
  /// The first cell concerned.
  public var cell: CellAddress?
  /// What is wrong, with numbers and units.
  public var reason: String

  public init(code: Code, subject: String, cell: CellAddress? = nil, reason: String) {
    self.code = code
    self.subject = subject
    self.cell = cell
    self.reason = reason
  }

  public var description: String {
    (cell.map { "\($0): " } ?? "") + "\(subject): \(reason)"
  }
}
