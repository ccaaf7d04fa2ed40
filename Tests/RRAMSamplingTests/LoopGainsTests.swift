import Foundation
import RRAMBoard
import RRAMCharacterization
import RRAMEmulator
import RRAMMapping
import RRAMModel
import RRAMPhysics
import RRAMProfiles
import RRAMRecords
import RRAMSampling
import RRAMTransport
import RRAMUnits
import Testing

/// A board whose reads and whose loop see the cells by different gains, before and after they were measured.
@Suite("LoopGains", .serialized) struct LoopGainsTests {
  /// Board `parallel`, or `paired` with two networks, with σ = 1 % in the amplifiers of reads, in each of their ranges and in those of the loop, multipliers of 0.4 %, and
  /// converters of 0.5 % and 1 mV; references without error, so that what is measured is what was drawn.
  private static func description(_ name: String = "parallel") throws -> BoardDescription {
    var text = try BoardDescription.named(name).document
    for (line, other) in [
      (
        "    gain: {value: 0, unit: \"1\", assumed: trimmed at power-up}\n",
        "    gain: {value: 0.01, unit: \"1\", assumed: test}\n    rangeGain: {value: 0.01, unit: \"1\", assumed: test}\n"
      ),
      ("amplifierGain: {value: 0,", "amplifierGain: {value: 0.01,"),
      ("multiplierGain: {value: 0,", "multiplierGain: {value: 0.004,"),
      ("tolerance: {value: 0.1,", "tolerance: {value: 0,"),
      ("converterOffset: {value: 0, unit: V", "converterOffset: {value: 1, unit: mV"),
      ("converterGain: {value: 0, unit: \"1\"", "converterGain: {value: 0.5, unit: \"%\""),
      ("tolerance: {value: 0.05,", "tolerance: {value: 0,"),
    ] {
      #expect(text.components(separatedBy: line).count == 2, "\(line)")
      text = text.replacingOccurrences(of: line, with: other)
    }
    return try BoardDescription(yaml: text, file: "rough.yaml")
  }

  /// Sessions with a chip and its board, with or without what was measured of them.
  private struct Bench: Sendable {
    let profile: ChipProfile
    let device: EmulatedBoard
    let home: RecordsHome
    var read: ReadCalibration?
    var lines: ConverterLineCalibration?
    var loop: LoopCalibration?

    func session<R: Sendable>(_ body: (Board) async throws -> R) async throws -> R {
      var configuration = BoardConfiguration()
      configuration.openLimit = .seconds(300)
      configuration.responseLimit = .seconds(300)
      configuration.safeLimit = .seconds(300)
      configuration.readCalibration = { _, _ in read }
      configuration.lineCalibration = { _, _ in lines }
      configuration.loopCalibration = { _, _ in loop }
      return try await withBoard(InMemoryLink(to: device), configuration: configuration, body)
    }

    func step(
      _ name: String, _ settings: [(key: String, value: String)], macro: Int = 0, on board: Board
    ) async throws -> RRAMCharacterization.Measurement {
      let plan = try CharacterizationPlan.step(name, settings: settings)
      let run = try RunDirectory(home: home, toolkit: "test", command: ["rram", "characterize"], settings: [:])
      _ = try await Characterization(plan: plan, profile: profile, macro: macro).run(on: board, in: run)
      return try RRAMCharacterization.Measurement(file: run.file("01-\(name).npz").path)
    }

    /// Writes the model, and measures the reads' gains, the converters' lines, and then the loop's gains.
    mutating func prepare(_ model: ScoreModel, passes: Int) async throws {
      (read, lines) = try await session { board in
        let plan = try MappingPlan(model.network, on: board.boardDescription, window: board.limits.conductance)
        _ = try await board.form(plan.layers.map(\.block), options: FormOptions(profile))
        try await write(model, on: board)
        var read: ReadCalibration?
        var lines: ConverterLineCalibration?
        for macro in plan.layers.map(\.block.macro) {
          let found = try await step("converters", [("averages", macro == 0 ? "16" : "2")], macro: macro, on: board)
          read = try ConverterCalibration.calibration(
            from: found, macro: macro, board: board, id: "read", at: 1, before: read)
          if macro == 0 { lines = try LoopConverters.calibration(from: found, board: board, id: "lines", at: 1) }
        }
        return (read, lines)
      }
      loop = try await session { board in
        try LoopGains.calibration(
          from: try await step("loopGains", [("passes", "\(passes)")], on: board), board: board, id: "loop", at: 2,
          before: nil)
      }
    }

