internal import Glibc

/// The published score network: an MLP of three layers whose hidden pre-activations get time and class embedding added.
///
///     h₁ = relu(W₀x + b₀ + e(t) + c),  h₂ = relu(W₂h₁ + b₂ + e(t) + c),  score = amplitude · (W₄h₂ + b₄)
///
/// with e(t) = [sin 2πFt, cos 2πFt] and, for conditional networks, c = V₂·gelu(V₀·onehot + d₀) + d₂
/// (arXiv 2404.05648 and its published code). All values are in units of the network: 1.0 is one unit voltage on chip.
public struct ScoreNetwork: Sendable, Hashable {
  /// One affine layer.
  public struct Layer: Sendable, Hashable {
    public let outputs: Int
    public let inputs: Int
    /// Shape (outputs, inputs), row-major.
    public let weight: [Float]
    /// Shape (outputs).
    public let bias: [Float]

    public init(outputs: Int, inputs: Int, weight: [Float], bias: [Float]) {
      precondition(weight.count == outputs * inputs && bias.count == outputs, "a layer's arrays differ from its shape")
      self.outputs = outputs
      self.inputs = inputs
      self.weight = weight
      self.bias = bias
    }
  }

  /// Widest hidden layer.
  public static let hiddenLimit = 64
  /// Most dimensions of x.
  public static let dimensionLimit = 16
  /// Most classes.
  public static let classLimit = 256

  /// The layers `linears.0`, `linears.2`, `linears.4`.
  public let layers: [Layer]
  /// `embed.W`: frequencies of the time embedding, half as many as hidden nodes.
  public let timeFrequencies: [Float]
  /// `conEmbed.model.0` and `conEmbed.model.2`; empty for an unconditional network.
  public let classLayers: [Layer]
  /// score = amplitude · net.
  public let amplitude: Float
  /// What each hidden unit's embedding is multiplied by, in both layers; empty: nothing. See ``rescalingHidden(by:)``.
  public let hiddenScale: [Float]

  /// Dimensions of x and of the score.
  public var dimensions: Int { layers[0].inputs }
  /// Nodes of each hidden layer.
  public var hiddenSize: Int { layers[0].outputs }
  /// Number of classes; 0 for an unconditional network.
  public var classCount: Int { classLayers.first?.inputs ?? 0 }
  public var isConditional: Bool { !classLayers.isEmpty }

  /// Makes a network from its layers, whose shapes must chain; `file`-based loading is ``ModelLibrary``'s.
  public init(
    layers: [Layer], timeFrequencies: [Float], classLayers: [Layer] = [], amplitude: Float, hiddenScale: [Float] = []
  ) {
    precondition(
      hiddenScale.isEmpty || hiddenScale.count == layers[0].outputs, "one factor a hidden unit")
    precondition(
      layers.count == 3 && (classLayers.isEmpty || classLayers.count == 2), "three layers, none or two for classes")
    let hidden = layers[0].outputs
    precondition(
      layers[1].inputs == hidden && layers[1].outputs == hidden && layers[2].inputs == hidden
        && layers[2].outputs == layers[0].inputs && timeFrequencies.count * 2 == hidden, "the layers do not chain")
    precondition(
      classLayers.isEmpty || (classLayers[1].inputs == classLayers[0].outputs && classLayers[1].outputs == hidden),
      "the class layers do not chain")
    self.layers = layers
    self.timeFrequencies = timeFrequencies
    self.classLayers = classLayers
    self.amplitude = amplitude
    self.hiddenScale = hiddenScale
  }

