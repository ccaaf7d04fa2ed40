public import Foundation
public import RRAMBoard
public import RRAMMapping
public import RRAMModel
public import RRAMProfiles
public import RRAMRecords
internal import RRAMUnits

/// The tables of one chip: what a calibration found, for what, and from which read of the cells.
///
/// It is good for the chip, the write, the model, the equation and the conditions that it was made for, as long as the cells stay where
/// they were read.
public struct ScheduleCalibration: Sendable, Hashable, Codable {
  /// What the end points were to meet.
  public struct Target: Sendable, Hashable, Codable {
    /// `software`, or the name or path of the data.
    public var name: String
    /// SHA-256 of the data's file; nil for `software`.
    public var dataSHA256: String?
  }

  /// The correction for one condition.
  public struct Tables: Sendable, Hashable, Codable {
    /// nil: the null condition, or a network without classes.
    public var label: Int?
    public var correction: ScheduleCorrection
  }

  /// What the fit's own model of the loop draws, n points of equal shares a condition, against data. Cells are still in it.
  public struct Prediction: Sendable, Hashable, Codable {
    /// What the points are compared with: data, or with guidance the guided network in software.
    public var data: String
    /// The network in a loop without errors.
    public var software: SampleQuality
    /// The cells as they were read, with the model's tables and with those of the calibration.
    public var before: SampleQuality
    public var after: SampleQuality

    public var ratioBefore: QualityRatio { before.ratio(to: software) }
    public var ratioAfter: QualityRatio { after.ratio(to: software) }
  }

  /// Version of this layout; a larger one is refused. 2: with guidance.
  public static let currentSchema = 2
  /// Movement of the cells since their read at which a calibration is too old, root mean square in % of the conductance window: as far
  /// as cells may be off from what the tables were made for (0.35 % of the range costs a quarter of the ring's KL2d).
  public static let farthestMovement = 0.35

  /// Chip time that an emulated board lets pass for the fit, seconds.
  static let computing = 0.5

  public var schema = ScheduleCalibration.currentSchema
  /// Begins with its time, so that names sort by age.
  public var id: String
  public var madeUTC: Date
  public var chip: String
  public var serial: String
  public var board: String
  public var firmware: String
  public var protocolLevel: Int
  /// The calibration of the loop's gains that was in force; nil: none.
  public var loopCalibration: String?
  /// That of the loop's converters; nil: none.
  public var lineCalibration: String?
  /// The program on the chip by its label, and the write counter of every macro.
  public var program: String
  public var macros: [ProgramRecord.Macro]
  public var model: String
  public var modelSHA256: String
  public var solver: ReverseEquation
  /// Factor on β.
  public var scale: Double
  /// w of the runs, and how it is played; nil for none.
  public var guidance: Double?
  public var guidancePlay: GuidancePlay?
  public var target: Target
  public var readBack: ReadBack
  /// Chip time from the last write to the read, seconds; by the host's clock if a real board was booted in between.
  public var age: Double
  /// True if the board's own clock tells the age.
  public var ageByBoard: Bool
  /// What the integrators added of their own, units a run.
  public var integratorOffset: [Double]
  public var settings: ScheduleFit.Settings
  public var tables: [Tables]
  /// Mean loss of the first and the last tenth of the iterations.
  public var firstLoss: Double
  public var lastLoss: Double
  /// nil where no shipped data belong to the model.
  public var predicted: Prediction?
  /// Of read-back and offset.
  public var chipSeconds: Double
  public var hostSeconds: Double

  enum CodingKeys: String, CodingKey {
    case schema, id, madeUTC, chip, serial, board, firmware, protocolLevel, loopCalibration, lineCalibration, program,
      macros, model
    case modelSHA256, solver
    case scale, guidance, guidancePlay, target, readBack
    case age = "age_s"
    case ageByBoard
    case integratorOffset = "integratorOffset_units"
    case settings, tables, firstLoss, lastLoss, predicted, chipSeconds, hostSeconds
  }

  /// Where a calibration is.
  public enum Step: Sendable, Hashable {
    case reading(pass: Int, of: Int)
    case fitting(done: Double)
  }

