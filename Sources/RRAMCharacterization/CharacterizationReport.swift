public import Foundation
public import RRAMRecords

/// What the finished steps of a run say, made from its folder alone.
public struct CharacterizationReport: Sendable, Encodable {
  public var title: String
  public var plan: String
  public var planSHA256: String
  public var macro: Int?
  public var provenance: Provenance
  public var sections: [Section] = []

  /// Where a run's numbers come from.
  public enum Provenance: String, Sendable, Codable {
    /// Read from a board's cells.
    case measured
    /// Read from the cells of an emulated board: a model's.
    case modelled
    /// Measured elsewhere, and read from a file.
    case imported
    /// Neither a board nor a file is on record.
    case unknown

    public init(of manifest: RunManifest) {
      self =
        if manifest.settings["importedFrom"] != nil {
          .imported
        } else if let board = manifest.board {
          board.emulated ? .modelled : .measured
        } else {
          .unknown
        }
    }
  }

  public struct Section: Sendable, Encodable {
    public var name: String
    public var title: String
    /// `nil` where the step did not run.
    public var chipSeconds: Double?
    public var hostSeconds: Double?
    /// Degrees Celsius when the step began; `nil` where nobody knows.
    public var celsius: Double?
    public var estimates: [Estimate] = []
    public var tables: [Findings.Table] = []
    public var remarks: [String] = []
    var pictures: [Findings.Picture] = []

    private enum CodingKeys: String, CodingKey {
      case name, title, chipSeconds, hostSeconds, celsius, estimates, tables, remarks
    }
  }

  /// Reads the plan and the steps' arrays of a run.
  public init(of folder: URL) throws {
    let file = folder.appending(path: "plan.yaml").path
    let plan = try CharacterizationPlan.load(nameOrPath: file)
    self.plan = plan.name
    planSHA256 = plan.hash
    let manifest = try RunManifest.read(from: folder)
    macro = manifest.settings["macro"].flatMap { Int($0) }
    provenance = Provenance(of: manifest)
    title =
      (provenance == .imported ? "Imported data" : "Characterization") + (manifest.chip.map { " of \($0.id)" } ?? "")
      + (macro.map { ", macro \($0)" } ?? "")
    for (index, procedure) in plan.steps.enumerated() {
      let kind = type(of: procedure)
      var section = Section(name: kind.name, title: kind.title)
      let path = folder.appending(path: Characterization.fileName(index + 1, kind, "npz")).path
      let skipped = folder.appending(path: Characterization.fileName(index + 1, kind, "skipped.txt")).path
      if FileManager.default.fileExists(atPath: path) {
        let measurement = try Measurement(file: path)
        let findings = try kind.findings(from: measurement)
        section.estimates = findings.estimates
        section.tables = findings.tables
        section.remarks = findings.remarks
        section.pictures = findings.pictures
        // Nobody knows what imported data took.
        if provenance != .imported {
          section.chipSeconds = try measurement.value("step_chip_s")
          section.hostSeconds = try measurement.value("step_host_s")
        }
        section.celsius = try? measurement.value("step_temperature_C")
      } else if let reason = FileManager.default.contents(atPath: skipped) {
        section.remarks = [
          "Left out: \(String(decoding: reason, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))."
        ]
      } else {
        section.remarks = ["Not measured: the run ended before."]
      }
      sections.append(section)
    }
  }

  /// Standards whose procedures and ways of reporting are followed.
  static let practice =
    "After IEC 62951-9:2022 (read, forming, SET, RESET, endurance and retention of one-transistor one-resistor cells) and Lanza et al., "
    + "ACS Nano 15, 17214 (2021). Intervals are 95 %; spreads from cycle to cycle, from device to device, of a read and of quantisation are "
    + "kept apart."

