import RRAMProfiles
import RRAMTransport
import RRAMUnits
import RRAMWire
import Testing

@testable import RRAMBoard

private let handshake = ["hello", "get_description", "get_limits"]

/// Nothing may wait once a board is closed.
private func expectNothingWaits(_ board: Board, sourceLocation: SourceLocation = #_sourceLocation) async {
  #expect(await board.link.waitingCount == 0, sourceLocation: sourceLocation)
}

@Suite struct BoardTests {
  // MARK: handshake

  @Test func theHandshakeReadsWhoTheBoardIs() async throws {
    let device = try ScriptedDevice()
    let board = try await open(device)
    #expect(board.info.serial == "RR-0042")
    #expect(board.info.firmwareVersion == "0.9.1")
    #expect(board.info.bootID == 7)
    #expect(board.info.isEmulated)
    #expect(board.boardDescription.document == (try BoardDescription.named("parallel").document))
    #expect(board.limits.bitLine == Volts(1.5))
    try await board.close()
    #expect(device.trace == handshake + ["safe"])
    await expectNothingWaits(board)
  }

  @Test func firmwareThatRefusesTheLevelIsNamedWithBothVersions() async throws {
    let device = try ScriptedDevice { device, request in
      guard case .hello = request.body else { return false }
      var hello = ScriptedDevice.hello(level: 2)
      hello.protocolLevel = 0
      hello.firmwareMaximumLevel = 3
      device.reply(request, .hello(hello), status: .versionMismatch)
      return true
    }
    let error = await #expect(throws: BoardError.self) { try await open(device) }
    #expect(error?.code == .versionMismatch)
    #expect(
      error?.description
        == "emu:: the firmware 0.9.1 speaks protocol levels 2 to 3, this host \(ProtocolLevel.minimum) to \(ProtocolLevel.current)"
    )
    #expect(device.trace == ["hello"])
  }

  @Test func aLevelTheHostDoesNotSpeakIsRefused() async throws {
    let device = try ScriptedDevice(hello: ScriptedDevice.hello(level: ProtocolLevel.current + 1))
    let error = await #expect(throws: BoardError.self) { try await open(device) }
    #expect(error?.code == .versionMismatch)
  }

  @Test func aDescriptionThatIsNoneIsRefused() async throws {
    let device = try ScriptedDevice { device, request in
      guard case .getDescription = request.body else { return false }
      device.reply(request, .description(DescriptionPage(firstIndex: 0, total: 4, page: Array("a: b".utf8))))
      return true
    }
    let error = await #expect(throws: BoardError.self) { try await open(device) }
    #expect(error?.code == .badDescription)
  }

  @Test func aSilentBoardTimesOut() async throws {
    let clock = TestClock()
    let device = try ScriptedDevice { _, _ in true }
    let opening = Task { try await open(device, clock: clock) }
    _ = await device.arrival("hello")
    clock.advance(by: .seconds(5))
    let error = await #expect(throws: BoardError.self) { try await opening.value }
    #expect(error?.code == .timedOut)
    #expect(error?.message == "no answer to hello within 5.0 seconds")
  }

  // MARK: requests in flight

  @Test func answersMayComeInAnotherOrder() async throws {
    let held = Monitor<[ScriptedDevice.Received]>([])
    let device = try ScriptedDevice { device, request in
      guard case .readCells(let read) = request.body else { return false }
      let all = held.withLock {
        $0.append(request)
        return $0
      }
      guard all.count == 3 else { return true }
      for request in all.reversed() {
        guard case .readCells(let asked) = request.body else { continue }
        let values = Array(repeating: Float(asked.cells.block.macro), count: read.cells.count)
        device.reply(request, .conductances(Conductances(firstIndex: 0, conductance: values)))
      }
      return true
    }
    let board = try await open(device)
    try await withThrowingTaskGroup(of: (Int, [Float]).self) { group in
      for macro in 0..<3 {
        group.addTask {
          (macro, try await board.read(CellBlock(macro: macro, shape: MacroShape(rows: 2, columns: 2))))
        }
      }
      for try await (macro, values) in group { #expect(values == Array(repeating: Float(macro), count: 4)) }
    }
    try await board.close()
    await expectNothingWaits(board)
  }

  @Test func noMoreRequestsAreSentThanTheBoardTakes() async throws {
    let device = try ScriptedDevice(hello: ScriptedDevice.hello(maximumInFlight: 2))
    let board = try await open(device)
    let tasks = (0..<3).map { _ in Task { try await board.pulse(pulse()) } }
    let first = await device.arrival("pulse")
    _ = await device.arrival("pulse")
    // Abort needs no place; that it is answered shows that nothing else is on the way.
    try await board.abort(5)
    #expect(device.trace.count { $0.hasPrefix("pulse") } == 2)
    device.reply(first, .cellResults(CellResults(firstIndex: 0, count: 0)))
    _ = await device.arrival("pulse")
    try await board.close()
    for task in tasks { _ = await task.result }
    await expectNothingWaits(board)
  }

  @Test func aWholeMacroIsReadWithOneRequest() async throws {
    let device = try ScriptedDevice { device, request in
      guard case .readCells(let read) = request.body else { return false }
      let values = (0..<read.cells.count).map { Float($0) }
      device.reply(request, .conductances(Conductances(firstIndex: 0, conductance: Array(values[..<3000]))), more: true)
      device.reply(request, .conductances(Conductances(firstIndex: 3000, conductance: Array(values[3000...]))))
      return true
    }
    let board = try await open(device)
    let values = try await board.read(CellBlock(macro: 1, shape: MacroShape(rows: 64, columns: 64)))
    #expect(values == (0..<4096).map { Float($0) })
    #expect(device.trace == handshake + ["read_cells 1001"])
    try await board.close()
  }

  @Test func partsThatDoNotJoinAreAnError() async throws {
    let device = try ScriptedDevice { device, request in
      guard case .readCells = request.body else { return false }
      device.reply(request, .conductances(Conductances(firstIndex: 0, conductance: [1, 2])), more: true)
      device.reply(request, .conductances(Conductances(firstIndex: 3, conductance: [4])))
      return true
    }
    let board = try await open(device)
    let error = await #expect(throws: BoardError.self) { try await board.read(block) }
    #expect(error?.code == .protocolViolation)
    try await board.close()
  }

  // MARK: deadlines

  @Test func aLostAnswerIsAskedForAndNeverRepeated() async throws {
    let clock = TestClock()
    let device = try ScriptedDevice { device, request in
      if case .getOperation(let question) = request.body {
        device.reply(
          request, .operation(OperationState(operationID: question.operationID, state: .done, finished: 16, total: 16)))
        return true
      }
      return false
    }
    let board = try await open(device, clock: clock)
    let pulsing = Task { try await board.pulse(pulse()) }
    let request = await device.arrival("pulse")
    clock.advance(by: .seconds(11))
    let error = await #expect(throws: BoardError.self) { try await pulsing.value }
    #expect(error?.code == .timedOut)
    #expect(error?.operationID == 1001)
    #expect(try await board.operationState(1001).state == .done)
    device.reply(request, .cellResults(CellResults(firstIndex: 0, count: 0)))
    _ = try await board.counters()
    let statistics = await board.statistics
    #expect(statistics.lateFrames == 1)
    #expect(statistics.timeouts == 1)
    try await board.close()
    #expect(device.trace.count { $0.hasPrefix("pulse") } == 1)
    await expectNothingWaits(board)
  }

  @Test func progressRenewsTheDeadline() async throws {
    let clock = TestClock()
    let device = try ScriptedDevice()
    let board = try await open(device, clock: clock)
    let seen = Monitor<[Int]>([])
    let cells = CellSelection(block: block)
    let (progressed, sink) = AsyncStream<Void>.makeStream()
    let writing = Task {
      try await board.writeVerify(writeVerify(cells)) { progress in
        seen.withLock { $0.append(progress.finished) }
        sink.yield()
      }
    }
    let request = await device.arrival("write_verify")
    var steps = progressed.makeAsyncIterator()
    for round in 1...5 {
      clock.advance(by: .seconds(9))
      device.reply(
        request,
        .cellResults(
          CellResults(firstIndex: 0, count: 0, progress: OperationProgress(finished: round, total: 16, rounds: round))),
        more: true)
      await steps.next()
    }
    device.reply(
      request,
      .cellResults(
        CellResults(
          firstIndex: 0, count: 16, conductance: Array(repeating: 50e-6, count: 16),
          pulses: Array(repeating: 3, count: 16), reads: Array(repeating: 4, count: 16),
          reasons: Array(repeating: .converged, count: 16),
          progress: OperationProgress(finished: 16, total: 16, pulses: 48, reads: 64, rounds: 6))))
    let report = try await writing.value
    #expect(report.convergedCount == 16)
    #expect(report.totalPulses == 48)
    #expect(report.rounds == 6)
    #expect(report.operationIDs == [1001])
    #expect(seen.withLock { $0 } == [1, 2, 3, 4, 5, 16])
    try await board.close()
  }

  @Test func heartbeatsAreSentOnlyWhileEnergised() async throws {
    let clock = TestClock()
    let device = try ScriptedDevice { device, request in
      guard case .pulse = request.body else { return false }
      device.reply(request, .cellResults(CellResults(firstIndex: 0, count: 0)))
      return true
    }
    let board = try await open(device, clock: clock)
    clock.advance(by: .seconds(1))
    _ = try await board.counters()
    #expect(device.trace == handshake + ["get_counters"])
    _ = try await board.pulse(pulse())
    for _ in 0..<3 {
      clock.advance(by: .milliseconds(500))
      _ = await device.arrival("heartbeat")
    }
    try await board.safe()
    clock.advance(by: .seconds(2))
    _ = try await board.counters()
    try await board.close()
    #expect(
      device.trace
        == handshake + [
          "get_counters", "pulse 1001", "heartbeat", "heartbeat", "heartbeat", "safe", "get_counters", "safe",
        ]
    )
    #expect(await board.statistics.heartbeats == 3)
    await expectNothingWaits(board)
  }

  // MARK: reboot, damage, loss

  @Test func aRebootMakesWhatIsInFlightUnknown() async throws {
    let device = try ScriptedDevice()
    let board = try await open(device)
    let first = Task { try await board.pulse(pulse()) }
    _ = await device.arrival("pulse")
    let second = Task { try await board.read(block) }
    _ = await device.arrival("read_cells")
    device.reboot()
    device.raise(.enteredSafe(.powerOn))
    for result in [await first.result.map { _ in 0 }, await second.result.map { _ in 0 }] {
      let error = #expect(throws: BoardError.self) { try result.get() }
      #expect(error?.code == .rebooted)
      #expect(error?.operationID != nil)
    }
    #expect(try await board.operationState(1001).state == .unknown)
    #expect(await board.statistics.reboots == 1)
    try await board.resume()
    _ = try await board.counters()
    try await board.close()
    #expect(device.trace.suffix(4) == ["get_operation 1001", "hello", "get_counters", "safe"])
  }

  @Test func aDamagedAnswerIsCountedAndTheOperationNotRepeated() async throws {
    let device = try ScriptedDevice { device, request in
      guard case .pulse = request.body else { return false }
      device.reply(request, .cellResults(CellResults(firstIndex: 0, count: 0)), flip: 3)
      return true
    }
    let board = try await open(device)
    let error = await #expect(throws: BoardError.self) { try await board.pulse(pulse()) }
    #expect(error?.code == .replyLost)
    #expect(error?.operationID == 1001)
    #expect(await board.statistics.badFrames == 1)
    try await board.close()
    #expect(device.trace == handshake + ["pulse 1001", "safe"])
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func aDamagedRequestTimesOutAndIsNotRepeated(seed: UInt64) async throws {
    let clock = TestClock()
    let device = try ScriptedDevice()
    let transport = FaultInjectingTransport(InMemoryLink(to: device), seed: seed)
    let board = try await Board.open(transport, clock: clock, configuration: configuration())
    var faults = FaultInjectingTransport.Faults()
    faults.corrupt = 1
    transport.set(sending: faults)
    let pulsing = Task { try await board.pulse(pulse()) }
    while device.damagedBytes == 0 && transport.injectedFaults.sending == 0 { await Task.yield() }
    transport.set(sending: .init())
    clock.advance(by: .seconds(11))
    let error = await #expect(throws: BoardError.self) { try await pulsing.value }
    #expect(error?.code == .timedOut)
    #expect(try await board.operationState(1001).state == .unknown)
    #expect(device.damagedBytes > 0)
    try await board.close()
    #expect(!device.trace.contains { $0.hasPrefix("pulse") })
  }

  @Test func whatTheBoardSaysUnaskedIsCountedOrPassedOn() async throws {
    let device = try ScriptedDevice()
    let board = try await open(device)
    device.raise(.badFrame(count: 3))
    device.raise(.faultRaised(.overCurrent))
    device.raise(.enteredSafe(.fault))
    var events = board.events.makeAsyncIterator()
    #expect(await events.next() == .faultRaised(.overCurrent))
    #expect(await events.next() == .enteredSafe(.fault))
    #expect(await board.statistics.badFramesAtBoard == 3)
    try await board.close()
    #expect(await events.next() == nil)
  }

  @Test func losingTheLinkEndsEveryWait() async throws {
    let device = try ScriptedDevice(hello: ScriptedDevice.hello(maximumInFlight: 1))
    let link = InMemoryLink(to: device)
    let board = try await Board.open(link, clock: TestClock(), configuration: configuration())
    let first = Task { try await board.pulse(pulse()) }
    _ = await device.arrival("pulse")
    let waiting = Task { try await board.pulse(pulse()) }
    link.unplug()
    for task in [first, waiting] {
      let error = await #expect(throws: BoardError.self) { try await task.value }
      #expect(error?.code == .linkLost)
    }
    let closing = await #expect(throws: BoardError.self) { try await board.close() }
    #expect(closing?.code == .notSafe)
    await expectNothingWaits(board)
  }

  // MARK: the way out

  @Test func cancellingAbortsThenMakesSafe() async throws {
    let device = try ScriptedDevice { device, request in
      guard case .writeVerify = request.body else { return false }
      device.reply(request, .cellResults(CellResults(firstIndex: 0, count: 0)), more: true)
      return true
    }
    let task = Task {
      try await withBoard(InMemoryLink(to: device), clock: TestClock(), configuration: configuration()) { board in
        try await board.writeVerify(writeVerify(CellSelection(block: block)))
      }
    }
    _ = await device.arrival("write_verify")
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(device.trace == handshake + ["write_verify 1001", "abort 1001", "safe"])
    #expect(device.controls.isEmpty)
  }

  @Test func theErrorOfTheBodyWinsAndTheBoardIsSafe() async throws {
    struct Failure: Error {}
    let device = try ScriptedDevice()
    await #expect(throws: Failure.self) {
      try await withBoard(InMemoryLink(to: device), clock: TestClock(), configuration: configuration()) { _ in
        throw Failure()
      }
    }
    #expect(device.trace == handshake + ["safe"])
  }

  @Test func stuckFramesAreMadeSafeByControl() async throws {
    let clock = TestClock()
    let device = try ScriptedDevice()
    let board = try await open(device, clock: clock)
    device.becomeDeaf()
    let closing = Task { try await board.close() }
    // The Safe frame is sent and gets no answer.
    while await board.statistics.requests < 4 { await Task.yield() }
    clock.advance(by: .seconds(1))
    try await closing.value
    #expect(device.controls == [.safe])
    #expect(device.trace == handshake)
    await expectNothingWaits(board)
  }

  @Test func closingTwiceAndUsingAClosedBoardIsHarmless() async throws {
    let device = try ScriptedDevice()
    let board = try await open(device)
    try await board.close()
    try await board.close()
    let error = await #expect(throws: BoardError.self) { try await board.counters() }
    #expect(error?.code == .closed)
    #expect(device.trace == handshake + ["safe"])
  }

  @Test func anOperationThatEndedEarlyKeepsWhatItDid() async throws {
    let device = try ScriptedDevice { device, request in
      guard case .writeVerify = request.body else { return false }
      let part = CellResults(
        firstIndex: 0, count: 2, conductance: [1e-5, 2e-5], pulses: [3, 4], reads: [5, 6],
        reasons: [.converged, .pulseLimit])
      device.reply(request, .cellResults(part), more: true)
      device.reply(request, nil, status: .aborted, detail: "watchdog")
      return true
    }
    let board = try await open(device)
    let error = await #expect(throws: BoardError.self) {
      try await board.writeVerify(writeVerify(CellSelection(block: block)))
    }
    #expect(error?.code == .aborted)
    #expect(error?.message == "write_verify: aborted: watchdog")
    #expect(error?.partial?.pulses.prefix(3) == [3, 4, 0])
    #expect(error?.partial?.reasons[2] == .notReached)
    try await board.close()
  }

  // MARK: books

  @Test func theBusIsModelledFromRoundTripsAndBytes() async throws {
    let device = try ScriptedDevice()
    let board = try await open(device)
    let before = await board.statistics
    for _ in 0..<4 { _ = try await board.counters() }
    let after = await board.statistics
    #expect(after.requests - before.requests == 4)
    #expect(after.roundTrips - before.roundTrips == 4)
    let bytes = Double(after.bytesSent + after.bytesReceived)
    #expect(abs(after.busSeconds - (Double(after.roundTrips) * 125e-6 + bytes / 40e6)) < 1e-12)
    try await board.close()
  }

  @Test func recordingAndReplayingGiveTheSameReport() async throws {
    let scratch = Scratch()
    let device = try ScriptedDevice { device, request in
      guard case .readCells(let read) = request.body else { return false }
      device.reply(
        request,
        .conductances(
          Conductances(firstIndex: 0, conductance: (0..<read.cells.count).map { Float($0) * 1e-6 })))
      return true
    }
    let recorder = try RecordingTransport(InMemoryLink(to: device), path: scratch.path)
    func session(_ transport: any Transport) async throws -> [Float] {
      try await withBoard(transport, clock: TestClock(), configuration: configuration()) { try await $0.read(block) }
    }
    let recorded = try await session(recorder)
    try await recorder.finish()
    #expect(try await session(ReplayingTransport(path: scratch.path)) == recorded)
    // Another session sends other bytes: its id is in the hello.
    let other = await #expect(throws: BoardError.self) {
      try await Board.open(ReplayingTransport(path: scratch.path), clock: TestClock())
    }
    #expect(other?.code == .linkLost)
  }

  @Test func aBoardOnASocketIsTheSameBoard() async throws {
    let scratch = Scratch()
    let device = try ScriptedDevice()
    let server = try UnixSocketServer(path: scratch.path, endpoint: device)
    let transport = try await UnixSocketTransport.open(path: scratch.path)
    let board = try await Board.open(transport, clock: TestClock(), configuration: configuration())
    #expect(try await board.counters().pulses == 5)
    try await board.close()
    await server.close()
    #expect(device.trace == handshake + ["get_counters", "safe"])
  }
}
