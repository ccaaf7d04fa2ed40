import RRAMTransport
import RRAMUnits
import RRAMWire
import Testing

@testable import RRAMBoard

/// Sends numbered results as far as it has credit, and keeps the books.
private final class CreditedScript: Sendable {
  struct State {
    var request: ScriptedDevice.Received?
    var credit = 0
    var granted = 0
    var sent = 0
  }

  let total: Int
  let state = Monitor(State())

  init(total: Int) { self.total = total }

  func handle(_ device: ScriptedDevice, _ request: ScriptedDevice.Received) -> Bool {
    let frames: (request: ScriptedDevice.Received, range: Range<Int>)? = state.withLock { s in
      switch request.body {
      case .runLoop(let run):
        s.request = request
        s.credit = run.credit
        s.granted = run.credit
      case .credit(let credit):
        s.credit += credit.frames
        s.granted += credit.frames
      default:
        return nil
      }
      guard let request = s.request else { return nil }
      let first = s.sent
      let count = min(s.credit, total - s.sent)
      s.sent += count
      s.credit -= count
      return (request, first..<first + count)
    }
    guard let frames else { return false }
    for index in frames.range {
      device.reply(
        frames.request,
        .runResults(
          RunResults(
            firstIndex: index, x: [UInt16(index), 0], overRange: [[]], presetTime: .zero, loopTime: .zero,
            conversionTime: .zero)), more: index < total - 1)
    }
    return true
  }
}

@Suite struct ResponseStreamTests {
  private let run = RunLoop(scheduleID: 1, samples: 100, preset: Array(repeating: 0, count: 200), seed: 0, credit: 0)

  @Test(arguments: [1, 2, 3, 8, 1000])
  func theBoardNeverSendsMoreThanTheConsumerTakesPlusTheWindow(window: Int) async throws {
    let script = CreditedScript(total: 100)
    let device = try ScriptedDevice(script: script.handle)
    let board = try await open(device)
    var taken = 0
    for try await result in try await board.stream(run, window: window) {
      #expect(result.firstIndex == taken)
      taken += 1
      let (granted, sent) = script.state.withLock { ($0.granted, $0.sent) }
      #expect(sent <= granted)
      #expect(granted <= taken + window)
    }
    #expect(taken == 100)
    try await board.close()
    #expect(await board.link.waitingCount == 0)
  }

  @Test func aConsumerThatDoesNotTakePausesTheBoardWithoutATimeout() async throws {
    let clock = TestClock()
    let script = CreditedScript(total: 100)
    let device = try ScriptedDevice(script: script.handle)
    let board = try await open(device, clock: clock)
    let stream = try await board.stream(run, window: 4)
    var iterator = stream.makeAsyncIterator()
    _ = try await iterator.next()
    // Behind its answer all that was granted has arrived: the board owes nothing.
    _ = try await board.counters()
    clock.advance(by: .seconds(1000))
    _ = try await board.counters()
    #expect(script.state.withLock { $0.sent } == 4)
    var taken = 1
    while try await iterator.next() != nil { taken += 1 }
    #expect(taken == 100)
    try await board.close()
  }

