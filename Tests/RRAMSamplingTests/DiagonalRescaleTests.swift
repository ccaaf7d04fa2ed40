import RRAMBoard
import RRAMMapping
import RRAMModel
import RRAMProfiles
import RRAMSampling
import RRAMUnits
import Testing

/// The same network with its hidden units multiplied by factors.
@Suite struct DiagonalRescaleTests {
  private static let factors = (0..<14).map { 0.35 + 0.06 * Double(($0 * 5) % 14) }

  private static func columns(_ hiddenScale: [Double]? = nil) -> MappingOptions {
    var options = MappingOptions()
    options.scale = .column
    options.hiddenScale = hiddenScale
    return options
  }

  /// A chip without errors, other conductances: samples, a guided run and the netlist's schedule need the embeddings times the factors. 512
  /// samples of common start points; the plain chip is within 1e-3 of software.
  @Test(arguments: [("ring", Int?.none, 0.0), ("letters", 1, 1.0)])
  func anIdealChipDrawsTheSame(_ name: String, _ label: Int?, _ guidance: Double) async throws {
    let model = try ModelLibrary.scoreModel(name)
    let program = try SamplingProgram(model, equation: .ode, classLabel: label, guidance: guidance)
    func draw(_ options: MappingOptions) async throws -> (x: [Float], targets: [[Float]]) {
      try await withChip(model, mapping: options) { board, home, record in
        let session = try await SamplingSession(program, on: board, home: home)
        let (file, _) = try await session.draw(512)
        return (file.x, record.plan.layers.map(\.targets))
      }
    }
    let plain = try await draw(Self.columns())
    let rescaled = try await draw(Self.columns(Self.factors))
    #expect(plain.targets[1] != rescaled.targets[1])
    let rms = SampleMetrics.rootMeanSquareDifference(plain.x, rescaled.x)
    #expect(rms < 2e-3, "\(rms) units")
  }

  /// A calibration of a rescaled chip without errors finds nothing to make good.
  @Test func aCalibrationKnowsTheFactors() async throws {
    let model = try ModelLibrary.scoreModel("ring")
    try await withChip(model, mapping: Self.columns(Self.factors)) { board, _, record in
      var settings = ScheduleFit.Settings()
      (settings.iterations, settings.batches) = (10, 2)
      let calibration = try await ScheduleCalibration(
        CalibrationGoal(model, labels: [nil]), on: board, record: record, reads: 2, settings: settings, predicting: 4096
      )
      let ratio = try #require(calibration.predicted?.ratioBefore.kl2d)
      #expect(abs(ratio - 1) < 0.05, "\(ratio)")
      #expect(calibration.firstLoss < 1e-3, "\(calibration.firstLoss)")
    }
  }

