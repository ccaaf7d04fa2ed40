import Foundation
import RRAMBoard
import RRAMEmulator
import RRAMProfiles
import RRAMRecords
import RRAMTransport
import RRAMUnits
import RRAMWire
import Synchronization
import Testing

@testable import RRAMCharacterization

/// Whole plans on emulated chips.
@Suite struct CharacterizationTests {
  /// Opens a chip for the time of `body`.
  private func withChip<R: Sendable>(
    _ profile: ChipProfile, seed: UInt64 = 11, state: String? = nil, _ body: (Board) async throws -> R
  ) async throws -> R {
    let device = try EmulatedBoard(
      profile: profile, board: try BoardDescription.named("parallel"),
      configuration: .init(seed: seed, stateFile: state, clock: LinkClock { .zero }, threads: 1))
    var configuration = BoardConfiguration()
    configuration.openLimit = .seconds(300)
    configuration.responseLimit = .seconds(300)
    configuration.safeLimit = .seconds(300)
    do {
      let result = try await withBoard(InMemoryLink(to: device), configuration: configuration, body)
      await device.close()
      return result
    } catch {
      await device.close()
      throw error
    }
  }

  private func scratch() throws -> URL {
    let folder = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
  }

  private func directory(_ folder: URL) throws -> RunDirectory {
    try RunDirectory(
      home: RecordsHome(root: folder), folder: folder.appending(path: "run"), toolkit: "test",
      command: ["rram", "characterize"],
      settings: ["macro": "0"])
  }

  private static let small = """
    name: small
    steps:
      - forming: {cells: 1024}
      - switching: {cells: 32, cycles: 6}
      - programming: {cells: 64, levels: 4, laterReads: 16}
    """

  private func estimate(_ report: CharacterizationReport, _ name: String) throws -> Estimate {
    try #require(report.sections.flatMap(\.estimates).first { $0.name == name }, "\(name)")
  }

