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
      abstract: "Two runs: settings that differ, and the figures of two characterizations side by side.")

    @Argument(help: "Name of a run, the beginning of it, or its folder.")
    var first: String

    @Argument(help: "The other one.")
    var second: String

    @OptionGroup var common: CommonOptions

    func run() async throws {
      try answer(
        CompareOutput(RunOutput(folder: runFolder(first)), RunOutput(folder: runFolder(second))), json: common.json)
    }
  }
}

/// The folder of the one run that `text` names.
func runFolder(_ text: String) throws -> URL {
  let folder = URL(filePath: text, directoryHint: .isDirectory)
  if FileManager.default.fileExists(atPath: folder.appending(path: "manifest.json").path) { return folder }
  let found = try ChipLedger(home: RecordsHome()).runs(named: text)
  guard let run = found.first else {
    throw CommandError(
      message: "no run is called '\(text)'", hint: "'rram runs list' shows them", exitCode: ExitStatus.badInput)
  }
  guard found.count == 1 || run.name == text else {
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
    return table(
      [["run", "verb", "chip", "begun (UTC)", "took (s)", "exit"]]
        + runs.map { run in
          [
            run.name, run.verb, run.chip ?? "–", run.started.formatted(.iso8601),
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
    if let chip = manifest.chip { rows.append(["chip", "\(chip.id) (\(chip.profile))"]) }
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

private struct CompareOutput: CommandOutput {
  struct Setting: Encodable {
    var name: String
    var first: String?
    var second: String?
  }

  struct Figure: Encodable {
    var name: String
    var unit: String
    var first: Estimate
    var second: Estimate
    /// True where the 95 % intervals share no value; `nil` where one has none.
    var differs: Bool?
  }

  var first: String
  var second: String
  var settings: [Setting]
  var figures: [Figure]

  init(_ first: RunOutput, _ second: RunOutput) {
    (self.first, self.second) = (first.folder, second.folder)
    func settings(_ run: RunOutput) -> [String: String] {
      var all = run.manifest.settings
      all["toolkit"] = run.manifest.toolkit
      all["chip"] = run.manifest.chip?.id
      all["profile"] = run.manifest.chip?.profile
      all["board"] = run.manifest.board?.address
      return all
    }
    let (one, other) = (settings(first), settings(second))
    self.settings = Set(one.keys).union(other.keys).sorted().filter { one[$0] != other[$0] }
      .map { Setting(name: $0, first: one[$0], second: other[$0]) }
    figures = first.estimates.keys.sorted().compactMap { name in
      guard let a = first.estimates[name], let b = second.estimates[name] else { return nil }
      var differs: Bool?
      if let low = a.low, let high = a.high, let otherLow = b.low, let otherHigh = b.high {
        differs = low > otherHigh || otherLow > high
      }
      return Figure(name: name, unit: a.unit, first: a, second: b, differs: differs)
    }
  }

  var text: String {
    var text =
      settings.isEmpty
      ? "no setting differs"
      : table([["setting", "first", "second"]] + settings.map { [$0.name, $0.first ?? "–", $0.second ?? "–"] })
    if !figures.isEmpty {
      text +=
        "\n\n"
        + table(
          [["", "first", "95 % interval", "second", "95 % interval", "unit", ""]]
            + figures.map {
              [
                $0.name, $0.first.value.formatted(digits: 3), $0.first.interval, $0.second.value.formatted(digits: 3),
                $0.second.interval, $0.unit == "1" ? "" : $0.unit, $0.differs == true ? "differs" : "",
              ]
            })
    }
    return text
  }
}
