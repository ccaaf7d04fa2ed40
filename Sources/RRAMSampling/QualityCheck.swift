public import RRAMBoard
public import RRAMMapping
public import RRAMModel
public import RRAMRecords
internal import RRAMUnits

/// Quality of samples drawn from a chip right after it was programmed, beside what its recipe had forecast.
public struct QualityCheck: Sendable, Hashable, Codable {
  /// Ratios to the network in software from the same start points; nil where the software's figure is 0.
  public var kl2d: Double?
  public var slicedWasserstein: Double?
  public var samples: Int
  /// What was sampled with; nil: the model's own tables.
  public var calibration: String?
  /// Chip time since the last write at the beginning, seconds.
  public var age: Double
  public var chipSeconds: Double

  enum CodingKeys: String, CodingKey {
    case kl2d, slicedWasserstein, samples, calibration
    case age = "age_s"
    case chipSeconds
  }

  /// Parts of a tracked check.
  private static let parts = 4

  /// Calibrates as a recipe says, draws, and compares. The calibration is kept with the chip.
  ///
  /// - Parameter samples: in all; classes get equal shares.
  public init(
    _ use: CalibrationMode, on board: Board, record: ProgramRecord, model: ScoreModel, home: RecordsHome,
    samples: Int = 8192
  ) async throws {
    let labels: [Int?] = model.network.isConditional ? Array(0..<model.network.classCount) : [nil]
    let parts = use == .tracked ? Self.parts : 1
    let share = max(1, samples / labels.count / parts)
    let begin = await board.boardTime
    let now = await BoardMoment(board)
    var tables: ScheduleCalibration?
    if use != .none {
      let found = try await ScheduleCalibration(
        CalibrationGoal(model, labels: labels), on: board, record: record, predicting: 0)
      _ = try found.save(home: home)
      tables = found
    }
    var file: SampleFile?
    var first = 0
    for label in labels {
      var program = try SamplingProgram(model, classLabel: label, firstSample: UInt32(first))
      var tracking: ScheduleTracking?
      if let tables {
        try program.apply(tables)
        if use == .tracked {
          tracking = try ScheduleTracking(
            CalibrationGoal(model, labels: [label]), from: tables, on: board, record: record)
        }
      }
      for _ in 0..<parts {
        program.firstSample = UInt32(first)
        if tracking != nil {
          _ = try await tracking?.update(on: board, record: record, firstSample: program.firstSample, count: share)
          program.correction = tracking?.correction
        }
        let session = try await SamplingSession(program, on: board, home: home)
        var drawn = file ?? SampleFile(metadata: session.metadata)
        _ = try await session.draw(share) { drawn.append($0) }
        file = drawn
        first += share
      }
    }
    guard let file else { throw CancellationError() }
    let report = try EvaluationReport(file, against: try EvaluationData(model.metadata.data), model: model)
    kl2d = report.ratio?.kl2d
    slicedWasserstein = report.ratio?.slicedWasserstein
    self.samples = file.count
    calibration = tables?.id
    age = record.written.map { now.since($0) } ?? 0
    chipSeconds = (await board.boardTime - begin).seconds
  }
}
