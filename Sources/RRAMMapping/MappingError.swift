/// A network cannot be put on a chip, or what is on the chip is not what was asked for.
public struct MappingError: Error, Sendable, CustomStringConvertible {
  /// What kind of failure it is; an open set.
  public struct Code: RawRepresentable, Sendable, Hashable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The network needs more rows, columns, macros or embedding channels than the board has.
    public static let doesNotFit = Code(rawValue: "doesNotFit")
    /// The conductance window is empty or exceeds the chip's limits.
    public static let windowRefused = Code(rawValue: "windowRefused")
    /// No setting of the column gain gives the weights their size.
    public static let gainOutOfRange = Code(rawValue: "gainOutOfRange")
    /// Wires take too much of the cells' current.
    public static let wireDrop = Code(rawValue: "wireDrop")
    /// A cell at its target is beyond what a read can measure.
    public static let rangeRefused = Code(rawValue: "rangeRefused")
    /// Hidden units cannot be multiplied like that.
    public static let rescaleRefused = Code(rawValue: "rescaleRefused")
    /// The board injects embeddings in a way this mapping does not serve.
    public static let unsupportedBoard = Code(rawValue: "unsupportedBoard")
    /// The chip's cells cannot be written that way.
    public static let unsupported = Code(rawValue: "unsupported")
    /// Cells that should be written have not been formed.
    public static let notFormed = Code(rawValue: "notFormed")
    /// No macro carries a label.
    public static let notProgrammed = Code(rawValue: "notProgrammed")
    /// The chip carries a label that this records folder does not know.
    public static let unknownLabel = Code(rawValue: "unknownLabel")
    /// Cells were changed after the network was programmed.
    public static let changedSince = Code(rawValue: "changedSince")
    /// Another model is on the chip.
    public static let otherModel = Code(rawValue: "otherModel")
    /// The record of a program cannot be understood.
    public static let malformedRecord = Code(rawValue: "malformedRecord")
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
