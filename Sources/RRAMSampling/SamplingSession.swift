public import RRAMBoard
public import RRAMMapping
internal import RRAMModel
internal import RRAMProfiles
public import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// Draws samples from the network that is on a chip.
///
/// Opening one checks that the chip carries the program's model, unchanged since it was written, connects its layers and
/// uploads the schedule.
public struct SamplingSession: Sendable {
  /// What is drawn, with the hidden units as the chip carries them.
  public let program: SamplingProgram
  /// What is on the chip.
  public let record: ProgramRecord
  public let schedule: Schedule
  /// What the program's nodes do in the board's loop.
  public let fit: LoopFit
  public let board: Board
  private let loop: BoardDescription.ClosedLoop
  private let isGuidedAtOnce: Bool
  private let scheduleID: UInt32
  private var requests: Int
  private let home: RecordsHome

  /// Checks chip and schedule, and makes the board ready.
  ///
  /// - Parameters:
  ///   - home: the records that know the chip's label.
  ///   - checkingCells: read some cells of every layer and compare them with the record as well.
  /// - Throws: `MappingError` if the chip does not carry this model unchanged, ``ScheduleError`` before anything is sent if
  ///   the board cannot play the schedule or would clamp the program's rows, `BoardError`.
  public init(
    _ program: SamplingProgram, on board: Board, home: RecordsHome, checkingCells: Bool = true
  ) async throws {
    let before = await board.statistics.requests
    var schedule = try program.schedule(on: board.boardDescription, lines: board.lineCalibration?.lines)
    guard let loop = board.boardDescription.closedLoop else {
      throw ScheduleError(.noClosedLoop, "board '\(board.boardDescription.name)' has no closed loop")
    }
    var fit = try LoopFit(program, on: board.boardDescription)
    let record = try await ProgramRecord.find(on: board, home: home, model: program.model)
    let placed = program.rescaled(as: record.plan)
    if record.plan.options.hiddenScale != nil {
      schedule = try placed.schedule(on: board.boardDescription, lines: board.lineCalibration?.lines)
      fit = try LoopFit(placed, on: board.boardDescription)
    }
    if checkingCells { try await record.requireCells(on: board) }
    let isGuidedAtOnce = program.guidance != 0 && (program.guidancePlay ?? .suited(to: loop)) == .atOnce
    guard !isGuidedAtOnce || record.plan.secondNetwork != nil else {
      throw MappingError(
        .notProgrammed,
        "chip \(board.info.chipID) of \(board.address) carries '\(record.model)' once; guidance at once needs it twice")
    }
    self.isGuidedAtOnce = isGuidedAtOnce
    // Class, equation and guidance each have tables of their own; the board may keep several.
    scheduleID =
      1 + UInt32(program.classLabel.map { $0 + 1 } ?? 0) * 4 + (program.equation == .sde ? 1 : 0)
      + (program.guidance == 0 ? 0 : 2)
    self.home = home
    self.program = placed
    self.record = record
    self.schedule = schedule
    self.fit = fit
    self.board = board
    self.loop = loop
    requests = 0
    try await prepare()
    requests = await board.statistics.requests - before
  }

  /// Connects the layers and uploads the tables: what a board forgets when it starts anew.
  private func prepare() async throws {
    try await board.configureLoop(
      record.plan.first.map(\.loopLayer), second: isGuidedAtOnce ? record.plan.second.map(\.loopLayer) : [])
    try await board.uploadSchedule(
      LoopSchedule(
        id: scheduleID, tick: schedule.tick, ticks: schedule.ticks, codes: schedule.codes, noise: schedule.noise))
  }

