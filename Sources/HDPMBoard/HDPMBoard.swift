public import RRAMTransport

/// What the board has confirmed by its answers since the line was opened; `nil` where it has confirmed nothing.
///
/// The noise flag and whether a run has begun are in no answer of its firmware.
public struct HDPMState: Sendable, Hashable {
  /// v_bias as told by `D`; it acts at the next `In`.
  public var bias: HDPMSettings.Bias?
  public var offsets: SIMD2<Float>?
  public var coefficient: Float?
  public var noiseScale: Float?
  /// The letter that the answer to `In` repeated; unknown letters are repeated too.
  public var presetEchoed: Character?

  public init() {}
}

/// The driver of the published board: it sends nothing that meets one of the firmware's oddities.
///
/// Full-length commands with CR LF, one at a time, each answer compared byte for byte; silence while a run may be going on; the spacing that
/// makes the board honour a `Go`; `D` before `In`. A board that answers cannot tell whether a run began, and neither does this type.
public actor HDPMBoard {
  /// Times that the firmware dictates, and patience.
  public struct Configuration: Sendable, Hashable {
    /// Nothing is sent for this long after `Go`, nor after the line was opened: a run of another program may be going on. 1.21 s are needed.
    public var silence = Duration.milliseconds(1250)
    /// From one `Go` to the next, and from opening to the first. More than 1000 ticks of 5 ms and up to two turns of the main loop.
    public var spacing = Duration.milliseconds(5020)
    /// A command takes 7 ms to send, up to 10 ms to be seen and 42 ms to be answered, plus what the adapter adds.
    public var answerTime = Duration.milliseconds(500)
    /// How long a queue waits for an adapter that was pulled out.
    public var reconnectTime = Duration.seconds(600)
    public var reconnectInterval = Duration.milliseconds(500)
    /// When the board was powered up, on the driver's clock. With it runs step around the wraps of the tick counter; without it a `Go`
    /// within 5 s after a wrap is lost.
    public var powerUp: Duration?
    /// How well `powerUp` is known.
    public var powerUpMargin = Duration.milliseconds(500)

    public init() {}
  }

  /// 1001 ticks, and one millisecond for rounding: a `Go` that is sent this long after the answer to the one before is honoured however late
  /// the host, the adapter or the board were with that.
  private static let guardTime = Duration.milliseconds(5006)
  /// 242 ticks, one to begin with, and a millisecond.
  private static let runTime = Duration.milliseconds(1216)

  /// The tick counter wraps this often.
  public static let wrapInterval = Duration.seconds(600)

  public let configuration: Configuration
  public nonisolated let clock: any SerialClock
  private let openLine: @Sendable () async throws(TransportError) -> any SerialLine
  private var line: any SerialLine
  private var openedAt: Duration
  /// When the latest `Go` was sent, and when its answer was complete: the board has executed it between the two.
  private var lastGo: Duration?
  private var lastAnswer: Duration?
  private var isSynchronised = false
  private var isBusy = false
  private var settings: HDPMSettings?
  /// What the board has confirmed since the line was opened.
  public private(set) var state = HDPMState()

  /// Opens the board's line; nothing is sent yet.
  ///
  /// - Parameter openLine: opens the line, again after the adapter was pulled out.
  public init(
    clock: any SerialClock, configuration: Configuration = Configuration(),
    openLine: @escaping @Sendable () async throws(TransportError) -> any SerialLine
  ) async throws(TransportError) {
    self.clock = clock
    self.configuration = configuration
    self.openLine = openLine
    line = try await openLine()
    openedAt = clock.now
  }

  public var address: String { line.address }

  /// Ends the line. A run that is going on ends by itself.
  public func close() async { await line.close() }

  /// Tells the board everything it needs for runs of these settings, and compares what it echoes.
  ///
  /// - Throws: ``HDPMError/Code/overflow`` before anything is sent, if a run would write other channels than meant.
  public func configure(_ settings: HDPMSettings) async throws {
    try HDPMSchedule(settings).checkRange()
    let commands = try settings.commands()
    try await exclusively { try await send(commands, of: settings) }
  }

  /// Requests a run and keeps silent until it must have ended.
  ///
  /// Waits before for the spacing that the board needs. That the run began is not confirmed by anything: only the analog outputs show it.
  /// - Returns: time of the `Go` on the driver's clock.
  @discardableResult public func requestRun() async throws -> Duration {
    try await exclusively {
      guard settings != nil else { throw HDPMError(.notConfigured, "\(line.address): a run needs settings first") }
      try await clock.sleep(until: earliestGo)
      let time = try await go()
      try await keepSilent(since: time)
      return time
    }
  }

  /// Earliest time at which the board honours a `Go`, as far as the driver can know.
  public var earliestGo: Duration {
    var guarded = max(openedAt, lastGo ?? openedAt) + configuration.spacing
    if let lastAnswer { guarded = max(guarded, lastAnswer + Self.guardTime) }
    let time = max(guarded, clock.now)
    guard let powerUp = configuration.powerUp else { return time }
    return Self.stepAround(time, powerUp: powerUp, spacing: configuration.spacing, margin: configuration.powerUpMargin)
  }

  /// `time`, or the end of the span behind a wrap of the tick counter in which a `Go` is lost.
  static func stepAround(_ time: Duration, powerUp: Duration, spacing: Duration, margin: Duration) -> Duration {
    let elapsed = time - powerUp + margin
    guard elapsed >= .zero else { return max(time, powerUp + spacing + margin) }
    let wraps = Int64(elapsed / wrapInterval)
    let wrap = powerUp + wrapInterval * Double(wraps)
    return time < wrap + spacing + margin ? wrap + spacing + margin : time
  }

  private func exclusively<R>(_ body: () async throws -> R) async throws -> R {
    guard !isBusy else { throw HDPMError(.busy, "\(line.address): another command is under way") }
    isBusy = true
    defer { isBusy = false }
    return try await body()
  }

  private func send(_ commands: [HDPMCommand], of settings: HDPMSettings) async throws {
    // A run of another program, or one before the adapter came back, may still be going on.
    try await clock.sleep(until: max(openedAt + configuration.silence, runEnd))
    for command in commands {
      try Task.checkCancellation()
      try await exchange(command)
      switch command {
      case .bias(let bias): state.bias = bias
      case .offsets(let a, let b): state.offsets = [HDPMCommand.offset(a), HDPMCommand.offset(b)]
      case .coefficient(let value): state.coefficient = Float(value) / 100
      case .noiseScale(let value): state.noiseScale = Float(value) / 100
      case .load(let preset, _): state.presetEchoed = preset
      case .go: break
      }
    }
    self.settings = settings
  }

  /// Sends a command and compares the answer.
  private func exchange(_ command: HDPMCommand) async throws {
    let answer = try await answer(to: command)
    if answer == command.answer {
      isSynchronised = true
      return
    }
    // The first line may have been completed to something else by bytes that a program before left in the board. It is known to be gone
    // now, so the same once more must do.
    if !isSynchronised {
      isSynchronised = true
      if answer == HDPMCommand.go.answer {
        // What was left there was a Go: a run may have begun.
        lastGo = clock.now
        lastAnswer = clock.now
        try await clock.sleep(until: runEnd)
      }
      let second = try await self.answer(to: command)
      if second == command.answer { return }
      throw Self.mismatch(command, second, on: line.address, configuration)
    }
    throw Self.mismatch(command, answer, on: line.address, configuration)
  }

  private static func mismatch(
    _ command: HDPMCommand, _ answer: [UInt8], on address: String, _ configuration: Configuration
  ) -> HDPMError {
    guard !answer.isEmpty else {
      return HDPMError(
        .silent, "\(address): no answer to '\(command.text)' within \(configuration.answerTime)")
    }
    return HDPMError(
      .wrongAnswer,
      "\(address): '\(command.text)' was answered by \(quoted(answer)), \(quoted(command.answer)) expected")
  }

  /// Bytes as they would stand in a program, at most 60 of them.
  static func quoted(_ bytes: [UInt8]) -> String {
    let text = bytes.prefix(60).map { byte in
      switch byte {
      case 0x0D: "\\r"
      case 0x0A: "\\n"
      case 0x09: "\\t"
      case 0x20...0x7E: String(UnicodeScalar(byte))
      default: "\\x" + String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
      }
    }
    return "\"" + text.joined() + "\"" + (bytes.count > 60 ? "…" : "")
  }

  /// What comes until CR LF, or until the time is up.
  private func answer(to command: HDPMCommand) async throws -> [UInt8] {
    // What lies there belongs to no command of ours.
    _ = try await line.read(until: clock.now)
    try await line.write(command.bytes)
    let deadline = clock.now + configuration.answerTime
    var answer: [UInt8] = []
    while !answer.suffix(2).elementsEqual([0x0D, 0x0A]), answer.count < 4096 {
      let bytes = try await line.read(until: deadline)
      answer += bytes
      if bytes.isEmpty { break }
    }
    return answer
  }

  private func go() async throws -> Duration {
    let time = clock.now
    lastGo = time
    try await exchange(.go)
    lastAnswer = clock.now
    return time
  }

  /// When the latest run, if there was one, must have ended.
  private var runEnd: Duration {
    guard let lastGo else { return openedAt }
    return max(lastGo + configuration.silence, (lastAnswer ?? lastGo) + Self.runTime)
  }

  /// Listens until the run must have ended; the board says nothing then.
  private func keepSilent(since time: Duration) async throws {
    do throws(TransportError) {
      while clock.now < runEnd {
        let bytes = try await line.read(until: runEnd)
        guard bytes.isEmpty else {
          throw TransportError(
            .protocolViolation, "the board said \(Self.quoted(bytes)) during a run", address: line.address)
        }
      }
    } catch {
      guard error.code == .closed else { throw error }
      let elapsed = (clock.now - time).milliseconds
      throw TransportError(
        .closed, "the adapter vanished \(elapsed) ms after Go; the board ends that run by itself",
        address: line.address,
        errno: error.errno)
    }
  }
}

