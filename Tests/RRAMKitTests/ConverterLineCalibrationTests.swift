import Foundation
import RRAMKit
import Testing

/// Board `parallel` whose converters differ by 1 mV and 0.5 %, whose reference is exact; chip `ideal`; seed 2.
@Suite("ConverterLineCalibration", .serialized) struct ConverterLineCalibrationTests {
  private static let seed: UInt64 = 2

  private func description() throws -> BoardDescription {
    var text = try BoardDescription.named("parallel").document
    for (key, value) in [
      ("converterOffset: {value: 0, unit: V", "converterOffset: {value: 1, unit: mV"),
      ("converterGain: {value: 0, unit: \"1\"", "converterGain: {value: 0.5, unit: \"%\""),
      ("tolerance: {value: 0.05, unit: \"%\"", "tolerance: {value: 0, unit: \"%\""),
    ] {
      #expect(text.contains(key), "\(key)")
      text = text.replacing(key, with: value)
    }
    return try BoardDescription(yaml: text, file: "differing.yaml")
  }

  private func device() throws -> EmulatedBoard {
    try EmulatedBoard(
      profile: .named("ideal"), board: description(),
      configuration: .init(seed: Self.seed, clock: .init { .zero }, threads: 1))
  }

  private func scratch() -> URL { FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)") }

  /// The step `converters`, in its own words.
  private func measured(
    _ board: Board, in folder: URL, settings: [(key: String, value: String)] = []
  ) async throws -> RRAMCharacterization.Measurement {
    let run = try RunDirectory(
      home: RecordsHome(root: folder), folder: folder.appending(path: "run"), toolkit: "test", command: ["test"],
      settings: [:])
    let plan = try CharacterizationPlan.step("converters", settings: settings)
    _ = try await Characterization(plan: plan, profile: .named("ideal"), macro: 0).run(on: board, in: run)
    return try .init(file: run.file("01-converters.npz").path)
  }

