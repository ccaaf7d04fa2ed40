public import Logging
public import RRAMProfiles
public import RRAMTransport
public import RRAMWire

/// A test board with RRAM macros, reached over a ``RRAMTransport/Transport``.
///
/// Several requests may be under way at once; the board keeps their order per macro. Every method that would exceed a limit
/// throws before anything is sent. Close it with ``close()``, or use ``withBoard(_:clock:configuration:logger:_:)``, which makes the board
/// safe on every way out.
public actor Board {
  public nonisolated let info: BoardInfo
  /// The board's periphery as it describes itself.
  public nonisolated let boardDescription: BoardDescription
  /// The strictest of the board's limits and those of the configuration.
  public nonisolated var limits: ChipLimits { check.limits }
  public nonisolated let check: LimitCheck
  /// The records of which ``limits`` are the strictest.
  public nonisolated let limitRecords: [LimitRecord]
  /// What the board says unasked; the newest are kept for one consumer.
  public nonisolated let events: AsyncStream<BoardEvent>
  public nonisolated let sessionID: UInt64
  /// Corrects reads and targets, where there is one.
  public nonisolated let calibration: ReadCalibration?
  /// What mapping, sampling and calibrating take the loop's gains from, where there is one that was measured with ``calibration`` in force.
  public nonisolated let loopCalibration: LoopCalibration?
  /// One that was measured with other corrections of the reads in force, so that it does not hold; nil if there is none.
  public nonisolated let staleLoopCalibration: LoopCalibration?
  /// Corrects what the converters of the closed loop play and read out, where there is one.
  public nonisolated let lineCalibration: ConverterLineCalibration?
  nonisolated let configuration: BoardConfiguration
  nonisolated let link: BoardLink
  nonisolated let logger: Logger
  private var lastOperationID: UInt64
  private var isClosed = false
  var book: PulseBook
  /// The boot with which this session was opened.
  var greetedBoot: UInt64

  public nonisolated var address: String { info.address }
  /// How often work goes on after a lost answer; see ``BoardConfiguration/retries``.
  public nonisolated var retries: Int { configuration.retries }

  private init(
    info: BoardInfo, boardDescription: BoardDescription, check: LimitCheck, limitRecords: [LimitRecord],
    events: AsyncStream<BoardEvent>, sessionID: UInt64, calibration: ReadCalibration?, ofLoop: LoopCalibration?,
    lineCalibration: ConverterLineCalibration?, configuration: BoardConfiguration, link: BoardLink, logger: Logger
  ) {
    self.calibration = calibration
    self.lineCalibration = lineCalibration
    let holds = ofLoop?.readCalibration == calibration?.id
    loopCalibration = holds ? ofLoop : nil
    staleLoopCalibration = holds ? nil : ofLoop
    self.info = info
    self.boardDescription = boardDescription
    self.check = check
    self.limitRecords = limitRecords
    book = PulseBook(shape: boardDescription.macros.shape)
    greetedBoot = info.bootID
    self.events = events
    self.sessionID = sessionID
    self.configuration = configuration
    self.link = link
    self.logger = logger
    lastOperationID = sessionID
  }

  /// Opens a session: says hello, compares protocol levels, reads the description and the limits.
  ///
  /// The board makes itself safe at the hello. If anything fails, the transport is closed.
  /// - Parameters:
  ///   - clock: measures deadlines and heartbeats.
  /// - Throws: ``BoardError`` with `versionMismatch`, `badDescription`, `timedOut`, `linkLost` or `protocolViolation`.
  public static func open(
    _ transport: any Transport, clock: some Clock<Duration> = ContinuousClock(),
    configuration: BoardConfiguration = BoardConfiguration(), logger: Logger = Logger(label: "rram.board")
  ) async throws -> Board {
    var logger = logger
    logger[metadataKey: "board"] = "\(transport.address)"
    // Old events are dropped, the loss of the link is the last and stays.
    let (events, sink) = AsyncStream.makeStream(of: BoardEvent.self, bufferingPolicy: .bufferingNewest(64))
    let link = BoardLink(
      transport: transport, clock: LinkClock(clock), configuration: configuration, logger: logger, eventSink: sink)
    await link.start()
    do {
      return try await handshake(link, events: events, configuration: configuration, logger: logger)
    } catch {
      await link.stop(BoardError(.closed, "the board could not be opened", address: transport.address))
      await transport.close()
      throw error
    }
  }

  private static func handshake(
    _ link: BoardLink, events: AsyncStream<BoardEvent>, configuration: BoardConfiguration, logger: Logger
  ) async throws -> Board {
    let address = link.address
    let limit = configuration.openLimit
    let sessionID = configuration.sessionID ?? BoardConfiguration.randomSessionID()
    let hello = try await answer(Hello(sessionID: sessionID, client: configuration.client), link, limit)
    guard hello.protocolLevel >= ProtocolLevel.minimum, hello.protocolLevel <= ProtocolLevel.current else {
      throw versionMismatch(hello, address: address)
    }
    guard hello.maximumRequestBytes >= HelloResult.leastRequestBytes,
      hello.maximumResponseBytes >= HelloResult.leastResponseBytes, hello.maximumInFlight >= 1
    else {
      throw BoardError(
        .protocolViolation,
        "the board takes \(hello.maximumInFlight) requests of \(hello.maximumRequestBytes) bytes and answers with "
          + "\(hello.maximumResponseBytes), at least 1, \(HelloResult.leastRequestBytes) and "
          + "\(HelloResult.leastResponseBytes) belong", address: address)
    }
    await link.adopt(hello)
    let info = BoardInfo(hello, bootID: await link.bootID, address: address)
    let description = try await description(link, limit)
    let reported = try await answer(GetLimits(), link, limit)
    // The host counts pulses, so permitting more wear opens the board's record as well; its voltages stay its own.
    var wear = LimitAllowance()
    wear.wear = configuration.allowance.wear
    var records = [LimitRecord(.board, ChipLimits(reported).opened(by: wear))]
    if var own = try configuration.chipLimits?(info) {
      own.limits = own.limits.opened(by: configuration.allowance)
      records.append(own)
    }
    var limits = ChipLimits.strictest(of: records.map(\.limits))
    if !configuration.allowance.wear, let own = try configuration.pulsesPerLife?(info) {
      limits.pulsesPerLife = min(limits.pulsesPerLife ?? own, own)
    }
    let check = LimitCheck(
      limits: limits, macros: description.macros, drivers: description.drivers, address: address)
    let calibration = try configuration.readCalibration?(info, description)
    if let calibration, let obstacle = calibration.obstacle(of: info.chipID, on: info.serial, description) {
      throw BoardError(
        .badArgument, "calibration \(calibration.id) of the read chain \(obstacle)", address: address)
    }
    let ofLoop = try configuration.loopCalibration?(info, description)
    if let ofLoop, let obstacle = ofLoop.obstacle(of: info.chipID, on: info.serial, description) {
      throw BoardError(.badArgument, "calibration \(ofLoop.id) of the loop \(obstacle)", address: address)
    }
    let lineCalibration = try configuration.lineCalibration?(info, description)
    if let lineCalibration, let obstacle = lineCalibration.obstacle(on: info.serial, description) {
      throw BoardError(
        .badArgument, "calibration \(lineCalibration.id) of the loop's converters \(obstacle)", address: address)
    }
    if let trigger = configuration.trigger {
      guard info.capabilities.contains(.triggerOutput) else {
        throw BoardError(.unsupported, "the board has no trigger output", address: address)
      }
      _ = try await answer(trigger, link, limit)
    }
    logger.debug("open", metadata: ["serial": "\(info.serial)", "firmware": "\(info.firmwareVersion)"])
    return Board(
      info: info, boardDescription: description, check: check, limitRecords: records, events: events,
      sessionID: sessionID, calibration: calibration, ofLoop: ofLoop, lineCalibration: lineCalibration,
      configuration: configuration, link: link, logger: logger)
  }

  private static func versionMismatch(_ hello: HelloResult, address: String) -> BoardError {
    BoardError(
      .versionMismatch,
      "the firmware \(hello.firmwareVersion) speaks protocol levels \(hello.firmwareMinimumLevel) to "
        + "\(hello.firmwareMaximumLevel), this host \(ProtocolLevel.minimum) to \(ProtocolLevel.current)",
      address: address)
  }

  /// The one answer to a request of the handshake.
  private static func answer<R: WireRequest>(
    _ request: R, _ link: BoardLink, _ limit: Duration
  ) async throws -> R.Response {
    let sequence = try await link.send(request.body, limit: limit)
    let name = request.body.name
    do {
      guard let message = try await link.next(sequence) else {
        throw BoardError(.protocolViolation, "no answer to \(name)", address: link.address)
      }
      if message.status == .versionMismatch, case .hello(let hello)? = message.body {
        throw versionMismatch(hello, address: link.address)
      }
      guard message.status == .ok else {
        throw BoardError(message, request: name, address: link.address, operationID: nil)
      }
      let response: R.Response = try message.response()
      guard try await link.next(sequence) == nil else {
        throw BoardError(.protocolViolation, "more than one answer to \(name)", address: link.address)
      }
      return response
    } catch let error as WireError {
      throw BoardError(
        .protocolViolation, "the answer to \(name) does not belong to it: \(error)", address: link.address,
        underlying: error)
    } catch {
      await link.abandon(sequence)
      throw error
    }
  }

  private static func description(_ link: BoardLink, _ limit: Duration) async throws -> BoardDescription {
    let address = link.address
    let request = GetDescription()
    let sequence = try await link.send(request.body, limit: limit)
    let token = StreamToken(
      link: link, sequence: sequence, operationID: 0, name: request.body.name, abortLimit: limit)
    var document: [UInt8] = []
    for try await page in ResponseStream<DescriptionPage>(operationID: 0, token: token) {
      guard page.firstIndex == document.count, page.total <= 1 << 20, document.count + page.page.count <= page.total
      else {
        throw BoardError(.protocolViolation, "the pages of the board description do not join", address: address)
      }
      document += page.page
    }
    do throws(ProfileError) {
      return try BoardDescription(
        yaml: String(decoding: document, as: UTF8.self), file: "board description of \(address)")
    } catch {
      throw BoardError(
        .badDescription, "the board description cannot be used: \(error)", address: address, underlying: error)
    }
  }

  // MARK: requests

  /// A new operation id: never used twice by a host.
  func makeOperationID() -> UInt64 {
    lastOperationID &+= 1
    if lastOperationID == 0 { lastOperationID = 1 }
    return lastOperationID
  }

  /// Sends any request that is answered by one frame, and waits for the answer. Limits are not checked here, only by the board.
  ///
  /// - Parameter limit: silence after which it counts as lost; `nil`: the configuration's.
  ///
  /// Where that changes nothing it is asked again after a lost answer (``BoardConfiguration/retries``).
  public func exchange<R: WireRequest>(_ request: R, limit: Duration? = nil) async throws -> R.Response {
    guard request.body.isIdempotent, !request.body.isHello else { return try await exchangeOnce(request, limit: limit) }
    return try await asking { try await $0.exchangeOnce(request, limit: limit) }
  }

  private func exchangeOnce<R: WireRequest>(_ request: R, limit: Duration?) async throws -> R.Response {
    var result: R.Response?
    for try await response in try await responses(request, limit: limit) {
      guard result == nil else {
        throw BoardError(.protocolViolation, "more than one answer to \(request.body.name)", address: address)
      }
      result = response
    }
    guard let result else {
      throw BoardError(.protocolViolation, "no answer to \(request.body.name)", address: address)
    }
    return result
  }

  /// Sends any request whose answer may take several frames. Limits are not checked here, only by the board.
  public func responses<R: WireRequest>(_ request: R, limit: Duration? = nil) async throws -> ResponseStream<R.Response>
  {
    try await open(request, body: request.body, limit: limit, window: nil)
  }

  /// Sends a request that streams, with credit for `window` frames that is renewed as the consumer takes them.
  ///
  /// The request's own credit is replaced by the window. Limits are not checked here, only by the board.
  public func stream<R: StreamingRequest>(
    _ request: R, window: Int? = nil, limit: Duration? = nil
  ) async throws -> ResponseStream<R.Response> {
    var request = request
    let window = max(1, window ?? configuration.streamWindow)
    request.credit = window
    return try await open(request, body: request.body, limit: limit, window: window)
  }

  /// As ``stream(_:window:limit:)``, but `nil` if the board has no place now.
  ///
  /// Whoever keeps several streams open must not wait for a place while it does not take from them: two such consumers would
  /// wait for each other.
  func streamNow<R: StreamingRequest>(_ request: R) async throws -> ResponseStream<R.Response>? {
    var request = request
    request.credit = max(1, configuration.streamWindow)
    return try await openNow(request, body: request.body, limit: nil, window: request.credit, waits: false)
  }

  private func open<R: WireRequest>(
    _ request: R, body: RequestBody, limit: Duration?, window: Int?
  ) async throws -> ResponseStream<R.Response> {
    guard let stream = try await openNow(request, body: body, limit: limit, window: window, waits: true) else {
      throw BoardError(.busy, "no place for \(body.name)", address: address)
    }
    return stream
  }

  private func openNow<R: WireRequest>(
    _: R, body: RequestBody, limit: Duration?, window: Int?, waits: Bool
  ) async throws -> ResponseStream<R.Response>? {
    let operationID = body.needsOperationID ? makeOperationID() : 0
    let sequence = try await link.sendNow(
      body, operationID: operationID, limit: limit ?? configuration.responseLimit, window: window,
      isUrgent: body.isUrgent, waits: waits)
    guard let sequence else { return nil }
    return ResponseStream(
      operationID: operationID,
      token: StreamToken(
        link: link, sequence: sequence, operationID: operationID, name: body.name, abortLimit: configuration.safeLimit))
  }

  /// What crossed the link so far.
  public var statistics: BoardStatistics {
    get async { await link.currentStatistics }
  }

  /// The board's clock at its latest answer, since its boot; on an emulated board the chip's virtual time.
  public var boardTime: Duration {
    get async { await statistics.boardTime }
  }

  // MARK: the way out

  /// Makes the board safe and ends the session.
  ///
  /// First by a frame; if that is not answered in time, by a control request. Further calls do nothing.
  /// - Throws: `notSafe` if neither went through; the session has ended all the same.
  public func close() async throws {
    guard !isClosed else { return }
    isClosed = true
    let (link, configuration, address) = (link, configuration, address)
    // The caller's cancellation must not keep the array under voltage.
    let failure = await Task { () -> BoardError? in
      let failure = await Self.makeSafe(link, limit: configuration.safeLimit)
      await link.stop(BoardError(.closed, "the board was closed", address: address))
      await link.transport.close()
      return failure
    }.value
    if let failure { throw failure }
  }

  static func makeSafe(_ link: BoardLink, limit: Duration) async -> BoardError? {
    do {
      let sequence = try await link.send(Safe().body, limit: limit, isUrgent: true)
      while let message = try await link.next(sequence) {
        if message.status == .ok, case .safe(let result)? = message.body, result.isGrounded { return nil }
      }
    } catch {
      // The frame did not get through; the control request does not depend on frames.
    }
    do throws(TransportError) {
      _ = try await link.transport.control(.safe)
      return nil
    } catch {
      return BoardError(
        .notSafe, "the board could not be made safe: \(error.message)", address: link.address, underlying: error)
    }
  }
}