  /// Writes `report.html` with its pictures and the same numbers as `report.json` into `directory`.
  public func write(to directory: RunDirectory) throws {
    var page = Report(title: title)
    let manifest = directory.currentManifest
    var identity: [[String]] = [["", ""]]
    if let chip = manifest.chip {
      identity += [["chip", chip.id], ["profile", chip.profile.isEmpty ? "–" : chip.profile]]
    }
    if provenance == .imported {
      for (title, setting) in [
        ("file", "importedFrom"), ("SHA-256 of the file", "importedSHA256"), ("source", "source"),
      ] {
        if let value = manifest.settings[setting] { identity.append([title, value]) }
      }
    }
    if let board = manifest.board {
      identity += [
        ["board", "\(board.name)\(board.emulated ? " (emulated)" : "")"], ["serial", board.serial],
        ["firmware", board.firmware],
      ]
    }
    identity += [
      ["macro", macro.map { "\($0)" } ?? "–"], ["plan", "\(plan) (SHA-256 \(planSHA256.prefix(12))…)"],
      ["begun", manifest.startedUTC.formatted(.iso8601)],
      ["read voltage (V)", manifest.settings["readVoltage_V"] ?? "–"],
      ["temperature (°C)", temperatures],
      [
        "absoluteScale",
        (manifest.settings["absoluteScale"] ?? "uncalibrated")
          + (manifest.settings["calibrationMade"].map {
            "; calibration \($0), made in this run, holds from the next one on"
          }
            ?? ""),
      ],
    ]
    page.sections = [
      .paragraph(provenance.sentence + " " + Self.practice), .table(title: "Identity", rows: identity),
    ]
    if provenance != .imported { page.sections.append(steps) }
    for (index, section) in sections.enumerated() {
      page.sections.append(
        .table(
          title: section.title,
          rows: section.estimates.isEmpty
            ? [] : [["", "value", "95 % interval", "unit", "n"]] + section.estimates.map(Self.row)))
      page.sections += section.remarks.map { .paragraph($0) }
      page.sections += section.tables.map { .subtable(title: $0.title, rows: $0.rows) }
      for (place, picture) in section.pictures.enumerated() {
        let file = directory.file("\(index < 9 ? "0" : "")\(index + 1)-\(section.name)-\(place + 1).svg")
        try Gnuplot(width: picture.width, height: picture.height, format: .svg)
          .draw(picture.script, tables: picture.tables, to: file)
        page.sections.append(.picture(title: picture.title, svg: file))
      }
    }
    try page.write(to: directory.file("report.html"), manifest: manifest)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      try encoder.encode(self).write(to: directory.file("report.json"), options: .atomic)
    } catch {
      throw RecordsError(.io, path: directory.file("report.json").path, reason: "cannot be written", underlying: error)
    }
  }

  private var steps: Report.Section {
    .table(
      title: "Steps",
      rows: [["step", "chip time (s)", "host time (s)"]]
        + sections.map {
          [$0.title, $0.chipSeconds.map { text($0) } ?? "–", $0.hostSeconds.map { text($0, digits: 2) } ?? "–"]
        })
  }

  /// The range over the steps.
  private var temperatures: String {
    let found = sections.compactMap(\.celsius)
    guard let low = found.min(), let high = found.max() else { return "not known" }
    return low == high ? text(low) : "\(text(low)) to \(text(high))"
  }

  private static func row(_ estimate: Estimate) -> [String] {
    [
      estimate.name, estimate.value.map { text($0) } ?? "–",
      estimate.low.flatMap { low in estimate.high.map { "\(text(low)) … \(text($0))" } } ?? "–",
      estimate.unit == "1" ? "" : estimate.unit, "\(estimate.n)",
    ]
  }
}

extension CharacterizationReport.Provenance {
  var sentence: String {
    switch self {
    case .measured: "Every number is measured on the board."
    case .modelled: "Every number was read from an emulated board: it is modelled, not measured."
    case .imported:
      "These values were measured elsewhere and read from a file: nothing here was measured by this toolkit."
    case .unknown: "Where these numbers come from is not on record: the run names neither a board nor a file."
    }
  }
}
