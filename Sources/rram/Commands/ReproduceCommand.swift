import ArgumentParser
import Foundation
import RRAMKit

struct ReproduceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reproduce", abstract: "One table of this chip against the paper, for ring and letters.",
    discussion: """
      Without a board, or with an emulated one that keeps no state, each network gets fresh chips that are formed, programmed and left \
      for 600 s of chip time: one in --quick, eight otherwise, of which the table shows the median, its 95 % bootstrap interval and the \
      90th percentile. On any other board nothing is formed or written: the network that is on the chip is measured as it stands, \
      and the other column stays empty; --program puts both there, one after the other. Every number says whether it is measured (m), \
      modelled (M) or published (p).
      """)

  @Flag(help: "One chip, and fewer samples: 20000 of the ring and 12000 letters instead of 50000 and 24000.")
  var quick = false

  @Option(help: "How many fresh emulated chips a network. Default: 8, in --quick 1.")
  var chips: Int?

  @Flag(help: "Form and program both networks on the board, one after the other, and let 600 s of chip time pass.")
  var program = false

  @Option(name: .customShort("n"), parsing: .unconditional, help: "How many samples of each network instead.")
  var count: Int?

  @Option(
    name: .long,
    help: "The board. Default: RRAM_BOARD, else fresh emulated cmo-hfox chips, seed 1 (ring) and 2 (letters).")
  var board: String?

  @Flag(
    help:
      "Write report.html with pictures and report.json into a run folder (--run-dir, or a new one below $RRAM_HOME/runs)."
  )
  var report = false

  @Option(name: .long, help: "Folder of the report. Default: a new one below $RRAM_HOME/runs.")
  var runDir: String?

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if runDir != nil, !report { throw ValidationError("--run-dir belongs to --report") }
    if let chips, !(1...1000).contains(chips) { throw ValidationError("--chips \(chips): 1 to 1000 are possible") }
    if let count, !(300...1_000_000).contains(count) {
      throw ValidationError("-n \(count): 300 to 1000000 are possible")
    }
  }

  func run() async throws {
    let text = board ?? ProcessInfo.processInfo.environment["RRAM_BOARD"] ?? "emu:seed=1"
    let address = try BoardAddress(text)
    // The folder comes first: a report that cannot be written is known before the work.
    let record = try report ? runDirectory(address) : nil
    var outcomes: [String: Outcome] = [:]
    if case .emulated(let chip) = address, chip.stateFile == nil {
      let scratch = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)")
      defer { try? FileManager.default.removeItem(at: scratch) }
      let home = RecordsHome(root: scratch)
      for (index, name) in ReproduceOutput.names.enumerated() {
        var own = chip
        own.seed = chip.seed &+ UInt64(index)
        var outcome = try await measure(at: .emulated(own), home: home) {
          try await prepare(name, on: $0, home: home, age: Self.age)
        }
        for further in 1..<max(1, chips ?? (quick ? 1 : 8)) {
          var other = own
          // Chips of one network differ by two, those of two networks by one.
          other.seed = own.seed &+ UInt64(ReproduceOutput.names.count * further)
          let drawn = try await draw(at: .emulated(other), home: home) {
            try await prepare(name, on: $0, home: home, age: Self.age)
          }
          let data = try EvaluationData(drawn.model.metadata.data)
          outcome.network.chip.append(try EvaluationReport(drawn.plain.file, against: data).quality)
          outcome.network.calibrated.append(try EvaluationReport(drawn.calibrated, against: data).quality)
        }
        own.profile = "ideal"
        let (perfect, model) = (own, try ModelLibrary.scoreModel(name))
        say("\(name): the same on an ideal chip")
        let ideal = try await RRAM.withBoard(at: .emulated(perfect), home: home, logger: common.logger) { board in
          _ = try await prepare(name, on: board, home: home, age: nil)
          return try await Self.draw(try programs(model), share: share(model), on: board, home: home).file
        }
        outcome.network.ideal = try EvaluationReport(ideal, against: EvaluationData(model.metadata.data)).quality
        outcome.clouds.insert(("ideal chip", ideal.x), at: 1)
        outcomes[name] = outcome
      }
    } else if program {
      let home = RecordsHome()
      for name in ReproduceOutput.names {
        outcomes[name] = try await measure(at: address, home: home) {
          try await prepare(name, on: $0, home: home, age: Self.age)
        }
      }
    } else {
      let home = RecordsHome()
      let outcome = try await measure(at: address, home: home) { try await ProgramRecord.find(on: $0, home: home) }
      outcomes[outcome.network.name] = outcome
    }
    var output = ReproduceOutput(
      quick: quick, board: address.description, networks: outcomes.mapValues(\.network))
    if let record {
      try record.finish(exitStatus: 0)
      try output.writeReport(of: ReproduceOutput.names.compactMap { outcomes[$0] }, to: record)
    }
    try answer(output, json: common.json)
  }

  private func runDirectory(_ address: BoardAddress) throws -> RunDirectory {
    try RunDirectory(
      home: RecordsHome(), folder: runDir.map { URL(filePath: $0, directoryHint: .isDirectory) },
      toolkit: toolkitVersion, command: ["rram"] + hoistGlobalOptions(Array(CommandLine.arguments.dropFirst())),
      settings: ["board": address.description, "quick": "\(quick)"])
  }

  /// What one network gave.
  fileprivate struct Outcome {
    var network: ReproduceOutput.Network
    var calibrated: SampleFile
    /// Samples, (n, 2), in the order in which pictures show them.
    var clouds: [(title: String, x: [Float])]
  }

  /// Chip time between programming and sampling.
  private static let age = Duration.seconds(600)

  /// A chip with the network on it.
  private func prepare(
    _ name: String, on board: Board, home: RecordsHome, age: Duration?
  ) async throws -> ProgramRecord {
    let profile = try ChipOptions.profile(of: board)
    let model = try ModelLibrary.scoreModel(name)
    say("\(name): forming and programming \(board.info.chipID)")
    var known = try KnownCells.load(chip: board.info.chipID, home: home)
    let plan = try await board.form(
      for: model.network, window: board.limits.conductance, options: FormOptions(profile), known: &known
    ).plan
    var options = ProgramOptions(profile)
    options.followUp = nil
    let record = try await board.program(plan, model: model, options: options, home: home)
    known.enter(record.report.failures)
    try known.save(chip: board.info.chipID, home: home)
    if let age { try await board.wait(age) }
    return record
  }

  /// Samples of each class.
  private func share(_ model: ScoreModel) -> Int {
    (count ?? (model.network.isConditional ? (quick ? 12_000 : 24_000) : (quick ? 20_000 : 50_000)))
      / max(1, model.network.classCount)
  }

  private func programs(_ model: ScoreModel) throws -> [SamplingProgram] {
    let labels: [Int?] = model.network.isConditional ? Array(0..<model.network.classCount) : [nil]
    return try labels.enumerated().map { index, label in
      try SamplingProgram(model, classLabel: label, firstSample: UInt32(index * share(model)))
    }
  }

  /// What one chip drew.
  private struct Drawn: Sendable {
    var model: ScoreModel
    var plain: (file: SampleFile, statistics: SamplingStatistics, energy: SampleEnergy)
    var calibrated: SampleFile
    var emulated: Bool
  }

  /// Draws from the network that `prepare` leaves on the chip, as it stands and calibrated.
  private func draw(
    at address: BoardAddress, home: RecordsHome, prepare: (Board) async throws -> ProgramRecord
  ) async throws -> Drawn {
    try await RRAM.withBoard(at: address, home: home, logger: common.logger) { board in
      guard board.boardDescription.closedLoop != nil else {
        throw CommandError(
          message: "board '\(board.boardDescription.name)' has no closed loop, and samples are drawn in one",
          exitCode: ExitStatus.failure)
      }
      let record = try await prepare(board)
      guard ReproduceOutput.names.contains(record.model) else {
        throw CommandError(
          message: "chip \(board.info.chipID) carries '\(record.model)'; the table is of ring and letters",
          hint: "'rram program ring' puts it there", exitCode: ExitStatus.failure)
      }
      let model = try ModelLibrary.scoreModel(record.model)
      let labels: [Int?] = model.network.isConditional ? Array(0..<model.network.classCount) : [nil]
      let share = share(model)
      var programs = try programs(model)
      say("\(model.name): drawing \(share * labels.count) samples (\(programs[0].equation.rawValue))")
      let plain = try await Self.draw(programs, share: share, on: board, home: home)
      say("\(model.name): reading the cells back, fitting the tables, drawing again")
      let calibration = try await ScheduleCalibration(
        CalibrationGoal(model, labels: labels), on: board, record: record, predicting: 0)
      for index in programs.indices { try programs[index].apply(calibration) }
      let calibrated = try await Self.draw(programs, share: share, on: board, home: home)
      return Drawn(model: model, plain: plain, calibrated: calibrated.file, emulated: board.info.isEmulated)
    }
  }

  /// The same, and what software and this machine do.
  private func measure(
    at address: BoardAddress, home: RecordsHome, prepare: (Board) async throws -> ProgramRecord
  ) async throws -> Outcome {
    let drawn = try await draw(at: address, home: home, prepare: prepare)
    let (model, file) = (drawn.model, drawn.plain.file)
    let data = try EvaluationData(model.metadata.data)
    let report = try file.evaluate(against: data, model: model)
    guard let software = report.software else { preconditionFailure("a report with a model has a reference") }
    say("\(model.name): timing this machine")
    let threads = ProcessInfo.processInfo.activeProcessorCount
    var inSoftware: [Float] = []
    func seconds(_ body: () throws -> Void) rethrows -> Double {
      try (0..<3).map { _ in
        let begin = ContinuousClock.now
        try body()
        return (ContinuousClock.now - begin).seconds
      }.sorted()[1]
    }
    let usual = try seconds { inSoftware = try file.softwareReference(for: model, threads: threads) }
    let fewest = try file.fewestSteps(for: model, data: data, threads: threads)
    let short = try seconds {
      _ = try file.softwareReference(for: model, steps: fewest.steps, threads: threads, ticks: fewest.steps)
    }
    let one = try file.first
    let single = try seconds { for _ in 0..<20 { _ = try one.softwareReference(for: model, threads: 1) } } / 20
    let statistics = drawn.plain.statistics
    let timing = SampleReport(try SamplingProgram(model), statistics)
    let network = ReproduceOutput.Network(
      name: model.name, emulated: drawn.emulated, samples: file.count, equation: file.metadata.solver.rawValue,
      software: software, chip: [report.quality],
      calibrated: [try EvaluationReport(drawn.calibrated, against: data).quality],
      loopSeconds: statistics.loopSeconds / Double(statistics.samples),
      boardSeconds: timing.chipSecondsPerSample, dutyCycle: timing.dutyCycle, busSeconds: timing.busSeconds,
      digitalSeconds: usual / Double(file.count), fewestSteps: fewest, fewestSeconds: short / Double(file.count),
      singleSeconds: single, threads: threads, energy: drawn.plain.energy)
    return Outcome(
      network: network,
      calibrated: drawn.calibrated,
      clouds: [("software", inSoftware), ("this chip", file.x), ("this chip, calibrated", drawn.calibrated.x)])
  }

  private static func draw(
    _ programs: [SamplingProgram], share: Int, on board: Board, home: RecordsHome
  ) async throws -> (file: SampleFile, statistics: SamplingStatistics, energy: SampleEnergy) {
    var file: SampleFile?
    var statistics = SamplingStatistics()
    var energies: [SampleEnergy] = []
    for program in programs {
      let session = try await SamplingSession(program, on: board, home: home)
      var samples = file ?? SampleFile(metadata: session.metadata)
      statistics.add(try await session.draw(share) { samples.append($0) })
      energies.append(session.modelledEnergy())
      file = samples
    }
    guard let file else { throw CancellationError() }
    return (file, statistics, .mean(energies))
  }

  private func say(_ line: String) {
    if !common.quiet { note(line) }
  }
}

