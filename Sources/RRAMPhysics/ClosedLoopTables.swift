/// What the board's converters play during a run: one row of values a tick, constant within it.
public struct LoopTables: Sendable, Hashable {
  /// Length of a tick in units of the run time τ.
  public var tickDuration: Double
  /// Factor of x, one a tick.
  public var a: [Float]
  /// Factor of the network's output, one a tick.
  public var b: [Float]
  /// Factor of the second half of the network's outputs, one a tick; empty for one network.
  public var secondB: [Float]
  /// Embedding in units, (ticks, embeddingColumns), row-major.
  public var embedding: [Float]
  public var embeddingColumns: Int
  /// Additive offset channels in units per run time, (ticks, dimensions), row-major; empty for zeros.
  public var offset: [Float]
  /// g at each tick's midpoint, for the held noise of a stochastic run; empty for none.
  public var noiseAmplitude: [Float]

  public init(
    tickDuration: Double, a: [Float], b: [Float], secondB: [Float] = [], embedding: [Float] = [],
    embeddingColumns: Int = 0, offset: [Float] = [], noiseAmplitude: [Float] = []
  ) {
    self.secondB = secondB
    self.tickDuration = tickDuration
    self.a = a
    self.b = b
    self.embedding = embedding
    self.embeddingColumns = embeddingColumns
    self.offset = offset
    self.noiseAmplitude = noiseAmplitude
  }

  public var ticks: Int { a.count }

  /// Integration steps a tick so that a run has at least `steps` of them.
  public func substeps(forSteps steps: Int) -> Int { max(1, (steps + ticks - 1) / max(1, ticks)) }
}
