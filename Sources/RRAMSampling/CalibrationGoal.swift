internal import RRAMMapping
public import RRAMModel
public import RRAMProfiles
internal import RRAMUnits

/// What a calibration shall reach, whatever the chip: prepared once, it serves every chip that carries the model.
public struct CalibrationGoal: Sendable {
  public let model: ScoreModel
  /// The model's process with the β scale of the runs.
  public let process: DiffusionProcess
  public let equation: ReverseEquation
  /// w of classifier-free guidance; 0 for none.
  public let guidance: Double
  /// How guidance is played; nil: at once where the board has two networks, in slots elsewhere.
  public let guidancePlay: GuidancePlay?
  /// Conditions fitted together; nil is the null condition or no condition.
  public let labels: [Int?]
  /// The data that end points shall go to; nil: to where the network brings them in software.
  public let data: EvaluationData?
  /// What is aimed at, in the order of the labels.
  public let target: ScheduleFit.Target

  /// Start points that are matched one by one with as many of the data, where no exact map is known.
  public static let matchedPoints = 1024
  /// Data may be this far from what the network draws in software, sliced Wasserstein over the data's root mean square radius. The
  /// shipped networks are at 0.02, data scaled by 1.3 at 0.2.
  public static let farthestData = 0.15

  /// - Parameters:
  ///   - equation: the model's own by default.
  ///   - scale: factor on β; the model's own by default.
  ///   - labels: of a network with classes; `[nil]` for one without.
  ///   - guidance: w of the runs; with it the target is what the guided network draws in software, and data are refused: guided samples
  ///     are not distributed like data, so there is no coupling to aim at.
  ///   - data: a target; nil is the network in software.
  /// - Throws: ``SessionError`` `invalidArgument`, or `targetData` saying what the data lack; the model layer's error for a label that
  ///   the network does not have.
  public init(
    _ model: ScoreModel, equation: ReverseEquation? = nil, scale: Double? = nil, labels: [Int?],
    guidance: Double = 0, play: GuidancePlay? = nil, data: EvaluationData? = nil
  ) throws {
    precondition(!labels.isEmpty, "at least one condition")
    let programs = try labels.map {
      try SamplingProgram(model, equation: equation, scale: scale, classLabel: $0, guidance: guidance)
    }
    if let data, guidance != 0 {
      throw SessionError(
        .targetData,
        "\(data.name): guidance \(guidance) draws other points than the data's; tables for it aim at the network in software"
      )
    }
    self.guidance = guidance
    guidancePlay = play
    self.model = model
    process = programs[0].process
    self.equation = programs[0].equation
    self.labels = labels
    self.data = data
    guard let data else {
      target = .software
      return
    }
    var couplings: [CalibrationCoupling] = []
    for (index, program) in programs.enumerated() {
      let points = try Self.points(of: data, for: program)
      let seed = Self.seed &+ UInt64(index)
      let scale = process.stateScale
      couplings.append(
        data.name == "ring"
          ? CalibrationCoupling(isotropic: points, count: 8064, scale: scale, seed: seed)
          : CalibrationCoupling(matching: points, count: Self.matchedPoints, scale: scale, seed: seed))
    }
    target = .data(couplings)
  }

  /// Of the start points of couplings.
  private static let seed: UInt64 = 0x434F_5550_4C45

  /// The data of one condition, after a look at whether the network can be led there.
  private static func points(of data: EvaluationData, for program: SamplingProgram) throws -> [Double] {
    let model = program.model
    var points = data.points
    var place = data.name
    if let label = program.classLabel {
      guard data.labels != nil else {
        throw SessionError(
          .targetData, "\(data.name): its points have no classes, and '\(model.name)' is calibrated class by class")
      }
      points = try data.points(label: label)
      place += ", class \(label)"
    }
    guard points.count >= 512 else {
      throw SessionError(.targetData, "\(place): \(points.count / 2) points, at least 256 are needed")
    }
    // The ODE's end points: the SDE's have the same distribution as far as the network is a score.
    let drawn = DigitalSolver(equation: .ode, method: .heun, steps: 50).sample(
      model.network, process: program.process, start: program.startPoints(from: 0, count: 4096),
      label: program.classLabel
    ).map { Double($0) * program.process.stateScale }
    let distance = try SampleMetrics.quality(of: drawn, against: points).slicedWasserstein
    let (radius, own) = (rootMeanSquare(points), rootMeanSquare(drawn))
    guard distance <= farthestData * radius else {
      throw SessionError(
        .targetData,
        "\(place): is of another shape or scale than what '\(model.name)' draws: sliced Wasserstein distance \(Float(distance)) "
          + "units, at most \(Float(farthestData * radius)) can be made good; radius \(Float(radius)), the network's \(Float(own)) "
          + "(rms)")
    }
    return points
  }

  private static func rootMeanSquare(_ points: [Double]) -> Double {
    (points.reduce(0) { $0 + $1 * $1 } / Double(points.count / 2)).squareRoot()
  }

  /// Refuses a board that cannot play the model.
  ///
  /// - Throws: ``ScheduleError``.
  public func check(on board: BoardDescription) throws {
    for label in labels {
      var program = try SamplingProgram(
        model, equation: equation, scale: process.hasScale ? process.scale : nil, classLabel: label,
        guidance: guidance)
      program.guidancePlay = guidancePlay
      _ = try program.schedule(on: board)
      _ = try LoopFit(program, on: board)
    }
  }

  /// How a board plays the guidance of the runs.
  func play(on loop: BoardDescription.ClosedLoop) -> GuidancePlay { guidancePlay ?? .suited(to: loop) }

  /// The fit for one chip's weights; a chip whose profile is shipped conducts as that says, any other is ohmic.
  ///
  /// - Parameter plan: how the network lies on the cells; the tables are those of its rescaled hidden units.
  func fit(
    weights: [[Double]], of plan: MappingPlan, integratorOffset: [Double], loop: BoardDescription.ClosedLoop,
    chipProfile: String? = nil,
    settings: ScheduleFit.Settings
  ) throws(ScheduleError) -> ScheduleFit {
    let play = play(on: loop)
    var settings = settings
    var tickDuration: Double?
    if guidance != 0, play == .slots {
      // The slots that the board plays, and points on the way where as many of either condition are over.
      (settings.ticks, settings.points) = (Schedule.guidanceSlots, 10)
      let tick = try Schedule.tick(ticks: settings.ticks, settles: true, loop: loop, board: "of the loop")
      tickDuration = tick.seconds / loop.runTime.seconds
    }
    return ScheduleFit(
      weights: weights, model: model.rescalingHidden(by: plan.options.hiddenScale), process: process,
      equation: equation, guidance: guidance, play: play,
      tickDuration: tickDuration, labels: labels, target: target,
      integratorOffset: integratorOffset, loop: loop, cells: chipProfile.flatMap { try? ChipProfile.named($0).cells },
      settings: settings)
  }
}
