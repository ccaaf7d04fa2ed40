public import ArgumentParser
import Foundation
public import RRAMKit

struct SampleCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sample", abstract: "Draw samples in closed loop from the network that is on the chip.",
    discussion: """
      The chip must carry the model, unchanged since 'rram program'. Start points come from --seed and the sample's number, or from a \
      file; those of a twin are the measured ones of its reference, and its trajectories are compared with the circuit's. A conditional network without --class draws its classes in equal shares. A calibration that fits is used and named; its \
      cells are read again first, and a warning tells if they have moved farther than the tables allow.
      """)

  @Argument(
    help: """
      ring, ring-hardware-aware, ring-flow, letters, letters-flow, twin, or a file (.safetensors, .npz). Needed for all but hdpm: and \
      hdpm-emu:.
      """)
  var model: String?

  @Option(
    name: .customShort("n"), parsing: .unconditional,
    help: "How many samples; of a twin at most as many as its reference has.")
  var count = 1000

  @Option(name: .shortAndLong, help: "Sample file (.npz). Default: samples.npz in the run's folder.")
  var output: String?

  @Option(
    parsing: .unconditional,
    help: "Guidance w towards the class: (1 + w)·net(class) − w·net(no class), multiplexed in time on one network.")
  var guidance = 0.0

  @Option(help: "ode or sde. Default: what suits the model.")
  var solver: ReverseEquation?

  @Option(parsing: .unconditional, help: "Factor on β, of a vp model. Default: the model's.")
  var scale: Double?

  @Option(name: .customLong("class"), help: "Class by name or number, or 'none' for the null condition.")
  var label: String?

  @Option(parsing: .unconditional, help: "Ticks of the schedule. Default: 200, of a twin 400.")
  var ticks: Int?

  @Option(help: "Seed of start points and noise.")
  var seed: UInt64 = 0

  @Option(
    help: ArgumentHelp(
      "Start points x(0): a file (.npy, float, (n, 2), in units), or 'board': drawn by the board's own noise source, the same numbers.",
      valueName: "FILE|board"))
  var start: String?

  @Option(
    help: "How guidance is played: slots, or at-once on boards with two networks. Default: at once where the board can."
  )
  var guidancePlay: GuidancePlay?

  @Option(
    parsing: .unconditional,
    help: "Read x every so many ticks as well and keep every sample's path: 'trajectory' and 'time' in the sample file."
  )
  var trajectories: Int?

  @Option(help: "Folder of an interrupted run: draws what is missing of it, with its settings.")
  var resume: String?

  @Option(help: "Published board: the preset that is played.")
  var preset = "0"

  @Option(help: "Published board: folder into which an oscilloscope writes one capture (.csv, .npz) a run.")
  var scope: String?

  @Option(
    help: "Published board: seconds since it was powered up; lets runs step around the wraps of its tick counter.")
  var uptime: Double?

  @Option(
    help: """
      Tables of 'rram calibrate schedule': none (the model's own), an id, or a file. Default: the newest that fits chip, write, model, \
      solver and class.
      """)
  var calibration: String?

  @Flag(help: "Read the cells again and update the calibration's tables every so many samples (--track-every).")
  var track = false

  @Option(parsing: .unconditional, help: "Samples between two updates of --track.")
  var trackEvery = 512

  @OptionGroup(title: "Published board (hdpm:)") var published: PublishedBoardOptions
  @OptionGroup var options: BoardOptions
  @OptionGroup var runOptions: RunOptions
  @OptionGroup var trigger: TriggerOptions

  func validate() throws {
    try checkEnding(output, of: "-o", ".npz")
    guard count > 0 else { throw ValidationError("-n \(count): at least 1 sample is needed") }
    guard count <= 100_000_000 else { throw ValidationError("-n \(count): at most 100 million samples a run") }
    if let ticks, ticks <= 0 { throw ValidationError("--ticks \(ticks): at least 1 is needed") }
    let ticks = self.ticks ?? 200
    if let trajectories {
      guard (1...max(1, ticks)).contains(trajectories) else {
        throw ValidationError("--trajectories \(trajectories): 1 to \(ticks) ticks between points are possible")
      }
      let (frames, kept) = (1 + ticks / trajectories, Self.pathBytes / 8)
      guard count <= kept / frames else {
        throw ValidationError(
          "--trajectories \(trajectories): \(count) paths of \(frames) points take \((count * frames * 8) >> 20) MiB, "
            + "\(Self.pathBytes >> 20) MiB are kept at most: -n \(kept / frames), or points farther apart")
      }
    }
    guard guidance >= 0, guidance.isFinite else {
      throw ValidationError("--guidance \(guidance): a number of at least 0 is needed")
    }
    if let uptime, !(uptime >= 0 && uptime < 1e9) {
      throw ValidationError("--uptime \(uptime): seconds of at least 0 are needed")
    }
    guard trackEvery > 0 else { throw ValidationError("--track-every \(trackEvery): at least 1 is needed") }
    if let scale, !(scale > 0 && scale.isFinite) {
      throw ValidationError("--scale \(scale): a number above 0 is needed")
    }
  }

  func run() async throws {
    guard let resume else { return try await draw() }
    guard model == nil else {
      throw CommandError(
        message: "--resume \(resume): model and settings are that run's own; only --output and the board may be named",
        exitCode: ExitStatus.usage)
    }
    let folder = try runFolder(resume)
    let manifest = try RunManifest.read(from: folder)
    let command = try adopting(manifest, of: folder)
    try await command.draw(
      after: SampleJournal.read(
        path: folder.appending(path: Self.journalName).path,
        frames: command.trajectories.map { 1 + (command.ticks ?? 200) / $0 } ?? 0
      ), of: manifest)
  }

  /// Memory for the points of all paths of a run.
  private static let pathBytes = 256 << 20

  /// What --start says for the board's own noise source.
  static let startOnBoard = "board"

  /// Every sample of a run as it came, in the run's folder.
  private static let journalName = "samples.journal"

  /// The command that made a run, as its manifest tells.
  private func adopting(_ manifest: RunManifest, of folder: URL) throws -> SampleCommand {
    let settings = manifest.settings
    if let count = settings["twinTrajectories"] {
      throw CommandError(
        message:
          "\(folder.path): is a run of \(count) trajectories of a neural ODE, which keeps no journal: it takes \(count) times 20 µs, so "
          + "draw it again", exitCode: ExitStatus.usage)
    }
    guard let model = settings["modelFile"], let count = settings["samples"].flatMap({ Int($0) }),
      let ticks = settings["ticks"].flatMap({ Int($0) }), let seed = settings["seed"].flatMap({ UInt64($0) }),
      let guidance = settings["guidance"].flatMap({ Double($0) }),
      let solver = settings["solver"].flatMap({ ReverseEquation(rawValue: $0) })
    else {
      throw CommandError(
        message: "\(folder.path): is no run of 'rram sample' that can be resumed", exitCode: ExitStatus.badInput)
    }
    func text(_ key: String) -> String? { settings[key].flatMap { $0.isEmpty ? nil : $0 } }
    var command = self
    (command.model, command.count, command.ticks, command.seed) = (model, count, ticks, seed)
    (command.guidance, command.solver, command.scale) = (guidance, solver, text("betaScale").flatMap { Double($0) })
    (command.label, command.start) = (text("class"), text("start"))
    command.output = output ?? text("output")
    command.trajectories = text("trajectories").flatMap { Int($0) }.flatMap {
      (1...max(1, ticks)).contains($0) ? $0 : nil
    }
    command.calibration = text("calibration") ?? "none"
    command.guidancePlay = text("guidancePlay").flatMap { GuidancePlay(rawValue: $0) }
    if let every = text("trackEvery").flatMap({ Int($0) }) { (command.track, command.trackEvery) = (true, every) }
    return command
  }

  /// Draws the samples that are not among `earlier`, the first ones of the run described by `manifest`.
  private func draw(after earlier: [SampleJournal.Record] = [], of manifest: RunManifest? = nil) async throws {
    let address = try options.address()
    switch address {
    case .hdpm, .emulatedHDPM: return try await runOnPublishedBoard(at: address)
    default: break
    }
    guard let modelName = self.model else {
      throw CommandError(
        message: "no model is named", hint: "for example 'rram sample ring'", exitCode: ExitStatus.usage)
    }
    let model = try ScoreModel.open(modelName, options.common)
    if model.metadata.process == .neuralODE, manifest == nil { return try await runTwin(model) }
    let batches = try self.batches(of: model)
    let ticks = self.ticks ?? model.usualTicks
    let startOnBoard = start == Self.startOnBoard
    let startPoints = try startOnBoard ? nil : start.map { try self.startPoints(from: $0) }
    try checkWritable(output)
    if let manifest, let expected = manifest.settings["modelSHA256"], expected != model.sha256 {
      throw CommandError(
        message: "model '\(modelName)' is not the one of the run: SHA-256 \(model.sha256), the run had \(expected)",
        exitCode: ExitStatus.badInput)
    }
    guard earlier.count <= count, earlier.indices.allSatisfy({ earlier[$0].number == UInt32($0) }) else {
      throw CommandError(
        message: "\(resume ?? ""): its \(earlier.count) samples are not the first of \(count)",
        exitCode: ExitStatus.badInput)
    }
    // How many of a batch are there already.
    let done = batches.map { min(max(earlier.count - $0.first, 0), $0.count) }
    let chosen = try CalibrationChoice(calibration)
    let programs = try zip(batches, done).map { batch, done in
      var program = try SamplingProgram(
        model, equation: solver, scale: scale, classLabel: batch.label, guidance: guidance, ticks: ticks,
        seed: seed, firstSample: UInt32(batch.first + done))
      program.guidancePlay = guidancePlay
      return program
    }
    // Tracking reads the cells on the way, so what a sample sees depends on when it is drawn.
    let runID = track ? 0 : manifest?.settings["runID"].flatMap { UInt64($0) } ?? UInt64.random(in: 1 ... .max)
    let progress = ProgressLine(quiet: options.common.quiet)
    let settings = [
      "model": model.name, "modelSHA256": model.sha256, "samples": "\(count)", "solver": programs[0].equation.rawValue,
      "scale": "\(programs[0].process.scale)", "class": label ?? "", "ticks": "\(ticks)", "seed": "\(seed)",
      "guidance": "\(guidance)", "modelFile": modelName, "betaScale": scale.map { "\($0)" } ?? "",
      "output": output ?? "", "resumed": resume ?? "",
      "trajectories": trajectories.map { "\($0)" } ?? "",
      "start": start ?? "", "calibration": calibration ?? "none", "guidancePlay": guidancePlay?.rawValue ?? "",
      "runID": "\(runID)",
      "trackEvery": track ? "\(trackEvery)" : "",
    ]
    try chosen.check(programs)
    let result = try await withRecordedBoard(options, runOptions, trigger: trigger.request, settings: settings) {
      board, record in
      var statistics = SamplingStatistics()
      var file: SampleFile?
      var energies: [SampleEnergy] = []
      if let chip = manifest?.chip?.id, chip != board.info.chipID {
        throw CommandError(
          message: "the run was on chip \(chip), board \(board.address) carries \(board.info.chipID)",
          exitCode: ExitStatus.failure)
      }
      let (programs, use, calibration) = try await chosen.apply(
        to: programs, on: board, quiet: options.common.quiet)
      guard !track || calibration != nil else {
        throw CommandError(
          message: "--track updates a calibration, and none is used",
          hint: "'rram calibrate schedule \(model.name)' makes one", exitCode: ExitStatus.failure)
      }
      var updates: [ScheduleTracking.Update] = []
      try record.note(setting: "calibration", use?.id ?? "none")
      let journal = try SampleJournal(path: record.file(Self.journalName).path)
      for (index, (batch, program)) in zip(batches, programs).enumerated() {
        let session = try await SamplingSession(
          program, on: board, home: RecordsHome(), checkingCells: file == nil)
        if file == nil {
          warn(of: session.record)
          if !options.common.quiet { for warning in session.fit.warnings { note("warning: \(warning)") } }
        }
        var samples =
          file
          ?? SampleFile(metadata: session.metadata, times: program.trajectoryTimes(every: trajectories ?? 0))
        let known = done[index] > 0 ? Array(earlier[batch.first..<batch.first + done[index]]) : []
        try journal.append(known)
        for sample in known {
          samples.append(
            x: sample.x, xT: sample.xT, label: sample.label, firstSample: sample.number, trajectory: sample.trajectory)
        }
        let missing = batch.count - done[index]
        let points = startPoints.map { Array($0[2 * (batch.first + done[index])..<2 * (batch.first + batch.count)]) }
        if missing > 0 {
          do {
            let keep: (SampleBatch) throws -> Void = { drawn in
              try journal.append(drawn)
              samples.append(drawn)
              progress.show("sampling", finished: samples.count, total: count)
            }
            if track, let calibration {
              updates += try await drawTracking(
                calibration, missing, from: session, startPoints: points, statistics: &statistics, keep)
            } else {
              statistics.add(
                try await session.draw(
                  missing, startPoints: points, startOnBoard: startOnBoard, trajectoryEvery: trajectories ?? 0,
                  runID: runID
                ) { try keep($0) })
            }
          } catch {
            progress.clear()
            // What was drawn until then is worth its chip time.
            if samples.count > 0 {
              let kept = record.file("samples-partial.npz").path
              try samples.write(to: kept)
              note(
                "\(samples.count) of \(count) samples were drawn and are kept in \(kept); 'rram sample --resume \(record.folder.path)' draws the rest"
              )
            }
            throw error
          }
        }
        file = samples
        energies.append(session.modelledEnergy())
        try record.events.append([
          .init(
            "sample", boardTime: await board.boardTime,
            detail: "\(batch.count) samples\(batch.label.map { " of class \($0)" } ?? "")")
        ])
      }
      progress.clear()
      let path = output ?? record.file("samples.npz").path
      guard var file else { throw CancellationError() }
      if track { file.metadata.tracked = updates.map(\.firstSample) }
      try file.write(to: path)
      try record.keep(file)
      var report = SampleReport(programs[0], statistics, energy: .mean(energies), file: path)
      if batches.count > 1 { report.classLabel = nil }
      report.calibration = use
      if track { report.tracking = updates }
      return SampleOutput(report: report, keptSamples: earlier.count)
    }
    try answer(result, json: options.common.json)
  }

  /// Draws in parts, each with tables that were updated for the cells as they are.
  private func drawTracking(
    _ calibration: ScheduleCalibration, _ count: Int, from first: SamplingSession, startPoints: [Float]?,
    statistics: inout SamplingStatistics, _ body: (SampleBatch) throws -> Void
  ) async throws -> [ScheduleTracking.Update] {
    let (board, plain) = (first.board, first.program)
    let data = calibration.target.name == "software" ? nil : try EvaluationData(calibration.target.name)
    guard data?.sha256 == calibration.target.dataSHA256 else {
      throw CommandError(
        message: "\(calibration.target.name) is not the data that calibration \(calibration.id) aimed at",
        exitCode: ExitStatus.badInput)
    }
    let goal = try CalibrationGoal(
      plain.model, equation: plain.equation, scale: plain.process.hasScale ? plain.process.scale : nil,
      labels: [plain.classLabel], guidance: plain.guidance, play: plain.guidancePlay, data: data)
    var settings = ScheduleTracking.Settings()
    settings.part = trackEvery
    var tracking = try ScheduleTracking(goal, from: calibration, on: board, record: first.record, settings: settings)
    var updates: [ScheduleTracking.Update] = []
    for begin in stride(from: 0, to: count, by: settings.part) {
      let size = min(settings.part, count - begin)
      var program = plain
      program.firstSample += UInt32(begin)
      let update = try await tracking.update(
        on: board, record: first.record, firstSample: program.firstSample, count: size)
      updates.append(update)
      statistics.chipSeconds += update.chipSeconds
      program.correction = tracking.correction
      let session = try await SamplingSession(program, on: board, home: RecordsHome(), checkingCells: false)
      let points = startPoints.map { Array($0[2 * begin..<2 * (begin + size)]) }
      statistics.add(
        try await session.draw(
          size, startPoints: points, startOnBoard: start == Self.startOnBoard, trajectoryEvery: trajectories ?? 0
        ) { try body($0) })
    }
    return updates
  }

  /// Says so if the network was not written well.
  func warn(of program: ProgramRecord) {
    guard !options.common.quiet, program.report.fractionInTolerance < 0.99 else { return }
    note(
      "warning: '\(program.model)' was written with \(program.report.inTolerance) of \(program.report.cells) cells in tolerance"
    )
  }

  /// Which samples are of which class: numbers run through.
  private func batches(of model: ScoreModel) throws -> [(label: Int?, first: Int, count: Int)] {
    if label != nil || !model.network.isConditional { return [(try model.classIndex(label), 0, count)] }
    let classes = model.network.classCount
    return (0..<classes).compactMap { index in
      let (first, end) = (count * index / classes, count * (index + 1) / classes)
      return end > first ? (index, first, end - first) : nil
    }
  }

  func startPoints(from path: String) throws -> [Float] {
    let array = try NPYArray(file: path)
    guard array.shape == [count, 2], let values = array.floats else {
      throw CommandError(
        message:
          "\(path): shape \(array.shape) of \(array.elementType), numbers of shape (\(count), 2) are needed for -n \(count)",
        exitCode: ExitStatus.badInput)
    }
    if let bad = values.firstNonFinite {
      throw CommandError(message: "\(path): point \(bad.index / 2) is \(bad.value)", exitCode: ExitStatus.badInput)
    }
    return values
  }
}

