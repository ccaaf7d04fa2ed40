internal import CAnalogKernel
internal import Dispatch
import RRAMProfiles

/// How the loop's differential equation is integrated.
public struct LoopIntegration: Sendable, Hashable {
  public enum Method: Sendable, Hashable {
    /// Second order, two network evaluations a step; the noise of a step is shared by both.
    case heun
    /// First order, one evaluation a step.
    case euler
  }

  public var method: Method
  /// Steps a tick.
  public var substeps: Int
  /// Ticks between two recorded points of the trajectory; `nil` records none.
  public var trajectoryInterval: Int?

  public init(method: Method = .heun, substeps: Int = 1, trajectoryInterval: Int? = nil) {
    self.method = method
    self.substeps = substeps
    self.trajectoryInterval = trajectoryInterval
  }
}

/// What a run of the loop gives for each of its samples.
public struct LoopResult: Sendable {
  /// Final states, (samples, dimensions), row-major.
  public var x: [Float]
  /// Which blocks each sample overdrove.
  public var flags: [LoopFlags]
  /// (samples, points, dimensions) with points = ticks / interval + 1, the first one the start; empty if not asked for.
  public var trajectory: [Float]
  /// Network evaluations done: samples × steps × ``ClosedLoop/stepEvaluations(_:_:)``.
  public var evaluations: Int
}

/// The closed loop of macro, amplifiers, multipliers and integrator, in units and in continuous time:
/// dx/dτ = a·x + b·amplitude·net(x, e) + offset + g·ξ/√Δτ, where amplifiers and multipliers may lag behind by a pole each.
///
/// Every input of a layer is a driven row with a clamp, every output an amplifier with a rail, x an integrator with a rail.
/// The state is never quantised. Samples are independent: results do not depend on how they are cut into runs or on
/// threads, and AVX2 and AVX-512 agree bit for bit.
public struct ClosedLoop: Sendable {
  /// The code that serves a network shape.
  public enum Path: String, Sendable, Hashable {
    /// Constant trip counts for 2→14→14→2, the whole trajectory in registers, or beside poles that are far below a step.
    case specialised
    /// Any shape up to four layers of 64, and any poles.
    case general
  }

  public let network: LoopNetwork
  public let limits: LoopLimits
  public let noise: LoopNoise
  public let poles: LoopPoles
  public let transport: LoopTransport

