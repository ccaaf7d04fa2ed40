import RRAMUnits
import Testing

@testable import RRAMWire

/// The same messages written down twice, here as our values and in `generate.py` as protobuf: a field that is mixed up in both
/// directions of our mapping shows only here.
@Suite struct VectorValueTests {
  static let operation: UInt64 = 0xF00D_FACE_0000_0001
  static let read = ReadBias(wordLine: .volts(1.1), bitLine: .volts(0.2), averages: 4)
  static let set = PulseRamp(
    wordLine: .volts(1.2), start: .volts(0.8), step: .volts(0.05), stop: .volts(1.6), width: .nanoseconds(1000))
  static let reset = PulseRamp(
    wordLine: .volts(2.5), start: .volts(0.9), step: .volts(0.05), stop: .volts(1.8), width: .nanoseconds(500))
  static let cells = CellSelection(
    block: CellBlock(macro: 1, firstRow: 2, firstColumn: 4, shape: MacroShape(rows: 3, columns: 5)))

  static func block(_ rows: Int, _ columns: Int, macro: Int = 0, row: Int = 0) -> CellBlock {
    CellBlock(macro: macro, firstRow: row, firstColumn: 0, shape: MacroShape(rows: rows, columns: columns))
  }

  /// Conductance i of the vectors: computed in double, then rounded to float, as there.
  static func conductance(_ i: Int) -> Float { Float(1e-5 + 8e-5 * Double((i * 37) % 101) / 100) }

  static let writeVerify = WriteVerify(
    cells: cells, targets: (0..<15).map(conductance), tolerance: Siemens(1.5e-6), set: set, reset: reset, verify: read,
    confirmReads: 1, maximumPulses: 200, maximumReversals: 12, credit: 4)
  static let maskedWriteVerify: WriteVerify = {
    var request = writeVerify
    request.cells.mask = CellMask([
      true, false, true, false, false, true, false, true, false, true, false, false, true, false, true,
    ])
    request.targets = (0..<7).map(conductance)
    return request
  }()
  static let gateRampWriteVerify: WriteVerify = {
    var request = writeVerify
    request.windows = (0..<15).map { conductance($0)...1.25e-4 }
    request.confirmMean = true
    request.maximumEnergy = Joules(2e-6)
    request.maximumCycles = 100
    request.strategy = .gateRamp(
      GateRamp(first: (0..<15).map { $0 % 4 == 0 ? .nan : 0.875 }, step: Volts(0.1), stop: Volts(3)))
    return request
  }()
  static let responseWriteVerify: WriteVerify = {
    var request = writeVerify
    request.cells = CellSelection(block: block(1, 2))
    request.targets = [conductance(3), conductance(4)]
    request.pairs = true
    request.strategy = .response(
      PulseResponse(
        set: Volts(1.8), setGoal: Siemens(2.4e-4), reset: Volts(2), resetGoal: Siemens(1.15e-5),
        voltsPerDecade: Volts(0.2), referenceWidth: .microseconds(1), rateSpread: 0.3, cellSpread: Volts(0.08),
        gateThreshold: Volts(0.6), gateSlope: 1e-4, gatePulseSpread: 0.07, gateCellSpread: 0.13, readSpread: 0.0125,
        grid: Volts(0.01), offsets: [0.0625, -0.125, .nan, 0.03125, .nan, 0.25]))
    return request
  }()
  static let schedule = UploadSchedule(
    scheduleID: 3, ticks: 200, tick: .nanoseconds(100), firstTick: 8, count: 4,
    codes: (0..<64).map { UInt16($0 * 977 % 65536) }, noise: [0.5, 0.4, 0.3, 0.2])

