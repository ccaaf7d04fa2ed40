import ArgumentParser
import Foundation
import RRAMKit

struct DemoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo", abstract: "The whole path on an emulated chip: form, program and sample ring and letters.",
    discussion: """
      Compares what the chip draws with the same networks in software, from the same start points and noise, and writes pictures. \
      All figures of the chip are modelled: they come from the emulator's physics, not from silicon.
      """)

  @Option(help: "Chip profile.")
  var profile = "cmo-hfox"

  @Option(help: "Seed of the ring's chip; the letters' chip has the next one.")
  var seed: UInt64 = 1

  @Option(name: .shortAndLong, help: "Folder for pictures, samples and records.")
  var output = "demo"

  @OptionGroup var common: CommonOptions

  func run() async throws {
    let folder = URL(filePath: output, directoryHint: .isDirectory)
    let home = RecordsHome(root: folder.appending(path: "records"))
    let record = try RunDirectory(
      home: home, toolkit: toolkitVersion, command: CommandLine.arguments,
      settings: ["profile": profile, "seed": "\(seed)"])
    // Each network has a chip of its own, as two dies of one wafer.
    let ring = try await path("ring", count: 20_000, seed: seed, home: home, record: record)
    let letters = try await path("letters", count: 12_000, seed: seed &+ 1, home: home, record: record)

    let pictures = [
      folder.appending(path: "ring.png"), folder.appending(path: "letters.png"),
      folder.appending(path: "conductances.png"),
    ]
    try Pictures.pointClouds(
      [
        ("data", try EvaluationData("ring").points.prefix(40_000).map { Float($0) }), ("software", ring.software),
        ("chip (\(profile))", ring.samples.x), ("calibrated", ring.calibrated.x),
      ], halfWidth: 1.2, to: pictures[0], format: .png)
    try Pictures.imageGrid(try decoded(letters), side: LetterDecoder.imageSize, to: pictures[1], format: .png)
    try Pictures.conductanceMaps(ring.program.mapPanels, to: pictures[2], format: .png)
    try ring.samples.write(to: folder.appending(path: "ring.npz").path)
    try letters.samples.write(to: folder.appending(path: "letters.npz").path)
    try ring.calibrated.write(to: folder.appending(path: "ring-calibrated.npz").path)
    try letters.calibrated.write(to: folder.appending(path: "letters-calibrated.npz").path)
    try record.finish(exitStatus: 0)
    try answer(
      DemoOutput(
        profile: profile, seed: seed, ring: ring.result, letters: letters.result, pictures: pictures.map(\.path)),
      json: common.json)
  }

  private struct Outcome {
    var samples: SampleFile
    /// With tables that were fitted to the cells.
    var calibrated: SampleFile
    /// The same samples in software.
    var software: [Float]
    var program: ProgramRecord
    var result: DemoOutput.Network
  }

  /// Form, program, sample, calibrate, sample again and evaluate one network on one chip.
  private func path(
    _ name: String, count: Int, seed: UInt64, home: RecordsHome, record: RunDirectory
  ) async throws -> Outcome {
    let model = try ModelLibrary.scoreModel(name)
    let chip = BoardAddress.EmulatedChip(profile: profile, seed: seed)
    let progress = ProgressLine(quiet: common.quiet)
    defer { progress.clear() }
    let drawn = try await RRAM.withBoard(at: .emulated(chip), home: home, logger: common.logger) { board in
      let profile = try ChipProfile.load(nameOrPath: chip.profile)
      say("\(name): forming the cells of its placement on \(board.info.chipID)")
      var known = KnownCells()
      let plan = try await board.form(
        for: model.network, window: board.limits.conductance, options: FormOptions(profile), known: &known
      ) { progress.show($0) }.plan
      say("\(name): programming \(plan.cellCount) cells by write-verify, then 60 s of chip time")
      var options = ProgramOptions(profile)
      options.followUp = .oneMinute
      let program = try await board.program(plan, model: model, options: options, home: home) { progress.show($0) }
      progress.clear()
      say("\(name): drawing \(count) samples in closed loop (\(model.metadata.equation.rawValue))")
      let classes: [Int?] = model.network.isConditional ? Array(0..<model.network.classCount) : [nil]
      let programs = try classes.enumerated().map { index, label in
        try SamplingProgram(model, classLabel: label, firstSample: UInt32(index * (count / classes.count)))
      }
      let (samples, statistics) = try await draw(programs, count: count, on: board, home: home)
      say("\(name): reading the cells back and fitting the schedule's tables to them")
      let calibration = try await ScheduleCalibration(
        CalibrationGoal(model, labels: classes), on: board, record: program, predicting: 0)
      _ = try calibration.save(home: home)
      let calibrated = try await draw(
        programs.map {
          var program = $0
          try program.apply(calibration)
          return program
        }, count: count, on: board, home: home
      ).file
      try record.events.append([
        .init("sample", boardTime: await board.boardTime, detail: "\(count) samples of \(name)")
      ])
      return (
        samples: samples, calibrated: calibrated, calibration: calibration, program: program, statistics: statistics
      )
    }
    say("\(name): the same \(count) samples in software")
    let data = try EvaluationData(model.metadata.data)
    let report = try drawn.samples.evaluate(against: data, model: model)
    let after = try EvaluationReport(drawn.calibrated, against: data)
    let software = try drawn.samples.softwareReference(for: model)
    guard let reference = report.software else { preconditionFailure("a report with a model has a reference") }
    return Outcome(
      samples: drawn.samples, calibrated: drawn.calibrated, software: software, program: drawn.program,
      result: .init(
        software: reference, chip: report.quality, ratio: report.ratio, calibrated: after.quality,
        calibratedRatio: after.quality.ratio(to: reference),
        calibration: .init(
          id: drawn.calibration.id, chipSeconds: drawn.calibration.chipSeconds,
          hostSeconds: drawn.calibration.hostSeconds),
        program: drawn.program.report,
        chipSecondsPerSample: drawn.statistics.chipSeconds / Double(drawn.statistics.samples)))
  }

  private func draw(
    _ programs: [SamplingProgram], count: Int, on board: Board, home: RecordsHome
  ) async throws -> (file: SampleFile, statistics: SamplingStatistics) {
    var file: SampleFile?
    var statistics = SamplingStatistics()
    for program in programs {
      let session = try await SamplingSession(program, on: board, home: home)
      var samples = file ?? SampleFile(metadata: session.metadata)
      statistics.add(try await session.draw(count / programs.count) { samples.append($0) })
      file = samples
    }
    guard let file else { throw CancellationError() }
    return (file, statistics)
  }

  /// Sixteen letters of each class, as the decoder draws them.
  private func decoded(_ letters: Outcome) throws -> [(title: String, images: [[Float]])] {
    let decoder = try ModelLibrary.letterDecoder()
    let names = try ModelLibrary.scoreModel("letters").metadata.classNames
    let pixels = LetterDecoder.imageSize * LetterDecoder.imageSize
    var rows: [(title: String, images: [[Float]])] = []
    for (title, points) in [
      ("software", letters.software), ("chip", letters.samples.x), ("calibrated", letters.calibrated.x),
    ] {
      for (label, name) in names.enumerated() {
        let members = letters.samples.labels.indices.filter { letters.samples.labels[$0] == label }.prefix(16)
        let images = decoder.images(of: members.flatMap { [points[2 * $0], points[2 * $0 + 1]] })
        rows.append(
          ("\(name), \(title)", stride(from: 0, to: images.count, by: pixels).map { Array(images[$0..<$0 + pixels]) }))
      }
    }
    return rows
  }

  private func say(_ line: String) {
    if !common.quiet { note(line) }
  }
}

