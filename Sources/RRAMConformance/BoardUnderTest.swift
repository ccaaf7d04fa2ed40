internal import RRAMProfiles
internal import RRAMTransport
internal import RRAMUnits
internal import RRAMWire

/// A host that may break every rule of the protocol, and keeps book of what the board does.
///
/// Sends what it is told, good or bad; every wait has a deadline. Not for several tasks at once.
final class BoardUnderTest {
  let options: Conformance.Options
  private let connect: () async throws -> any Transport
  private var transport: any Transport
  private var inbox = Inbox()
  private var pump: Task<Void, Never>?
  private let encoder = FrameEncoder(maximumPayloadBytes: 1 << 24)
  private var nextSequence: UInt32 = 0
  private var nextOperation = UInt64.random(in: 1 << 32...1 << 62)
  private var nextSession = UInt64.random(in: 1 << 32...1 << 62)
  private var frames: [Frame] = []
  private var events: [EventMessage] = []
  private var link: TransportError?

  var address: String { transport.address }
  private(set) var session: UInt64 = 0
  private(set) var hello: HelloResult
  private(set) var description: BoardDescription?
  private(set) var limits: WireLimits?
  private(set) var observed = Observations()

  /// What must hold for everything a board sends, whatever it is asked.
  struct Observations {
    var bootIDs: Set<UInt64> = []
    var latest = Duration.zero
    var asked: Set<UInt32> = []
    /// Number of frames seen, and what was wrong with them, first come first.
    var frames = 0
    var longest = 0
    var timeWentBack: String?
    var unsolicited: String?
    var broken: String?
    var detail: String?
  }

  init(options: Conformance.Options, connect: @escaping () async throws -> any Transport) async throws {
    self.options = options
    self.connect = connect
    hello = HelloResult.none
    transport = try await connect()
    listen()
  }

  private func listen() {
    let transport = transport
    let inbox = inbox
    pump = Task {
      // Larger than any board may send: what is over its own limit is a finding, not garbage.
      var decoder = FrameDecoder(maximumPayloadBytes: 1 << 24)
      do throws(TransportError) {
        while true {
          for finding in decoder.decode(try await transport.receive()) { await inbox.put(.finding(finding)) }
        }
      } catch {
        await inbox.put(.ended(error))
      }
    }
  }

  /// Ends the link and opens a new one, as after a pulled cable.
  func reconnect() async throws {
    await close()
    inbox = Inbox()
    (frames, events, link) = ([], [], nil)
    transport = try await connect()
    listen()
  }

  /// Interrupts the bus and opens a new link; what the board said of itself in between.
  func interrupt(_ interruption: BusInterruption) async throws -> BoardStatus {
    guard let bus = transport as? any InterruptibleTransport, bus.interruptions.contains(interruption) else {
      throw CheckEnd.skipped("the host cannot \(interruption.rawValue) what carries the bytes here")
    }
    let status = try BoardStatus(bytes: try await bus.interrupt(interruption))
    try await reconnect()
    return status
  }

  func close() async {
    await transport.close()
    await pump?.value
  }

  // MARK: A known state

  /// Ends whatever a check left behind and opens a new session.
  func start() async throws {
    if link != nil { try await reconnect() }
    _ = try await control(.resync)
    // The answer to a number that was never used before: what comes until then belongs to the check before.
    session = newSession()
    let sequence = try await send(.hello(Hello(sessionID: session, client: "conformance")))
    let answer = try await last(sequence)
    try expect(answer.status == .ok, "Hello is answered \(answer.status): \(answer.detail)")
    hello = try answer.response()
    frames.removeAll()
    events.removeAll()
    if description == nil { try await readPapers() }
  }