extension HDPMBoard {
  /// What happens in a queue of runs, in this order a run: `progress`, maybe `adapterLost`, then with a scope `captured` or
  /// `missing`; `adapterBack` comes before the next `progress`.
  public enum QueueEvent: Sendable {
    /// So many of all runs are requested; the rest takes this long at least.
    case progress(finished: Int, total: Int, timeLeft: Duration)
    case adapterLost(TransportError)
    case adapterBack(after: Duration)
    /// The capture of a run, in order.
    case captured(run: Int, ScopeCapture)
    /// No capture came for the run that was requested at this time; it is requested again.
    case missing(run: Int)
  }

  /// What a queue of runs came to.
  public struct QueueReport: Sendable {
    /// Runs whose `Go` the board answered. Whether each of them began, it does not say.
    public var requested = 0
    /// Requests without an answer because the adapter vanished; each was repeated.
    public var unanswered = 0
    /// Requests that no capture followed; each was repeated.
    public var missing = 0
    /// One capture a run, in order; empty without a scope.
    public var captures: [ScopeCapture] = []
    public var reconnections = 0
    /// Time from the call to the end of the last run.
    public var duration = Duration.zero
    /// Without scope and without known power-up time: requests that a wrap of the tick counter may have swallowed, at most.
    public var possiblyLost = 0
  }