  /// 1 024 cells of hfox-analog, seed 11. The truth is the profile's: forming 3.12 ± 0.24 V (an interval of 95 %, widened by half of
  /// itself), SET voltage from device to device 80 mV.
  @Test func estimatesHoldWhatTheChipIsMadeOf() async throws {
    let folder = try scratch()
    defer { try? FileManager.default.removeItem(at: folder) }
    let profile = try ChipProfile.named("hfox-analog")
    let plan = try CharacterizationPlan(yaml: Self.small, file: "small.yaml")
    let run = try directory(folder)
    try await withChip(profile) { board in
      _ = try await Characterization(plan: plan, profile: profile, macro: 0).run(on: board, in: run)
    }
    let report = try CharacterizationReport(of: run.folder)
    for (name, truth) in [
      ("forming voltage, mean", 3.12), ("forming voltage, σ", 0.24), ("SET voltage, σ device to device", 0.08),
    ] {
      let estimate = try estimate(report, name)
      let (low, high) = (try #require(estimate.low), try #require(estimate.high))
      let slack = (high - low) / 4
      #expect(low - slack <= truth && truth <= high + slack, "\(estimate)")
    }
    #expect(try #require(try estimate(report, "accepted within ±1 µS").value) > 0.9)
    // The page has a picture for every one that a section asks for, and the numbers once more beside it.
    try report.write(to: run)
    let page = try String(contentsOf: run.file("report.html"), encoding: .utf8)
    #expect(page.components(separatedBy: "<svg").count - 1 == 9)
    let kept = try JSONSerialization.jsonObject(with: Data(contentsOf: run.file("report.json"))) as? [String: Any]
    #expect((kept?["sections"] as? [Any])?.count == 3)
    // Every read of a switching cycle is a line of the log: 26 + 2 reads of 32 cells in 6 cycles, a lesser part of all lines.
    let lines = try String(contentsOf: run.folder.appending(path: "events.csv"), encoding: .utf8).split(
      separator: "\r\n")
    #expect(lines.count { $0.contains(",set,") } == 13 * 32 * 6 && lines.count { $0.contains(",lrs,") } == 32 * 6)
  }

  /// The second run ends after forming. What was measured before is the same to the last bit; a new session moves the chip's clock by
  /// some messages, so what follows agrees within its intervals only. Seed 12 for both chips.
  @Test func aRunThatWasCutOffGoesOn() async throws {
    let folder = try scratch()
    defer { try? FileManager.default.removeItem(at: folder) }
    let profile = try ChipProfile.named("hfox-analog")
    let plan = try CharacterizationPlan(
      yaml: "name: short\nsteps:\n  - forming: {cells: 256}\n  - programming: {cells: 64, levels: 4}\n  - arrayMap:\n",
      file: "short.yaml")
    let work = Characterization(plan: plan, profile: profile, macro: 0)
    let whole = try directory(folder.appending(path: "whole"))
    try await withChip(profile, seed: 12, state: folder.appending(path: "a.npz").path) { board in
      _ = try await work.run(on: board, in: whole)
    }
    let cut = try directory(folder.appending(path: "cut"))
    let state = folder.appending(path: "b.npz").path
    // A task of its own: what ends is the run, not the test.
    let run = Task {
      try await withChip(profile, seed: 12, state: state) { board in
        _ = try await work.run(on: board, in: cut) { event in
          if case .ended(let step, _, _) = event, step.number == 1 { withUnsafeCurrentTask { $0?.cancel() } }
        }
      }
    }
    await #expect(throws: CancellationError.self) { try await run.value }
    #expect(try CharacterizationReport(of: cut.folder).sections[1].remarks == ["Not measured: the run ended before."])
    let kept = Mutex<[Int]>([])
    let continued = try RunDirectory(continuing: cut.folder, home: RecordsHome(root: folder))
    try await withChip(profile, seed: 12, state: state) { board in
      _ = try await work.run(on: board, in: continued) { event in
        if case .kept(let step) = event { kept.withLock { $0.append(step.number) } }
      }
    }
    #expect(kept.withLock { $0 } == [1])
    let (first, second) = (try CharacterizationReport(of: whole.folder), try CharacterizationReport(of: cut.folder))
    #expect(first.sections[0].estimates == second.sections[0].estimates)
    for (a, b) in zip(first.sections.flatMap(\.estimates), second.sections.flatMap(\.estimates)) {
      #expect(a.name == b.name && a.n == b.n)
      if let low = a.low, let high = a.high, let other = b.low, let top = b.high {
        #expect(low <= top && other <= high, "\(a) \(b)")
      }
    }
    #expect(continued.currentManifest.settings["resumed"] == "1")
  }

  @Test(arguments: [
    ("pulseResponse: {cells: 4, set: 3 V}", "3 V"),
    ("switching: {cells: 4, cycles: 2}\n  - pulseResponse: {reset: 2.9 V}", "2.9 V"),
    ("matrixProduct: {amplitude: 0.5 V}", "500 mV"),
  ])
  func aPlanBeyondALimitIsRefusedBeforeTheFirstPulse(step: String, value: String) async throws {
    let folder = try scratch()
    defer { try? FileManager.default.removeItem(at: folder) }
    let profile = try ChipProfile.named("hfox-analog")
    let plan = try CharacterizationPlan(yaml: "name: high\nsteps:\n  - \(step)\n", file: "high.yaml")
    let run = try directory(folder)
    try await withChip(profile) { board in
      let error = await #expect(throws: BoardError.self) {
        _ = try await Characterization(plan: plan, profile: profile, macro: 0).run(on: board, in: run)
      }
      #expect(
        error?.code == .limitRefused && "\(error.map { "\($0)" } ?? "")".contains(value), "\(String(describing: error))"
      )
      let counters = try await board.counters()
      #expect(counters.pulses == 0)
    }
  }

  @Test func aMacroThatIsNotThereIsRefused() async throws {
    let profile = try ChipProfile.named("ideal")
    let plan = try CharacterizationPlan(yaml: "name: a\nsteps:\n  - arrayMap:\n", file: "a.yaml")
    try await withChip(profile) { board in
      let error = #expect(throws: CharacterizationError.self) {
        try Characterization(plan: plan, profile: profile, macro: 9).steps(on: board)
      }
      #expect(error?.description == "there is no macro 9; the board has 4, from 0")
    }
  }
}