    func write(_ model: ScoreModel, on board: Board) async throws {
      let plan = try MappingPlan(
        model.network, on: board.boardDescription, window: board.limits.conductance, amplifiers: board.loopCalibration)
      var options = ProgramOptions(profile)
      options.followUp = nil
      _ = try await board.program(plan, model: model, options: options, home: home)
    }
  }

  private func withBench<R: Sendable>(
    _ name: String, board: String = "parallel", seed: UInt64, _ body: (inout Bench) async throws -> R
  ) async throws -> R {
    let profile = try ChipProfile.named(name)
    let device = try EmulatedBoard(
      profile: profile, board: try Self.description(board),
      configuration: .init(seed: seed, clock: LinkClock { .zero }, threads: 1))
    let home = RecordsHome(root: FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)"))
    defer { try? FileManager.default.removeItem(at: home.root) }
    var bench = Bench(profile: profile, device: device, home: home)
    do {
      let result = try await body(&bench)
      await device.close()
      return result
    } catch {
      await device.close()
      throw error
    }
  }

  /// What the emulated board drew for an amplifier of the loop.
  private func truth(seed: UInt64, macro: Int, pair: Int) throws -> Double {
    let loop = try #require(try Self.description().closedLoop)
    var network = LoopNetwork(layers: [.init(inputs: 1, outputs: 1, weights: [1, 0])])
    LoopPeriphery(loop, seed: seed).apply(to: &network, amplifiers: [[(macro, pair)]])
    return Double(network.layers[0].weights[0])
  }

  /// Every measured pair with its truth.
  private func pairs(
    _ calibration: LoopCalibration, seed: UInt64
  ) throws -> [(pair: LoopCalibration.Pair, truth: Double)] {
    try calibration.pairs.enumerated().flatMap { macro, pairs in
      try pairs.enumerated().compactMap { place, pair in
        try pair.map { ($0, try truth(seed: seed, macro: macro, pair: place)) }
      }
    }
  }