  /// 24 channels, 5 codes each, 16 conversions of 8 µV noise a code: of 48 intervals of 95 % at least 41 hold the drawn value (3 σ; 45 do), all do
  /// at three times their width, which is at most 1e-4 and 20 µV to either side.
  @Test("the lines that are found are the drawn ones") func findsTheLines() async throws {
    let folder = scratch()
    defer { try? FileManager.default.removeItem(at: folder) }
    let device = try device()
    let loop = try #require(try description().closedLoop)
    let periphery = LoopPeriphery(loop, seed: Self.seed)
    try await withBoard(InMemoryLink(to: device)) { board in
      let measurement = try await measured(board, in: folder)
      let channels = try LoopConverters.channels(measurement)
      #expect(channels.count == 24)
      var inside = 0
      for channel in channels {
        let drawn = periphery.line(channel.kind, channel: channel.channel)
        let gain = abs(channel.line.gain - drawn.gain) / channel.gainError
        let offset = abs(channel.line.offset - drawn.offset) / channel.offsetError
        inside += (gain <= 1 ? 1 : 0) + (offset <= 1 ? 1 : 0)
        #expect(gain <= 3 && offset <= 3, "\(channel) \(drawn)")
        #expect(channel.gainError < 1e-4 && channel.offsetError < 2e-5, "\(channel)")
        // No converter here bends.
        #expect(channel.nonlinearity < 3, "\(channel)")
      }
      #expect(inside >= 41, "\(inside) of 48")
      let calibration = try #require(
        try LoopConverters.calibration(from: measurement, board: board, id: "c", at: 1))
      #expect(
        calibration.board == "EMU-2" && calibration.celsius == 25 && calibration.reference == .voltage(tolerance: 0))
    }
    await device.close()
  }

  /// `ring` and `letters` (class 1, SDE), 256 samples of seed 5, each against the same network in software from the same start: rms 1.3e-2 and
  /// 1.7e-2 units before, 1.0e-4 and 6.8e-4 after. The latter is the difference of the noise converters' gains, for which a schedule has one level.
  @Test(
    "samples come back to software's once the converters are calibrated",
    arguments: [("ring", ReverseEquation.ode, Int?.none, 2e-4), ("letters", .sde, 1, 1e-3)])
  func samples(name: String, equation: ReverseEquation, label: Int?, bound: Double) async throws {
    let folder = scratch()
    defer { try? FileManager.default.removeItem(at: folder) }
    let device = try device()
    let home = RecordsHome(root: folder)
    let model = try ModelLibrary.scoreModel(name)
    let profile = try ChipProfile.named("ideal")
    let program = try SamplingProgram(model, equation: equation, classLabel: label, seed: 5)
    func rms(_ board: Board, startOnBoard: Bool = false) async throws -> Double {
      let file = try await SamplingSession(program, on: board, home: home).draw(256, startOnBoard: startOnBoard).file
      return SampleMetrics.rootMeanSquareDifference(file.x, try file.softwareReference(for: model))
    }
    let (before, calibration) = try await withBoard(InMemoryLink(to: device)) { board in
      let plan = try MappingPlan(model.network, on: board.boardDescription, window: board.limits.conductance)
      _ = try await board.form(plan.layers.map(\.block), options: FormOptions(profile))
      var options = ProgramOptions(profile)
      options.followUp = nil
      _ = try await board.program(plan, model: model, options: options, home: home)
      let before = try await rms(board)
      let measurement = try await measured(board, in: folder)
      return (
        before, try #require(try LoopConverters.calibration(from: measurement, board: board, id: "c", at: 1))
      )
    }
    var configuration = BoardConfiguration()
    configuration.lineCalibration = { _, _ in calibration }
    let (after, onBoard) = try await withBoard(InMemoryLink(to: device), configuration: configuration) { board in
      (try await rms(board), try await rms(board, startOnBoard: true))
    }
    #expect(before > 0.01, "rms \(before)")
    #expect(after < bound, "rms \(after) after \(before)")
    #expect(onBoard < bound, "rms \(onBoard) after \(before), start points drawn by the board")
    // That of another board, or of one with other channels, is refused.
    var other = calibration
    other.board = "EMU-3"
    var fewer = calibration
    fewer.lines.embedding.removeLast()
    var otherwise = calibration
    otherwise.descriptionSHA256 = try BoardDescription.named("parallel").hash
    for (wrong, reason) in [
      (other, "calibration c of the loop's converters was made on board EMU-3, this is EMU-2"),
      (fewer, "calibration c of the loop's converters is of 23 converter channels, the board has 24"),
      (otherwise, "calibration c of the loop's converters was made when the board described itself otherwise"),
    ] {
      configuration.lineCalibration = { _, _ in wrong }
      let error = await #expect(throws: BoardError.self) {
        try await withBoard(InMemoryLink(to: device), configuration: configuration) { _ in }
      }
      #expect(error?.message == reason, "\(String(describing: error))")
    }
    await device.close()
  }

  @Test("what an instrument measured of the reference is the scale") func measuredReference() async throws {
    let folder = scratch()
    defer { try? FileManager.default.removeItem(at: folder) }
    let device = try device()
    try await withBoard(InMemoryLink(to: device)) { board in
      // 0.505 V where the board says 0.5 V: everything is 1 % more.
      let measurement = try await measured(
        board, in: folder,
        settings: [("averages", "1"), ("measuredReference", "505 mV"), ("instrument", "DMM 7")])
      let calibration = try #require(
        try LoopConverters.calibration(from: measurement, board: board, id: "c", at: 1))
      #expect(calibration.reference == .measured(instrument: "DMM 7"))
      #expect("\(calibration.reference)" == "voltage reference measured by DMM 7")
      let drawn = LoopPeriphery(try #require(board.boardDescription.closedLoop), seed: Self.seed)
        .line(.coefficient, channel: 0)
      #expect(abs(calibration.lines.coefficient[0].gain / drawn.gain - 1.01) < 3e-4)
    }
    await device.close()
  }
}
