import RRAMEmulator
import RRAMPhysics
import RRAMProfiles
import RRAMTransport
import RRAMUnits
import RRAMWire
import Testing

@Suite(.timeLimit(.minutes(1)))
struct EmulatedBoardTests {
  // MARK: Session

  @Test func helloTellsWhoTheBoardIsAndWhatItTakes() async throws {
    let host = try BoardHost(seed: 0x2A, bootID: 99)
    let messages = try await host.exchange(.hello(Hello(sessionID: 5, client: "test")))
    let message = try #require(messages.first)
    let board = try BoardDescription.named("parallel")
    #expect(messages.count == 1)
    #expect(message.bootID == 99)
    #expect(message.status == .ok)
    let expected = HelloResult(
      firmwareVersion: "rram-emulator 1", serial: "EMU-2a", board: "parallel", chipID: "EMU-ideal-42",
      chipProfile: "ideal",
      capabilities: [
        .advanceTime, .form, .writeVerify, .matrixProduct, .rawConverters, .writeStrategies, .cycleCells,
        .triggerOutput, .closedLoop, .loopNoise, .loopTrajectory, .loopStart, .converterLoopback,
      ],
      maximumRequestBytes: board.link.maximumRequestBytes, maximumResponseBytes: board.link.maximumResponseBytes,
      maximumInFlight: board.link.maximumInFlight, maximumScheduleTicks: 512, watchdog: .seconds(2),
      isEnergised: false, isEmulated: true, busRoundTrip: .microseconds(125), busBytesPerSecond: 40_000_000,
      chipTimeAtBoot: .zero)
    #expect(try message.response(as: HelloResult.self) == expected)
    await host.board.close()
  }

  @Test func boardWithoutLoopDoesNotOfferOne() async throws {
    let host = try BoardHost(board: "multiplexed")
    let hello = try await host.hello()
    #expect(!hello.capabilities.contains(.closedLoop))
    #expect(hello.maximumScheduleTicks == 0)
    let refused = try await host.failure(.configureLoop(ConfigureLoop(layers: [])))
    #expect(refused.status == .unsupported)
    await host.board.close()
  }

  @Test(arguments: [(2, 3), (0, 0)])
  func levelsWithoutOverlapAreNamed(minimum: Int, level: Int) async throws {
    let host = try BoardHost()
    let answer = try await host.failure(
      .hello(Hello(protocolLevel: level, minimumLevel: minimum, sessionID: 1, client: "test")))
    #expect(answer.status == .versionMismatch)
    #expect(answer.detail.contains("levels \(minimum) to \(level)"))
    #expect(try answer.response(as: HelloResult.self).firmwareMaximumLevel == 1)
    await host.board.close()
  }

  @Test func cellsCannotBeTouchedBeforeHello() async throws {
    let host = try BoardHost()
    let answer = try await host.failure(
      .readCells(ReadCells(cells: BoardHost.block(2, 2), bias: BoardHost.readBias)))
    #expect(answer.status == .wrongState)
    #expect(answer.detail == "no session: say Hello first")
    await host.board.close()
  }

  @Test(arguments: ["parallel", "multiplexed"])
  func descriptionComesInPagesAndIsTheDocument(name: String) async throws {
    let host = try BoardHost(board: name)
    try await host.hello()
    let pages = try await host.exchange(.getDescription(GetDescription())).map {
      try $0.response(as: DescriptionPage.self)
    }
    var document: [UInt8] = []
    for page in pages {
      #expect(page.firstIndex == document.count)
      document += page.page
    }
    let description = try BoardDescription.named(name)
    #expect(String(decoding: document, as: UTF8.self) == description.document)
    #expect(pages.allSatisfy { $0.total == document.count })
    #expect(pages.count == (description.document.utf8.count - 1) / (description.link.maximumResponseBytes - 512) + 1)
    await host.board.close()
  }

  @Test func limitsAreThoseOfTheProfile() async throws {
    let host = try BoardHost(profile: "cmo-hfox")
    try await host.hello()
    let limits = try await host.request(GetLimits())
    let profile = try #require(try ChipProfile.named("cmo-hfox").limits)
    #expect(limits.isPresent)
    #expect(limits.bitLine == profile.bitLine)
    #expect(limits.forming == profile.forming)
    #expect(limits.pulseWidth == profile.pulseWidth)
    await host.board.close()
  }

