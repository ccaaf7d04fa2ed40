import ArgumentParser
import Foundation
import RRAMKit

struct HDPMCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hdpm",
    abstract: "The published STM32F407 board: what a run would play, and what an oscilloscope saw.",
    discussion: "Runs are drawn by 'rram sample --board hdpm:PORT'. Nothing here sends anything.",
    subcommands: [HDPMScheduleCommand.self, HDPMImportCommand.self])
}

/// What the published board can be told before a run.
struct PublishedBoardOptions: ParsableArguments {
  @Option(help: "v_bias of the published board: 0.05, 0.1 or 0.2 V.")
  var bias = 0.1

  @Option(help: "Factor on g² of the published board, 0.01 to 9.99.")
  var coefficient = 1.0

  @Option(help: "Switches noise on, with this scale, 0.01 to 9.99.")
  var noiseScale: Double?

  @Option(help: "Offsets of channels 9C and 9D as A,B: -0.5 to 0.49 of full scale.")
  var offsets: String?

  @Option(
    help: "CSV with the presets of the board's firmware, if it is not the published one: preset,scale,W1…W7,c1…c14.")
  var coefficients: String?

  /// The settings for a preset among `presets`, or those of `--coefficients`.
  func settings(preset: String, among presets: [HDPMPreset] = HDPMPreset.all) throws -> HDPMSettings {
    var settings = HDPMSettings(preset: try HDPMPreset.named(preset, in: try own ?? presets))
    settings.bias = try HDPMSettings.Bias(Volts(bias))
    settings.coefficient = Float(coefficient)
    if let noiseScale {
      settings.noise = true
      settings.noiseScale = Float(noiseScale)
    }
    if let offsets {
      let values = offsets.split(separator: ",", omittingEmptySubsequences: false).map { Float($0) }
      guard values.count == 2, let first = values[0], let second = values[1] else {
        throw CommandError(message: "--offsets \(offsets): two numbers A,B are needed", exitCode: ExitStatus.usage)
      }
      settings.offsets = [first, second]
    }
    // Refuses what no command of the board can say.
    _ = try settings.commands()
    return settings
  }

  private var own: [HDPMPreset]? {
    get throws {
      guard let coefficients else { return nil }
      guard let data = FileManager.default.contents(atPath: coefficients) else {
        throw HDPMError(.coefficients, "\(coefficients): cannot be read")
      }
      return try HDPMPreset.parse(String(decoding: data, as: UTF8.self), file: coefficients)
    }
  }
}

struct HDPMScheduleCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "schedule", abstract: "Predict every converter word of a run; nothing is sent.",
    discussion: """
      Words are computed in float32 as the firmware computes them, the library error at tick 200 included. A run whose words overflow is \
      refused; with --allow-overflow it is told what each channel would do.
      """)

  @Argument(help: "Preset: 0–4, a–g, A–I, or one of --coefficients.")
  var preset: String

  @Flag(help: "Predict a run that overflows as well.")
  var allowOverflow = false

  @Option(defaultAsFlag: "hdpm-schedule.svg", help: "Draw what the channels play (.svg or .png).")
  var plot: String?

  @Option(help: "Write the words as CSV, in write order.")
  var words: String?

  @OptionGroup var published: PublishedBoardOptions
  @OptionGroup var common: CommonOptions

  func run() async throws {
    let schedule = HDPMSchedule(try published.settings(preset: preset))
    if !allowOverflow { try schedule.checkRange() }
    if let words { try schedule.writeWords(to: words) }
    if let plot { try schedule.draw(to: plot) }
    try answer(HDPMScheduleOutput(schedule, plot: plot, wordsFile: words), json: common.json)
  }
}

extension HDPMSchedule {
  /// The words as CSV in write order.
  fileprivate func writeWords(to path: String) throws {
    var text = "tick,time_s,channel,role,value,word,written,code,fit\n"
    for (index, word) in words.enumerated() {
      let written = word.written
      let hexadecimal = String(format: "0x%04X", Int(word.word))
      text +=
        "\(word.tick),\(String(format: "%.3f", Double(word.tick) * 0.005)),\(word.channel),"
        + "\(Self.roles[index % Self.wordsPerTick]),\(word.value),\(hexadecimal),\(written.channel),\(written.code),"
        + "\(word.noisy ? "random" : word.fit.rawValue)\n"
    }
    try AtomicFile.write(Array(text.utf8), to: path)
  }

