import ArgumentParser
import Foundation
import RRAMKit

struct ReproduceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reproduce", abstract: "One table of this chip against the paper, for ring and letters.",
    discussion: """
      Without a board, or with an emulated one that keeps no state, each network gets a fresh chip that is formed, programmed and left \
      for 600 s of chip time. On any other board nothing is formed or written: the network that is on the chip is measured as it stands, \
      and the other column stays empty. Every number says whether it is measured (m), modelled (M) or published (p).
      """)

  @Flag(help: "Fewer samples: 20000 of the ring and 12000 letters instead of 50000 and 24000.")
  var quick = false

  @Option(name: .customShort("n"), parsing: .unconditional, help: "How many samples of each network instead.")
  var count: Int?

  @Option(
    name: .long,
    help: "The board. Default: RRAM_BOARD, else fresh emulated cmo-hfox chips, seed 1 (ring) and 2 (letters).")
  var board: String?

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if let count, !(300...1_000_000).contains(count) {
      throw ValidationError("-n \(count): 300 to 1000000 are possible")
    }
  }

  func run() async throws {
    let text = board ?? ProcessInfo.processInfo.environment["RRAM_BOARD"] ?? "emu:seed=1"
    let address = try BoardAddress(text)
    var networks: [String: ReproduceOutput.Network] = [:]
    if case .emulated(let chip) = address, chip.stateFile == nil {
      let scratch = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)")
      defer { try? FileManager.default.removeItem(at: scratch) }
      let home = RecordsHome(root: scratch)
      for (index, name) in ReproduceOutput.names.enumerated() {
        var own = chip
        own.seed = chip.seed &+ UInt64(index)
        let age = Duration.seconds(600)
        var network = try await measure(at: .emulated(own), home: home) {
          try await prepare(name, own, on: $0, home: home, age: age)
        }
        own.profile = "ideal"
        let (perfect, model) = (own, try ModelLibrary.scoreModel(name))
        say("\(name): the same on an ideal chip")
        let ideal = try await RRAM.withBoard(at: .emulated(perfect), home: home, logger: common.logger) { board in
          _ = try await prepare(name, perfect, on: board, home: home, age: nil)
          return try await Self.draw(try programs(model), share: share(model), on: board, home: home).file
        }
        network.ideal = try EvaluationReport(ideal, against: EvaluationData(model.metadata.data)).quality
        networks[name] = network
      }
    } else {
      let home = RecordsHome()
      let network = try await measure(at: address, home: home) { try await ProgramRecord.find(on: $0, home: home) }
      networks[network.name] = network
    }
    try answer(ReproduceOutput(quick: quick, board: address.description, networks: networks), json: common.json)
  }

  /// A fresh emulated chip with the network on it.
  private func prepare(
    _ name: String, _ chip: BoardAddress.EmulatedChip, on board: Board, home: RecordsHome, age: Duration?
  ) async throws -> ProgramRecord {
    let profile = try ChipProfile.load(nameOrPath: chip.profile)
    let model = try ModelLibrary.scoreModel(name)
    say("\(name): forming and programming \(board.info.chipID)")
    var known = KnownCells()
    let plan = try await board.form(
      for: model.network, window: board.limits.conductance, options: FormOptions(profile), known: &known
    ).plan
    var options = ProgramOptions(profile)
    options.followUp = nil
    let record = try await board.program(plan, model: model, options: options, home: home)
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

  /// Draws from the network that `prepare` leaves on the chip, as it stands and calibrated, and the same in software.
  private func measure(
    at address: BoardAddress, home: RecordsHome, prepare: (Board) async throws -> ProgramRecord
  ) async throws -> ReproduceOutput.Network {
    let drawn = try await RRAM.withBoard(at: address, home: home, logger: common.logger) { board in
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
      return (model: model, plain: plain, calibrated: calibrated.file, emulated: board.info.isEmulated)
    }
    let (model, file) = (drawn.model, drawn.plain.file)
    let data = try EvaluationData(model.metadata.data)
    let report = try file.evaluate(against: data, model: model)
    guard let software = report.software else { preconditionFailure("a report with a model has a reference") }
    say("\(model.name): timing this machine")
    let threads = ProcessInfo.processInfo.activeProcessorCount
    let times = try (0..<3).map { _ in
      let begin = ContinuousClock.now
      _ = try file.softwareReference(for: model, threads: threads)
      return (ContinuousClock.now - begin).seconds / Double(file.count)
    }.sorted()
    let statistics = drawn.plain.statistics
    let report2 = SampleReport(try SamplingProgram(model), statistics)
    return .init(
      name: model.name, emulated: drawn.emulated, samples: file.count, equation: file.metadata.solver.rawValue,
      software: software, chip: report.quality,
      calibrated: try EvaluationReport(drawn.calibrated, against: data).quality,
      loopSeconds: statistics.loopSeconds / Double(statistics.samples),
      boardSeconds: report2.chipSecondsPerSample, dutyCycle: report2.dutyCycle, busSeconds: report2.busSeconds,
      digitalSeconds: times[1], threads: threads, arrayEnergy: drawn.plain.array)
  }

  private static func draw(
    _ programs: [SamplingProgram], share: Int, on board: Board, home: RecordsHome
  ) async throws -> (file: SampleFile, statistics: SamplingStatistics, array: Double?) {
    var file: SampleFile?
    var statistics = SamplingStatistics()
    var energy = 0.0
    for program in programs {
      let session = try await SamplingSession(program, on: board, home: home)
      var samples = file ?? SampleFile(metadata: session.metadata)
      statistics.add(try await session.draw(share) { samples.append($0) })
      energy += (session.modelledEnergy().array ?? .nan) / Double(programs.count)
      file = samples
    }
    guard let file else { throw CancellationError() }
    return (file, statistics, energy.isFinite ? energy : nil)
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
    var chip: SampleQuality
    var calibrated: SampleQuality
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
    var threads: Int
    /// Joules a sample.
    var arrayEnergy: Double?
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

  init(quick: Bool, board: String, networks: [String: Network]) {
    self.quick = quick
    self.board = board
    self.networks = networks
    func row(_ name: String, published: [String] = ["–", "–", "–"], _ cell: (Network) -> String?) {
      rows.append(.init(name: name, cells: Self.names.map { networks[$0].flatMap(cell) ?? "–" } + published))
    }
    /// What the chip did: an emulated one is a model.
    func chip(_ network: Network, _ text: String) -> String { "\(text) \(network.emulated ? "M" : "m")" }
    func micro(_ value: Double, _ unit: String) -> String { "\((value * 1e6).formatted(digits: 3)) µ\(unit)" }
    for (name, value) in [
      ("KL2d", \SampleQuality.kl2d), ("sliced Wasserstein", \.slicedWasserstein), ("KL1d (the authors')", \.kl1d),
    ] {
      row("\(name): software, float32") { "\($0.software[keyPath: value].formatted(digits: 3)) m" }
      row("\(name): ideal chip") { $0.ideal.map { "\($0[keyPath: value].formatted(digits: 3)) M" } }
      row("\(name): this chip") { chip($0, $0.chip[keyPath: value].formatted(digits: 3)) }
      row("\(name): this chip, calibrated") { chip($0, $0.calibrated[keyPath: value].formatted(digits: 3)) }
    }
    row("a sample: loop alone", published: ["–", "– / 20 µs p", "–"]) { chip($0, micro($0.loopSeconds, "s")) }
    row("a sample: board with USB") { chip($0, micro($0.boardSeconds, "s")) }
    row("duty cycle") { chip($0, "\(($0.dutyCycle * 100).formatted(digits: 3)) %") }
    row("a sample: digital (here 200 steps)", published: ["–", "– / 3.0 ms p", "–"]) {
      "\(micro($0.digitalSeconds, "s")) m"
    }
    row("speed over digital", published: ["64.8× / 156.5× p", "– / 150× p", "69.0× / 116.5× p"]) { _ in nil }
    row("energy a sample: array") { $0.arrayEnergy.map { "\(micro($0, "J")) M" } }
    row("energy a sample: system", published: ["–", "– / 7.2 µJ p", "–"]) { _ in nil }
    row("energy a sample: digital", published: ["–", "– / 22.5 µJ p", "–"]) { _ in nil }
    row("energy against digital", published: ["÷5.2 / ÷4.1 p", "–", "−31.5 % / −52.0 % p"]) { _ in nil }
  }

  var text: String {
    let known = Self.names.compactMap { networks[$0] }
    let counts = known.map { "\($0.samples) of \($0.name) (\($0.equation))" }.joined(separator: ", ")
    return """
      \(board): \(counts)

      \(table([[""] + Self.columns] + rows.map { [$0.name] + $0.cells }))

      m measured, M modelled, p published (ring / letters); – no number.
      Digital: this machine's float32 solver on \(known.first?.threads ?? 0) threads, all samples at once.
      """
  }
}
