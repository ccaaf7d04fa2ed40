import HDPMBoard
import RRAMModel
import RRAMTransport
import Synchronization
import Testing

/// A virtual board with a driver, both in virtual time.
func virtualLink(
  unplugged: [Range<Duration>] = [], after time: Duration = .zero, left: String = ""
) throws -> VirtualHDPMLink {
  let analog = try HDPMAnalogLoop(ModelLibrary.scoreModel("ring"), profile: nil, seed: 1)
  var firmware = HDPMFirmware()
  // What another program did before.
  _ = firmware.advance(to: time)
  firmware.receive(Array(left.utf8))
  let link = VirtualHDPMLink(VirtualHDPM(firmware: firmware, analog: analog), unplugged: unplugged)
  return link
}

func driver(
  _ link: VirtualHDPMLink, _ configuration: HDPMBoard.Configuration = .init()
) async throws -> HDPMBoard {
  try await HDPMBoard(clock: link, configuration: configuration) { () throws(TransportError) in try link.open() }
}

func settings(_ preset: String = "0", _ change: (inout HDPMSettings) -> Void = { _ in }) throws -> HDPMSettings {
  var settings = HDPMSettings(preset: try HDPMPreset.named(preset))
  change(&settings)
  return settings
}

/// The same link with a host or an adapter that is now and then late with what it sends.
struct LateLine: SerialLine {
  let link: VirtualHDPMLink
  var address: String { link.address }
  func write(_ bytes: [UInt8]) async throws(TransportError) {
    let delay = link.sent.count % 3 == 0 ? Duration.milliseconds(80) : .zero
    try? await link.sleep(until: link.now + delay)
    try await link.write(bytes)
  }
  func read(until deadline: Duration) async throws(TransportError) -> [UInt8] { try await link.read(until: deadline) }
  func close() async {}
}

/// A line that answers every write with the next of its answers, in virtual time.
final class ScriptedLine: SerialLine, SerialClock {
  let address = "hdpm:/dev/ttyS9"
  private let state: Mutex<(now: Duration, answers: [String], pending: [UInt8], sent: [String])>

  init(_ answers: [String]) { state = Mutex((.zero, answers, [], [])) }

  var sent: [String] { state.withLock { $0.sent } }
  var now: Duration { state.withLock { $0.now } }
  func sleep(until deadline: Duration) async throws { state.withLock { $0.now = max($0.now, deadline) } }
  func write(_ bytes: [UInt8]) async throws(TransportError) {
    state.withLock { state in
      state.sent.append(String(decoding: bytes, as: UTF8.self))
      if !state.answers.isEmpty { state.pending += Array(state.answers.removeFirst().utf8) }
    }
  }
  func read(until deadline: Duration) async throws(TransportError) -> [UInt8] {
    state.withLock { state in
      if state.pending.isEmpty { state.now = max(state.now, deadline) }
      defer { state.pending = [] }
      return state.pending
    }
  }
  func close() async {}
}