  /// Reads a chip's cells back at the loop's operating point and fits the tables to them.
  ///
  /// - Parameters:
  ///   - record: what is on the chip, as ``ProgramRecord/find(on:home:model:)`` gave it.
  ///   - reads: passes over all cells.
  ///   - method: how they are read; nil takes what the board has.
  ///   - predicting: points drawn to predict the quality; 0 predicts none.
  /// - Throws: ``ScheduleError`` before anything is read if the board cannot play the model, ``SessionError`` if the record is of another
  ///   model, `BoardError`.
  public init(
    _ goal: CalibrationGoal, on board: Board, record: ProgramRecord, reads: Int = 16,
    method: ReadBack.Method? = nil, settings: ScheduleFit.Settings = ScheduleFit.Settings(), predicting: Int = 20_000,
    progress: (@Sendable (Step) -> Void)? = nil
  ) async throws {
    guard record.modelSHA256 == goal.model.sha256 else {
      throw SessionError(
        .invalidArgument, "chip \(record.chip) carries '\(record.model)', the calibration is of '\(goal.model.name)'")
    }
    let begin = ContinuousClock.now
    try goal.check(on: board.boardDescription)
    guard let loop = board.boardDescription.closedLoop else {
      throw ScheduleError(.noClosedLoop, "board '\(board.boardDescription.name)' has no closed loop")
    }
    let isGuidedAtOnce = goal.guidance != 0 && goal.play(on: loop) == .atOnce
    guard !isGuidedAtOnce || record.plan.secondNetwork != nil else {
      throw SessionError(
        .invalidArgument,
        "chip \(record.chip) carries '\(record.model)' once; guidance at once needs it twice, in slots it needs it once"
      )
    }
    let chip = await board.boardTime
    integratorOffset = try await board.integratorOffset(record.plan)
    let readBack = try await board.readBack(record.plan, reads: reads, method: method) {
      progress?(.reading(pass: $0, of: reads))
    }
    chipSeconds = (await board.boardTime - chip).seconds

    let fit = try goal.fit(
      weights: record.weights(of: readBack), of: record.plan, integratorOffset: integratorOffset, loop: loop,
      chipProfile: board.info.chipProfile, settings: settings)
    let result = fit.run { progress?(.fitting(done: $0)) }
    try await board.passComputingTime(.seconds(Self.computing))
    predicted =
      predicting > 0 ? try fit.prediction(goal, corrections: result.corrections, count: predicting) : nil

    let info = board.info
    let now = Date()
    id = Self.makeID(at: now)
    madeUTC = now
    self.chip = info.chipID
    serial = info.serial
    self.board = info.board
    firmware = info.firmwareVersion
    protocolLevel = info.protocolLevel
    loopCalibration = board.loopCalibration?.id
    lineCalibration = board.lineCalibration?.id
    program = record.label
    macros = record.macros
    model = goal.model.name
    modelSHA256 = goal.model.sha256
    solver = goal.equation
    scale = goal.process.scale
    guidance = goal.guidance == 0 ? nil : goal.guidance
    guidancePlay = goal.guidance == 0 ? nil : goal.play(on: loop)
    target = Target(name: goal.data?.name ?? "software", dataSHA256: goal.data?.sha256)
    age = record.written.map { readBack.begin.since($0) } ?? max(0, now.timeIntervalSince(record.programmedUTC))
    ageByBoard = record.written.map { readBack.begin.isByBoard(since: $0) } ?? false
    self.readBack = readBack
    self.settings = fit.settings
    tables = zip(goal.labels, result.corrections).map { Tables(label: $0, correction: $1) }
    firstLoss = result.firstLoss
    lastLoss = result.lastLoss
    hostSeconds = (ContinuousClock.now - begin).seconds
  }

  private static func makeID(at date: Date) -> String {
    let seconds = date.timeIntervalSince1970
    let whole = seconds.rounded(.down)
    let time = Date(timeIntervalSince1970: whole).formatted(
      .iso8601.year().month().day().dateSeparator(.omitted).time(includingFractionalSeconds: false)
        .timeSeparator(.omitted).timeZone(separator: .omitted))
    let milliseconds = String(1000 + Int((seconds - whole) * 1000)).dropFirst()
    return "\(time.dropLast(time.hasSuffix("Z") ? 1 : 0)).\(milliseconds)Z-"
      + hexadecimal(UInt16.random(in: .min ... .max))
  }

  private static func hexadecimal(_ value: UInt16) -> String {
    String(String(UInt32(value) + 0x10000, radix: 16).dropFirst())
  }

  /// The correction for a condition; nil if the calibration is not of it.
  public func correction(label: Int?) -> ScheduleCorrection? { tables.first { $0.label == label }?.correction }

  /// What the fit's model of the loop draws, points x of shape (n, 2), equal shares of the conditions one behind the other.
  public struct ModelledClouds: Sendable, Hashable {
    /// The network in a loop without errors.
    public var software: [Float]
    /// The cells as they were read, with the model's tables and with those of the calibration.
    public var before: [Float]
    public var after: [Float]
  }

