public import ArgumentParser
import Foundation
public import RRAMKit

struct ProgramCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "program", abstract: "Put a trained network on the chip by write-verify.",
    discussion: """
      Weights become differential pairs of conductances; every cell is pulsed and read until it lies within the tolerance of its \
      target. The error is reported at verify and again after real chip time (--follow), because cells drift.
      """)

  @Argument(help: "ring, ring-hardware-aware, ring-flow, letters, letters-flow, or a file (.safetensors, .npz).")
  var model: String

  @Option(help: "Read again at every age up to this one: 1s, 60s or 600s.")
  var follow: FollowUp = .oneSecond

  @Option(parsing: .unconditional, help: "Half width of the verify window, µS. Default: the chip profile's.")
  var tolerance: Double?

  @Option(help: "Largest number of pulses a cell. Default: the chip profile's.")
  var maximumPulses: Int?

  @Option(help: "Largest number of changes of direction a cell. Default: the chip profile's.")
  var maximumReversals: Int?

  @Option(help: "Exit with 3 if less than this share of the usable cells is in tolerance, %.")
  var minInTolerance = 99.0

  @OptionGroup var chip: ChipOptions
  @OptionGroup var options: BoardOptions
  @OptionGroup var runOptions: RunOptions

  func validate() throws {
    if let tolerance, !(tolerance > 0 && tolerance.isFinite) {
      throw ValidationError("--tolerance \(tolerance): µS above 0 are needed")
    }
    if let maximumPulses, maximumPulses < 1 {
      throw ValidationError("--maximum-pulses \(maximumPulses): at least 1 is needed")
    }
    if let maximumReversals, maximumReversals < 0 {
      throw ValidationError("--maximum-reversals \(maximumReversals): 0 or more are possible")
    }
    guard (0...100).contains(minInTolerance) else {
      throw ValidationError("--min-in-tolerance \(minInTolerance): a percentage is needed")
    }
  }

  func run() async throws {
    let address = try options.address()
    let model = try ScoreModel.open(self.model, options.common)
    let named = try chip.namedProfile(at: address)
    let progress = ProgressLine(quiet: options.common.quiet)
    let settings = [
      "model": model.name, "modelSHA256": model.sha256, "follow": follow.rawValue,
      "minInTolerance_percent": "\(minInTolerance)",
    ]
    let output = try await withRecordedBoard(
      options, runOptions, allowance: chip.allowed.allowance(), settings: settings
    ) { board, record in
      let profile = try named ?? ChipOptions.profile(of: board)
      let home = RecordsHome()
      var known = try KnownCells.load(chip: board.info.chipID, home: home)
      let plan = try model.plan(for: board, known: known)
      var programOptions = ProgramOptions(profile)
      if let tolerance {
        programOptions.tolerance = .microsiemens(tolerance)
        let window = board.limits.conductance
        guard programOptions.tolerance < (window.upperBound - window.lowerBound) / 4 else {
          throw CommandError(
            message: "--tolerance \(tolerance): ±\(programOptions.tolerance) accepts half of the window "
              + "\(window.lowerBound) to \(window.upperBound) or more", exitCode: ExitStatus.usage)
        }
      }
      if let maximumPulses { programOptions.maximumPulses = maximumPulses }
      if let maximumReversals { programOptions.maximumReversals = maximumReversals }
      programOptions.followUp = follow
      try record.note(setting: "tolerance_uS", "\(programOptions.tolerance.microsiemens)")
      try record.note(setting: "maximumPulses", "\(programOptions.maximumPulses)")
      try record.note(setting: "maximumReversals", "\(programOptions.maximumReversals)")
      let program = try await board.program(plan, model: model, options: programOptions, home: home) {
        progress.show($0)
      }
      progress.clear()
      known.enter(program.report.failures)
      try known.save(chip: board.info.chipID, home: home)
      try record.keep(program)
      return ProgramOutput(report: program.report, model: model.name, minInTolerance: minInTolerance)
    }
    if !options.common.quiet, output.report.failures.contains(where: { KnownCells.isLasting($0.reason) }) {
      note(
        "hint: these cells are remembered; 'rram form --for \(self.model)' and 'rram program \(self.model)' put the network elsewhere"
      )
    }
    try answer(output, json: options.common.json)
  }
}