  static let requests: [(name: String, RequestMessage)] =
    [
      ("hello", Hello(sessionID: 0xDEAD_BEEF_1234_5678, client: "rram 0.1.0").body),
      ("get-description", GetDescription().body),
      ("get-limits", GetLimits().body),
      ("safe", Safe().body),
      ("abort", Abort(operationID: operation).body),
      ("heartbeat", Heartbeat().body),
      ("credit", Credit(sequence: 7, frames: 16).body),
      ("get-operation", GetOperation(operationID: operation).body),
      ("get-counters", GetCounters().body),
      ("advance-time", AdvanceTime(duration: .seconds(600)).body),
      ("advance-time-hot", AdvanceTime(duration: .zero, celsius: 85).body),
      ("get-label", GetLabel(macro: 1).body),
      ("set-label", SetLabel(macro: 1, label: Array(16..<32)).body),
      ("set-trigger", SetTrigger(pulses: true).body),
      (
        "form",
        Form(
          cells: cells,
          ramp: PulseRamp(
            wordLine: .volts(1.4), start: .volts(2), step: .volts(0.1), stop: .volts(3.3), width: .microseconds(10)),
          read: read, stopConductance: Siemens(1e-5), credit: 8
        ).body
      ),
      (
        "pulse",
        Pulse(
          cells: cells, kind: .reset, wordLine: .volts(2.5), sourceLine: .volts(1.35), width: .nanoseconds(200),
          count: 3
        ).body
      ),
      (
        "cycle-cells",
        CycleCells(
          cells: cells, set: .init(wordLine: .volts(1.2), amplitude: .volts(1.5), width: .microseconds(1)),
          reset: .init(wordLine: .volts(2.5), amplitude: .volts(1.8), width: .nanoseconds(500)), count: 5000
        ).body
      ),
      ("read-cells", ReadCells(cells: CellSelection(block: block(64, 64)), bias: read).body),
      ("write-verify", writeVerify.body),
      ("set-dac", SetDAC(kind: .preset, channel: 1, code: DACCode(rawValue: 3071)).body),
      ("read-adc", ReadADC(kind: .temperature, channel: 0).body),
      ("read-adc-loopback", ReadADC.loopback(.embedding, channel: 13).body),
      ("matrix-product", MatrixProduct(block: block(4, 8), inputs: [0.2, -0.2, 0.05, 0], wordLine: .volts(1.1)).body),
      (
        "configure-loop",
        ConfigureLoop(layers: [
          LoopLayer(block: block(3, 28), columnGain: (0..<14).map { 2048 + $0 }),
          LoopLayer(block: block(15, 28, row: 3), columnGain: [UInt16](repeating: 4095, count: 14)),
          LoopLayer(block: block(15, 4, row: 18), columnGain: [0, 65535]),
        ]).body
      ),
      (
        "configure-loop-second",
        ConfigureLoop(
          layers: [LoopLayer(block: block(3, 4), columnGain: [1, 2])],
          second: [LoopLayer(block: block(3, 4, macro: 3, row: 5), columnGain: [3, 65535])]
        ).body
      ),
      (
        "run-loop-start",
        RunLoop(
          scheduleID: 3, samples: 100_000, seed: 7, firstSample: 12, credit: 4, startDeviation: .volts(0.125),
          runID: 0x0123_4567_89AB_CDEF
        ).body
      ),
      (
        "configure-loop-rows",
        ConfigureLoop(layers: [
          LoopLayer(
            block: block(6, 8), columnGain: [100, 200, 300, 400],
            rows: [
              .input(0), .input(1), .bias, .ground, LoopRow(.input(1), attenuation: 1),
              LoopRow(.input(0), attenuation: 2),
            ])
        ]).body
      ),
      ("upload-schedule", schedule.body),
      (
        "run-loop",
        RunLoop(
          scheduleID: 3, samples: 5, preset: (0..<10).map { 100 * $0 + 1 }, seed: 0xFEDC_BA98_7654_3210,
          firstSample: 1000, trajectoryEvery: 50, credit: 2
        ).body
      ),
    ].map { ($0.0, RequestMessage(operationID: $0.1.needsOperationID ? operation : 0, body: $0.1)) }
    + [
      ("write-verify-masked", RequestMessage(operationID: .max, body: maskedWriteVerify.body)),
      ("write-verify-gate-ramp", RequestMessage(operationID: operation, body: gateRampWriteVerify.body)),
      ("write-verify-response", RequestMessage(operationID: operation, body: responseWriteVerify.body)),
    ]