  /// Makes a loop of a network, or throws `LoopError` if its shapes do not fit together or a number is not finite.
  ///
  /// - Parameter transport: where it is not ohmic, rows must have a clamp at no more than 2 of its V₀.
  public init(
    network: LoopNetwork, limits: LoopLimits = .none, noise: LoopNoise = .none, poles: LoopPoles = .none,
    transport: LoopTransport = .ohmic
  ) throws(LoopError) {
    guard (1...Int(AK_MAX_LAYERS)).contains(network.layers.count) else {
      throw LoopError(.shape, "network of \(network.layers.count) layers: 1 to \(AK_MAX_LAYERS) can be run")
    }
    let widths = 1...Int(AK_MAX_WIDTH)
    var previous = network.layers[0].inputs
    for (index, layer) in network.layers.enumerated() {
      guard widths.contains(layer.inputs), widths.contains(layer.outputs) else {
        throw LoopError(
          .shape, "layer \(index) is \(layer.inputs)→\(layer.outputs): 1 to \(AK_MAX_WIDTH) can be run")
      }
      guard layer.inputs == previous else {
        throw LoopError(.shape, "layer \(index) has \(layer.inputs) inputs, \(previous) outputs feed it")
      }
      previous = layer.outputs
      let count = layer.outputs * (layer.inputs + 1)
      guard layer.weights.count == count, [0, count].contains(layer.variances.count),
        [0, count].contains(layer.telegraph.count)
      else {
        throw LoopError(
          .shape,
          "layer \(index) has \(layer.weights.count) weights, \(layer.variances.count) variances and "
            + "\(layer.telegraph.count) two-state steps, \(count) expected")
      }
      guard layer.weights.allSatisfy(\.isFinite), layer.variances.allSatisfy({ $0.isFinite && $0 >= 0 }),
        layer.telegraph.allSatisfy(\.isFinite)
      else {
        throw LoopError(
          .value, "layer \(index) has a weight or two-state step that is not finite or a negative variance")
      }
      if let column = layer.embeddingColumn, column < 0 {
        throw LoopError(.shape, "layer \(index) starts at embedding column \(column)")
      }
    }
    guard [network.dimensions, 2 * network.dimensions].contains(previous) else {
      throw LoopError(.shape, "layer 0 has \(network.dimensions) inputs, \(previous) outputs feed it")
    }
    guard network.amplitude.isFinite, network.biasLevel.isFinite else {
      throw LoopError(.value, "amplitude \(network.amplitude) or bias level \(network.biasLevel) is not finite")
    }
    guard limits.rowClamp > 0, limits.amplifierRail > 0, limits.integratorRail > 0,
      limits.softness >= 0, limits.softness.isFinite
    else { throw LoopError(.value, "clamps and rails must be above 0, the rectifier's softness 0 or above") }
    if case .bandLimited(let time) = noise, !(time > 0 && time.isFinite) {
      throw LoopError(.value, "correlation time \(time) of the read noise is not above 0")
    }
    if case .perCell(let cells) = noise {
      guard cells.modes.count <= Int(AK_MAX_MODES) else {
        throw LoopError(.shape, "\(cells.modes.count) processes a weight: at most \(AK_MAX_MODES) can be run")
      }
      guard cells.modes.allSatisfy({ $0.correlationTime > 0 && $0.share >= 0 && $0.share.isFinite }),
        cells.telegraphTime > 0
      else { throw LoopError(.value, "correlation times of cell noise must be above 0, shares 0 or above and finite") }
    }
    let constants = [poles.amplifier, poles.multiplier]
    guard constants.allSatisfy({ $0 >= 0 && $0.isFinite }), (poles.amplifier > 0) == (poles.multiplier > 0) else {
      throw LoopError(
        .value, "poles of \(poles.amplifier) and \(poles.multiplier) of a run: both must be above 0, or both 0")
    }
    guard transport.polarity > 0, transport.polarity.isFinite, transport.curvature >= 0, transport.readLevel.isFinite,
      transport.curvature == 0
        || transport.curvature * max(limits.rowClamp, abs(transport.readLevel)) <= Float(AK_MAX_CURVATURE)
    else {
      throw LoopError(
        .value,
        "cells of curvature \(transport.curvature) a unit and polarity \(transport.polarity) on rows up to "
          + "\(limits.rowClamp) units: the curve is known up to curvature × voltage = \(AK_MAX_CURVATURE)")
    }
    self.network = network
    self.limits = limits
    self.noise = noise
    self.poles = poles
    self.transport = transport
  }

  /// The code that serves this loop on such tables.
  public func path(_ tables: LoopTables, _ integration: LoopIntegration = LoopIntegration()) -> Path {
    withKernelLoop { loop in
      withKernelSchedule(tables, integration) { schedule in
        ak_loop_path(loop, schedule) == AK_PATH_2_14_14_2 ? .specialised : .general
      }
    }
  }

