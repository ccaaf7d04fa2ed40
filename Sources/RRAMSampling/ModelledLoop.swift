internal import CAnalogKernel
internal import Glibc
internal import RRAMMapping
internal import RRAMModel
internal import RRAMProfiles
internal import RRAMUnits

/// The tables of a run as the loop's kernel takes them, in units and τ.
struct ModelledTables: Sendable {
  var tickDuration: Double
  var a: [Double]
  var b: [Double]
  /// Empty for one network.
  var secondB: [Double]
  /// (ticks, networks, hidden).
  var embedding: [Double]
  /// (ticks, 2).
  var offset: [Double]
  /// Factor of the held noise, (ticks); empty for none.
  var heldGain: [Double]

  var ticks: Int { a.count }

  /// The tables unrounded, as the kernel's double precision takes them.
  fileprivate func withExact<R>(_ body: (UnsafePointer<ak_exact>) -> R) -> R {
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in
        secondB.withUnsafeBufferPointer { secondB in
          embedding.withUnsafeBufferPointer { embedding in
            offset.withUnsafeBufferPointer { offset in
              var exact = ak_exact(
                a: a.baseAddress, b: b.baseAddress, b2: secondB.isEmpty ? nil : secondB.baseAddress,
                embedding: embedding.baseAddress, offset: offset.baseAddress)
              return body(&exact)
            }
          }
        }
      }
    }
  }
}

/// A board's loop with given weights, as far as the host knows it: clamps and rails and how the chip's cells conduct, no noise of
/// the cells. The stages' poles are left out: on a board that is fast enough for its run time (``LoopFit``) they do not show.
struct ModelledLoop: Sendable {
  private var layers: [(inputs: Int, outputs: Int, weights: [Float])]
  private let amplitude: Float
  private let rowClamp: Float
  private let amplifierRail: Float
  private let integratorRail: Float
  private let cells: ChipProfile.Cells?
  private let unit: Volts
  /// Columns of the embedding's table, all networks together.
  private let embeddingColumns: Int

  /// The set that `RRAM_ISA` names if this machine runs it, otherwise the fastest.
  private static let instructionSet: ak_isa = {
    guard let name = getenv("RRAM_ISA").map({ String(cString: $0) }) else { return ak_isa_best() }
    let sets = [AK_ISA_PORTABLE, AK_ISA_SSE2, AK_ISA_AVX2, AK_ISA_AVX512, AK_ISA_NEON]
    return sets.first { String(cString: ak_isa_name($0)) == name && ak_isa_supported($0) != 0 } ?? ak_isa_best()
  }()

  /// With weights that conductances realise, each (outputs, inputs + 1), biases last.
  ///
  /// - Parameter second: those of a second network of the same state; empty for none.
  /// - Parameter cells: of the chip's profile; nil where cells are ohmic.
  init(
    weights: [[Double]], second: [[Double]] = [], _ network: ScoreNetwork, loop: BoardDescription.ClosedLoop,
    cells: ChipProfile.Cells? = nil
  ) {
    self.cells = cells
    layers = network.layers.indices.map { index in
      let layer = network.layers[index]
      guard !second.isEmpty else { return (layer.inputs, layer.outputs, weights[index].map { Float($0) }) }
      return Self.sideBySide(
        weights[index], second[index], inputs: layer.inputs, outputs: layer.outputs, sharesInputs: index == 0)
    }
    embeddingColumns = network.hiddenSize * (second.isEmpty ? 1 : 2)
    unit = loop.unitVoltage
    amplitude = Float(loop.outputAmplifier)
    rowClamp = Float(loop.rowClamp / unit)
    amplifierRail = Float(loop.amplifierRail / unit)
    integratorRail = Float(loop.integratorRail / unit)
  }

  /// One layer of two networks: rows and columns side by side, nothing between them, biases last.
  private static func sideBySide(
    _ first: [Double], _ second: [Double], inputs: Int, outputs: Int, sharesInputs: Bool
  ) -> (inputs: Int, outputs: Int, weights: [Float]) {
    let all = sharesInputs ? inputs : 2 * inputs
    var weights: [Float] = []
    weights.reserveCapacity(2 * outputs * (all + 1))
    let nothing = [Float](repeating: 0, count: all - inputs)
    for (place, own) in [first, second].enumerated() {
      for output in 0..<outputs {
        let row = own[output * (inputs + 1)..<(output + 1) * (inputs + 1)].map { Float($0) }
        weights += (place == 1 ? nothing : []) + row.dropLast() + (place == 0 ? nothing : []) + row.suffix(1)
      }
    }
    return (all, 2 * outputs, weights)
  }