struct ReproduceOutput: CommandOutput {
  static let names = ["ring", "letters"]

  struct Network: Encodable {
    var name: String
    var emulated: Bool
    var samples: Int
    var equation: String
    var software: SampleQuality
    /// One a chip, the first of which everything else is of.
    var chip: [SampleQuality]
    var calibrated: [SampleQuality]
    /// Of an emulated chip without errors; nil where the board is none of this command's own.
    var ideal: SampleQuality?
    /// Per sample, seconds.
    var loopSeconds: Double
    var boardSeconds: Double
    var dutyCycle: Double
    /// Of the whole run; nil where the board does not model it.
    var busSeconds: Double?
    /// Per sample, seconds, on `threads` threads.
    var digitalSeconds: Double
    /// The digital solver's fewest steps of equal quality, and its time a sample with them.
    var fewestSteps: FewestSteps
    var fewestSeconds: Double
    /// The digital solver's time for one sample alone, 200 steps on one thread.
    var singleSeconds: Double
    var threads: Int
    /// A sample, modelled.
    var energy: SampleEnergy
  }

  struct Row: Encodable {
    var name: String
    /// In the order of ``columns``; "–" where there is no number.
    var cells: [String]
  }

  static let columns = ["ring", "letters", "arXiv 2404.05648v1", "IEDM 2024", "Nat. Commun. 2026"]