  private func readPapers() async throws {
    var document: [UInt8] = []
    for answer in try await responses(to: send(.getDescription(GetDescription()))) {
      try expect(answer.status == .ok, "GetDescription is answered \(answer.status): \(answer.detail)")
      let page: DescriptionPage = try answer.response()
      try expect(
        page.firstIndex == document.count,
        "a page of the description begins at byte \(page.firstIndex), \(document.count) bytes were there")
      document += page.page
    }
    description = try BoardDescription(yaml: String(decoding: document, as: UTF8.self), file: "the board's description")
    limits = try await request(GetLimits())
  }

  func newSession() -> UInt64 {
    nextSession += 1
    return nextSession
  }

  func newOperation() -> UInt64 {
    nextOperation += 1
    return nextOperation
  }

  // MARK: Sending

  /// A frame as it should be.
  func frame(_ payload: [UInt8], sequence: UInt32? = nil, flags: Frame.Flags = []) throws -> [UInt8] {
    let number = sequence ?? takeSequence()
    observed.asked.insert(number)
    return try encoder.encode(Frame(flags: flags, sequence: number, payload: payload))
  }

  func takeSequence() -> UInt32 {
    nextSequence += 1
    return nextSequence
  }

  func send(bytes: [UInt8]) async throws { try await within("send \(bytes.count) bytes") { try await $0.send(bytes) } }

  /// Sends a payload, message or not; returns its sequence number.
  @discardableResult
  func send(payload: [UInt8], sequence: UInt32? = nil, flags: Frame.Flags = []) async throws -> UInt32 {
    let number = sequence ?? takeSequence()
    try await send(bytes: frame(payload, sequence: number, flags: flags))
    return number
  }

  @discardableResult
  func send(_ body: RequestBody, id: UInt64? = nil, sequence: UInt32? = nil) async throws -> UInt32 {
    try await send(payload: payload(body, id: id), sequence: sequence)
  }

  func payload(_ body: RequestBody, id: UInt64? = nil) throws -> [UInt8] {
    try RequestMessage(operationID: id ?? (body.needsOperationID ? newOperation() : 0), body: body).payload()
  }

  func control(_ request: ControlRequest) async throws -> [UInt8] {
    try await within("control request \(request)") { try await $0.control(request) }
  }

  func status() async throws -> BoardStatus { try BoardStatus(bytes: try await control(.status)) }

  /// Runs one call of the transport under the deadline of an answer.
  private func within<R: Sendable>(
    _ what: String, _ body: @escaping @Sendable (any Transport) async throws -> R
  ) async throws -> R {
    let (transport, limit) = (transport, options.limit)
    return try await withThrowingTaskGroup(of: R?.self) { group in
      group.addTask { try await body(transport) }
      group.addTask {
        try await Task.sleep(for: limit)
        return nil
      }
      defer { group.cancelAll() }
      guard let result = try await group.next() ?? nil else {
        throw CheckEnd.failed("the board did not take it within \(limit): \(what)")
      }
      return result
    }
  }

  // MARK: Receiving

  /// Takes in one item; false if none came until the deadline.
  private func receive(until deadline: ContinuousClock.Instant) async throws -> Bool {
    switch await inbox.take(until: deadline) {
    case nil: return false
    case .ended(let error):
      link = error
      throw CheckEnd.failed("the link ended: \(error)")
    case .finding(.frame(let frame)):
      observed.frames += 1
      observed.longest = max(observed.longest, frame.payload.count)
      try note(frame)
    case .finding(let finding): observed.broken = observed.broken ?? "\(finding)"
    }
    return true
  }

