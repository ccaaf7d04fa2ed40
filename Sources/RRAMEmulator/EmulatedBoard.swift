internal import Glibc
public import RRAMProfiles
public import RRAMTransport
internal import RRAMUnits
internal import RRAMWire

/// An emulated board with a chip in its socket: attach it to an ``InMemoryLink`` or serve it on a socket.
///
/// The virtual firmware runs on a thread of its own, in slices of at most a few milliseconds between which it looks at
/// abort, safe state and credit. Out-of-band requests are answered from whatever thread asks.
public final class EmulatedBoard: DeviceEndpoint, Sendable {
  /// How a board is made.
  public struct Configuration: Sendable {
    /// Names the die: the same profile, board and seed have the same cells.
    public var seed: UInt64
    /// Where the chip is kept between runs; `nil` keeps it in memory only.
    public var stateFile: String?
    /// Time for the watchdog.
    public var clock: LinkClock
    /// Drawn at random at each boot unless given.
    public var bootID: UInt64?
    /// Threads the closed loop may use; nothing but speed depends on it.
    public var threads: Int
    /// How the closed loop is integrated.
    public var loop: LoopSolution
    /// °C at which the chip stands while this board is on, in ``temperatureRange``; `nil`: the profile's reference temperature.
    public var temperature: Double?

    /// What an oven and the board's sensor reach, °C.
    public static let temperatureRange = 0.0...200.0

    public init(
      seed: UInt64 = 0, stateFile: String? = nil, clock: LinkClock = .monotonic, bootID: UInt64? = nil,
      threads: Int = EmulatedBoard.availableThreads, loop: LoopSolution = LoopSolution(), temperature: Double? = nil
    ) {
      self.seed = seed
      self.stateFile = stateFile
      self.clock = clock
      self.bootID = bootID
      self.threads = threads
      self.loop = loop
      self.temperature = temperature
    }
  }

  /// How the closed loop of an emulated board is integrated: finer or closer to the cells than needed, to see what it changes.
  public struct LoopSolution: Sendable, Hashable {
    /// Where the noise of a run's length and below acts.
    public enum Noise: String, Sendable, Hashable, CaseIterable {
      /// One process an output, with the variance of its cells.
      case outputs
      /// One process a weight.
      case cells
    }

    /// Least Heun steps of a run, in ``stepRange``; whole ticks each.
    public var steps: Int
    public var noise: Noise

    /// Beyond it a slice of work would keep the board from looking at abort.
    public static let stepRange = 1...10_000

    public init(steps: Int = 200, noise: Noise = .outputs) {
      self.steps = steps
      self.noise = noise
    }
  }

  /// Processors this machine offers.
  public static var availableThreads: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

  /// As the board's USB descriptor would say it: `EMU-` and the seed in hexadecimal.
  public let serial: String
  /// Names the chip for the host's records: `EMU-PROFILE-SEED`.
  public let chipID: String
  public let bootID: UInt64
  let core: Core

  /// Powers a board up; it is in its safe state.
  ///
  /// - Throws: ``EmulatorError`` if the state file is held by another process, is damaged, was written by a newer version, or
  ///   belongs to another profile, board or seed.
  public init(
    profile: ChipProfile, board: BoardDescription, configuration: Configuration = Configuration()
  ) throws(EmulatorError) {
    let seed = configuration.seed
    serial = Self.serial(seed: seed)
    chipID = Self.chipID(profile: profile.name, seed: seed)
    bootID = configuration.bootID ?? UInt64.random(in: 1 ... .max)
    let chip = try Chip(
      profile: profile, board: board, seed: seed, statePath: configuration.stateFile,
      threads: max(1, configuration.threads), loop: configuration.loop)
    chip.setTemperature(celsius: configuration.temperature)
    let firmware = VirtualFirmware(chip: chip, serial: serial, chipID: chipID, bootID: bootID)
    core = Core(bootID: bootID, clock: configuration.clock, watchdog: board.link.watchdog)
    // The thread is the only one that touches the firmware from here on.
    let runner = Runner(firmware: firmware, core: core)
    let rc = startThread { runner.run() }
    guard rc == 0 else {
      chip.close()
      throw EmulatorError(.system, "cannot start the board's thread (errno \(rc))")
    }
  }

