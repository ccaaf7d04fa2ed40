internal import CAnalogKernel
internal import RRAMMapping
public import RRAMModel
public import RRAMProfiles
internal import RRAMUnits

extension ScoreModel {
  /// Ticks of a schedule unless somebody asks for others: of a neural ODE a hundred a period of the shipped twin's drive.
  public var usualTicks: Int { metadata.process == .neuralODE ? 400 : 200 }
}

/// What to draw: a model, its reverse equation, and the numbers that make a run repeatable.
public struct SamplingProgram: Sendable {
  public private(set) var model: ScoreModel
  /// The model's process with the β scale of the run.
  public let process: DiffusionProcess
  public let equation: ReverseEquation
  /// Class, nil for the null condition of a conditional network and for an unconditional one.
  public let classLabel: Int?
  /// w of classifier-free guidance, (1 + w)·net(x, class) − w·net(x, null condition); 0 for none.
  public let guidance: Double
  /// How guidance is played; nil: at once where the board has two networks, in slots elsewhere.
  public var guidancePlay: GuidancePlay?
  /// Parts of a run in which all tables are constant; with guidance they are the slots.
  public let ticks: Int
  /// Of start points and noise.
  public let seed: UInt64
  /// Number of the first sample: start points and noise depend on seed and sample number only.
  public var firstSample: UInt32
  /// What a calibration for this chip, model, equation, class and guidance changes of the tables; nil for the model's own.
  public var correction: ScheduleCorrection?
  /// Id of the calibration that the correction is of; nil for none, and for a correction that no record has.
  public var calibration: String?

  /// - Parameters:
  ///   - equation: the model's own by default.
  ///   - scale: factor on β; the model's own by default. Only VP has one.
  ///   - guidance: w, at least 0; needs a class.
  /// - Throws: ``SessionError`` or the model layer's error for a label that the network does not have.
  public init(
    _ model: ScoreModel, equation: ReverseEquation? = nil, scale: Double? = nil, classLabel: Int? = nil,
    guidance: Double = 0, ticks: Int = 200, seed: UInt64 = 0, firstSample: UInt32 = 0
  ) throws {
    try model.network.validate(label: classLabel, model: model.name)
    if let scale, !(scale > 0 && scale.isFinite) {
      throw SessionError(.invalidArgument, "β scale \(scale): a number above 0 is needed")
    }
    guard guidance >= 0, guidance.isFinite else {
      throw SessionError(.invalidArgument, "guidance \(guidance): a number of at least 0 is needed")
    }
    guard guidance == 0 || model.network.isConditional else {
      throw SessionError(.invalidArgument, "guidance \(guidance): '\(model.name)' has no classes to guide to")
    }
    guard guidance == 0 || classLabel != nil else {
      throw SessionError(.invalidArgument, "guidance \(guidance) needs a class; the null condition guides nowhere")
    }
    guard ticks > 0 else { throw SessionError(.invalidArgument, "\(ticks) ticks: at least 1 is needed") }
    self.model = model
    let own = model.metadata.process
    if let scale {
      guard let scaled = own.scaled(to: scale) else {
        throw SessionError(
          .invalidArgument, "β scale \(scale): '\(model.name)' is of process \(own.name), and only vp has a scale")
      }
      process = scaled
    } else {
      process = own
    }
    self.equation = equation ?? model.metadata.equation
    guard process.supports(self.equation) else {
      throw SessionError(
        .invalidArgument, "'\(model.name)' is a \(process == .flow ? "flow" : "neural ODE"), which has no SDE")
    }
    self.guidance = guidance
    self.classLabel = classLabel
    self.ticks = ticks
    self.seed = seed
    self.firstSample = firstSample
  }

  /// The program of the network as a plan has put it on cells: with its hidden units rescaled, and the embeddings that go with them.
  func rescaled(as plan: MappingPlan) -> SamplingProgram {
    guard let factors = plan.options.hiddenScale, model.network.hiddenScale.isEmpty else { return self }
    var program = self
    program.model = model.rescalingHidden(by: factors)
    return program
  }

  /// The tables for a board.
  ///
  /// - Parameter lines: of the board's converters; nil: ideal ones.
  public func schedule(on board: BoardDescription, lines: ConverterLines? = nil) throws(ScheduleError) -> Schedule {
    try Schedule(
      model.network, process: process, equation: equation, label: classLabel, guidance: guidance, play: guidancePlay,
      ticks: ticks, correction: correction, lines: lines, on: board)
  }

  /// t at the frames of a path with a point every `every` ticks, from 1 on; empty for 0.
  public func trajectoryTimes(every: Int) -> [Double] {
    guard every > 0 else { return [] }
    return stride(from: 0, through: ticks, by: every).map {
      1 - (1 - DiffusionProcess.endTime) * Double($0) / Double(ticks)
    }
  }

  private static let bestSet = ak_isa_best()

  /// Start points of the loop's state y in units, shape (count, 2): standard normal numbers of seed and sample number, times
  /// the prior's standard deviation.
  public func startPoints(from first: UInt32, count: Int) -> [Float] {
    let deviation = Float(process.priorStandardDeviation)
    let dimensions = model.network.dimensions
    var drawn = [Float](repeating: 0, count: count)
    return [Float](unsafeUninitializedCapacity: count * dimensions) { points, filled in
      for dimension in 0..<dimensions {
        // The numbers of `SamplingNoise.start`, many at once.
        let status = ak_normal_fill(
          seed, first, 0, UInt32(dimension), AK_STREAM_START, Int64(count), &drawn, Self.bestSet)
        precondition(status == AK_OK, "the kernel refuses its fastest instruction set")
        for sample in 0..<count { points[sample * dimensions + dimension] = drawn[sample] * deviation }
      }
      filled = count * dimensions
    }
  }
}
