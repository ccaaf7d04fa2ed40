import ArgumentParser
import Foundation
import RRAMKit

struct ChipCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chip", abstract: "What is on record of a chip: origin, wear, bad cells, runs.",
    subcommands: [Show.self, History.self, Map.self, Compare.self, Describe.self, Exclude.self],
    defaultSubcommand: Show.self)

  struct Exclude: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Leave cells alone in characterizations, with a note why; --remove takes them back into use.")

    @Argument(help: "Id of the chip.")
    var id: String

    @Argument(help: "Cells as ROW:COLUMN; for a whole row or column ROW: or :COLUMN.")
    var cells: [String]

    @Option(help: "Which macro.")
    var macro = 0

    @Option(help: "Why; needed unless they are taken back.")
    var note: String?

    @Flag(help: "Take the cells back into use.")
    var remove = false

    @OptionGroup var common: CommonOptions

    func validate() throws {
      for cell in cells where CellPattern(cell) == nil {
        throw ValidationError("\(cell): expected ROW:COLUMN, ROW: or :COLUMN")
      }
      if !remove, note?.isEmpty ?? true { throw ValidationError("say why: --note TEXT") }
      if macro < 0 { throw ValidationError("--macro \(macro): from 0") }
    }

    func run() async throws {
      let ledger = try ChipLedger(home: RecordsHome())
      let chip = try find(id, in: ledger)
      let patterns = cells.compactMap { CellPattern($0) }
      // Rows and columns end where the chip's macros do; single cells need no record of their shape.
      let shape =
        try ledger.shape(chip: chip.id, macro: macro)
        ?? MacroShape(
          rows: (patterns.compactMap(\.row).max() ?? 0) + 1, columns: (patterns.compactMap(\.column).max() ?? 0) + 1)
      if patterns.contains(where: { $0.row == nil || $0.column == nil }),
        try ledger.shape(chip: chip.id, macro: macro) == nil
      {
        throw CommandError(
          message:
            "macro \(macro) of chip \(chip.id) has no pulses on record, and so no known shape: name single cells",
          exitCode: ExitStatus.failure)
      }
      let named = patterns.flatMap { $0.cells(macro: macro, shape: shape) }
      if remove {
        try ledger.include(named, of: chip.id)
      } else {
        try ledger.exclude(named, of: chip.id, note: note ?? "")
      }
      try answer(ChipOutput(chip, ledger), json: common.json)
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "A chip, or all of them without a name.")

    @Argument(help: "Id of the chip.")
    var id: String?

    @OptionGroup var common: CommonOptions

    func run() async throws {
      let ledger = try ChipLedger(home: RecordsHome())
      if let id {
        try answer(ChipOutput(find(id, in: ledger), ledger), json: common.json)
      } else {
        try answer(ChipListOutput(chips: ledger.chips()), json: common.json)
      }
    }
  }

  struct History: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Every run on a chip, the oldest first.")

    @Argument(help: "Id of the chip.")
    var id: String

    @OptionGroup var common: CommonOptions

    func run() async throws {
      let ledger = try ChipLedger(home: RecordsHome())
      try answer(
        HistoryOutput(chip: find(id, in: ledger).id, runs: ledger.runs(chip: id).reversed()), json: common.json)
    }
  }

  struct Compare: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract:
        "Two chips: where they come from, their wear and bad cells, and their newest characterizations side by side.",
      discussion: "'rram runs compare' takes two runs by name, of one chip as well.")

    @Argument(help: "Id of a chip.")
    var first: String

    @Argument(help: "The other one.")
    var second: String

    @Option(help: ComparisonFiles.help)
    var report: String?

    @OptionGroup var common: CommonOptions

    func run() async throws {
      let ledger = try ChipLedger(home: RecordsHome())
      let chips = try [first, second].map { try ChipOutput(find($0, in: ledger), ledger) }
      let folders = try chips.map { try newestCharacterization(of: $0.chip.id, in: ledger) }
      let files = try ComparisonFiles(report)
      var runs = CompareOutput(comparison: try Comparison(folders[0], folders[1]))
      runs.files = files.names
      let output = ChipCompareOutput(first: chips[0], second: chips[1], runs: runs)
      try files.write(output, runs.comparison, tables: [("Chips", output.rows)])
      try answer(output, json: common.json)
    }

    /// The newest run of a chip that has at least one finished step of a characterization; one that was cut off counts.
    private func newestCharacterization(of chip: String, in ledger: ChipLedger) throws -> URL {
      for run in try ledger.runs(chip: chip) {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: run.folder)) ?? []
        if files.contains("plan.yaml"), files.contains(where: { $0.hasSuffix(".npz") }) {
          return URL(filePath: run.folder, directoryHint: .isDirectory)
        }
      }
      throw CommandError(
        message: "no characterization of chip \(chip) is on record",
        hint: "'rram characterize quick' makes one, 'rram import' takes one from elsewhere",
        exitCode: ExitStatus.failure)
    }
  }

  struct Map: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Pulses that every cell of a macro has got in its life, and its bad cells, as a picture.")

    @Argument(help: "Id of the chip.")
    var id: String

    @Option(help: "Which macro.")
    var macro = 0

    @Option(name: .shortAndLong, help: "The picture: a .png or .svg file.")
    var output: String

    @OptionGroup var common: CommonOptions

    func validate() throws {
      if !output.hasSuffix(".png"), !output.hasSuffix(".svg") {
        throw ValidationError("-o \(output): pictures are .png or .svg")
      }
    }

    func run() async throws {
      try checkWritable(output)
      let ledger = try ChipLedger(home: RecordsHome())
      let chip = try find(id, in: ledger)
      guard
        let pulses = try ledger.pulses(chip: chip.id, macro: macro)
          ?? ledger.pulses(chip: chip.id, macro: macro, forming: true),
        let shape = try ledger.shape(chip: chip.id, macro: macro)
      else {
        throw CommandError(
          message: "no pulse on macro \(macro) of chip \(chip.id) is on record", exitCode: ExitStatus.failure)
      }
      let forming = try ledger.pulses(chip: chip.id, macro: macro, forming: true) ?? []
      let bad = try KnownCells.load(chip: chip.id, home: RecordsHome()).failures.filter { $0.address.macro == macro }
      let written = try ledger.pulses(chip: chip.id, macro: macro) ?? Array(repeating: 0, count: pulses.count)
      try Pictures.wearMap(
        shape: shape, pulses: written, forming: forming, bad: bad.map(\.address), to: URL(filePath: output),
        format: output.hasSuffix(".png") ? .png : .svg)
      try answer(ChipMapOutput(chip: chip.id, macro: macro, file: output, bad: bad), json: common.json)
    }
  }

  struct Describe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Say where a chip comes from; what is not named stays.")

    @Argument(help: "Id of the chip, as 'rram info' shows it.")
    var id: String

    @Option var wafer: String?
    @Option var die: String?
    @Option var package: String?
    @Option var note: String?

    @Option(help: "SET and RESET pulses that a cell of it may get in its life; what would go beyond is refused.")
    var lifetimePulses: Int?

    @OptionGroup var common: CommonOptions

    func validate() throws {
      if let lifetimePulses, lifetimePulses < 0 { throw ValidationError("--lifetime-pulses \(lifetimePulses): from 0") }
    }

    func run() async throws {
      let ledger = try ChipLedger(home: RecordsHome())
      try ledger.describe(
        id, wafer: wafer, die: die, package: package, note: note, lifetimePulses: lifetimePulses)
      try answer(ChipOutput(find(id, in: ledger), ledger), json: common.json)
    }
  }
}