struct DemoOutput: CommandOutput {
  struct Calibration: Encodable {
    var id: String
    var chipSeconds: Double
    var hostSeconds: Double
  }

  struct Network: Encodable {
    var software: SampleQuality
    /// With the model's own tables, and with the fitted ones.
    var chip: SampleQuality
    var ratio: QualityRatio?
    var calibrated: SampleQuality
    var calibratedRatio: QualityRatio
    var calibration: Calibration
    var program: ProgramReport
    var chipSecondsPerSample: Double
  }

  var profile: String
  var seed: UInt64
  var ring: Network
  var letters: Network
  var pictures: [String]

  /// Software, chip and calibrated chip side by side.
  private func rows(_ name: String, _ network: Network) -> [[String]] {
    var rows = [[name, "software", "chip", "chip/software", "calibrated", "calibrated/software"]]
    func row(_ name: String, _ value: KeyPath<SampleQuality, Double>, _ ratio: KeyPath<QualityRatio, Double?>?) {
      func number(_ ratios: QualityRatio?) -> String {
        ratio.map { (ratios?[keyPath: $0] ?? nil).formatted(digits: 3) } ?? ""
      }
      rows.append([
        name, network.software[keyPath: value].formatted(digits: 3), network.chip[keyPath: value].formatted(digits: 3),
        number(network.ratio), network.calibrated[keyPath: value].formatted(digits: 3), number(network.calibratedRatio),
      ])
    }
    row("KL1d", \.kl1d, \.kl1d)
    row("KL2d", \.kl2d, \.kl2d)
    row("sliced Wasserstein", \.slicedWasserstein, \.slicedWasserstein)
    row("energy distance", \.energyDistance, \.energyDistance)
    row("radius, mean", \.radiusMean, nil)
    row("radius, σ", \.radiusStd, nil)
    return rows
  }