  /// Requests runs one behind the other at the smallest spacing that the board honours.
  ///
  /// With a scope a run counts once its capture is there; a run without one is requested again, three times in a row at most. The adapter may
  /// be pulled out and put back between runs: the board is configured anew and the queue goes on.
  public func requestRuns(
    _ count: Int, scope: (any ScopeSource)? = nil, onEvent: (QueueEvent) -> Void = { _ in }
  ) async throws -> QueueReport {
    precondition(count >= 0, "\(count) runs")
    return try await exclusively {
      guard let settings else { throw HDPMError(.notConfigured, "\(line.address): a run needs settings first") }
      let begin = clock.now
      var report = QueueReport()
      var finished = 0
      var missesInARow = 0
      var lost: (cause: TransportError, at: Duration)?
      while finished < count {
        if let (cause, time) = lost {
          try await reconnect(settings, cause, since: time, &report, onEvent)
          lost = nil
        }
        let left = earliestGo - clock.now + configuration.spacing * (count - finished - 1) + configuration.silence
        onEvent(.progress(finished: finished, total: count, timeLeft: left))
        var sent = false
        var answered = false
        do {
          try await clock.sleep(until: earliestGo)
          // An adapter that was pulled out since the last run shows here, before anything is sent.
          _ = try await line.read(until: clock.now)
          sent = true
          let time = try await go()
          answered = true
          report.requested += 1
          try await keepSilent(since: time)
        } catch let error as TransportError where error.code == .closed {
          // What was requested goes on without the adapter; it is needed for the next Go only.
          onEvent(.adapterLost(error))
          lost = (error, clock.now)
          if !sent { continue }
          if !answered { report.unanswered += 1 }
        }
        if let scope {
          // The next Go may not come earlier anyway, so a slow scope costs nothing.
          let patience = (lastGo ?? clock.now) + configuration.spacing - .milliseconds(20)
          if let capture = try await scope.next(until: patience) {
            report.captures.append(capture)
            onEvent(.captured(run: finished, capture))
            finished += 1
            missesInARow = 0
          } else {
            onEvent(.missing(run: finished))
            if answered { report.missing += 1 }
            missesInARow += 1
            guard missesInARow < 3 else {
              throw HDPMError(
                .noCapture,
                "\(line.address): \(missesInARow) runs were requested and no capture came; \(finished) of \(count) runs are there"
              )
            }
          }
        } else if answered {
          finished += 1
        }
      }
      onEvent(.progress(finished: count, total: count, timeLeft: .zero))
      report.duration = clock.now - begin
      if scope == nil, configuration.powerUp == nil, count > 0 {
        report.possiblyLost = min(count, Int(report.duration / Self.wrapInterval) + 1)
      }
      return report
    }
  }

  private func reconnect(
    _ settings: HDPMSettings, _ cause: TransportError, since lost: Duration, _ report: inout QueueReport,
    _ onEvent: (QueueEvent) -> Void
  ) async throws {
    let commands = try settings.commands()
    await line.close()
    var latest = cause
    while clock.now - lost < configuration.reconnectTime {
      try await clock.sleep(until: clock.now + configuration.reconnectInterval)
      do {
        line = try await openLine()
        openedAt = clock.now
        isSynchronised = false
        state = HDPMState()
        // The board may have lost its power with the adapter, so it is told everything again.
        try await send(commands, of: settings)
        report.reconnections += 1
        onEvent(.adapterBack(after: clock.now - lost))
        return
      } catch let error as TransportError {
        latest = error
        await line.close()
      }
    }
    throw TransportError(
      .closed, "the adapter vanished and did not come back within \(configuration.reconnectTime)",
      address: latest.address, errno: latest.errno)
  }
}

extension Duration {
  fileprivate var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}
