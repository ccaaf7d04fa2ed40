internal import RRAMModel
internal import RRAMProfiles
internal import RRAMUnits

/// A model's tables as a board should play them, before converters: what a schedule and a fit start from.
struct NominalTables: Sendable {
  let times: [Double]
  /// Length of a tick in the board's run times, in which rates count.
  let tickDuration: Double
  let a: [Double]
  /// With the factors of guidance.
  let b: [Double]
  /// Of the second network; empty unless guidance is played at once.
  let secondB: [Double]
  /// Units at the integrator for ξ = 1, 0 in the last tick; empty for the ODE.
  let heldGain: [Double]
  /// Whether a tick plays the null condition in the class's place: the slots of guidance that are its.
  let isNull: [Bool]
  /// Networks of one state.
  var networks: Int { secondB.isEmpty ? 1 : 2 }
  private let network: ScoreNetwork

  /// - Parameters:
  ///   - tickDuration: in run times; nil: one run time in all.
  ///   - guidance: w, 0 for none.
  init(
    _ network: ScoreNetwork, process: DiffusionProcess, equation: ReverseEquation, ticks: Int,
    loop: BoardDescription.ClosedLoop, tickDuration: Double? = nil, guidance: Double = 0, play: GuidancePlay
  ) {
    self.network = network
    let times = Schedule.midpoints(ticks: ticks)
    self.times = times
    let tickDuration = tickDuration ?? 1 / Double(ticks)
    self.tickDuration = tickDuration
    // What t falls by in a run time.
    let rate = (1 - DiffusionProcess.endTime) / (Double(ticks) * tickDuration)
    let amplitude = Double(network.amplitude) / loop.outputAmplifier
    a = times.map { rate * process.stateCoefficient(at: $0) }
    let plain = times.map { rate * amplitude * process.scoreCoefficient(at: $0, equation: equation) }
    let slots = guidance != 0 && play == .slots
    let isNull = times.indices.map { slots && !Schedule.isClassSlot($0, equation) }
    self.isNull = isNull
    b = zip(plain, isNull).map { value, isNull in
      value * (!slots ? 1 + guidance : isNull ? -2 * guidance : 2 * (1 + guidance))
    }
    secondB = guidance != 0 && play == .atOnce ? plain.map { -guidance * $0 } : []
    // k·g(t)/√Δt, where Δt is the tick in the process's own time, so that an increment has variance g²Δt.
    let step = (1 - DiffusionProcess.endTime) / Double(ticks)
    heldGain =
      equation == .sde
      ? times.indices.map {
        $0 + 1 < ticks ? rate * (process.squaredDiffusion(at: times[$0]) / step).squareRoot() : 0
      } : []
  }

  /// (ticks, networks, hidden), for one condition; the second network has the null condition.
  func embedding(_ label: Int?) -> [Double] {
    let (label, null) = (network.classEmbedding(label), network.classEmbedding(nil))
    return zip(times, isNull).flatMap { t, isNull in
      let time = network.timeEmbedding(Float(t))
      func sum(_ own: [Float]) -> [Double] { zip(time, own).map { Double($0) + Double($1) } }
      return sum(isNull ? null : label) + (networks == 2 ? sum(null) : [])
    }
  }

  /// The tables as they are.
  func tables(_ embedding: [Double]) -> ModelledTables {
    ModelledTables(
      tickDuration: tickDuration, a: a, b: b, secondB: secondB, embedding: embedding,
      offset: [Double](repeating: 0, count: 2 * times.count), heldGain: heldGain)
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