  private func note(_ frame: Frame) throws {
    guard frame.sequence != 0 else {
      do throws(WireError) {
        let event = try EventMessage(payload: frame.payload)
        note(event.bootID, event.boardTime, "event \(event.event)")
        events.append(event)
      } catch {
        // Events of later levels are to be ignored.
        if error.code != .unknownBody { observed.broken = observed.broken ?? "an event cannot be read: \(error)" }
      }
      return
    }
    if !observed.asked.contains(frame.sequence) {
      observed.unsolicited = observed.unsolicited ?? "a response to number \(frame.sequence), which nobody sent"
    }
    do throws(WireError) {
      let answer = try ResponseMessage(payload: frame.payload)
      note(answer.bootID, answer.boardTime, "response \(frame.sequence)")
      if answer.status != .ok, answer.detail.isEmpty {
        observed.detail = observed.detail ?? "response \(frame.sequence) has status \(answer.status) and no detail"
      }
      if answer.detail.utf8.count > ResponseMessage.maximumDetailBytes {
        observed.detail = observed.detail ?? "response \(frame.sequence): a detail of \(answer.detail.utf8.count) bytes"
      }
      if answer.status != .ok, frame.flags.contains(.more) {
        observed.detail = observed.detail ?? "response \(frame.sequence) has status \(answer.status) and flag MORE"
      }
    } catch {
      observed.broken = observed.broken ?? "response \(frame.sequence) cannot be read: \(error)"
    }
    frames.append(frame)
  }

  private func note(_ bootID: UInt64, _ time: Duration, _ what: String) {
    observed.bootIDs.insert(bootID)
    if time < observed.latest {
      observed.timeWentBack = observed.timeWentBack ?? "\(what) is of \(time), one before it of \(observed.latest)"
    }
    observed.latest = max(observed.latest, time)
  }

  /// The next frame of a sequence; `nil` if none comes within `limit`. The watchdog is fed meanwhile.
  func next(_ sequence: UInt32, within limit: Duration? = nil) async throws -> (message: ResponseMessage, more: Bool)? {
    let deadline = ContinuousClock.now + (limit ?? options.limit)
    while true {
      if let index = frames.firstIndex(where: { $0.sequence == sequence }) {
        let frame = frames.remove(at: index)
        return (try ResponseMessage(payload: frame.payload), frame.flags.contains(.more))
      }
      if try await receive(until: min(deadline, .now + hello.watchdog / 4)) { continue }
      guard ContinuousClock.now < deadline else { return nil }
      _ = try await control(.status)
    }
  }

  /// All frames of a response.
  func responses(to sequence: UInt32) async throws -> [ResponseMessage] {
    var messages: [ResponseMessage] = []
    while true {
      guard let (message, more) = try await next(sequence) else {
        throw CheckEnd.failed(
          messages.isEmpty
            ? "no answer within \(options.limit)"
            : "no further frame within \(options.limit), \(messages.count) came and flag MORE promised one")
      }
      messages.append(message)
      if !more { return messages }
    }
  }

  /// The last frame of a response.
  func last(_ sequence: UInt32) async throws -> ResponseMessage {
    guard let message = try await responses(to: sequence).last else { throw CheckEnd.failed("an empty response") }
    return message
  }

  /// Sends a request and waits for the end of its response.
  func exchange(_ body: RequestBody, id: UInt64? = nil) async throws -> ResponseMessage {
    try await last(send(body, id: id))
  }

  /// The answer of a request that must succeed.
  func request<R: WireRequest>(_ request: R, id: UInt64? = nil) async throws -> R.Response {
    let answer = try await exchange(request.body, id: id)
    try expect(answer.status == .ok, "\(request.body.name) is answered \(answer.status): \(answer.detail)")
    return try answer.response()
  }

  /// Sequence numbers of the frames that wait, in the order they came, after a round trip that is handled at once.
  func settled() async throws -> [UInt32] {
    _ = try await request(Heartbeat())
    return frames.map(\.sequence)
  }

  /// The first event of a kind, also one that came before; `nil` if none comes within `limit`.
  func event<R>(within limit: Duration? = nil, _ match: (WireEvent) -> R?) async throws -> R? {
    let deadline = ContinuousClock.now + (limit ?? options.limit)
    while true {
      for (index, event) in events.enumerated() {
        guard let result = match(event.event) else { continue }
        events.remove(at: index)
        return result
      }
      guard try await receive(until: deadline) else { return nil }
    }
  }

