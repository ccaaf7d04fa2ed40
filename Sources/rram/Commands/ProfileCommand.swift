import ArgumentParser
import Foundation
import RRAMKit

/// Chip profiles and board descriptions: what there is, what stands in them, and how well the emulated cells follow what is published.
struct ProfileCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profile", abstract: "List, show, check and fit chip profiles; board descriptions.",
    subcommands: [
      ProfileListCommand.self, ProfileShowCommand.self, ProfileNoiseCommand.self, ProfileCheckCommand.self,
      ProfileFitCommand.self,
    ])
}

struct ProfileListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "List the profiles that are shipped.")

  @OptionGroup var common: CommonOptions

  func run() async throws {
    try answer(
      ProfileListOutput(
        chips: ChipProfile.shippedNames.map {
          let profile = try ChipProfile.named($0)
          return .init(profile.name, profile.summary, profile.provenance)
        },
        boards: BoardDescription.shippedNames.map {
          let board = try BoardDescription.named($0)
          return .init(board.name, board.summary, board.provenance)
        }), json: common.json)
  }
}

struct ProfileListOutput: CommandOutput {
  struct Entry: Encodable {
    var name: String
    var summary: String
    /// Numbers with a source, and assumed ones.
    var published: Int
    var assumed: Int

    init(_ name: String, _ summary: String, _ provenance: [String: ChipProfile.Provenance]) {
      self.name = name
      self.summary = summary
      assumed = provenance.values.count { if case .assumed = $0 { true } else { false } }
      published = provenance.count - assumed
    }
  }

  var chips: [Entry]
  var boards: [Entry]

  var text: String {
    func section(_ title: String, _ entries: [Entry]) -> [String] {
      let width = entries.map(\.name.count).max() ?? 0
      return [title]
        + entries.map {
          "  \($0.name.padding(toLength: width, withPad: " ", startingAt: 0))  \($0.summary) "
            + "(\($0.published) numbers with a source, \($0.assumed) assumed)"
        }
    }
    return (section("chips", chips) + section("boards", boards)).joined(separator: "\n")
  }
}

struct ProfileShowCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Print every value of a profile with its unit and source.",
    discussion: "NAME is a shipped chip or board, or a YAML file. A file is refused with its line if a key is unknown.")

  @Argument(help: "Chip profile, board description, or a YAML file of either.")
  var name: String

  @OptionGroup var common: CommonOptions

  func run() async throws {
    try answer(try ProfileShowOutput(nameOrPath: name), json: common.json)
  }
}

struct ProfileShowOutput: CommandOutput {
  var kind: String
  var name: String
  var summary: String
  var sha256: String
  var values: [DocumentedValue]

  /// A chip profile, or a board description if there is no chip of this name.
  init(nameOrPath: String) throws {
    if BoardDescription.shippedNames.contains(nameOrPath) {
      self.init(try BoardDescription.named(nameOrPath))
      return
    }
    do {
      self.init(try ChipProfile.load(nameOrPath: nameOrPath))
    } catch let error {
      guard error.code != .unknownName else {
        throw ProfileError(
          code: .unknownName, file: "profile", reason: "there is no '\(nameOrPath)'",
          validChoices: ChipProfile.shippedNames + BoardDescription.shippedNames)
      }
      // A file of the other kind has other keys.
      guard let board = try? BoardDescription.load(nameOrPath: nameOrPath) else { throw error }
      self.init(board)
    }
  }

  private init(_ profile: ChipProfile) {
    (kind, name, summary, sha256) = ("chip", profile.name, profile.summary, profile.hash)
    values = profile.documentedValues
  }

  private init(_ board: BoardDescription) {
    (kind, name, summary, sha256) = ("board", board.name, board.summary, board.hash)
    values = board.documentedValues
  }

