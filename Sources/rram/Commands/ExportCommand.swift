import ArgumentParser
import Foundation
import RRAMKit

struct ExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Write what is on a chip in a form that other programs read.",
    discussion: """
      --spice writes one run of the programmed loop as an ngspice netlist: cells as they were last read, the schedule as sources. \
      'ngspice -b FILE' prints x(t). Nothing is done to the chip.

      --run writes what a characterization has measured into the folder --output: run.npz (numpy), figures.csv, events.csv and a table for \
      every shape of a step's arrays (pandas), run.h5 (HDF5 in the layout of arc2control), coefficients.json (what 'rram profile fit' finds).
      """)

  @Argument(
    help: """
      The model on the chip, needed where it is a file: ring, ring-hardware-aware, ring-flow, letters, letters-flow, or a \
      file.
      """)
  var model: String?

  @Option(help: "Netlist of the programmed loop for ngspice.")
  var spice: String?

  @Option(help: "The characterization to export: name of its run, the beginning of it, or its folder.")
  var run: String?

  @Option(name: .shortAndLong, help: "Folder for the files of --run; made if it is not there.")
  var output: String?

  @Option(help: "Of --run: npz, csv, hdf5 or coefficients. Default: all of them.")
  var format: RunExport.Format?

  @Flag(help: "Cells at their targets instead of what was last read.")
  var targets = false

  @Option(help: "ode or sde. Default: what suits the model.")
  var solver: ReverseEquation?

  @Option(parsing: .unconditional, help: "Factor on β. Default: the model's.")
  var scale: Double?

  @Option(name: .customLong("class"), help: "Class by name or number, or 'none' for the null condition.")
  var label: String?

  @Option(parsing: .unconditional, help: "Ticks of the schedule.")
  var ticks = 200

  @Option(help: "Seed of start point and noise.")
  var seed: UInt64 = 0

  @Option(help: "Number of the sample whose start point and noise are taken.")
  var sample: UInt32 = 0

  @Option(parsing: .unconditional, help: "Start point x(0) as X,Y in units, instead of the sample's.")
  var start: String?

  @OptionGroup var options: BoardOptions

  func validate() throws {
    guard spice != nil || run != nil else {
      throw ValidationError("nothing to export: name a file with --spice FILE, or a characterization with --run RUN")
    }
    guard (run == nil) == (output == nil) else {
      throw ValidationError("--run RUN and --output FOLDER belong together")
    }
    if run != nil, spice != nil { throw ValidationError("--run and --spice are two exports: give one") }
    guard ticks > 0 else { throw ValidationError("--ticks \(ticks): at least 1 is needed") }
    if let scale, !(scale > 0 && scale.isFinite) {
      throw ValidationError("--scale \(scale): a number above 0 is needed")
    }
    _ = try startPoint()
  }

  private func startPoint() throws -> [Float]? {
    guard let start else { return nil }
    let numbers = start.split(separator: ",", omittingEmptySubsequences: false).map { Float($0) }
    let point = numbers.compactMap { $0 }
    guard numbers.count == 2, point.count == 2, point.allSatisfy(\.isFinite) else {
      throw ValidationError("--start \(start): two numbers are needed, for example 1,-0.5")
    }
    return point
  }

  func run() async throws {
    if let run, let output { return try answer(export(run, to: output), json: options.common.json) }
    guard let spice else { return }
    let named = try model.map { try ScoreModel.open($0, options.common) }
    try checkWritable(spice)
    let point = try startPoint()
    let output = try await RRAM.withBoard(at: options.address(), logger: options.common.logger) { board in
      let record = try await ProgramRecord.find(on: board, home: RecordsHome(), model: named)
      let model = try named ?? programmed(record)
      let program = try SamplingProgram(
        model, equation: solver, scale: scale, classLabel: try model.classIndex(label), ticks: ticks, seed: seed,
        firstSample: sample)
      let netlist = try SpiceNetlist(
        program, record: record, board: board.boardDescription, conductances: targets ? .targets : .readBack,
        start: point)
      try AtomicFile.write(Array(netlist.text.utf8), to: spice)
      return ExportOutput(
        file: spice, model: model.name, solver: program.equation, ticks: ticks, start: netlist.start,
        cells: netlist.cells, unread: netlist.unread, open: netlist.open)
    }
    try answer(output, json: options.common.json)
  }

  private func export(_ run: String, to output: String) throws -> RunExportOutput {
    let source = try RunExport(folder: runFolder(run))
    let target = URL(filePath: output, directoryHint: .isDirectory)
    do {
      try FileManager.default.createDirectory(at: target, withIntermediateDirectories: true)
    } catch {
      throw CommandError(message: "\(output): the folder cannot be made", exitCode: ExitStatus.badInput)
    }
    let files = try (format.map { [$0] } ?? RunExport.Format.allCases).flatMap { try source.write($0, to: target) }
    return RunExportOutput(
      run: source.folder.path, folder: target.path, files: files, steps: source.steps.count,
      events: source.events.rows.count, damagedLines: source.events.damagedLines)
  }

  /// The shipped model that a chip carries.
  private func programmed(_ record: ProgramRecord) throws -> ScoreModel {
    guard ModelLibrary.scoreModelNames.contains(record.model) else {
      throw CommandError(
        message: "the chip carries '\(record.model)', which is not a shipped model",
        hint: "name its file: 'rram export --spice FILE MODEL'", exitCode: ExitStatus.usage)
    }
    let model = try ScoreModel.open(record.model, options.common)
    guard model.sha256 == record.modelSHA256 else {
      throw CommandError(
        message: "the chip carries another '\(record.model)' than the shipped one",
        hint: "name its file: 'rram export --spice FILE MODEL'", exitCode: ExitStatus.failure)
    }
    return model
  }
}

struct ExportOutput: CommandOutput {
  var file: String
  var model: String
  var solver: ReverseEquation
  var ticks: Int
  var start: [Float]
  var cells: Int
  var unread: Int
  var open: Int

  var text: String {
    var line = "\(file): '\(model)' (\(solver.rawValue), \(ticks) ticks), \(cells) cells"
    if unread > 0 { line += ", \(unread) of them never read and at their targets" }
    if open > 0 { line += ", \(open) that do not conduct left out" }
    return line + ", from (\(start.map { "\($0)" }.joined(separator: ", "))) units"
  }
}

extension RunExport.Format: ExpressibleByArgument {}

struct RunExportOutput: CommandOutput {
  var run: String
  var folder: String
  var files: [String]
  var steps: Int
  var events: Int
  /// Lines that a crash left unfinished.
  var damagedLines: Int

  var text: String {
    "\(folder): \(files.count) files of \(steps) steps and \(events) events: "
      + files.prefix(6).joined(separator: ", ") + (files.count > 6 ? ", …" : "")
      + (damagedLines > 0 ? "\n\(damagedLines) lines of the log were cut off and left out" : "")
  }
}
