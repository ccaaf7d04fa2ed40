import ArgumentParser
import Foundation
import RRAMKit

struct FormCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "form", abstract: "Form pristine cells: all usable ones, or those that a model needs.",
    discussion: """
      Forming changes a cell for ever; this command is itself the permission. Every cell gets a ramp with a read after each pulse. \
      Prefer --for MODEL: formed cells beside a network load its columns.
      """)

  @Option(name: .customLong("for"), help: "Only the cells of this model's placement: ring, letters, … or a file.")
  var model: String?

  @Flag(
    help:
      "Read the formed cells 50 times in 5 s of chip time, and move weights off those that fluctuate most: with --pairs sparse to pristine cells of the same weight."
  )
  var screen = false

  @Option(
    help: """
      With --for: choose mapping and screening for what samples shall be like, as 'program --quality' does: fast, standard or equivalent.
      """)
  var quality: QualityGoal?

  @OptionGroup var mapping: MappingArguments
  @OptionGroup var chip: ChipOptions
  @OptionGroup var options: BoardOptions
  @OptionGroup var runOptions: RunOptions
  @OptionGroup var trigger: TriggerOptions

  func validate() throws {
    if model == nil, screen || mapping.isGiven || quality != nil {
      throw ValidationError("mapping, screening and quality belong to a model: --for MODEL is needed")
    }
    if quality != nil, screen || mapping.isGiven {
      throw ValidationError(
        "--quality chooses mapping and screening: leave out --screen, --replicas, --scale, --pairs, --residual, --levels and --rescale"
      )
    }
  }

  func run() async throws {
    let address = try options.address()
    let model = try self.model.map { try ScoreModel.open($0, options.common) }
    let named = try chip.namedProfile(at: address)
    let progress = ProgressLine(quiet: options.common.quiet)
    let output = try await withRecordedBoard(
      options, runOptions, trigger: trigger.request, allowance: chip.allowed.allowance(),
      settings: ["for": self.model ?? "all cells"]
    ) {
      board, record in
      let profile = try named ?? ChipOptions.profile(of: board)
      let home = RecordsHome()
      var known = try KnownCells.load(chip: board.info.chipID, home: home)
      let formOptions = FormOptions(profile)
      let report: FormReport
      var screened: ScreenReport?
      var recipe: QualityRecipe?
      if let model {
        if let quality {
          let found = try await makeRecipe(quality, model, on: board, profile: profile, known: known)
          if !options.common.quiet { note(RecipeOutput(recipe: found, model: model.name).text) }
          try record.note(setting: "quality", quality.rawValue)
          recipe = found
        }
        (_, report, screened) = try await board.form(
          for: model.network, window: board.limits.conductance,
          mapping: recipe?.choice.mapping ?? mapping.options(for: model, on: board, profile),
          options: formOptions, screening: recipe?.choice.screened ?? screen ? Screening() : nil, known: &known
        ) { progress.show($0) }
      } else {
        report = try await board.form(board.allCells, options: formOptions, excluding: known.unusable) {
          progress.show($0)
        }
        known.enter(report.failures, forming: true)
      }
      progress.clear()
      try known.save(chip: board.info.chipID, home: home)
      try record.events.append(
        report.failures.map { .init("form", cell: $0.address, detail: $0.reason) }
          + [
            .init(
              "form", pulses: Int((report.pulses.mean * Double(report.formed + report.failures.count)).rounded()),
              reads: report.reads,
              detail: "\(report.formed) cells formed")
          ])
      return FormOutput(report: report, screened: screened, recipe: recipe)
    }
    try answer(output, json: options.common.json)
  }

  /// The recipe for a model before anything is formed for it, at ten minutes after the write.
  private func makeRecipe(
    _ goal: QualityGoal, _ model: ScoreModel, on board: Board, profile: ChipProfile, known: KnownCells
  ) async throws -> QualityRecipe {
    var placements = try RecipePlacement.mappings(on: board.boardDescription).map { mapping in
      try RecipePlacement.screened(
        model.network, on: board.boardDescription, window: board.limits.conductance, mapping: mapping, known: known,
        profile: profile, amplifiers: board.loopCalibration)
    }
    for index in placements.indices {
      placements[index].toForm = try await board.unformed(placements[index].toForm, options: FormOptions(profile))
    }
    return try QualityRecipe(
      goal, model: model, placements: placements, board: board.boardDescription, profile: profile,
      age: FollowUp.tenMinutes.age, errorScale: nil, pulsesPerCell: nil)
  }
}

