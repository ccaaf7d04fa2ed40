public import ArgumentParser
import Foundation
public import RRAMKit

struct CalibrateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "calibrate", abstract: "Measure what is on the chip and make good for it.",
    subcommands: [CalibrateScheduleCommand.self])
}

struct CalibrateScheduleCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "schedule", abstract: "Fit the tables of a run to the cells as they are.",
    discussion: """
      Reads every cell back at the loop's operating point, and re-optimises the tables that the converters play, by the exact adjoint of \
      the loop, for end points where they should be: where the network brings them in software, or on data. No cell is written. The \
      result is kept with the chip's records, and 'rram sample' uses the newest that fits; it holds for this write, solver, scale and \
      class, and as long as the cells stay where they were read.
      """)

  @Argument(help: "The model on the chip: ring, ring-hardware-aware, ring-flow, letters, letters-flow, or a file.")
  var model: String

  @Option(
    help:
      "software, or data to aim at: ring, letters, or a file (.npy, .npz). Data also make good what the network lacks.")
  var target = "software"

  @Option(help: "ode or sde: what the tables will be sampled with. Default: what suits the model.")
  var solver: ReverseEquation?

  @Option(parsing: .unconditional, help: "Factor on β, of a vp model. Default: the model's.")
  var scale: Double?

  @Option(name: .customLong("class"), help: "Class by name or number, or 'none'. Default: all classes in one.")
  var label: String?

  @Option(parsing: .unconditional, help: "Guidance w that the samples will be drawn with.")
  var guidance = 0.0

  @Option(
    help: "How guidance is played: slots, or at-once on boards with two networks. Default: at once where the board can."
  )
  var guidancePlay: GuidancePlay?

  @Option(help: "Passes over all cells that are averaged.")
  var reads = 16

  @Option(
    help:
      "How cells are read: cells (one by one), oneHot (a row at a time, as the loop sees them), hadamard (as many rows as the amplifiers carry, with signs). Default: oneHot where the board has products."
  )
  var method: ReadBack.Method?

  @Option(help: "Steps of the fit.")
  var iterations = 300

  @Option(help: "Points that are drawn in software to predict the quality; 0: none.")
  var predict = 20_000

  @OptionGroup var options: BoardOptions
  @OptionGroup var runOptions: RunOptions

  func validate() throws {
    guard (1...1024).contains(reads) else { throw ValidationError("--reads \(reads): 1 to 1024 are possible") }
    guard (10...100_000).contains(iterations) else {
      throw ValidationError("--iterations \(iterations): 10 to 100000 are possible")
    }
    guard (0...1_000_000).contains(predict) else {
      throw ValidationError("--predict \(predict): 0 to 1000000 are possible")
    }
    guard guidance >= 0, guidance.isFinite else {
      throw ValidationError("--guidance \(guidance): a number of at least 0 is needed")
    }
    if let scale, !(scale > 0 && scale.isFinite) {
      throw ValidationError("--scale \(scale): a number above 0 is needed")
    }
  }

  func run() async throws {
    let address = try options.address()
    switch address {
    case .hdpm, .emulatedHDPM:
      throw CommandError(
        message: "'calibrate' does not apply to \(address): the published board's tables are those of its presets",
        exitCode: ExitStatus.usage)
    default: break
    }
    let model = try ScoreModel.open(self.model, options.common)
    let labels: [Int?] =
      model.network.isConditional && label == nil
      ? Array(0..<model.network.classCount) : [try model.classIndex(label)]
    let data = target == "software" ? nil : try EvaluationData(target)
    let goal = try CalibrationGoal(
      model, equation: solver, scale: scale, labels: labels, guidance: guidance, play: guidancePlay, data: data)
    let settings = [
      "model": model.name, "modelSHA256": model.sha256, "target": target, "targetSHA256": data?.sha256 ?? "",
      "solver": goal.equation.rawValue, "scale": "\(goal.process.scale)", "class": label ?? "", "reads": "\(reads)",
      "iterations": "\(iterations)", "guidance": "\(guidance)", "guidancePlay": guidancePlay?.rawValue ?? "",
    ]
    let progress = ProgressLine(quiet: options.common.quiet)
    let output = try await withRecordedBoard(options, runOptions, settings: settings) { board, record in
      try goal.check(on: board.boardDescription)
      let home = RecordsHome()
      let program = try await ProgramRecord.find(on: board, home: home, model: model)
      var fit = ScheduleFit.Settings()
      fit.iterations = iterations
      let calibration = try await ScheduleCalibration(
        goal, on: board, record: program, reads: reads, method: method, settings: fit, predicting: predict
      ) { step in
        switch step {
        case .reading(let pass, let passes): progress.show("reading", finished: pass, total: passes)
        case .fitting(let done): progress.show("fitting", finished: Int(done * 100), total: 100)
        }
      }
      progress.clear()
      let file = try calibration.save(home: home)
      try record.note(setting: "calibration", calibration.id)
      if predict > 0 {
        try record.keep(
          calibration, goal: goal, model: model, program: program, board: board.boardDescription,
          clouds: calibration.modelledClouds(goal, record: program, on: board, count: min(predict, 6000)))
      }
      try record.events.append([
        .init("calibrate", boardTime: await board.boardTime, detail: "schedule, \(calibration.id), target \(target)")
      ])
      return CalibrateScheduleOutput(calibration: calibration, plan: program.plan, file: file.path)
    }
    try answer(output, json: options.common.json)
  }
}