  /// Draws what a picture of the calibration shows: no chip is asked.
  ///
  /// - Parameters:
  ///   - goal: that of this calibration.
  ///   - record: the program that was read.
  ///   - count: points of each cloud.
  /// - Throws: ``ScheduleError`` if the board has no closed loop.
  public func modelledClouds(
    _ goal: CalibrationGoal, record: ProgramRecord, on board: Board, count: Int
  ) throws -> ModelledClouds {
    guard let loop = board.boardDescription.closedLoop else {
      throw ScheduleError(.noClosedLoop, "board '\(board.boardDescription.name)' has no closed loop")
    }
    let fit = try goal.fit(
      weights: record.weights(of: readBack), of: record.plan, integratorOffset: integratorOffset, loop: loop,
      chipProfile: board.info.chipProfile, settings: settings)
    let share = max(1, count / goal.labels.count)
    func cloud(_ points: (_ condition: Int, _ seed: UInt64) -> [Float]) -> [Float] {
      goal.labels.indices.flatMap { points($0, UInt64($0)).map { $0 * Float(goal.process.stateScale) } }
    }
    return ModelledClouds(
      software: cloud { fit.idealEndPoints(condition: $0, count: share, seed: $1) },
      before: cloud { fit.endPoints(nil, condition: $0, count: share, seed: $1) },
      after: cloud { fit.endPoints(tables[$0].correction, condition: $0, count: share, seed: $1) })
  }

  // MARK: Records

  /// Keeps it among the chip's calibrations.
  ///
  /// - Returns: the file.
  public func save(home: RecordsHome) throws -> URL {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.dateEncodingStrategy = .iso8601
    return try home.saveCalibration(try encoder.encode(self), name: id, chip: chip)
  }

  /// Reads a calibration's file.
  ///
  /// - Throws: ``SessionError`` `malformedFile`.
  public init(file: URL) throws {
    struct Schema: Codable { var schema: Int }
    let decoder = JSONDecoder()
    decoder.dateDecodingStrategy = .iso8601
    do {
      let data = try Data(contentsOf: file)
      let schema = try decoder.decode(Schema.self, from: data).schema
      guard schema <= Self.currentSchema else {
        throw SessionError(
          .malformedFile,
          "\(file.path): layout \(schema) of calibrations is newer than this toolkit's \(Self.currentSchema)")
      }
      self = try decoder.decode(ScheduleCalibration.self, from: data)
    } catch let error as SessionError {
      throw error
    } catch let error as CocoaError {
      throw SessionError(.malformedFile, "\(file.path): cannot be read: \(error.localizedDescription)")
    } catch {
      throw SessionError(.malformedFile, "\(file.path): is no calibration")
    }
    guard !tables.isEmpty, tables.allSatisfy({ $0.correction.isWellFormed }) else {
      throw SessionError(.malformedFile, "\(file.path): its tables are incomplete or not finite")
    }
  }

  // MARK: Pairing

  /// Refuses what the calibration was not made for.
  ///
  /// - Throws: ``SessionError`` `otherCalibration` with what differs.
  public func check(_ program: SamplingProgram) throws(SessionError) {
    var reason: String?
    if modelSHA256 != program.model.sha256 {
      reason =
        "is of model '\(model)' (SHA-256 \(modelSHA256.prefix(12))…), not of '\(program.model.name)' "
        + "(\(program.model.sha256.prefix(12))…)"
    } else if solver != program.equation {
      reason = "is for the \(solver.rawValue), the run is of the \(program.equation.rawValue)"
    } else if scale != program.process.scale {
      reason = "is for β scale \(scale), the run has \(program.process.scale)"
    } else if (guidance ?? 0) != program.guidance {
      func name(_ guidance: Double) -> String { guidance == 0 ? "no guidance" : "guidance \(guidance)" }
      reason = "is for \(name(guidance ?? 0)), the run has \(name(program.guidance))"
    } else if let guidancePlay, let play = program.guidancePlay, play != guidancePlay {
      reason = "is for guidance played \(guidancePlay.rawValue), the run plays it \(play.rawValue)"
    } else if guidancePlay == .slots, program.ticks != settings.ticks {
      reason = "is of \(settings.ticks) slots, the run has \(program.ticks)"
    } else if correction(label: program.classLabel) == nil {
      func name(_ label: Int?) -> String { label.map { "class \($0)" } ?? "no class" }
      reason =
        "is of \(tables.map { name($0.label) }.joined(separator: ", ")), the run is of \(name(program.classLabel))"
    }
    if let reason { throw SessionError(.otherCalibration, "calibration \(id) \(reason)") }
  }