  func forgetEvents() { events.removeAll() }

  func expect(_ condition: Bool, _ complaint: @autoclosure () -> String) throws {
    guard condition else { throw CheckEnd.failed(complaint()) }
  }

  func counters() async throws -> Counters { try await request(GetCounters()) }

  // MARK: Cells that may be touched

  /// How cells are read: as the board's description says.
  var readBias: ReadBias {
    get throws {
      let sensing = try papers().sensing
      return ReadBias(wordLine: sensing.readWordLine, bitLine: sensing.readVoltage)
    }
  }

  func papers() throws -> BoardDescription {
    guard let description else { throw CheckEnd.skipped("the board's description could not be read") }
    return description
  }

  /// A few cells, to read.
  func cells(_ count: Int, row: Int = 0) throws -> CellSelection {
    let columns = try papers().macros.shape.columns
    let row = options.spareRow ?? CellRow(macro: 0, row: row)
    return CellSelection(
      block: CellBlock(
        macro: row.macro, firstRow: row.row, shape: MacroShape(rows: 1, columns: min(count, columns))))
  }

  func read(_ count: Int = 4, row: Int = 0) throws -> ReadCells {
    ReadCells(cells: try cells(count, row: row), bias: try readBias)
  }

  /// The row that may be pulsed, whole.
  func spareRow() throws -> CellSelection {
    guard let row = options.spareRow else { throw CheckEnd.skipped("needs pulses, and no spare row was named") }
    let shape = try papers().macros.shape
    return CellSelection(
      block: CellBlock(macro: row.macro, firstRow: row.row, shape: MacroShape(rows: 1, columns: shape.columns)))
  }

  /// A write-verify that gives no pulse at all, or none that a cell would notice, and that sends nothing without credit.
  ///
  /// On cells that were never formed it reads once and reports "not formed". On the spare row it may give one pulse of the
  /// shortest width and ``gentle`` volts.
  func stallingRequest(target: Float? = nil) async throws -> WriteVerify {
    guard hello.capabilities.contains(.writeVerify) else { throw CheckEnd.skipped("the board has no write-verify") }
    let cells = try await quietCells()
    guard let limits else { throw CheckEnd.skipped("the board's limits could not be read") }
    let ramp = PulseRamp(
      wordLine: try readBias.wordLine, start: Self.gentle, step: Self.gentle, stop: Self.gentle,
      width: try shortestPulse())
    let window = limits.conductance
    return WriteVerify(
      cells: cells,
      targets: [Float](
        repeating: target ?? Float((window.lowerBound + window.upperBound).rawValue / 2), count: cells.count),
      tolerance: Siemens(1e-12), set: ramp, reset: ramp, verify: try readBias, maximumPulses: 1, maximumReversals: 1,
      credit: 0)
  }

  /// Amplitude of pulses that change nothing: a quarter of the usual read voltage.
  static let gentle = Volts(0.05)

  func shortestPulse() throws -> Duration {
    let drivers = try papers().drivers
    guard let limits else { return drivers.pulseWidth.lowerBound }
    return max(limits.pulseWidth.lowerBound, drivers.pulseWidth.lowerBound)
  }

  /// Bytes of a write-verify beside mask and targets, generously.
  private static let requestOverhead = 256

  private var quiet: CellSelection?

