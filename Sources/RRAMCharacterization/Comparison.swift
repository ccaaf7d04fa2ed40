public import Foundation
internal import RRAMRecords

/// Two runs side by side: what was set, what was found, and the pictures of both.
///
/// Runs that were imported compare like others; of runs that are no characterizations the settings alone are compared.
public struct Comparison: Sendable, Encodable {
  /// One of the two runs.
  public struct Side: Sendable, Encodable {
    /// Name of its folder.
    public var run: String
    public var folder: String
    public var chip: String?
    public var profile: String?
    public var provenance: CharacterizationReport.Provenance
    public var begun: Date
    /// Name of the plan; nil for a run that is no characterization.
    public var plan: String?
    public var macro: Int?
    /// Of imported data: who measured them, as far as somebody has said.
    public var source: String?
  }

  public struct Setting: Sendable, Encodable {
    public var name: String
    public var first: String?
    public var second: String?
  }

  /// A number that both runs have.
  public struct Figure: Sendable, Encodable {
    /// The section's title and the estimate's name.
    public var name: String
    public var unit: String
    public var first: Estimate
    public var second: Estimate
    /// Second less first; nil where one of them has no value.
    public var difference: Double?
    /// True where the 95 % intervals share no value; nil where one has none.
    public var differs: Bool?
    var section: String
    var title: String

    private enum CodingKeys: String, CodingKey { case name, unit, first, second, difference, differs }
  }

  public var first: Side
  public var second: Side
  /// Those that differ.
  public var settings: [Setting]
  public var figures: [Figure] = []
  /// Names of the figures, pictures and sections that one run alone has.
  public var onlyFirst: [String] = []
  public var onlySecond: [String] = []
  private var sections: [(title: String, first: [Findings.Picture], second: [Findings.Picture])] = []
  private var manifests: [RunManifest]

  private enum CodingKeys: String, CodingKey { case first, second, settings, figures, onlyFirst, onlySecond }

  /// - Parameters:
  ///   - first: folder of a run.
  ///   - second: that of the other one.
  public init(_ first: URL, _ second: URL) throws {
    let sides = try [first, second].map { folder in
      let manifest = try RunManifest.read(from: folder)
      let isCharacterization = FileManager.default.fileExists(atPath: folder.appending(path: "plan.yaml").path)
      return (
        folder: folder, manifest: manifest, report: isCharacterization ? try CharacterizationReport(of: folder) : nil
      )
    }
    func side(_ index: Int) -> Side {
      let (folder, manifest, report) = sides[index]
      return Side(
        run: folder.lastPathComponent, folder: folder.standardizedFileURL.path, chip: manifest.chip?.id,
        profile: manifest.chip.flatMap { $0.profile.isEmpty ? nil : $0.profile }, provenance: .init(of: manifest),
        begun: manifest.startedUTC, plan: report?.plan, macro: report?.macro, source: manifest.settings["source"])
    }
    (self.first, self.second) = (side(0), side(1))
    manifests = sides.map(\.manifest)
    let all = sides.map { Self.settings(of: $0.manifest) }
    settings = Set(all[0].keys).union(all[1].keys).sorted().filter { all[0][$0] != all[1][$0] }.map {
      Setting(name: $0, first: all[0][$0], second: all[1][$0])
    }
    compare(sides[0].report?.sections ?? [], sides[1].report?.sections ?? [])
  }

  private static func settings(of manifest: RunManifest) -> [String: String] {
    var all = manifest.settings
    all["toolkit"] = manifest.toolkit
    all["chip"] = manifest.chip?.id
    all["profile"] = manifest.chip.flatMap { $0.profile.isEmpty ? nil : $0.profile }
    all["board"] = manifest.board?.address
    return all
  }

  /// The nth section of a kind belongs to the other run's nth, also where some were not finished.
  private mutating func compare(
    _ one: [CharacterizationReport.Section], _ other: [CharacterizationReport.Section]
  ) {
    func numbered(_ sections: [CharacterizationReport.Section]) -> [Numbered] {
      var counts: [String: Int] = [:]
      return sections.map { section in
        let count = counts[section.name, default: 0] + 1
        counts[section.name] = count
        return (count == 1 ? section.title : "\(section.title) (\(count))", section)
      }.filter { _, section in
        section.chipSeconds != nil || !section.estimates.isEmpty || !section.pictures.isEmpty
      }
    }
    let (one, other) = (numbered(one), numbered(other))
    let others = Dictionary(other.map { ($0.key, $0.section) }, uniquingKeysWith: { first, _ in first })
    for (title, section) in one {
      let estimates = others[title]?.estimates ?? []
      for estimate in section.estimates {
        guard let match = estimates.first(where: estimate.pairs(with:)) else { continue }
        var differs: Bool?
        if let low = estimate.low, let high = estimate.high, let otherLow = match.low, let otherHigh = match.high {
          differs = low > otherHigh || otherLow > high
        }
        figures.append(
          Figure(
            name: "\(title): \(estimate.name)", unit: estimate.unit, first: estimate, second: match,
            difference: match.value.flatMap { second in estimate.value.map { second - $0 } }, differs: differs,
            section: title,
            title: estimate.name == match.name ? estimate.name : "\(estimate.name) (B: \(match.name))"))
      }
      if let match = others[title] { sections.append((title, section.pictures, match.pictures)) }
    }
    onlyFirst = Self.unpaired(one, other)
    onlySecond = Self.unpaired(other, one)
  }