extension ReverseEquation: ExpressibleByArgument {}
extension GuidancePlay: ExpressibleByArgument {}

extension RunDirectory {
  /// Picture and report of a sample file.
  func keep(_ samples: SampleFile) throws {
    let picture = file("samples.svg")
    try Pictures.pointClouds(
      [("\(samples.metadata.model), \(samples.count) samples", samples.x)], halfWidth: 1.5, to: picture, format: .svg)
    var report = Report(title: "\(samples.count) samples of \(samples.metadata.model)")
    report.sections = [.picture(title: "The samples, at most 20 000 of them", svg: picture)]
    if !samples.times.isEmpty {
      let paths = file("trajectories.svg")
      try Pictures.paths(samples.trajectory, frames: samples.times.count, to: paths, format: .svg)
      report.sections.append(.picture(title: "Paths from noise to the sample, at most 200 of them", svg: paths))
    }
    if samples.defaultData == "letters", samples.labels.contains(where: { $0 >= 0 }) {
      let letters = file("letters.svg")
      try Pictures.imageGrid(
        samples.decodedLetters(), side: LetterDecoder.imageSize, to: letters, format: .svg)
      report.sections.append(.picture(title: "Decoded letters", svg: letters))
    }
    try report.write(to: file("report.html"), manifest: currentManifest)
  }
}

