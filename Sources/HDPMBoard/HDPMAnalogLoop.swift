public import RRAMModel
internal import RRAMPhysics
public import RRAMProfiles
internal import RRAMUnits

/// The analog part behind the virtual board's converters: a programmed network in closed loop.
///
/// What the channels do in the published board's analog part is not published. Assumed here, so that a run integrates the network's own
/// reverse ODE: dx/dt = s·(−2·v(9B)·x + v(9A)·amplitude·net(x, e) + v(9C), v(9D)) with v = code/2048 − 1 of the converter outputs, e_k =
/// v(t_k)/(5·v_bias), and s the network's β scale as the integrator's rate per second. Start points are standard normal.
public struct HDPMAnalogLoop: Sendable {
  private let loop: ClosedLoop
  private let rate: Float
  private let seed: UInt64

  /// Integration steps a tick.
  private static let substeps = 4
  /// Units; assumed: ±5 V supplies at the default v_bias.
  private static let rail: Float = 50
  /// Names the stream of programming errors: "HDPN".
  private static let programmingTag: UInt32 = 0x4844_504E

  /// Programs a network.
  ///
  /// - Parameters:
  ///   - profile: its window, tolerance and first-second relaxation spoil each cell of a differential pair: uniform within ±tolerance
  ///     of the target, then normal with the profile's σ one second after a write. `nil` programs exactly.
  ///   - seed: of programming errors and start points.
  public init(_ model: ScoreModel, profile: ChipProfile?, seed: UInt64) throws {
    try self.init(
      model.network, name: model.name, rate: model.metadata.process.scale, profile: profile, seed: seed)
  }

  /// The same for a network without a file; `rate` is the integrator's.
  public init(_ network: ScoreNetwork, name: String, rate: Double, profile: ChipProfile?, seed: UInt64) throws {
    guard network.dimensions == 2, network.hiddenSize == 14 else {
      throw HDPMError(
        .value,
        "model '\(name)' has \(network.dimensions) dimensions and \(network.hiddenSize) hidden nodes; the board's "
          + "channels serve 2 and 14")
    }
    let layers = network.layers.enumerated().map { index, layer in
      var weights: [Float] = []
      for output in 0..<layer.outputs {
        weights += layer.weight[output * layer.inputs..<(output + 1) * layer.inputs]
        weights.append(layer.bias[output])
      }
      if let profile {
        weights = Self.programmed(weights, profile, seed: seed, layer: UInt32(index))
      }
      return LoopNetwork.Layer(
        inputs: layer.inputs, outputs: layer.outputs, weights: weights, embeddingColumn: index < 2 ? 0 : nil)
    }
    loop = try ClosedLoop(
      network: LoopNetwork(layers: layers, amplitude: network.amplitude),
      limits: LoopLimits(amplifierRail: Self.rail, integratorRail: Self.rail))
    self.rate = Float(rate)
    self.seed = seed
  }

  /// Weights as pairs of cells hold them: w = (G⁺ − G⁻)·w_max/(G_max − G_min), one of the pair at G_min.
  private static func programmed(_ weights: [Float], _ profile: ChipProfile, seed: UInt64, layer: UInt32) -> [Float] {
    let largest = weights.reduce(Float(0)) { max($0, abs($1)) }
    guard largest > 0 else { return weights }
    let window = profile.cells.conductance
    let range = (window.upperBound - window.lowerBound).rawValue
    let tolerance = profile.programming.tolerance.rawValue
    var stream = PhiloxStream(seed: seed, stream: (programmingTag, layer, 0))
    func cell(_ target: Double) -> Double {
      let sigma = profile.relaxation.sigma(after: .seconds(1), at: Siemens(target)).rawValue
      return max(0, target + (2 * stream.uniform() - 1) * tolerance + sigma * stream.normal())
    }
    return weights.map { weight in
      let share = Double(weight / largest) * range
      let lowest = window.lowerBound.rawValue
      let difference = cell(lowest + max(0, share)) - cell(lowest + max(0, -share))
      return Float(difference / range) * largest
    }
  }

  /// What an oscilloscope at the integrators records of a run: one point a tick, the run's end included.
  ///
  /// Converter outputs are what was really written: held, wrapped and clipped codes included.
  public func capture(_ run: HDPMFirmware.Run) throws -> ScopeCapture {
    let bias = Float(run.bias.volts.rawValue)
    let ticks = HDPMSchedule.activeTicks
    var tables = LoopTables(
      tickDuration: HDPMSchedule.tick.seconds, a: [], b: [], embeddingColumns: 14)
    for codes in run.played.prefix(ticks) {
      let v = codes.map { Float($0) / 2048 - 1 }
      tables.b.append(rate * v[0])
      tables.a.append(-2 * rate * v[1])
      tables.embedding += v[2..<16].map { $0 / (5 * bias) }
      tables.offset += [rate * v[16], rate * v[17]]
    }
    let start = SamplingNoise.start(seed: seed, firstSample: UInt32(truncatingIfNeeded: run.number), count: 1)
    let result = try loop.run(
      x0: start, tables: tables,
      integration: LoopIntegration(method: .heun, substeps: Self.substeps, trajectoryInterval: 1))
    let unit = run.bias.volts.rawValue
    return try ScopeCapture(
      time: (0...ticks).map { Double($0) * HDPMSchedule.tick.seconds },
      v1: (0...ticks).map { Double(result.trajectory[2 * $0]) * unit },
      v2: (0...ticks).map { Double(result.trajectory[2 * $0 + 1]) * unit }, file: "run \(run.number)")
  }
}