  /// hfox-analog, a scale a column: the factors keep embeddings and rows within the board's converters and clamps, and errors drawn from the
  /// profile (60 chips, seeds 1–60, 600 s) move the score by less, as predicted within a quarter: states are others than those it reckons with.
  @Test func errorsOfCellsMatterLess() throws {
    let model = try ModelLibrary.scoreModel("ring")
    let board = try BoardDescription.named("parallel")
    let profile = try ChipProfile.named("hfox-analog")
    let window = profile.cells.conductance
    let tolerance = profile.programming.tolerance
    let rescale = try DiagonalRescale(
      model, on: board, window: window, options: Self.columns(), profile: profile, tolerance: tolerance)
    #expect(
      rescale.factors.allSatisfy { $0 > 0 && $0 <= 0.8 * 3 + 1e-9 }, "\(rescale.factors): embeddings of 1 unit, 3 reach"
    )
    try model.checkRescale(rescale.factors, on: board)
    // Where the embedding converter reaches 1.5 units only, of which a fifth is kept for calibrations, no factor of an embedding of 1 is above 1.2.
    #expect(rescale.factors.contains { $0 > 1.3 }, "\(rescale.factors): the next line tests nothing")
    var narrow = board
    narrow.closedLoop?.embedding.range = Volts(-0.15)...Volts(0.15)
    let bounded = try DiagonalRescale(
      model, on: narrow, window: window, options: Self.columns(), profile: profile, tolerance: tolerance)
    #expect(bounded.factors.allSatisfy { $0 < 1.21 } && bounded.predicted < 1, "\(bounded)")
    let network = model.network
    let solver = DigitalSolver(equation: .ode, method: .heun, steps: 50)
    let start = try SamplingProgram(model).startPoints(from: 0, count: 64)
    let ends = solver.sample(network, process: model.metadata.process, start: start)
    // Straight lines from start to end stand for the paths: t falls from 1 to 0.
    func error(_ options: MappingOptions) throws -> Double {
      let plan = try MappingPlan(network, on: board, window: window, options: options)
      let placed = options.hiddenScale.map { network.rescalingHidden(by: $0) } ?? network
      var sum = 0.0
      for seed in 1...60 {
        let cells = plan.predictedConductances(
          profile, tolerance: tolerance, age: .seconds(600), seed: UInt64(seed))
        let layers = zip(plan.layers, cells).map { layer, values -> ScoreNetwork.Layer in
          let weights = layer.weights(of: values)
          return ScoreNetwork.Layer(
            outputs: layer.outputs, inputs: layer.inputs,
            weight: (0..<layer.outputs).flatMap { o in
              (0..<layer.inputs).map { Float(weights[o * (layer.inputs + 1) + $0]) }
            },
            bias: (0..<layer.outputs).map { Float(weights[$0 * (layer.inputs + 1) + layer.inputs]) })
        }
        let real = ScoreNetwork(
          layers: layers, timeFrequencies: placed.timeFrequencies, amplitude: placed.amplitude,
          hiddenScale: placed.hiddenScale)
        for t in stride(from: Float(0.05), to: 1, by: 0.1) {
          let x = zip(start, ends).map { t * $0 + (1 - t) * $1 }
          let b = model.metadata.process.scoreCoefficient(at: Double(t), equation: .ode)
          for (a, c) in zip(real.score(x, t: t), network.score(x, t: t)) { sum += b * b * Double((a - c) * (a - c)) }
        }
      }
      return sum.squareRoot()
    }
    let gain = try error(Self.columns(rescale.factors)) / error(Self.columns())
    #expect(gain < 0.97 && abs(gain / rescale.predicted - 1) < 0.25, "\(gain), predicted \(rescale.predicted)")
  }

  /// What the board cannot play is refused with value and limit: embeddings of 1 unit times 4 where 3 are reached, rows that reach 12 units
  /// times 2.5 where they are clamped at 10; and a board without a loop has no embeddings.
  @Test func whatDoesNotFitIsRefused() throws {
    let model = try ModelLibrary.scoreModel("ring")
    let board = try BoardDescription.named("parallel")
    var factors = [Double](repeating: 1, count: 14)
    factors[13] = 4
    let embedding = try #require(throws: ScheduleError.self) { try model.checkRescale(factors, on: board) }
    #expect(embedding.code == .outOfRange && embedding.reason.hasPrefix("channel embedding 13 at t ="), "\(embedding)")
    #expect(embedding.reason.contains("is outside the converter's -3.0 to"), "\(embedding)")
    let rows = try #require(throws: ScheduleError.self) {
      try model.checkRescale([Double](repeating: 2.5, count: 14), on: board)
    }
    #expect(rows.code == .rowClamp && rows.reason.contains("clamped at 10.0 units"), "\(rows)")
    let count = try #require(throws: MappingError.self) {
      try MappingPlan(
        model.network, on: board, window: ChipProfile.named("ideal").cells.conductance, options: Self.columns([1, 2]))
    }
    #expect(count.code == .rescaleRefused && count.reason.contains("the network takes 14 above 0"), "\(count)")
    let profile = try ChipProfile.named("ideal")
    let loop = try #require(throws: ScheduleError.self) {
      try DiagonalRescale(
        model, on: BoardDescription.named("multiplexed"), window: profile.cells.conductance, options: Self.columns(),
        profile: profile, tolerance: profile.programming.tolerance)
    }
    #expect(loop.code == .noClosedLoop)
  }
}
