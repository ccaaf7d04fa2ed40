import Foundation
import RRAMBoard
import RRAMConformance
import RRAMEmulator
import RRAMFaults
import RRAMProfiles
import RRAMTransport
import RRAMUnits
import RRAMWire
import Testing

@Suite struct ConformanceTests {
  private static let spareRow = CellRow(macro: 0, row: 63)
  private static let watchdog = Duration.milliseconds(400)

  private func board(
    _ name: String = "parallel", profile: String = "cmo-hfox", responseBytes: Int? = nil
  ) throws -> EmulatedBoard {
    var description = try BoardDescription.named(name)
    description.link.watchdog = Self.watchdog
    if let responseBytes { description.link.maximumResponseBytes = responseBytes }
    return try EmulatedBoard(
      profile: ChipProfile.named(profile), board: description, configuration: .init(seed: 1, threads: 1))
  }

  /// The same with two formed cells, which a loop wants.
  private func formedBoard(
    _ name: String = "parallel", profile: String = "cmo-hfox", responseBytes: Int? = nil
  ) async throws -> EmulatedBoard {
    let board = try board(name, profile: profile, responseBytes: responseBytes)
    let programming = try ChipProfile.named(profile).programming.forming
    try await withBoard(InMemoryLink(to: board)) { host in
      _ = try await host.form(
        Form(
          cells: CellSelection(block: CellBlock(macro: 0, shape: MacroShape(rows: 1, columns: 2))),
          ramp: PulseRamp(
            wordLine: programming.wordLine, start: programming.start, step: programming.step, stop: programming.stop,
            width: programming.width),
          read: host.defaultReadBias(), stopConductance: .microsiemens(1), credit: 4), permissions: .forming)
    }
    return board
  }

  /// Every check passes on the emulated boards, and only those are left out that a board cannot do.
  @Test(arguments: [("parallel", "cmo-hfox", nil), ("parallel", "ideal", 4096), ("multiplexed", "hfox-mlc", nil)])
  func honestFirmwareConforms(name: String, profile: String, responseBytes: Int?) async throws {
    let board = try await formedBoard(name, profile: profile, responseBytes: responseBytes)
    let report = try await Conformance.run(options: .init(spareRow: Self.spareRow, limit: .seconds(20))) {
      BusLink(to: board)
    }
    #expect(report.findings.map(\.check) == Conformance.checks)
    for finding in report.findings {
      let expected =
        name == "multiplexed" && finding.check.hasPrefix("loop") ? "skipped the board has no closed loop" : "passed "
      #expect("\(finding.outcome) \(finding.detail)" == expected, "\(finding.check)")
    }
    await board.close()
  }

  /// Over a socket everything holds but what a socket has not: a bus.
  @Test func honestFirmwareConformsOverASocket() async throws {
    let board = try board(responseBytes: 4096)
    let path = NSTemporaryDirectory() + "rram-conformance-\(UUID().uuidString.prefix(8))"
    let server = try UnixSocketServer(path: path, endpoint: board)
    let report = try await Conformance.run(options: .init(spareRow: Self.spareRow, limit: .seconds(20))) {
      try await UnixSocketTransport.open(path: path)
    }
    await server.close()
    #expect(report.failures.isEmpty, "\(report.findings.filter { $0.outcome == .failed })")
    let skipped = report.findings.filter { $0.outcome == .skipped }.map(\.check)
    #expect(Set(skipped) == ["loop.stream", "loop.abort", "safe.bus-reset", "safe.bus-suspend"])
    await board.close()
  }

  /// Without a formed cell no loop is run, and none where it was asked to be dry.
  @Test func aDrySuiteRunsNoLoop() async throws {
    let board = try await formedBoard()
    let report = try await Conformance.run(options: .init(isDry: true, limit: .seconds(20), only: ["loop"])) {
      BusLink(to: board)
    }
    #expect(report.findings.allSatisfy { $0.outcome == .skipped && $0.detail.contains("dry") }, "\(report.findings)")
    await board.close()
  }

  @Test func aSpareRowThatTheBoardHasNotIsRefused() async throws {
    let board = try board()
    await #expect(throws: ConformanceError(spareRow: CellRow(macro: 0, row: 64), macros: 4, rows: 64)) {
      _ = try await Conformance.run(options: .init(spareRow: CellRow(macro: 0, row: 64))) { BusLink(to: board) }
    }
    await board.close()
  }

  @Test(arguments: ["parallel", "multiplexed"]) func withoutASpareRowNoPulseIsGiven(name: String) async throws {
    let board = try board(name)
    let report = try await Conformance.run(options: .init(limit: .seconds(20))) { BusLink(to: board) }
    #expect(report.failures.isEmpty)
    let skipped = report.findings.filter { $0.outcome == .skipped }
    #expect(
      Set(skipped.map(\.check)).subtracting(name == "parallel" ? [] : ["loop.loopback"]) == [
        "limits.word-line", "limits.bit-line", "limits.source-line", "limits.pulse-width", "limits.pulse-count",
        "counters.pulses", "counters.triggers", "loop.stream", "loop.abort",
      ])
    // A new link to the same board: its counters are of this boot.
    let after = try await Conformance.run(options: .init(limit: .seconds(20), only: ["counters.reads"])) {
      BusLink(to: board)
    }
    #expect(after.conforms)
    await board.close()
  }

  /// Each fault is found by the check that is there for it; the same check passes on honest firmware above.
  @Test(arguments: BrokenFirmware.Fault.allCases) func everyFaultIsCaught(fault: BrokenFirmware.Fault) async throws {
    let board = try await formedBoard(responseBytes: 4096)
    let limits = try await limits(of: board)
    let answers = ["answers.boot-id", "answers.time"].contains(fault.check) ? ["session.greeting"] : []
    // A whole pristine macro takes several frames, a spare row one.
    let spareRow = fault.check.hasPrefix("streams") ? nil : Self.spareRow
    let report = try await Conformance.run(
      options: .init(spareRow: spareRow, limit: .milliseconds(700), only: [fault.check] + answers)
    ) {
      BrokenFirmware(fault, on: BusLink(to: board), limits: limits, watchdog: Self.watchdog)
    }
    #expect(report.failures.contains(fault.check), "\(report.findings)")
    await board.close()
  }

  private func limits(of board: EmulatedBoard) async throws -> WireLimits {
    let limits = try ChipProfile.named("cmo-hfox").limits
    let permitted = try #require(limits)
    return WireLimits(
      isPresent: true, wordLine: permitted.wordLine, bitLine: permitted.bitLine, sourceLine: permitted.sourceLine,
      forming: permitted.forming, read: permitted.read, pulseWidth: permitted.pulseWidth,
      pulsesPerRequest: permitted.pulsesPerRequest, conductance: permitted.conductance)
  }
}
