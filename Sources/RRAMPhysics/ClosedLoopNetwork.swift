/// A multilayer perceptron as the arrays and their amplifiers realise it.
///
/// Between the layers sits a soft ReLU; the last layer is linear. Weights are effective ones: what a column amplifier puts
/// out, in units, for one unit on the row, wire resistance and gain errors included.
public struct LoopNetwork: Sendable, Hashable {
  /// One layer: its rows drive its columns.
  public struct Layer: Sendable, Hashable {
    /// Driven rows, the bias row not counted.
    public var inputs: Int
    /// Sensed column pairs.
    public var outputs: Int
    /// Effective weights, (outputs, inputs + 1), row-major; the last column belongs to the bias row.
    public var weights: [Float]
    /// Variance of each weight's read noise, same shape and unit squared; empty for a layer without noise.
    public var variances: [Float]
    /// Half the step of each weight's two-state noise, same shape and unit; empty for a layer without. Only
    /// ``LoopNoise/perCell(_:)`` has any.
    public var telegraph: [Float]
    /// First column of the embedding table that is added to the outputs before the rectifier; `nil` for none.
    public var embeddingColumn: Int?

    public init(
      inputs: Int, outputs: Int, weights: [Float], variances: [Float] = [], telegraph: [Float] = [],
      embeddingColumn: Int? = nil
    ) {
      self.inputs = inputs
      self.outputs = outputs
      self.weights = weights
      self.variances = variances
      self.telegraph = telegraph
      self.embeddingColumn = embeddingColumn
    }
  }

  /// One to four layers, each 1 to 64 wide; the last has as many outputs as the first has inputs, or twice as many where the tables
  /// have a second coefficient: two networks of one state.
  public var layers: [Layer]
  /// Gain behind the network's output.
  public var amplitude: Float
  /// What drives the bias row of every layer, in units.
  public var biasLevel: Float

  public init(layers: [Layer], amplitude: Float = 1, biasLevel: Float = 1) {
    self.layers = layers
    self.amplitude = amplitude
    self.biasLevel = biasLevel
  }

  /// Components of the state x.
  public var dimensions: Int { layers.first?.inputs ?? 0 }
  /// Multiplications of one evaluation, bias rows not counted.
  public var products: Int { layers.reduce(0) { $0 + $1.inputs * $1.outputs } }
}

extension LoopNetwork {
  /// Two networks of one state as one: rows and columns side by side, nothing between them, the outputs of `second` behind those of
  /// this one.
  ///
  /// Embedding columns are laid out layer by layer, this network's before the other's.
  ///
  /// - Precondition: both have as many layers and the same amplitude and bias level.
  public func beside(_ second: LoopNetwork) -> LoopNetwork {
    precondition(
      layers.count == second.layers.count && amplitude == second.amplitude && biasLevel == second.biasLevel,
      "two networks of one state have as many layers and one amplifier")
    var joint = LoopNetwork(layers: [], amplitude: amplitude, biasLevel: biasLevel)
    var column = 0
    for (index, (a, b)) in zip(layers, second.layers).enumerated() {
      // The state drives both first layers.
      let inputs = index == 0 ? a.inputs : a.inputs + b.inputs
      let shift = index == 0 ? 0 : a.inputs
      func side(_ own: [Float], _ other: [Float]) -> [Float] {
        guard !own.isEmpty || !other.isEmpty else { return [] }
        var values = [Float](repeating: 0, count: (a.outputs + b.outputs) * (inputs + 1))
        for (layer, given, firstRow, firstColumn) in [(a, own, 0, 0), (b, other, a.outputs, shift)] where !given.isEmpty
        {
          for output in 0..<layer.outputs {
            let (row, from) = ((firstRow + output) * (inputs + 1), output * (layer.inputs + 1))
            for input in 0..<layer.inputs { values[row + firstColumn + input] = given[from + input] }
            values[row + inputs] = given[from + layer.inputs]
          }
        }
        return values
      }
      let isEmbedded = a.embeddingColumn != nil
      joint.layers.append(
        Layer(
          inputs: inputs, outputs: a.outputs + b.outputs, weights: side(a.weights, b.weights),
          variances: side(a.variances, b.variances), telegraph: side(a.telegraph, b.telegraph),
          embeddingColumn: isEmbedded ? column : nil))
      if isEmbedded { column += a.outputs + b.outputs }
    }
    return joint
  }
}