  /// Rows of which no cell was ever formed, or the spare row.
  private func quietCells() async throws -> CellSelection {
    if options.spareRow != nil { return try spareRow() }
    if let quiet { return quiet }
    let macros = try papers().macros
    for macro in 0..<macros.count {
      let block = CellBlock(macro: macro, shape: macros.shape)
      let isFormed = try await formedCells(macro: macro)
      let rows = (0..<macros.shape.rows).filter { row in
        !isFormed[row * macros.shape.columns..<(row + 1) * macros.shape.columns].contains(true)
      }
      guard !rows.isEmpty else { continue }
      var mask = CellMask(cellCount: block.cellCount)
      // Mask and four bytes a cell must fit into a request, beside what else is in it.
      let room = hello.maximumRequestBytes - mask.bytes.count - Self.requestOverhead
      for row in rows.prefix(max(1, room / 4 / macros.shape.columns)) {
        for column in 0..<macros.shape.columns { mask[row * macros.shape.columns + column] = true }
      }
      let cells = CellSelection(block: block, mask: mask)
      quiet = cells
      return cells
    }
    throw CheckEnd.skipped("every row holds formed cells, and no spare row was named")
  }

  /// One a cell of a macro, row-major.
  func formedCells(macro: Int) async throws -> [Bool] {
    let block = CellBlock(macro: macro, shape: try papers().macros.shape)
    var conductance: [Float] = []
    var formed: [Bool] = []
    for answer in try await responses(
      to: send(.readCells(ReadCells(cells: CellSelection(block: block), bias: try readBias))))
    {
      try expect(answer.status == .ok, "ReadCells is answered \(answer.status): \(answer.detail)")
      let part: Conductances = try answer.response()
      conductance += part.conductance
      formed += part.formed
    }
    try expect(conductance.count == block.cellCount, "\(conductance.count) values for \(block.cellCount) cells")
    guard formed.isEmpty else { return formed }
    // A board that does not keep it: an eighth of the window's lower end is what firmware itself goes by.
    let least = Float((limits?.conductance.lowerBound ?? .zero).rawValue / 8)
    return conductance.map { $0 >= least }
  }

  /// Sends an operation that waits for credit before its first frame.
  func stall() async throws -> (sequence: UInt32, id: UInt64, request: WriteVerify) {
    let request = try await stallingRequest()
    let id = newOperation()
    let sequence = try await send(.writeVerify(request), id: id)
    try await expectWaiting(sequence)
    return (sequence, id, request)
  }

  /// Fails if a stream was answered that has no credit.
  func expectWaiting(_ sequence: UInt32) async throws {
    guard try await settled().contains(sequence) else { return }
    let answer = try await last(sequence)
    throw CheckEnd.failed("a stream without credit was answered: \(answer.status) \(answer.detail)")
  }

  /// Grants a stream one frame after the other up to its last, and hands on what came; fails where more came than was granted.
  func granting<R: WireResponse>(_ sequence: UInt32, _ body: (R) throws -> Void) async throws {
    var granted = 0
    while true {
      try await send(.credit(Credit(sequence: sequence, frames: 1)))
      granted += 1
      guard let (message, more) = try await next(sequence) else {
        throw CheckEnd.failed("no frame \(granted) within \(options.limit) of its credit")
      }
      try expect(message.status == .ok, "frame \(granted) has status \(message.status): \(message.detail)")
      try body(try message.response())
      let ahead = try await settled().filter { $0 == sequence }
      try expect(ahead.isEmpty, "after \(granted) credits \(granted + ahead.count) frames came")
      if !more { return }
    }
  }

  func state(of id: UInt64) async throws -> OperationState { try await request(GetOperation(operationID: id)) }
}

/// How a check ends before its end.
enum CheckEnd: Error {
  case failed(String)
  case skipped(String)
}

extension HelloResult {
  /// Before the board has answered.
  fileprivate static var none: HelloResult {
    HelloResult(
      protocolLevel: 0, firmwareVersion: "", serial: "", board: "", chipID: "", chipProfile: "", capabilities: [],
      maximumRequestBytes: leastRequestBytes, maximumResponseBytes: leastResponseBytes, maximumInFlight: 1,
      maximumScheduleTicks: 0, watchdog: .seconds(2), isEnergised: false, isEmulated: false, busRoundTrip: .zero,
      busBytesPerSecond: 0)
  }
}
