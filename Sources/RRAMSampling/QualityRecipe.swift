public import RRAMMapping
public import RRAMModel
public import RRAMProfiles
internal import RRAMUnits

/// How good samples shall be.
public enum QualityGoal: String, Sendable, Hashable, Codable, CaseIterable {
  /// On the chip quickly; no promise.
  case fast
  /// A clear picture: KL2d at most 1.25 times, sliced Wasserstein at most 1.3 times the network's in software, in the middle of the chips.
  case standard
  /// As in software: at most 1.1 and 1.15 times.
  case equivalent

  /// Largest ratios of the median chip; nil: none are asked for.
  public var bounds: (kl2d: Double, slicedWasserstein: Double)? {
    switch self {
    case .fast: nil
    case .standard: (1.25, 1.3)
    case .equivalent: (1.1, 1.15)
    }
  }
}

/// How a network is put on a chip so that samples become as good as a goal asks: chosen for the model and the chip from what was measured
/// of it, or from its profile.
public struct QualityRecipe: Sendable, Hashable, Codable {
  /// One way, with what it is expected to give.
  public struct Choice: Sendable, Hashable, Codable {
    /// How weights become conductances, and whether they lie on the quietest cells.
    public var mapping: MappingOptions
    public var screened: Bool
    /// Times that what has drifted off is written again, a minute after the write before.
    public var retries: Int
    public var calibration: CalibrationMode
    public var forecast: QualityForecast

    /// What it does, in words.
    public var name: String {
      var parts: [String] = []
      if mapping != MappingOptions() { parts.append("\(mapping.pairs.rawValue) cells") }
      if screened { parts.append("screened") }
      parts.append(
        retries == 0 ? "written once" : retries == 1 ? "written again once" : "written again \(retries) times")
      switch calibration {
      case .none: parts.append("not calibrated")
      case .once: parts.append("one calibration")
      case .tracked: parts.append("tracked")
      }
      return parts.joined(separator: ", ")
    }

    /// The larger of the two ratios over their bounds: at most 1 meets the goal.
    func excess(_ goal: QualityGoal) -> Double {
      guard let bounds = goal.bounds else { return 0 }
      return max(
        forecast.kl2d.median / bounds.kl2d, forecast.slicedWasserstein.median / bounds.slicedWasserstein)
    }
  }

  public var goal: QualityGoal
  public var choice: Choice
  /// The forecast meets the goal.
  public var meetsGoal: Bool
  /// What was weighed, cheapest first, up to the one that was taken.
  public var considered: [Choice]
  public var strategy: WriteStrategyName
  /// Epochs of writing again, seconds, µS; nil: cells are written once.
  public struct Retry: Sendable, Hashable, Codable {
    public var epochs: Int
    public var wait: Double
    public var tolerance: Double

    enum CodingKeys: String, CodingKey {
      case epochs
      case wait = "wait_s"
      case tolerance = "tolerance_uS"
    }
  }
  public var retry: Retry?
  /// Half width of the verify window, µS.
  public var tolerance: Double
  /// Cells to write, and what that is expected to cost.
  public var cells: Int
  public var pulses: Double
  public var chipSeconds: Double
  /// What comes before the write: forming the placement's cells, and screening them; nil where all are formed.
  public struct Forming: Sendable, Hashable, Codable {
    /// Cells that are formed, those among them that a screening moves weights off again.
    public var cells: Int
    public var pulses: Double
    /// Of forming and screening.
    public var chipSeconds: Double
  }
  public var forming: Forming?
  /// Where the statistics come from: `measured` on this chip, with the factor on the profile's errors, or `profile`.
  public var basis: String
  public var errorScale: Double

  enum CodingKeys: String, CodingKey {
    case goal, choice, meetsGoal, considered, strategy, retry
    case tolerance = "tolerance_uS"
    case cells, pulses, chipSeconds, forming, basis, errorScale
  }

  /// Ratios of forecasts have spreads of their own; a choice must meet the goal with this much to spare.
  private static let margin = 0.97

