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
      "ring, ring-hardware-aware, ring-flow, letters, letters-flow, twin, or a file (.safetensors, .npz). Not with --resume."
  )
  var model: String?

  @Option(
    help: "Folder of an interrupted run: goes on with it, with its settings; cells that it has finished are left alone."
  )
  var resume: String?

  @Option(
    help:
      "Read again at every age up to this one: 1s, 60s or 600s. Default: 1s; 600s with --quality standard or equivalent."
  )
  var follow: FollowUp?

  /// What is sampled is as old as users' samples are: the forecast and what it is compared with.
  private var lastRead: FollowUp {
    follow ?? (quality == nil || quality == .fast ? .oneSecond : .tenMinutes)
  }

  @Option(
    parsing: .unconditional,
    help: """
      Half width of the verify window, µS. Default: the chip profile's; with --strategy pair-aware it is that of the difference of a pair, \
      and √2 times the profile's.
      """)
  var tolerance: Double?

  @Option(
    help: """
      What samples shall be like: fast (no promise), standard (KL2d at most 1.25 times the network's in software) or equivalent (1.1 times). \
      Mapping (of those whose cells are formed), strategy, retries and calibration are chosen for it; samples are drawn at the end and set \
      beside the forecast.
      """)
  var quality: QualityGoal?

  @Flag(help: "With --quality: print the choice, what it costs and what it promises; write nothing.")
  var dryRun = false

  @Option(help: "Exit with 3 if less than this share of the usable cells is in tolerance, %.")
  var minInTolerance = 99.0

  @OptionGroup var mapping: MappingArguments
  @OptionGroup var writing: WriteArguments
  @OptionGroup var retry: RetryArguments
  @OptionGroup var chip: ChipOptions
  @OptionGroup var options: BoardOptions
  @OptionGroup var runOptions: RunOptions
  @OptionGroup var trigger: TriggerOptions

  func validate() throws {
    if (model == nil) == (resume == nil) {
      throw ValidationError(
        model == nil
          ? "name a model, for example 'rram program ring', or a run that goes on: --resume DIR"
          : "--resume takes the model from the run: name one of both")
    }
    if let tolerance, !(tolerance > 0 && tolerance.isFinite) {
      throw ValidationError("--tolerance \(tolerance): µS above 0 are needed")
    }
    if dryRun, quality == nil { throw ValidationError("--dry-run needs --quality") }
    if quality != nil, writing.strategy != nil || tolerance != nil || retry.retry > 0 {
      throw ValidationError(
        "--quality chooses strategy, tolerance and retries: leave out --strategy, --tolerance and --retry")
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
    command.quality = settings["quality"].flatMap(QualityGoal.init(rawValue:))
    command.mapping.adopt(settings)
    command.writing.adopt(settings)
    command.retry.adopt(settings)
    return command
  }

  func run() async throws {
    guard let resume else { return try await write(resuming: nil) }
    let folder = try runFolder(resume)
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
    if dryRun, let quality {
      let recipe = try await RRAM.withBoard(at: address, logger: options.common.logger) { board in
        try await makeRecipe(quality, model, on: board, profile: named ?? ChipOptions.profile(of: board))
      }
      return try answer(RecipeOutput(recipe: recipe, model: model.name), json: options.common.json)
    }
    let settings = [
      "model": model.name, "modelSHA256": model.sha256, "follow": lastRead.rawValue,
      "minInTolerance_percent": "\(minInTolerance)", "modelFile": modelName,
    ]
    let open = {
      try earlier.map { try RunDirectory(continuing: $0.folder, home: RecordsHome()) }
        ?? runOptions.open(settings: settings)
    }
    let output = try await withRecordedBoard(
      options, runOptions.link, trigger: trigger.request, allowance: chip.allowed.allowance(), journal: journal,
      open: open
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
      var chosen: QualityRecipe?
      if let quality {
        chosen = try await makeRecipe(quality, model, on: board, profile: profile)
      }
      let plan = try model.plan(
        for: board, mapping: chosen?.choice.mapping ?? mapping.options(for: model, on: board, profile), known: known)
      try plan.check(profile, on: board.boardDescription)
      try plan.check(chosen?.strategy ?? writing.strategy ?? .ispp)
      var programOptions = ProgramOptions(profile)
      programOptions.tolerance = profile.tolerance(writing.strategy ?? .ispp)
      if let tolerance {
        programOptions.tolerance = .microsiemens(tolerance)
        let window = board.limits.conductance
        guard programOptions.tolerance < (window.upperBound - window.lowerBound) / 4 else {
          throw CommandError(
            message: "--tolerance \(tolerance): ±\(programOptions.tolerance) accepts half of the window "
              + "\(window.lowerBound) to \(window.upperBound) or more", exitCode: ExitStatus.usage)
        }
      }
      programOptions.method = try writing.method(profile)
      if let chosen {
        programOptions.apply(chosen, profile: profile, runner: writing.decide)
        if !options.common.quiet { note(RecipeOutput(recipe: chosen, model: model.name).text) }
        try record.note(setting: "quality", chosen.goal.rawValue)
      }
      programOptions.followUp = lastRead
      if chosen == nil { programOptions.retry = retry.retry(tolerance: programOptions.tolerance) }
      for (name, value) in MappingArguments.settings(plan.options) + retry.settings
        + writing.settings(programOptions.method)
      {
        try record.note(setting: name, value)
      }
      try record.note(setting: "tolerance_uS", "\(programOptions.tolerance.microsiemens)")
      try await checkUntouched(plan, programOptions, on: board, record, resumes: earlier != nil)
      let program = try await board.program(
        plan, model: model, options: programOptions, home: home, progress: { progress.show($0) },
        willLabel: { label in
          let earlier = record.currentManifest.settings[Self.ownLabels].map { $0 + " " } ?? ""
          try record.note(setting: Self.ownLabels, earlier + label)
        })
      progress.clear()
      known.enter(program.report.failures)
      try known.save(chip: board.info.chipID, home: home)
      try record.keep(program)
      var output = ProgramOutput(report: program.report, model: model.name, minInTolerance: minInTolerance)
      if let chosen {
        output.recipe = chosen
        output.check = try await QualityCheck(
          chosen.choice.calibration, on: board, record: program, model: model, home: home)
      }
      return output
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
  /// Write operations that one run begins on a block at most: the board writes each part once, and again after lost answers; the host
  /// begins one for each group of pulses.
  private static func writes(_ block: CellBlock, _ options: ProgramOptions, on board: Board) -> Int {
    let once =
      switch options.method.runner {
      // Pairs, and cells whose partner is not written, apart.
      case .board: (options.method.strategy == .pairAware ? 6 : 3) * board.resumableParts(of: block)
      case .host: 2 * options.method.maximumPulses
      }
    return once * (1 + (options.retry?.epochs ?? 0))
  }

  /// The setting that keeps the labels which the run has set, or was about to set.
  private static let ownLabels = "ownLabels"

  /// What a run knows of cells holds only while nobody else has written them: labels and write counters tell.
  private func checkUntouched(
    _ plan: MappingPlan, _ options: ProgramOptions, on board: Board, _ record: RunDirectory, resumes: Bool
  ) async throws {
    for macro in plan.macros {
      let now = try await board.label(macro: macro)
      let (labelKey, counterKey) = ("label.macro\(macro)", "writeCounter.macro\(macro)")
      let label = now.label.map { String(format: "%02x", $0) }.joined()
      guard resumes, let before = record.currentManifest.settings[counterKey].flatMap({ UInt64($0) }) else {
        try record.note(setting: labelKey, label)
        try record.note(setting: counterKey, "\(now.writeCounter)")
        continue
      }
      let attempts = 1 + (record.currentManifest.settings["resumed"].flatMap { Int($0) } ?? 0)
      let once = plan.layers.map(\.block).filter { $0.macro == macro }.reduce(0) {
        $0 + Self.writes($1, options, on: board)
      }
      let own = UInt64(once * attempts)
      // A run that was cut off behind its last pulse finds the label that it has set itself.
      let isOwn =
        record.currentManifest.settings[Self.ownLabels]?.split(separator: " ").contains(Substring(label)) ?? false
      guard isOwn || record.currentManifest.settings[labelKey] == label, now.writeCounter <= before + own else {
        throw CommandError(
          message:
            "macro \(macro) of chip \(board.info.chipID) was written by others since the run began: its write counter was "
            + "\(before) and is \(now.writeCounter)",
          hint: "'rram program' without --resume writes the network anew", exitCode: ExitStatus.failure)
      }
    }
  }

  /// The recipe for this model on this chip as it is, by what its records say of it: of the mappings those whose cells are formed.
  private func makeRecipe(
    _ goal: QualityGoal, _ model: ScoreModel, on board: Board, profile: ChipProfile
  ) async throws -> QualityRecipe {
    let home = RecordsHome()
    let known = try KnownCells.load(chip: board.info.chipID, home: home)
    var placements: [RecipePlacement] = []
    let given = try mapping.options(for: model, on: board, profile)
    for options in mapping.isGiven ? [given] : RecipePlacement.mappings(on: board.boardDescription) {
      let plan = try model.plan(for: board, mapping: options, known: known)
      if try await board.unformedCount(plan, options: FormOptions(profile)) == 0 {
        placements.append(RecipePlacement(plan, known: known))
      }
    }
    if placements.isEmpty {
      let plan = try model.plan(for: board, mapping: given, known: known)
      var placement = RecipePlacement(plan, known: known)
      placement.toForm = try await board.unformed(plan.cellsToForm, options: FormOptions(profile))
      placements = [placement]
    }
    // A chip without a record, or with one that does not fit any more, is as its profile says.
    let earlier = try? await ProgramRecord.find(on: board, home: home)
    let usable = earlier.flatMap { $0.profile == profile.name ? $0 : nil }
    return try QualityRecipe(
      goal, model: model, placements: placements, board: board.boardDescription, profile: profile, age: lastRead.age,
      errorScale: usable?.errorScale(profile),
      pulsesPerCell: usable.flatMap { $0.report.strategy == .response ? $0.report.pulses.mean : nil })
  }
}

extension ProgramOptions {
  /// Writes as a recipe says.
  fileprivate mutating func apply(_ recipe: QualityRecipe, profile: ChipProfile, runner: WriteRunner) {
    let (pulses, reversals) = (method.maximumPulses, method.maximumReversals)
    method = WriteMethod(profile, recipe.strategy)
    (method.maximumPulses, method.maximumReversals, method.runner) = (pulses, reversals, runner)
    tolerance = .microsiemens(recipe.tolerance)
    retry = recipe.retry.map {
      WriteRetry(epochs: $0.epochs, wait: .seconds($0.wait), tolerance: .microsiemens($0.tolerance))
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
          tolerance.formatted(digits: 3)) + (strategy == .pairAware ? " of the difference of each pair" : ""),
      ],
      [
        "pulses a cell",
        "mean \(pulses.mean.formatted(digits: 3)), median \(pulses.median.formatted(digits: 3)), 95 % \(pulses.p95.formatted(digits: 3)), max \(pulses.max)",
      ],
      ["error at verify", error(self.error.verify)], ["error after 1 s", error(self.error.after1s)],
      ["error after 60 s", error(self.error.after60s)], ["error after 600 s", error(self.error.after600s)],
      ["error of G+ − G− at verify", error(difference?.verify)],
      ["error of G+ − G−, last read", error(difference?.latest)],
      ["weight error", "\(weightErrorPercent.formatted(digits: 3)) % of the largest weight (rms)"],
      [
        "written again",
        retry.map {
          "\($0.rewritten.map { "\($0)" }.joined(separator: ", ")) cells, \($0.pulses) pulses, \($0.chipSeconds.formatted(digits: 3)) s"
        } ?? "not measured",
      ],
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
  /// With --quality: what was chosen, and what samples turned out to be.
  var recipe: QualityRecipe?
  var check: QualityCheck?

  enum CodingKeys: String, CodingKey { case recipe, check }

  func encode(to encoder: any Encoder) throws {
    try report.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(recipe, forKey: .recipe)
    try container.encode(check, forKey: .check)
  }

  /// Forecast and result side by side.
  private var comparison: String {
    guard let recipe, let check else { return "" }
    let forecast = recipe.choice.forecast
    return "\n"
      + table([
        ["\(check.samples) samples, \(age(check.age)) after writing", "forecast", "worst", "found"],
        [
          "KL2d / software's", forecast.kl2d.median.formatted(digits: 3), forecast.kl2d.largest.formatted(digits: 3),
          check.kl2d.formatted(digits: 3),
        ],
        [
          "sliced Wasserstein / software's", forecast.slicedWasserstein.median.formatted(digits: 3),
          forecast.slicedWasserstein.largest.formatted(digits: 3), check.slicedWasserstein.formatted(digits: 3),
        ],
      ]) + "\n" + advice(recipe.choice.calibration)
  }

  private func advice(_ mode: CalibrationMode) -> String {
    switch mode {
    case .none: "sample it as it is: 'rram sample \(model)'"
    case .once:
      "'rram sample \(model)' uses the calibration made here; when it warns, 'rram calibrate schedule \(model)' makes a new one"
    case .tracked: "sample it with 'rram calibrate schedule \(model)' and 'rram sample \(model) --track'"
    }
  }

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
      + lines.joined(separator: "\n") + comparison + failureList(report.failures) + verdict
  }
}
