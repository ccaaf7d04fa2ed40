internal import CAnalogKernel

/// Where trajectories of the closed loop should go.
///
/// A point x that should be y counts Σ_d 2δ²(√(1 + (x_d − y_d)²/δ²) − 1): the square of a small distance, 2δ times a large one, so
/// that single samples far off do not rule the sum. The loss is the mean over samples of the weighted sum over points.
public struct LoopTarget: Sendable, Hashable {
  /// Ticks between two points with a target; divides the ticks of the run.
  public var interval: Int
  /// Weight of every point but the last, whose weight is 1; 0 looks at end points only.
  public var pathWeight: Float
  /// δ in units, above 0.
  public var scale: Float
  /// Limit of the adjoint per coordinate and step: keeps a few steep trajectories from ruling the gradient.
  public var adjointLimit: Float
  /// (samples, ticks / interval, dimensions), row-major: targets after `interval` ticks, after twice as many, …
  public var points: [Float]

  public init(
    interval: Int, points: [Float], pathWeight: Float = 0, scale: Float = 0.15, adjointLimit: Float = .infinity
  ) {
    self.interval = interval
    self.points = points
    self.pathWeight = pathWeight
    self.scale = scale
    self.adjointLimit = adjointLimit
  }
}

/// A loss and its derivatives by what the board's converters play, each table laid out as in ``LoopTables``.
public struct LoopGradient: Sendable, Hashable {
  public var loss: Double
  public var a: [Double]
  public var b: [Double]
  /// By the second network's coefficient; empty for one network.
  public var secondB: [Double]
  public var embedding: [Double]
  public var offset: [Double]

  /// Root of the sum of all squares.
  public var norm: Double {
    [a, b, secondB, embedding, offset].reduce(0) { $0 + $1.reduce(0) { $0 + $1 * $1 } }.squareRoot()
  }
}

extension ClosedLoop {
  /// What the derivatives are computed in.
  public enum Precision: Sendable, Hashable {
    /// Vectors of the machine's instruction set.
    case single
    /// One path for all machines; what `single` is checked against.
    case double
  }

  /// The loss of trajectories and its exact derivative by the tables: the adjoint of the Heun steps that ``run`` takes.
  ///
  /// Read noise is left out, held noise is not, but as if no converter played it. Where a clamp or a rail acts the derivative is 0.
  /// A loop with poles has none.
  ///
  /// - Parameters:
  ///   - x0: starting points in units, (samples, dimensions), row-major.
  ///   - substeps: Heun steps a tick.
  ///   - firstSample: number of the first point within its run; names the held noise.
  /// - Throws: `LoopError` for shapes that do not fit together.
  public func gradient(
    x0: [Float], tables: LoopTables, target: LoopTarget, substeps: Int = 1, firstSample: UInt64 = 0,
    heldNoise: LoopHeldNoise = .none, precision: Precision = .single
  ) throws(LoopError) -> LoopGradient {
    let integration = LoopIntegration(substeps: substeps)
    try check(tables, integration)
    guard poles == .none else { throw LoopError(.value, "the adjoint of a loop with poles is not known") }
    let dimensions = network.dimensions
    let ticks = tables.ticks
    guard !x0.isEmpty, x0.count.isMultiple(of: dimensions), x0.allSatisfy(\.isFinite) else {
      throw LoopError(.shape, "\(x0.count) starting values are not whole finite points of \(dimensions)")
    }
    let count = x0.count / dimensions
    guard target.interval > 0, ticks.isMultiple(of: target.interval) else {
      throw LoopError(.value, "a target every \(target.interval) of \(ticks) ticks")
    }
    guard target.points.count == count * (ticks / target.interval) * dimensions,
      target.points.allSatisfy(\.isFinite)
    else {
      throw LoopError(
        .shape,
        "\(target.points.count) target values, \(count)×\(ticks / target.interval)×\(dimensions) finite ones expected")
    }
    guard target.scale > 0, target.scale.isFinite, target.pathWeight >= 0, target.pathWeight.isFinite,
      target.adjointLimit > 0
    else {
      throw LoopError(.value, "a target's scale and adjoint limit must be above 0, its path weight 0 or above")
    }
    var batch = ak_batch()
    var held: [Float] = []
    switch heldNoise {
    case .none: batch.held_source = AK_HELD_NONE
    case .table(let values):
      guard values.count == count * ticks * dimensions else {
        throw LoopError(
          .shape, "held noise of \(values.count) values for \(count) samples, \(ticks) ticks, \(dimensions) channels")
      }
      held = values
      batch.held_source = AK_HELD_TABLE
    case .wiener(let seed, _):
      batch.held_source = AK_HELD_WIENER
      batch.held_seed = seed
    }
    if tables.noiseAmplitude.isEmpty { batch.held_source = AK_HELD_NONE }
    batch.count = Int64(count)
    batch.first_sample = firstSample
    let set = try InstructionSet.selected()

    var result = LoopGradient(
      loss: 0, a: [Double](repeating: 0, count: ticks), b: [Double](repeating: 0, count: ticks),
      secondB: [Double](repeating: 0, count: tables.secondB.count),
      embedding: [Double](repeating: 0, count: max(1, tables.embedding.count)),
      offset: [Double](repeating: 0, count: ticks * dimensions))
    let status = withKernelLoop { loop in
      withKernelSchedule(tables, integration) { schedule in
        x0.withUnsafeBufferPointer { x0 in
          held.withUnsafeBufferPointer { held in
            target.points.withUnsafeBufferPointer { points in
              batch.x0 = x0.baseAddress
              batch.held = held.baseAddress
              var kernelTarget = ak_target(
                interval: Int32(target.interval), path_weight: target.pathWeight, scale: target.scale,
                state_limit: target.adjointLimit, points: points.baseAddress)
              return result.a.withUnsafeMutableBufferPointer { a in
                result.b.withUnsafeMutableBufferPointer { b in
                  result.secondB.withUnsafeMutableBufferPointer { secondB in
                    result.embedding.withUnsafeMutableBufferPointer { embedding in
                      result.offset.withUnsafeMutableBufferPointer { offset in
                        var gradient = ak_gradient(
                          a: a.baseAddress, b: b.baseAddress, b2: secondB.isEmpty ? nil : secondB.baseAddress,
                          embedding: embedding.baseAddress, offset: offset.baseAddress)
                        switch precision {
                        case .single:
                          return ak_adjoint(
                            loop, schedule, &batch, &kernelTarget, 0, batch.count, set.code, &result.loss, &gradient)
                        case .double:
                          return ak_adjoint_double(
                            loop, schedule, nil, &batch, &kernelTarget, 0, batch.count, &result.loss, &gradient)
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
    }
    if tables.embedding.isEmpty { result.embedding = [] }
    switch status {
    case AK_OK: return result
    case AK_NO_MEMORY: throw LoopError(.memory, "no memory for tables of \(ticks) ticks")
    default: throw LoopError(.shape, "the adjoint's kernel refuses its arguments")
    }
  }
}
