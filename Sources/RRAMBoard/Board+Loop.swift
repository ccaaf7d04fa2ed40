internal import DequeModule
internal import RRAMProfiles
public import RRAMUnits
public import RRAMWire

/// The tables the converters play, one entry a tick.
public struct LoopSchedule: Sendable, Hashable {
  public var id: UInt32
  public var tick: Duration
  public var ticks: Int
  /// Codes `[tick][channel]`: channels a, b, embedding 0 …, then offset x, y where the board has them, then b and embedding 0 … of the
  /// second network where it has one.
  public var codes: [UInt16]
  /// Volts at the noise converter for one standard deviation, one a tick; empty: no noise.
  public var noise: [Float]

  public init(id: UInt32, tick: Duration, ticks: Int, codes: [UInt16], noise: [Float] = []) {
    self.id = id
    self.tick = tick
    self.ticks = ticks
    self.codes = codes
    self.noise = noise
  }
}

/// Samples to draw from the closed loop.
public struct LoopRun: Sendable, Hashable {
  public var scheduleID: UInt32
  public var samples: Int
  public var start: Start
  /// Start points that the board draws, and noise, of sample k are drawn for (seed, `firstSample` + k).
  public var seed: UInt64
  public var firstSample: UInt32
  /// Read x every so many ticks as well; 0: only at the end.
  public var trajectoryEvery: Int
  /// Commands with one number other than 0 are one run, to an emulated board: sample k of it sees the same cells however the run is cut.
  public var runID: UInt64

  /// Where the loop starts.
  public enum Start: Sendable, Hashable {
    /// Codes of the preset converter, `[sample][2]`.
    case preset([UInt16])
    /// The board draws normal numbers of this standard deviation at the preset converter; needs ``Capability/loopStart``.
    case board(deviation: Volts)
  }

  public init(
    scheduleID: UInt32, preset: [UInt16], seed: UInt64, firstSample: UInt32 = 0, trajectoryEvery: Int = 0,
    runID: UInt64 = 0
  ) {
    self.init(
      scheduleID: scheduleID, samples: preset.count / 2, start: .preset(preset), seed: seed, firstSample: firstSample,
      trajectoryEvery: trajectoryEvery, runID: runID)
  }

  public init(
    scheduleID: UInt32, samples: Int, start: Start, seed: UInt64, firstSample: UInt32 = 0, trajectoryEvery: Int = 0,
    runID: UInt64 = 0
  ) {
    self.scheduleID = scheduleID
    self.samples = samples
    self.start = start
    self.seed = seed
    self.firstSample = firstSample
    self.trajectoryEvery = trajectoryEvery
    self.runID = runID
  }
}

/// Some samples of a run, in its order.
public struct LoopBatch: Sendable, Hashable {
  /// Index within the run of the first sample.
  public var firstIndex: Int
  /// Codes of the read-out converter, `[sample][2]`.
  public var x: [UInt16]
  /// One a sample.
  public var overRange: [OverRange]
  /// Codes, `[sample][point][2]`; empty unless asked for.
  public var trajectory: [UInt16]
  /// Chip time in the three phases, of the whole run so far.
  public var presetTime: Duration
  public var loopTime: Duration
  public var conversionTime: Duration
  /// Codes of the preset converter, `[sample][2]`, where the board drew the start points; empty otherwise.
  public var start: [UInt16] = []

  public var count: Int { overRange.count }
}

extension Board {
  /// Connects layers, in order, to the closed loop, and those of a second network of the same state on boards that have macros for it.
  public func configureLoop(_ layers: [LoopLayer], second: [LoopLayer] = []) async throws {
    try require(.closedLoop, for: "configuring the loop")
    for layer in layers + second { try check.check(layer.block) }
    try check.checkLoop(
      boardDescription.closedLoop, layers.first?.block,
      cells: (layers + second).reduce(0) { $0 + $1.block.cellCount })
    try await checkTemperature()
    _ = try await exchange(ConfigureLoop(layers: layers, second: second))
  }

  /// Uploads a schedule, in as many parts as the board's request size asks for, all under way at once.
  public func uploadSchedule(_ schedule: LoopSchedule) async throws {
    try require(.closedLoop, for: "uploading a schedule")
    if schedule.noise.contains(where: { $0 != 0 }) { try require(.loopNoise, for: "a schedule with noise") }
    guard schedule.ticks > 0, schedule.ticks <= info.maximumScheduleTicks else {
      throw BoardError(
        .badArgument, "a schedule of \(schedule.ticks) ticks, 1 to \(info.maximumScheduleTicks) are possible",
        address: address)
    }
    guard !schedule.codes.isEmpty, schedule.codes.count.isMultiple(of: schedule.ticks),
      schedule.noise.isEmpty || schedule.noise.count == schedule.ticks
    else {
      throw BoardError(
        .badArgument,
        "\(schedule.codes.count) codes and \(schedule.noise.count) noise values for \(schedule.ticks) ticks",
        address: address)
    }
    let channels = schedule.codes.count / schedule.ticks
    let bytesPerTick = channels * MemoryLayout<UInt16>.size + (schedule.noise.isEmpty ? 0 : MemoryLayout<Float>.size)
    let ticksPerPart = max(1, (info.maximumRequestBytes - Self.fixedLoopBytes) / bytesPerTick)
    var streams: [ResponseStream<UploadScheduleResult>] = []
    for first in stride(from: 0, to: schedule.ticks, by: ticksPerPart) {
      let count = min(ticksPerPart, schedule.ticks - first)
      let part = UploadSchedule(
        scheduleID: schedule.id, ticks: schedule.ticks, tick: schedule.tick, firstTick: first, count: count,
        codes: Array(schedule.codes[first * channels..<(first + count) * channels]),
        noise: schedule.noise.isEmpty ? [] : Array(schedule.noise[first..<first + count]))
      streams.append(try await responses(part))
    }
    var received = 0
    for stream in streams { for try await result in stream { received = max(received, result.received) } }
    guard received == schedule.ticks else {
      throw BoardError(
        .protocolViolation, "the board has \(received) of \(schedule.ticks) ticks after the upload", address: address)
    }
  }