@Suite struct HDPMBoardTests {
  @Test func configuringSendsFullLinesBiasBeforeLoadAndKeepsWhatTheBoardConfirmed() async throws {
    let link = try virtualLink()
    let board = try await driver(link)
    try await board.configure(
      settings("3") {
        $0.bias = .millivolts50
        $0.coefficient = 0.5
        $0.offsets = [0.12, -0.1]
        $0.noiseScale = 0.25
        $0.noise = true
      })
    #expect(
      link.sent.map { String(decoding: $0.bytes, as: UTF8.self) }
        == ["D0\r\n", "O6240\r\n", "C050\r\n", "N025\r\n", "In31\r\n"])
    var state = HDPMState()
    state.bias = .millivolts50
    state.offsets = [Float(62) / 100 - 0.5, Float(40) / 100 - 0.5]
    state.coefficient = 0.5
    state.noiseScale = 0.25
    state.presetEchoed = "3"
    #expect(await board.state == state)
  }

  @Test func nothingIsSentWhileARunMayBeGoingOnAndRunsKeepTheirDistance() async throws {
    let link = try virtualLink()
    let board = try await driver(link)
    try await board.configure(settings())
    for _ in 0..<3 { try await board.requestRun() }
    try await board.configure(settings("1"))
    let sent = link.sent
    #expect(sent.first.map { $0.time >= .milliseconds(1250) } == true)
    for (index, go) in sent.enumerated() where go.bytes == Array("Go\r\n".utf8) {
      #expect(sent.dropFirst(index + 1).first.map { $0.time - go.time >= .milliseconds(1250) } ?? true)
    }
    let times = sent.filter { $0.bytes == Array("Go\r\n".utf8) }.map { $0.time }
    #expect(times.count == 3)
    #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 >= .milliseconds(5020) })
    // Every one of them became a run, and none was disturbed.
    #expect(link.pendingCaptures == 3)
  }

  @Test func aHundredRunsTakeTheLeastTimeTheBoardAllows() async throws {
    let link = try virtualLink()
    let board = try await driver(link)
    try await board.configure(settings())
    var left: [Duration] = []
    let report = try await board.requestRuns(100, scope: link) {
      if case .progress(_, _, let timeLeft) = $0 { left.append(timeLeft) }
    }
    #expect(report.captures.count == 100)
    #expect(report.requested == 100)
    #expect(report.missing == 0)
    // 5.005 s from one Go to the next, and 1.21 s for the last run.
    let least = Duration.seconds(5.005) * 99 + .seconds(1.21)
    #expect(link.now - .seconds(5.02) < least * 1.01)
    #expect(left.count == 101)
    #expect(zip(left, left.dropFirst()).allSatisfy { $0 > $1 })
    #expect(left.last == .zero)
    // What was announced at the start is what it took.
    #expect(left[0] >= report.duration * 0.99 && left[0] <= report.duration * 1.01)
  }

  @Test func aHostThatIsLateWithSomeCommandsLosesNoRun() async throws {
    let link = try virtualLink()
    let board = try await HDPMBoard(clock: link) { () throws(TransportError) in LateLine(link: link) }
    try await board.configure(settings())
    let report = try await board.requestRuns(60, scope: link)
    #expect(report.captures.count == 60)
    #expect(report.missing == 0)
  }

  @Test func runsStepAroundTheWrapsOfTheTickCounter() async throws {
    let link = try virtualLink()
    var configuration = HDPMBoard.Configuration()
    configuration.powerUp = .zero
    let board = try await driver(link, configuration)
    try await board.configure(settings())
    let report = try await board.requestRuns(260)
    #expect(link.now > .seconds(1300))
    // Without a scope the driver cannot tell, but the board has made all of them.
    #expect(link.pendingCaptures == 260)
    #expect(report.possiblyLost == 0)
  }

  @Test func aRunLostToAWrapIsSeenByTheScopeAndRequestedAgain() async throws {
    let link = try virtualLink()
    let board = try await driver(link)
    try await board.configure(settings())
    let report = try await board.requestRuns(260, scope: link)
    #expect(report.captures.count == 260)
    // Two wraps in 1300 s, one run behind each.
    #expect(report.missing == 2)
    #expect(report.requested == 262)
  }

  @Test func withoutScopeOrPowerUpTheReportSaysWhatMayBeLost() async throws {
    let link = try virtualLink()
    let board = try await driver(link)
    try await board.configure(settings())
    let report = try await board.requestRuns(130)
    #expect(report.captures.isEmpty)
    #expect(report.possiblyLost == 2)
    #expect(link.pendingCaptures >= 130 - report.possiblyLost)
  }

  @Test func anAdapterPulledOutBetweenRunsOnlyDelaysTheQueue() async throws {
    let link = try virtualLink(unplugged: [.seconds(24)..<(.seconds(60))])
    let board = try await driver(link)
    try await board.configure(settings())
    var events: [String] = []
    let report = try await board.requestRuns(10, scope: link) {
      switch $0 {
      case .adapterLost: events.append("lost")
      case .adapterBack: events.append("back")
      default: break
      }
    }
    #expect(report.captures.count == 10)
    #expect(report.reconnections == 1)
    #expect(events == ["lost", "back"])
    // Nothing was sent into the void.
    #expect(report.requested == 10)
    #expect(report.missing == 0)
    #expect(report.unanswered == 0)
    #expect(link.pendingCaptures == 0)
  }

  @Test(arguments: [25.13, 25.11, 25.6, 26.2])
  func anAdapterThatVanishesInMidRunLosesNoRunAndMakesNoneTwice(at time: Double) async throws {
    // The fifth Go leaves at 25.1 s.
    let link = try virtualLink(unplugged: [.seconds(time)..<(.seconds(40))])
    let board = try await driver(link)
    try await board.configure(settings())
    let report = try await board.requestRuns(8, scope: link)
    #expect(report.captures.count == 8)
    #expect(link.pendingCaptures == 0)
    #expect(report.reconnections == 1)
  }

  @Test func anAdapterThatVanishesDuringASingleRunIsToldWithItsTime() async throws {
    let link = try virtualLink(unplugged: [.milliseconds(5500)..<(.seconds(100))])
    let board = try await driver(link)
    try await board.configure(settings())
    await #expect {
      try await board.requestRun()
    } throws: {
      let text = "\($0)"
      return text.hasPrefix("hdpm-emu:: the adapter vanished ")
        && text.hasSuffix(" ms after Go; the board ends that run by itself")
    }
  }

  @Test func theLastRunNeedsNoAdapterAnyMore() async throws {
    // The second Go leaves at 10.04 s; the adapter never comes back.
    let link = try virtualLink(unplugged: [.milliseconds(10_500)..<(.seconds(10_000))])
    let board = try await driver(link)
    try await board.configure(settings())
    let report = try await board.requestRuns(2, scope: link)
    #expect(report.captures.count == 2)
    #expect(report.reconnections == 0)
    #expect(link.now < .seconds(20))
  }

  @Test func anAdapterThatDoesNotComeBackEndsTheQueue() async throws {
    let link = try virtualLink(unplugged: [.seconds(24)..<(.seconds(10000))])
    let board = try await driver(link)
    try await board.configure(settings())
    await #expect {
      try await board.requestRuns(10)
    } throws: {
      "\($0)" == "hdpm-emu:: the adapter vanished and did not come back within 600.0 seconds"
    }
  }

  @Test(arguments: ["In3", "Go", "N1", "\r", "N100\r", "In00\r\nD0", String(repeating: "x", count: 199)])
  func whatAnotherProgramLeftInTheBoardDoesNoHarm(left: String) async throws {
    let link = try virtualLink(after: .seconds(30), left: left)
    let board = try await driver(link)
    try await board.configure(settings("3"))
    #expect(await board.state.presetEchoed == "3")
    try await board.requestRun()
    // A stale Go may have become a run of its own, never one that overlaps ours.
    #expect(link.pendingCaptures >= 1)
  }

  @Test func aRunThatWouldOverflowIsRefusedBeforeAnythingIsSent() async throws {
    let link = try virtualLink()
    let board = try await driver(link)
    await #expect(throws: HDPMError.self) { try await board.configure(settings("2")) }
    #expect(link.sent.isEmpty)
    await #expect {
      try await board.requestRun()
    } throws: {
      "\($0)" == "hdpm-emu:: a run needs settings first"
    }
    #expect(link.sent.isEmpty)
  }

  @Test(arguments: [
    ([String](), "no answer to 'D1' within 0.5 seconds", ["D1\r\n", "D1\r\n"]),
    (
      ["login: ", "Password: "],
      "'D1' was answered by \"Password: \", \"V_bias and DAC coef: 0.100000\\r\\n\" expected",
      ["D1\r\n", "D1\r\n"]
    ),
    (
      ["V_bias and DAC coef: 0.100000\r\n", "Offset set1: 0.000000\nOffset set2: 0.010000\r\n"],
      "'O5050' was answered by \"Offset set1: 0.000000\\nOffset set2: 0.010000\\r\\n\", "
        + "\"Offset set1: 0.000000\\nOffset set2: 0.000000\\r\\n\" expected",
      ["D1\r\n", "O5050\r\n"]
    ),
  ])
  func aPortThatAnswersSomethingElseIsToldWithItsAnswer(answers: [String], message: String, sent: [String]) async throws
  {
    let line = ScriptedLine(answers)
    let board = try await HDPMBoard(clock: line) { () throws(TransportError) in line }
    await #expect {
      try await board.configure(settings())
    } throws: {
      "\($0)" == "hdpm:/dev/ttyS9: " + message
    }
    #expect(line.sent == sent)
  }

  @Test func aScopeThatSeesNothingEndsTheQueue() async throws {
    struct Blind: ScopeSource {
      let clock: VirtualHDPMLink
      func next(until deadline: Duration) async throws -> ScopeCapture? {
        try await clock.sleep(until: deadline)
        return nil
      }
    }
    let link = try virtualLink()
    let board = try await driver(link)
    try await board.configure(settings())
    await #expect {
      try await board.requestRuns(10, scope: Blind(clock: link))
    } throws: {
      "\($0)" == "hdpm-emu:: 3 runs were requested and no capture came; 0 of 10 runs are there"
    }
  }

  @Test(arguments: [
    (Float(0.123), Float(0), Float(1), "coefficient 0.123: the board takes 0.01 to 9.99 in steps of 0.01"),
    (1, 0.5, 1, "offset 1 0.5: the board takes -0.5 to 0.49 in steps of 0.01"),
    (1, 0, 10, "noise scale 10.0: the board takes 0.0 to 9.99 in steps of 0.01"),
  ])
  func aValueThatNoCommandCanSayIsRefused(coefficient: Float, offset: Float, noise: Float, message: String) throws {
    let settings = try settings {
      $0.coefficient = coefficient
      $0.offsets = [offset, 0]
      $0.noiseScale = noise
    }
    #expect {
      try settings.commands()
    } throws: {
      "\($0)" == message
    }
  }
}
