internal import FoundationEssentials
public import RRAMUnits

/// Runs the loop once a sample: preset, all ticks of the schedule, read-out.
public struct RunLoop: StreamingRequest {
  public typealias Response = RunResults

  public var scheduleID: UInt32
  public var samples: Int
  /// Codes of the preset converter, `[sample][2]`; empty if the board draws them.
  public var preset: [UInt16]
  /// Noise of sample k is drawn for (seed, firstSample + k): see `protocols/framing.md`.
  public var seed: UInt64
  public var firstSample: UInt32
  /// Read x every so many ticks as well; 0: only at the end.
  public var trajectoryEvery: Int
  public var credit: Int
  /// Standard deviation, at the preset converter, of start points that the board draws; 0: they are in ``preset``.
  public var startDeviation: Volts
  /// Commands with one number other than 0 are one run.
  public var runID: UInt64

  public init(
    scheduleID: UInt32, samples: Int, preset: [UInt16] = [], seed: UInt64, firstSample: UInt32 = 0,
    trajectoryEvery: Int = 0, credit: Int, startDeviation: Volts = .zero, runID: UInt64 = 0
  ) {
    self.startDeviation = startDeviation
    self.runID = runID
    self.scheduleID = scheduleID
    self.samples = samples
    self.preset = preset
    self.seed = seed
    self.firstSample = firstSample
    self.trajectoryEvery = trajectoryEvery
    self.credit = credit
  }

  public var body: RequestBody { .runLoop(self) }
}

/// What left its range during a run.
public struct OverRange: OptionSet, Sendable, Hashable {
  public var rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let rowClamp = OverRange(rawValue: 1 << 0)
  public static let amplifierRail = OverRange(rawValue: 1 << 1)
  public static let integratorRail = OverRange(rawValue: 1 << 2)
  public static let noiseClamp = OverRange(rawValue: 1 << 3)
  public static let readOutSaturated = OverRange(rawValue: 1 << 4)
  /// A start point that the board drew lay beyond the preset converter and was set to its end.
  public static let presetClamped = OverRange(rawValue: 1 << 5)
}

/// Part of the answer to ``RunLoop``: ``count`` samples from `firstIndex` on.
public struct RunResults: WireResponse, Hashable {
  public var firstIndex: Int
  /// Codes of the read-out converter, `[sample][2]`.
  public var x: [UInt16]
  /// One a sample.
  public var overRange: [OverRange]
  /// Codes, `[sample][point][2]`; empty unless asked for.
  public var trajectory: [UInt16]
  /// Time spent in the three phases, of the whole command so far; whole nanoseconds.
  public var presetTime: Duration
  public var loopTime: Duration
  public var conversionTime: Duration
  /// Codes of the preset converter, `[sample][2]`, where the board drew the start points; empty otherwise.
  public var start: [UInt16]

  public init(
    firstIndex: Int, x: [UInt16], overRange: [OverRange], trajectory: [UInt16] = [], presetTime: Duration,
    loopTime: Duration, conversionTime: Duration, start: [UInt16] = []
  ) {
    self.firstIndex = firstIndex
    self.start = start
    self.x = x
    self.overRange = overRange
    self.trajectory = trajectory
    self.presetTime = presetTime
    self.loopTime = loopTime
    self.conversionTime = conversionTime
  }

  /// Samples in this part.
  public var count: Int { overRange.count }

  public init?(_ body: ResponseBody) {
    guard case .runResults(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .runResults(self) }
}

extension RunLoop {
  init(_ message: Rram_Board_V1_RunLoop) throws(WireError) {
    scheduleID = message.scheduleID
    samples = Int(message.samples)
    startDeviation = Volts(Double(message.startDeviationV))
    runID = message.runID
    preset = try unpack(message.preset, count: startDeviation > .zero ? 0 : 2 * samples, "run_loop.preset")
    seed = message.seed
    firstSample = message.firstSample
    trajectoryEvery = Int(message.trajectoryEvery)
    credit = Int(message.credit)
    try checkSamples()
  }

  func message() throws(WireError) -> Rram_Board_V1_RunLoop {
    try checkSamples()
    var message = Rram_Board_V1_RunLoop()
    message.scheduleID = scheduleID
    message.samples = try wire32(samples, "run_loop.samples")
    message.startDeviationV = Float(startDeviation.rawValue)
    message.runID = runID
    try check(preset, count: startDeviation > .zero ? 0 : 2 * samples, "run_loop.preset")
    message.preset = pack(preset)
    message.seed = seed
    message.firstSample = firstSample
    message.trajectoryEvery = try wire32(trajectoryEvery, "run_loop.trajectory_every")
    message.credit = try wire32(credit, "run_loop.credit")
    return message
  }

  private func checkSamples() throws(WireError) {
    guard startDeviation.rawValue >= 0, startDeviation.isFinite else {
      throw WireError(.outOfRange, field: "run_loop.start_deviation_v", "\(startDeviation) is no standard deviation")
    }
    // Noise is drawn for a 32-bit sample number; one that wrapped would repeat the noise of another sample.
    guard samples >= 1, samples <= Int(UInt32.max) - Int(firstSample) + 1 else {
      throw WireError(.outOfRange, field: "run_loop.samples", "\(samples) samples from number \(firstSample)")
    }
  }
}

extension RunResults {
  init(_ message: Rram_Board_V1_RunResults) throws(WireError) {
    let count = Int(message.count)
    firstIndex = Int(message.firstIndex)
    x = try unpack(message.x, count: 2 * count, "run_results.x")
    let bits: [UInt8] = try unpack(message.overRange, count: count, "run_results.over_range")
    overRange = bits.map(OverRange.init(rawValue:))
    trajectory = try unpack(message.trajectory, count: nil, "run_results.trajectory")
    start = try unpackOptional(message.start, count: 2 * count, "run_results.start")
    presetTime = .nanoseconds(message.presetNs)
    loopTime = .nanoseconds(message.loopNs)
    conversionTime = .nanoseconds(message.conversionNs)
    try checkTrajectory()
  }

  func message() throws(WireError) -> Rram_Board_V1_RunResults {
    try check(x, count: 2 * count, "run_results.x")
    try checkTrajectory()
    var message = Rram_Board_V1_RunResults()
    message.firstIndex = try wire32(firstIndex, "run_results.first_index")
    message.count = try wire32(count, "run_results.count")
    message.x = pack(x)
    message.overRange = pack(overRange.map(\.rawValue))
    message.trajectory = pack(trajectory)
    try check(start, count: 2 * count, orEmpty: true, "run_results.start")
    message.start = pack(start)
    message.presetNs = try nanoseconds(presetTime, "run_results.preset_ns")
    message.loopNs = try nanoseconds(loopTime, "run_results.loop_ns")
    message.conversionNs = try nanoseconds(conversionTime, "run_results.conversion_ns")
    return message
  }

  private func checkTrajectory() throws(WireError) {
    guard trajectory.isEmpty || (count > 0 && trajectory.count % (2 * count) == 0) else {
      throw WireError(
        .wrongLength, field: "run_results.trajectory",
        "\(trajectory.count) codes are no whole number of points for each of \(count) samples")
    }
  }
}