  /// Refuses a calibration of another chip, an earlier write, or other firmware.
  ///
  /// - Parameter record: what is on the chip now.
  /// - Throws: ``SessionError`` `otherCalibration` with what differs.
  public func check(on board: Board, record: ProgramRecord) throws(SessionError) {
    let info = board.info
    var reason: String?
    if chip != info.chipID {
      reason = "is of chip \(chip), board \(info.address) carries \(info.chipID)"
    } else if self.board != info.board {
      reason = "was made on a board '\(self.board)', \(info.address) is a '\(info.board)'"
    } else if firmware != info.firmwareVersion || protocolLevel != info.protocolLevel {
      reason =
        "was made with firmware \(firmware) at protocol level \(protocolLevel), \(info.address) runs \(info.firmwareVersion) "
        + "at level \(info.protocolLevel)"
    } else if program != record.label || macros != record.macros {
      reason =
        "was read back before the last write: it is of program \(program.prefix(12))…, chip \(chip) carries "
        + "\(record.label.prefix(12))…"
    } else if let (part, then, now) = [
      ("gains", loopCalibration, board.loopCalibration?.id), ("converters", lineCalibration, board.lineCalibration?.id),
    ].first(where: { $0.1 != $0.2 }) {
      func name(_ id: String?) -> String { id.map { "calibration \($0)" } ?? "no calibration" }
      reason = "was fitted with \(name(then)) of the loop's \(part) in force, now it is \(name(now))"
    }
    if let reason { throw SessionError(.otherCalibration, "calibration \(id) \(reason)") }
  }

  /// The newest calibration of the records that fits some runs on a chip.
  ///
  /// - Parameters:
  ///   - programs: all of them must find their tables in it.
  ///   - record: what is on the chip now.
  /// - Returns: it, or why the newest one there does not fit; neither if the chip has none.
  public static func newest(
    for programs: [SamplingProgram], on board: Board, record: ProgramRecord, home: RecordsHome
  ) -> (calibration: ScheduleCalibration?, refusal: SessionError?) {
    var refusal: SessionError?
    for file in home.calibrationFiles(chip: board.info.chipID) {
      do {
        let calibration = try ScheduleCalibration(file: file)
        try calibration.check(on: board, record: record)
        for program in programs { try calibration.check(program) }
        return (calibration, nil)
      } catch {
        refusal = refusal ?? error as? SessionError
      }
    }
    return (nil, refusal)
  }

  /// The calibration of that id among a chip's.
  ///
  /// - Throws: ``SessionError`` `unknownCalibration` with those that there are.
  public static func named(_ id: String, chip: String, home: RecordsHome) throws -> ScheduleCalibration {
    let files = home.calibrationFiles(chip: chip)
    guard let file = files.first(where: { $0.lastPathComponent == id + ".json" }) else {
      let known = files.prefix(5).map { $0.deletingPathExtension().lastPathComponent }.joined(separator: ", ")
      throw SessionError(
        .unknownCalibration,
        "chip \(chip) has no calibration '\(id)'; \(files.isEmpty ? "there are none" : "the newest are \(known)")")
    }
    return try ScheduleCalibration(file: file)
  }

  /// How far the cells have moved since they were read.
  public struct Movement: Sendable, Hashable, Codable {
    /// Root mean square over the cells, % of the conductance window, without the reads' own noise.
    public var percent: Double
    /// Chip time since the read-back; by the host's clock if the board was booted in between.
    public var seconds: Double
    public var chipSeconds: Double

    /// Farther than the tables allow.
    public var isTooFar: Bool { percent > farthestMovement }
  }

  /// Reads the cells again, briefly.
  public func movement(on board: Board, record: ProgramRecord, reads: Int = 4) async throws -> Movement {
    let now = try await board.readBack(record.plan, reads: reads, method: readBack.method)
    return Movement(
      percent: now.movementPercent(since: readBack, plan: record.plan), seconds: now.begin.since(readBack.end),
      chipSeconds: now.chipSeconds
    )
  }
}

extension ProgramRecord {
  /// The weights that conductances realise, one array a layer, those of a second network last.
  func weights(of readBack: ReadBack) -> [[Double]] {
    zip(plan.layers, readBack.conductances).map { $0.weights(of: $1) }
  }
}