  /// Chooses.
  ///
  /// - Parameters:
  ///   - placements: the ways the network can lie on the chip, cheapest first.
  ///   - age: from the write to the samples.
  ///   - errorScale: measured error ÷ the profile's; nil: nothing was measured.
  ///   - pulsesPerCell: measured on this chip with the same strategy; nil: what is usual.
  /// - Throws: ``SessionError`` or ``ScheduleError`` if the board cannot play the model.
  public init(
    _ goal: QualityGoal, model: ScoreModel, placements: [RecipePlacement], board: BoardDescription,
    profile: ChipProfile,
    age: Duration, errorScale: Double?, pulsesPerCell: Double?,
    progress: ((String) -> Void)? = nil
  ) throws {
    precondition(!placements.isEmpty, "at least one placement")
    guard let loop = board.closedLoop else {
      throw ScheduleError(.noClosedLoop, "board '\(board.name)' has no closed loop, so nothing can be said of samples")
    }
    let labels: [Int?] = model.network.isConditional ? Array(0..<model.network.classCount) : [nil]
    let aim = try CalibrationGoal(model, labels: labels)
    try aim.check(on: board)
    let data = try EvaluationData(model.metadata.data)
    self.goal = goal
    self.errorScale = errorScale ?? 1
    basis = errorScale == nil ? "profile \(profile.name)" : "measured on this chip"
    strategy = .response
    tolerance = profile.programming.tolerance.microsiemens

    let retryTolerance = 1.5 * profile.programming.tolerance
    var considered: [Choice] = []
    var taken: [RecipePlacement] = []
    placements: for (index, placement) in placements.enumerated() {
      for (retries, calibration) in Self.ways(goal, isFirst: index == 0) {
        let cells = CellForecast(
          profile, tolerance: profile.programming.tolerance, scale: self.errorScale, retries: retries,
          retryWait: Self.retryWait, retryTolerance: retryTolerance)
        let forecast = try QualityForecast(
          aim, placement: placement, cells: cells, use: calibration, age: age, loop: loop, data: data)
        let choice = Choice(
          mapping: placement.plan.options, screened: placement.isScreened, retries: retries, calibration: calibration,
          forecast: forecast)
        progress?(choice.name)
        considered.append(choice)
        taken.append(placement)
        if choice.excess(goal) <= Self.margin { break placements }
        if calibration == .once, choice.excess(goal) > Self.hopeless { break }
      }
    }
    let place = considered.indices.min { considered[$0].excess(goal) < considered[$1].excess(goal) } ?? 0
    let (best, plan) = (considered[place], taken[place].plan)
    choice = best
    meetsGoal = best.excess(goal) <= 1
    self.considered = considered
    retry =
      best.retries == 0
      ? nil : Retry(epochs: best.retries, wait: Self.retryWait.seconds, tolerance: retryTolerance.microsiemens)
    cells = plan.writtenCount
    let perCell = (pulsesPerCell ?? Self.usualPulses) * (1 + 0.5 * Double(best.retries))
    pulses = perCell * Double(cells)
    // A round reads and pulses row by row, SET and RESET apart; it goes on until the slowest cells are done, about ten times the mean.
    let drivers = board.drivers
    let row =
      2 * (drivers.settling.seconds + profile.programming.set.width.seconds) + drivers.settling.seconds
      + board.sensing.integrationTime.seconds + board.sensing.conversionTime.seconds
    let rows = plan.layers.reduce(0) { $0 + $1.block.shape.rows }
    chipSeconds =
      perCell * row * Double(rows) + Double(best.retries) * Self.retryWait.seconds
      + (best.mapping.pairs == .sparse ? Retirement().pauses.reduce(0, +) : 0)
    forming = Self.forming(taken[place], board: board, profile: profile)
  }

  /// Ramps to the profile's mean forming voltage, a pulse and a read of a row's cells a step, and the passes of a screening.
  private static func forming(
    _ placement: RecipePlacement, board: BoardDescription, profile: ChipProfile
  ) -> Forming? {
    guard !placement.toForm.isEmpty else { return nil }
    let ramp = profile.programming.forming
    let steps = max(1, ((min(profile.cells.formingMean, ramp.stop) - ramp.start) / ramp.step).rounded(.up) + 1)
    let pulses = steps * Double(placement.toForm.count)
    let screening = Screening()
    let rows = Set(placement.toForm.map { [$0.macro, $0.row] }).count
    let step =
      ramp.width.seconds + 2 * board.drivers.settling.seconds + board.sensing.integrationTime.seconds
      + board.sensing.conversionTime.seconds
    return Forming(
      cells: placement.toForm.count, pulses: pulses,
      chipSeconds: steps * step * Double(rows) + Double(placement.screenings) * (screening.settling + screening.seconds)
    )
  }

  /// Pulses a cell of the strategy `response`: `tools/bench/writing`, emulated chips.
  private static let usualPulses = 3.5
  private static let retryWait = Duration.seconds(60)

  /// Neither a second write nor tracking has made up for so large a miss.
  private static let hopeless = 3.0

  /// The ways that are weighed on a placement, cheapest first.
  private static func ways(_ goal: QualityGoal, isFirst: Bool) -> [(retries: Int, calibration: CalibrationMode)] {
    switch goal {
    case .fast: isFirst ? [(0, .none)] : []
    case .standard: isFirst ? [(0, .none), (0, .once), (1, .once), (1, .tracked)] : [(0, .once), (0, .tracked)]
    case .equivalent: isFirst ? [(0, .once), (1, .once), (0, .tracked), (1, .tracked)] : [(0, .once), (0, .tracked)]
    }
  }
}