private func find(_ id: String, in ledger: ChipLedger) throws -> ChipLedger.Chip {
  guard let chip = try ledger.chip(id) else {
    let known = try ledger.chips().map(\.id)
    throw CommandError(
      message: "chip '\(id)' is not on record",
      hint: known.isEmpty ? "no chip is" : "known: " + known.prefix(8).joined(separator: ", "),
      exitCode: ExitStatus.badInput)
  }
  return chip
}

private struct ChipListOutput: CommandOutput {
  var chips: [ChipLedger.Chip]

  var text: String {
    guard !chips.isEmpty else { return "no chip is on record" }
    return table(
      [["chip", "profile", "wafer", "die", "package", "first seen (UTC)"]]
        + chips.map {
          [
            $0.id, $0.profile ?? "–", $0.wafer ?? "–", $0.die ?? "–", $0.package ?? "–",
            $0.firstSeen.formatted(.iso8601),
          ]
        })
  }
}

private struct ChipOutput: CommandOutput {
  struct Wear: Encodable {
    var macro: Int
    var cellsPulsed: Int
    var pulsesMean: Double
    var pulsesMax: Int
    var formingPulsesMax: Int
  }

  var chip: ChipLedger.Chip
  var runs: Int
  var lastRun: ChipLedger.Run?
  var wear: [Wear]
  var badCells: [CellFailure]
  var exclusions: [ChipLedger.Exclusion]
  /// Ids of the calibrations of the read chain, the newest first.
  var calibrations: [String]
  /// Those of the loop's gains.
  var loopCalibrations: [String]
  /// Ids of the calibrations of the loop's converters that were made with the chip in the board, the newest first.
  var lineCalibrations: [String]