  /// The network with hidden unit j of both layers times d_j > 0: the same function, because relu(d·z) = d·relu(z).
  ///
  /// Rows of W₀ and b₀ times d, W₂ → D·W₂·D⁻¹, b₂ times d, columns of W₄ over d; time and class embedding times d, which both hidden layers
  /// share, and with them one d.
  public func rescalingHidden(by factors: [Double]) -> ScoreNetwork {
    precondition(
      factors.count == hiddenSize && factors.allSatisfy { $0 > 0 && $0.isFinite }, "one factor above 0 a hidden unit")
    func scaled(_ layer: Layer, outputs: [Double]?, inputs: [Double]?) -> Layer {
      Layer(
        outputs: layer.outputs, inputs: layer.inputs,
        weight: layer.weight.indices.map { index in
          let (out, input) = (index / layer.inputs, index % layer.inputs)
          return Float(Double(layer.weight[index]) * (outputs?[out] ?? 1) / (inputs?[input] ?? 1))
        },
        bias: layer.bias.indices.map { Float(Double(layer.bias[$0]) * (outputs?[$0] ?? 1)) })
    }
    return ScoreNetwork(
      layers: [
        scaled(layers[0], outputs: factors, inputs: nil), scaled(layers[1], outputs: factors, inputs: factors),
        scaled(layers[2], outputs: nil, inputs: factors),
      ], timeFrequencies: timeFrequencies, classLayers: classLayers, amplitude: amplitude,
      hiddenScale: factors.indices.map { Float(factors[$0]) * (hiddenScale.isEmpty ? 1 : hiddenScale[$0]) })
  }

  /// An embedding as the hidden units get it.
  private func scaled(_ embedding: [Float]) -> [Float] {
    hiddenScale.isEmpty ? embedding : zip(embedding, hiddenScale).map { $0 * $1 }
  }

  /// The network of y with net(y) = this net(factor·y): the factor goes into the first layer's weights.
  public func scalingInput(by factor: Float) -> ScoreNetwork {
    guard factor != 1 else { return self }
    let first = Layer(
      outputs: layers[0].outputs, inputs: layers[0].inputs, weight: layers[0].weight.map { $0 * factor },
      bias: layers[0].bias)
    return ScoreNetwork(
      layers: [first] + layers.dropFirst(), timeFrequencies: timeFrequencies, classLayers: classLayers,
      amplitude: amplitude, hiddenScale: hiddenScale)
  }

  private static let layerKeys = ["linears.0", "linears.2", "linears.4"]
  private static let classKeys = ["conEmbed.model.0", "conEmbed.model.2"]

  /// True if the file has the class embedding of a conditional network.
  static func isConditional(_ file: TensorFile) -> Bool { file.keys.contains { $0.hasPrefix("conEmbed.") } }

  /// Reads the arrays of a file with the published `state_dict` keys.
  init(_ file: TensorFile, amplitude: Float) throws(ModelError) {
    let names = Self.layerKeys + (Self.isConditional(file) ? Self.classKeys : [])
    try file.requireKeys(["embed.W"] + names.flatMap { ["\($0).weight", "\($0).bias"] })
    guard let first = file.shape("linears.0.weight"), first.count == 2, (2...Self.hiddenLimit).contains(first[0]),
      first[0] % 2 == 0, (1...Self.dimensionLimit).contains(first[1])
    else {
      throw file.wrongShape(
        "linears.0.weight",
        expected: "(hidden, inputs) with an even number of 2 to \(Self.hiddenLimit) hidden nodes "
          + "and 1 to \(Self.dimensionLimit) inputs")
    }
    let (hidden, dimensions) = (first[0], first[1])
    func layer(_ name: String, _ outputs: Int, _ inputs: Int) throws(ModelError) -> Layer {
      Layer(
        outputs: outputs, inputs: inputs, weight: try file.values("\(name).weight", shape: [outputs, inputs]),
        bias: try file.values("\(name).bias", shape: [outputs]))
    }
    var classLayers: [Layer] = []
    if Self.isConditional(file) {
      guard let shape = file.shape("conEmbed.model.0.weight"), shape.count == 2,
        (1...Self.hiddenLimit).contains(shape[0]), (1...Self.classLimit).contains(shape[1])
      else {
        throw file.wrongShape(
          "conEmbed.model.0.weight",
          expected: "(nodes, classes) with 1 to \(Self.hiddenLimit) nodes and 1 to \(Self.classLimit) classes")
      }
      classLayers = [
        try layer(Self.classKeys[0], shape[0], shape[1]), try layer(Self.classKeys[1], hidden, shape[0]),
      ]
    }
    self.init(
      layers: [
        try layer(Self.layerKeys[0], hidden, dimensions), try layer(Self.layerKeys[1], hidden, hidden),
        try layer(Self.layerKeys[2], dimensions, hidden),
      ],
      timeFrequencies: try file.values("embed.W", shape: [hidden / 2]), classLayers: classLayers, amplitude: amplitude)
  }

