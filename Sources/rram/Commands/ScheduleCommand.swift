import ArgumentParser
import Foundation
import RRAMKit

struct ScheduleCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "schedule", abstract: "Show the tables that a board's converters would play for a model.",
    discussion: """
      Compiles them without touching a chip: refuses what lies outside a converter, ticks shorter than the board settles, and unit \
      voltages whose rows would be clamped; warns of amplifiers too slow for the run. An emu: address names the board by its \
      description alone; any other board is asked for its own. Default: emu:.
      """)

  @Argument(help: "A shipped model, or a file (.safetensors, .npz).")
  var model: String

  @Option(help: "ode or sde. Default: what suits the model.")
  var solver: ReverseEquation?

  @Option(parsing: .unconditional, help: "Factor on β, of a vp model. Default: the model's.")
  var scale: Double?

  @Option(
    name: .customLong("class"),
    help: "Class by name or number, or 'none' for the null condition. Default: none, with guidance the first class.")
  var label: String?

  @Option(parsing: .unconditional, help: "Guidance w towards the class.")
  var guidance = 0.0

  @Option(
    help: "How guidance is played: slots, or at-once on boards with two networks. Default: at once where the board can."
  )
  var guidancePlay: GuidancePlay?

  @Option(parsing: .unconditional, help: "Ticks of the schedule. Default: 200, of a twin 400.")
  var ticks: Int?

  @Option(help: "Draw the tables into this file (.svg, .png).")
  var plot: String?

  @OptionGroup var options: BoardOptions

  func validate() throws {
    if let ticks, ticks <= 0 { throw ValidationError("--ticks \(ticks): at least 1 is needed") }
    guard guidance >= 0, guidance.isFinite else {
      throw ValidationError("--guidance \(guidance): a number of at least 0 is needed")
    }
    if let scale, !(scale > 0 && scale.isFinite) {
      throw ValidationError("--scale \(scale): a number above 0 is needed")
    }
    if let plot, !plot.hasSuffix(".svg"), !plot.hasSuffix(".png") {
      throw ValidationError("--plot \(plot): a name that ends in .svg or .png is needed")
    }
  }

  func run() async throws {
    let address = try options.address(default: "emu:")
    let model = try ScoreModel.open(self.model, options.common)
    let condition = try condition(of: model)
    try checkWritable(plot)
    var program = try SamplingProgram(
      model, equation: solver, scale: scale, classLabel: condition, guidance: guidance,
      ticks: ticks ?? model.usualTicks)
    program.guidancePlay = guidancePlay
    let (board, calibration) = try await RRAM.describedBoard(at: address, logger: options.common.logger)
    let schedule = try program.schedule(on: board, lines: calibration?.lines)
    let fit = try LoopFit(program, on: board)
    if !options.common.quiet { for warning in fit.warnings { note("warning: \(warning)") } }
    if let plot {
      let times = Schedule.midpoints(ticks: schedule.ticks)
      try Pictures.curves(
        schedule.tables.filter { $0.values.contains { $0 != 0 } }.map { ($0.name, times, $0.values) },
        x: "t (1: noise, 0: data)", to: URL(filePath: plot), format: plot.hasSuffix(".svg") ? .svg : .png)
    }
    try answer(
      ScheduleOutput(
        program: program, board: board, schedule: schedule, fit: fit, plot: plot, calibration: calibration?.id),
      json: options.common.json)
  }

  /// The class whose tables are shown. Guidance needs one: 'sample' plays each class's tables in turn, here it is the first.
  private func condition(of model: ScoreModel) throws -> Int? {
    guard model.network.isConditional, label == nil else { return try model.classIndex(label) }
    guard guidance > 0 else { return nil }
    if !options.common.quiet {
      note("the tables of the first class; 'sample' without --class plays those of every class in turn, see --class")
    }
    return 0
  }
}

struct ScheduleOutput: CommandOutput {
  var program: SamplingProgram
  var board: BoardDescription
  var schedule: Schedule
  var fit: LoopFit
  var plot: String?
  /// Of the board's loop converters; nil: ideal ones.
  var calibration: String?

  private struct Channel: Encodable {
    var name: String
    var unitVolts: Double
    var minimum: Double
    var maximum: Double
    var converterMinimum: Double
    var converterMaximum: Double
    var values: [Double]
  }

  private enum Key: String, CodingKey {
    case model, sde, scale, solver, classLabel, guidance, board, ticks, time, channels, rows99, rowClamp
    case tick = "tick_s"
    case clampedShare, poleShare, warnings, plot, lineCalibration
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(program.model.name, forKey: .model)
    try container.encode(program.process.name, forKey: .sde)
    try container.encode(program.process.scale, forKey: .scale)
    try container.encode(program.equation, forKey: .solver)
    try container.encode(program.classLabel, forKey: .classLabel)
    try container.encode(program.guidance, forKey: .guidance)
    try container.encode(board.name, forKey: .board)
    try container.encode(schedule.ticks, forKey: .ticks)
    try container.encode(schedule.tick.seconds, forKey: .tick)
    try container.encode(Schedule.midpoints(ticks: schedule.ticks), forKey: .time)
    try container.encode(
      schedule.tables.map {
        Channel(
          name: $0.name, unitVolts: $0.unit.rawValue, minimum: $0.values.min() ?? 0, maximum: $0.values.max() ?? 0,
          converterMinimum: $0.limits.lowerBound, converterMaximum: $0.limits.upperBound, values: $0.values)
      }, forKey: .channels)
    try container.encode(fit.rows, forKey: .rows99)
    try container.encode(fit.clamp, forKey: .rowClamp)
    try container.encode(fit.clamped, forKey: .clampedShare)
    try container.encode(fit.pole, forKey: .poleShare)
    try container.encode(fit.warnings, forKey: .warnings)
    try container.encode(plot, forKey: .plot)
    try container.encode(calibration, forKey: .lineCalibration)
  }

  var text: String {
    var rows = [["channel", "lowest", "highest", "converter", "used"]]
    for table in schedule.tables {
      let (low, high) = (table.values.min() ?? 0, table.values.max() ?? 0)
      let used = max(
        high > 0 ? high / table.limits.upperBound : 0, low < 0 ? low / table.limits.lowerBound : 0)
      rows.append([
        table.name, low.formatted(digits: 4), high.formatted(digits: 4),
        "\(table.limits.lowerBound.formatted(digits: 4)) to \(table.limits.upperBound.formatted(digits: 4))",
        "\((used * 100).formatted(digits: 3)) %",
      ])
    }
    let names = ["x", "hidden 1", "hidden 2"]
    let reached = zip(names, fit.rows).map { "\($0) \(Double($1).formatted(digits: 3))" }.joined(separator: ", ")
    let guided = program.guidance > 0 ? ", guidance \(program.guidance.formatted(digits: 3))" : ""
    var lines = [
      "'\(program.model.name)' (\(program.process.name), \(program.equation.rawValue), scale \(program.process.scale.formatted(digits: 3))\(guided)) on board '\(board.name)': \(schedule.ticks) ticks of \((schedule.tick.seconds * 1e9).formatted(digits: 4)) ns",
      table(rows),
      "rows, 99 % of the runs, in units: \(reached); clamped at \(Double(fit.clamp).formatted(digits: 3))",
      "amplifier pole \((fit.pole * 100).formatted(digits: 2)) % of the run",
    ]
    if let plot { lines.append("picture: \(plot)") }
    return lines.joined(separator: "\n")
  }
}