  static let progress = OperationProgress(finished: 12, total: 15, pulses: 96, reads: 111, rounds: 8)
  static let results = CellResults(
    firstIndex: 5, count: 4, conductance: [2e-5, 3.5e-5, .nan, 9e-5], pulses: [0, 7, 0, 200], reads: [1, 8, 0, 201],
    reasons: [.converged, .converged, .masked, .pulseLimit], formingVoltage: [2.5, 2.6, .nan, 2.75],
    progress: progress)
  static let hello = HelloResult(
    protocolLevel: 1, firmwareMinimumLevel: 1, firmwareMaximumLevel: 1, firmwareVersion: "0.1.0", serial: "RR-0042",
    board: "parallel", chipID: "cmo-hfox-7", chipProfile: "cmo-hfox",
    capabilities: [
      .advanceTime, .form, .writeVerify, .matrixProduct, .closedLoop, .loopNoise, .loopTrajectory, .rawConverters,
      .loopStart,
    ], maximumRequestBytes: 16384, maximumResponseBytes: 65536, maximumInFlight: 8, maximumScheduleTicks: 4096,
    watchdog: .seconds(2), isEnergised: true, isEmulated: true, busRoundTrip: .microseconds(125),
    busBytesPerSecond: 40_000_000, chipTimeAtBoot: .seconds(86_400))

  static func ok(_ body: some WireResponse) -> ResponseMessage {
    ResponseMessage(bootID: 0x0123_4567_89AB_CDEF, boardTime: .microseconds(123_456_789_012), body: body.body)
  }

  static func refused(_ refusal: Refusal, _ detail: String) -> ResponseMessage {
    ResponseMessage(
      bootID: 0x0123_4567_89AB_CDEF, boardTime: .microseconds(123_456_789_012), status: .limitRefused, detail: detail,
      refusal: refusal)
  }

  static let responses: [(name: String, ResponseMessage)] = [
    ("hello", ok(hello)),
    (
      "description",
      ok(
        DescriptionPage(
          firstIndex: 0, total: 200,
          page: Array("name: parallel\nmacros: 2  # µS and Ω are two bytes each\n".utf8)))
    ),
    (
      "limits",
      ok(
        WireLimits(
          wordLine: .volts(3.3), bitLine: .volts(1.8), sourceLine: .volts(2), forming: .volts(3.4), read: .volts(0.2),
          pulseWidth: .nanoseconds(50) ... .milliseconds(1), pulsesPerRequest: 1000,
          conductance: Siemens(1e-5)...Siemens(9e-5), slew: VoltsPerSecond(5e7), current: Amperes(1e-3),
          pulseEnergy: Joules(5e-7), power: Watts(0.5), resistance: Ohms(1e6), disturb: Volts(1.05),
          pulsesPerRun: 20_000, pulsesPerLife: 10_000_000, temperature: Celsius(-20)...Celsius(125)))
    ),
    ("safe", ok(SafeResult(abortedOperations: 2, isGrounded: true))),
    ("abort", ok(AbortResult(abortedOperations: 1))),
    (
      "heartbeat",
      ok(
        HeartbeatResult(
          isEnergised: true, lastSafeCause: .watchdog, queuedOperations: 3, faults: [.overTemperature, .storage]))
    ),
    (
      "operation",
      ok(
        OperationState(
          operationID: operation, state: .running, finished: 12, total: 4096, pulses: 1 << 40, reads: 7))
    ),
    (
      "counters",
      ok(
        Counters(
          pulses: 1, reads: 2, setPulses: 3, resetPulses: 4, formingPulses: 5, failures: 6, loopRuns: 7,
          busy: .seconds(8), badFrames: 9, framesReceived: 10, framesSent: 11, watchdogTrips: 12,
          faults: [.overCurrent, .supply], triggers: 13))
    ),
    ("advance-time", ok(AdvanceTimeResult())),
    ("set-trigger", ok(SetTriggerResult())),
    ("label", ok(MacroLabel(macro: 1, label: Array(16..<32), writeCounter: 41))),
    ("cell-results", ok(results)),
    (
      "cell-results-finished",
      ok(
        CellResults(
          firstIndex: 0, count: 0, conductance: [4e-5, 5e-5], pulses: [9, 12], reads: [10, 13],
          reasons: [.converged, .stuckLow], progress: progress, indices: [3, 17]))
    ),
    ("cell-results-more", ok(CellResults(firstIndex: 0, count: 0, progress: progress))),
    (
      "conductances",
      ok(
        Conductances(
          firstIndex: 64, conductance: (0..<16).map(conductance), saturated: 1,
          formed: (0..<16).map { ![3, 14, 15].contains($0) }))
    ),
    ("conductances-large", ok(Conductances(firstIndex: 0, conductance: (0..<4096).map(conductance)))),
    ("set-dac", ok(SetDACResult(voltage: .volts(0.75)))),
    ("adc", ok(ADCResult(code: ADCCode(rawValue: 4095), value: 27.5, isSaturated: true))),
    (
      "column-currents",
      ok(ColumnCurrents(firstIndex: 2, currents: (0..<6).map { Float(1e-6 * Double($0 - 3)) }, saturated: 0))
    ),
    ("column-currents-ranges", ok(ColumnCurrents(firstIndex: 0, currents: [1e-6, 2e-5, 0], ranges: [3, 1, 3]))),
    ("configure-loop", ok(ConfigureLoopResult())),
    ("upload-schedule", ok(UploadScheduleResult(received: 12))),
    (
      "run-results",
      ok(
        RunResults(
          firstIndex: 2, x: [0, 65535, 32768, 32767, 1, 2],
          overRange: [[], [.rowClamp, .amplifierRail, .integratorRail, .noiseClamp, .readOutSaturated], .noiseClamp],
          trajectory: Array(0..<24), presetTime: .microseconds(15), loopTime: .microseconds(60),
          conversionTime: .microseconds(6)))
    ),
    (
      "run-results-start",
      ok(
        RunResults(
          firstIndex: 7, x: [5, 6, 7, 8], overRange: [.presetClamped, []], presetTime: .microseconds(1),
          loopTime: .microseconds(40), conversionTime: .microseconds(2), start: [65535, 32768, 0, 1]))
    ),
    (
      "refused-read",
      refused(Refusal(limit: .read, asked: 0.3, minimum: -0.2, maximum: 0.2), "the read limit refuses it")
    ),
    (
      "refused-conductance",
      refused(
        Refusal(
          limit: .conductance, asked: 2e-4, minimum: 1e-5, maximum: 9e-5,
          cell: CellBlock(macro: 1, firstRow: 12, firstColumn: 63, shape: MacroShape(rows: 1, columns: 1))),
        "the conductance limit refuses it")
    ),
  ]