  /// The tensors under their published keys, for writing a model file.
  public var tensors: [(key: String, shape: [Int], values: [Float])] {
    var result: [(key: String, shape: [Int], values: [Float])] = [
      ("embed.W", [timeFrequencies.count], timeFrequencies)
    ]
    for (name, layer) in zip(Self.layerKeys + Self.classKeys, layers + classLayers) {
      result.append(("\(name).weight", [layer.outputs, layer.inputs], layer.weight))
      result.append(("\(name).bias", [layer.outputs], layer.bias))
    }
    return result
  }

  /// e(t) = [sin 2πFt, cos 2πFt], as many values as hidden nodes.
  public func timeEmbedding(_ t: Float) -> [Float] {
    // The order of the float products is that of the training code: t·F, ·2, ·π.
    let angles = timeFrequencies.map { t * $0 * 2 * Float.pi }
    return scaled(angles.map { sinf($0) } + angles.map { cosf($0) })
  }

  /// c of a class, or zeros for nil: the null condition, and the only one of an unconditional network.
  public func classEmbedding(_ label: Int?) -> [Float] {
    guard let label, isConditional else {
      precondition(label == nil, "an unconditional network has no classes")
      return [Float](repeating: 0, count: hiddenSize)
    }
    precondition((0..<classCount).contains(label), "class \(label) of \(classCount)")
    let first = classLayers[0]
    let hidden = (0..<first.outputs).map { row in
      gelu(first.weight[row * first.inputs + label] + first.bias[row])
    }
    let second = classLayers[1]
    return scaled(
      (0..<second.outputs).map { row in
        hidden.indices.reduce(second.bias[row]) { $0 + second.weight[row * second.inputs + $1] * hidden[$1] }
      })
  }

  /// Refuses a label that the network does not have.
  public func validate(label: Int?, model: String) throws(ModelError) {
    guard let label else { return }
    guard isConditional else {
      throw ModelError(.invalidLabel, model, reason: "class \(label) asked of an unconditional network")
    }
    guard (0..<classCount).contains(label) else {
      throw ModelError(.invalidLabel, model, reason: "class \(label), the network has 0 to \(classCount - 1)")
    }
  }

  /// The scores of points that share time and class.
  ///
  /// - Parameters:
  ///   - x: shape (n, dimensions), row-major.
  ///   - t: time in 0...1.
  ///   - label: class, nil for the null condition.
  /// - Returns: shape (n, dimensions).
  public func score(_ x: [Float], t: Float, label: Int? = nil) -> [Float] {
    precondition(x.count % dimensions == 0, "\(x.count) values are no whole points")
    let n = x.count / dimensions
    let kernel = NetworkKernel(self)
    let bias = kernel.preactivation(timeEmbedding(t), classEmbedding(label))
    var output = [Float](repeating: 0, count: x.count)
    let workspace = NetworkKernel.Workspace(hidden: hiddenSize, dimensions: dimensions)
    for start in stride(from: 0, to: n, by: NetworkKernel.lanes) {
      let used = min(NetworkKernel.lanes, n - start)
      for d in 0..<dimensions {
        for lane in 0..<NetworkKernel.lanes {
          workspace.state[d * NetworkKernel.lanes + lane] = lane < used ? x[(start + lane) * dimensions + d] : 0
        }
      }
      bias.withUnsafeBufferPointer { kernel.evaluate(workspace.state, bias: $0, offset: 0, workspace) }
      for lane in 0..<used {
        for d in 0..<dimensions {
          output[(start + lane) * dimensions + d] = amplitude * workspace.output[d * NetworkKernel.lanes + lane]
        }
      }
    }
    return output
  }

  /// The scores of points with a time, and for conditional networks a class, of their own.
  ///
  /// - Parameters:
  ///   - x: shape (n, dimensions), row-major.
  ///   - t: shape (n).
  ///   - labels: shape (n), nil for the null condition of all.
  public func score(_ x: [Float], t: [Float], labels: [Int]? = nil) -> [Float] {
    precondition(x.count == t.count * dimensions && (labels?.count ?? t.count) == t.count, "counts differ")
    return t.indices.flatMap { i in
      score(Array(x[i * dimensions..<(i + 1) * dimensions]), t: t[i], label: labels?[i])
    }
  }
}

/// The Gaussian error linear unit in its exact form, x·Φ(x).
func gelu(_ x: Float) -> Float { 0.5 * x * (1 + erff(x * Float(0.5).squareRoot())) }