  @Test func chipWithoutLimitsOnlyReads() async throws {
    let host = try BoardHost(changing: { profile, _ in profile.limits = nil })
    try await host.hello()
    let limits = try await host.request(GetLimits())
    #expect(!limits.isPresent)
    #expect(limits.read == Volts(0.2))
    #expect(try await host.read(BoardHost.block(1, 4)).count == 4)
    let refused = try await host.failure(.form(try host.formRequest(BoardHost.block(1, 1))))
    #expect(refused.status == .limitRefused)
    #expect(refused.refusal?.limit == .wordLine)
    let tooHigh = try await host.failure(
      .readCells(
        ReadCells(cells: BoardHost.block(1, 1), bias: ReadBias(wordLine: Volts(1.1), bitLine: Volts(0.25)))))
    #expect(
      tooHigh.refusal == Refusal(limit: .read, asked: 0.25, minimum: 0, maximum: 0.2, cell: BoardHost.block(1, 1).block)
    )
    await host.board.close()
  }

  @Test func unknownAndMalformedRequestsAreAnswered() async throws {
    let host = try BoardHost()
    let empty = try await host.responses(to: try await host.send(payload: []))
    #expect(empty.map(\.status) == [.unknownRequest])
    let malformed = try await host.responses(to: try await host.send(payload: [0xFF, 0xFF, 0xFF]))
    #expect(malformed.map(\.status) == [.badArgument])
    let long = try await host.responses(to: try await host.send(payload: [UInt8](repeating: 0, count: 70_000)))
    #expect(long.map(\.status) == [.badArgument])
    #expect(long.first?.detail == "a request of 70000 bytes, at most 65536 are taken")
    await host.board.close()
  }

  @Test func badFrameIsDroppedCountedAndTold() async throws {
    let host = try BoardHost()
    try await host.hello()
    let message = RequestMessage(
      operationID: 1,
      body: .pulse(
        Pulse(cells: BoardHost.block(1, 1), kind: .set, wordLine: Volts(2), bitLine: Volts(2), width: .microseconds(1)))
    )
    var bytes = try FrameEncoder(maximumPayloadBytes: 65536).encode(Frame(sequence: 77, payload: try message.payload()))
    bytes[bytes.count - 6] ^= 1
    try await host.link.send(bytes)
    #expect(try await host.event() == .badFrame(count: 1))
    let counters = try await host.request(GetCounters())
    #expect(counters.badFrames == 1)
    #expect(counters.pulses == 0)
    await host.board.close()
  }

  @Test func newSessionEndsWhatTheOldOneLeft() async throws {
    let host = try BoardHost()
    try await host.hello(session: 1)
    // Without credit the operation stays in the queue.
    let id = host.newOperationID()
    try await host.send(.form(try host.formRequest(BoardHost.block(4, 4), credit: 0)), id: id)
    #expect(try await host.request(Heartbeat()).queuedOperations == 1)
    let again = try await host.hello(session: 1)
    #expect(try await host.request(Heartbeat()).queuedOperations == 1)
    #expect(again.isEnergised == (try await host.request(Heartbeat()).isEnergised))
    let hello = try await host.hello(session: 2)
    #expect(!hello.isEnergised)
    let heartbeat = try await host.request(Heartbeat())
    #expect(heartbeat.queuedOperations == 0)
    #expect(heartbeat.lastSafeCause == .newSession)
    #expect(try await host.request(GetOperation(operationID: id)).state == .aborted)
    await host.board.close()
  }

  // MARK: Liveness

  @Test func powerOnStateIsSafe() async throws {
    let host = try BoardHost()
    let heartbeat = try await host.request(Heartbeat())
    #expect(heartbeat == HeartbeatResult(isEnergised: false, lastSafeCause: .powerOn, queuedOperations: 0))
    await host.board.close()
  }

  @Test func watchdogGroundsAnEnergisedBoard() async throws {
    let host = try BoardHost()
    try await host.hello()
    _ = try await host.read(BoardHost.block(1, 1))
    #expect(try await host.request(Heartbeat()).isEnergised)
    host.clock.advance(by: .milliseconds(2001))
    #expect(try await host.event() == .enteredSafe(.watchdog))
    let heartbeat = try await host.request(Heartbeat())
    #expect(heartbeat.lastSafeCause == .watchdog)
    #expect(!heartbeat.isEnergised)
    #expect(try await host.request(GetCounters()).watchdogTrips == 1)
    await host.board.close()
  }

  @Test func statusAndFramesFeedTheWatchdog() async throws {
    let host = try BoardHost()
    try await host.hello()
    _ = try await host.read(BoardHost.block(1, 1))
    for _ in 0..<4 {
      host.clock.advance(by: .milliseconds(1500))
      _ = try await host.link.control(.status)
      host.clock.advance(by: .milliseconds(1500))
      #expect(try await host.request(Heartbeat()).isEnergised)
    }
    #expect(host.events.isEmpty)
    await host.board.close()
  }

  @Test func controlIsAnsweredWhileFramesAreStuck() async throws {
    let host = try BoardHost()
    try await host.hello()
    try await host.form(BoardHost.block(2, 2))
    // Credit 0: the stream is stuck for good.
    try await host.send(.form(try host.formRequest(BoardHost.block(2, 2), credit: 0)))
    while try BoardStatus(bytes: try await host.link.control(.status)).operations == 0 { await Task.yield() }
    _ = try await host.link.control(.safe)
    let status = try BoardStatus(bytes: try await host.link.control(.status))
    #expect(!status.isEnergised)
    #expect(status.isGrounded)
    #expect(status.bootID == host.board.bootID)
    #expect(try await host.event() == .enteredSafe(.requested))
    #expect(try await host.request(Heartbeat()).queuedOperations == 0)
    await host.board.close()
  }

  @Test func resyncEndsTheSessionAndForgetsPartialFrames() async throws {
    let host = try BoardHost()
    try await host.hello()
    let whole = try FrameEncoder(maximumPayloadBytes: 1024).encode(
      Frame(sequence: 500, payload: try RequestMessage(body: .heartbeat(Heartbeat())).payload()))
    try await host.link.send(Array(whole.dropLast(3)))
    _ = try await host.link.control(.resync)
    while try BoardStatus(bytes: try await host.link.control(.status)).hasSession { await Task.yield() }
    let heartbeat = try await host.request(Heartbeat())
    #expect(heartbeat.lastSafeCause == .newSession)
    try await host.hello(session: 9)
    #expect(try await host.request(GetCounters()).badFrames == 0)
    await host.board.close()
  }

  @Test func lostLinkAbortsAndANewHostFindsTheBoardSafe() async throws {
    let host = try BoardHost()
    try await host.hello()
    let id = host.newOperationID()
    try await host.send(.form(try host.formRequest(BoardHost.block(8, 8), credit: 0)), id: id)
    #expect(try await host.request(Heartbeat()).queuedOperations == 1)
    host.link.unplug()
    let second = BoardHost(attachingTo: host)
    let heartbeat = try await second.request(Heartbeat())
    #expect(heartbeat == HeartbeatResult(isEnergised: false, lastSafeCause: .linkLost, queuedOperations: 0))
    try await second.hello(session: 7)
    #expect(try await second.request(GetOperation(operationID: id)).state == .aborted)
    await host.board.close()
  }

  @Test func safeEndsOperationsAndSaysHowMany() async throws {
    let host = try BoardHost()
    try await host.hello()
    let stream = try await host.send(.form(try host.formRequest(BoardHost.block(4, 4), credit: 0)))
    let safe = try await host.request(Safe())
    #expect(safe == SafeResult(abortedOperations: 1, isGrounded: true))
    #expect(try await host.responses(to: stream).last?.status == .aborted)
    await host.board.close()
  }

  // MARK: Time, labels, converters

  @Test func chipTimeMovesByWorkAndByAdvance() async throws {
    let host = try BoardHost()
    try await host.hello()
    let before = try #require(try await host.exchange(.heartbeat(Heartbeat())).first).boardTime
    _ = try await host.request(AdvanceTime(duration: .seconds(3600)))
    let after = try #require(try await host.exchange(.heartbeat(Heartbeat())).first).boardTime
    #expect(after - before == .seconds(3600))
    // A row of 64 columns: settling 1 µs + integration 1 µs + conversion 1 µs, then one round trip of 125 µs.
    _ = try await host.read(BoardHost.block(1, 64))
    let read = try #require(try await host.exchange(.heartbeat(Heartbeat())).first).boardTime
    #expect(read - after >= .microseconds(128) && read - after < .microseconds(140))
    let refused = try await host.failure(.advanceTime(AdvanceTime(duration: .seconds(4_000_000_000))))
    #expect(refused.status == .badArgument)
    await host.board.close()
  }

  @Test func multiplexedAmplifiersTakeTheirTurns() async throws {
    let host = try BoardHost(board: "multiplexed")
    try await host.hello()
    let counters = try await host.request(GetCounters())
    _ = try await host.read(BoardHost.block(1, 64))
    let busy = try await host.request(GetCounters()).busy - counters.busy
    // Eight columns an amplifier: 8 × (1 + 2 + 2) µs.
    #expect(busy == .microseconds(40))
    await host.board.close()
  }

  @Test func labelsAreKeptAndWritesAreCounted() async throws {
    let host = try BoardHost()
    try await host.hello()
    let fresh = try await host.request(GetLabel(macro: 2))
    #expect(fresh == MacroLabel(macro: 2, writeCounter: 0))
    let label = (0..<16).map { UInt8($0 * 3) }
    #expect(try await host.request(SetLabel(macro: 2, label: label)).label == label)
    try await host.form(BoardHost.block(1, 2, macro: 2))
    _ = try await host.read(BoardHost.block(1, 2, macro: 2))
    let now = try await host.request(GetLabel(macro: 2))
    #expect(now == MacroLabel(macro: 2, label: label, writeCounter: 1))
    #expect(try await host.failure(.getLabel(GetLabel(macro: 9))).status == .badArgument)
    await host.board.close()
  }

  @Test func linesThatAreSetAreLimitedLikeReads() async throws {
    let host = try BoardHost()
    try await host.hello()
    let set = try await host.request(SetDAC(kind: .wordLine, channel: 3, code: DACCode(rawValue: 901)))
    #expect(abs(set.voltage.rawValue - 901 * 5.0 / 4096) < 1e-6)
    // 0.5 V: pulses may have it, what stands on a line may not.
    for kind in [DACKind.bitLine, .sourceLine] {
      let refused = try await host.failure(.setDAC(SetDAC(kind: kind, channel: 0, code: DACCode(rawValue: 410))))
      #expect(refused.status == .limitRefused)
      #expect(refused.refusal?.limit == .read)
      #expect(refused.refusal?.maximum == 0.3)
    }
    let channel = try await host.failure(.setDAC(SetDAC(kind: .preset, channel: 2, code: DACCode(rawValue: 0))))
    #expect(channel.detail == "channel 2 of 2: set_dac.channel")
    let temperature = try await host.request(ReadADC(kind: .temperature, channel: 0))
    #expect(temperature.value == 25)
    await host.board.close()
  }

  @Test func theChipStandsAtTheTemperatureThatItIsBroughtTo() async throws {
    let host = try BoardHost()
    try await host.hello()
    _ = try await host.request(AdvanceTime(duration: .zero, celsius: 85))
    #expect(try await host.request(ReadADC(kind: .temperature, channel: 0)).value == 85)
    let refused = try await host.failure(.advanceTime(AdvanceTime(duration: .zero, celsius: 300)))
    #expect(refused.detail == "300.0 °C is not between 0.0 and 200.0: advance_time.temperature_c")
    await host.board.close()
  }

  /// Board `multiplexed`, seed 0: amplifiers differ by 0.1 % and 0.2 mV, 5 nS at 0.2 V and 100 kΩ or less; resistors of 20 and 100 kΩ ± 0.1 %.
  /// Eight columns share an amplifier and so its errors; bound 4 σ and 6 of the converter's noise.
  @Test func knownInputsShowWhatAnAmplifierAdds() async throws {
    let host = try BoardHost(board: "multiplexed")
    try await host.hello()
    let macros = (count: 2, shape: MacroShape(rows: 64, columns: 64))
    func read(_ number: Int, _ column: Int) async throws -> Double {
      let values = [
        try await host.request(ReadADC.reference(number, macro: 1, column: column, of: macros)),
        try await host.request(ReadADC.reference(number, macro: 1, column: column, of: macros)),
      ]
      #expect(values.allSatisfy { !$0.isSaturated })
      return (values[0].value + values[1].value) / 2
    }
    let (open, low, high) = (try await read(0, 9), try await read(2, 9), try await read(1, 9))
    #expect(abs(open) < 0.12e-6 && open != 0)
    #expect(abs(low - 10e-6) < 0.2e-6 && abs(high - 50e-6) < 0.5e-6, "\(low) \(high)")
    #expect(abs(try await read(1, 15) - high) < 0.03e-6)
    #expect(abs(try await read(1, 16) - high) > 0)
    let beyond = try await host.failure(.readADC(ReadADC(kind: .reference, channel: 5 * 3 * 128)))
    #expect(beyond.detail == "channel 1920 of 1920: read_adc.channel")
    await host.board.close()
  }

  /// Board `parallel` whose converters differ by 1 mV and 0.5 %, seed 2: what is read back is the channel's line behind that of the
  /// measuring converter, to within 4 σ of the latter's 8 µV and its code; after Safe it is that of 0 V.
  @Test func convertersAreReadBack() async throws {
    var loop = try #require(try BoardDescription.named("parallel").closedLoop)
    loop.imperfections.converterOffset = Volts(1e-3)
    loop.imperfections.converterGain = 0.005
    let host = try BoardHost(seed: 2) { $1.closedLoop = loop }
    try await host.hello()
    let periphery = LoopPeriphery(loop, seed: 2)
    let reader = periphery.line(nil, channel: 0)
    let bound = 4 * 8e-6 + 8e-6
    let ground = try await host.request(ReadADC.ground).value
    #expect(abs(ground - reader.offset) < bound && abs(ground) > bound)
    let reference = try await host.request(ReadADC.voltageReference).value
    #expect(abs(reference - reader.of(Volts(0.5)).rawValue) < 0.5 * 0.0005 + bound)
    let cases: [(DACKind, LoopConverter, Int)] = [
      (.coefficient, .coefficient, 1), (.embedding, .embedding, 13), (.offset, .offset, 0), (.preset, .preset, 1),
      (.noise, .noise, 1),
    ]
    for (dac, kind, channel) in cases {
      let converter = try #require(loop.converter(of: kind))
      let code = try #require(converter.code(nearest: 0.2 * converter.range.upperBound))
      _ = try await host.request(SetDAC(kind: dac, channel: channel, code: code))
      let line = periphery.line(kind, channel: channel)
      let shown = try await host.request(ReadADC.loopback(dac, channel: channel)).value
      #expect(abs(shown - reader.of(line.of(converter.volts(code))).rawValue) < bound, "\(kind): \(shown)")
      #expect(abs(line.gain - 1) > 1e-4 && abs(line.offset) > 1e-5)
    }
    // The integrator took what its preset converter gave, and the read-out converter shows it in its own way.
    let preset = try #require(loop.preset.code(nearest: 0.2 * loop.preset.range.upperBound))
    let loaded = periphery.line(.preset, channel: 1).of(loop.preset.volts(preset))
    let seen = try await host.request(ReadADC(kind: .integrator, channel: 1)).value
    #expect(abs(seen - periphery.line(.readOut, channel: 1).of(loaded).rawValue) < 2e-5)
    _ = try await host.request(Safe())
    #expect(abs(try await host.request(ReadADC.loopback(.preset, channel: 1)).value - reader.offset) < bound)
    let line = try await host.failure(.readADC(ReadADC.loopback(.wordLine, channel: 0)))
    #expect(line.detail == "a line's driver cannot be read back: read_adc.dac_kind")
    let beyond = try await host.failure(.readADC(ReadADC.loopback(.embedding, channel: 14)))
    #expect(beyond.detail == "channel 14 of 14: read_adc.channel")
    await host.board.close()
    let without = try BoardHost(board: "multiplexed")
    try await without.hello()
    let refused = try await without.failure(.readADC(ReadADC.loopback(.preset, channel: 0)))
    #expect(refused.status == .unsupported)
    #expect(refused.detail == "no converter of board multiplexed can be read back: read_adc.kind")
    await without.board.close()
  }

  @Test func columnConverterSeesTheLinesThatAreSet() async throws {
    let host = try BoardHost()
    try await host.hello()
    try await host.form(BoardHost.block(1, 2))
    let conductance = try #require(try await host.read(BoardHost.block(1, 2)).last)
    for (kind, code) in [(DACKind.wordLine, 901), (.bitLine, 164)] {
      _ = try await host.request(SetDAC(kind: kind, channel: 0, code: DACCode(rawValue: UInt32(code))))
    }
    let result = try await host.request(ReadADC(kind: .column, channel: 1))
    // 164 codes of 5/4096 V through the cell into 30 kΩ, the largest gain that fits.
    let expected = Double(conductance) * 164 * 5 / 4096 * 30e3
    #expect(abs(result.value - expected) < 1e-3)
    #expect(!result.isSaturated)
    await host.board.close()
  }

  // MARK: Garbage

  @Test func randomBytesNeitherTrapNorStopTheBoard() async throws {
    let host = try BoardHost()
    try await host.hello()
    var draws = PhiloxStream(seed: 1, stream: (1, 2, 3))
    // Frames with right checks and wrong contents get further than noise does.
    let encoder = FrameEncoder(maximumPayloadBytes: 65536)
    var sent = 0
    var bytes: [UInt8] = []
    while sent < 100_000 {
      let count = Int(draws.nextWord() % 200)
      var piece = (0..<count).map { _ in UInt8(truncatingIfNeeded: draws.nextWord()) }
      if draws.nextWord() % 3 == 0 { piece = try encoder.encode(Frame(sequence: draws.nextWord() | 1, payload: piece)) }
      bytes += piece
      sent += piece.count
    }
    try await host.link.send(bytes)
    // A frame boundary for whatever was left open.
    _ = try await host.link.control(.resync)
    let hello = try await host.hello(session: 8)
    #expect(hello.serial == "EMU-1")
    #expect(try await host.request(GetCounters()).pulses == 0)
    await host.board.close()
  }

  @Test func mutatedRequestsNeitherTrapNorStopTheBoard() async throws {
    let host = try BoardHost(changing: { _, board in board.macros.shape = MacroShape(rows: 8, columns: 8) })
    try await host.hello()
    var draws = PhiloxStream(seed: 2, stream: (1, 2, 3))
    let requests: [RequestBody] = [
      .form(try host.formRequest(BoardHost.block(2, 2))),
      .writeVerify(try host.writeVerify(BoardHost.block(1, 2), targets: [1e-5, 2e-5])),
      .readCells(ReadCells(cells: BoardHost.block(2, 2), bias: BoardHost.readBias)),
      .matrixProduct(
        MatrixProduct(block: BoardHost.block(2, 2).block, inputs: [0.1, 0.2], wordLine: Volts(1.1))),
      .setLabel(SetLabel(macro: 0, label: [UInt8](repeating: 1, count: 16))),
      .setDAC(SetDAC(kind: .bitLine, channel: 0, code: DACCode(rawValue: 1))),
      .readADC(ReadADC(kind: .column, channel: 0)),
      .advanceTime(AdvanceTime(duration: .seconds(1))),
      .uploadSchedule(
        UploadSchedule(
          scheduleID: 1, ticks: 1, tick: .microseconds(1), firstTick: 0, count: 1,
          codes: [UInt16](repeating: 1, count: 18))),
      .runLoop(RunLoop(scheduleID: 1, samples: 1, preset: [0, 0], seed: 1, credit: 5)),
    ]
    for round in 0..<2000 {
      let body = requests[round % requests.count]
      var payload = try RequestMessage(operationID: body.needsOperationID ? UInt64(round + 1) : 0, body: body).payload()
      for _ in 0...Int(draws.nextWord() % 3) {
        payload[Int(draws.nextWord()) % payload.count] = UInt8(truncatingIfNeeded: draws.nextWord())
      }
      let sequence = try await host.send(payload: payload)
      // Some mutants are streams without credit: Abort ends them.
      try await host.send(.abort(Abort(operationID: 0)))
      _ = try await host.responses(to: sequence)
    }
    #expect(try await host.hello(session: 9).serial == "EMU-1")
    await host.board.close()
  }
}