extension RunDirectory {
  /// Writes `report.html` with what the samples of the chip and the tables look like before and after, and what they were fitted to.
  func keep(
    _ calibration: ScheduleCalibration, goal: CalibrationGoal, model: ScoreModel, program: ProgramRecord,
    board: BoardDescription, clouds: ScheduleCalibration.ModelledClouds
  ) throws {
    let picture = file("calibration.svg")
    try Pictures.pointClouds(
      [("software", clouds.software), ("model's tables", clouds.before), ("calibrated", clouds.after)], halfWidth: 1.5,
      to: picture, format: .svg)
    var report = Report(title: "Calibration of \(calibration.model) on chip \(calibration.chip)")
    report.sections = [
      .picture(
        title:
          "Samples as modelled from the cells as they were read, \(clouds.after.count / 2) of them from the same start points: the network "
          + "in software, the chip with the model's own tables, the chip with the calibration's", svg: picture)
    ]
    if let predicted = calibration.predicted {
      let all = [predicted.software, predicted.before, predicted.after]
      func row(_ name: String, _ value: KeyPath<SampleQuality, Double>) -> [String] {
        [name] + all.map { $0[keyPath: value].formatted(digits: 3) }
      }
      report.sections.append(
        .table(
          title: "Predicted quality against data '\(predicted.data)', n = \(predicted.after.n)",
          rows: [
            ["", "software", "the model's tables", "calibrated"], row("KL2d", \.kl2d),
            row("sliced Wasserstein", \.slicedWasserstein), row("radius, mean", \.radiusMean),
            row("radius, σ", \.radiusStd),
          ]))
    }
    let read = calibration.readBack
    let clock = calibration.ageByBoard ? "" : " (by the host's clock)"
    report.sections.append(
      .table(
        title: "Fit and read-back",
        rows: [
          ["quantity", "value"],
          [
            "loss, first and last tenth of the steps",
            "\(calibration.firstLoss.formatted(digits: 3)) → \(calibration.lastLoss.formatted(digits: 3))",
          ],
          ["age of the cells when they were read", age(calibration.age) + " after the last write" + clock],
          ["the read took", age(read.end.since(read.begin)) + ", \(read.reads) passes, \(read.method.rawValue)"],
          ["standard error of a read-back", read.standardError.map { "\($0.formatted(digits: 2)) µS" } ?? "not known"],
          [
            "integrator offset x, y",
            calibration.integratorOffset.map { $0.formatted(digits: 2) }.joined(separator: ", ") + " units a run",
          ],
        ]))
    for (index, tables) in calibration.tables.enumerated() {
      let (before, after) = try calibration.schedules(goal, label: tables.label, record: program, on: board)
      let times = Schedule.midpoints(ticks: after.ticks)
      let shown = zip(before.tables, after.tables).filter { before, after in
        (before.values + after.values).contains { $0 != 0 } && !before.name.hasPrefix("noise")
      }
      let picture = file("tables\(index).svg")
      try Pictures.curves(
        shown.map { ($0.1.name, times, $0.1.values) }, before: shown.map(\.0.values), x: "t (1: noise, 0: data)",
        to: picture, format: .svg)
      let condition =
        tables.label.map {
          " of class \(model.metadata.classNames.indices.contains($0) ? model.metadata.classNames[$0] : "\($0)")"
        } ?? ""
      report.sections.append(
        .picture(
          title:
            "Tables\(condition): the model's own (grey) and the calibration's (blue), in multiples of each channel's unit",
          svg: picture))
    }
    try report.write(to: file("report.html"), manifest: currentManifest)
  }
}

