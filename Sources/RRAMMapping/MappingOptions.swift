/// How weights become conductances.
public struct MappingOptions: Sendable, Hashable, Codable {
  /// What the two cells of a pair are given.
  public enum Pairs: String, Sendable, Hashable, Codable, CaseIterable {
    /// The cell on the side of the sign carries the weight, its partner the window's lower end.
    case oneSided = "one-sided"
    /// Both move by half of the difference, in opposite directions from the middle of the window.
    case balanced
    /// As few cells as the weight needs, on the side of the sign; all others stay pristine, or are reset as far as they go if they have
    /// been formed. A cell without a filament neither conducts nor fluctuates, so every cell that is not used takes its noise with it.
    case sparse
  }

  /// What shares one scale.
  public enum Scale: String, Sendable, Hashable, Codable, CaseIterable {
    /// All weights of a layer.
    case layer
    /// The weights of one output.
    case column
  }

  /// How many rows each input of a layer drives.
  public enum Replicas: Sendable, Hashable, Codable {
    /// This many in every layer.
    case rows(Int)
    /// As many as the macro has room for, layer by layer.
    case most
  }

  public var pairs = Pairs.oneSided
  public var scale = Scale.layer
  public var replicas = Replicas.rows(1)
  /// Further rows of each input, driven through these attenuations (factors of the board description), that make good the error of the
  /// others.
  public var residuals: [Double] = []
  /// Conductances that a cell may be given, equally spaced over the window; nil: any.
  public var levels: Int?
  /// What hidden units are multiplied by, their outgoing weights divided: the same function on other conductances. nil: 1.
  public var hiddenScale: [Double]?

  public init() {}
}