  /// What the converters' outputs do in a run, with the words that went astray marked.
  fileprivate func draw(to path: String) throws {
    guard path.hasSuffix(".svg") || path.hasSuffix(".png") else {
      throw CommandError(message: "--plot \(path): .svg or .png is needed", exitCode: ExitStatus.usage)
    }
    let played = self.played
    var tables: [Gnuplot.Table] = []
    var script =
      "set multiplot layout 4,1 title 'preset \(settings.preset.name), bias \(settings.bias.volts)'\n"
      + "set xrange [0:1.21]\nset yrange [-1.1:1.1]\nset xlabel 't (s)'\nset ylabel 'of full scale'\nset key outside right\n"
    for (row, channels) in [[0, 1, 16, 17], [2, 3, 4, 5, 6], [7, 8, 9, 10, 11], [12, 13, 14, 15]].enumerated() {
      var curves: [String] = []
      for column in channels {
        let name = "p\(column)"
        tables.append(
          Gnuplot.Table(
            name, rows: played.indices.map { [Double($0) * 0.005, Double(played[$0][column]) / 2048 - 1] }))
        curves.append("$\(name) using 1:2 with steps lw 2 title '\(Self.channels[column]) \(Self.roles[column])'")
        let astray = words.filter { $0.channel == Self.channels[column] && $0.fit != .fits }
        if !astray.isEmpty {
          tables.append(
            Gnuplot.Table(
              "a\(column)",
              rows: astray.map { [Double($0.tick) * 0.005, Double(max(-1.05, min(1.05, $0.value)))] }))
          curves.append("$a\(column) using 1:2 with points pt 2 lc rgb 'red' notitle")
        }
      }
      script +=
        "set title '\(["coefficients", "t1–t5", "t6–t10", "t11–t14"][row])'\nplot \(curves.joined(separator: ", "))\n"
    }
    try Gnuplot(width: 900, height: 1200, format: path.hasSuffix(".png") ? .png : .svg)
      .draw(script + "unset multiplot", tables: tables, to: URL(filePath: path))
  }
}

struct HDPMScheduleOutput: CommandOutput {
  struct Stray: Encodable {
    var tick: Int
    var channel: String
    var role: String
    var value: Double
    var word: Int
    var written: String
    var code: Int
    var fit: String
  }

  struct Effect: Encodable {
    var channel: String
    var role: String
    var heldTicks: [Int]
    var disturbedTicks: [Int]
    var wrappedTicks: [Int]
    var clippedTicks: [Int]
  }

  var preset: String
  var bias: Double
  var coefficient: Double
  var ticks: Int
  var writeOrder: [String]
  /// [tick][word in write order], the closing tick last.
  var words: [[Int]]
  var overflowed: Int
  var clipped: Int
  var glitches: Int
  /// Words out of range, in write order.
  var strays: [Stray]
  var effects: [Effect]
  /// The largest v_bias at which nothing overflows.
  var largestBias: Double?
  var expectedNoiseExcursions: Double
  var plot: String?
  var wordsFile: String?

  enum CodingKeys: String, CodingKey {
    case preset
    case bias = "bias_V"
    case coefficient, ticks, writeOrder, words, overflowed, clipped, glitches, strays, effects
    case largestBias = "largestBias_V"
    case expectedNoiseExcursions, plot, wordsFile
  }

  init(_ schedule: HDPMSchedule, plot: String?, wordsFile: String?) {
    let settings = schedule.settings
    preset = String(settings.preset.name)
    bias = settings.bias.volts.rawValue
    coefficient = Double(settings.coefficient)
    ticks = HDPMSchedule.activeTicks + 1
    writeOrder = HDPMSchedule.channels.map { "\($0)" }
    let perTick = HDPMSchedule.wordsPerTick
    words = (0..<ticks).map { tick in (0..<perTick).map { Int(schedule.words[tick * perTick + $0].word) } }
    overflowed = schedule.overflowed.count
    clipped = schedule.clipped.count
    glitches = schedule.glitches.count
    strays = schedule.words.enumerated().filter { $0.element.fit != .fits }.map { index, word in
      let written = word.written
      return Stray(
        tick: word.tick, channel: "\(word.channel)", role: HDPMSchedule.roles[index % perTick],
        value: Double(word.value), word: Int(word.word), written: "\(written.channel)", code: written.code,
        fit: word.fit.rawValue)
    }
    effects = schedule.effects.map {
      Effect(
        channel: "\($0.channel)", role: $0.role, heldTicks: $0.held, disturbedTicks: $0.disturbed,
        wrappedTicks: $0.wrapped, clippedTicks: $0.clipped)
    }
    largestBias = HDPMSchedule.largestFittingBias(settings)?.volts.rawValue
    expectedNoiseExcursions = schedule.expectedNoiseExcursions
    self.plot = plot
    self.wordsFile = wordsFile
  }