  var quick: Bool
  var board: String
  var networks: [String: Network]
  var rows: [Row] = []
  /// Path of the page, if one was written.
  var report: String?

  init(quick: Bool, board: String, networks: [String: Network]) {
    self.quick = quick
    self.board = board
    self.networks = networks
    func row(_ name: String, published: [String] = ["–", "–", "–"], _ cell: (Network) -> String?) {
      rows.append(.init(name: name, cells: Self.names.map { networks[$0].flatMap(cell) ?? "–" } + published))
    }
    /// What the chip did: an emulated one is a model.
    func chip(_ network: Network, _ text: String) -> String { "\(text) \(network.emulated ? "M" : "m")" }
    func time(_ seconds: Double) -> String {
      seconds < 1e-3 ? "\((seconds * 1e6).formatted(digits: 3)) µs" : "\((seconds * 1e3).formatted(digits: 3)) ms"
    }
    for (name, value) in [
      ("KL2d", \SampleQuality.kl2d), ("sliced Wasserstein", \.slicedWasserstein), ("KL1d (the authors')", \.kl1d),
    ] {
      row("\(name): software, float32") { "\($0.software[keyPath: value].formatted(digits: 3)) m" }
      row("\(name): ideal chip") { $0.ideal.map { "\($0[keyPath: value].formatted(digits: 3)) M" } }
      row("\(name): this chip") { chip($0, Self.summary($0.chip.map { $0[keyPath: value] })) }
      row("\(name): this chip, calibrated") { chip($0, Self.summary($0.calibrated.map { $0[keyPath: value] })) }
    }
    row("a sample: loop alone", published: ["–", "– / 20 µs p", "–"]) { chip($0, time($0.loopSeconds)) }
    row("a sample: board with USB") { chip($0, time($0.boardSeconds)) }
    row("duty cycle") { chip($0, "\(($0.dutyCycle * 100).formatted(digits: 3)) %") }
    row("a sample: digital (here 200 steps)", published: ["–", "– / 3.0 ms p", "–"]) {
      "\(time($0.digitalSeconds)) m"
    }
    row("a sample: digital, fewest steps") { "\(time($0.fewestSeconds)) m" }
    row("fewest steps of equal quality") { "\($0.fewestSteps.steps) m" }
    row("a sample alone: digital (200 steps)") { "\(time($0.singleSeconds)) m" }
    row("speed over digital", published: ["64.8× / 156.5× p", "– / 150× p", "69.0× / 116.5× p"]) { _ in nil }
    row("board with USB over digital, fewest steps") {
      chip($0, "\(($0.fewestSeconds / $0.boardSeconds).formatted(digits: 3))×")
    }
    for (part, value) in [
      ("array", \SampleEnergy.array), ("amplifiers", \.amplifiers), ("converters", \.converters), ("board", \.board),
    ] {
      row("energy a sample: \(part)") { $0.energy[keyPath: value].map { "\(Joules($0)) M" } }
    }
    row("energy a sample: system", published: ["–", "– / 7.2 µJ p", "–"]) {
      $0.energy.total.map { "\(Joules($0)) M" }
    }
    row("energy a sample: digital", published: ["–", "– / 22.5 µJ p", "–"]) { _ in nil }
    row("energy against digital", published: ["÷5.2 / ÷4.1 p", "–", "−31.5 % / −52.0 % p"]) { _ in nil }
  }

