import ArgumentParser
import Foundation
import RRAMKit

struct CharacterizeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "characterize", abstract: "Measure what the cells of a macro do, step by step, with a report.",
    discussion: """
      PLAN is \(CharacterizationPlan.shippedNames.joined(separator: ", ")), a YAML file, or the name of one step: \
      \(CharacterizationPlan.procedureNames.joined(separator: ", ")). What every step takes is said before the first pulse, and a plan that \
      exceeds a limit or the wear left on the chip is refused then. Pristine cells are formed if the plan has the step 'forming': the plan \
      is itself the permission. A run that was cut off goes on with --resume DIR, behind the last answer of the board that it holds. What may \
      be set of each step, and what holds otherwise: --steps, or STEP --steps.
      """)

  @Argument(help: "Shipped plan or file. With --resume the run's own plan is used.")
  var plan: String?

  @Option(name: .shortAndLong, help: "Folder of the record and the report. Default: a new one below $RRAM_HOME/runs.")
  var output: String?

  @Option(help: "Go on with the run in this folder.")
  var resume: String?

  @Option(help: "Which macro of the board.")
  var macro: Int?

  @Option(
    parsing: .upToNextOption, help: "The only cells to use, written as for --exclude.")
  var only: [String] = []

  @Option(
    parsing: .upToNextOption, help: "Cells to leave alone, as ROW:COLUMN; for a whole row or column ROW: or :COLUMN.")
  var exclude: [String] = []

  @Option(parsing: .upToNextOption, help: "Settings of a single step, as KEY=VALUE: cycles=1000, until='100 s'.")
  var set: [String] = []

  @Flag(help: "List the settings of the step that PLAN names, or of all steps, with what holds without them, and stop.")
  var steps = false

  @Flag(help: "Say what each step would take, and stop.")
  var dryRun = false

  @OptionGroup var surroundings: SurroundingsOptions

  @OptionGroup var chip: ChipOptions
  @OptionGroup var options: BoardOptions
  @OptionGroup var link: LinkOptions
  @OptionGroup var trigger: TriggerOptions

  func validate() throws {
    if steps {
      guard let plan, !CharacterizationPlan.procedureNames.contains(plan) else { return }
      throw ValidationError(
        "--steps: '\(plan)' is no step: \(CharacterizationPlan.procedureNames.joined(separator: ", "))")
    }
    if resume == nil, plan == nil {
      throw ValidationError(
        "name a plan (\(CharacterizationPlan.shippedNames.joined(separator: ", ")) or a file) or a run: --resume DIR")
    }
    if resume != nil, plan != nil || output != nil || macro != nil || !exclude.isEmpty || !only.isEmpty || !set.isEmpty
    {
      throw ValidationError("--resume takes plan, folder, macro and exclusions from the run")
    }
    for (option, cells) in [("--exclude", exclude), ("--only", only)] {
      for cell in cells where CellPattern(cell) == nil {
        throw ValidationError("\(option) \(cell): expected ROW:COLUMN, ROW: or :COLUMN")
      }
    }
    for setting in set where setting.firstIndex(of: "=") == nil {
      throw ValidationError("--set \(setting): expected KEY=VALUE")
    }
    if !set.isEmpty, let plan, !CharacterizationPlan.procedureNames.contains(plan) {
      throw ValidationError(
        "--set goes with one step (\(CharacterizationPlan.procedureNames.joined(separator: ", "))), not with a plan")
    }
  }

  func run() async throws {
    if steps {
      return try answer(
        StepsOutput(
          steps: CharacterizationPlan.describedSteps.filter { self.plan == nil || self.plan == $0.name }.map {
            .init(name: $0.name, title: $0.title, settings: $0.settings)
          }), json: options.common.json)
    }
    let address = try options.address()
    let named = try chip.namedProfile(at: address)
    let folder = try resume.map { try runFolder($0) } ?? output.map { URL(filePath: $0, directoryHint: .isDirectory) }
    let earlier = try resume.map { _ in try RunManifest.read(from: folder ?? URL(filePath: "")) }
    let settingPairs = set.map { text in
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (key: String(parts[0]), value: String(parts[1]))
    }
    let plan =
      set.isEmpty
      ? try CharacterizationPlan.load(
        nameOrPath: folder.flatMap { resume == nil ? nil : $0.appending(path: "plan.yaml").path } ?? self.plan ?? "")
      : try CharacterizationPlan.step(self.plan ?? "", settings: settingPairs)
    try await characterize(plan, earlier: earlier, folder: folder, at: address, named)
  }

  /// Runs a plan with what the command line says beside it, and prints the answer.
  func characterize(
    _ plan: CharacterizationPlan, earlier: RunManifest?, folder: URL?, at address: BoardAddress, _ named: ChipProfile?
  ) async throws {
    let macro = earlier?.settings["macro"].flatMap { Int($0) } ?? self.macro ?? 0
    let exclusions =
      earlier?.settings["exclude"]?.split(separator: " ").map(String.init) ?? exclude
    let onlyThese = earlier?.settings["only"]?.split(separator: " ").map(String.init) ?? only
    let settings = [
      "plan": plan.name, "planSHA256": plan.hash, "macro": "\(macro)", "exclude": exclusions.joined(separator: " "),
      "only": onlyThese.joined(separator: " "),
    ]
    if dryRun {
      let output = try await RRAM.withBoard(at: address, files: link.files(for: address), logger: options.common.logger)
      { board in
        let work = try characterization(plan, named, macro: macro, exclusions, onlyThese, board)
        return CharacterizeOutput(
          plan: plan.name, macro: macro, steps: try await work.steps(on: board).map(CharacterizeOutput.Step.init))
      }
      try answer(output, json: options.common.json)
      return
    }
    let progress = ProgressLine(quiet: options.common.quiet)
    let quiet = options.common.quiet
    let open = {
      try earlier == nil
        ? RunDirectory(
          home: RecordsHome(), folder: folder, toolkit: toolkitVersion,
          command: ["rram"] + hoistGlobalOptions(Array(CommandLine.arguments.dropFirst())), settings: settings)
        : RunDirectory(continuing: folder ?? URL(filePath: ""), home: RecordsHome())
    }
    let output = try await withRecordedBoard(
      options, link, trigger: trigger.request, allowance: chip.allowed.allowance(), open: open
    ) { board, record in
      if let before = earlier?.chip, before.id != board.info.chipID {
        throw CharacterizationError(
          .otherRun, "the run in \(record.folder.path) belongs to chip \(before.id), and this is \(board.info.chipID)")
      }
      try record.note(setting: "readVoltage_V", "\(board.defaultReadBias().bitLine.rawValue)")
      // What held when the run's values were read; one that goes on may find a calibration that was made of them.
      if record.currentManifest.settings["absoluteScale"] == nil {
        try record.note(setting: "absoluteScale", board.absoluteScale)
      }
      let work = try characterization(plan, named, macro: macro, exclusions, onlyThese, board)
      for (name, bias) in [("set", work.profile.programming.set), ("reset", work.profile.programming.reset)] {
        try record.note(setting: "\(name)Width_s", "\(bias.width.seconds)")
      }
      if !quiet { note("absoluteScale: \(board.absoluteScale)") }
      let unusable: [CellFailure]
      do {
        unusable = try await run(work, on: board, in: record, progress, quiet: quiet)
      } catch {
        // What the operator has after all: said before the failure itself.
        let kept = try? CharacterizationReport(of: record.folder).sections.filter { $0.chipSeconds != nil }.count
        progress.clear()
        if let kept, !quiet {
          note(
            "kept: \(kept) of \(plan.steps.count) steps are finished in \(record.folder.path); '--resume \(record.folder.path)' goes on"
          )
        }
        throw error
      }
      try keepCalibration(of: plan, macro: macro, board, in: record)
      var known = try KnownCells.load(chip: board.info.chipID, home: RecordsHome())
      known.enter(unusable, forming: true)
      try known.save(chip: board.info.chipID, home: RecordsHome())
      if !quiet { note("drawing the report") }
      let report = try CharacterizationReport(of: record.folder)
      try report.write(to: record)
      var output = CharacterizeOutput(
        plan: plan.name, macro: macro,
        steps: try await work.steps(on: board, in: record).map(CharacterizeOutput.Step.init))
      for index in output.steps.indices {
        output.steps[index].chipSeconds = report.sections[index].chipSeconds
        output.steps[index].hostSeconds = report.sections[index].hostSeconds
        output.steps[index].estimates = report.sections[index].estimates
      }
      output.absoluteScale = record.currentManifest.settings["absoluteScale"]
      output.report = record.file("report.html").path
      return output
    }
    try answer(output, json: options.common.json)
  }

  /// Measures, and tells of it on stderr.
  private func run(
    _ work: Characterization, on board: Board, in record: RunDirectory, _ progress: ProgressLine, quiet: Bool
  ) async throws -> [CellFailure] {
    let plan = work.plan
    return try await work.run(on: board, in: record) { event in
      switch event {
      case .planned(let steps):
        let total = steps.reduce(Cost()) { sum, step in
          Cost(
            pulses: sum.pulses + step.cost.pulses, reads: sum.reads + step.cost.reads,
            chipSeconds: sum.chipSeconds + step.cost.chipSeconds)
        }
        if !quiet { note("\(plan.name): \(steps.count) steps, \(summary(total))") }
      case .began(let step):
        progress.clear()
        if !quiet { note("\(step.number)/\(step.count) \(step.title): \(summary(step.cost))") }
      case .progress(let step, let finished, let total): progress.show(step.title, finished: finished, total: total)
      case .ended: progress.clear()
      case .kept(let step): if !quiet { note("\(step.number)/\(step.count) \(step.title): done before") }
      case .skipped(let step, let reason):
        if !quiet { note("\(step.number)/\(step.count) \(step.title): left out, \(reason)") }
      }
    }
  }

  /// Enters the calibrations that the plan made: they hold from the next session on.
  private func keepCalibration(
    of plan: CharacterizationPlan, macro: Int, _ board: Board, in record: RunDirectory
  ) throws {
    // A finished run that is resumed has made its calibration.
    let settings = record.currentManifest.settings
    for (index, step) in plan.steps.enumerated() {
      let file = record.file((index < 9 ? "0" : "") + "\(index + 1)-\(type(of: step).name).npz").path
      guard FileManager.default.fileExists(atPath: file) else { continue }
      let now = Date()
      let id =
        "\(now.formatted(.iso8601.dateSeparator(.omitted).timeSeparator(.omitted)))-\(record.folder.lastPathComponent)"
      let ledger = try ChipLedger(home: RecordsHome())
      switch step {
      case is ConverterCalibration where settings["calibrationMade"] == nil:
        let measured = try RRAMCharacterization.Measurement(file: file)
        let calibration = try ConverterCalibration.calibration(
          from: measured, macro: macro, board: board, id: id, at: now.timeIntervalSince1970, before: board.calibration)
        if let calibration {
          try ledger.enter(calibration)
          if let before = board.calibration, !ConverterCalibration.taken(from: before, on: board) {
            note(
              "warning: calibration \(before.id) is not taken over: it does not say what it measured of this board as it is described, so macros other than "
                + "\(macro) stand uncorrected until 'rram characterize converters --macro N' measures them")
          }
        }
        let lines = try LoopConverters.calibration(
          from: measured, board: board, id: id, at: now.timeIntervalSince1970)
        if let lines { try ledger.enter(lines) }
        try record.note(setting: "calibrationMade", id)
      case is LoopGains where settings["loopCalibrationMade"] == nil:
        let calibration = try LoopGains.calibration(
          from: RRAMCharacterization.Measurement(file: file), board: board, id: id, at: now.timeIntervalSince1970,
          before: board.loopCalibration)
        if let calibration {
          try ledger.enter(calibration)
          try record.note(setting: "loopCalibrationMade", id)
        }
      default: break
      }
    }
  }

  private func characterization(
    _ plan: CharacterizationPlan, _ named: ChipProfile?, macro: Int, _ exclusions: [String], _ only: [String],
    _ board: Board
  ) throws -> Characterization {
    let profile = try named ?? ChipOptions.profile(of: board)
    let shape = board.boardDescription.macros.shape
    let known = try KnownCells.load(chip: board.info.chipID, home: RecordsHome())
    func cells(_ patterns: [String]) -> [CellAddress] {
      patterns.compactMap { CellPattern($0) }.flatMap { $0.cells(macro: macro, shape: shape) }
    }
    var excluded = known.unusable.union(cells(exclusions))
    let ledger = try ChipLedger(home: RecordsHome())
    excluded.formUnion(try ledger.exclusions(chip: board.info.chipID).map(\.cell))
    if !only.isEmpty {
      let block = CellBlock(macro: macro, shape: shape)
      excluded.formUnion(Set((0..<shape.cellCount).map { block.address(at: $0) }).subtracting(cells(only)))
    }
    return Characterization(
      plan: plan, profile: profile, macro: macro, excluded: excluded, surroundings: surroundings.surroundings(of: board)
    )
  }
}