  static let events: [(name: String, WireEvent)] = [
    ("bad-frame", .badFrame(count: 3)), ("entered-safe", .enteredSafe(.linkLost)),
    ("fault-raised", .faultRaised(.overTemperature)),
  ]

  static func vector(_ name: String) throws -> Vector { try #require(Vector.all.first { $0.name == name }) }

  // Compared as text, because two NaN are not equal but print the same.

  @Test(arguments: requests.map(\.name)) func requestHasTheFieldsOfItsVector(_ name: String) throws {
    let expected = try #require(Self.requests.first { $0.name == name }).1
    let vector = try Self.vector("request-\(name)")
    #expect(String(describing: try RequestMessage(payload: vector.payload)) == String(describing: expected))
    #expect(try expected.payload() == vector.payload)
  }

  @Test(arguments: responses.map(\.name)) func responseHasTheFieldsOfItsVector(_ name: String) throws {
    let expected = try #require(Self.responses.first { $0.name == name }).1
    let vector = try Self.vector("response-\(name)")
    let decoded = try ResponseMessage(payload: vector.payload)
    if case .hello(let hello) = decoded.body {
      // Sets print in any order.
      #expect(hello == Self.hello)
    } else {
      #expect(String(describing: decoded) == String(describing: expected))
    }
    #expect(try expected.payload() == vector.payload)
  }

  @Test(arguments: events.map(\.name)) func eventHasTheFieldsOfItsVector(_ name: String) throws {
    let event = try #require(Self.events.first { $0.name == name }).1
    let expected = EventMessage(bootID: 0x0123_4567_89AB_CDEF, boardTime: .seconds(5), event: event)
    let vector = try Self.vector("event-\(name)")
    #expect(try EventMessage(payload: vector.payload) == expected)
    #expect(try expected.payload() == vector.payload)
  }

  @Test func everyBodyIsWrittenDownHere() {
    #expect(Set(Self.requests.map(\.1.body.name)).count == 24)
    #expect(Set(Self.responses.compactMap(\.1.body?.name)).count == 19)
  }

  @Test(arguments: Vector.all.filter { $0.kind == .response })
  func everyStatusAndRefusalHasTheNumberOfTheProtocol(_ vector: Vector) throws {
    let response = try ResponseMessage(payload: vector.payload)
    let name = vector.name.dropFirst("response-".count)
    if name.hasPrefix("refused-") {
      #expect(response.status == .limitRefused)
      let limit = try #require(response.refusal).limit
      #expect("\(limit)" == name.dropFirst("refused-".count).replacing("-", with: " "))
    } else if response.body == nil {
      #expect("\(response.status)" == name.replacing("-", with: " "))
    }
  }
}
