internal import RRAMModel
internal import RRAMProfiles
internal import RRAMUnits

/// A model's tables as a board should play them, before converters: what a fit starts from.
struct NominalTables: Sendable {
  let times: [Double]
  let a: [Double]
  let b: [Double]
  /// Factor of the held noise, 0 in the last tick; empty for the ODE.
  let heldGain: [Float]
  private let network: ScoreNetwork

  /// - Parameter rate: what t falls by over a run of length 1, where coefficients are rates of that run; a board's tables count in
  ///   run times, of which whole nanoseconds a tick leave a little.
  init(
    _ network: ScoreNetwork, process: DiffusionProcess, equation: ReverseEquation, ticks: Int,
    loop: BoardDescription.ClosedLoop, rate: Double = 1 - DiffusionProcess.endTime
  ) {
    self.network = network
    let times = Schedule.midpoints(ticks: ticks)
    self.times = times
    let amplitude = Double(network.amplitude) / loop.outputAmplifier
    a = times.map { rate * process.stateCoefficient(at: $0) }
    b = times.map { rate * amplitude * process.scoreCoefficient(at: $0, equation: equation) }
    // The kernel adds gain·ξ/√Δτ with Δτ = 1/ticks; increments have variance g²·rate/ticks.
    heldGain =
      equation == .sde
      ? times.indices.map {
        $0 + 1 < ticks ? Float((process.squaredDiffusion(at: times[$0]) * rate).squareRoot()) : 0
      } : []
  }

  /// (ticks, hidden), for one condition.
  func embedding(_ label: Int?) -> [Double] {
    let label = network.classEmbedding(label)
    return times.flatMap { t in zip(network.timeEmbedding(Float(t)), label).map { Double($0) + Double($1) } }
  }

  /// The tables as they are.
  func tables(_ embedding: [Double]) -> ModelledTables {
    ModelledTables(
      a: a.map { Float($0) }, b: b.map { Float($0) }, embedding: embedding.map { Float($0) },
      offset: [Float](repeating: 0, count: 2 * times.count), heldGain: heldGain)
  }

  /// ξ of every sample, tick and axis, (count, ticks, 2); empty for the ODE.
  func heldNoise(seed: UInt64, count: Int) -> [Float] {
    guard !heldGain.isEmpty else { return [] }
    let ticks = times.count
    var held = [Float](repeating: 0, count: 2 * count * ticks)
    for sample in 0..<count {
      for tick in 0..<ticks - 1 {
        for axis in 0..<2 {
          held[2 * (sample * ticks + tick) + axis] = SamplingNoise.wiener(
            seed: seed, sample: UInt32(truncatingIfNeeded: sample), tick: UInt32(tick), channel: UInt32(axis))
        }
      }
    }
    return held
  }
}