  /// Bytes of a loop request besides its arrays.
  static let fixedLoopBytes = 128

  /// Runs the closed loop once a sample; results come in order, as fast as the consumer takes them.
  ///
  /// A run that does not fit into one request becomes several commands, of which `commandsInFlight` are with the board, so
  /// that it need not wait for the host between them.
  public nonisolated func runLoop(_ run: LoopRun, commandsInFlight: Int = 2) -> LoopRunResults {
    LoopRunResults(board: self, run: run, commandsInFlight: max(1, commandsInFlight))
  }
}

/// The samples of ``Board/runLoop(_:commandsInFlight:)``, pulled.
public struct LoopRunResults: AsyncSequence, Sendable {
  public typealias Element = LoopBatch

  let board: Board
  let run: LoopRun
  let commandsInFlight: Int

  public func makeAsyncIterator() -> Iterator {
    Iterator(board: board, run: run, commandsInFlight: commandsInFlight)
  }

  public struct Iterator: AsyncIteratorProtocol {
    private struct Command {
      let first: Int
      let count: Int
      let stream: ResponseStream<RunResults>
      var iterator: ResponseStream<RunResults>.Iterator
      var received = 0
      var latest: RunResults?
    }

    private let board: Board
    private let run: LoopRun
    private let commandsInFlight: Int
    private let samplesPerCommand: Int
    private var commands: Deque<Command> = []
    private var sent = 0
    private var presetTime = Duration.zero
    private var loopTime = Duration.zero
    private var conversionTime = Duration.zero

    init(board: Board, run: LoopRun, commandsInFlight: Int) {
      self.board = board
      self.run = run
      self.commandsInFlight = commandsInFlight
      samplesPerCommand =
        switch run.start {
        case .preset:
          Swift.max(1, (board.info.maximumRequestBytes - Board.fixedLoopBytes) / (2 * MemoryLayout<UInt16>.size))
        // Nothing has to be sent a sample, so one command draws them all.
        case .board: Swift.max(1, run.samples)
        }
    }

    /// The next samples; `nil` after the last.
    public mutating func next() async throws -> LoopBatch? {
      if sent == 0 { try checkRun() }
      while true {
        try await fill()
        guard var command = commands.first else { return nil }
        guard let results = try await command.iterator.next() else {
          try await board.checkJoin(command.received == command.count, "run_loop")
          presetTime += command.latest?.presetTime ?? .zero
          loopTime += command.latest?.loopTime ?? .zero
          conversionTime += command.latest?.conversionTime ?? .zero
          commands.removeFirst()
          continue
        }
        try await board.checkJoin(
          results.firstIndex == command.received && results.count <= command.count - command.received, "run_loop")
        let batch = LoopBatch(
          firstIndex: command.first + results.firstIndex, x: results.x, overRange: results.overRange,
          trajectory: results.trajectory, presetTime: presetTime + results.presetTime,
          loopTime: loopTime + results.loopTime, conversionTime: conversionTime + results.conversionTime,
          start: results.start)
        command.received += results.count
        command.latest = results
        commands[0] = command
        if batch.count > 0 { return batch }
      }
    }

    private func checkRun() throws {
      try board.require(.closedLoop, for: "running the loop")
      if run.trajectoryEvery > 0 { try board.require(.loopTrajectory, for: "reading trajectories") }
      guard run.samples > 0, run.samples <= Int(UInt32.max - run.firstSample) else {
        throw BoardError(.badArgument, "a run of \(run.samples) samples", address: board.address)
      }
      switch run.start {
      case .preset(let codes):
        guard codes.count == 2 * run.samples else {
          throw BoardError(
            .badArgument, "\(codes.count) preset codes for \(run.samples) samples", address: board.address)
        }
      case .board(let deviation):
        try board.require(.loopStart, for: "start points of the board's own")
        guard deviation > .zero, deviation.isFinite else {
          throw BoardError(.badArgument, "start points of \(deviation) rms", address: board.address)
        }
      }
    }

    private mutating func fill() async throws {
      while commands.count < commandsInFlight, sent < run.samples {
        let count = Swift.min(samplesPerCommand, run.samples - sent)
        var request = RunLoop(
          scheduleID: run.scheduleID, samples: count, seed: run.seed, firstSample: run.firstSample + UInt32(sent),
          trajectoryEvery: run.trajectoryEvery, credit: 0, runID: run.runID)
        switch run.start {
        case .preset(let codes): request.preset = Array(codes[2 * sent..<2 * (sent + count)])
        case .board(let deviation): request.startDeviation = deviation
        }
        let stream: ResponseStream<RunResults>
        if commands.isEmpty {
          stream = try await board.stream(request)
        } else if let next = try await board.streamNow(request) {
          stream = next
        } else {
          return
        }
        commands.append(Command(first: sent, count: count, stream: stream, iterator: stream.makeAsyncIterator()))
        sent += count
      }
    }
  }
}
