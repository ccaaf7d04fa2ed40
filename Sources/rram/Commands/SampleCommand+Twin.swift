import Foundation
import RRAMKit

extension SampleCommand {
  /// Points read of each trajectory.
  static let twinPoints = 100

  /// Runs a neural ODE free from measured start points, and compares its trajectories with the system's.
  func runTwin(_ model: ScoreModel) async throws {
    let refused = [
      ("--guidance", guidance != 0), ("--scale", scale != nil), ("--class", label != nil), ("--track", track),
      ("--trajectories", trajectories != nil),
      ("--calibration", calibration.map { $0 != "none" } ?? false),
      ("--guidance-play", guidancePlay != nil), ("--start board", start == Self.startOnBoard),
    ]
    for (option, given) in refused where given {
      throw CommandError(
        message: "\(option): '\(model.name)' is a neural ODE, which has none", exitCode: ExitStatus.usage)
    }
    let ticks = self.ticks ?? model.usualTicks
    guard ticks.isMultiple(of: Self.twinPoints) else {
      throw CommandError(
        message: "--ticks \(ticks): a multiple of \(Self.twinPoints) is needed, the points of a trajectory",
        exitCode: ExitStatus.usage)
    }
    let reference = try ReferenceTrajectories(model.metadata.data)
    let given = try start.map { try startPoints(from: $0) }
    let count = given.map { $0.count / 2 } ?? min(self.count, reference.count)
    let points = given ?? Array(reference.start.prefix(2 * count))
    try checkWritable(output)
    let program = try SamplingProgram(model, equation: solver, ticks: ticks, seed: seed)
    let settings = [
      "model": model.name, "modelSHA256": model.sha256, "twinTrajectories": "\(count)", "ticks": "\(ticks)",
      "seed": "\(seed)", "start": start ?? "", "output": output ?? "",
    ]
    let every = reference.frames / Self.twinPoints
    let result = try await withRecordedBoard(options, runOptions, trigger: trigger.request, settings: settings) {
      board, record in
      let session = try await SamplingSession(program, on: board, home: RecordsHome())
      warn(of: session.record)
      if !options.common.quiet { for warning in session.fit.warnings { note("warning: \(warning)") } }
      var samples = SampleFile(metadata: session.metadata)
      var trajectory: [Float] = []
      let statistics = try await session.draw(
        count, startPoints: points, trajectoryEvery: ticks / Self.twinPoints
      ) { batch in
        samples.append(x: batch.x, xT: batch.xT, label: nil, firstSample: batch.firstSample)
        // Without the start points, which are known.
        let frames = batch.trajectory.count / batch.count
        for first in stride(from: 0, to: batch.trajectory.count, by: frames) {
          trajectory += batch.trajectory[first + 2..<first + frames]
        }
      }
      try record.events.append([
        .init("sample", boardTime: await board.boardTime, detail: "\(count) trajectories")
      ])
      let run = TwinRun(
        samples: samples, time: (1...Self.twinPoints).map { reference.time[$0 * every] }, trajectory: trajectory)
      let path = output ?? record.file("samples.npz").path
      try run.write(to: path)
      let report = TwinReport(run, model: model, reference: reference)
      let picture = record.file("twin.svg")
      try Pictures.twin(run, report, reference: reference, to: picture)
      var page = Report(title: "\(count) trajectories of \(model.name)")
      page.sections = [.picture(title: "One trajectory, its phase portrait, and the error of all", svg: picture)]
      try page.write(to: record.file("report.html"), manifest: record.currentManifest)
      return TwinOutput(
        report: report, run: SampleReport(program, statistics, energy: SampleEnergy(), file: path))
    }
    try answer(result, json: options.common.json)
  }
}

