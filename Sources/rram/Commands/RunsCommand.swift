import ArgumentParser
import Foundation
import RRAMKit

struct RunsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "runs", abstract: "The runs that are on record: list them, show one, compare two.",
    subcommands: [List.self, Show.self, Compare.self], defaultSubcommand: List.self)

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Runs, the newest first.")

    @Option(help: "Only runs on this chip.")
    var chip: String?

    @Option(name: .shortAndLong, help: "How many at most.")
    var limit = 20

    @OptionGroup var common: CommonOptions

    func validate() throws {
      if limit < 1 { throw ValidationError("--limit \(limit): at least 1") }
    }

    func run() async throws {
      let ledger = try ChipLedger(home: RecordsHome())
      try answer(RunListOutput(runs: ledger.runs(chip: chip, limit: limit)), json: common.json)
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "One run: its manifest, files and what was found.")

    @Argument(help: "Name of the run, the beginning of it, or its folder.")
    var run: String

    @OptionGroup var common: CommonOptions

    func run() async throws {
      try answer(RunOutput(folder: runFolder(run)), json: common.json)
    }
  }

  struct Compare: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Two runs: settings that differ, and the figures of two characterizations side by side.",
      discussion: """
        A difference is second less first; 'differs' says that the 95 % intervals exclude each other. Runs that 'rram import' made compare like \
        others. --report adds the pictures of both, over each other where they share axes.
        """)

    @Argument(help: "Name of a run, the beginning of it, or its folder.")
    var first: String

    @Argument(help: "The other one.")
    var second: String

    @Option(help: ComparisonFiles.help)
    var report: String?

    @OptionGroup var common: CommonOptions

    func run() async throws {
      let files = try ComparisonFiles(report)
      var output = CompareOutput(comparison: try Comparison(runFolder(first), runFolder(second)))
      output.files = files.names
      try files.write(output, output.comparison)
      try answer(output, json: common.json)
    }
  }
}

/// The folder of the one run that `text` names.
func runFolder(_ text: String) throws -> URL {
  let folder = URL(filePath: text, directoryHint: .isDirectory)
  if FileManager.default.fileExists(atPath: folder.appending(path: "manifest.json").path) { return folder }
  let begun = try ChipLedger(home: RecordsHome()).runs(named: text)
  // Folders of one name may lie anywhere.
  let called = begun.filter { $0.name == text }
  if called.count > 1 {
    throw CommandError(
      message: "\(called.count) runs are called '\(text)': " + called.prefix(4).map(\.folder).joined(separator: ", ")
        + (called.count > 4 ? ", …" : ""), hint: "name the folder", exitCode: ExitStatus.usage)
  }
  let found = called.isEmpty ? begun : called
  guard let run = found.first else {
    throw CommandError(
      message: "no run is called '\(text)'", hint: "'rram runs list' shows them", exitCode: ExitStatus.badInput)
  }
  guard found.count == 1 else {
    throw CommandError(
      message: "\(found.count) runs begin with '\(text)': " + found.prefix(4).map(\.name).joined(separator: ", ")
        + (found.count > 4 ? ", …" : ""), exitCode: ExitStatus.usage)
  }
  return URL(filePath: run.folder, directoryHint: .isDirectory)
}

private struct RunListOutput: CommandOutput {
  var runs: [ChipLedger.Run]

  var text: String {
    guard !runs.isEmpty else { return "no runs are on record" }
    let names = Dictionary(grouping: runs, by: \.name)
    return table(
      [["run", "verb", "chip", "begun (UTC)", "took (s)", "exit"]]
        + runs.map { run in
          [
            // Where several are called the same, what tells them apart.
            names[run.name]?.count == 1 ? run.name : run.folder, run.verb, run.chip ?? "–",
            run.started.formatted(.iso8601),
            run.stopped.map { $0.timeIntervalSince(run.started).formatted(digits: 3) } ?? "–",
            run.exitStatus.map { "\($0)" } ?? "cut off",
          ]
        })
  }
}

private struct RunOutput: CommandOutput {
  var folder: String
  var manifest: RunManifest
  var files: [String]
  /// Figures of a characterization, by step and name.
  var estimates: [String: Estimate]

  init(folder: URL) throws {
    self.folder = folder.path
    manifest = try RunManifest.read(from: folder)
    files = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    estimates = [:]
    if files.contains("plan.yaml") {
      for section in try CharacterizationReport(of: folder).sections {
        for estimate in section.estimates { estimates["\(section.title): \(estimate.name)"] = estimate }
      }
    }
  }