extension FollowUp: ExpressibleByArgument {}

extension RunDirectory {
  /// Events, conductances, map and report of a program.
  func keep(_ program: ProgramRecord) throws {
    try note(setting: "label", program.label)
    for (layer, conductances) in zip(program.plan.layers, program.conductances) {
      try events.append(
        conductances.enumerated().map { index, value in
          .init(
            "program", cell: layer.block.address(at: index), target: Siemens(Double(layer.targets[index])),
            conductance: value.map { Siemens(Double($0)) })
        })
    }
    var archive = NPZWriter()
    for (index, layer) in program.plan.layers.enumerated() {
      let shape = [layer.block.shape.rows, layer.block.shape.columns]
      archive.add(NPYArray(layer.targets, shape: shape), as: "target\(index)")
      archive.add(NPYArray(program.conductances[index].map { $0 ?? .nan }, shape: shape), as: "conductance\(index)")
    }
    try archive.write(to: file("conductances.npz").path)
    let map = file("conductances.svg")
    try Pictures.conductanceMaps(program.mapPanels, to: map, format: .svg)
    var report = Report(title: "\(program.model) on chip \(program.chip)")
    report.sections = [
      .table(title: "Write-verify", rows: [["quantity", "value"]] + program.report.rows),
      .picture(title: "Conductance of every cell: target, last read, difference", svg: map),
    ]
    try report.write(to: file("report.html"), manifest: currentManifest)
  }
}

extension ProgramRecord {
  /// One row of heat maps a layer.
  var mapPanels: [(title: String, shape: MacroShape, target: [Float], measured: [Float])] {
    zip(plan.layers, conductances).enumerated().map { index, layer in
      ("layer \(index + 1)", layer.0.block.shape, layer.0.targets, layer.1.map { $0 ?? .nan })
    }
  }
}

extension ProgramReport {
  /// What people want to know, as rows of name and value.
  var rows: [[String]] {
    func error(_ statistics: ErrorStatistics?) -> String {
      guard let statistics else { return "not measured" }
      return
        "\(statistics.mean.formatted(digits: 2)) ± \(statistics.std.formatted(digits: 3)) µS, 99 % within \(statistics.p99.formatted(digits: 3)) µS"
    }
    return [
      [
        "cells in tolerance",
        String(
          format: "%d of %d (%.2f %%), ±%@ µS", inTolerance, cells, 100 * fractionInTolerance,
          tolerance.formatted(digits: 3)),
      ],
      [
        "pulses a cell",
        "mean \(pulses.mean.formatted(digits: 3)), median \(pulses.median.formatted(digits: 3)), 95 % \(pulses.p95.formatted(digits: 3)), max \(pulses.max)",
      ],
      ["error at verify", error(self.error.verify)], ["error after 1 s", error(self.error.after1s)],
      ["error after 60 s", error(self.error.after60s)], ["error after 600 s", error(self.error.after600s)],
      ["weight error", "\(weightErrorPercent.formatted(digits: 3)) % of the largest weight (rms)"],
      ["requests", "\(requests)"], ["reads", "\(reads)"],
      [
        "time",
        "chip \(chipSeconds.formatted(digits: 3)) s, bus \(busSeconds.formatted(digits: 3)) s, host \(hostSeconds.formatted(digits: 3)) s",
      ],
    ]
  }
}

struct ProgramOutput: CommandOutput {
  var report: ProgramReport
  var model: String
  var minInTolerance: Double

  func encode(to encoder: any Encoder) throws { try report.encode(to: encoder) }

  var exitStatus: Int32 {
    report.fractionInTolerance * 100 < minInTolerance ? ExitStatus.outOfTolerance : 0
  }

  var text: String {
    let width = report.rows.map { $0[0].count }.max() ?? 0
    let lines = report.rows.filter { $0[1] != "not measured" }.map {
      $0[0] + String(repeating: " ", count: width - $0[0].count + 2) + $0[1]
    }
    let verdict =
      exitStatus == 0 ? "" : "\nout of tolerance: less than \(minInTolerance.formatted(digits: 4)) % of the cells"
    return "'\(model)' \(exitStatus == 0 ? "is on the chip" : "was written, but not well")\n"
      + lines.joined(separator: "\n") + failureList(report.failures) + verdict
  }
}
