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
        ("chip (\(profile))", ring.samples.x),
      ], halfWidth: 1.2, to: pictures[0], format: .png)
    try Pictures.imageGrid(try decoded(letters), side: LetterDecoder.imageSize, to: pictures[1], format: .png)
    try Pictures.conductanceMaps(ring.program.mapPanels, to: pictures[2], format: .png)
    try ring.samples.write(to: folder.appending(path: "ring.npz").path)
    try letters.samples.write(to: folder.appending(path: "letters.npz").path)
    try record.finish(exitStatus: 0)
    try answer(
      DemoOutput(
        profile: profile, seed: seed, ring: ring.result, letters: letters.result, pictures: pictures.map(\.path)),
      json: common.json)
  }

  private struct Outcome {
    var samples: SampleFile
    /// The same samples in software.
    var software: [Float]
    var program: ProgramRecord
    var result: DemoOutput.Network
  }

  /// Form, program, sample and evaluate one network on one chip.
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
      var samples: SampleFile?
      var statistics = SamplingStatistics()
      for (index, label) in classes.enumerated() {
        let share = count / classes.count
        let session = try await SamplingSession(
          try SamplingProgram(model, classLabel: label, firstSample: UInt32(index * share)), on: board, home: home)
        var file = samples ?? SampleFile(metadata: session.metadata)
        statistics.add(try await session.draw(share) { file.append($0) })
        samples = file
      }
      try record.events.append([
        .init("sample", boardTime: await board.boardTime, detail: "\(count) samples of \(name)")
      ])
      guard let samples else { throw CancellationError() }
      return (samples: samples, program: program, statistics: statistics)
    }
    say("\(name): the same \(count) samples in software")
    let report = try drawn.samples.evaluate(against: EvaluationData(model.metadata.data), model: model)
    let software = try drawn.samples.softwareReference(for: model)
    guard let reference = report.software else { preconditionFailure("a report with a model has a reference") }
    return Outcome(
      samples: drawn.samples, software: software, program: drawn.program,
      result: .init(
        software: reference, chip: report.quality, ratio: report.ratio, program: drawn.program.report,
        chipSecondsPerSample: drawn.statistics.chipSeconds / Double(drawn.statistics.samples)))
  }

  /// Sixteen letters of each class, as the decoder draws them.
  private func decoded(_ letters: Outcome) throws -> [(title: String, images: [[Float]])] {
    let decoder = try ModelLibrary.letterDecoder()
    let names = try ModelLibrary.scoreModel("letters").metadata.classNames
    let pixels = LetterDecoder.imageSize * LetterDecoder.imageSize
    var rows: [(title: String, images: [[Float]])] = []
    for (title, points) in [("software", letters.software), ("chip", letters.samples.x)] {
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
  struct Network: Encodable {
    var software: SampleQuality
    var chip: SampleQuality
    var ratio: QualityRatio?
    var program: ProgramReport
    var chipSecondsPerSample: Double
  }

  var profile: String
  var seed: UInt64
  var ring: Network
  var letters: Network
  var pictures: [String]

  var text: String {
    var rows = [["", "ring, software", "chip", "chip/software", "letters, software", "chip", "chip/software"]]
    func row(_ name: String, _ value: KeyPath<SampleQuality, Double>, _ ratio: KeyPath<QualityRatio, Double?>?) {
      var cells = [name]
      for network in [ring, letters] {
        cells.append(network.software[keyPath: value].formatted(digits: 3))
        cells.append(network.chip[keyPath: value].formatted(digits: 3))
        cells.append(ratio.map { (network.ratio?[keyPath: $0] ?? nil).formatted(digits: 3) } ?? "")
      }
      rows.append(cells)
    }
    row("KL1d", \.kl1d, \.kl1d)
    row("KL2d", \.kl2d, \.kl2d)
    row("sliced Wasserstein", \.slicedWasserstein, \.slicedWasserstein)
    row("energy distance", \.energyDistance, \.energyDistance)
    row("radius, mean", \.radiusMean, nil)
    row("radius, σ", \.radiusStd, nil)

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

    let verdict =
      (ring.ratio?.kl2d ?? .infinity) <= 1.1
      ? ""
      : "\nThe chip is not yet as good as software: cells miss their targets by what the lower table shows, uncalibrated."
    return """
      Samples of emulated '\(profile)' chips against the same networks in software (same start points and noise).
      Software: computed here in float32. Chip: modelled by the emulator. Metrics against \(ring.chip.nData) ring points and \(letters.chip.nData) letter latents, n = \(ring.chip.n) and \(letters.chip.n).

      \(table(rows))

      \(table(chipRows))
      \(verdict)
      pictures: \(pictures.joined(separator: "  "))
      """
  }
}
