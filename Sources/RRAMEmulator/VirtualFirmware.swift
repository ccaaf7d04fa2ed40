internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

/// The board's firmware as a state machine: bytes of the host go in, frames come out, and work is done in slices between.
///
/// Not thread-safe: one thread at a time.
final class VirtualFirmware {
  static let version = "rram-emulator 1"

  let chip: Chip
  let bootID: UInt64
  private let board: BoardDescription
  private let serial: String
  private let chipID: String
  private let bootTime: UInt64
  private var decoder: FrameDecoder
  private let encoder: FrameEncoder
  private var session: UInt64 = 0
  private var queue = OperationQueue()
  private var log = OperationLog()
  private var counters = Counters()
  private var trigger = SetTrigger()
  private var reportedBadFrames = 0
  private(set) var eventCount: UInt32 = 0
  private var rungEvents: UInt32 = 0
  private var hasLink = false
  private(set) var faults: Faults = []
  private(set) var isEnergised = false
  private(set) var lastSafeCause = SafeCause.powerOn
  /// Frames to the host that the link has not taken yet.
  private(set) var output = FrameQueue()
  let loop: LoopSequencer?
  private var lines: LineVoltages

  init(chip: Chip, serial: String, chipID: String, bootID: UInt64) {
    self.chip = chip
    board = chip.board
    self.serial = serial
    self.chipID = chipID
    self.bootID = bootID
    bootTime = chip.nanoseconds
    decoder = FrameDecoder(maximumPayloadBytes: chip.board.link.maximumRequestBytes)
    encoder = FrameEncoder(maximumPayloadBytes: chip.board.link.maximumResponseBytes)
    loop = chip.board.closedLoop.map { LoopSequencer($0, board: chip.board, seed: chip.seed) }
    lines = LineVoltages(chip.board)
  }

  /// Chip time since boot.
  var boardTime: Duration { .nanoseconds(Int64(chip.nanoseconds - bootTime)) }
  var queuedOperations: Int { queue.count }
  /// True if a slice would get something done.
  var hasWork: Bool { output.hasRoom && queue.next != nil }
  /// False while answers pile up because the host does not read them: more requests would only add to them.
  var takesInput: Bool { output.hasRoom }

  // MARK: Link

  /// Takes bytes of the host. True if a valid frame was among them, which feeds the watchdog.
  func receive(_ bytes: [UInt8]) -> Bool {
    var fed = false
    for finding in decoder.decode(bytes) {
      switch finding {
      case .frame(let frame):
        fed = true
        counters.framesReceived += 1
        handle(frame)
      case .badPayload: counters.badFrames += 1
      case .tooLong(let sequence, let length):
        guard sequence != 0 else { continue }
        respond(
          sequence, status: .badArgument,
          detail: "a request of \(length) bytes, at most \(board.link.maximumRequestBytes) are taken")
      case .unknownVersion: break
      }
    }
    if counters.badFrames > reportedBadFrames {
      // One event tells of all that came with these bytes: garbage must not make the board talk more than the host did.
      reportedBadFrames = counters.badFrames
      send(event: .badFrame(count: counters.badFrames))
    }
    return fed
  }

  /// A host has attached.
  func linkUp() {
    output.removeAll()
    decoder.reset()
    hasLink = true
  }

  /// The host has gone: its session, its queue and what it has not read end with it.
  func linkLost() {
    hasLink = false
    makeSafe(.linkLost, answering: false)
    session = 0
    output.removeAll()
    decoder.reset()
  }

  /// Ends the session and forgets partial frames, as well as everything ``makeSafe(_:answering:)`` ends.
  func resynchronise() {
    makeSafe(.newSession, answering: false)
    session = 0
    decoder.reset()
  }

  /// Power off.
  func shutDown() {
    makeSafe(.requested)
    save(everything: true)
    chip.close()
  }

  /// Events since this was last asked: the doorbell tells of them.
  func takeEventCount() -> UInt32 {
    defer { rungEvents = eventCount }
    return eventCount &- rungEvents
  }

  var snapshot: Core.Snapshot {
    Core.Snapshot(
      isEnergised: isEnergised, hasSession: session != 0, lastSafeCause: lastSafeCause, operations: queue.count,
      faults: faults)
  }

  func popOutput() {
    counters.framesSent += 1
    output.removeFirst()
  }

  // MARK: Safe state

