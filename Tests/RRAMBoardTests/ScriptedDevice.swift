import RRAMBoard
import RRAMProfiles
import RRAMTransport
import RRAMUnits
import RRAMWire

/// The board side of a link that speaks real frames and does what a test tells it.
///
/// It answers the handshake, Safe, Abort, heartbeats and questions by itself; everything else is up to the script.
final class ScriptedDevice: DeviceEndpoint {
  struct Received: Sendable {
    var sequence: UInt32
    var message: RequestMessage
    var body: RequestBody { message.body }
    var operationID: UInt64 { message.operationID }
  }

  /// Answers a request; false leaves it to the device's own answers.
  typealias Script = @Sendable (ScriptedDevice, Received) -> Bool

  private struct State {
    var decoder = FrameDecoder(maximumPayloadBytes: 1 << 20)
    var link: DeviceLink?
    var trace: [String] = []
    var controls: [ControlRequest] = []
    var bootID: UInt64 = 7
    var isDeaf = false
    var links = 0
  }

  private let state = Monitor(State())
  private let script: Script
  private let hello: HelloResult
  private let limits: WireLimits
  private let document: [UInt8]
  let arrivals: AsyncStream<Received>
  private let sink: AsyncStream<Received>.Continuation

  static let permissive = WireLimits(
    wordLine: Volts(3.3), bitLine: Volts(1.5), sourceLine: Volts(1.4), forming: Volts(3.2), read: Volts(0.3),
    pulseWidth: .nanoseconds(20) ... .microseconds(100), pulsesPerRequest: 1000,
    conductance: .microsiemens(10) ... .microsiemens(90), disturb: Volts(1.05))

  static func hello(
    maximumRequestBytes: Int = 65536, maximumInFlight: Int = 8, level: Int = 1,
    capabilities: Set<Capability> = [
      .advanceTime, .form, .writeVerify, .matrixProduct, .closedLoop, .loopNoise, .rawConverters,
    ]
  ) -> HelloResult {
    HelloResult(
      protocolLevel: level, firmwareMinimumLevel: level, firmwareMaximumLevel: max(1, level), firmwareVersion: "0.9.1",
      serial: "RR-0042", board: "parallel", chipID: "chip-3", chipProfile: "cmo-hfox", capabilities: capabilities,
      maximumRequestBytes: maximumRequestBytes, maximumResponseBytes: 65536, maximumInFlight: maximumInFlight,
      maximumScheduleTicks: 512, isEmulated: true, busRoundTrip: .microseconds(125), busBytesPerSecond: 40_000_000)
  }

  init(
    hello: HelloResult = ScriptedDevice.hello(), limits: WireLimits = ScriptedDevice.permissive,
    script: @escaping Script = { _, _ in false }
  ) throws {
    self.hello = hello
    self.limits = limits
    self.script = script
    document = Array(try BoardDescription.named("parallel").document.utf8)
    (arrivals, sink) = AsyncStream.makeStream()
  }

  /// Requests in order, as short text.
  var trace: [String] { state.withLock { $0.trace } }
  var controls: [ControlRequest] { state.withLock { $0.controls } }
  var damagedBytes: Int { state.withLock { Int($0.decoder.badFrames) + Int($0.decoder.skippedBytes) } }

  /// From now on frames are not even read.
  func becomeDeaf() { state.withLock { $0.isDeaf = true } }
  func reboot() { state.withLock { $0.bootID += 1 } }

  func linkUp(_ link: DeviceLink) {
    state.withLock {
      $0.link = link
      $0.links += 1
    }
  }

  func linkLost() { state.withLock { $0.link = nil } }

  func control(_ request: ControlRequest, data: [UInt8]) throws(TransportError) -> [UInt8] {
    state.withLock { $0.controls.append(request) }
    return []
  }

  func bytesWaiting() {
    let received = state.withLock { s -> [Received] in
      guard !s.isDeaf, let link = s.link else { return [] }
      var received: [Received] = []
      while let bytes = link.read() {
        for case .frame(let frame) in s.decoder.decode(bytes) {
          guard let message = try? RequestMessage(payload: frame.payload) else { continue }
          received.append(Received(sequence: frame.sequence, message: message))
          s.trace.append(Self.text(message))
        }
      }
      return received
    }
    for request in received {
      if !script(self, request) { answer(request) }
      sink.yield(request)
    }
  }