  /// Runs the loop from given starting points.
  ///
  /// - Parameters:
  ///   - x0: starting points in units, (n, dimensions), row-major.
  ///   - tables: what the converters play.
  ///   - samples: those of the n that are run; all if `nil`.
  ///   - firstSample: number of the first point of `x0` within the whole run. It names the random streams.
  ///   - heldNoise: ξ of a stochastic run.
  ///   - noiseSeed: of the read noise.
  ///   - threads: how many threads share the work.
  ///   - instructionSet: `nil` takes ``InstructionSet/selected()``.
  /// - Returns: states, flags and trajectory of the samples that were run, in their order.
  public func run(
    x0: [Float], tables: LoopTables, integration: LoopIntegration = LoopIntegration(), samples: Range<Int>? = nil,
    firstSample: UInt64 = 0, heldNoise: LoopHeldNoise = .none, noiseSeed: UInt64 = 0, threads: Int = 1,
    instructionSet: InstructionSet? = nil
  ) throws(LoopError) -> LoopResult {
    let dimensions = network.dimensions
    let ticks = tables.ticks
    try check(tables, integration)
    guard x0.count.isMultiple(of: dimensions) else {
      throw LoopError(.shape, "\(x0.count) starting values are not whole points of \(dimensions)")
    }
    guard x0.allSatisfy(\.isFinite) else { throw LoopError(.value, "a starting value is not finite") }
    let count = x0.count / dimensions
    let range = samples ?? 0..<count
    guard range.lowerBound >= 0, range.upperBound <= count else {
      throw LoopError(.shape, "samples \(range) of \(count)")
    }
    let set: InstructionSet
    if let instructionSet { set = instructionSet } else { set = try InstructionSet.selected() }

    var table: [Float] = []
    var levels: [Float] = []
    var lines: [Double] = []
    var converter = ak_converter()
    var batch = ak_batch()
    switch heldNoise {
    case .none: batch.held_source = AK_HELD_NONE
    case .table(let values):
      guard values.count == count * ticks * dimensions else {
        throw LoopError(
          .shape, "held noise of \(values.count) values for \(count) samples, \(ticks) ticks, \(dimensions) channels")
      }
      table = values
      batch.held_source = AK_HELD_TABLE
    case .wiener(let seed, let played):
      batch.held_source = AK_HELD_WIENER
      batch.held_seed = seed
      if let played, !tables.noiseAmplitude.isEmpty {
        try check(played, tables)
        converter = ak_converter(
          lower: played.lower, step: played.step, last_code: Int32(clamping: played.lastCode), levels: nil, lines: nil)
        levels = played.levels
        lines = played.lines.flatMap { [$0.gain, $0.offset] }
      }
    }
    if tables.noiseAmplitude.isEmpty { batch.held_source = AK_HELD_NONE }

    let points = integration.trajectoryInterval.map { ticks / $0 + 1 } ?? 0
    var result = LoopResult(
      x: [Float](repeating: 0, count: range.count * dimensions),
      flags: [LoopFlags](repeating: [], count: range.count),
      trajectory: [Float](repeating: 0, count: range.count * points * dimensions),
      evaluations: range.count * ticks * integration.substeps * stepEvaluations(tables, integration))
    guard !range.isEmpty else { return result }

    batch.count = Int64(range.count)
    batch.first_sample = firstSample &+ UInt64(range.lowerBound)
    batch.seed = noiseSeed
    batch.trajectory_interval = Int32(integration.trajectoryInterval ?? 0)
    // One call has to lay the tables out anew, so a share is many vectors long; shares end on whole vectors.
    let threads = max(1, threads)
    let share = threads == 1 ? range.count : max(64, (range.count / (threads * 8) + 63) / 64 * 64)
    let shares = (range.count + share - 1) / share
    let statuses: [ak_status] = withKernelLoop { loop in
      withKernelSchedule(tables, integration) { schedule in
        x0.withUnsafeBufferPointer { x0 in
          table.withUnsafeBufferPointer { table in
            withUnsafeNoise(levels, lines) { levels, lines in
              converter.levels = levels.baseAddress
              if !lines.isEmpty { converter.lines = lines.baseAddress }
              return withUnsafePointer(to: converter) { played in
                result.x.withUnsafeMutableBufferPointer { x in
                  result.flags.withUnsafeMutableBytes { flags in
                    result.trajectory.withUnsafeMutableBufferPointer { trajectory in
                      batch.x0 = x0.baseAddress.map { UnsafePointer($0 + range.lowerBound * dimensions) }
                      if batch.held_source == AK_HELD_TABLE {
                        batch.held = table.baseAddress.map { UnsafePointer($0 + range.lowerBound * ticks * dimensions) }
                      }
                      batch.x = x.baseAddress
                      if !levels.isEmpty { batch.held_converter = played }
                      batch.flags = flags.baseAddress?.assumingMemoryBound(to: UInt8.self)
                      if points > 0 { batch.trajectory = trajectory.baseAddress }
                      if shares == 1 { return [ak_run(loop, schedule, &batch, 0, batch.count, set.code)] }
                      // The shares read the same tables and write disjoint samples.
                      nonisolated(unsafe) let (loop, schedule, whole) = (loop, schedule, batch)
                      return Self.shared(shares, threads) { index in
                        var batch = whole
                        let first = index * share
                        let end = min(first + share, range.count)
                        return ak_run(loop, schedule, &batch, Int64(first), Int64(end), set.code)
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
    for status in statuses where status != AK_OK {
      switch status {
      case AK_UNSUPPORTED:
        throw LoopError(.instructionSet, "instruction set \(set.rawValue) is not available on this machine")
      case AK_NO_MEMORY: throw LoopError(.memory, "no memory for tables of \(ticks) ticks")
      default: throw LoopError(.shape, "the loop's kernel refuses its arguments")
      }
    }
    return result
  }

  private func withUnsafeNoise<R>(
    _ levels: [Float], _ lines: [Double], _ body: (UnsafeBufferPointer<Float>, UnsafeBufferPointer<Double>) -> R
  ) -> R {
    levels.withUnsafeBufferPointer { levels in lines.withUnsafeBufferPointer { body(levels, $0) } }
  }

  private func check(_ converter: LoopHeldNoise.Converter, _ tables: LoopTables) throws(LoopError) {
    guard converter.levels.count == tables.ticks else {
      throw LoopError(.shape, "\(converter.levels.count) levels of the noise converter for \(tables.ticks) ticks")
    }
    guard converter.lines.isEmpty || converter.lines.count == network.dimensions,
      converter.lines.allSatisfy(\.isUsable)
    else {
      throw LoopError(.shape, "lines of the noise converter that are none for \(network.dimensions) channels")
    }
    guard converter.step > 0, converter.step.isFinite, converter.lower.isFinite, converter.lastCode > 0,
      zip(converter.levels, tables.noiseAmplitude).allSatisfy({ $0.isFinite && ($0 > 0 || $1 == 0) })
    else { throw LoopError(.value, "a noise converter without step, or a level of 0 in a tick with noise") }
  }

  func check(_ tables: LoopTables, _ integration: LoopIntegration) throws(LoopError) {
    let ticks = tables.ticks
    guard ticks > 0, ticks <= Int(Int32.max), tables.b.count == ticks else {
      throw LoopError(.shape, "tables of \(ticks) ticks for a and \(tables.b.count) for b")
    }
    let outputs = network.layers[network.layers.count - 1].outputs
    guard tables.secondB.count == (outputs > network.dimensions ? ticks : 0) else {
      throw LoopError(
        .shape,
        "\(tables.secondB.count) second coefficients for \(ticks) ticks, \(outputs) outputs and \(network.dimensions) dimensions"
      )
    }
    guard tables.embedding.count == ticks * tables.embeddingColumns, tables.embeddingColumns >= 0 else {
      throw LoopError(
        .shape, "embedding of \(tables.embedding.count) values for \(ticks) ticks of \(tables.embeddingColumns)")
    }
    for (index, layer) in network.layers.enumerated() {
      guard let column = layer.embeddingColumn else { continue }
      guard column + layer.outputs <= tables.embeddingColumns else {
        throw LoopError(
          .shape,
          "layer \(index) takes embedding columns \(column)..<\(column + layer.outputs) of \(tables.embeddingColumns)")
      }
    }
    guard tables.offset.isEmpty || tables.offset.count == ticks * network.dimensions else {
      throw LoopError(.shape, "offset of \(tables.offset.count) values for \(ticks) ticks of \(network.dimensions)")
    }
    guard tables.noiseAmplitude.isEmpty || tables.noiseAmplitude.count == ticks else {
      throw LoopError(.shape, "noise amplitude of \(tables.noiseAmplitude.count) values for \(ticks) ticks")
    }
    guard tables.tickDuration > 0, tables.tickDuration.isFinite else {
      throw LoopError(.value, "tick of length \(tables.tickDuration)")
    }
    for (name, values) in [
      ("a", tables.a), ("b", tables.b), ("second b", tables.secondB), ("embedding", tables.embedding),
      ("offset", tables.offset),
      ("noise amplitude", tables.noiseAmplitude),
    ] where !values.allSatisfy(\.isFinite) {
      throw LoopError(.value, "\(name) has a value that is not finite")
    }
    guard poles == .none || integration.method == .heun else {
      throw LoopError(.value, "Euler steps of a loop with poles: only Heun's are made")
    }
    guard integration.substeps > 0, integration.substeps <= Int(Int32.max) else {
      throw LoopError(.value, "\(integration.substeps) steps a tick")
    }
    if let interval = integration.trajectoryInterval, interval < 1 || interval > Int(Int32.max) {
      throw LoopError(.value, "trajectory interval of \(interval) ticks")
    }
  }

  /// Calls `body` for 0..<count on `threads` threads.
  private static func shared(_ count: Int, _ threads: Int, _ body: @Sendable (Int) -> ak_status) -> [ak_status] {
    var statuses = [ak_status](repeating: AK_OK, count: count)
    let workers = min(threads, count)
    statuses.withUnsafeMutableBufferPointer { statuses in
      // Worker w writes the elements w, w + workers, … and nobody else does.
      nonisolated(unsafe) let statuses = statuses
      DispatchQueue.concurrentPerform(iterations: workers) { worker in
        for index in stride(from: worker, to: count, by: workers) { statuses[index] = body(index) }
      }
    }
    return statuses
  }

  /// Network evaluations in one integration step: one or two, more where poles are followed through it.
  public func stepEvaluations(_ tables: LoopTables, _ integration: LoopIntegration) -> Int {
    withKernelLoop { loop in
      withKernelSchedule(tables, integration) { schedule in Int(ak_step_evaluations(loop, schedule)) }
    }
  }

  func withKernelLoop<R>(_ body: (UnsafePointer<ak_loop>) -> R) -> R {
    // All layers in one array, so that one pointer scope covers them.
    let weights = network.layers.flatMap(\.weights)
    // Variances and two-state steps: in one array as well.
    let noises = network.layers.flatMap { $0.variances + $0.telegraph }
    return weights.withUnsafeBufferPointer { weights in
      noises.withUnsafeBufferPointer { noises in
        var weight = 0
        var variance = 0
        let layers = network.layers.enumerated().map { index, layer in
          defer {
            weight += layer.weights.count
            variance += layer.variances.count + layer.telegraph.count
          }
          let steps = noises.baseAddress.map { UnsafePointer($0 + variance + layer.variances.count) }
          return ak_layer(
            inputs: Int32(layer.inputs), outputs: Int32(layer.outputs),
            embedding: layer.embeddingColumn.map { Int32(clamping: $0) } ?? -1,
            rectified: index + 1 < network.layers.count ? 1 : 0,
            weights: weights.baseAddress.map { UnsafePointer($0 + weight) },
            variances: layer.variances.isEmpty ? nil : noises.baseAddress.map { UnsafePointer($0 + variance) },
            telegraph: layer.telegraph.isEmpty ? nil : steps)
        }
        return layers.withUnsafeBufferPointer { layers in
          var loop = ak_loop()
          loop.layers = layers.baseAddress
          loop.layer_count = Int32(layers.count)
          loop.amplitude = network.amplitude
          loop.bias_level = network.biasLevel
          loop.row_clamp = limits.rowClamp
          loop.amplifier_rail = limits.amplifierRail
          loop.integrator_rail = limits.integratorRail
          loop.softness = limits.softness
          loop.amplifier_pole = poles.amplifier
          loop.multiplier_pole = poles.multiplier
          if !transport.isOhmic {
            loop.curved = 1
            loop.curvature = transport.curvature
            loop.read_level = transport.readLevel
            loop.polarity = transport.polarity
          }
          switch noise {
          case .none: loop.noise = AK_NOISE_NONE
          case .white: loop.noise = AK_NOISE_WHITE
          case .bandLimited(let time):
            loop.noise = AK_NOISE_BAND_LIMITED
            loop.correlation_time = time
          case .perCell(let cells):
            loop.noise = AK_NOISE_CELLS
            loop.modes = Int32(cells.modes.count)
            loop.telegraph_time = cells.telegraphTime
            withUnsafeMutableBytes(of: &loop.mode_times) { times in
              for (m, mode) in cells.modes.enumerated() {
                times.storeBytes(of: mode.correlationTime, toByteOffset: 4 * m, as: Float.self)
              }
            }
            withUnsafeMutableBytes(of: &loop.mode_shares) { shares in
              for (m, mode) in cells.modes.enumerated() {
                shares.storeBytes(of: mode.share, toByteOffset: 4 * m, as: Float.self)
              }
            }
          }
          return body(&loop)
        }
      }
    }
  }

  func withKernelSchedule<R>(
    _ tables: LoopTables, _ integration: LoopIntegration, _ body: (UnsafePointer<ak_schedule>) -> R
  ) -> R {
    // g·ξ/√Δτ gives increments of variance g²Δτ; the last tick is silent, so a run ends on the mean of its last step.
    var gain = tables.noiseAmplitude.map { Float(Double($0) / tables.tickDuration.squareRoot()) }
    if !gain.isEmpty { gain[gain.count - 1] = 0 }
    return tables.a.withUnsafeBufferPointer { a in
      tables.b.withUnsafeBufferPointer { b in
        tables.embedding.withUnsafeBufferPointer { embedding in
          tables.offset.withUnsafeBufferPointer { offset in
            gain.withUnsafeBufferPointer { gain in
              tables.secondB.withUnsafeBufferPointer { second in
                var schedule = ak_schedule()
                schedule.ticks = Int32(tables.ticks)
                schedule.substeps = Int32(integration.substeps)
                schedule.euler = integration.method == .euler ? 1 : 0
                schedule.embedding_columns = Int32(tables.embeddingColumns)
                schedule.tick_duration = tables.tickDuration
                schedule.a = a.baseAddress
                schedule.b = b.baseAddress
                schedule.b2 = second.isEmpty ? nil : second.baseAddress
                schedule.embedding = embedding.isEmpty ? nil : embedding.baseAddress
                schedule.offset = offset.isEmpty ? nil : offset.baseAddress
                schedule.held_gain = gain.isEmpty ? nil : gain.baseAddress
                return body(&schedule)
              }
            }
          }
        }
      }
    }
  }
}