  var text: String {
    var lines = [
      "preset \(preset) at v_bias \(Volts(bias)): \(words.count) ticks of \(writeOrder.count) words, \(overflowed) overflow, "
        + "\(clipped) clip, \(glitches) from the sine's error"
    ]
    for effect in effects {
      var parts: [String] = []
      func add(_ ticks: [Int], _ what: String) {
        guard let first = ticks.first, let last = ticks.last else { return }
        let seconds = [first, last].map { String(format: "%.3f", Double($0) * 0.005) }
        let span = first == last ? "at \(seconds[0]) s" : "between \(seconds[0]) and \(seconds[1]) s"
        parts.append("\(what) in \(ticks.count) tick\(ticks.count == 1 ? "" : "s") \(span)")
      }
      add(effect.heldTicks, "holds its old code")
      add(effect.disturbedTicks, "shows its neighbour's word for under 1 ms")
      add(effect.wrappedTicks, "gets a wrapped code")
      add(effect.clippedTicks, "is clipped to code 0")
      lines.append("  \(effect.channel) (\(effect.role)) \(parts.joined(separator: "; "))")
    }
    if overflowed > 0 {
      lines.append(
        largestBias.map { "the largest v_bias at which nothing overflows is \(Volts($0))" }
          ?? "it overflows at every v_bias")
    }
    if expectedNoiseExcursions >= HDPMSchedule.tolerableExcursions {
      lines.append(
        "noise drives 9C and 9D out of range in \(expectedNoiseExcursions.formatted(digits: 3)) words a run on average")
    }
    if let wordsFile { lines.append("words: \(wordsFile)") }
    if let plot { lines.append("plot: \(plot)") }
    return lines.joined(separator: "\n")
  }
}

struct HDPMImportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import", abstract: "Make a sample file of scope captures.",
    discussion: """
      A capture is a CSV file with the columns time, v1, v2 (s, V; a header; time 0 is the run's first tick), or an npz with arrays of \
      these names, and shows one run. 'rram evaluate' takes the result as any other samples.
      """)

  @Argument(help: "Captures (.csv, .npz), in the order of the runs.")
  var captures: [String]

  @Option(help: "v_bias of the runs, in V: the volts of one unit.")
  var bias = 0.1

  @Option(help: "The network on the board: a shipped name or a file, if it is known.")
  var model: String?

  @Option(name: .shortAndLong, help: "Sample file (.npz).")
  var output = "samples.npz"

  @OptionGroup var common: CommonOptions

  func run() async throws {
    let unit = try HDPMSettings.Bias(Volts(bias)).volts
    let model = try self.model.map { try ScoreModel.open($0, common) }
    let files = try captures.map { try ScopeCapture(file: $0) }
    let samples = SampleFile(files, unitVoltage: unit, model: model, label: nil, seed: 0, profile: nil)
    try samples.write(to: output)
    try answer(HDPMImportOutput(samples: samples.count, file: output), json: common.json)
  }
}

struct HDPMImportOutput: CommandOutput {
  var samples: Int
  var file: String
  var text: String { "\(samples) samples: \(file)" }
}

extension SampleFile {
  /// Samples of the published board: x at the read-out time, start points at time 0.
  init(
    _ captures: [ScopeCapture], unitVoltage: Volts, model: ScoreModel?, label: Int?, seed: UInt64, profile: String?
  ) {
    let process = model?.metadata.process ?? ModelMetadata.published(conditional: false).process
    self.init(
      metadata: SampleMetadata(
        model: model?.name ?? "unknown", modelSHA256: model?.sha256 ?? "", process: process, solver: .ode,
        ticks: HDPMSchedule.activeTicks, classLabel: label, seed: seed, board: "hdpm", profile: profile))
    for (index, capture) in captures.enumerated() {
      let points = capture.points(unitVoltage: unitVoltage)
      append(x: points.sample, xT: points.start, label: label, firstSample: UInt32(index))
    }
  }
}
