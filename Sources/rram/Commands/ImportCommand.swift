import ArgumentParser
import Foundation
import RRAMKit

struct ImportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Take cells that were measured elsewhere on record, to compare with a run of our own.",
    discussion: """
      FILE is a table (CSV) with a line a cell, or a cell and time, and columns row, column, target_uS, verify_uS, conductance_uS, time_s, \
      pulses, reads, accepted, macro: a unit ends the name (S, mS, uS, nS, or Ohm, kOhm, MOhm as in verify_kOhm and resistance_kOhm; s, ms, us, min, h), only row, \
      column and one conductance are needed. verify is the read that ended the write, conductance a later one, time counts from the write.

      Or it is an archive (npz) with arrays of these names, (rows, columns) each, or (cells) with arrays row and column; reads at several times \
      have an axis more in front. The names of NeuRRAM's host code are known too: G (the target, S), \
      G_program (the read that ended the write, S), num_pulses, program_sucess, rows, cols, g_tol (S).

      What the file holds becomes the programming, relaxation, read-noise and array steps of a characterization, with a report; the \
      answer says what of it none of them shows. 'rram runs compare' sets it beside another run, 'rram export' writes it in other forms.
      """)

  @Argument(help: "The table or archive.")
  var file: String

  @Option(help: "Id of the chip that the cells belong to. Default: the file's name, unless other data have it already.")
  var chip: String?

  @Option(
    parsing: .upToNextOption,
    help: "What a column or array of another name holds, as NAME=COLUMN: --name G_later=conductance_S.")
  var name: [String] = []

  @Option(parsing: .upToNextOption, help: "Columns or arrays to leave out.")
  var ignore: [String] = []

  @Option(help: "Which macro, where a table has several.")
  var macro: Int?

  @Option(help: "Where the data come from, for the report: a DOI, a laboratory.")
  var source: String?

  @Option(name: .shortAndLong, help: "Folder of the record and the report. Default: a new one below $RRAM_HOME/runs.")
  var output: String?

  @OptionGroup var common: CommonOptions

  func validate() throws {
    for pair in name where pair.split(separator: "=", omittingEmptySubsequences: false).count != 2 {
      throw ValidationError("--name \(pair): expected NAME=COLUMN")
    }
    if let macro, macro < 0 { throw ValidationError("--macro \(macro): from 0") }
    if chip?.isEmpty == true { throw ValidationError("--chip: a name is needed") }
  }

  func run() async throws {
    let bytes = try FileContents.read(file)
    let names = name.map { $0.split(separator: "=", omittingEmptySubsequences: false).map(String.init) }
    let records = try CellRecords(
      bytes: bytes, file: file,
      options: .init(
        names: Dictionary(names.map { ($0[0], $0[1]) }, uniquingKeysWith: { $1 }), ignored: Set(ignore), macro: macro))
    let url = URL(filePath: file)
    let hash = SHA256.hexadecimal(bytes)
    let home = RecordsHome()
    let id = chip ?? url.deletingPathExtension().lastPathComponent
    if chip == nil { try checkNew(id, hash, home) }
    var settings = [
      "importedFrom": url.lastPathComponent, "importedSHA256": hash,
      "format": records.format.rawValue, "names": name.joined(separator: " "), "ignored": ignore.joined(separator: " "),
    ]
    settings["source"] = source
    let record = try RunDirectory(
      home: home, folder: output.map { URL(filePath: $0, directoryHint: .isDirectory) },
      toolkit: toolkitVersion, command: ["rram"] + hoistGlobalOptions(Array(CommandLine.arguments.dropFirst())),
      settings: settings)
    do {
      try record.note(chip: .init(id: id, profile: ""))
      let steps = try records.write(to: record)
      try CharacterizationReport(of: record.folder).write(to: record)
      try record.finish(exitStatus: 0)
      try answer(
        ImportOutput(
          folder: record.folder.path, chip: id, macro: records.macro, format: records.format.rawValue,
          cells: records.cells.count, times: records.ages.count, steps: steps, taken: records.taken,
          unused: records.unused,
          remarks: records.remarks, report: record.file("report.html").path),
        json: common.json)
    } catch {
      try? record.finish(exitStatus: Int(diagnose(error).exitCode))
      throw error
    }
  }

  /// A file's name says little: refuses one that a chip of other data has already.
  private func checkNew(_ id: String, _ hash: String, _ home: RecordsHome) throws {
    guard ChipLedger.exists(in: home) else { return }
    for run in try ChipLedger(home: home).runs(chip: id) {
      let manifest = try? RunManifest.read(from: URL(filePath: run.folder, directoryHint: .isDirectory))
      guard let manifest, manifest.settings["importedSHA256"] != hash else { continue }
      throw CommandError(
        message: "\(file): a chip '\(id)' is on record from other data (\(run.folder))",
        hint: "--chip ID says whose cells these are: another id, or --chip \(id) for the same chip",
        exitCode: ExitStatus.usage)
    }
  }
}

private struct ImportOutput: CommandOutput {
  var folder: String
  var chip: String
  var macro: Int
  var format: String
  var cells: Int
  /// Times at which the cells were read after the write; 0 where the file tells none.
  var times: Int
  /// Steps of a characterization that the data stand for.
  var steps: [String]
  /// What arrays of other names were taken as.
  var taken: [String]
  /// What of the file no step shows, and why.
  var unused: [String]
  /// What may be wrong with the file.
  var remarks: [String]
  var report: String

  var text: String {
    "\(cells) cells of \(chip), macro \(macro)" + (times > 0 ? ", read at \(times) times" : "")
      + ": \(steps.joined(separator: ", "))\n" + (taken.isEmpty ? "" : "taken: \(taken.joined(separator: ", "))\n")
      + (unused.map { "not shown: \($0)\n" } + remarks.map { "beware: \($0)\n" }).joined()
      + "run: \(folder)\nreport: \(report)"
  }
}
