/// A value of a profile or board description as it stands in the document, with where it comes from.
public struct DocumentedValue: Sendable, Hashable, Encodable {
  /// Key path from the root, as in `cells.conductance.min`.
  public var key: String
  /// The numbers, or one word of choice, as written.
  public var numbers: [String]
  /// Unit as written; `1` for a plain number or a word.
  public var unit: String
  /// Where it was published; `nil` for an assumption or a choice.
  public var source: String?
  /// Why it was assumed.
  public var assumed: String?

  public init(key: String, numbers: [String], unit: String, source: String? = nil, assumed: String? = nil) {
    self.key = key
    self.numbers = numbers
    self.unit = unit
    self.source = source
    self.assumed = assumed
  }
}