  /// With the network's own weights, once or twice.
  init(_ network: ScoreNetwork, twice: Bool = false, loop: BoardDescription.ClosedLoop) {
    let weights = network.layers.map { layer in
      (0..<layer.outputs).flatMap { out in
        (0..<layer.inputs).map { Double(layer.weight[out * layer.inputs + $0]) } + [Double(layer.bias[out])]
      }
    }
    self.init(weights: weights, second: twice ? weights : [], network, loop: loop)
  }

  private func withKernel<R>(
    _ tables: ModelledTables, _ body: (UnsafePointer<ak_loop>, UnsafePointer<ak_schedule>) -> R
  )
    -> R
  {
    let weights = layers.flatMap(\.weights)
    return weights.withUnsafeBufferPointer { weights in
      var first = 0
      let kernelLayers = layers.indices.map { index in
        let layer = layers[index]
        defer { first += layer.weights.count }
        let isHidden = index + 1 < layers.count
        // Both hidden layers share the embedding's channels.
        return ak_layer(
          inputs: Int32(layer.inputs), outputs: Int32(layer.outputs), embedding: isHidden ? 0 : -1,
          rectified: isHidden ? 1 : 0, weights: weights.baseAddress.map { $0 + first }, variances: nil, telegraph: nil)
      }
      return kernelLayers.withUnsafeBufferPointer { kernelLayers in
        var loop = ak_loop()
        loop.layers = kernelLayers.baseAddress
        loop.layer_count = Int32(layers.count)
        loop.amplitude = amplitude
        loop.bias_level = 1
        loop.row_clamp = rowClamp
        loop.amplifier_rail = amplifierRail
        loop.integrator_rail = integratorRail
        loop.noise = AK_NOISE_NONE
        if let cells, cells.curvature != 0 || cells.polarity != 1 {
          loop.curved = 1
          loop.curvature = Float(cells.curvature * unit.rawValue)
          loop.read_level = Float(cells.readVoltage / unit)
          loop.polarity = Float(cells.polarity)
        }
        func floats(_ table: [Double]) -> [Float] { table.map { Float($0) } }
        return floats(tables.a).withUnsafeBufferPointer { a in
          floats(tables.b).withUnsafeBufferPointer { b in
            floats(tables.secondB).withUnsafeBufferPointer { secondB in
              floats(tables.embedding).withUnsafeBufferPointer { embedding in
                floats(tables.offset).withUnsafeBufferPointer { offset in
                  floats(tables.heldGain).withUnsafeBufferPointer { gain in
                    var schedule = ak_schedule()
                    schedule.ticks = Int32(tables.ticks)
                    schedule.substeps = 1
                    schedule.embedding_columns = Int32(embeddingColumns)
                    schedule.tick_duration = tables.tickDuration
                    schedule.a = a.baseAddress
                    schedule.b = b.baseAddress
                    schedule.b2 = secondB.isEmpty ? nil : secondB.baseAddress
                    schedule.embedding = embedding.baseAddress
                    schedule.offset = offset.baseAddress
                    schedule.held_gain = gain.isEmpty ? nil : gain.baseAddress
                    return body(&loop, &schedule)
                  }
                }
              }
            }
          }
        }
      }
    }
  }

  private func batch(_ x0: UnsafeBufferPointer<Float>, _ held: UnsafeBufferPointer<Float>, count: Int) -> ak_batch {
    var batch = ak_batch()
    batch.count = Int64(count)
    batch.x0 = x0.baseAddress
    batch.held_source = held.isEmpty ? AK_HELD_NONE : AK_HELD_TABLE
    batch.held = held.baseAddress
    return batch
  }