  /// Draws samples and hands them over in order, as fast as `body` takes them: the board waits for a slow one.
  ///
  /// - Parameters:
  ///   - startPoints: x at t = 1 in units, shape (count, 2); nil draws them for seed and sample number. Given points outside the preset
  ///     converter's range are refused, drawn ones are set to its end and counted.
  ///   - startOnBoard: the board draws the start points, the same numbers, and says which it played; one command then takes all samples.
  ///   - runID: names the run to an emulated board, which shows its samples the same cells however it is cut; 0: each command by itself.
  ///   - trajectoryEvery: ticks between the points of each sample's path, 1 to the program's ticks; 0: no paths. The loop is held while
  ///     the board converts a point.
  ///   - commandsInFlight: commands with the board at a time, so that it need not wait for the host.
  /// - Returns: what the run took.
  public func draw(
    _ count: Int, startPoints: [Float]? = nil, startOnBoard: Bool = false, trajectoryEvery: Int = 0, runID: UInt64 = 0,
    commandsInFlight: Int = 3, _ body: (SampleBatch) async throws -> Void
  ) async throws -> SamplingStatistics {
    precondition(startPoints == nil || !startOnBoard, "start points are given or drawn by the board")
    guard (0...program.ticks).contains(trajectoryEvery) else {
      throw SessionError(
        .invalidArgument, "a point of the path every \(trajectoryEvery) ticks: 1 to \(program.ticks) are possible")
    }
    guard count > 0, count <= Int(UInt32.max - program.firstSample) else {
      throw SessionError(
        .invalidArgument,
        "\(count) samples from number \(program.firstSample): at least 1 is needed, and numbers end at \(UInt32.max)")
    }
    if let startPoints, startPoints.count != 2 * count {
      throw SessionError(
        .invalidArgument, "\(startPoints.count) start coordinates for \(count) samples of 2")
    }
    if let bad = startPoints?.firstIndex(where: { !$0.isFinite }) {
      throw SessionError(.invalidArgument, "start point \(bad / 2) is not finite")
    }
    // The loop integrates y = x/s.
    let scale = Float(program.process.stateScale)
    let lines = board.lineCalibration?.lines
    let preset =
      startOnBoard
      ? PresetCodes([], loop: loop, lines: lines)
      : PresetCodes(
        startPoints?.map { $0 / scale } ?? program.startPoints(from: program.firstSample, count: count), loop: loop,
        lines: lines)
    if startPoints != nil, preset.clamped > 0 {
      let reach = loop.presetReach(lines)
      throw SessionError(
        .presetOutOfRange,
        "\(preset.clamped) start coordinates lie outside the preset converter's \(reach.lowerBound) "
          + "to \(reach.upperBound) units")
    }

    var statistics = SamplingStatistics()
    statistics.overRange.presetClamped = preset.clamped
    let before = await board.statistics
    let chip = await board.boardTime
    let host = ContinuousClock.now
    let points = trajectoryEvery > 0 ? program.ticks / trajectoryEvery : 0
    var left = board.retries
    while statistics.samples < count {
      // What a sample is depends on its number alone: after a lost answer the run goes on with the first that did not come.
      let first = statistics.samples
      let spent = (
        preset: statistics.presetSeconds, loop: statistics.loopSeconds, conversion: statistics.conversionSeconds
      )
      let run = LoopRun(
        scheduleID: scheduleID, samples: count - first,
        start: startOnBoard
          ? .board(deviation: loop.unitVoltage * program.process.priorStandardDeviation)
          : .preset(Array(preset.codes[(2 * first)...])),
        seed: program.seed, firstSample: program.firstSample + UInt32(first), trajectoryEvery: trajectoryEvery,
        runID: runID)
      do {
        for try await batch in board.runLoop(run, commandsInFlight: commandsInFlight) {
          guard first + batch.firstIndex == statistics.samples, batch.x.count == 2 * batch.count,
            batch.trajectory.count == 2 * points * batch.count,
            batch.start.count == (startOnBoard ? 2 * batch.count : 0),
            statistics.samples + batch.count <= count
          else {
            throw SessionError(
              .malformedAnswer,
              "the board answered samples \(first + batch.firstIndex)..<\(first + batch.firstIndex + batch.count) after \(statistics.samples) of \(count)"
            )
          }
          statistics.samples += batch.count
          statistics.presetSeconds = spent.preset + batch.presetTime.seconds
          statistics.loopSeconds = spent.loop + batch.loopTime.seconds
          statistics.conversionSeconds = spent.conversion + batch.conversionTime.seconds
          for flags in batch.overRange where !flags.isEmpty { statistics.overRange.count(flags) }
          let range = 2 * (first + batch.firstIndex)..<2 * (first + batch.firstIndex + batch.count)
          let realised = startOnBoard ? loop.units(ofPreset: batch.start, lines)[...] : preset.realised[range]
          let (x, xT) = (loop.units(ofReadOut: batch.x, lines).map { $0 * scale }, realised.map { $0 * scale })
          var trajectory: [Float] = []
          if points > 0 {
            let read = loop.units(ofReadOut: batch.trajectory, lines).map { $0 * scale }
            trajectory.reserveCapacity(2 * (points + 1) * batch.count)
            for index in 0..<batch.count {
              trajectory += xT[2 * index..<2 * index + 2]
              trajectory += read[2 * points * index..<2 * points * (index + 1)]
            }
          }
          try await body(
            SampleBatch(
              firstSample: program.firstSample + UInt32(first + batch.firstIndex), label: program.classLabel,
              x: x, xT: xT, flags: batch.overRange.map(\.rawValue), trajectory: trajectory))
        }
        break
      } catch let error as BoardError where error.isOutcomeUnknown && left > 0 {
        left -= 1
        try await board.settle(error)
        try await board.abort()
        guard try await ProgramRecord.find(on: board, home: home, model: program.model) == record else { throw error }
        try await prepare()
      }
    }
    guard statistics.samples == count else {
      throw SessionError(.malformedAnswer, "the board answered \(statistics.samples) of \(count) samples")
    }
    let after = await board.statistics
    // The board's clock is known from its answers, and an answer cannot count its own way over the bus.
    try await board.heartbeat()
    statistics.chipSeconds = (await board.boardTime - chip).seconds
    statistics.hostSeconds = (ContinuousClock.now - host).seconds
    statistics.requests = requests + after.requests - before.requests
    if board.info.busRoundTrip > .zero || board.info.busBytesPerSecond > 0 {
      statistics.busSeconds = after.busSeconds - before.busSeconds
    }
    return statistics
  }

