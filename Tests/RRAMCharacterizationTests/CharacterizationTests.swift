import Foundation
import RRAMBoard
import RRAMEmulator
import RRAMFiles
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
      let error = await #expect(throws: CharacterizationError.self) {
        _ = try await Characterization(plan: plan, profile: profile, macro: 0).run(on: board, in: run)
      }
      let message = "\(error.map { "\($0)" } ?? "")"
      #expect(error?.code == .limit && message.hasPrefix("high.yaml:3: steps[") || message.hasPrefix("high.yaml:4:"))
      #expect(message.contains(value), "\(message)")
      let counters = try await board.counters()
      #expect(counters.pulses == 0)
    }
  }

  /// 2 000 pulses are left, and two steps together may take more: refused with the line of the second.
  @Test func aPlanBeyondTheWearThatIsLeftIsRefused() async throws {
    let profile = try ChipProfile.named("hfox-analog")
    let plan = try CharacterizationPlan(
      yaml:
        "name: worn\nsteps:\n  - forming: {cells: 8}\n  - endurance: {cells: 4, cycles: 600}\n  - endurance: {cells: 4, cycles: 500}\n",
      file: "worn.yaml")
    let device = try EmulatedBoard(
      profile: profile, board: try BoardDescription.named("parallel"),
      configuration: .init(seed: 11, clock: LinkClock { .zero }, threads: 1))
    var configuration = BoardConfiguration()
    configuration.pulsesPerLife = { _ in 10_000 }
    configuration.lifetimePulses = { _, _ in [UInt32](repeating: 8_000, count: 4096) }
    try await withBoard(InMemoryLink(to: device), configuration: configuration) { board in
      let error = await #expect(throws: CharacterizationError.self) {
        _ = try await Characterization(plan: plan, profile: profile, macro: 0).steps(on: board)
      }
      #expect(
        "\(error.map { "\($0)" } ?? "")".hasPrefix(
          "worn.yaml:5: steps[3].endurance: emu:: pulses per life limit: 10200 asked"),
        "\(String(describing: error))")
      let counters = try await board.counters()
      #expect(counters.pulses == 0)
    }
  }

  /// The run ends in mid-step, in the tenth of 40 reads: the step goes on there, and what was measured before stands in its arrays.
  @Test func aStepThatWasCutOffGoesOnWhereItStood() async throws {
    let folder = try scratch()
    defer { try? FileManager.default.removeItem(at: folder) }
    let profile = try ChipProfile.named("hfox-analog")
    let plan = try CharacterizationPlan(
      yaml:
        "name: short\nsteps:\n  - forming: {cells: 16}\n  - endurance: {cells: 4, cycles: 200}\n  - readNoise: {cells: 4, reads: 40}\n",
      file: "short.yaml")
    let work = Characterization(plan: plan, profile: profile, macro: 0)
    let cut = try directory(folder)
    let state = folder.appending(path: "chip.npz").path
    let run = Task {
      try await withChip(profile, seed: 12, state: state) { board in
        _ = try await work.run(on: board, in: cut) { event in
          if case .progress(let step, let finished, _) = event, step.number == 3, finished == 10 {
            withUnsafeCurrentTask { $0?.cancel() }
          }
        }
      }
    }
    await #expect(throws: CancellationError.self) { try await run.value }
    func noiseReads() throws -> [EventTable.Row] {
      try EventTable(file: cut.folder.appending(path: "events.csv")).rows.filter { $0.name == "readNoise" }
    }
    let before = try noiseReads()
    #expect(before.count == 40 && FileManager.default.fileExists(atPath: cut.file("03-readNoise.journal").path))
    let continued = try RunDirectory(continuing: cut.folder, home: RecordsHome(root: folder))
    let pulses = try await withChip(profile, seed: 12, state: state) { board in
      _ = try await work.run(on: board, in: continued)
      return try await board.counters().pulses
    }
    #expect(pulses == 0, "finished steps pulse no more")
    let after = try noiseReads()
    #expect(after.count == 160 && Array(after.prefix(40)) == before)
    let measured = try Measurement(file: cut.file("03-readNoise.npz").path)
    let values = try measured.values("conductance_S").map { Float($0) }
    #expect(values == after.compactMap { $0.conductance.map { Float($0.rawValue) } })
    let times = try measured.values("board_time_s")
    #expect(zip(times, times.dropFirst()).allSatisfy { $0 <= $1 }, "the step's clock goes on")
    #expect(!FileManager.default.fileExists(atPath: cut.file("03-readNoise.journal").path))
  }

  /// Seed 13: a write of 160 cells is cut off in its second part of 64. Those 64 count in no statistics of pulses, all in those of errors.
  @Test func cellsUnderWayWhenAWriteWasCutOffCountNoPulses() async throws {
    let folder = try scratch()
    defer { try? FileManager.default.removeItem(at: folder) }
    let profile = try ChipProfile.named("hfox-analog")
    let plan = try CharacterizationPlan(
      yaml: "name: short\nsteps:\n  - forming: {cells: 160}\n  - programming: {cells: 160}\n", file: "short.yaml")
    let work = Characterization(plan: plan, profile: profile, macro: 0)
    let cut = try directory(folder)
    let state = folder.appending(path: "chip.npz").path
    let run = Task {
      try await withChip(profile, seed: 13, state: state) { board in
        _ = try await work.run(on: board, in: cut) { event in
          if case .progress(let step, let finished, _) = event, step.number == 2, finished >= 100 {
            withUnsafeCurrentTask { $0?.cancel() }
          }
        }
      }
    }
    await #expect(throws: CancellationError.self) { try await run.value }
    let continued = try RunDirectory(continuing: cut.folder, home: RecordsHome(root: folder))
    try await withChip(profile, seed: 13, state: state) { board in _ = try await work.run(on: board, in: continued) }
    let measured = try Measurement(file: cut.file("02-programming.npz").path)
    #expect(try measured.values("cut_off") == (0..<160).map { (64..<128).contains($0) ? 1.0 : 0 })
    let pulses = try measured.values("pulses")
    let known = (Array(pulses[..<64]) + pulses[128...])
    let report = try CharacterizationReport(of: cut.folder)
    let mean = try estimate(report, "pulses a cell, mean")
    let expected = known.reduce(0, +) / Double(known.count)
    #expect(mean.n == known.count && abs((mean.value ?? 0) - expected) < 1e-9, "\(mean)")
    #expect(pulses[64..<128].contains(0), "cells that had converged before got no more pulses")
    let accepted = try #require(report.sections.flatMap(\.estimates).first { $0.name.hasPrefix("accepted within") })
    #expect(accepted.n == 160)
    let remarks = report.sections.flatMap(\.remarks)
    #expect(remarks.contains { $0.hasPrefix("64 cells were under way") }, "\(remarks)")
  }

  /// Seed 21, hfox-analog with cells that live 300 cycles in the median (σ of log10 0.1): every one of 8 fails within 2 000.
  @Test func enduranceFindsWhenCellsFail() async throws {
    let folder = try scratch()
    defer { try? FileManager.default.removeItem(at: folder) }
    let long = try ChipProfile.named("hfox-analog")
    let profile = try ChipProfile(
      yaml: long.document
        .replacing("endurance: {value: 1e7, unit: \"1\"", with: "endurance: {value: 300, unit: \"1\"")
        .replacing("enduranceSpread: {value: 0.5", with: "enduranceSpread: {value: 0.1"), file: "short-lived")
    #expect(profile.wear.endurance == 300)
    let plan = try CharacterizationPlan(
      yaml: "name: e\nsteps:\n  - forming: {cells: 64}\n  - endurance: {cells: 8, cycles: 2000, perDecade: 6}\n",
      file: "e.yaml")
    let run = try directory(folder)
    let pulses = try await withChip(profile, seed: 21) { board in
      _ = try await Characterization(plan: plan, profile: profile, macro: 0).run(on: board, in: run)
      return try await board.counters()
    }
    #expect(pulses.setPulses == 8 * 2000 && pulses.resetPulses == 8 * 2000)
    let report = try CharacterizationReport(of: run.folder)
    #expect(try estimate(report, "cells that failed within 2000 cycles").value == 1)
    // The schedule has 6 points a decade, and a cycle is counted by how far a cell moves of the window, a little more than one.
    let median = try #require(try estimate(report, "cycles to failure, median").value)
    #expect(abs(median - log10(300)) < 0.25, "\(median)")
  }

  /// Seed 21, hfox-mlc under a ceiling of 160 kΩ, half of which many of its RESETs pass, with cells that live 300 cycles in the median: those
  /// that no longer SET stand above it and get no RESET. The record says which, what the board counted agrees, and no cell is said to have
  /// had cycles that it had not.
  @Test func cellsNearTheCeilingAreReportedAsLeftOut() async throws {
    let folder = try scratch()
    defer { try? FileManager.default.removeItem(at: folder) }
    let profile = try ChipProfile(
      yaml: ChipProfile.named("hfox-mlc").document
        .replacing("resistance: {value: 10, unit: MΩ", with: "resistance: {value: 160, unit: kΩ")
        .replacing("endurance: {value: 1e7", with: "endurance: {value: 300"), file: "low-ceiling")
    let plan = try CharacterizationPlan(
      yaml:
        "name: e\nsteps:\n  - forming: {cells: 64}\n  - endurance: {cells: 32, cycles: 2000, perDecade: 6}\n  - switching: {cells: 16, cycles: 4}\n",
      file: "e.yaml")
    let run = try directory(folder)
    let resets = try await withChip(profile, seed: 21) { board in
      _ = try await Characterization(plan: plan, profile: profile, macro: 0).run(on: board, in: run)
      return try await board.counters().resetPulses
    }
    let endurance = try Measurement(file: run.file("02-endurance.npz").path)
    let last = try endurance.values("cycled").suffix(32)
    let short = last.filter { $0 < 2000 }
    #expect(short.count > 0 && last.contains(2000), "\(Array(last)): the test tests nothing")
    let switching = try Measurement(file: run.file("03-switching.npz").path)
    let leftOut = try switching.values("reset_left_out").reduce(0, +)
    #expect(leftOut > 0)
    let ramp = try switching.values("reset_V").count
    #expect(Double(resets) == last.reduce(0, +) + Double(16 * 4 * ramp) - leftOut, "\(resets)")
    let report = try CharacterizationReport(of: run.folder)
    let remarks = report.sections.flatMap(\.remarks)
    #expect(
      remarks.contains {
        $0.hasPrefix("Left out of cycles, because their last read lay above 80 kΩ") && $0.contains(" of 2000")
      },
      "\(remarks)")
    #expect(remarks.contains { $0.hasPrefix("Left out of RESET pulses, because") }, "\(remarks)")
  }

  /// Seed 22, 400 cells a temperature: cells are read at every temperature and at every age of the schedule, the oven is cold again at the end, and
  /// the 95 % interval of the activation energy holds the profile's 1.1 eV and is narrower than 1 eV.
  @Test func retentionReadsAtEveryTemperatureAndFindsTheActivationEnergy() async throws {
    let folder = try scratch()
    defer { try? FileManager.default.removeItem(at: folder) }
    let profile = try ChipProfile.named("hfox-analog")
    let plan = try CharacterizationPlan(
      yaml:
        "name: r\nsteps:\n  - forming: {cells: 1220}\n  - retention: {cells: 1200, temperatures: [25 °C, 65 °C, 105 °C], until: 1000 s}\n",
      file: "r.yaml")
    let run = try directory(folder)
    let celsius = try await withChip(profile, seed: 22) { board in
      _ = try await Characterization(plan: plan, profile: profile, macro: 0).run(on: board, in: run)
      return try await board.readADC(.temperature, channel: 0).value
    }
    #expect(celsius == 25, "the oven is cold again")
    let measured = try Measurement(file: run.file("02-retention.npz").path)
    #expect(try measured.values("conductance_S").count == 3 * 7 * 400)
    #expect(try measured.values("temperature_C") == [25, 65, 105])
    let energy = try estimate(CharacterizationReport(of: run.folder), "activation energy")
    let value = try #require(energy.value)
    let (low, high) = (try #require(energy.low), try #require(energy.high))
    #expect(low < 1.1 && 1.1 < high && high - low < 1, "\(energy)")
    let fitted = try ChipFit(of: run.folder, base: profile).coefficients.first {
      $0.key == "retention.activationEnergy"
    }
    #expect(fitted?.values == [value])
    // A record as older versions wrote it, with the same cells at every temperature, gives none.
    var older = Measurement()
    for name in ["verify_S", "accepted", "age_s", "temperature_C", "conductance_S"] {
      older.add(try measured.values(name), shape: try measured.array(name).shape, as: name)
    }
    older.add(Array(try measured.values("row").prefix(400)), as: "row")
    #expect(try Retention.activationEnergy(older) == nil)
    #expect(try Retention.findings(from: older).remarks.contains { $0.contains("an older version") })
  }

  /// Board `multiplexed`, seed 23: the calibration takes the amplifiers' 0.1 % and 5 nS out of what is read of a known input, to within
  /// the resistors' 0.1 % and the converter's noise.
  @Test func knownInputsGiveACalibration() async throws {
    let folder = try scratch()
    defer { try? FileManager.default.removeItem(at: folder) }
    let profile = try ChipProfile.named("hfox-analog")
    let plan = try CharacterizationPlan.step("converters", settings: [("averages", "64")])
    let run = try directory(folder)
    let device = try EmulatedBoard(
      profile: profile, board: try BoardDescription.named("multiplexed"),
      configuration: .init(seed: 23, clock: LinkClock { .zero }, threads: 1))
    try await withBoard(InMemoryLink(to: device)) { board in
      _ = try await Characterization(plan: plan, profile: profile, macro: 1).run(on: board, in: run)
      let measured = try Measurement(file: run.file("01-converters.npz").path)
      let calibration = try #require(
        try ConverterCalibration.calibration(from: measured, macro: 1, board: board, id: "c", at: 1, before: nil))
      #expect(calibration.gain[0].allSatisfy { $0 == 1 } && calibration.celsius == 25)
      #expect(calibration.reference == .resistors(tolerance: 0.001))
      // Eight columns share an amplifier and so its errors; amplifiers differ.
      let gains = calibration.gain[1]
      #expect(Set(stride(from: 0, to: 64, by: 8).map { Int((gains[$0] * 1e5).rounded()) }).count > 4)
      let site = (board.boardDescription.macros.count, board.boardDescription.macros.shape)
      for column in [3, 20, 61] {
        var sum = 0.0
        for _ in 0..<64 {
          sum += try await board.exchange(
            ReadADC.reference(2, macro: 1, column: column, of: (count: site.0, shape: site.1))
          ).value
        }
        let corrected = (sum / 64 - calibration.offsetSiemens[1][column]) / calibration.gain[1][column]
        #expect(abs(corrected - 10e-6) < 10e-6 * 0.002 + 2e-9, "column \(column): \(corrected)")
      }
    }
  }

  @Test func pulsesInTheRowDisturb() async throws {
    let folder = try scratch()
    defer { try? FileManager.default.removeItem(at: folder) }
    let profile = try ChipProfile.named("hfox-analog")
    let plan = try CharacterizationPlan(
      yaml: "name: d\nsteps:\n  - forming: {cells: 1024}\n  - disturb: {rows: 4, pulses: 20000, reads: 100}\n",
      file: "d.yaml")
    let run = try directory(folder)
    try await withChip(profile, seed: 24) { board in
      _ = try await Characterization(plan: plan, profile: profile, macro: 0).run(on: board, in: run)
    }
    let shift = try #require(
      try CharacterizationReport(of: run.folder).sections[1].estimates.first { $0.name.hasPrefix("shift by 20000 SET") }
    )
    // Half of 2.4 V for 20 000 × 1 µs at 1 000 000 × 10^((1.2 − 1.05)/0.15) s⁻¹·10⁻⁶: 0.2 of the way to 50 µS, from 1 to 40 µS.
    #expect(try #require(shift.low) > 1, "\(shift)")
  }

  @Test func aMacroThatIsNotThereIsRefused() async throws {
    let profile = try ChipProfile.named("ideal")
    let plan = try CharacterizationPlan(yaml: "name: a\nsteps:\n  - arrayMap:\n", file: "a.yaml")
    try await withChip(profile) { board in
      let error = await #expect(throws: CharacterizationError.self) {
        try await Characterization(plan: plan, profile: profile, macro: 9).steps(on: board)
      }
      #expect(error?.description == "there is no macro 9; the board has 4, from 0")
    }
  }
}