  deinit { core.stop() }

  /// The ``serial`` of a board that is made from a seed.
  public static func serial(seed: UInt64) -> String { "EMU-" + String(seed, radix: 16) }

  /// At most 32 bytes: the decimal seed where it fits, else a shortened profile and the hexadecimal seed.
  private static func chipID(profile: String, seed: UInt64) -> String {
    let plain = "EMU-\(profile)-\(seed)"
    return plain.utf8.count <= 32 ? plain : "EMU-\(profile.prefix(10))-x\(String(seed, radix: 16))"
  }

  /// Switches the board off: grounds the lines, writes the state file and releases it. Returns when that is done.
  public func close() async { await core.close() }

  // MARK: DeviceEndpoint

  public func linkUp(_ link: DeviceLink) { core.post(.up(link)) }

  public func linkLost() { core.post(.lost) }

  public func control(_ request: ControlRequest, data: [UInt8]) throws(TransportError) -> [UInt8] {
    core.control(request)
  }

  public func bytesWaiting() { core.wake() }

  public func roomAvailable() { core.wake() }
}

/// What the board's thread and everyone else share.
final class Core: Sendable {
  enum Message {
    case up(DeviceLink)
    case lost
    case safe
    case resync
    case inject(HardwareFault)
  }

  /// What an out-of-band request can be answered with.
  struct Snapshot {
    var isEnergised = false
    var hasSession = false
    var lastSafeCause = SafeCause.powerOn
    var operations = 0
    var faults: Faults = []
  }

  struct State {
    var messages: [Message] = []
    var link: DeviceLink?
    var isWoken = false
    var isStopping = false
    var hasEnded = false
    var lastFed = Duration.zero
    var snapshot = Snapshot()
    var closers: [CheckedContinuation<Void, Never>] = []
  }

  let clock: LinkClock
  let watchdog: Duration
  private let bootID: UInt64
  let state: Monitor<State>

  init(bootID: UInt64, clock: LinkClock, watchdog: Duration) {
    self.bootID = bootID
    self.clock = clock
    self.watchdog = watchdog
    state = Monitor(State())
  }

  func wake() { state.withLock { $0.isWoken = true } }

  func post(_ message: Message) {
    state.withLock { s in
      switch message {
      case .up(let link): s.link = link
      case .lost: s.link = nil
      case .safe, .resync, .inject: break
      }
      s.messages.append(message)
      s.isWoken = true
    }
  }

  /// The next bytes of the host, unless something happened that comes before them.
  ///
  /// Under the lock: what a host sends after a control request was answered must be seen after that request.
  func read(_ link: DeviceLink) -> [UInt8]? {
    state.withLock { $0.messages.isEmpty ? link.read() : nil }
  }

  func control(_ request: ControlRequest) -> [UInt8] {
    let now = clock.now
    let bootID = bootID
    return state.withLock { s in
      switch request {
      case .safe, .resync:
        if !s.hasEnded { s.messages.append(request == .safe ? .safe : .resync) }
        // The switches open at once, whatever the firmware is at; it ends its operations at the next look.
        s.snapshot.isEnergised = false
        s.snapshot.lastSafeCause = request == .safe ? .requested : .newSession
        s.snapshot.operations = 0
        if request == .resync {
          s.snapshot.hasSession = false
          // What has come so far belongs to the frames that are to be forgotten.
          while let link = s.link, link.read() != nil {}
        }
        s.lastFed = now
        s.isWoken = true
        return []
      case .status:
        s.lastFed = now
        let now = s.snapshot
        return BoardStatus(
          isEnergised: now.isEnergised, isGrounded: !now.isEnergised, hasSession: now.hasSession,
          lastSafeCause: now.lastSafeCause, operations: now.operations, faults: now.faults, bootID: bootID
        ).bytes
      }
    }
  }