  private typealias Numbered = (key: String, section: CharacterizationReport.Section)

  /// What the sections of one run have, and those of the other have not.
  private static func unpaired(_ sections: [Numbered], _ others: [Numbered]) -> [String] {
    sections.flatMap { title, section -> [String] in
      let other = others.first { $0.key == title }?.section
      let figures = section.estimates.filter { estimate in
        !(other?.estimates.contains(where: estimate.pairs(with:)) ?? false)
      }
      let pictures = section.pictures.filter { picture in
        !(other?.pictures.contains { $0.title == picture.title } ?? false)
      }
      let names = figures.map { "\(title): \($0.name)" } + pictures.map { "\(title): picture '\($0.title)'" }
      return names.isEmpty && other == nil ? [title] : names
    }
  }

  // MARK: Page

  /// Writes one self-contained page; needs gnuplot.
  ///
  /// - Parameter tables: what belongs before the figures, first row the head.
  public func write(to file: URL, tables: [(title: String, rows: [[String]])] = []) throws {
    var page = Report(title: "\(first.chip ?? first.run) (A) and \(second.chip ?? second.run) (B)")
    page.sections = [
      .paragraph("A: \(first.provenance.sentence) B: \(second.provenance.sentence)"),
      .table(title: "Runs", rows: runs),
    ]
    page.sections += tables.map { .table(title: $0.title, rows: $0.rows) }
    page.sections.append(
      .table(
        title: "Settings that differ",
        rows: settings.isEmpty
          ? [["", ""], ["none", ""]]
          : [["", "A", "B"]] + settings.map { [$0.name, $0.first ?? "–", $0.second ?? "–"] }))
    let tested = figures.count { $0.differs != nil }
    if tested > 0 {
      page.sections.append(
        .paragraph(
          "\(figures.count { $0.differs == true }) of \(tested) pairs of 95 % intervals exclude each other. Of two chips that are the same, "
            + "0.6 % of the pairs do so by chance where both intervals are of one width and estimates are normal: about "
            + "\(text(0.0056 * Double(tested), digits: 1)) here. A difference is B less A."))
    } else {
      page.sections.append(.paragraph("The runs have no figure in common that has an interval in both."))
    }
    let scratch = FileManager.default.temporaryDirectory.appending(path: "rram-compare-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: scratch) }
    var count = 0
    func draw(_ picture: Findings.Picture) throws -> URL {
      count += 1
      let svg = scratch.appending(path: "\(count).svg")
      try Gnuplot(width: picture.width, height: picture.height, format: .svg)
        .draw(picture.script, tables: picture.tables, to: svg)
      return svg
    }
    for section in sections {
      let found = figures.filter { $0.section == section.title }
      page.sections.append(.table(title: section.title, rows: found.isEmpty ? [] : Self.rows(found)))
      for picture in section.first {
        guard let match = section.second.first(where: { $0.title == picture.title }) else { continue }
        if let both = picture.overlaid(with: match) {
          page.sections.append(.picture(title: both.title, svg: try draw(both)))
          continue
        }
        let (a, b) = picture.alike(match)
        var pair = [(caption: "A", svg: try draw(a)), (caption: "B", svg: try draw(b))]
        // Cell by cell only where the cells are the same ones.
        if first.chip == second.chip, first.macro == second.macro, let change = a.change(to: b) {
          pair.append((caption: "B less A", svg: try draw(change)))
        }
        page.sections.append(
          .pictures(title: picture.title + (picture.map == nil ? ": each on axes of its own" : ""), pair))
      }
    }
    for (side, names) in [("A", onlyFirst), ("B", onlySecond)] where !names.isEmpty {
      page.sections.append(
        .table(title: "Figures and pictures of \(side) alone", rows: [["name"]] + names.map { [$0] }))
    }
    try page.write(to: file, manifests: [("Manifest of A", manifests[0]), ("Manifest of B", manifests[1])])
  }

  private var runs: [[String]] {
    let rows: [(String, (Side) -> String?)] = [
      ("chip", { $0.chip }), ("profile", { $0.profile }), ("numbers are", { $0.provenance.rawValue }),
      ("source", { $0.source }), ("begun (UTC)", { $0.begun.formatted(.iso8601) }), ("plan", { $0.plan }),
      ("macro", { $0.macro.map { "\($0)" } }), ("run", { $0.run }), ("folder", { $0.folder }),
    ]
    return [["", "A", "B"]]
      + rows.compactMap { name, value in
        let (a, b) = (value(first), value(second))
        return a == nil && b == nil ? nil : [name, a ?? "–", b ?? "–"]
      }
  }

  private static func rows(_ figures: [Figure]) -> [[String]] {
    func interval(_ estimate: Estimate) -> String {
      estimate.low.flatMap { low in estimate.high.map { "\(text(low)) … \(text($0))" } } ?? "–"
    }
    return [["", "A", "95 % interval", "B", "95 % interval", "difference", "unit", "n", "intervals"]]
      + figures.map {
        [
          $0.title, $0.first.value.map { text($0) } ?? "–", interval($0.first), $0.second.value.map { text($0) } ?? "–",
          interval($0.second), $0.difference.map { ($0 > 0 ? "+" : "") + text($0) } ?? "–",
          $0.unit == "1" ? "" : $0.unit, "\($0.first.n), \($0.second.n)",
          $0.differs.map { $0 ? "exclude each other" : "overlap" } ?? "",
        ]
      }
  }
}
