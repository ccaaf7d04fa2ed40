internal import RRAMUnits

/// The largest values that the rows of each layer see during runs: |y|, then both hidden layers' outputs, in units of the
/// network.
///
/// Computed in software from start points and noise of their own seed, Euler with 100 steps: good to a few percent, which is
/// enough to place a unit voltage below a row clamp.
public struct NodePeaks: Sendable, Hashable {
  /// One list a layer: the largest value of any of its rows during each run, ascending.
  public let ascending: [[Float]]

  /// - Parameters:
  ///   - label: class, nil for the null condition.
  ///   - samples: runs.
  public init(
    of network: ScoreNetwork, process: DiffusionProcess, equation: ReverseEquation, label: Int? = nil,
    guidance: Double = 0, seed: UInt64 = 0, samples: Int = 256
  ) {
    precondition(samples > 0, "\(samples) samples")
    let (steps, lanes, dimensions, hidden) = (100, NetworkKernel.lanes, network.dimensions, network.hiddenSize)
    let kernel = NetworkKernel(network)
    let workspace = NetworkKernel.Workspace(hidden: hidden, dimensions: dimensions)
    let step = (1 - DiffusionProcess.endTime) / Double(steps)
    var peaks = [[Float]](repeating: [Float](repeating: 0, count: samples), count: 3)
    let start = SamplingNoise.start(seed: seed, count: samples, dimensions: dimensions)
    for first in stride(from: 0, to: samples, by: lanes) {
      let used = min(lanes, samples - first)
      for d in 0..<dimensions {
        for lane in 0..<lanes {
          workspace.state[d * lanes + lane] = lane < used ? start[(first + lane) * dimensions + d] : 0
        }
      }
      func note(_ layer: Int, _ values: UnsafePointer<Float>, _ nodes: Int) {
        for node in 0..<nodes {
          for lane in 0..<used {
            let value = abs(values[node * lanes + lane])
            if value > peaks[layer][first + lane] { peaks[layer][first + lane] = value }
          }
        }
      }
      for index in 0..<steps {
        let t = 1 - (Double(index) + 0.5) * step
        var weighted = [Float](repeating: 0, count: dimensions * lanes)
        let conditions: [(Int?, Double)] = guidance == 0 ? [(label, 1)] : [(label, 1 + guidance), (nil, -guidance)]
        note(0, workspace.state, dimensions)
        for (condition, weight) in conditions {
          let bias = kernel.preactivation(network.timeEmbedding(Float(t)), network.classEmbedding(condition))
          bias.withUnsafeBufferPointer { kernel.evaluate(workspace.state, bias: $0, offset: 0, workspace) }
          note(1, workspace.first, hidden)
          note(2, workspace.second, hidden)
          for i in weighted.indices { weighted[i] += Float(weight) * workspace.output[i] }
        }
        let a = Float(process.stateCoefficient(at: t) * step)
        let b = Float(process.scoreCoefficient(at: t, equation: equation) * step) * network.amplitude
        let gain = equation == .sde ? Float((process.squaredDiffusion(at: t) * step).squareRoot()) : 0
        for d in 0..<dimensions {
          for lane in 0..<lanes {
            let i = d * lanes + lane
            workspace.state[i] += a * workspace.state[i] + b * weighted[i]
            guard gain > 0, lane < used else { continue }
            workspace.state[i] +=
              gain
              * SamplingNoise.wiener(
                seed: seed, sample: UInt32(first + lane), tick: UInt32(index), channel: UInt32(d))
          }
        }
      }
    }
    ascending = peaks.map { $0.sorted() }
  }

  /// The share of runs in which a row of that layer passes `limit`.
  public func share(above limit: Float, layer: Int) -> Double {
    let values = ascending[layer]
    return Double(values.count - (values.firstIndex { $0 > limit } ?? values.count)) / Double(values.count)
  }

  /// The value that a share of the runs stays below.
  public func quantile(_ share: Double, layer: Int) -> Float {
    let values = ascending[layer]
    return values[min(values.count - 1, max(0, Int((share * Double(values.count)).rounded(.up)) - 1))]
  }
}
