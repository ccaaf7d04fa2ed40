public import ArgumentParser
import Foundation
public import RRAMKit

struct ProgramCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "program", abstract: "Put a trained network on the chip by write-verify.",
    discussion: """
      Weights become differential pairs of conductances; every cell is pulsed and read until it lies within the tolerance of its \
      target. The error is reported at verify and again after real chip time (--follow), because cells drift.
      """)

  @Argument(
    help:
      "ring, ring-hardware-aware, ring-flow, letters, letters-flow, or a file (.safetensors, .npz). Not with --resume.")
  var model: String?

  @Option(
    help: "Folder of an interrupted run: goes on with it, with its settings; cells that it has finished are left alone."
  )
  var resume: String?

  @Option(help: "Read again at every age up to this one: 1s, 60s or 600s.")
  var follow: FollowUp = .oneSecond

  @Option(parsing: .unconditional, help: "Half width of the verify window, µS. Default: the chip profile's.")
  var tolerance: Double?

  @Option(help: "Largest number of pulses a cell. Default: the chip profile's.")
  var maximumPulses: Int?

  @Option(help: "Largest number of changes of direction a cell. Default: the chip profile's.")
  var maximumReversals: Int?

  @Option(help: "Exit with 3 if less than this share of the usable cells is in tolerance, %.")
  var minInTolerance = 99.0

  @OptionGroup var mapping: MappingArguments
  @OptionGroup var chip: ChipOptions
  @OptionGroup var options: BoardOptions
  @OptionGroup var runOptions: RunOptions

  func validate() throws {
    if (model == nil) == (resume == nil) {
      throw ValidationError("name a model, for example 'rram program ring', or a run that goes on: --resume DIR")
    }
    if let tolerance, !(tolerance > 0 && tolerance.isFinite) {
      throw ValidationError("--tolerance \(tolerance): µS above 0 are needed")
    }
    if let maximumPulses, maximumPulses < 1 {
      throw ValidationError("--maximum-pulses \(maximumPulses): at least 1 is needed")
    }
    if let maximumReversals, maximumReversals < 0 {
      throw ValidationError("--maximum-reversals \(maximumReversals): 0 or more are possible")
    }
    guard (0...100).contains(minInTolerance) else {
      throw ValidationError("--min-in-tolerance \(minInTolerance): a percentage is needed")
    }
  }

  /// The command that made a run, as its manifest tells.
  private func adopting(_ manifest: RunManifest, of folder: URL) throws -> ProgramCommand {
    let settings = manifest.settings
    guard let file = settings["modelFile"], let follow = settings["follow"].flatMap(FollowUp.init(rawValue:)),
      let least = settings["minInTolerance_percent"].flatMap({ Double($0) })
    else {
      throw CommandError(
        message: "\(folder.path): is no run of 'rram program' that can be resumed", exitCode: ExitStatus.badInput)
    }
    var command = self
    (command.model, command.follow, command.minInTolerance) = (file, follow, least)
    command.tolerance = settings["tolerance_uS"].flatMap { Double($0) }
    command.maximumPulses = settings["maximumPulses"].flatMap { Int($0) }
    command.maximumReversals = settings["maximumReversals"].flatMap { Int($0) }
    return command
  }

  func run() async throws {
    guard let resume else { return try await write(resuming: nil) }
    let folder = URL(filePath: resume, directoryHint: .isDirectory)
    let manifest = try RunManifest.read(from: folder)
    try await adopting(manifest, of: folder).write(resuming: (folder, manifest))
  }

  private func write(resuming earlier: (folder: URL, manifest: RunManifest)?) async throws {
    let address = try options.address()
    let modelName = self.model ?? ""
    let model = try ScoreModel.open(modelName, options.common)
    if let expected = earlier?.manifest.settings["modelSHA256"], expected != model.sha256 {
      throw CommandError(
        message: "model '\(modelName)' is not the one of the run: SHA-256 \(model.sha256), the run had \(expected)",
        exitCode: ExitStatus.badInput)
    }
    let journal = try CellJournal(resuming: earlier?.folder)
    let named = try chip.namedProfile(at: address)
    let progress = ProgressLine(quiet: options.common.quiet)
    let settings = [
      "model": model.name, "modelSHA256": model.sha256, "follow": follow.rawValue,
      "minInTolerance_percent": "\(minInTolerance)", "modelFile": modelName,
    ]
    let open = {
      try earlier.map { try RunDirectory(continuing: $0.folder, home: RecordsHome()) }
        ?? runOptions.open(settings: settings)
    }
    let output = try await withRecordedBoard(
      options, runOptions.link, allowance: chip.allowed.allowance(), journal: journal, open: open
    ) { board, record in
      if let before = earlier?.manifest.chip, before.id != board.info.chipID {
        throw CommandError(
          message: "the run was on chip \(before.id), board \(board.address) carries \(board.info.chipID)",
          exitCode: ExitStatus.failure)
      }
      if earlier != nil, !options.common.quiet {
        note("going on: \(journal.knownCount) cells were written before")
      }
      let profile = try named ?? ChipOptions.profile(of: board)
      let home = RecordsHome()
      var known = try KnownCells.load(chip: board.info.chipID, home: home)
      let plan = try model.plan(for: board, mapping: mapping.options, known: known)
      var programOptions = ProgramOptions(profile)
      if let tolerance {
        programOptions.tolerance = .microsiemens(tolerance)
        let window = board.limits.conductance
        guard programOptions.tolerance < (window.upperBound - window.lowerBound) / 4 else {
          throw CommandError(
            message: "--tolerance \(tolerance): ±\(programOptions.tolerance) accepts half of the window "
              + "\(window.lowerBound) to \(window.upperBound) or more", exitCode: ExitStatus.usage)
        }
      }
      if let maximumPulses { programOptions.maximumPulses = maximumPulses }
      if let maximumReversals { programOptions.maximumReversals = maximumReversals }
      programOptions.followUp = follow
      for (name, value) in mapping.settings { try record.note(setting: name, value) }
      try record.note(setting: "tolerance_uS", "\(programOptions.tolerance.microsiemens)")
      try record.note(setting: "maximumPulses", "\(programOptions.maximumPulses)")
      try record.note(setting: "maximumReversals", "\(programOptions.maximumReversals)")
      try await checkUntouched(plan, on: board, record, resumes: earlier != nil)
      let program = try await board.program(plan, model: model, options: programOptions, home: home) {
        progress.show($0)
      }
      progress.clear()
      known.enter(program.report.failures)
      try known.save(chip: board.info.chipID, home: home)
      try record.keep(program)
      return ProgramOutput(report: program.report, model: model.name, minInTolerance: minInTolerance)
    }
    if !options.common.quiet, output.report.failures.contains(where: { KnownCells.isLasting($0.reason) }) {
      note(
        "hint: these cells are remembered; 'rram form --for \(modelName)' and 'rram program \(modelName)' put the network elsewhere"
      )
    }
    try answer(output, json: options.common.json)
  }
}

