import Foundation
import RRAMBoard
import RRAMEmulator
import RRAMMapping
import RRAMModel
import RRAMProfiles
import RRAMRecords
import RRAMSampling
import RRAMTransport
import RRAMUnits
import RRAMWire
import Testing

private let ngspice: String? = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
  .map { "\($0)/ngspice" }.first { FileManager.default.isExecutableFile(atPath: $0) }

/// ngspice against the emulator on the same programmed chip, and what a netlist holds.
@Suite("SpiceNetlist", .serialized) struct SpiceNetlistTests {
  /// Programs a model on an emulated ideal chip.
  private func withChip<R: Sendable>(
    _ model: ScoreModel, profile: ChipProfile? = nil, board: BoardDescription? = nil,
    _ body: (Board, ProgramRecord) async throws -> R
  ) async throws -> R {
    let profile = try profile ?? ChipProfile.named("ideal")
    let device = try EmulatedBoard(
      profile: profile, board: try board ?? BoardDescription.named("parallel"),
      configuration: .init(seed: 3, clock: LinkClock { .zero }, threads: 1))
    let home = RecordsHome(root: FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)"))
    defer { try? FileManager.default.removeItem(at: home.root) }
    var patient = BoardConfiguration()
    patient.openLimit = .seconds(300)
    patient.responseLimit = .seconds(300)
    patient.safeLimit = .seconds(300)
    do {
      let result = try await withBoard(InMemoryLink(to: device), configuration: patient) { board in
        let plan = try MappingPlan(model.network, on: board.boardDescription, window: board.limits.conductance)
        _ = try await board.form(plan.layers.map(\.block), options: FormOptions(profile))
        var options = ProgramOptions(profile)
        options.followUp = nil
        return try await body(board, try await board.program(plan, model: model, options: options, home: home))
      }
      await device.close()
      return result
    } catch {
      await device.close()
      throw error
    }
  }