private func summary(_ cost: Cost) -> String {
  var parts: [String] = []
  if cost.pulses > 0 { parts.append("about \(cost.pulses) pulses") }
  if cost.pulsesPerCell > 0 { parts.append("at most \(cost.pulsesPerCell) a cell") }
  parts.append("\(cost.reads) reads")
  parts.append("\(cost.chipSeconds.formatted(digits: 2)) s of chip time")
  return parts.joined(separator: ", ")
}

struct CharacterizeOutput: CommandOutput {
  struct Step: Encodable {
    var title: String
    var expected: Cost
    var chipSeconds: Double?
    var hostSeconds: Double?
    var estimates: [Estimate] = []

    init(_ step: Characterization.Step) {
      title = step.title
      expected = step.cost
    }
  }

  var plan: String
  var macro: Int
  var steps: [Step]
  /// Against what conductances hold: a calibration, or `uncalibrated`; nil for a dry run.
  var absoluteScale: String?
  /// Path of the page; nil for a dry run.
  var report: String?

  var text: String {
    guard let report else {
      return table(
        [["step", "pulses", "a cell, at most", "reads", "chip time (s)"]]
          + steps.map {
            [
              $0.title, "\($0.expected.pulses)", "\($0.expected.pulsesPerCell)", "\($0.expected.reads)",
              $0.expected.chipSeconds.formatted(digits: 2),
            ]
          })
    }
    let rows = steps.flatMap { step in
      [[step.title]]
        + step.estimates.map { estimate in
          [
            "  " + estimate.name, estimate.value.formatted(digits: 3),
            estimate.low.flatMap { low in
              estimate.high.map { "\(low.formatted(digits: 3)) … \($0.formatted(digits: 3))" }
            } ?? "", estimate.unit == "1" ? "" : estimate.unit,
          ]
        }
    }
    return table(rows) + "\n\n95 % intervals. absoluteScale: \(absoluteScale ?? "uncalibrated"). Report: \(report)"
  }
}

/// Steps of plans and their settings.
private struct StepsOutput: CommandOutput {
  struct Step: Encodable {
    var name: String
    var title: String
    var settings: [StepSetting]
  }

  var steps: [Step]

  var text: String {
    // Words stand left: a table of numbers would not.
    func padded(_ rows: [[String]]) -> [String] {
      let widths = (0..<2).map { column in rows.map { $0[column].count }.max() ?? 0 }
      return rows.map { row in
        "  "
          + (0..<2).map { row[$0].padding(toLength: widths[$0], withPad: " ", startingAt: 0) + "  " }.joined() + row[2]
      }
    }
    return steps.map { step in
      ([step.name + ": \(step.title)"]
        + padded(
          step.settings.map { [$0.name, $0.standard ?? "(\($0.none ?? "none"))", "\($0.meaning) (\($0.values))"] }))
        .joined(separator: "\n")
    }.joined(separator: "\n\n")
  }
}