  func stop() {
    state.withLock {
      $0.isStopping = true
      $0.isWoken = true
    }
  }

  func close() async {
    await withCheckedContinuation { continuation in
      let ended = state.withLock { s in
        s.isStopping = true
        s.isWoken = true
        if !s.hasEnded { s.closers.append(continuation) }
        return s.hasEnded
      }
      if ended { continuation.resume() }
    }
  }
}

/// The board's thread.
///
/// `@unchecked Sendable`: made on one thread and handed to the board's thread, which alone uses it from then on.
private final class Runner: @unchecked Sendable {
  /// Longest work between two looks at what others want.
  private static let slice = Duration.milliseconds(4)
  /// How often an energised board looks at the watchdog when nothing else happens.
  private static let watchdogInterval = Duration.milliseconds(20)

  private let firmware: VirtualFirmware
  private let core: Core
  private var link: DeviceLink?

  init(firmware: VirtualFirmware, core: Core) {
    self.firmware = firmware
    self.core = core
  }

  func run() {
    var isBusy = false
    while true {
      let limit: Duration? = isBusy ? .zero : firmware.isEnergised ? Self.watchdogInterval : nil
      _ = core.state.wait(atMost: limit) { $0.isWoken ? true : nil }
      let (messages, stops) = core.state.withLock { s in
        defer {
          s.messages = []
          s.isWoken = false
        }
        return (s.messages, s.isStopping)
      }
      if stops { break }
      for message in messages { take(message) }
      var more = readLink()
      checkWatchdog()
      more = work() || more
      writeLink()
      publish()
      isBusy = more || firmware.hasWork
    }
    end()
  }

  private func take(_ message: Core.Message) {
    switch message {
    case .up(let link):
      self.link = link
      firmware.linkUp()
    case .lost:
      firmware.linkLost()
      link = nil
    case .safe: firmware.makeSafe(.requested)
    case .resync: firmware.resynchronise()
    case .inject(let fault): firmware.suffer(fault)
    }
  }

  /// True if more bytes may wait.
  private func readLink() -> Bool {
    guard let link, firmware.takesInput, let bytes = core.read(link) else { return false }
    if firmware.receive(bytes) {
      let now = core.clock.now
      core.state.withLock { $0.lastFed = now }
    }
    return true
  }

  private func checkWatchdog() {
    guard firmware.isEnergised else { return }
    let now = core.clock.now
    let fed = core.state.withLock { $0.lastFed }
    if now - fed > core.watchdog { firmware.makeSafe(.watchdog) }
  }

  private func work() -> Bool {
    guard firmware.hasWork else { return false }
    let start = ContinuousClock.now
    repeat {
      firmware.work()
      writeLink()
    } while firmware.hasWork && ContinuousClock.now - start < Self.slice && !core.state.withLock { $0.isWoken }
    return firmware.hasWork
  }

  private func writeLink() {
    // Who has read an answer must not get an older state from an out-of-band request.
    if firmware.output.first != nil { publish() }
    guard let link else { return }
    while let frame = firmware.output.first, link.tryWrite(frame) { firmware.popOutput() }
    let events = firmware.takeEventCount()
    if events > 0 {
      link.ring(
        Doorbell(
          eventCount: firmware.eventCount, faults: firmware.faults.rawValue,
          boardTimeMicroseconds: UInt64(max(0, firmware.boardTime.seconds * 1e6))))
    }
  }

  private func publish() {
    let snapshot = firmware.snapshot
    core.state.withLock { s in
      // A request that came meanwhile has grounded the board; what the firmware thinks is older.
      let isPending = s.messages.contains {
        switch $0 {
        case .safe, .resync: true
        case .up, .lost, .inject: false
        }
      }
      if !isPending { s.snapshot = snapshot }
    }
  }

  private func end() {
    firmware.shutDown()
    writeLink()
    publish()
    let closers = core.state.withLock { s in
      s.hasEnded = true
      defer { s.closers = [] }
      return s.closers
    }
    for closer in closers { closer.resume() }
  }
}
