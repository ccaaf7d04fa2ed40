internal import DequeModule
internal import Logging
internal import RRAMTransport
internal import RRAMUnits
internal import RRAMWire

/// Frames in and out, deadlines and streams of one board: the thin shell around ``RequestTracker``.
///
/// One task reads, one at a time writes, one sleeps until the next deadline. The actor is their only meeting point.
actor BoardLink {
  /// What is kept for whoever waits for the answer to one request.
  private struct Mailbox {
    var messages: Deque<ResponseMessage> = []
    /// Set when no further message will come.
    var end: Result<Void, BoardError>?
    var waiter: CheckedContinuation<Void, Never>?
    /// Nobody waits; the link itself looks at the answer.
    var isHeartbeat = false
  }

  nonisolated let transport: any Transport
  nonisolated var address: String { transport.address }
  private let clock: LinkClock
  private let logger: Logger
  private let configuration: BoardConfiguration
  private let eventSink: AsyncStream<BoardEvent>.Continuation

  private var tracker = RequestTracker()
  private var mailboxes: [UInt32: Mailbox] = [:]
  private var encoder = FrameEncoder(maximumPayloadBytes: HelloResult.leastRequestBytes)
  private var decoder = FrameDecoder(maximumPayloadBytes: HelloResult.leastResponseBytes)
  private var statistics = BoardStatistics()
  private var bus = (roundTrip: Duration.zero, bytesPerSecond: 0)

  private var outbox: [UInt8] = []
  private var isWriting = false
  private var placeWaiters: [(id: UInt64, continuation: CheckedContinuation<Void, Never>)] = []
  private var nextWaiter: UInt64 = 0
  private var isEnergised = false
  private var lastSent = Duration.zero
  private var timer: (target: Duration, task: Task<Void, Never>)?
  private var reader: Task<Void, Never>?
  private var watcher: Task<Void, Never>?
  /// Why nothing can be sent any more.
  private var end: BoardError?

  init(
    transport: any Transport, clock: LinkClock, configuration: BoardConfiguration, logger: Logger,
    eventSink: AsyncStream<BoardEvent>.Continuation
  ) {
    self.transport = transport
    self.clock = clock
    self.configuration = configuration
    self.logger = logger
    self.eventSink = eventSink
  }

  deinit {
    reader?.cancel()
    watcher?.cancel()
    timer?.task.cancel()
  }

  // MARK: life

  func start() {
    let transport = transport
    reader = Task { [weak self] in
      do throws(TransportError) {
        while true {
          let bytes = try await transport.receive()
          guard let self else { return }
          await self.received(bytes)
        }
      } catch {
        await self?.lost(error)
      }
    }
    watcher = Task { [weak self] in
      for await event in transport.events {
        guard let self else { return }
        switch event {
        case .doorbell(let bell): await self.rang(bell)
        case .linkLost(let error): await self.lost(error)
        }
      }
    }
  }

  /// Takes over what the handshake has found.
  func adopt(_ hello: HelloResult) {
    encoder.maximumPayloadBytes = hello.maximumRequestBytes
    // Half an event may be lost with the old decoder; the rest of it is skipped like any damage.
    decoder = FrameDecoder(maximumPayloadBytes: hello.maximumResponseBytes)
    tracker.maximumInFlight = max(1, hello.maximumInFlight)
    bus = (hello.busRoundTrip, hello.busBytesPerSecond)
    if hello.isEnergised { energised() }
  }

  /// Ends all waiting and all tasks; the transport is closed by the caller.
  func stop(_ reason: BoardError) {
    if end == nil { end = reason }
    isEnergised = false
    timer?.task.cancel()
    timer = nil
    fail(tracker.abandonAll()) { BoardError(reason.code, reason.message, address: $0, operationID: $1) }
    releasePlaces()
    reader?.cancel()
    watcher?.cancel()
    eventSink.finish()
  }

  /// What waits now: nothing, once the board is closed.
  var waitingCount: Int {
    mailboxes.values.count { $0.waiter != nil } + placeWaiters.count + tracker.entries.count + (timer == nil ? 0 : 1)
  }

  var currentStatistics: BoardStatistics {
    var result = statistics
    result.modelBus(roundTrip: bus.roundTrip, bytesPerSecond: bus.bytesPerSecond)
    return result
  }

  var bootID: UInt64 { tracker.bootID ?? 0 }

  // MARK: sending

  /// Sends a request as soon as the board has a place for it, and returns its sequence number.
  ///
  /// - Parameters:
  ///   - window: for streams, the frames granted in the request.
  ///   - isUrgent: needs no place: Safe, Abort and questions.
  func send(
    _ body: RequestBody, operationID: UInt64 = 0, limit: Duration, window: Int? = nil, isUrgent: Bool = false
  ) async throws -> UInt32 {
    let sequence = try await sendNow(
      body, operationID: operationID, limit: limit, window: window, isUrgent: isUrgent, waits: true)
    guard let sequence else { throw BoardError(.busy, "no place for \(body.name)", address: address) }
    return sequence
  }

  /// As ``send(_:operationID:limit:window:isUrgent:)``; `nil` if it should not wait and the board has no place.
  func sendNow(
    _ body: RequestBody, operationID: UInt64, limit: Duration, window: Int?, isUrgent: Bool, waits: Bool
  ) async throws -> UInt32? {
    while end == nil, !isUrgent, tracker.isFull {
      guard waits else { return nil }
      try await waitForPlace()
    }
    if let end { throw BoardError(end.code, end.message, address: address, underlying: end.underlying) }
    // No suspension from here on: what is checked and what is recorded belong together.
    let payload: [UInt8]
    do throws(WireError) {
      payload = try RequestMessage(operationID: operationID, body: body).payload()
    } catch {
      throw BoardError(.badArgument, "\(body.name) cannot be sent: \(error)", address: address, underlying: error)
    }
    let wasIdle = tracker.isIdle
    let entry = tracker.begin(
      name: body.name, operationID: operationID, limit: limit, takesPlace: !isUrgent, window: window, now: clock.now())
    do throws(WireError) {
      try encoder.encode(Frame(sequence: entry.sequence, payload: payload), into: &outbox)
    } catch {
      _ = tracker.abandon(entry.sequence)
      throw BoardError(.badArgument, "\(body.name) cannot be sent: \(error)", address: address, underlying: error)
    }
    mailboxes[entry.sequence] = Mailbox()
    statistics.requests += 1
    if wasIdle { statistics.roundTrips += 1 }
    logger.trace("sent", metadata: ["request": "\(body.name)", "sequence": "\(entry.sequence)"])
    countSent(payload.count)
    if body.energises { energised() }
    arm()
    return entry.sequence
  }

  private func countSent(_ payloadBytes: Int) {
    statistics.framesSent += 1
    statistics.bytesSent += payloadBytes + Frame.overheadBytes
    lastSent = clock.now()
    guard !isWriting else { return }
    isWriting = true
    // Keeps the link until its frames have left; close() waits for the Safe frame's answer, not for this task.
    Task { await self.write() }
  }

  /// Gives the transport what has gathered; frames that gather meanwhile leave in one burst.
  private func write() async {
    while !outbox.isEmpty, end == nil {
      var burst: [UInt8] = []
      swap(&burst, &outbox)
      do throws(TransportError) {
        try await transport.send(burst)
      } catch {
        lost(error)
      }
    }
    isWriting = false
  }

  private func grant(_ frames: Int, to sequence: UInt32) {
    guard end == nil else { return }
    do throws(WireError) {
      let message = RequestMessage(body: Credit(sequence: sequence, frames: frames).body)
      let payload = try message.payload()
      try encoder.encode(Frame(sequence: tracker.makeSequence(), payload: payload), into: &outbox)
      countSent(payload.count)
    } catch {
      logger.error("credit cannot be sent", metadata: ["error": "\(error)"])
    }
  }

  private func waitForPlace() async throws {
    nextWaiter += 1
    let id = nextWaiter
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        if Task.isCancelled || end != nil || !tracker.isFull {
          continuation.resume()
        } else {
          placeWaiters.append((id, continuation))
        }
      }
    } onCancel: {
      Task { await self.endWait(id) }
    }
    if Task.isCancelled {
      // A place may have been offered to us: offer it on.
      releasePlaces()
      throw CancellationError()
    }
  }

  private func endWait(_ id: UInt64) {
    guard let index = placeWaiters.firstIndex(where: { $0.id == id }) else { return }
    placeWaiters.remove(at: index).continuation.resume()
  }

  private func releasePlaces() {
    while !placeWaiters.isEmpty, end != nil || !tracker.isFull {
      placeWaiters.removeFirst().continuation.resume()
      if end == nil { return }
    }
  }

  // MARK: answers

  /// The next message for a request; `nil` after its last one.
  ///
  /// - Throws: why no further message will come, or `CancellationError`; the request stays in flight then.
  func next(_ sequence: UInt32) async throws -> ResponseMessage? {
    while true {
      guard var box = mailboxes[sequence] else { return nil }
      if let message = box.messages.popFirst() {
        mailboxes[sequence] = box
        if let frames = tracker.consumed(sequence, now: clock.now()) {
          grant(frames, to: sequence)
          arm()
        }
        return message
      }
      if let end = box.end {
        mailboxes[sequence] = nil
        try end.get()
        return nil
      }
      try Task.checkCancellation()
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          // Looked at once more under the same turn of the actor as the entry is made.
          if let box = mailboxes[sequence], box.messages.isEmpty, box.end == nil, !Task.isCancelled {
            mailboxes[sequence]?.waiter = continuation
          } else {
            continuation.resume()
          }
        }
      } onCancel: {
        Task { await self.wake(sequence) }
      }
    }
  }

  private func wake(_ sequence: UInt32) {
    guard let waiter = mailboxes[sequence]?.waiter else { return }
    mailboxes[sequence]?.waiter = nil
    waiter.resume()
  }

  /// Forgets a request that nobody waits for any more; what still comes for it is late.
  ///
  /// - Returns: whether the board had still to answer.
  @discardableResult
  func abandon(_ sequence: UInt32) -> Bool {
    wake(sequence)
    mailboxes[sequence] = nil
    let wasInFlight = tracker.abandon(sequence) != nil
    releasePlaces()
    return wasInFlight
  }

  private func finish(_ sequence: UInt32, _ result: Result<Void, BoardError>) {
    guard let box = mailboxes[sequence] else { return }
    if box.isHeartbeat {
      mailboxes[sequence] = nil
      return
    }
    if box.end == nil { mailboxes[sequence]?.end = result }
    wake(sequence)
  }

  private func fail(_ entries: [RequestTracker.Entry], _ error: (String, UInt64?) -> BoardError) {
    for entry in entries {
      finish(entry.sequence, .failure(error(address, entry.operationID == 0 ? nil : entry.operationID)))
    }
    if !entries.isEmpty { releasePlaces() }
  }

  // MARK: receiving

  private func received(_ bytes: [UInt8]) {
    guard end == nil else { return }
    statistics.bytesReceived += bytes.count
    for finding in decoder.decode(bytes) {
      switch finding {
      case .frame(let frame):
        statistics.framesReceived += 1
        if frame.sequence == 0 { event(frame) } else { response(frame) }
      case .badPayload(let sequence):
        statistics.badFrames += 1
        logger.warning("a damaged frame was dropped", metadata: ["sequence": "\(sequence)"])
        lose(sequence, .replyLost, "the answer to %@ arrived damaged")
      case .unknownVersion(let version):
        logger.warning("a frame of unknown layout was skipped", metadata: ["version": "\(version)"])
      case .tooLong(let sequence, let length):
        statistics.badFrames += 1
        logger.warning("an overlong frame was skipped", metadata: ["sequence": "\(sequence)", "bytes": "\(length)"])
        lose(sequence, .protocolViolation, "the answer to %@ has \(length) bytes, more than the board may send")
      }
    }
    arm()
  }

  /// Gives up one request; `%@` in the text stands for its name.
  private func lose(_ sequence: UInt32, _ code: BoardError.Code, _ text: String, underlying: (any Error)? = nil) {
    guard let entry = tracker.abandon(sequence) else { return }
    let parts = text.split(separator: "%@", omittingEmptySubsequences: false)
    let message = parts.joined(separator: entry.name)
    fail([entry]) { BoardError(code, message, address: $0, operationID: $1, underlying: underlying) }
  }

  private func saw(bootID: UInt64) -> Bool {
    guard let lost = tracker.saw(bootID: bootID) else { return true }
    statistics.reboots += 1
    isEnergised = false
    logger.error("the board has started anew", metadata: ["unknown operations": "\(lost.count)"])
    fail(lost) { address, operationID in
      BoardError(
        .rebooted, "the board has started anew; what became of the request is unknown", address: address,
        operationID: operationID)
    }
    eventSink.yield(.rebooted)
    return false
  }

  private func response(_ frame: Frame) {
    let message: ResponseMessage
    do throws(WireError) {
      message = try ResponseMessage(payload: frame.payload)
    } catch {
      lose(frame.sequence, .protocolViolation, "the answer to %@ cannot be read: \(error)", underlying: error)
      return
    }
    guard saw(bootID: message.bootID) else { return }
    statistics.boardTime = message.boardTime
    // A status other than ok ends the response, whatever the flag says.
    let isLast = !frame.flags.contains(.more) || message.status != .ok
    switch tracker.arrived(frame.sequence, isLast: isLast, endsEarly: message.status != .ok, now: clock.now()) {
    case .deliver(let isLast):
      if mailboxes[frame.sequence]?.isHeartbeat == true {
        if case .heartbeat(let result)? = message.body { isEnergised = result.isEnergised }
      } else {
        if case .safe(let result)? = message.body, message.status == .ok, result.isGrounded { isEnergised = false }
        mailboxes[frame.sequence]?.messages.append(message)
      }
      if isLast {
        finish(frame.sequence, .success(()))
        releasePlaces()
      } else {
        wake(frame.sequence)
      }
    case .late:
      statistics.lateFrames += 1
    case .unasked:
      statistics.unaskedFrames += 1
      logger.warning("an answer nobody asked for was dropped", metadata: ["sequence": "\(frame.sequence)"])
    case .overrun(let window):
      finish(
        frame.sequence,
        .failure(
          BoardError(
            .protocolViolation, "the board sent more frames than the \(window) it was granted", address: address)))
      releasePlaces()
    }
  }

  private func event(_ frame: Frame) {
    let message: EventMessage
    do throws(WireError) {
      message = try EventMessage(payload: frame.payload)
    } catch {
      // An event of later firmware does not concern us.
      logger.debug("an event was ignored", metadata: ["error": "\(error)"])
      return
    }
    _ = saw(bootID: message.bootID)
    switch message.event {
    case .badFrame(let count):
      statistics.badFramesAtBoard = count
      logger.warning("the board dropped a damaged frame", metadata: ["since boot": "\(count)"])
    case .enteredSafe(let cause):
      isEnergised = false
      logger.notice("the board made itself safe", metadata: ["cause": "\(cause)"])
      eventSink.yield(.enteredSafe(cause))
    case .faultRaised(let faults):
      logger.error("the board reports a fault", metadata: ["faults": "\(faults.rawValue)"])
      eventSink.yield(.faultRaised(faults))
    }
  }

  private func rang(_ bell: Doorbell) {
    if bell.faults != 0 { eventSink.yield(.faultRaised(Faults(rawValue: bell.faults))) }
  }

  private func lost(_ error: TransportError) {
    guard end == nil else { return }
    let reason = BoardError(.linkLost, "the link was lost: \(error.message)", address: address, underlying: error)
    end = reason
    isEnergised = false
    logger.error("the link was lost", metadata: ["error": "\(error)"])
    timer?.task.cancel()
    timer = nil
    fail(tracker.abandonAll()) {
      BoardError(reason.code, reason.message, address: $0, operationID: $1, underlying: error)
    }
    releasePlaces()
    eventSink.yield(.linkLost(error))
  }

  // MARK: time

  private func energised() {
    isEnergised = true
    arm()
  }

  /// Makes sure that a task sleeps until the next deadline or heartbeat, or earlier.
  private func arm() {
    guard end == nil else { return }
    let heartbeat = isEnergised ? lastSent + configuration.heartbeatInterval : nil
    guard let target = [tracker.nextDeadline, heartbeat].compactMap(\.self).min() else { return }
    if let timer {
      if timer.target <= target { return }
      timer.task.cancel()
    }
    let clock = clock
    let task = Task { [weak self] in
      do { try await clock.sleep(target) } catch { return }
      await self?.fired(target)
    }
    timer = (target, task)
  }

  private func fired(_ target: Duration) {
    guard let timer, timer.target == target else { return }
    self.timer = nil
    let now = clock.now()
    let overdue = tracker.expire(now: now)
    statistics.timeouts += overdue.count
    for entry in overdue {
      logger.warning("no answer in time", metadata: ["request": "\(entry.name)", "sequence": "\(entry.sequence)"])
      fail([entry]) { address, operationID in
        BoardError(
          .timedOut, "no answer to \(entry.name) within \(entry.limit)", address: address, operationID: operationID)
      }
    }
    if isEnergised, now >= lastSent + configuration.heartbeatInterval { sendHeartbeat(now: now) }
    arm()
  }

  private func sendHeartbeat(now: Duration) {
    do throws(WireError) {
      let payload = try RequestMessage(body: Heartbeat().body).payload()
      let wasIdle = tracker.isIdle
      let entry = tracker.begin(
        name: "heartbeat", limit: configuration.responseLimit, takesPlace: false, now: now)
      try encoder.encode(Frame(sequence: entry.sequence, payload: payload), into: &outbox)
      mailboxes[entry.sequence] = Mailbox(isHeartbeat: true)
      statistics.heartbeats += 1
      statistics.requests += 1
      if wasIdle { statistics.roundTrips += 1 }
      countSent(payload.count)
    } catch {
      logger.error("a heartbeat cannot be sent", metadata: ["error": "\(error)"])
    }
  }
}

extension RequestBody {
  /// Requests after which a voltage may stand on a line.
  fileprivate var energises: Bool {
    switch self {
    case .form, .pulse, .readCells, .writeVerify, .matrixProduct, .runLoop, .setDAC, .configureLoop: true
    default: false
    }
  }
}