  /// Draws samples into a file's form.
  public func draw(
    _ count: Int, startPoints: [Float]? = nil, startOnBoard: Bool = false, trajectoryEvery: Int = 0,
    progress: (@Sendable (_ done: Int) -> Void)? = nil
  ) async throws -> (file: SampleFile, statistics: SamplingStatistics) {
    var file = SampleFile(metadata: metadata, times: program.trajectoryTimes(every: trajectoryEvery))
    let statistics = try await draw(
      count, startPoints: startPoints, startOnBoard: startOnBoard, trajectoryEvery: trajectoryEvery
    ) { batch in
      file.append(batch)
      progress?(file.count)
    }
    return (file, statistics)
  }

  /// How the samples of this session are made.
  public var metadata: SampleMetadata {
    SampleMetadata(
      program, board: board.info.board, serial: board.info.serial, chip: board.info.chipID,
      profile: board.info.chipProfile.isEmpty ? nil : board.info.chipProfile)
  }

  /// Modelled energy of one sample with what is on the chip; amplifiers, converters and board where the board description says what
  /// they draw.
  public func modelledEnergy(trajectories: Int = 1000) -> SampleEnergy {
    var energy = SampleEnergy.modelled(
      program, plan: record.plan, loop: loop, atOnce: isGuidedAtOnce, trajectories: trajectories)
    energy.addPeriphery(of: loop, schedule: schedule, plan: record.plan, atOnce: isGuidedAtOnce)
    return energy
  }
}

extension OverRangeCounts {
  /// Counts one sample's flags.
  mutating func count(_ flags: OverRange) {
    if flags.contains(.rowClamp) { rowClamp += 1 }
    if flags.contains(.amplifierRail) { amplifierRail += 1 }
    if flags.contains(.integratorRail) { integratorRail += 1 }
    if flags.contains(.noiseClamp) { noiseClamp += 1 }
    if flags.contains(.readOutSaturated) { readOutSaturated += 1 }
    if flags.contains(.presetClamped) { presetClamped += 1 }
  }
}
