internal import RRAMUnits

/// The firmware of the published board as a state machine: bytes and time in, answers and converter words out.
///
/// Time is the board's own since boot and never goes back. Written after the behaviour in `protocols/hdpm-serial.md`; what is not
/// published and assumed here: the values right after boot other than v_bias, `O` acts at once, a run begins at the first tick
/// after `Go` is executed.
public struct HDPMFirmware: Sendable {
  /// A run that the board has made.
  public struct Run: Sendable {
    /// Counted from 0 since boot.
    public var number: Int
    /// Board time of the first tick.
    public var begin: Duration
    /// v_bias of its first tick.
    public var bias: HDPMSettings.Bias
    /// Words in the order they were written, 18 a tick, the closing tick included.
    public var words: [HDPMSchedule.Word]
    /// Codes of the channels at the end of every tick.
    public var played: [[Int]]
    /// `In` came in mid-run and drove the converters' pins too: the words are then not what they saw.
    public var disturbed: Bool
  }

  /// Time of the main loop's pause.
  static let pollInterval: Int64 = 10_000_000
  static let tickInterval: Int64 = 5_000_000
  /// 10 bits at 9600 baud, in ns.
  static let byteInterval: Int64 = 1_041_667
  /// More than this many ticks must lie between runs.
  public static let guardTicks = 1000
  /// The tick counter starts again here: 10 minutes.
  public static let wrapTicks = 120_000

  public private(set) var settings: HDPMSettings
  private let presets: [HDPMPreset]
  private let noiseSeed: UInt64
  private var pendingBias: HDPMSettings.Bias
  private var line = FirmwareLine()
  private var converters = HDPMConverters()

  private var now: Int64 = 0
  private var nextPoll = HDPMFirmware.pollInterval
  /// The main loop prints until then.
  private var busyUntil: Int64?
  private var nextTick = HDPMFirmware.tickInterval
  private var received: [(due: Int64, byte: UInt8)] = []
  private var receivedFirst = 0
  private var lastReceived: Int64 = 0
  private var sending: [(due: Int64, byte: UInt8)] = []
  /// Tick counter at the last accepted `Go`, 0 since boot or wrap.
  private var guardSince = 0
  private var wraps = 0
  private var runRequested = false
  private var current: Run?
  private var runTime: Float = 0
  private var runTick = 0
  private var runsBegun = 0
  private var finished: [Run] = []

  /// Powers the board up.
  ///
  /// - Parameters:
  ///   - presets: what the firmware holds; the published ones unless a lab has built its own.
  ///   - noiseSeed: of the noise on channels 9C and 9D; the real board's generator is not published.
  public init(presets: [HDPMPreset] = HDPMPreset.all, noiseSeed: UInt64 = 0) {
    precondition(!presets.isEmpty, "the firmware has presets")
    self.presets = presets
    self.noiseSeed = noiseSeed
    settings = HDPMSettings(preset: presets[0])
    pendingBias = settings.bias
  }

  /// True while a run drives the converters.
  public var isRunning: Bool { current != nil || runRequested }

  /// Board time.
  public var time: Duration { .nanoseconds(now) }

  /// The next time at which something happens, if anything is going on.
  public var nextEvent: Duration? {
    let times = [nextStep, sending.first?.due].compactMap { $0 }
    return times.min().map { .nanoseconds($0) }
  }

  /// Runs that have ended since the last call.
  public mutating func takeFinishedRuns() -> [Run] {
    defer { finished = [] }
    return finished
  }

  /// Puts bytes on the board's line at the present time; they arrive one by one at 9600 baud.
  public mutating func receive(_ bytes: [UInt8]) {
    for byte in bytes {
      lastReceived = max(lastReceived, now) + Self.byteInterval
      received.append((lastReceived, byte))
    }
  }

  /// Lets board time pass to `time` and returns the bytes that have left the board meanwhile.
  public mutating func advance(to time: Duration) -> [UInt8] {
    let parts = time.components
    let end = parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000
    while let step = nextStep, step <= end {
      now = step
      if receivedFirst < received.count, received[receivedFirst].due == step {
        line.receive(received[receivedFirst].byte)
        receivedFirst += 1
        if receivedFirst == received.count {
          received.removeAll(keepingCapacity: true)
          receivedFirst = 0
        }
        if line.isComplete, busyUntil == nil, nextPoll < step {
          // The polls between found nothing and were not played.
          nextPoll += (step - nextPoll + Self.pollInterval - 1) / Self.pollInterval * Self.pollInterval
        }
      } else if busyUntil == step {
        busyUntil = nil
        line.release()
        nextPoll = step + Self.pollInterval
      } else if isRunning, nextTick == step {
        tick()
      } else {
        let answer = execute(line.buffer)
        for (index, byte) in answer.enumerated() {
          sending.append((step + Int64(index + 1) * Self.byteInterval, byte))
        }
        busyUntil = step + Int64(answer.count) * Self.byteInterval
      }
    }
    now = max(now, end)
    let sent = sending.prefix { $0.due <= now }
    sending.removeFirst(sent.count)
    return sent.map { $0.byte }
  }