extension Pictures {
  /// A twin's first trajectory over time and as a phase portrait beside the reference, and the error of all over time.
  static func twin(_ run: TwinRun, _ report: TwinReport, reference: ReferenceTrajectories, to file: URL) throws {
    let points = run.time.count
    let every = reference.frames / points
    let microseconds = run.time.map { $0 * 1e6 }
    let known = report.chip != nil
    let rows = (0..<points).map { point -> [Double] in
      let frame = 2 * (point + 1) * every
      var row: [Double] = [microseconds[point]]
      row.append(Double(run.trajectory[2 * point]))
      row.append(Double(run.trajectory[2 * point + 1]))
      row.append(known ? Double(reference.x[frame]) : .nan)
      row.append(known ? Double(reference.x[frame + 1]) : .nan)
      row.append(report.chip?.overTime[point] ?? .nan)
      row.append(report.software?.overTime[point] ?? .nan)
      return row
    }
    var script = "set multiplot layout 1,3\nset xlabel 'time of the circuit (µs)'\nset ylabel 'state (units)'\n"
    script += "set title 'first trajectory'\n"
    func curves(_ columns: [(String, String, String)]) -> String {
      let plots: [String] = columns.map { "$twin using \($0.0) with lines lw 1.5 \($0.2) title '\($0.1)'" }
      return "plot " + plots.joined(separator: ", ") + "\n"
    }
    let circuit =
      known ? [("1:4", "x, circuit", "dt 2 lc rgb 'black'"), ("1:5", "y, circuit", "dt 2 lc rgb '#888888'")] : []
    script += curves([("1:2", "x, chip", "lc rgb '#21518c'"), ("1:3", "y, chip", "lc rgb '#5ec962'")] + circuit)
    script += "set title 'phase portrait'\nset xlabel 'x (units)'\nset ylabel 'y (units)'\n"
    script += curves(
      [("2:3", "chip", "lc rgb '#21518c'")] + (known ? [("4:5", "circuit", "dt 2 lc rgb 'black'")] : []))
    if known {
      script += "set title 'error of \(report.samples) trajectories'\nset xlabel 'time of the circuit (µs)'\n"
      script += "set ylabel 'rms error (σ)'\nset yrange [0:*]\n"
      script += curves([("1:6", "chip", "lc rgb '#21518c'"), ("1:7", "software", "dt 2 lc rgb 'black'")])
    }
    try Gnuplot(width: 1260, height: 420, format: .svg).draw(
      script + "unset multiplot", tables: [.init("twin", rows: rows)], to: file)
  }
}

/// What `sample` and `evaluate` print of a twin.
struct TwinOutput: CommandOutput {
  var report: TwinReport
  /// What the run took; nil for a file.
  var run: SampleReport?

  func encode(to encoder: any Encoder) throws {
    if let run { try run.encode(to: encoder) }
    try Content(prediction: report).encode(to: encoder)
  }

  private struct Content: Encodable { var prediction: TwinReport }

  var text: String {
    var lines: [String] = []
    if let run {
      lines.append(
        "\(report.samples) trajectories (\(run.ticks) ticks): \(run.file ?? ""); chip "
          + "\((run.chipSecondsPerSample * 1e6).formatted(digits: 4)) µs each")
    }
    if let chip = report.chip, let software = report.software {
      let whole = report.time.last ?? 0
      var rows = [["rms error, σ", "chip", "software"]]
      let points = report.time.count
      for tenth in stride(from: 1, through: 10, by: 1) where points * tenth / 10 > 0 {
        let point = points * tenth / 10 - 1
        rows.append([
          "at \((report.time[point] * 1e6).formatted(digits: 4)) µs", chip.overTime[point].formatted(digits: 3),
          software.overTime[point].formatted(digits: 3),
        ])
      }
      rows.append(["whole run", chip.rms.formatted(digits: 3), software.rms.formatted(digits: 3)])
      rows.append([
        "valid to \(report.threshold.formatted(digits: 2)) σ, median, µs", (chip.validTime * 1e6).formatted(digits: 4),
        (software.validTime * 1e6).formatted(digits: 4),
      ])
      rows.append([
        "valid for all \((whole * 1e6).formatted(digits: 4)) µs", "\(chip.validThroughout) of \(report.samples)",
        "\(software.validThroughout) of \(report.samples)",
      ])
      lines.append("prediction error against '\(report.reference)', free-running from measured start points:")
      lines.append(table(rows))
    } else {
      lines.append("start points are not the reference's: compared with software only")
    }
    lines.append("rms to software \(report.rmsToSoftware.formatted(digits: 3)) units")
    return lines.joined(separator: "\n")
  }
}