  /// Ends every operation, grounds the lines, switches the drivers off. Says so if anything changed.
  ///
  /// - Parameter answering: give the ended operations their last frames; not wanted when their session has ended.
  /// - Returns: how many operations were ended.
  @discardableResult
  func makeSafe(_ cause: SafeCause, answering: Bool = true) -> Int {
    let ended = queue.entries
    let changed = isEnergised || !ended.isEmpty
    // The array first: telling the host and the disk can wait.
    isEnergised = false
    lines.ground()
    lastSafeCause = cause
    queue.removeAll()
    for entry in ended {
      end(entry, .aborted, "ended because the board was made safe (cause: \(cause))", answering: answering)
    }
    if cause == .watchdog { counters.watchdogTrips += 1 }
    save(everything: true)
    if changed { send(event: .enteredSafe(cause)) }
    return ended.count
  }

  /// A defect strikes; what the firmware notices at once it reports.
  func suffer(_ fault: HardwareFault) {
    switch fault {
    case .supply:
      raise(.supply)
      makeSafe(.fault)
    case .converterStuck: chip.isConverterStuck = true
    case .cellStuck(let seed): chip.wearOutCell(seed: seed)
    }
  }

  private func raise(_ fault: Faults) {
    guard !faults.contains(fault) else { return }
    faults.insert(fault)
    send(event: .faultRaised(faults))
  }

  // MARK: Requests

  private func handle(_ frame: Frame) {
    // Sequence 0 belongs to events: an answer could not be told from one.
    guard frame.sequence != 0 else {
      counters.badFrames += 1
      return
    }
    let request: RequestMessage
    do {
      request = try RequestMessage(payload: frame.payload)
    } catch {
      let status: Status = error.code == .unknownBody ? .unknownRequest : .badArgument
      respond(frame.sequence, status: status, detail: "\(error)")
      return
    }
    do {
      try execute(request, frame)
    } catch {
      respond(frame.sequence, failure: error)
    }
  }

  private func execute(_ request: RequestMessage, _ frame: Frame) throws(RequestFailure) {
    let sequence = frame.sequence
    if session == 0 {
      switch request.body {
      case .hello, .safe, .heartbeat: break
      case .credit: return
      default: throw RequestFailure(.wrongState, "no session: say Hello first")
      }
    }
    switch request.body {
    case .hello(let hello): try greet(hello, sequence)
    case .getDescription: describe(sequence)
    case .getLimits: respond(sequence, .limits(wireLimits))
    case .safe:
      let ended = makeSafe(.requested)
      respond(sequence, .safe(SafeResult(abortedOperations: ended, isGrounded: true)))
    case .abort(let abort): respond(sequence, .abort(AbortResult(abortedOperations: endOperations(abort.operationID))))
    case .heartbeat:
      respond(
        sequence,
        .heartbeat(
          HeartbeatResult(
            isEnergised: isEnergised, lastSafeCause: lastSafeCause, queuedOperations: queue.count, faults: faults)))
    case .credit(let credit):
      guard let entry = queue[sequence: credit.sequence], let left = entry.credit else { return }
      entry.credit = min(left + credit.frames, Int(Int32.max))
    case .getOperation(let get): respond(sequence, .operation(state(of: get.operationID)))
    case .getCounters:
      counters.faults = faults
      respond(sequence, .counters(counters))
    case .setTrigger(let set):
      trigger = set
      respond(sequence, .setTrigger(SetTriggerResult()))
    case .getLabel(let get): respond(sequence, .label(try chip.label(macro: get.macro)))
    case .advanceTime, .setLabel, .form, .pulse, .cycleCells, .readCells, .writeVerify, .setDAC, .readADC,
      .matrixProduct,
      .configureLoop, .uploadSchedule, .runLoop:
      try enqueue(request, frame)
    }
  }

  private func greet(_ hello: Hello, _ sequence: UInt32) throws(RequestFailure) {
    guard hello.minimumLevel <= ProtocolLevel.current, hello.protocolLevel >= ProtocolLevel.minimum else {
      respond(
        sequence, status: .versionMismatch,
        detail: "the host speaks levels \(hello.minimumLevel) to \(hello.protocolLevel), this firmware "
          + "\(ProtocolLevel.minimum) to \(ProtocolLevel.current)",
        .hello(greeting(level: 0)))
      return
    }
    if hello.sessionID != session {
      makeSafe(.newSession, answering: false)
      session = hello.sessionID
      trigger = SetTrigger()
      loop?.forget()
    }
    respond(sequence, .hello(greeting(level: min(hello.protocolLevel, ProtocolLevel.current))))
  }

