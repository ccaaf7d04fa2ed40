/// Asks for the board's own books.
public struct GetCounters: WireRequest {
  public typealias Response = Counters
  public init() {}
  public var body: RequestBody { .getCounters(self) }
}

/// The board's own books since boot.
public struct Counters: WireResponse, Hashable {
  public var pulses: Int
  public var reads: Int
  public var setPulses: Int
  public var resetPulses: Int
  public var formingPulses: Int
  /// Operations that failed.
  public var failures: Int
  public var loopRuns: Int
  /// Time in which an operation ran, whole microseconds.
  public var busy: Duration
  /// Frames dropped because their payload check failed.
  public var badFrames: Int
  public var framesReceived: Int
  public var framesSent: Int
  public var watchdogTrips: Int
  public var faults: Faults
  /// Rising edges of the trigger output.
  public var triggers: Int

  public init(
    pulses: Int = 0, reads: Int = 0, setPulses: Int = 0, resetPulses: Int = 0, formingPulses: Int = 0,
    failures: Int = 0, loopRuns: Int = 0, busy: Duration = .zero, badFrames: Int = 0, framesReceived: Int = 0,
    framesSent: Int = 0, watchdogTrips: Int = 0, faults: Faults = [], triggers: Int = 0
  ) {
    self.pulses = pulses
    self.reads = reads
    self.setPulses = setPulses
    self.resetPulses = resetPulses
    self.formingPulses = formingPulses
    self.failures = failures
    self.loopRuns = loopRuns
    self.busy = busy
    self.badFrames = badFrames
    self.framesReceived = framesReceived
    self.framesSent = framesSent
    self.watchdogTrips = watchdogTrips
    self.faults = faults
    self.triggers = triggers
  }

  public init?(_ body: ResponseBody) {
    guard case .counters(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .counters(self) }
}

extension Counters {
  init(_ message: Rram_Board_V1_Counters) throws(WireError) {
    pulses = try count(message.pulses, "counters.pulses")
    reads = try count(message.reads, "counters.reads")
    setPulses = try count(message.setPulses, "counters.set_pulses")
    resetPulses = try count(message.resetPulses, "counters.reset_pulses")
    formingPulses = try count(message.formingPulses, "counters.forming_pulses")
    failures = try count(message.failures, "counters.failures")
    loopRuns = try count(message.loopRuns, "counters.loop_runs")
    busy = .microseconds(message.busyUs)
    badFrames = try count(message.badFrames, "counters.bad_frames")
    framesReceived = try count(message.framesReceived, "counters.frames_received")
    framesSent = try count(message.framesSent, "counters.frames_sent")
    watchdogTrips = try count(message.watchdogTrips, "counters.watchdog_trips")
    faults = Faults(rawValue: message.faults)
    triggers = try count(message.triggers, "counters.triggers")
  }

  func message() throws(WireError) -> Rram_Board_V1_Counters {
    var message = Rram_Board_V1_Counters()
    message.pulses = try wire64(pulses, "counters.pulses")
    message.reads = try wire64(reads, "counters.reads")
    message.setPulses = try wire64(setPulses, "counters.set_pulses")
    message.resetPulses = try wire64(resetPulses, "counters.reset_pulses")
    message.formingPulses = try wire64(formingPulses, "counters.forming_pulses")
    message.failures = try wire64(failures, "counters.failures")
    message.loopRuns = try wire64(loopRuns, "counters.loop_runs")
    message.busyUs = try microseconds(busy, "counters.busy_us")
    message.badFrames = try wire64(badFrames, "counters.bad_frames")
    message.framesReceived = try wire64(framesReceived, "counters.frames_received")
    message.framesSent = try wire64(framesSent, "counters.frames_sent")
    message.watchdogTrips = try wire64(watchdogTrips, "counters.watchdog_trips")
    message.faults = faults.rawValue
    message.triggers = try wire64(triggers, "counters.triggers")
    return message
  }
}
