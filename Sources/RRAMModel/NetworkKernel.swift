/// The network evaluated for a block of points at once, one point a lane.
///
/// Arrays are (node, lane); the inner loop runs over lanes so that the compiler makes vector code of it. A lane's
/// arithmetic does not depend on its neighbours, so results are independent of how points are grouped.
struct NetworkKernel: Sendable {
  /// Points in a block: the working set stays in the first-level cache.
  static let lanes = 64

  let hidden: Int
  let dimensions: Int
  private let weights: [[Float]]
  private let biases: [[Float]]

  init(_ network: ScoreNetwork) {
    hidden = network.hiddenSize
    dimensions = network.dimensions
    weights = network.layers.map(\.weight)
    biases = network.layers.map(\.bias)
  }

  /// Buffers of one thread.
  final class Workspace {
    let state: UnsafeMutablePointer<Float>
    let predicted: UnsafeMutablePointer<Float>
    let slope: UnsafeMutablePointer<Float>
    let noise: UnsafeMutablePointer<Float>
    let output: UnsafeMutablePointer<Float>
    let unguided: UnsafeMutablePointer<Float>
    let first: UnsafeMutablePointer<Float>
    let second: UnsafeMutablePointer<Float>
    private let memory: UnsafeMutablePointer<Float>

    init(hidden: Int, dimensions: Int) {
      let lanes = NetworkKernel.lanes
      let count = (6 * dimensions + 2 * hidden) * lanes
      memory = .allocate(capacity: count)
      memory.initialize(repeating: 0, count: count)
      state = memory
      predicted = state + dimensions * lanes
      slope = predicted + dimensions * lanes
      noise = slope + dimensions * lanes
      output = noise + dimensions * lanes
      unguided = output + dimensions * lanes
      first = unguided + dimensions * lanes
      second = first + hidden * lanes
    }

    deinit { memory.deallocate() }
  }

  /// What both hidden layers add to their products: (b₀ + e + c, b₂ + e + c), 2·hidden values.
  func preactivation(_ time: [Float], _ label: [Float]) -> [Float] {
    let embedding = zip(time, label).map { $0 + $1 }
    return zip(biases[0], embedding).map { $0 + $1 } + zip(biases[1], embedding).map { $0 + $1 }
  }

  /// net(x) into `workspace.output`, not multiplied by the amplitude.
  ///
  /// - Parameters:
  ///   - x: (dimensions, lanes).
  ///   - bias: what ``preactivation(_:_:)`` gave, from `offset` on.
  func evaluate(
    _ x: UnsafePointer<Float>, bias: UnsafeBufferPointer<Float>, offset: Int, _ workspace: Workspace
  ) {
    guard let bias = bias.baseAddress.map({ $0 + offset }) else { return }
    weights[0].withUnsafeBufferPointer { weight in
      affine(x, dimensions, weight, bias, hidden, rectified: true, into: workspace.first)
    }
    weights[1].withUnsafeBufferPointer { weight in
      affine(workspace.first, hidden, weight, bias + hidden, hidden, rectified: true, into: workspace.second)
    }
    weights[2].withUnsafeBufferPointer { weight in
      biases[2].withUnsafeBufferPointer { bias in
        guard let bias = bias.baseAddress else { return }
        affine(workspace.second, hidden, weight, bias, dimensions, rectified: false, into: workspace.output)
      }
    }
  }

  @inline(__always)
  private func affine(
    _ input: UnsafePointer<Float>, _ inputs: Int, _ weight: UnsafeBufferPointer<Float>, _ bias: UnsafePointer<Float>,
    _ outputs: Int, rectified: Bool, into output: UnsafeMutablePointer<Float>
  ) {
    guard let weight = weight.baseAddress else { return }
    let lanes = Self.lanes
    for row in 0..<outputs {
      let sum = output + row * lanes
      let w = weight + row * inputs
      let constant = bias[row]
      for lane in 0..<lanes { sum[lane] = constant }
      var i = 0
      while i + 1 < inputs {
        // Two inputs a pass halve the traffic to the sums.
        let (w0, w1) = (w[i], w[i + 1])
        let (x0, x1) = (input + i * lanes, input + (i + 1) * lanes)
        for lane in 0..<lanes { sum[lane] = sum[lane] + w0 * x0[lane] + w1 * x1[lane] }
        i += 2
      }
      if i < inputs {
        let w0 = w[i]
        let x0 = input + i * lanes
        for lane in 0..<lanes { sum[lane] = sum[lane] + w0 * x0[lane] }
      }
      if rectified {
        for lane in 0..<lanes { sum[lane] = sum[lane] > 0 ? sum[lane] : 0 }
      }
    }
  }
}