extension RequestBody {
  fileprivate var isHello: Bool {
    if case .hello = self { true } else { false }
  }

  /// Handled by the board at once, before anything queued: needs none of its places.
  fileprivate var isUrgent: Bool {
    switch self {
    case .hello, .safe, .abort, .heartbeat, .credit, .getDescription, .getLimits, .getOperation, .getCounters,
      .getLabel:
      true
    default: false
    }
  }
}

extension ChipLimits {
  /// The board's record; without one, reads up to the voltage it names, at most ``ChipLimits/readOnly``.
  init(_ wire: WireLimits) {
    guard wire.isPresent else {
      self = .readOnly
      read = min(read, wire.read)
      bitLine = min(bitLine, wire.read)
      return
    }
    self.init(
      wordLine: wire.wordLine, bitLine: wire.bitLine, sourceLine: wire.sourceLine, forming: wire.forming,
      read: wire.read, pulseWidth: wire.pulseWidth, pulsesPerRequest: wire.pulsesPerRequest,
      conductance: wire.conductance, slew: wire.slew, current: wire.current, pulseEnergy: wire.pulseEnergy,
      power: wire.power, resistance: wire.resistance, disturb: wire.disturb, pulsesPerRun: wire.pulsesPerRun,
      pulsesPerLife: wire.pulsesPerLife, temperature: wire.temperature)
  }
}

/// Opens a board for the time of `body`, and makes it safe on every way out.
///
/// If `body` throws, its error is thrown, whatever closing says. If the task is cancelled, what is under way is aborted and
/// the board made safe before `CancellationError` is thrown.
public func withBoard<Result: Sendable>(
  _ transport: any Transport, clock: some Clock<Duration> = ContinuousClock(),
  configuration: BoardConfiguration = BoardConfiguration(), logger: Logger = Logger(label: "rram.board"),
  _ body: (Board) async throws -> Result
) async throws -> Result {
  let board = try await Board.open(transport, clock: clock, configuration: configuration, logger: logger)
  let result: Result
  do {
    result = try await body(board)
  } catch {
    do {
      try await board.close()
    } catch let closing {
      logger.error("closing failed as well", metadata: ["error": "\(closing)"])
    }
    throw error
  }
  try await board.close()
  return result
}