struct CalibrateScheduleOutput: CommandOutput {
  var calibration: ScheduleCalibration
  var plan: MappingPlan
  var file: String

  private var windowPercent: Double? {
    let window = (plan.window.upperBound - plan.window.lowerBound).microsiemens
    return calibration.readBack.standardError.map { 100 * $0 / window }
  }

  enum CodingKeys: String, CodingKey {
    case id, file, model, solver, scale, guidance, guidancePlay, classes, target, dataSHA256, chip, program
    case age = "age_s"
    case ageByBoard, reads, method
    case standardError = "standardError_uS"
    case standardErrorPercent
    case integratorOffset = "integratorOffset_units"
    case loss, predicted, chipSeconds, hostSeconds
  }
  private struct Loss: Encodable { var first, last: Double }
  private struct Predicted: Encodable {
    var data: String
    var software, before, after: SampleQuality
    var ratioBefore, ratioAfter: QualityRatio
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(calibration.id, forKey: .id)
    try container.encode(file, forKey: .file)
    try container.encode(calibration.model, forKey: .model)
    try container.encode(calibration.solver, forKey: .solver)
    try container.encode(calibration.scale, forKey: .scale)
    try container.encode(calibration.guidance ?? 0, forKey: .guidance)
    try container.encode(calibration.guidancePlay, forKey: .guidancePlay)
    try container.encode(calibration.tables.map(\.label), forKey: .classes)
    try container.encode(calibration.target.name, forKey: .target)
    try container.encode(calibration.target.dataSHA256, forKey: .dataSHA256)
    try container.encode(calibration.chip, forKey: .chip)
    try container.encode(calibration.program, forKey: .program)
    try container.encode(calibration.age, forKey: .age)
    try container.encode(calibration.ageByBoard, forKey: .ageByBoard)
    try container.encode(calibration.readBack.reads, forKey: .reads)
    try container.encode(calibration.readBack.method, forKey: .method)
    try container.encode(calibration.readBack.standardError, forKey: .standardError)
    try container.encode(windowPercent, forKey: .standardErrorPercent)
    try container.encode(calibration.integratorOffset, forKey: .integratorOffset)
    try container.encode(Loss(first: calibration.firstLoss, last: calibration.lastLoss), forKey: .loss)
    try container.encode(
      calibration.predicted.map {
        Predicted(
          data: $0.data, software: $0.software, before: $0.before, after: $0.after, ratioBefore: $0.ratioBefore,
          ratioAfter: $0.ratioAfter)
      }, forKey: .predicted)
    try container.encode(calibration.chipSeconds, forKey: .chipSeconds)
    try container.encode(calibration.hostSeconds, forKey: .hostSeconds)
  }

  var text: String {
    let read = calibration.readBack
    let error =
      read.standardError.map {
        ", standard error \($0.formatted(digits: 2)) µS (\(windowPercent.formatted(digits: 2)) % of the window)"
      } ?? ""
    let guided =
      calibration.guidance.map {
        ", guidance \($0.formatted(digits: 3)) \(calibration.guidancePlay == .atOnce ? "at once" : "in slots")"
      } ?? ""
    let clock = calibration.ageByBoard ? "" : " by the host's clock"
    var lines = [
      "calibration \(calibration.id) of '\(calibration.model)' (\(calibration.solver.rawValue)\(guided), target \(calibration.target.name)) on \(calibration.chip)",
      "cells read \(read.reads) times, \(age(calibration.age)) after the last write\(clock)\(error)",
      "loss \(calibration.firstLoss.formatted(digits: 3)) → \(calibration.lastLoss.formatted(digits: 3))",
    ]
    if let predicted = calibration.predicted {
      func row(_ name: String, _ value: KeyPath<SampleQuality, Double>) -> [String] {
        [predicted.software, predicted.before, predicted.after].reduce(into: [name]) {
          $0.append($1[keyPath: value].formatted(digits: 3))
        }
      }
      lines.append(
        "predicted from the cells as they were read, n = \(predicted.after.n), against data '\(predicted.data)':")
      lines.append(
        table([
          ["", "software", "before", "after"], row("KL2d", \.kl2d), row("sliced Wasserstein", \.slicedWasserstein),
          row("radius, mean", \.radiusMean), row("radius, σ", \.radiusStd),
        ]))
    }
    lines.append(
      "chip \(calibration.chipSeconds.formatted(digits: 3)) s, host \(calibration.hostSeconds.formatted(digits: 3)) s: \(file)"
    )
    return lines.joined(separator: "\n")
  }
}

extension ReadBack.Method: ExpressibleByArgument {}
