internal import Glibc

/// A score (for flow matching a velocity) as a function of state and time, in float64.
///
/// Made of a network, or of a distribution whose score is known exactly, as an oracle.
public struct ScoreFunction: Sendable {
  /// Coordinates of a point.
  public let dimensions: Int
  /// Writes the score of one point y at time t.
  typealias Evaluate =
    @Sendable (_ y: UnsafePointer<Double>, _ t: Double, _ output: UnsafeMutablePointer<Double>) -> Void
  /// Makes an evaluator with scratch memory of its own, for one thread.
  let makeEvaluate: @Sendable () -> Evaluate

  /// The exact score of normal data, each coordinate independent, seen through `process`: −(x − m·μ)/(m²σ₀² + std²), with
  /// m and std of ``DiffusionProcess/marginal(at:)``, as a function of y = x/stateScale; for a flow the exact velocity,
  /// E[z − x₀ | x_t = x].
  ///
  /// - Parameters:
  ///   - mean: μ of the data, one a coordinate.
  ///   - deviation: σ₀ of the data.
  public init(normalMean mean: [Double], deviation: Double, process: DiffusionProcess) {
    dimensions = mean.count
    let scale = process.stateScale
    makeEvaluate = {
      { y, t, output in
        let (factor, spread) = process.marginal(at: t)
        let variance = factor * factor * deviation * deviation + spread * spread
        for i in mean.indices {
          let offset = scale * y[i] - factor * mean[i]
          if process == .flow {
            // Cov(z − x₀, x_t) = t − (1 − t)·σ₀².
            output[i] = (t - factor * deviation * deviation) * offset / variance - mean[i]
          } else {
            output[i] = -offset / variance
          }
        }
      }
    }
  }

  /// A network's score in float64, guided if w is not 0.
  public init(_ network: ScoreNetwork, label: Int? = nil, guidance: Double = 0) {
    precondition(guidance == 0 || label != nil, "guidance needs a class to guide to")
    dimensions = network.dimensions
    let layers = network.layers.map { (weight: $0.weight.map { Double($0) }, bias: $0.bias.map { Double($0) }) }
    let frequencies = network.timeFrequencies.map { Double($0) }
    let scale =
      network.hiddenScale.isEmpty
      ? [Double](repeating: 1, count: network.hiddenSize) : network.hiddenScale.map { Double($0) }
    let condition = network.classEmbedding(label).map { Double($0) }
    let (hidden, dimensions, amplitude) = (network.hiddenSize, network.dimensions, Double(network.amplitude))
    makeEvaluate = {
      let scratch = Scratch(count: 4 * hidden + dimensions)
      return { y, t, output in
        let (embedding, first, second) = (scratch.memory, scratch.memory + hidden, scratch.memory + 2 * hidden)
        let (time, free) = (scratch.memory + 3 * hidden, scratch.memory + 4 * hidden)
        for (k, frequency) in frequencies.enumerated() {
          let angle = 2 * Double.pi * frequency * t
          time[k] = scale[k] * sin(angle)
          time[k + hidden / 2] = scale[k + hidden / 2] * cos(angle)
        }
        func forward(_ target: UnsafeMutablePointer<Double>) {
          affine(layers[0], y, dimensions, add: embedding, hidden, into: first)
          affine(layers[1], first, hidden, add: embedding, hidden, into: second)
          affine(layers[2], second, hidden, add: nil, dimensions, into: target)
          for i in 0..<dimensions { target[i] *= amplitude }
        }
        for j in 0..<hidden { embedding[j] = time[j] + condition[j] }
        forward(output)
        guard guidance != 0 else { return }
        for j in 0..<hidden { embedding[j] = time[j] }
        forward(free)
        for i in 0..<dimensions { output[i] = (1 + guidance) * output[i] - guidance * free[i] }
      }
    }
  }

  /// Memory of one evaluator; one thread uses it.
  private final class Scratch: @unchecked Sendable {
    let memory: UnsafeMutablePointer<Double>
    init(count: Int) {
      memory = .allocate(capacity: count)
      memory.initialize(repeating: 0, count: count)
    }
    deinit { memory.deallocate() }
  }
}

/// One layer; rectified where an embedding is added.
private func affine(
  _ layer: (weight: [Double], bias: [Double]), _ input: UnsafePointer<Double>, _ inputs: Int,
  add embedding: UnsafePointer<Double>?, _ outputs: Int, into output: UnsafeMutablePointer<Double>
) {
  layer.weight.withUnsafeBufferPointer { weight in
    for row in 0..<outputs {
      var sum = layer.bias[row]
      for i in 0..<inputs { sum += weight[row * inputs + i] * input[i] }
      output[row] = embedding.map { max(0, sum + $0[row]) } ?? sum
    }
  }
}
