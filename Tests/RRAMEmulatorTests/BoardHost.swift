import RRAMEmulator
import RRAMProfiles
import RRAMTransport
import RRAMUnits
import RRAMWire
import Synchronization
import Testing

/// Link time that only moves when a test moves it.
final class ManualClock: Sendable {
  private let time = Mutex(Duration.zero)

  var linkClock: LinkClock { LinkClock { [self] in time.withLock { $0 } } }

  func advance(by duration: Duration) { time.withLock { $0 += duration } }
}

/// A host that speaks frames to an emulated board, one request after the other.
final class BoardHost {
  let board: EmulatedBoard
  let link: InMemoryLink
  let clock: ManualClock
  private var decoder = FrameDecoder(maximumPayloadBytes: 1 << 20)
  private let encoder = FrameEncoder(maximumPayloadBytes: 1 << 20)
  private var nextSequence: UInt32 = 0
  private var nextOperation: UInt64 = 0
  private var frames: [Frame] = []
  /// Events that came while something else was waited for.
  private(set) var events: [EventMessage] = []

  init(
    profile: String = "ideal", board name: String = "parallel", seed: UInt64 = 1, stateFile: String? = nil,
    bootID: UInt64? = nil, threads: Int = 1,
    changing change: (inout ChipProfile, inout BoardDescription) -> Void = { _, _ in }
  ) throws {
    clock = ManualClock()
    var profile = try ChipProfile.named(profile)
    var description = try BoardDescription.named(name)
    change(&profile, &description)
    board = try EmulatedBoard(
      profile: profile, board: description,
      configuration: .init(seed: seed, stateFile: stateFile, clock: clock.linkClock, bootID: bootID, threads: threads))
    link = InMemoryLink(to: board)
  }

  /// Another link to the same board; the old one must have ended.
  init(attachingTo host: BoardHost) {
    board = host.board
    clock = host.clock
    nextOperation = host.nextOperation + 1000
    link = InMemoryLink(to: host.board)
  }

  func newOperationID() -> UInt64 {
    nextOperation += 1
    return nextOperation
  }

  /// Sends a request and returns its sequence number.
  @discardableResult
  func send(_ body: RequestBody, id: UInt64? = nil) async throws -> UInt32 {
    nextSequence += 1
    let message = RequestMessage(operationID: id ?? (body.needsOperationID ? newOperationID() : 0), body: body)
    try await link.send(try encoder.encode(Frame(sequence: nextSequence, payload: try message.payload())))
    return nextSequence
  }

  func send(payload: [UInt8]) async throws -> UInt32 {
    nextSequence += 1
    try await link.send(try encoder.encode(Frame(sequence: nextSequence, payload: payload)))
    return nextSequence
  }

  /// The next frame of a sequence; events are put aside, frames of others are kept.
  func frame(of sequence: UInt32) async throws -> (message: ResponseMessage, more: Bool) {
    while true {
      if let index = frames.firstIndex(where: { $0.sequence == sequence }) {
        let frame = frames.remove(at: index)
        return (try ResponseMessage(payload: frame.payload), frame.flags.contains(.more))
      }
      try await receive()
    }
  }

  private func receive() async throws {
    for finding in decoder.decode(try await link.receive()) {
      guard case .frame(let frame) = finding else {
        Issue.record("the board sent no frame: \(finding)")
        continue
      }
      if frame.sequence == 0 {
        events.append(try EventMessage(payload: frame.payload))
      } else {
        frames.append(frame)
      }
    }
  }

  /// The next event, also one that came earlier.
  func event() async throws -> WireEvent {
    while events.isEmpty { try await receive() }
    return events.removeFirst().event
  }

  /// All frames of a sequence up to the last.
  func responses(to sequence: UInt32) async throws -> [ResponseMessage] {
    var messages: [ResponseMessage] = []
    while true {
      let (message, more) = try await frame(of: sequence)
      messages.append(message)
      if !more { return messages }
    }
  }

  /// Sends a request and waits for its whole answer.
  func exchange(_ body: RequestBody, id: UInt64? = nil) async throws -> [ResponseMessage] {
    try await responses(to: try await send(body, id: id))
  }

  /// The answer of a request that must succeed, in one frame or the last of several.
  func request<R: WireRequest>(_ request: R, sourceLocation: SourceLocation = #_sourceLocation) async throws
    -> R.Response
  {
    let messages = try await exchange(request.body)
    let last = try #require(messages.last)
    #expect(last.status == .ok, "\(last.detail)", sourceLocation: sourceLocation)
    return try last.response()
  }

  /// The answer of a request that must fail.
  func failure(_ body: RequestBody) async throws -> ResponseMessage {
    let messages = try await exchange(body)
    return try #require(messages.last)
  }

  @discardableResult
  func hello(session: UInt64 = 7) async throws -> HelloResult {
    try await request(Hello(sessionID: session, client: "test"))
  }

  // MARK: Cells

  static func block(_ rows: Int, _ columns: Int, macro: Int = 0) -> CellSelection {
    CellSelection(block: CellBlock(macro: macro, shape: MacroShape(rows: rows, columns: columns)))
  }

  static let readBias = ReadBias(wordLine: Volts(1.1), bitLine: Volts(0.2))

  static func ramp(_ bias: ChipProfile.Programming.Bias) -> PulseRamp {
    PulseRamp(wordLine: bias.wordLine, start: bias.start, step: bias.step, stop: bias.stop, width: bias.width)
  }

  func formRequest(_ cells: CellSelection, profile: String = "ideal", credit: Int = 1000) throws -> Form {
    let profile = try ChipProfile.named(profile)
    return Form(
      cells: cells, ramp: Self.ramp(profile.programming.forming), read: Self.readBias,
      stopConductance: .microsiemens(4), credit: credit)
  }

  func writeVerify(
    _ cells: CellSelection, targets: [Float], profile name: String = "ideal", credit: Int = 1000
  ) throws -> WriteVerify {
    let programming = try ChipProfile.named(name).programming
    return WriteVerify(
      cells: cells, targets: targets, tolerance: programming.tolerance, set: Self.ramp(programming.set),
      reset: Self.ramp(programming.reset), verify: Self.readBias, maximumPulses: programming.maximumPulses,
      maximumReversals: programming.maximumReversals, credit: credit)
  }

  /// Forms the cells; the results of all frames.
  @discardableResult
  func form(_ cells: CellSelection, profile: String = "ideal") async throws -> [CellResults] {
    try await cellResults(.form(try formRequest(cells, profile: profile)))
  }

  func cellResults(_ body: RequestBody) async throws -> [CellResults] {
    let messages = try await exchange(body)
    #expect(messages.last?.status == .ok, "\(messages.last?.detail ?? "")")
    // Cells that were told of between the rounds come again, in order.
    return try messages.map { try $0.response(as: CellResults.self) }.filter(\.indices.isEmpty)
  }

  func read(_ cells: CellSelection) async throws -> [Float] {
    let messages = try await exchange(.readCells(ReadCells(cells: cells, bias: Self.readBias)))
    #expect(messages.last?.status == .ok, "\(messages.last?.detail ?? "")")
    return try messages.flatMap { try $0.response(as: Conductances.self).conductance }
  }
}
