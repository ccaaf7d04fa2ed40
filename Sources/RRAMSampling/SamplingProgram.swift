public import RRAMModel
public import RRAMProfiles
internal import RRAMUnits

/// What to draw: a model, its reverse equation, and the numbers that make a run repeatable.
public struct SamplingProgram: Sendable {
  public let model: ScoreModel
  /// The model's process with the β scale of the run.
  public let process: DiffusionProcess
  public let equation: ReverseEquation
  /// Class, nil for the null condition of a conditional network and for an unconditional one.
  public let classLabel: Int?
  /// Parts of a run in which all tables are constant.
  public let ticks: Int
  /// Of start points and noise.
  public let seed: UInt64
  /// Number of the first sample: start points and noise depend on seed and sample number only.
  public let firstSample: UInt32

  /// - Parameters:
  ///   - equation: the model's own by default.
  ///   - scale: factor on β; the model's own by default.
  /// - Throws: ``SessionError`` or the model layer's error for a label that the network does not have.
  public init(
    _ model: ScoreModel, equation: ReverseEquation? = nil, scale: Double? = nil, classLabel: Int? = nil,
    ticks: Int = 200, seed: UInt64 = 0, firstSample: UInt32 = 0
  ) throws {
    try model.network.validate(label: classLabel, model: model.name)
    if let scale, !(scale > 0 && scale.isFinite) {
      throw SessionError(.invalidArgument, "β scale \(scale): a number above 0 is needed")
    }
    guard ticks > 0 else { throw SessionError(.invalidArgument, "\(ticks) ticks: at least 1 is needed") }
    self.model = model
    process = scale.map { model.metadata.process.scaled(to: $0) } ?? model.metadata.process
    self.equation = equation ?? model.metadata.equation
    self.classLabel = classLabel
    self.ticks = ticks
    self.seed = seed
    self.firstSample = firstSample
  }

  /// The tables for a board.
  public func schedule(on board: BoardDescription) throws(ScheduleError) -> Schedule {
    try Schedule(
      model.network, process: process, equation: equation, label: classLabel, ticks: ticks, on: board)
  }

  /// Start points in units, shape (count, 2): standard normal numbers of seed and sample number, times the prior's
  /// standard deviation.
  public func startPoints(from first: UInt32, count: Int) -> [Float] {
    let deviation = Float(process.priorStandardDeviation)
    return SamplingNoise.start(
      seed: seed, firstSample: first, count: count, dimensions: model.network.dimensions
    ).map { $0 * deviation }
  }
}
