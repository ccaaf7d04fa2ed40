import ArgumentParser
import Foundation
import RRAMKit

struct CharacterizeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "characterize", abstract: "Measure what the cells of a macro do, step by step, with a report.",
    discussion: """
      PLAN is \(CharacterizationPlan.shippedNames.joined(separator: ", ")) or a YAML file. What every step takes is said before the first \
      pulse, and a plan that exceeds a limit is refused then. Pristine cells are formed if the plan has the step 'forming': the plan is \
      itself the permission. A run that was cut off goes on with --resume DIR; finished steps are not repeated.
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
    parsing: .upToNextOption, help: "Cells to leave alone, as ROW:COLUMN; for a whole row or column ROW: or :COLUMN.")
  var exclude: [String] = []

  @Flag(help: "Say what each step would take, and stop.")
  var dryRun = false

  @OptionGroup var chip: ChipOptions
  @OptionGroup var options: BoardOptions
  @OptionGroup var link: LinkOptions

  func validate() throws {
    if resume == nil, plan == nil {
      throw ValidationError(
        "name a plan (\(CharacterizationPlan.shippedNames.joined(separator: ", ")) or a file) or a run: --resume DIR")
    }
    if resume != nil, plan != nil || output != nil || macro != nil || !exclude.isEmpty {
      throw ValidationError("--resume takes plan, folder, macro and exclusions from the run")
    }
    for cell in exclude where Exclusion(cell) == nil {
      throw ValidationError("--exclude \(cell): expected ROW:COLUMN, ROW: or :COLUMN")
    }
  }

  func run() async throws {
    let address = try options.address()
    let named = try chip.namedProfile(at: address)
    let folder = (resume ?? output).map { URL(filePath: $0, directoryHint: .isDirectory) }
    let earlier = try resume.map { _ in try RunManifest.read(from: folder ?? URL(filePath: "")) }
    let plan = try CharacterizationPlan.load(
      nameOrPath: folder.flatMap { resume == nil ? nil : $0.appending(path: "plan.yaml").path } ?? self.plan ?? "")
    let macro = earlier?.settings["macro"].flatMap { Int($0) } ?? self.macro ?? 0
    let exclusions =
      earlier?.settings["exclude"]?.split(separator: " ").map(String.init) ?? exclude
    let settings = [
      "plan": plan.name, "planSHA256": plan.hash, "macro": "\(macro)", "exclude": exclusions.joined(separator: " "),
    ]
    if dryRun {
      let output = try await RRAM.withBoard(at: address, files: link.files(for: address), logger: options.common.logger)
      { board in
        let work = try characterization(plan, named, macro: macro, exclusions, board)
        return CharacterizeOutput(
          plan: plan.name, macro: macro, steps: try work.steps(on: board).map(CharacterizeOutput.Step.init))
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
      options, link, allowance: chip.allowed.allowance(), open: open
    ) { board, record in
      if let before = earlier?.chip, before.id != board.info.chipID {
        throw CharacterizationError(
          .otherRun, "the run in \(record.folder.path) belongs to chip \(before.id), and this is \(board.info.chipID)")
      }
      try record.note(setting: "readVoltage", "\(board.defaultReadBias().bitLine)")
      let work = try characterization(plan, named, macro: macro, exclusions, board)
      let unusable = try await work.run(on: board, in: record) { event in
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
      var known = try KnownCells.load(chip: board.info.chipID, home: RecordsHome())
      known.enter(unusable, forming: true)
      try known.save(chip: board.info.chipID, home: RecordsHome())
      if !quiet { note("drawing the report") }
      let report = try CharacterizationReport(of: record.folder)
      try report.write(to: record)
      var output = CharacterizeOutput(
        plan: plan.name, macro: macro, steps: try work.steps(on: board).map(CharacterizeOutput.Step.init))
      for index in output.steps.indices {
        output.steps[index].chipSeconds = report.sections[index].chipSeconds
        output.steps[index].hostSeconds = report.sections[index].hostSeconds
        output.steps[index].estimates = report.sections[index].estimates
      }
      output.report = record.file("report.html").path
      return output
    }
    try answer(output, json: options.common.json)
  }

  private func characterization(
    _ plan: CharacterizationPlan, _ named: ChipProfile?, macro: Int, _ exclusions: [String], _ board: Board
  ) throws -> Characterization {
    let profile = try named ?? ChipOptions.profile(of: board)
    let shape = board.boardDescription.macros.shape
    let known = try KnownCells.load(chip: board.info.chipID, home: RecordsHome())
    let manual = exclusions.compactMap(Exclusion.init).flatMap { $0.cells(macro: macro, shape: shape) }
    return Characterization(plan: plan, profile: profile, macro: macro, excluded: known.unusable.union(manual))
  }
}

/// Cells named on the command line: one, a row or a column.
private struct Exclusion {
  var row: Int?
  var column: Int?

  init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.contains(where: { !$0.isEmpty }) else { return nil }
    for (part, key) in zip(parts, [\Exclusion.row, \.column]) where !part.isEmpty {
      guard let number = Int(part), number >= 0 else { return nil }
      self[keyPath: key] = number
    }
  }

  func cells(macro: Int, shape: MacroShape) -> [CellAddress] {
    (row.map { $0..<$0 + 1 } ?? 0..<shape.rows).flatMap { row in
      (column.map { $0..<$0 + 1 } ?? 0..<shape.columns).map { CellAddress(macro: macro, row: row, column: $0) }
    }
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
    return table(rows) + "\n\n95 % intervals. Report: \(report)"
  }
}