  private func greeting(level: Int) -> HelloResult {
    var capabilities: Set<Capability> = [
      .advanceTime, .form, .writeVerify, .matrixProduct, .rawConverters, .writeStrategies, .cycleCells,
      .triggerOutput,
    ]
    if loop != nil { capabilities.formUnion([.closedLoop, .loopNoise, .loopTrajectory, .loopStart]) }
    if board.closedLoop?.loopback != nil { capabilities.insert(.converterLoopback) }
    return HelloResult(
      protocolLevel: level, firmwareVersion: Self.version, serial: serial, board: String(board.name.prefix(32)),
      chipID: chipID, chipProfile: chip.profile.name, capabilities: capabilities,
      maximumRequestBytes: board.link.maximumRequestBytes, maximumResponseBytes: board.link.maximumResponseBytes,
      maximumInFlight: board.link.maximumInFlight, maximumScheduleTicks: board.closedLoop?.maximumTicks ?? 0,
      watchdog: board.link.watchdog, isEnergised: isEnergised, isEmulated: true, busRoundTrip: board.link.roundTrip,
      busBytesPerSecond: Int(board.link.bytesPerSecond), chipTimeAtBoot: .nanoseconds(Int64(bootTime)))
  }

  private func describe(_ sequence: UInt32) {
    let document = Array(board.document.utf8)
    let pageSize = board.link.maximumResponseBytes - Self.responseOverhead
    var first = 0
    repeat {
      let page = Array(document[first..<min(first + pageSize, document.count)])
      let isLast = first + page.count == document.count
      respond(
        sequence, isLast: isLast,
        .description(DescriptionPage(firstIndex: first, total: document.count, page: page)))
      first += page.count
    } while first < document.count
  }

  private var wireLimits: WireLimits {
    let limits = chip.limits
    return WireLimits(
      isPresent: chip.profile.limits != nil, wordLine: limits.wordLine, bitLine: limits.bitLine,
      sourceLine: limits.sourceLine, forming: limits.forming, read: limits.read, pulseWidth: limits.pulseWidth,
      pulsesPerRequest: limits.pulsesPerRequest, conductance: limits.conductance, slew: limits.slew,
      current: limits.current, pulseEnergy: limits.pulseEnergy, power: limits.power, resistance: limits.resistance,
      disturb: limits.disturb, pulsesPerRun: limits.pulsesPerRun, pulsesPerLife: limits.pulsesPerLife,
      temperature: limits.temperature)
  }

  // MARK: Operations

  private func enqueue(_ request: RequestMessage, _ frame: Frame) throws(RequestFailure) {
    let id = request.operationID
    if id != 0, log[id] != nil {
      respond(frame.sequence, .operation(state(of: id)))
      return
    }
    guard queue.count < board.link.maximumInFlight else {
      throw RequestFailure(.busy, "\(queue.count) operations wait or run, as many as the queue holds")
    }
    let entry = QueuedOperation(
      sequence: frame.sequence, operationID: id, operation: try operation(request), requestBytes: frame.payload.count,
      credit: request.body.credit)
    if id != 0 {
      let account = entry.operation.account
      log.insert(OperationLog.Entry(id: id, state: .queued, account: account))
    }
    queue.append(entry)
  }

  private func operation(_ request: RequestMessage) throws(RequestFailure) -> any Operation {
    let frameBytes = board.link.maximumResponseBytes - Self.responseOverhead
    switch request.body {
    case .advanceTime(let advance): return try chip.advanceOperation(advance)
    case .setLabel(let set): return try chip.labelOperation(set)
    case .form(let form): return try FormOperation(form, chip, frameBytes: frameBytes)
    case .pulse(let pulse): return try PulseOperation(pulse, chip, frameBytes: frameBytes)
    case .cycleCells(let cycle): return try CycleOperation(cycle, chip, frameBytes: frameBytes)
    case .readCells(let read): return try ReadOperation(read, chip, frameBytes: frameBytes)
    case .writeVerify(let write): return try write.operation(chip, frameBytes: frameBytes)
    case .setDAC(let set): return try lines.setOperation(set, chip, loop) { [unowned self] in lines[$0] = $1 }
    case .readADC(let read):
      return try lines.readOperation(read, chip, loop) { [unowned self] in lines }
    case .matrixProduct(let product): return try MatrixProductOperation(product, chip, frameBytes: frameBytes)
    case .configureLoop(let configuration):
      let loop = try requireLoop()
      return try loop.configureOperation(configuration, chip)
    case .uploadSchedule(let upload):
      let loop = try requireLoop()
      return try loop.uploadOperation(upload)
    case .runLoop(let run):
      let loop = try requireLoop()
      // Network and schedule are those of its turn: the requests before it may still change them.
      return DeferredOperation(macros: .all, total: run.samples) { chip throws(RequestFailure) in
        try RunLoopOperation(run, loop, chip, frameBytes: frameBytes)
      }
    default: throw RequestFailure(.unknownRequest, "\(request.body.name) is no operation")
    }
  }

