public import RRAMMapping
internal import RRAMModel
public import RRAMProfiles
internal import RRAMUnits

extension SampleEnergy {
  /// The energy that a sample dissipates in the cells of the plan, modelled: ∫Σ_rows v²·ΣG dt over trajectories of the
  /// software network, with target conductances and the rows' clamp.
  ///
  /// Only cells of the plan's blocks count; amplifiers, converters and the board stay nil.
  ///
  /// - Parameters:
  ///   - atOnce: guidance on two networks, both of which are driven.
  ///   - trajectories: start points averaged over.
  ///   - steps: Euler steps of each.
  public static func modelled(
    _ program: SamplingProgram, plan: MappingPlan, loop: BoardDescription.ClosedLoop, atOnce: Bool = false,
    trajectories: Int = 1000, steps: Int = 100
  ) -> SampleEnergy {
    precondition(trajectories > 0 && steps > 0, "\(trajectories) trajectories of \(steps) steps")
    let network = program.model.network
    let unit = loop.unitVoltage.rawValue
    let clamp = Float(loop.rowClamp.rawValue / unit)
    // ΣG of the rows that each input drives, siemens, by the square of the factor it drives them with; the last one is the bias.
    func rows(_ layers: [MappingPlan.LayerPlacement]) -> [[Float]] {
      layers.map { layer in
        var sums = [Float](repeating: 0, count: layer.inputs + 1)
        for (row, drive) in layer.rows.enumerated() {
          guard let input = drive.input else { continue }
          let cells = layer.targets[row * layer.block.shape.columns..<(row + 1) * layer.block.shape.columns]
          sums[input] += Float(drive.factor * drive.factor) * cells.reduce(0, +)
        }
        return sums
      }
    }
    let (firstRows, secondRows) = (rows(plan.first), rows(plan.second))
    let span = 1 - DiffusionProcess.endTime
    let step = span / Double(steps)
    let labelEmbedding = network.classEmbedding(program.classLabel)
    let nullEmbedding = network.classEmbedding(nil)
    let guidance = program.guidance
    var x = program.startPoints(from: program.firstSample, count: trajectories)
    var power = 0.0
    for index in 0..<steps {
      let t = 1 - (Double(index) + 0.5) * step
      // Guidance as the schedule plays it: (factor, condition, rows) of what is driven in this step.
      let time = network.timeEmbedding(Float(t))
      let guided = zip(time, labelEmbedding).map { $0 + $1 }
      let free = zip(time, nullEmbedding).map { $0 + $1 }
      let parts: [(factor: Double, embedding: [Float], rows: [[Float]])] =
        if guidance == 0 {
          [(1, guided, firstRows)]
        } else if atOnce {
          [(1 + guidance, guided, firstRows), (-guidance, free, secondRows)]
        } else if Schedule.isClassSlot(index, program.equation) {
          [(2 * (1 + guidance), guided, firstRows)]
        } else {
          [(-2 * guidance, free, firstRows)]
        }
      let a = Float(program.process.stateCoefficient(at: t) * step)
      let b = Float(program.process.scoreCoefficient(at: t, equation: program.equation) * step) * network.amplitude
      let g =
        program.equation == .sde && index + 1 < steps
        ? Float((program.process.squaredDiffusion(at: t) * step).squareRoot()) : 0
      var sum: Float = 0
      for sample in 0..<trajectories {
        let point = Array(x[2 * sample..<2 * sample + 2])
        var net: [Float] = [0, 0]
        for part in parts {
          let first = forward(network.layers[0], point, add: part.embedding)
          let second = forward(network.layers[1], first, add: part.embedding)
          for (axis, value) in forward(network.layers[2], second, add: nil).enumerated() {
            net[axis] += Float(part.factor) * value
          }
          for (layer, values) in [point, first, second].enumerated() {
            for row in values.indices {
              let v = min(max(values[row], -clamp), clamp)
              sum += v * v * part.rows[layer][row]
            }
            sum += part.rows[layer][values.count]
          }
        }
        for axis in 0..<2 {
          var change = a * point[axis] + b * net[axis]
          if g > 0 {
            change +=
              g
              * SamplingNoise.wiener(
                seed: program.seed, sample: program.firstSample &+ UInt32(sample), tick: UInt32(index),
                channel: UInt32(axis))
          }
          x[2 * sample + axis] = point[axis] + change
        }
      }
      power += Double(sum)
    }
    let meanPower = power * unit * unit / Double(trajectories) / Double(steps)
    return SampleEnergy(array: meanPower * loop.runTime.seconds)
  }

  private static func forward(_ layer: ScoreNetwork.Layer, _ input: [Float], add: [Float]?) -> [Float] {
    (0..<layer.outputs).map { out in
      var sum = layer.bias[out]
      for i in 0..<layer.inputs { sum += layer.weight[out * layer.inputs + i] * input[i] }
      guard let add else { return sum }
      return max(0, sum + add[out])
    }
  }
}