  private static func text(_ message: RequestMessage) -> String {
    switch message.body {
    case .abort(let abort): "abort \(abort.operationID)"
    case .credit(let credit): "credit \(credit.frames)"
    case .getOperation(let question): "get_operation \(question.operationID)"
    default: message.operationID == 0 ? message.body.name : "\(message.body.name) \(message.operationID)"
    }
  }

  private func answer(_ request: Received) {
    switch request.body {
    case .hello: reply(request, .hello(hello))
    case .getDescription:
      let cut = document.count / 2
      reply(
        request, .description(DescriptionPage(firstIndex: 0, total: document.count, page: Array(document[..<cut]))),
        more: true)
      reply(
        request, .description(DescriptionPage(firstIndex: cut, total: document.count, page: Array(document[cut...]))))
    case .getLimits: reply(request, .limits(limits))
    case .safe: reply(request, .safe(SafeResult(abortedOperations: 0, isGrounded: true)))
    case .abort: reply(request, .abort(AbortResult(abortedOperations: 1)))
    case .heartbeat:
      reply(request, .heartbeat(HeartbeatResult(isEnergised: true, lastSafeCause: .powerOn, queuedOperations: 0)))
    case .getCounters: reply(request, .counters(Counters(pulses: 5)))
    case .advanceTime: reply(request, .advanceTime(AdvanceTimeResult()))
    case .getOperation(let question):
      reply(request, .operation(OperationState(operationID: question.operationID, state: .unknown)))
    default: break
    }
  }

  func reply(
    _ request: Received, _ body: ResponseBody?, more: Bool = false, status: Status = .ok, detail: String = "",
    flip bit: Int? = nil
  ) {
    let bootID = state.withLock { $0.bootID }
    let message = ResponseMessage(bootID: bootID, boardTime: .zero, status: status, detail: detail, body: body)
    guard let payload = try? message.payload() else { return }
    write(Frame(flags: more ? .more : [], sequence: request.sequence, payload: payload), flip: bit)
  }

  func raise(_ event: WireEvent) {
    let bootID = state.withLock { $0.bootID }
    guard let payload = try? EventMessage(bootID: bootID, boardTime: .zero, event: event).payload() else { return }
    write(Frame(sequence: 0, payload: payload), flip: nil)
  }

  private func write(_ frame: Frame, flip bit: Int?) {
    guard var bytes = try? FrameEncoder(maximumPayloadBytes: 1 << 20).encode(frame) else { return }
    if let bit { bytes[Frame.headerBytes + bit / 8] ^= 1 << UInt8(bit % 8) }
    _ = state.withLock { $0.link }?.write(bytes, atMost: .seconds(10))
  }

  /// The next request of this name.
  func arrival(_ name: String) async -> Received {
    for await received in arrivals where received.body.name == name { return received }
    preconditionFailure("the stream of arrivals never ends")
  }
}

let block = CellBlock(macro: 0, shape: MacroShape(rows: 4, columns: 4))

func pulse(_ block: CellBlock = block, bitLine: Double = 1) -> Pulse {
  Pulse(
    cells: CellSelection(block: block), kind: .set, wordLine: Volts(1.5), bitLine: Volts(bitLine),
    width: .microseconds(1))
}

func writeVerify(_ cells: CellSelection, target: Float = 50e-6) -> WriteVerify {
  let ramp = PulseRamp(
    wordLine: Volts(1.5), start: Volts(0.5), step: Volts(0.1), stop: Volts(1.2), width: .microseconds(1))
  return WriteVerify(
    cells: cells, targets: Array(repeating: target, count: cells.count), tolerance: .microsiemens(1), set: ramp,
    reset: ramp, verify: ReadBias(wordLine: Volts(1.1), bitLine: Volts(0.2)), maximumPulses: 100,
    maximumReversals: 10, credit: 1)
}

/// A session with a fixed id: operation ids count from 1001.
func open(
  _ device: ScriptedDevice, clock: TestClock = TestClock(), limits: ChipLimits? = nil, window: Int = 8
) async throws -> Board {
  try await Board.open(
    InMemoryLink(to: device), clock: clock, configuration: configuration(limits: limits, window: window))
}

func configuration(limits: ChipLimits? = nil, window: Int = 8) -> BoardConfiguration {
  var configuration = BoardConfiguration()
  configuration.sessionID = 1000
  if let limits { configuration.chipLimits = { _ in LimitRecord(.chip, limits) } }
  configuration.streamWindow = window
  return configuration
}