extension ProgramCommand {
  /// Write operations that one run begins on a layer at most: the first, and those after lost answers.
  private static let writesALayer = 3

  /// What a run knows of cells holds only while nobody else has written them: labels and write counters tell.
  private func checkUntouched(
    _ plan: MappingPlan, on board: Board, _ record: RunDirectory, resumes: Bool
  ) async throws {
    for macro in plan.macros {
      let now = try await board.label(macro: macro)
      let (labelKey, counterKey) = ("label.macro\(macro)", "writeCounter.macro\(macro)")
      let label = now.label.map { String($0, radix: 16) }.joined(separator: ".")
      guard resumes, let before = record.currentManifest.settings[counterKey].flatMap({ UInt64($0) }) else {
        try record.note(setting: labelKey, label)
        try record.note(setting: counterKey, "\(now.writeCounter)")
        continue
      }
      let attempts = 1 + (record.currentManifest.settings["resumed"].flatMap { Int($0) } ?? 0)
      let layers = plan.layers.count { $0.block.macro == macro }
      let own = UInt64(layers * Self.writesALayer * attempts)
      guard record.currentManifest.settings[labelKey] == label, now.writeCounter <= before + own else {
        throw CommandError(
          message:
            "macro \(macro) of chip \(board.info.chipID) was written by others since the run began: its write counter was "
            + "\(before) and is \(now.writeCounter)",
          hint: "'rram program' without --resume writes the network anew", exitCode: ExitStatus.failure)
      }
    }
  }
}

extension FollowUp: ExpressibleByArgument {}

