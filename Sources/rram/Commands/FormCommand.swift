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

  @OptionGroup var chip: ChipOptions
  @OptionGroup var options: BoardOptions
  @OptionGroup var runOptions: RunOptions

  func run() async throws {
    let address = try options.address()
    let model = try self.model.map { try ScoreModel.open($0, options.common) }
    let named = try chip.namedProfile(at: address)
    let progress = ProgressLine(quiet: options.common.quiet)
    let output = try await withRecordedBoard(
      options, runOptions, allowance: chip.allowed.allowance(), settings: ["for": self.model ?? "all cells"]
    ) {
      board, record in
      let profile = try named ?? ChipOptions.profile(of: board)
      let home = RecordsHome()
      var known = try KnownCells.load(chip: board.info.chipID, home: home)
      let formOptions = FormOptions(profile)
      let report: FormReport
      if let model {
        report = try await board.form(
          for: model.network, window: board.limits.conductance, options: formOptions, known: &known
        ) { progress.show($0) }.report
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
      return FormOutput(report: report)
    }
    try answer(output, json: options.common.json)
  }
}

struct FormOutput: CommandOutput {
  var report: FormReport

  func encode(to encoder: any Encoder) throws { try report.encode(to: encoder) }

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
    case .checking, .labelled, .waiting, .followed:
      break
    }
  }
}