  private func requireLoop() throws(RequestFailure) -> LoopSequencer {
    guard let loop else { throw RequestFailure(.unsupported, "board \(board.name) has no closed loop") }
    return loop
  }

  /// Does one step of the next operation that may go on.
  func work() {
    guard output.hasRoom, let entry = queue.next else { return }
    if entry.waiting == nil { advance(entry) }
    flush(entry)
  }

  /// Ends an operation as failed.
  private func fail(_ entry: QueuedOperation, _ failure: RequestFailure) {
    queue.remove(entry)
    if failure.status == .failed { counters.failures += 1 }
    // A driver that does what the firmware never asked for: nothing may go on with it.
    if failure.isFault { raise(.converter) }
    end(entry, failure.status, failure.detail, refusal: failure.refusal)
    if failure.isFault { makeSafe(.fault) }
  }

  private func advance(_ entry: QueuedOperation) {
    if !entry.hasStarted {
      entry.hasStarted = true
      log.update(entry.operationID) { $0.state = .running }
      if entry.operation.energises { isEnergised = true }
    }
    let before = chip.nanoseconds
    let booksBefore = chip.books
    defer {
      entry.chipNanoseconds += chip.nanoseconds - before
      count(chip.books, since: booksBefore, busy: chip.nanoseconds - before)
      let account = entry.operation.account
      log.update(entry.operationID) { $0.account = account }
    }
    do {
      switch try entry.operation.step(chip) {
      case .working: break
      case .part(let body): entry.waiting = (body, false)
      case .finished(let body): entry.waiting = (body, true)
      }
    } catch {
      fail(entry, error)
    }
  }

  private func count(_ books: CellBooks, since before: CellBooks, busy nanoseconds: UInt64) {
    counters.pulses += books.pulses - before.pulses
    counters.reads += books.reads - before.reads
    counters.setPulses += books.setPulses - before.setPulses
    counters.resetPulses += books.resetPulses - before.resetPulses
    counters.formingPulses += books.formingPulses - before.formingPulses
    counters.loopRuns += books.loopRuns - before.loopRuns
    if trigger.pulses { counters.triggers += books.pulses - before.pulses }
    if trigger.runs { counters.triggers += books.loopRuns - before.loopRuns }
    counters.busy += .nanoseconds(Int64(nanoseconds))
  }

  /// Sends the waiting frame if credit allows.
  private func flush(_ entry: QueuedOperation) {
    guard let (body, isLast) = entry.waiting, entry.credit != 0 else { return }
    guard isLast else {
      entry.waiting = nil
      // What a host hears of cells is on disk, and where a run began: a chip that dies now must not know less than its host.
      let tells =
        switch body {
        case .cellResults(let results): results.count + results.indices.count > 0
        case .runResults: true
        default: false
        }
      if tells, let failure = save() {
        fail(entry, RequestFailure(.failed, "\(failure)"))
        return
      }
      if let credit = entry.credit { entry.credit = credit - 1 }
      entry.sentBytes += respond(entry.sequence, isLast: false, body)
      return
    }
    queue.remove(entry)
    entry.waiting = nil
    let answer = response(body)
    if entry.operationID != 0 { chip.advance(busTime(entry, answerBytes: answer.count + Frame.overheadBytes)) }
    // On disk before anyone hears of it.
    if let failure = save() {
      counters.failures += 1
      log.update(entry.operationID) { $0.state = .failed }
      respond(entry.sequence, status: .failed, detail: "\(failure)", body)
      return
    }
    log.update(entry.operationID) { $0.state = .done }
    send(answer, sequence: entry.sequence, more: false)
  }

  /// Chip time that passes because the chip waits for the bus: a round trip, and what of the transfer took longer than the
  /// work itself.
  ///
  /// It depends on the requests alone, not on when a host happens to send them, so that a run can be repeated.
  private func busTime(_ entry: QueuedOperation, answerBytes: Int) -> Duration {
    let link = board.link
    guard link.bytesPerSecond > 0 else { return link.roundTrip }
    let bytes = Double(entry.requestBytes + Frame.overheadBytes + entry.sentBytes + answerBytes)
    let transfer = bytes / link.bytesPerSecond - Double(entry.chipNanoseconds) * 1e-9
    return link.roundTrip + .seconds(max(0, transfer))
  }