  /// `ideal`, seed 2, 30 pairs of columns, 64 samples of seed 5.
  @Test("inference follows read-back once its gains are measured, and samples come closer to software")
  func closesTheGap() async throws {
    let model = try ModelLibrary.scoreModel("ring")
    try await withBench("ideal", seed: 2) { bench in
      func rms(_ board: Board, _ home: RecordsHome) async throws -> Double {
        let program = try SamplingProgram(model, equation: .ode, seed: 5)
        let file = try await SamplingSession(program, on: board, home: home).draw(64).file
        return SampleMetrics.rootMeanSquareDifference(file.x, try file.softwareReference(for: model))
      }
      try await bench.prepare(model, passes: 2)
      let loop = try #require(bench.loop)
      #expect(loop.readCalibration == "read")
      let found = try pairs(loop, seed: 2)
      #expect(found.count >= 28, "\(found.count) pairs")
      let errors = found.map { $0.pair.gain - 1 }
      let before = (errors.reduce(0) { $0 + $1 * $1 } / Double(errors.count)).squareRoot()
      #expect((0.006...0.015).contains(before), "rms \(before)")
      for (pair, truth) in found { #expect(abs(pair.gain / truth - 1) < 0.001, "\(pair), drawn \(truth)") }

      var raw = bench
      (raw.read, raw.lines, raw.loop) = (nil, nil, nil)
      let home = bench.home
      let uncalibrated = try await raw.session { try await rms($0, home) }
      let copy = bench
      let (trimmed, calibrated, left) = try await bench.session { board in
        let trimmed = try await rms(board, home)
        try await copy.write(model, on: board)
        let left = try await copy.step("loopGains", [("passes", "2")], on: board)
        let again = try #require(
          try LoopGains.calibration(from: left, board: board, id: "again", at: 3, before: nil))
        let findings = try LoopGains.findings(from: left)
        #expect(
          findings.remarks.contains {
            $0.hasPrefix("With the calibration that was in force") && $0.hasSuffix("pairs within the demanded 0.3 %.")
          }, "\(findings.remarks)")
        return (trimmed, try await rms(board, home), again)
      }
      for (macro, pairs) in left.pairs.enumerated() {
        for (place, pair) in pairs.enumerated() {
          guard let pair, let known = loop.pairs[macro][place] else { continue }
          #expect(abs(pair.gain / known.gain - 1) < 0.003, "macro \(macro), pair \(place)")
        }
      }
      #expect(
        calibrated < uncalibrated / 4, "rms \(uncalibrated), with trimmed gains \(trimmed), written anew \(calibrated)")
    }
  }

  /// `ideal`, seed 4, on a board of two networks: both are measured, each through its own multiplier and beside the other.
  @Test("gains of a second network are measured beside the first one")
  func secondNetwork() async throws {
    let model = try ModelLibrary.scoreModel("letters")
    try await withBench("ideal", board: "paired", seed: 4) { bench in
      try await bench.prepare(model, passes: 2)
      let loop = try #require(bench.loop)
      for macro in 0..<6 {
        let count = loop.pairs[macro].count { $0 != nil }
        #expect(count >= (macro % 3 == 2 ? 2 : 12), "\(count) pairs of macro \(macro)")
      }
      for (pair, truth) in try pairs(loop, seed: 4) {
        #expect(abs(pair.gain / truth - 1) < 0.001, "\(pair), drawn \(truth)")
      }
      // With reads that are calibrated on the first network's macros alone, it alone is measured.
      bench.read?.isMeasured = (0..<8).map { $0 < 3 }
      bench.loop = nil
      let copy = bench
      let (first, calibration) = try await bench.session { board in
        let first = try await copy.step("loopGains", [("passes", "2")], on: board)
        return (first, try LoopGains.calibration(from: first, board: board, id: "first", at: 3, before: nil))
      }
      let measured = try #require(calibration).pairs.map { $0.contains { $0 != nil } }
      #expect(measured == [true, true, true, false, false, false, false, false])
      #expect(
        try LoopGains.findings(from: first).remarks.contains {
          $0.hasPrefix("The second network was left out") && $0.hasSuffix("macros 3, 4, 5.")
        })
    }
  }

  /// A product is converted in another range than a read: without the ranges' own gains their ratio would be in every gain of the loop.
  @Test("gains of the loop are refused as long as the reads' ranges are not known")
  func refusedWithoutRanges() async throws {
    let model = try ModelLibrary.scoreModel("ring")
    try await withBench("ideal", seed: 2) { bench in
      // Only macro 0 is known.
      let none = [[Double]](repeating: [Double](repeating: 0, count: 64), count: 4)
      let line = ReadCalibration.RangeLine(
        gain: none.map { $0.map { _ in 1 } }, offsetSiemens: none, isMeasured: [true, false, false, false])
      bench.read = ReadCalibration(
        id: "r", chip: "EMU-ideal-2", board: "EMU-2", madeAt: 0, celsius: nil, reference: .resistors(tolerance: 0),
        shape: MacroShape(rows: 64, columns: 64), gain: line.gain, offsetSiemens: none, isMeasured: line.isMeasured,
        ranges: [line, line, line, line])
      let copy = bench
      try await bench.session { board in
        let plan = try MappingPlan(model.network, on: board.boardDescription, window: board.limits.conductance)
        _ = try await board.form(plan.layers.map(\.block), options: FormOptions(copy.profile))
        try await copy.write(model, on: board)
        let run = try RunDirectory(home: copy.home, toolkit: "test", command: ["rram", "characterize"], settings: [:])
        let work = Characterization(
          plan: try CharacterizationPlan.step("loopGains", settings: []), profile: copy.profile, macro: 0)
        let error = await #expect(throws: CharacterizationError.self) { _ = try await work.run(on: board, in: run) }
        #expect(
          error?.reason.hasPrefix(
            "the gains of the reads' ranges are not known on macros 1, 2: 'rram characterize converters --macro 1'")
            == true,
          "\(String(describing: error))")
      }
    }
  }
}