  /// One chip's value; of several the median, its 95 % bootstrap interval, and the 90th percentile.
  private static func summary(_ values: [Double]) -> String {
    guard values.count > 1 else { return values[0].formatted(digits: 3) }
    let interval = BootstrapInterval(medianOf: values)
    return "\(interval.median.formatted(digits: 3)) [\(interval.lower.formatted(digits: 3)), "
      + "\(interval.upper.formatted(digits: 3))] / \(interval.ninetieth.formatted(digits: 3))"
  }

  private var head: String {
    let known = Self.names.compactMap { networks[$0] }
    return "\(board): " + known.map { "\($0.samples) of \($0.name) (\($0.equation))" }.joined(separator: ", ")
  }

  private var legend: String {
    "m measured, M modelled, p published (ring / letters); – no number. Several chips: median [95 % bootstrap] / 90th percentile. "
      + "Equal quality: KL2d and SWD at most 1.02 times those of 1000 Heun steps from the same start points and Brownian paths. "
      + "Energy: powers of the board description, assumed where it says so. "
      + "Digital: this machine's float32 solver on \(networks.values.first?.threads ?? 0) threads, all samples at once."
  }

  var text: String {
    [head, table([[""] + Self.columns] + rows.map { [$0.name] + $0.cells }), legend, report.map { "report: \($0)" }]
      .compactMap { $0 }.joined(separator: "\n\n")
  }