  var text: String {
    var rows = [["value", "", "source"]]
    for value in values {
      let isAssumed = value.assumed != nil
      rows.append([value.key, value.text, (isAssumed ? "assumed: " : "") + (value.source ?? value.assumed ?? "")])
    }
    let widths = (0..<2).map { column in rows.map { $0[column].count }.max() ?? 0 }
    let table = rows.map { row in
      row[0].padding(toLength: widths[0], withPad: " ", startingAt: 0) + "  "
        + row[1].padding(toLength: widths[1], withPad: " ", startingAt: 0) + "  " + row[2]
    }
    return "\(kind) \(name): \(summary)\nsha256 \(sha256)\n" + table.joined(separator: "\n")
  }
}

extension DocumentedValue {
  /// Numbers and unit as they stand in the document.
  fileprivate var text: String { numbers.joined(separator: " ") + (unit == "1" ? "" : " \(unit)") }
}

struct ProfileCheckCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Compare a chip profile's emulated statistics with the published numbers.",
    discussion: """
      Draws cells from the profile, measures them, and prints model and published figure side by side: first those that the profile was \
      fitted to, then those that follow. Exit 3 if a fitted figure is outside its bound. --report writes a page with pictures into a run \
      folder.
      """)

  @Argument(help: "Chip profile: a shipped name or a YAML file.")
  var name: String

  @Option(help: "Cells of a statistic.")
  var cells: Int = 16_384

  @Option(help: "Seed of the cells.")
  var seed: UInt64 = 1

  @Flag(help: "Write report.html with pictures into a run folder (--run-dir, or a new one below $RRAM_HOME/runs).")
  var report = false

  @Option(name: .long, help: "Folder of the report. Default: a new one below $RRAM_HOME/runs.")
  var runDir: String?

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (1024...1_048_576).contains(cells) else {
      throw ValidationError("--cells \(cells): 1024 to 1048576 are possible")
    }
    if runDir != nil, !report { throw ValidationError("--run-dir belongs to --report") }
  }

  func run() async throws {
    let profile = try ChipProfile.load(nameOrPath: name)
    let check = try ProfileCheck(profile, cells: cells, seed: seed)
    var output = ProfileCheckOutput(check)
    if report {
      let record = try RunDirectory(
        home: RecordsHome(), folder: runDir.map { URL(filePath: $0, directoryHint: .isDirectory) },
        toolkit: toolkitVersion, command: ["rram"] + hoistGlobalOptions(Array(CommandLine.arguments.dropFirst())),
        settings: ["profile": profile.name, "profileSHA256": profile.hash, "cells": "\(cells)", "seed": "\(seed)"])
      try record.finish(exitStatus: Int(output.exitStatus))
      try output.writeReport(check, to: record)
      output.report = record.file("report.html").path
    }
    try answer(output, json: common.json)
  }
}

struct ProfileCheckOutput: CommandOutput {
  struct Figure: Encodable {
    var section: String
    var quantity: String
    var unit: String
    var published: Double
    var model: Double
    /// Null: `published` is a limit that the model stays below.
    var bound: Double?
    var withinBound: Bool
    var cells: Int
    var source: String

    init(_ row: ProfileCheck.Row) {
      (section, quantity, unit, published, model) = (row.section, row.quantity, row.unit, row.published, row.model)
      (bound, withinBound, cells, source) = (row.bound, row.isWithinBound, row.sampleSize, row.source)
    }
  }

  var profile: String
  var sha256: String
  var seed: UInt64
  var fitted: [Figure]
  var notFitted: [Figure]
  /// Path of the page, if one was written.
  var report: String?

  init(_ check: ProfileCheck) {
    profile = check.profile.name
    sha256 = check.profile.hash
    seed = check.seed
    fitted = check.rows.filter(\.isFitted).map(Figure.init)
    notFitted = check.rows.filter { !$0.isFitted }.map(Figure.init)
  }

  var exitStatus: Int32 { fitted.allSatisfy(\.withinBound) ? 0 : ExitStatus.outOfTolerance }

  /// Whose figures the model is compared with: of a profile that is not shipped, its own.
  private var reference: String { ChipProfile.shippedNames.contains(profile) ? "published" : "profile's own" }