extension ScheduleFit {
  /// What the modelled loop draws before and after, against the target's data or the model's own.
  func prediction(
    _ goal: CalibrationGoal, corrections: [ScheduleCorrection], count: Int
  ) throws -> ScheduleCalibration.Prediction? {
    let share = max(1, count / goal.labels.count)
    guard let data = try reference(goal, count: share) else { return nil }
    func quality(_ points: (_ condition: Int, _ seed: UInt64) -> [Float]) throws -> SampleQuality {
      var (x, labels): ([Float], [Int]) = ([], [])
      for (condition, label) in goal.labels.enumerated() {
        x += points(condition, UInt64(condition)).map { $0 * Float(goal.process.stateScale) }
        labels += [Int](repeating: label ?? SampleFile.noLabel, count: share)
      }
      return try SampleMetrics.quality(of: x, labels: data.labels == nil ? nil : labels, against: data).overall
    }
    return ScheduleCalibration.Prediction(
      data: data.name,
      software: try quality { idealEndPoints(condition: $0, count: share, seed: $1) },
      before: try quality { endPoints(nil, condition: $0, count: share, seed: $1) },
      after: try quality { endPoints(corrections[$0], condition: $0, count: share, seed: $1) })
  }
}

extension ScheduleFit {
  /// What predictions are compared with: the target's data or the model's own; with guidance, whose samples are not distributed like
  /// data, what the guided network draws in software from start points of its own.
  private func reference(_ goal: CalibrationGoal, count: Int) throws -> EvaluationData? {
    let name = goal.model.metadata.data
    if goal.guidance != 0 {
      var (points, labels): ([Double], [Int]) = ([], [])
      for (condition, label) in goal.labels.enumerated() {
        points += idealEndPoints(condition: condition, count: count, seed: Self.referenceSeed &+ UInt64(condition)).map
        {
          Double($0) * goal.process.stateScale
        }
        labels += [Int](repeating: label ?? SampleFile.noLabel, count: count)
      }
      var data = try EvaluationData(
        name: "the guided network in software", points: points, labels: goal.labels.contains(nil) ? nil : labels)
      if EvaluationData.names.contains(name) { data.histogram = try EvaluationData(name).histogram }
      return data
    }
    guard let data = try goal.data ?? (EvaluationData.names.contains(name) ? EvaluationData(name) : nil) else {
      return nil
    }
    // The null condition is of all classes at once.
    return !goal.model.network.isConditional || goal.labels.contains(nil) ? data.withoutClasses : data
  }

  /// Of the start points of a guided reference: other ones than those of the predictions.
  private static let referenceSeed: UInt64 = 0x5245_4645_5245
}

extension ScheduleCalibration {
  /// The tables of one condition as a board plays them: the model's own, and with this calibration.
  ///
  /// - Parameter goal: that of this calibration.
  /// - Throws: ``ScheduleError`` if the board cannot play them.
  public func schedules(
    _ goal: CalibrationGoal, label: Int?, record: ProgramRecord, on board: BoardDescription
  ) throws -> (before: Schedule, after: Schedule) {
    var program = try SamplingProgram(
      goal.model, equation: solver, scale: goal.process.hasScale ? scale : nil, classLabel: label,
      guidance: guidance ?? 0, ticks: goal.model.usualTicks
    ).rescaled(as: record.plan)
    program.guidancePlay = guidancePlay
    let before = try program.schedule(on: board)
    program.correction = correction(label: label)
    return (before, try program.schedule(on: board))
  }
}

extension CalibrationGoal {
  /// What a chip with these conductances would draw with the model's tables and with tables fitted to it, without noise.
  ///
  /// - Parameters:
  ///   - conductances: siemens, one array a layer of the plan, row-major over its block.
  ///   - chipProfile: name of the profile whose cells conduct.
  ///   - count: points drawn, in equal shares of the conditions.
  /// - Returns: nil where no shipped data belong to the model.
  /// - Throws: ``ScheduleError`` `noClosedLoop`.
  public func prediction(
    of plan: MappingPlan, conductances: [[Float]], on board: BoardDescription, chipProfile: String, count: Int
  ) throws -> ScheduleCalibration.Prediction? {
    guard let loop = board.closedLoop else {
      throw ScheduleError(.noClosedLoop, "board '\(board.name)' has no closed loop")
    }
    let fit = try fit(
      weights: zip(plan.layers, conductances).map { $0.weights(of: $1) }, of: plan, integratorOffset: [0, 0],
      loop: loop,
      chipProfile: chipProfile, settings: ScheduleFit.Settings())
    return try fit.prediction(self, corrections: fit.run().corrections, count: count)
  }
}

extension SamplingProgram {
  /// Plays a calibration's tables.
  ///
  /// - Throws: ``SessionError`` `otherCalibration` if it is not of this program.
  public mutating func apply(_ calibration: ScheduleCalibration) throws(SessionError) {
    try calibration.check(self)
    correction = calibration.correction(label: classLabel)
    guidancePlay = calibration.guidancePlay ?? guidancePlay
    self.calibration = calibration.id
  }
}