struct FormOutput: CommandOutput {
  var report: FormReport
  var screened: ScreenReport?
  /// With --quality: what was chosen.
  var recipe: QualityRecipe?

  enum CodingKeys: String, CodingKey { case screened, recipe }

  private struct Screened: Encodable {
    var cells: Int
    var medianDeviation, p90Deviation, maximumDeviation: Double?
    var reads: Int
    var chipSeconds: Double

    init(_ report: ScreenReport) {
      cells = report.cells
      medianDeviation = report.deviation(quantile: 0.5)
      p90Deviation = report.deviation(quantile: 0.9)
      maximumDeviation = report.deviation(quantile: 1)
      reads = report.reads
      chipSeconds = report.chipSeconds
    }

    enum CodingKeys: String, CodingKey {
      case cells
      case medianDeviation = "medianDeviation_uS"
      case p90Deviation = "p90Deviation_uS"
      case maximumDeviation = "maximumDeviation_uS"
      case reads, chipSeconds
    }
  }

  func encode(to encoder: any Encoder) throws {
    try report.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(screened.map(Screened.init), forKey: .screened)
    try container.encode(recipe, forKey: .recipe)
  }

  var text: String {
    var text = "\(report.formed) of \(report.cells) cells formed"
    if report.alreadyFormed > 0 {
      text += ", \(report.alreadyFormed) were formed before"
      if report.deeplyReset > 0 { text += " (\(report.deeplyReset) of them stand as low as pristine ones)" }
    }
    if let mean = report.formingVoltage.mean, let std = report.formingVoltage.std {
      text += String(format: "; forming voltage %.2f ± %.2f V", mean, std)
    }
    text += "; \(report.chipSeconds.formatted(digits: 3)) s of chip time"
    if report.moves == 1 { text += "; the placement moved once off cells that cannot be used" }
    if report.moves > 1 { text += "; the placement moved \(report.moves) times off cells that cannot be used" }
    if let screened {
      text +=
        "\n\(screened.cells) cells screened in \(screened.chipSeconds.formatted(digits: 3)) s of chip time"
      if let median = screened.deviation(quantile: 0.5), let high = screened.deviation(quantile: 0.9),
        let most = screened.deviation(quantile: 1)
      {
        text +=
          ": reads scatter by \(median.formatted(digits: 2)) µS (median), \(high.formatted(digits: 2)) µS (90 %), "
          + "\(most.formatted(digits: 2)) µS (most)"
      }
    }
    return text + failureList(report.failures)
  }
}

/// The first failures, one a line.
func failureList(_ failures: [CellFailure]) -> String {
  guard !failures.isEmpty else { return "" }
  let shown = failures.prefix(8).map { "\n  \($0.address): \($0.reason)" }.joined()
  return "\n\(failures.count) cells failed:" + shown
    + (failures.count > 8 ? "\n  … and \(failures.count - 8) more" : "")
}

extension ProgressLine {
  func show(_ event: MappingEvent) {
    switch event {
    case .forming(let block, let index, let count, let progress):
      show("forming macro \(block.macro) (\(index + 1)/\(count))", finished: progress.finished, total: progress.total)
    case .writing(let layer, let count, let progress):
      show(
        "writing layer \(layer + 1)/\(count)", finished: progress.finished, total: progress.total,
        detail: "\(progress.pulses) pulses, round \(progress.rounds)")
    case .screening(let done, let count): show("screening", finished: done, total: count)
    case .retiring(let left, let count): show("resetting unused cells", finished: count - left, total: count)
    case .retrying(let epoch, let count): show("writing again", finished: epoch, total: count)
    case .checking, .labelled, .waiting, .followed:
      break
    }
  }
}