struct SampleOutput: CommandOutput {
  /// Of what was drawn now.
  var report: SampleReport
  /// Samples in the file that the run had drawn before it was cut off.
  var keptSamples = 0

  private enum CodingKeys: String, CodingKey { case keptSamples }

  func encode(to encoder: any Encoder) throws {
    try report.encode(to: encoder)
    guard keptSamples > 0 else { return }
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(keptSamples, forKey: .keptSamples)
  }

  var text: String {
    let over = report.overRange
    let hits = [
      ("row clamp", over.rowClamp), ("amplifier rail", over.amplifierRail), ("integrator rail", over.integratorRail),
      ("noise clamp", over.noiseClamp), ("read-out range", over.readOutSaturated),
    ].filter { $0.1 > 0 }.map { "\($0.1) at the \($0.0)" }
    var lines = [
      "\(report.samples) samples\(keptSamples > 0 ? " beside \(keptSamples) of before" : "") (\(report.solver.rawValue), scale \(report.scale.formatted(digits: 3)), \(report.ticks) ticks): \(report.file ?? "")",
      "chip \((report.chipSecondsPerSample * 1e6).formatted(digits: 4)) µs a sample, duty cycle \((report.dutyCycle * 100).formatted(digits: 3)) %, loop alone \((report.loopShare * 100).formatted(digits: 3)) %; host \(report.hostSeconds.formatted(digits: 3)) s",
    ]
    let energy = report.energyPerSample
    let parts = [
      ("array", energy.array), ("amplifiers", energy.amplifiers), ("converters", energy.converters),
      ("board", energy.board),
    ].map { name, value in "\(name) \(value.map { "\(Joules($0))" } ?? "not described")" }
    lines.append("energy a sample, modelled: " + parts.joined(separator: ", "))
    if let calibration = report.calibration {
      lines.append(
        "calibration \(calibration.id), target \(calibration.target); the cells have moved by \(calibration.movementPercent.formatted(digits: 2)) % of the window since their read"
      )
    }
    if let tracking = report.tracking, !tracking.isEmpty {
      let moved = tracking.map(\.movementPercent).sorted()
      let chip = tracking.reduce(0) { $0 + $1.chipSeconds }
      lines.append(
        "tracked: \(tracking.count) updates, chip \(chip.formatted(digits: 3)) s; cells moved between two by \(moved[moved.count / 2].formatted(digits: 2)) % of the window (median)"
      )
    }
    if !hits.isEmpty { lines.append("samples that left a range: " + hits.joined(separator: ", ")) }
    return lines.joined(separator: "\n")
  }
}