  private var head: [String] { ["figure", reference, "model", "bound", "unit", "cells", ""] }

  private static func cells(_ figures: [Figure]) -> [[String]] {
    figures.map { figure in
      [
        "\(figure.section): \(figure.quantity)",
        (figure.bound == nil ? "< " : "") + figure.published.formatted(digits: 4),
        figure.model.formatted(digits: 4), figure.bound.map { "±\($0.formatted(digits: 2))" } ?? "", figure.unit,
        "\(figure.cells)", figure.withinBound ? "" : "outside",
      ]
    }
  }

  private static func verdict(_ figures: [Figure]) -> String {
    "\(figures.count { $0.withinBound }) of \(figures.count) within their bounds"
  }

  var text: String {
    var parts = ["\(profile), seed \(seed): what the emulated cells show beside the \(reference) figures"]
    for (title, figures) in [("fitted", fitted), ("not fitted", notFitted)] where !figures.isEmpty {
      parts.append("\(title): \(Self.verdict(figures))\n" + table([head] + Self.cells(figures)))
    }
    if let report { parts.append("report: \(report)") }
    return parts.joined(separator: "\n\n")
  }

  /// `report.html` with the pictures in it, and the figures as `figures.json` beside it.
  func writeReport(_ check: ProfileCheck, to record: RunDirectory) throws {
    var page = Report(title: "Profile \(profile): model and \(reference) figures")
    page.sections.append(
      .paragraph(
        "\(check.profile.summary). Statistics of emulated cells, seed \(seed). Fitted figures were used to choose the profile's numbers; "
          + "the others follow from them."))
    for (index, figure) in check.figures.enumerated() {
      let file = record.file("figure-\(index + 1).svg")
      try figure.draw(to: file)
      page.sections.append(.picture(title: figure.title, svg: file))
    }
    for (title, figures) in [("Fitted", fitted), ("Not fitted", notFitted)] where !figures.isEmpty {
      page.sections.append(.table(title: "\(title): \(Self.verdict(figures))", rows: []))
      var sections: [String] = []
      for figure in figures where !sections.contains(figure.section) { sections.append(figure.section) }
      for section in sections {
        let part = figures.filter { $0.section == section }
        let rows = zip(Self.cells(part), part).map { cells, figure in
          [figure.quantity] + cells.dropFirst() + [figure.source]
        }
        page.sections.append(.subtable(title: section, rows: [head + ["source"]] + rows))
      }
    }
    try page.write(to: record.file("report.html"), manifest: record.currentManifest)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try encoder.encode(self).write(to: record.file("figures.json"))
  }
}

extension ProfileCheck.Figure {
  /// Published series as points, the model's as lines, in one colour a pair.
  fileprivate func draw(to file: URL) throws {
    let colours = ["#440154", "#3b528b", "#21918c", "#5ec962", "#b5367a", "#e65c00", "#777777", "#1f78b4"]
    func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }
    var tables: [Gnuplot.Table] = []
    var plots: [String] = []
    var published = 0
    var modelled = 0
    for (index, series) in series.enumerated() {
      tables.append(.init("s\(index)", rows: series.points.map { [$0.x, $0.y] }))
      let colour = colours[(series.isPublished ? published : modelled) % colours.count]
      if series.isPublished { published += 1 } else { modelled += 1 }
      let style = series.isPublished ? "points pt 7 ps 0.9" : "lines lw 1.5"
      plots.append("$s\(index) using 1:2 with \(style) lc rgb '\(colour)' title \(quoted(series.name))")
    }
    let script = """
      set xlabel \(quoted(xLabel))
      set ylabel \(quoted(yLabel))
      \(isLogarithmic ? "set logscale x\nset format x '10^{%L}'" : "")
      set bmargin \(series.count + 4)
      set key bmargin left Left reverse maxcols 1
      set grid
      plot \(plots.joined(separator: ", "))
      """
    // The key stands below, a line a series.
    try Gnuplot(width: 900, height: 380 + 18 * series.count, format: .svg).draw(script, tables: tables, to: file)
  }
}