  init(_ chip: ChipLedger.Chip, _ ledger: ChipLedger) throws {
    self.chip = chip
    let all = try ledger.runs(chip: chip.id)
    runs = all.count
    lastRun = all.first
    wear = try ledger.macros(chip: chip.id).map { macro in
      let pulses = try ledger.pulses(chip: chip.id, macro: macro) ?? []
      let forming = try ledger.pulses(chip: chip.id, macro: macro, forming: true) ?? []
      let pulsed = pulses.filter { $0 > 0 }
      return Wear(
        macro: macro, cellsPulsed: pulsed.count,
        pulsesMean: pulsed.isEmpty ? 0 : Double(pulsed.reduce(0) { $0 + UInt64($1) }) / Double(pulsed.count),
        pulsesMax: Int(pulses.max() ?? 0), formingPulsesMax: Int(forming.max() ?? 0))
    }
    badCells = try KnownCells.load(chip: chip.id, home: RecordsHome()).failures
    exclusions = try ledger.exclusions(chip: chip.id)
    calibrations = try ledger.readCalibrations(chip: chip.id).map(\.id)
    loopCalibrations = try ledger.loopCalibrations(chip: chip.id).map(\.id)
    lineCalibrations = try ledger.lineCalibrations(chip: chip.id).map(\.id)
  }

  var text: String {
    var lines = ["\(chip.id)\(chip.profile.map { " (\($0))" } ?? ""), first seen \(chip.firstSeen.formatted(.iso8601))"]
    let origin = [("wafer", chip.wafer), ("die", chip.die), ("package", chip.package)].compactMap { name, value in
      value.map { "\(name) \($0)" }
    }
    if !origin.isEmpty { lines.append(origin.joined(separator: ", ")) }
    if let note = chip.note { lines.append("note: \(note)") }
    if let limit = chip.lifetimePulses { lines.append("a cell may get \(limit) SET and RESET pulses in its life") }
    if let newest = calibrations.first {
      lines.append("\(calibrations.count) calibrations of the read chain, the newest \(newest)")
    }
    if let newest = loopCalibrations.first {
      lines.append("\(loopCalibrations.count) calibrations of the loop's gains, the newest \(newest)")
    }
    if let newest = lineCalibrations.first {
      lines.append("\(lineCalibrations.count) calibrations of a board's loop converters, the newest \(newest)")
    }
    for (note, group) in Dictionary(grouping: exclusions, by: \.note).sorted(by: { $0.key < $1.key }) {
      lines.append(
        "left alone (\(note)): " + group.prefix(8).map { "\($0.cell)" }.joined(separator: ", ")
          + (group.count > 8 ? " and \(group.count - 8) more" : ""))
    }
    lines.append("\(runs) \(runs == 1 ? "run" : "runs")" + (lastRun.map { ", the last \($0.name)" } ?? ""))
    if !wear.isEmpty {
      lines.append(
        table(
          [["macro", "cells pulsed", "pulses a cell, mean", "most", "most while forming"]]
            + wear.map {
              [
                "\($0.macro)", "\($0.cellsPulsed)", $0.pulsesMean.formatted(digits: 4), "\($0.pulsesMax)",
                "\($0.formingPulsesMax)",
              ]
            }))
    }
    return lines.joined(separator: "\n") + (badCells.isEmpty ? "\nno bad cells are known" : failureList(badCells))
  }
}

private struct ChipCompareOutput: CommandOutput {
  var first: ChipOutput
  var second: ChipOutput
  var runs: CompareOutput

  /// First row is the head.
  var rows: [[String]] {
    let lines: [(String, (ChipOutput) -> String?)] = [
      ("chip", { $0.chip.id }), ("profile", { $0.chip.profile }), ("wafer", { $0.chip.wafer }),
      ("die", { $0.chip.die }), ("package", { $0.chip.package }), ("note", { $0.chip.note }),
      ("first seen (UTC)", { $0.chip.firstSeen.formatted(.iso8601) }), ("runs", { "\($0.runs)" }),
      ("pulses of a cell, most", { $0.wear.map(\.pulsesMax).max().map { "\($0)" } }),
      ("forming pulses of a cell, most", { $0.wear.map(\.formingPulsesMax).max().map { "\($0)" } }),
      ("bad cells known", { "\($0.badCells.count)" }), ("cells left alone", { "\($0.exclusions.count)" }),
    ]
    return [["", "A", "B"]]
      + lines.compactMap { name, value in
        let (a, b) = (value(first), value(second))
        return a == nil && b == nil ? nil : [name, a ?? "–", b ?? "–"]
      }
  }

  var text: String { table(rows) + "\n\n" + runs.text }
}

private struct HistoryOutput: CommandOutput {
  var chip: String
  var runs: [ChipLedger.Run]

  var text: String {
    table(
      [["begun (UTC)", "verb", "exit", "run"]]
        + runs.map { [$0.started.formatted(.iso8601), $0.verb, $0.exitStatus.map { "\($0)" } ?? "cut off", $0.name] })
  }
}

private struct ChipMapOutput: CommandOutput {
  var chip: String
  var macro: Int
  var file: String
  var bad: [CellFailure]

  var text: String { "macro \(macro) of chip \(chip): \(file)" + failureList(bad) }
}