  /// Points of a cloud in the page: more would only make it slow to open.
  private static let shownPoints = 5000

  /// `report.html` with pictures, and the same numbers as `report.json` beside it.
  fileprivate mutating func writeReport(
    of outcomes: [ReproduceCommand.Outcome], to record: RunDirectory
  ) throws {
    var page = Report(title: "This chip beside the paper")
    page.sections = [
      .paragraph(head), .table(title: "Figures", rows: [[""] + Self.columns] + rows.map { [$0.name] + $0.cells }),
      .paragraph(legend),
    ]
    for outcome in outcomes {
      let name = outcome.network.name
      let picture = record.file("\(name).svg")
      try Pictures.pointClouds(
        outcome.clouds.map { cloud in
          // Classes lie one behind the other: every k-th point shows all of them.
          let step = max(1, cloud.x.count / 2 / Self.shownPoints)
          let indices = stride(from: 0, to: cloud.x.count / 2, by: step)
          return (cloud.title, indices.flatMap { [cloud.x[2 * $0], cloud.x[2 * $0 + 1]] })
        }, halfWidth: 1.2, to: picture, format: .svg)
      page.sections.append(
        .picture(
          title:
            "\(name): the same start points in software and on the chips, about \(Self.shownPoints) of them at most",
          svg: picture))
      if outcome.calibrated.defaultData == "letters" {
        let letters = record.file("decoded.svg")
        try Pictures.imageGrid(
          outcome.calibrated.decodedLetters(), side: LetterDecoder.imageSize, to: letters, format: .svg)
        page.sections.append(.picture(title: "Letters of the calibrated chip, decoded", svg: letters))
      }
    }
    try page.write(to: record.file("report.html"), manifest: record.currentManifest)
    report = record.file("report.html").path
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try encoder.encode(self).write(to: record.file("report.json"))
  }
}