  /// x and y in volts at every tick of a netlist's run.
  private func simulate(_ netlist: SpiceNetlist) throws -> [[Double]] {
    let program = try #require(ngspice)
    let folder = FileManager.default.temporaryDirectory.appending(path: "rram-spice-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "loop.cir")
    try Data(netlist.text.utf8).write(to: file)
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = ["-b", file.path]
    process.currentDirectoryURL = folder
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(text.suffix(2000))")
    // Rows of the printed table: index, time, x, y.
    let rows = text.split(separator: "\n").compactMap { line -> [Double]? in
      let words = line.split(whereSeparator: \.isWhitespace)
      guard words.count == 4, Int(words[0]) != nil else { return nil }
      let numbers = words.dropFirst().compactMap { Double($0) }
      return numbers.count == 3 ? numbers : nil
    }
    #expect(rows.first?[0] == 0, "\(text.suffix(2000))")
    return Array(rows.dropFirst())
  }

  @Test(
    "ngspice and the emulator give the same x(t), rms within 0.1 % of its range",
    .enabled(if: ngspice != nil, "ngspice is not installed ('tools/setup test' installs it)"),
    arguments: [("ring", Int?.none, ReverseEquation.ode), ("letters", 1, .ode), ("letters", 2, .sde)])
  func sameTrajectories(name: String, label: Int?, equation: ReverseEquation) async throws {
    try await compare(
      try ModelLibrary.scoreModel(name), label, equation, starts: [[1, -1], [-2.5, 0.5], [0.1, 2.2], [3, 1.5]])
  }

  /// Poles of 5 % of a run.
  @Test(
    "with slow amplifiers and multipliers too, whose poles move x by far more",
    .enabled(if: ngspice != nil, "ngspice is not installed ('tools/setup test' installs it)"))
  func sameTrajectoriesThroughSlowPoles() async throws {
    var slow = try BoardDescription(
      yaml: try BoardDescription.named("parallel").document
        .replacing("{value: 160, unit: MHz", with: "{value: 160, unit: kHz"), file: "slow.yaml")
    slow.name = "parallel"
    let model = try ModelLibrary.scoreModel("ring")
    let starts: [[Float]] = [[1, -1], [-2.5, 0.5]]
    let behind = try await compare(model, nil, .ode, starts: starts, board: slow)
    let fast = try await compare(model, nil, .ode, starts: starts)
    for (one, other) in zip(behind, fast) {
      let difference = (zip(one, other).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Double(one.count))
        .squareRoot()
      #expect(difference > 1.5e-3, "\(difference) V")
    }
  }

  /// An otherwise ideal chip whose cells conduct like those of `hfox-analog`, each a sinh of its own in the netlist.
  @Test(
    "with cells that are not ohmic too",
    .enabled(if: ngspice != nil, "ngspice is not installed ('tools/setup test' installs it)"))
  func sameTrajectoriesWithCellsThatAreNotOhmic() async throws {
    let text = try ChipProfile.named("ideal").document
    let cells = try ChipProfile.named("hfox-analog").cells
    let chip = try ChipProfile(
      yaml: text.replacing("name: ideal", with: "name: hfox-analog")
        .replacing("curvature: {value: 0,", with: "curvature: {value: \(cells.curvature),")
        .replacing("polarity: {value: 1,", with: "polarity: {value: \(cells.polarity),"), file: "curved.yaml")
    let starts: [[Float]] = [[-2.5, 0.5]]
    let model = try ModelLibrary.scoreModel("ring")
    let curved = try await compare(model, nil, .ode, starts: starts, profile: chip)
    let ohmic = try await compare(model, nil, .ode, starts: starts)
    for (one, other) in zip(curved, ohmic) {
      let difference = (zip(one, other).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Double(one.count))
        .squareRoot()
      #expect(difference > 5e-4, "\(difference) V")
    }
  }

  /// Runs a model from start points on the emulator and in ngspice; returns the emulator's trajectories in volts.
  @discardableResult
  private func compare(
    _ model: ScoreModel, _ label: Int?, _ equation: ReverseEquation, starts: [[Float]], profile: ChipProfile? = nil,
    board: BoardDescription? = nil
  ) async throws -> [[Double]] {
    try await withChip(model, profile: profile, board: board) { board, record in
      var trajectories: [[Double]] = []
      let loop = try #require(board.boardDescription.closedLoop)
      try await board.configureLoop(
        record.plan.layers.map(\.loopLayer))
      for (index, start) in starts.enumerated() {
        let program = try SamplingProgram(
          model, equation: equation, classLabel: label, seed: 7, firstSample: UInt32(index))
        let schedule = try program.schedule(on: board.boardDescription)
        try await board.uploadSchedule(
          LoopSchedule(id: 1, tick: schedule.tick, ticks: schedule.ticks, codes: schedule.codes, noise: schedule.noise))
        let preset = try start.map {
          UInt16(try #require(loop.preset.code(nearest: Double($0) * loop.unitVoltage)).rawValue)
        }
        let run = LoopRun(
          scheduleID: 1, preset: preset, seed: 7, firstSample: UInt32(index), trajectoryEvery: 1)
        var trajectory: [Double] = []
        for try await batch in board.runLoop(run) {
          trajectory += batch.trajectory.map { loop.readOut.volts(DACCode(rawValue: UInt32($0))).rawValue }
        }
        #expect(trajectory.count == 2 * schedule.ticks)

        let netlist = try SpiceNetlist(program, record: record, board: board.boardDescription, start: start)
        #expect(netlist.cells == record.plan.cellCount && netlist.unread == 0 && netlist.open == 0)
        let rows = try simulate(netlist)
        try #require(rows.count == schedule.ticks)
        // The wider of both axes: the path as a whole.
        var (sum, range) = (0.0, 0.0)
        for axis in 0..<2 {
          let expected = (0..<schedule.ticks).map { trajectory[2 * $0 + axis] }
          range = max(range, try #require(expected.max()) - (try #require(expected.min())))
          for tick in 0..<schedule.ticks {
            #expect(abs(rows[tick][0] / schedule.tick.seconds - Double(tick + 1)) < 1e-3)
            let difference = rows[tick][1 + axis] - expected[tick]
            sum += difference * difference
          }
        }
        let rms = (sum / Double(2 * schedule.ticks)).squareRoot()
        #expect(rms <= 1e-3 * range, "start \(start): rms \(rms / range) of the range \(range) V")
        #expect(range > 0.04)
        trajectories.append(trajectory)
      }
      return trajectories
    }
  }

  @Test(
    "cells stand at what was read, at their target where nothing was read, and are left out where they do not conduct")
  func conductances() async throws {
    let model = try ModelLibrary.scoreModel("ring")
    try await withChip(model) { board, record in
      var changed = record
      changed.conductances[0][0] = 50e-6
      changed.conductances[0][1] = nil
      changed.conductances[2][3] = -1e-9
      let program = try SamplingProgram(model, equation: .ode)
      let netlist = try SpiceNetlist(program, record: changed, board: board.boardDescription)
      #expect(netlist.cells == record.plan.cellCount - 1 && netlist.unread == 1 && netlist.open == 1)
      let lines = netlist.text.split(separator: "\n").map(String.init)
      let resistor = try #require(lines.first { $0.hasPrefix("Rg0_0_0 r0_0 c0_0 ") })
      #expect(abs(try #require(Double(resistor.split(separator: " ")[3])) - 20_000) < 0.01)
      let target = try #require(lines.first { $0.hasPrefix("Rg0_0_1 ") }?.split(separator: " ").last)
      #expect(abs(try #require(Double(target)) * Double(record.plan.layers[0].targets[1]) - 1) < 1e-6)
      #expect(!lines.contains { $0.hasPrefix("Rg2_0_3 ") })
      // Two integrators, 30 column pairs, 30 rows that are not the bias.
      #expect(lines.count { $0.hasPrefix("Bh") } == 30 && lines.count { $0.hasPrefix("Br") } == 30)
      // A pole for each pair and each multiplier.
      #expect(lines.count { $0.hasPrefix("Cv") } == 30 && lines.count { $0.hasPrefix("Cm") } == 2)
      #expect(lines.count { $0.hasPrefix("Vc") } == 60 && lines.count { $0.hasPrefix("Cx") || $0.hasPrefix("Cy") } == 2)

      let targets = try SpiceNetlist(
        program, record: changed, board: board.boardDescription, conductances: .targets, start: [0.5, 0.25])
      #expect(targets.cells == record.plan.cellCount && targets.unread == 0)
      #expect(abs(targets.start[0] - 0.5) < 1e-3 && abs(targets.start[1] - 0.25) < 1e-3)
    }
  }

  @Test("start points out of range and boards without a loop are refused")
  func refusals() async throws {
    let model = try ModelLibrary.scoreModel("ring")
    try await withChip(model) { board, record in
      let program = try SamplingProgram(model)
      let far = try #require(throws: SessionError.self) {
        try SpiceNetlist(program, record: record, board: board.boardDescription, start: [7, 0])
      }
      #expect(far.code == .presetOutOfRange)
      for bad in [[1], [.nan, 0]] as [[Float]] {
        let error = try #require(throws: SessionError.self) {
          try SpiceNetlist(program, record: record, board: board.boardDescription, start: bad)
        }
        #expect(error.code == .invalidArgument)
      }
      #expect(throws: ScheduleError.self) {
        try SpiceNetlist(program, record: record, board: try BoardDescription.named("multiplexed"))
      }
    }
  }
}