  var text: String {
    var chipRows = [["", "ring", "letters"]]
    func chipRow(_ name: String, _ value: (Network) -> String) { chipRows.append([name, value(ring), value(letters)]) }
    func error(_ statistics: ErrorStatistics?) -> String { "\(statistics?.std.formatted(digits: 3) ?? "–") µS" }
    chipRow("cells in tolerance") {
      String(
        format: "%d of %d, ±%@ µS", $0.program.inTolerance, $0.program.cells, $0.program.tolerance.formatted(digits: 3))
    }
    chipRow("pulses a cell, mean / 95 %") {
      "\($0.program.pulses.mean.formatted(digits: 3)) / \($0.program.pulses.p95.formatted(digits: 3))"
    }
    chipRow("error at verify, σ") { error($0.program.error.verify) }
    chipRow("error 60 s later, σ") { error($0.program.error.after60s) }
    chipRow("weight error, rms of the largest") { "\($0.program.weightErrorPercent.formatted(digits: 3)) %" }
    chipRow("chip time to program") { "\($0.program.chipSeconds.formatted(digits: 4)) s" }
    chipRow("chip time a sample") { "\(($0.chipSecondsPerSample * 1e6).formatted(digits: 3)) µs" }

    chipRow("calibration, chip / host") {
      "\($0.calibration.chipSeconds.formatted(digits: 2)) s / \($0.calibration.hostSeconds.formatted(digits: 2)) s"
    }
    let isEqual = [ring, letters].allSatisfy { ($0.calibratedRatio.kl2d ?? .infinity) <= 1.1 }
    let verdict =
      "With the model's own tables the chip misses by what its cells miss their targets; tables fitted to the cells as they were read "
      + (isEqual ? "make that good." : "make part of that good.")
    return """
      Samples of emulated '\(profile)' chips against the same networks in software (same start points and noise).
      Software: computed here in float32. Chip: modelled by the emulator. Metrics against \(ring.chip.nData) ring points and \(letters.chip.nData) letter latents, n = \(ring.chip.n) and \(letters.chip.n).

      \(table(rows("ring", ring)))

      \(table(rows("letters", letters)))

      \(table(chipRows))

      \(verdict)
      pictures: \(pictures.joined(separator: "  "))
      """
  }
}