extension RunDirectory {
  /// Events, conductances, map and report of a program.
  func keep(_ program: ProgramRecord) throws {
    try note(setting: "label", program.label)
    for (layer, conductances) in zip(program.plan.layers, program.conductances) {
      try events.append(
        conductances.enumerated().map { index, value in
          .init(
            "program", cell: layer.block.address(at: index), target: Siemens(Double(layer.targets[index])),
            conductance: value.map { Siemens(Double($0)) })
        })
    }
    var archive = NPZWriter()
    for (index, layer) in program.plan.layers.enumerated() {
      let shape = [layer.block.shape.rows, layer.block.shape.columns]
      archive.add(NPYArray(layer.targets, shape: shape), as: "target\(index)")
      archive.add(NPYArray(program.conductances[index].map { $0 ?? .nan }, shape: shape), as: "conductance\(index)")
    }
    try archive.write(to: file("conductances.npz").path)
    let map = file("conductances.svg")
    try Pictures.conductanceMaps(program.mapPanels, to: map, format: .svg)
    var report = Report(title: "\(program.model) on chip \(program.chip)")
    report.sections = [
      .table(title: "Write-verify", rows: [["quantity", "value"]] + program.report.rows),
      .picture(title: "Conductance of every cell: target, last read, difference", svg: map),
    ]
    try report.write(to: file("report.html"), manifest: currentManifest)
  }
}

extension ProgramRecord {
  /// One row of heat maps a layer.
  var mapPanels: [(title: String, shape: MacroShape, target: [Float], measured: [Float])] {
    zip(plan.layers, conductances).enumerated().map { index, layer in
      ("layer \(index + 1)", layer.0.block.shape, layer.0.targets, layer.1.map { $0 ?? .nan })
    }
  }
}

extension ProgramReport {
  /// What people want to know, as rows of name and value.
  var rows: [[String]] {
    func error(_ statistics: ErrorStatistics?) -> String {
      guard let statistics else { return "not measured" }
      return
        "\(statistics.mean.formatted(digits: 2)) ± \(statistics.std.formatted(digits: 3)) µS, 99 % within \(statistics.p99.formatted(digits: 3)) µS"
    }
    var rows = [
      [
        "cells in tolerance",
        String(
          format: "%d of %d (%.2f %%), ±%@ µS", inTolerance, cells, 100 * fractionInTolerance,
          tolerance.formatted(digits: 3)),
      ],
      [
        "pulses a cell",
        "mean \(pulses.mean.formatted(digits: 3)), median \(pulses.median.formatted(digits: 3)), 95 % \(pulses.p95.formatted(digits: 3)), max \(pulses.max)",
      ],
      ["error at verify", error(self.error.verify)], ["error after 1 s", error(self.error.after1s)],
      ["error after 60 s", error(self.error.after60s)], ["error after 600 s", error(self.error.after600s)],
      ["weight error", "\(weightErrorPercent.formatted(digits: 3)) % of the largest weight (rms)"],
      ["requests", "\(requests)"], ["reads", "\(reads)"],
      [
        "time",
        "chip \(chipSeconds.formatted(digits: 3)) s, bus \(busSeconds.formatted(digits: 3)) s, host \(hostSeconds.formatted(digits: 3)) s",
      ],
    ]
    if let retired {
      rows.append([
        "unused formed cells",
        "\(retired.cells) reset with \(retired.pulses) pulses; \(retired.left) of them came back above the lowest target",
      ])
    }
    return rows
  }
}

struct ProgramOutput: CommandOutput {
  var report: ProgramReport
  var model: String
  var minInTolerance: Double

  func encode(to encoder: any Encoder) throws { try report.encode(to: encoder) }

  var exitStatus: Int32 {
    report.fractionInTolerance * 100 < minInTolerance ? ExitStatus.outOfTolerance : 0
  }

  var text: String {
    let width = report.rows.map { $0[0].count }.max() ?? 0
    let lines = report.rows.filter { $0[1] != "not measured" }.map {
      $0[0] + String(repeating: " ", count: width - $0[0].count + 2) + $0[1]
    }
    let verdict =
      exitStatus == 0 ? "" : "\nout of tolerance: less than \(minInTolerance.formatted(digits: 4)) % of the cells"
    return "'\(model)' \(exitStatus == 0 ? "is on the chip" : "was written, but not well")\n"
      + lines.joined(separator: "\n") + failureList(report.failures) + verdict
  }
}