  var text: String {
    var rows = [
      ["folder", folder], ["command", manifest.command.joined(separator: " ")], ["toolkit", manifest.toolkit],
      ["begun", manifest.startedUTC.formatted(.iso8601)],
      ["ended", manifest.stoppedUTC?.formatted(.iso8601) ?? "–"],
      ["exit", manifest.exitStatus.map { "\($0)" } ?? "cut off"],
    ]
    if let board = manifest.board {
      rows.append(["board", "\(board.address) (\(board.name), firmware \(board.firmware))"])
    }
    if let chip = manifest.chip { rows.append(["chip", chip.id + (chip.profile.isEmpty ? "" : " (\(chip.profile))")]) }
    rows += manifest.settings.sorted { $0.key < $1.key }.map { ["  \($0.key)", $0.value] }
    rows.append(["files", files.joined(separator: " ")])
    let width = rows.map { $0[0].count }.max() ?? 0
    let head = rows.map { $0[0].padding(toLength: width + 2, withPad: " ", startingAt: 0) + $0[1] }.joined(
      separator: "\n")
    guard !estimates.isEmpty else { return head }
    return head + "\n\n"
      + table(
        [["", "value", "95 % interval", "unit"]]
          + estimates.sorted { $0.key < $1.key }.map {
            [$0.key, $0.value.value.formatted(digits: 3), $0.value.interval, $0.value.unit == "1" ? "" : $0.value.unit]
          })
  }
}

extension Estimate {
  fileprivate var interval: String {
    low.flatMap { low in high.map { "\(low.formatted(digits: 3)) … \($0.formatted(digits: 3))" } } ?? "–"
  }
}

struct CompareOutput: CommandOutput {
  var comparison: Comparison
  /// Files of --report.
  var files: [String] = []

  private enum Key: CodingKey { case files }

  func encode(to encoder: any Encoder) throws {
    try comparison.encode(to: encoder)
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(files, forKey: .files)
  }

  var text: String {
    let settings = comparison.settings
    var text =
      settings.isEmpty
      ? "no setting differs"
      : table([["setting", "A", "B"]] + settings.map { [$0.name, $0.first ?? "–", $0.second ?? "–"] })
    if !comparison.figures.isEmpty {
      text +=
        "\n\n"
        + table(
          [["", "A", "95 % interval", "B", "95 % interval", "difference", "unit", ""]]
            + comparison.figures.map {
              [
                $0.name, $0.first.value.formatted(digits: 3), $0.first.interval, $0.second.value.formatted(digits: 3),
                $0.second.interval, $0.difference.formatted(digits: 3), $0.unit == "1" ? "" : $0.unit,
                $0.differs == true ? "differs" : "",
              ]
            })
    }
    for (side, names) in [("A", comparison.onlyFirst), ("B", comparison.onlySecond)] where !names.isEmpty {
      text +=
        "\n\n\(names.count) figures and pictures of \(side) alone: " + names.prefix(3).joined(separator: "; ")
        + (names.count > 3 ? "; …" : "")
    }
    for (side, run) in [("A", comparison.first), ("B", comparison.second)] {
      text +=
        (side == "A" ? "\n\n" : "\n")
        + "\(side): \(run.folder) (\(run.chip.map { "\($0), " } ?? "")\(run.provenance.rawValue))"
    }
    return text + files.map { "\n\($0)" }.joined()
  }
}

/// Where a comparison goes: page and JSON of it into a folder, or one of them into a file.
struct ComparisonFiles {
  static let help: ArgumentHelp =
    "Write the comparison with the pictures of both as comparison.html, and the same figures as comparison.json, into this folder; or one of them into a .html or .json file."

  private var page: URL?
  private var json: URL?

  /// - Parameter path: nil: nowhere.
  init(_ path: String?) throws {
    guard let path else { return }
    switch URL(filePath: path).pathExtension {
    case "html": page = URL(filePath: path)
    case "json": json = URL(filePath: path)
    default:
      let folder = URL(filePath: path, directoryHint: .isDirectory)
      do {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      } catch {
        throw CommandError(message: "\(path): the folder cannot be made", exitCode: ExitStatus.badInput)
      }
      page = folder.appending(path: "comparison.html")
      json = folder.appending(path: "comparison.json")
    }
    try checkWritable(page?.path)
    try checkWritable(json?.path)
  }

  var names: [String] { [page, json].compactMap { $0?.path } }

  func write(
    _ output: some CommandOutput, _ comparison: Comparison, tables: [(title: String, rows: [[String]])] = []
  ) throws {
    if let page { try comparison.write(to: page, tables: tables) }
    if let json { try AtomicFile.write(Array(try document(output)), to: json.path) }
  }
}
