import ArgumentParser
import Foundation
import RRAMKit

struct ConformanceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "conformance",
    abstract: "Check that a board's firmware keeps to the protocol, without harm to the chip.",
    discussion: """
      Sends what hosts send and what they must not (protocols/framing.md), and says what the board made of it. Nothing is formed and no \
      label is set. Pulses are given only to a row named by --spare-row, at 0.05 V or with the selector closed; they count as writes of \
      that macro. Ends with 3 if a check failed. --report writes a page into a run folder.
      """)

  @Option(
    name: .long, help: "Macro and row that may be pulsed, MACRO:ROW. Without one, checks that need pulses are skipped.",
    transform: { try CellRow($0) })
  var spareRow: CellRow?

  @Flag(help: "Run no loop: on a programmed chip that reads the cells of the network.")
  var dry = false

  @Option(help: "Seconds of silence after which an answer counts as missing.")
  var limit = 2.0

  @Option(parsing: .upToNextOption, help: "Only checks whose names begin so, for example framing safe.")
  var only: [String] = []

  @Flag(help: "Name the checks and what they ask for; no board is needed.")
  var list = false

  @Flag(help: "Write report.html and findings.json into a run folder (--run-dir, or a new one below $RRAM_HOME/runs).")
  var report = false

  @Option(name: .long, help: "Folder of the report. Default: a new one below $RRAM_HOME/runs.")
  var runDir: String?

  @OptionGroup var options: BoardOptions

  func validate() throws {
    guard limit > 0, limit <= 60 else { throw ValidationError("--limit \(limit): above 0 and at most 60 s") }
    if runDir != nil, !report { throw ValidationError("--run-dir belongs to --report") }
    for name in only where !Conformance.checks.contains(where: { $0.hasPrefix(name) }) {
      throw ValidationError("--only \(name): no check begins so; 'rram conformance --list' names them")
    }
  }

  func run() async throws {
    if list { return try answer(ConformanceListOutput(), json: options.common.json) }
    let address = try options.address()
    let progress = ProgressLine(quiet: options.common.quiet)
    let total = Conformance.checks.count { name in only.isEmpty || only.contains(where: name.hasPrefix) }
    var done = 0
    let found = try await RRAM.conformance(
      of: address, options: .init(spareRow: spareRow, isDry: dry, limit: .seconds(limit), only: only),
      logger: options.common.logger
    ) { finding in
      done += 1
      progress.show("checks", finished: done, total: total, detail: finding.check)
    }
    progress.clear()
    var output = ConformanceOutput(found, address: address.description)
    if report {
      let record = try RunDirectory(
        home: RecordsHome(), folder: runDir.map { URL(filePath: $0, directoryHint: .isDirectory) },
        toolkit: toolkitVersion, command: ["rram"] + hoistGlobalOptions(Array(CommandLine.arguments.dropFirst())),
        settings: ["board": address.description, "spareRow": spareRow?.description ?? "", "limit_s": "\(limit)"])
      try record.finish(exitStatus: Int(output.exitStatus))
      try output.writeReport(to: record)
    }
    try answer(output, json: options.common.json)
  }
}

extension CellRow {
  /// `MACRO:ROW`.
  fileprivate init(_ text: String) throws {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let macro = parts[0], let row = parts[1], macro >= 0, row >= 0 else {
      throw ValidationError("'\(text)': MACRO:ROW is expected, for example 0:63")
    }
    self.init(macro: macro, row: row)
  }
}

struct ConformanceListOutput: CommandOutput {
  struct Entry: Encodable {
    var check: String
    var section: String
    var requirement: String
  }

  var checks = Conformance.requirements.map { Entry(check: $0.check, section: $0.section, requirement: $0.requirement) }

  var text: String {
    let width = checks.map(\.check.count).max() ?? 0
    return checks.map { $0.check + String(repeating: " ", count: width + 2 - $0.check.count) + $0.requirement }
      .joined(separator: "\n")
  }
}

struct ConformanceOutput: CommandOutput {
  var address: String
  var board: String
  var serial: String
  var firmware: String
  var protocolLevel: Int
  var conforms: Bool
  var passed: Int
  var failed: Int
  var skipped: Int
  var findings: [ConformanceReport.Finding]
  /// Path of the page, if one was written.
  var report: String?

  init(_ report: ConformanceReport, address: String) {
    self.address = address
    (board, serial, firmware, protocolLevel) = (report.board, report.serial, report.firmware, report.protocolLevel)
    conforms = report.conforms
    (passed, failed, skipped) = (report.count(.passed), report.count(.failed), report.count(.skipped))
    findings = report.findings
  }

  var exitStatus: Int32 { conforms ? 0 : ExitStatus.outOfTolerance }

  private var verdict: String { "\(passed) passed, \(failed) failed, \(skipped) skipped" }

  var text: String {
    let width = findings.map(\.check.count).max() ?? 0
    var lines = [
      "\(address): board \(board), serial \(serial), firmware '\(firmware)', protocol level \(protocolLevel)"
    ]
    for finding in findings {
      let name = finding.check + String(repeating: " ", count: width - finding.check.count)
      lines.append(
        "\(finding.outcome == .passed ? "passed " : finding.outcome == .failed ? "FAILED " : "skipped")  \(name)  \(finding.requirement)"
      )
      if !finding.detail.isEmpty { lines.append(String(repeating: " ", count: width + 11) + finding.detail) }
    }
    lines.append(verdict)
    if let report { lines.append("report: \(report)") }
    return lines.joined(separator: "\n")
  }

  /// `report.html`, and the findings as `findings.json` beside it.
  fileprivate mutating func writeReport(to record: RunDirectory) throws {
    var page = Report(title: "Conformance of \(board) \(serial) to rram.board level \(protocolLevel)")
    page.sections.append(
      .paragraph("\(address), firmware '\(firmware)': \(verdict). Sections are those of protocols/framing.md."))
    page.sections.append(
      .table(
        title: "Checks",
        rows: [["check", "section", "requirement", "outcome", "what was found"]]
          + findings.map { [$0.check, $0.section, $0.requirement, $0.outcome.rawValue, $0.detail] }))
    try page.write(to: record.file("report.html"), manifest: record.currentManifest)
    report = record.file("report.html").path
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try encoder.encode(self).write(to: record.file("findings.json"))
  }
}