  /// Time of the next thing that changes the state; `nil` while nothing is going on.
  private var nextStep: Int64? {
    var step: Int64?
    func earlier(_ time: Int64) -> Int64 { min(time, step ?? time) }
    if receivedFirst < received.count { step = earlier(received[receivedFirst].due) }
    if let busyUntil { step = earlier(busyUntil) } else if line.isComplete { step = earlier(nextPoll) }
    if isRunning { step = earlier(nextTick) }
    return step
  }

  /// True if a run may begin; the guard then starts anew.
  private mutating func passGuard() -> Bool {
    let ticks = Int(now / Self.tickInterval)
    let counter = ticks % Self.wrapTicks
    // Behind a wrap the last accepted `Go` counts as made at 0: again more than 1000 ticks are needed.
    if ticks / Self.wrapTicks != wraps {
      wraps = ticks / Self.wrapTicks
      guardSince = 0
    }
    guard counter - guardSince > Self.guardTicks else { return false }
    guardSince = counter
    return true
  }

  /// One interrupt of the timer during a run.
  private mutating func tick() {
    nextTick += Self.tickInterval
    if runRequested {
      runRequested = false
      runTime = 0
      runTick = 0
      current = Run(
        number: runsBegun, begin: .nanoseconds(now), bias: settings.bias, words: [], played: [], disturbed: false)
      runsBegun += 1
    }
    guard var run = current else { return }
    // The copy in `current` would make every append copy the words.
    current = nil
    let frame: [HDPMSchedule.Word]
    if runTick < HDPMSchedule.activeTicks {
      let block = Philox4x32.block(
        seed: noiseSeed, UInt32(truncatingIfNeeded: run.number), UInt32(runTick), 0, 0x4844_504D)
      let normals = Philox4x32.normals(block)
      frame = HDPMSchedule.frame(
        tick: runTick, t: runTime, settings, noise: SIMD2(Float(normals.0), Float(normals.1)))
      runTime = HDPMSchedule.next(runTime)
    } else {
      frame = HDPMSchedule.closingFrame(after: run.words.suffix(HDPMSchedule.wordsPerTick), settings)
    }
    for word in frame { converters.write(word) }
    run.words += frame
    run.played.append(converters.played)
    runTick += 1
    if runTick > HDPMSchedule.activeTicks {
      finished.append(run)
    } else {
      current = run
    }
  }

  private mutating func execute(_ b: [UInt8]) -> [UInt8] {
    // Nothing is checked to be a digit: a byte counts as its value − 48.
    func digit(_ index: Int) -> Int { Int(b[index]) - 48 }
    func hundredths(_ index: Int, _ count: Int) -> Float {
      Float((index..<index + count).reduce(0) { $0 * 10 + digit($1) }) / 100
    }
    switch (b[0], b[1]) {
    case (UInt8(ascii: "I"), UInt8(ascii: "n")):
      if let preset = presets.first(where: { $0.name.asciiValue == b[2] }) { settings.preset = preset }
      if b[3] == UInt8(ascii: "0") { settings.noise = false }
      if b[3] == UInt8(ascii: "1") { settings.noise = true }
      settings.bias = pendingBias
      current?.disturbed = true
      return FirmwareText.type(b[2])
    case (UInt8(ascii: "G"), UInt8(ascii: "o")):
      if passGuard() {
        runRequested = true
        nextTick = (now / Self.tickInterval + 1) * Self.tickInterval
      }
      return [0x0D, 0x0A]
    case (UInt8(ascii: "O"), _):
      settings.offsets = SIMD2(hundredths(1, 2) - 0.5, hundredths(3, 2) - 0.5)
      return FirmwareText.offsets(settings.offsets)
    case (UInt8(ascii: "C"), _):
      let value = hundredths(1, 3)
      if value > 0, value < 10 { settings.coefficient = value }
      return FirmwareText.coefficient(settings.coefficient)
    case (UInt8(ascii: "D"), _):
      if let bias = HDPMSettings.Bias(rawValue: digit(1)) { pendingBias = bias }
      return FirmwareText.bias(pendingBias.value)
    case (UInt8(ascii: "N"), _):
      settings.noiseScale = hundredths(1, 3)
      return FirmwareText.noiseScale(settings.noiseScale)
    default:
      return []
    }
  }
}