  /// Says what an operation that has left the queue came to, credit or not.
  private func end(
    _ entry: QueuedOperation, _ status: Status, _ detail: String, refusal: Refusal? = nil, answering: Bool = true
  ) {
    log.update(entry.operationID) { $0.state = status == .aborted ? .aborted : .failed }
    save()
    guard answering else { return }
    var parts = entry.waiting.map { [$0.body] } ?? []
    if entry.waiting?.isLast != true { parts += entry.operation.partialResults() }
    // What exceeds the grant is not sent; the frame that ends the response always is.
    for part in parts.dropLast().prefix(entry.credit ?? parts.count) { respond(entry.sequence, isLast: false, part) }
    respond(entry.sequence, status: status, detail: detail, refusal: refusal, parts.last)
  }

  private func endOperations(_ id: UInt64) -> Int {
    let ended = queue.entries.filter { id == 0 || $0.operationID == id }
    for entry in ended {
      queue.remove(entry)
      end(entry, .aborted, "ended by Abort")
    }
    return ended.count
  }

  private func state(of id: UInt64) -> OperationState {
    guard let entry = log[id] else { return OperationState(operationID: id, state: .unknown) }
    let account = entry.account
    return OperationState(
      operationID: id, state: entry.state, finished: account.finished, total: account.total, pulses: account.pulses,
      reads: account.reads)
  }

  // MARK: Storage

  /// Writes what changed to the state file; the reason if that failed, which is also raised as a fault.
  @discardableResult
  private func save(everything: Bool = false) -> EmulatorError? {
    do {
      try chip.save(everything: everything)
      return nil
    } catch {
      raise(.storage)
      return error
    }
  }

  // MARK: Frames

  /// Bytes of a response besides its bulk data, generously: boot id, time, status, detail, counts, tags, lengths.
  static let responseOverhead = 512

  @discardableResult
  private func respond(
    _ sequence: UInt32, isLast: Bool = true, status: Status = .ok, detail: String = "", refusal: Refusal? = nil,
    _ body: ResponseBody? = nil
  ) -> Int {
    send(response(status: status, detail: detail, refusal: refusal, body), sequence: sequence, more: !isLast)
  }

  @discardableResult
  private func respond(_ sequence: UInt32, _ body: ResponseBody) -> Int { respond(sequence, isLast: true, body) }

  private func response(
    status: Status = .ok, detail: String = "", refusal: Refusal? = nil, _ body: ResponseBody?
  ) -> [UInt8] {
    let message = ResponseMessage(
      bootID: bootID, boardTime: boardTime, status: status, detail: detail, refusal: refusal, body: body)
    do {
      return try message.payload()
    } catch {
      let failure = ResponseMessage(
        bootID: bootID, boardTime: boardTime, status: .failed, detail: "the answer cannot be written: \(error)")
      return (try? failure.payload()) ?? []
    }
  }

  private func respond(_ sequence: UInt32, failure: RequestFailure) {
    respond(sequence, status: failure.status, detail: failure.detail, refusal: failure.refusal)
  }

  private func send(event: WireEvent) {
    eventCount &+= 1
    let message = EventMessage(bootID: bootID, boardTime: boardTime, event: event)
    // Whoever attaches later asks for counters and state; events are for those who are there.
    guard hasLink, let payload = try? message.payload() else { return }
    send(payload, sequence: 0, more: false)
  }

  @discardableResult
  private func send(_ payload: [UInt8], sequence: UInt32, more: Bool) -> Int {
    guard hasLink,
      let bytes = try? encoder.encode(Frame(flags: more ? .more : [], sequence: sequence, payload: payload))
    else { return 0 }
    output.append(bytes)
    return bytes.count
  }
}

extension RequestBody {
  /// Frames granted with the request; `nil` if its answer is not a stream.
  fileprivate var credit: Int? {
    switch self {
    case .form(let form): form.credit
    case .writeVerify(let write): write.credit
    case .runLoop(let run): run.credit
    default: nil
    }
  }
}

/// Frames that wait for the link, with a bound above which the firmware makes no more.
struct FrameQueue {
  /// Enough for one response of the largest size and for what must be said at once.
  private static let capacityBytes = 256 * 1024
  private var frames: [[UInt8]] = []
  private var index = 0
  private(set) var bytes = 0

  var isEmpty: Bool { index == frames.count }
  var hasRoom: Bool { bytes < Self.capacityBytes }
  var first: [UInt8]? { index < frames.count ? frames[index] : nil }

  mutating func append(_ frame: [UInt8]) {
    frames.append(frame)
    bytes += frame.count
  }

  mutating func removeFirst() {
    bytes -= frames[index].count
    frames[index] = []
    index += 1
    if index == frames.count { removeAll() }
  }

  mutating func removeAll() {
    frames.removeAll(keepingCapacity: true)
    index = 0
    bytes = 0
  }
}