  /// Runs from start points (n, 2), with held noise (n, ticks, 2) or none.
  ///
  /// - Parameter interval: ticks between two points of the trajectory; nil gives the end points alone, (n, 2).
  /// - Returns: (n, ticks / interval, 2), the start left out.
  func run(_ x0: [Float], tables: ModelledTables, held: [Float] = [], interval: Int? = nil) -> [Float] {
    let count = x0.count / 2
    let points = interval.map { tables.ticks / $0 + 1 } ?? 0
    var end = [Float](repeating: 0, count: 2 * count)
    var trajectory = [Float](repeating: 0, count: 2 * count * points)
    let status = withKernel(tables) { loop, schedule in
      x0.withUnsafeBufferPointer { x0 in
        held.withUnsafeBufferPointer { held in
          end.withUnsafeMutableBufferPointer { end in
            trajectory.withUnsafeMutableBufferPointer { trajectory in
              var batch = batch(x0, held, count: count)
              batch.x = end.baseAddress
              if let interval {
                batch.trajectory_interval = Int32(interval)
                batch.trajectory = trajectory.baseAddress
              }
              return ak_run(loop, schedule, &batch, 0, batch.count, Self.instructionSet)
            }
          }
        }
      }
    }
    precondition(status == AK_OK, "the loop's kernel refuses its arguments: \(status.rawValue)")
    guard points > 0 else { return end }
    var result: [Float] = []
    result.reserveCapacity(2 * count * (points - 1))
    for sample in 0..<count {
      result += trajectory[2 * (sample * points + 1)..<2 * (sample + 1) * points]
    }
    return result
  }

  /// Derivatives by the tables.
  struct Gradient {
    var loss = 0.0
    var a: [Double]
    var b: [Double]
    var secondB: [Double]
    var embedding: [Double]
    var offset: [Double]

    init(ticks: Int, hidden: Int, networks: Int) {
      a = [Double](repeating: 0, count: ticks)
      b = a
      secondB = networks == 2 ? a : []
      embedding = [Double](repeating: 0, count: ticks * networks * hidden)
      offset = [Double](repeating: 0, count: ticks * 2)
    }
  }

  /// Loss and gradient of some samples of a pool of trajectories.
  ///
  /// - Parameters:
  ///   - target: (n, ticks / interval, 2).
  ///   - inDouble: slow, exact.
  ///   - into: overwritten.
  func gradient(
    of samples: Range<Int>, _ x0: [Float], tables: ModelledTables, held: [Float], target: [Float], interval: Int,
    pathWeight: Float, scale: Float, adjointLimit: Float, inDouble: Bool, into gradient: inout Gradient
  ) {
    let count = x0.count / 2
    let status = withKernel(tables) { loop, schedule in
      x0.withUnsafeBufferPointer { x0 in
        held.withUnsafeBufferPointer { held in
          target.withUnsafeBufferPointer { points in
            gradient.a.withUnsafeMutableBufferPointer { a in
              gradient.b.withUnsafeMutableBufferPointer { b in
                gradient.secondB.withUnsafeMutableBufferPointer { secondB in
                  gradient.embedding.withUnsafeMutableBufferPointer { embedding in
                    gradient.offset.withUnsafeMutableBufferPointer { offset in
                      var batch = batch(x0, held, count: count)
                      var kernelTarget = ak_target(
                        interval: Int32(interval), path_weight: pathWeight, scale: scale, state_limit: adjointLimit,
                        points: points.baseAddress)
                      var out = ak_gradient(
                        a: a.baseAddress, b: b.baseAddress, b2: secondB.isEmpty ? nil : secondB.baseAddress,
                        embedding: embedding.baseAddress, offset: offset.baseAddress)
                      let (begin, end) = (Int64(samples.lowerBound), Int64(samples.upperBound))
                      guard inDouble else {
                        return ak_adjoint(
                          loop, schedule, &batch, &kernelTarget, begin, end, Self.instructionSet, &gradient.loss, &out)
                      }
                      return tables.withExact { exact in
                        ak_adjoint_double(
                          loop, schedule, exact, &batch, &kernelTarget, begin, end, &gradient.loss, &out)
                      }
                    }
                  }
                }
              }
            }
          }
        }
      }
    }
    precondition(status == AK_OK, "the adjoint's kernel refuses its arguments: \(status.rawValue)")
  }
}
