public import RRAMBoard
public import RRAMMapping
internal import RRAMProfiles
internal import RRAMUnits

/// Keeps the tables of one condition with cells that go on moving: before each part of a run the cells are read again, and the tables
/// take a few more steps of the fit from where they are.
public struct ScheduleTracking: Sendable {
  /// What tracking takes.
  public struct Settings: Sendable, Hashable, Codable {
    /// Samples between two updates.
    public var part = 512
    /// Passes over all cells.
    public var reads = 16
    /// Steps of the fit.
    public var iterations = 60
    /// Chip time that an emulated board lets pass for the fit, seconds.
    public var computing = 0.2

    public init() {}
  }

  /// What one update found and took.
  public struct Update: Sendable, Hashable, Encodable {
    /// Number of the first sample that it serves, and how many it serves.
    public var firstSample: UInt32
    public var count: Int
    /// Root mean square change of the cells since the read before, % of the conductance window, without the reads' own noise.
    public var movementPercent: Double
    /// Loss of the first and the last tenth of the steps.
    public var firstLoss: Double
    public var lastLoss: Double
    public var chipSeconds: Double
    public var hostSeconds: Double
  }

  public let settings: Settings
  private let label: Int?
  private var fit: ScheduleFit
  private var readBack: ReadBack
  /// The tables as they are now.
  public private(set) var correction: ScheduleCorrection

  /// - Parameters:
  ///   - goal: what the calibration aimed at, for the one condition of the run.
  ///   - calibration: where the tables start.
  /// - Throws: ``SessionError`` `otherCalibration`, ``ScheduleError`` `noClosedLoop`.
  public init(
    _ goal: CalibrationGoal, from calibration: ScheduleCalibration, on board: Board, record: ProgramRecord,
    settings: Settings = Settings()
  ) throws {
    precondition(goal.labels.count == 1, "tracking is of one condition")
    label = goal.labels[0]
    guard let correction = calibration.correction(label: label) else {
      throw SessionError(.otherCalibration, "calibration \(calibration.id) has no tables for class \(label ?? -1)")
    }
    guard let loop = board.boardDescription.closedLoop else {
      throw ScheduleError(.noClosedLoop, "board '\(board.boardDescription.name)' has no closed loop")
    }
    self.settings = settings
    self.correction = correction
    readBack = calibration.readBack
    var numbers = calibration.settings
    numbers.iterations = settings.iterations
    fit = try goal.fit(
      weights: record.weights(of: readBack), of: record.plan, integratorOffset: calibration.integratorOffset,
      loop: loop,
      chipProfile: board.info.chipProfile, settings: numbers)
  }

  /// Reads the cells and updates the tables.
  public mutating func update(
    on board: Board, record: ProgramRecord, firstSample: UInt32, count: Int
  ) async throws -> Update {
    let begin = ContinuousClock.now
    let chip = await board.boardTime
    let now = try await board.readBack(record.plan, reads: settings.reads, method: readBack.method)
    let movement = now.movementPercent(since: readBack, plan: record.plan)
    readBack = now
    fit = fit.replacing(weights: record.weights(of: now))
    let result = fit.run(from: [correction])
    correction = result.corrections[0]
    try await board.passComputingTime(.seconds(settings.computing))
    return Update(
      firstSample: firstSample, count: count, movementPercent: movement, firstLoss: result.firstLoss,
      lastLoss: result.lastLoss, chipSeconds: (await board.boardTime - chip).seconds,
      hostSeconds: (ContinuousClock.now - begin).seconds)
  }
}

extension ReadBack {
  /// ``changePercent(since:plan:)`` without the noise of both reads.
  func movementPercent(since earlier: ReadBack, plan: MappingPlan) -> Double {
    func square(_ value: Double) -> Double { value * value }
    let noise = [earlier, self].reduce(0.0) { $0 + square($1.standardErrorPercent(plan: plan)) }
    return max(0, square(changePercent(since: earlier, plan: plan)) - noise).squareRoot()
  }
}