  @Test func aBoardThatSendsMoreThanGrantedIsRefused() async throws {
    let device = try ScriptedDevice { device, request in
      guard case .runLoop = request.body else { return false }
      // Far more than the window: whatever the consumer takes meanwhile, the grant is overrun before the counters answer.
      for index in 0..<10 {
        device.reply(
          request,
          .runResults(
            RunResults(
              firstIndex: index, x: [0, 0], overRange: [[]], presetTime: .zero, loopTime: .zero, conversionTime: .zero)),
          more: true)
      }
      return true
    }
    let board = try await open(device)
    let error = await #expect(throws: BoardError.self) {
      for try await _ in try await board.stream(run, window: 2) { _ = try await board.counters() }
    }
    #expect(error?.code == .protocolViolation)
    try await board.close()
  }

  @Test func droppingTheStreamAbortsItsOperation() async throws {
    let script = CreditedScript(total: 100)
    let device = try ScriptedDevice(script: script.handle)
    let board = try await open(device)
    for try await _ in try await board.stream(run, window: 4) { break }
    let abort = await device.arrival("abort")
    #expect(abort.body == .abort(Abort(operationID: 1001)))
    try await board.close()
    #expect(await board.link.waitingCount == 0)
  }

  @Test func runsThatDoNotFitAreSplitAndJoinedInOrder() async throws {
    let device = try ScriptedDevice(hello: ScriptedDevice.hello(maximumRequestBytes: 1024, maximumInFlight: 2)) {
      device, request in
      guard case .runLoop(let run) = request.body else { return false }
      device.reply(
        request,
        .runResults(
          RunResults(
            firstIndex: 0, x: run.preset, overRange: Array(repeating: [], count: run.samples),
            presetTime: .nanoseconds(run.samples), loopTime: .nanoseconds(2 * run.samples), conversionTime: .zero)))
      return true
    }
    let board = try await open(device)
    let preset = (0..<2000).map { UInt16($0) }
    var x: [UInt16] = []
    var last: LoopBatch?
    for try await batch in board.runLoop(LoopRun(scheduleID: 1, preset: preset, seed: 9, firstSample: 50)) {
      #expect(batch.firstIndex == x.count / 2)
      x += batch.x
      last = batch
    }
    #expect(x == preset)
    #expect(last?.presetTime == .nanoseconds(1000))
    #expect(last?.loopTime == .nanoseconds(2000))
    // 1024 − 128 bytes hold 224 samples of 4 bytes: 1000 samples are 5 commands, each its own operation.
    #expect(device.trace.filter { $0.hasPrefix("run_loop") } == (1001...1005).map { "run_loop \($0)" })
    try await board.close()
  }

  @Test func schedulesAreUploadedInParts() async throws {
    let parts = Monitor<[UploadSchedule]>([])
    let device = try ScriptedDevice(hello: ScriptedDevice.hello(maximumRequestBytes: 1024)) { device, request in
      guard case .uploadSchedule(let part) = request.body else { return false }
      let received = parts.withLock {
        $0.append(part)
        return $0.reduce(0) { $0 + $1.count }
      }
      device.reply(request, .uploadSchedule(UploadScheduleResult(received: received)))
      return true
    }
    let board = try await open(device)
    let codes = (0..<200 * 18).map { UInt16($0) }
    let noise = (0..<200).map { Float($0) }
    try await board.uploadSchedule(LoopSchedule(id: 3, tick: .nanoseconds(100), ticks: 200, codes: codes, noise: noise))
    let sent = parts.withLock { $0 }
    #expect(sent.flatMap(\.codes) == codes)
    #expect(sent.flatMap(\.noise) == noise)
    #expect(sent.count == 10)
    try await board.close()
  }

  @Test func writeVerifyIsSplitAndItsReportsAreJoined() async throws {
    let device = try ScriptedDevice(hello: ScriptedDevice.hello(maximumRequestBytes: 1024)) { device, request in
      guard case .writeVerify(let part) = request.body else { return false }
      let count = part.cells.count
      device.reply(
        request,
        .cellResults(
          CellResults(
            firstIndex: 0, count: count, conductance: part.targets, pulses: Array(repeating: 1, count: count),
            reads: Array(repeating: 2, count: count), reasons: Array(repeating: .converged, count: count),
            progress: OperationProgress(finished: count, total: count, pulses: count, reads: 2 * count, rounds: 1))))
      return true
    }
    let board = try await open(device)
    let cells = CellSelection(block: CellBlock(macro: 0, shape: MacroShape(rows: 40, columns: 20)))
    var request = writeVerify(cells)
    request.targets = (0..<800).map { 20e-6 + Float($0) * 1e-8 }
    let finished = Monitor<[Int]>([])
    let report = try await board.writeVerify(request) { progress in
      finished.withLock { $0.append(progress.finished) }
      #expect(progress.total == 800)
    }
    #expect(report.conductance == request.targets)
    #expect(report.totalPulses == 800)
    #expect(report.rounds == report.operationIDs.count)
    #expect(report.operationIDs.count == 5)
    #expect(finished.withLock { $0.last } == 800)
    try await board.close()
  }
}
