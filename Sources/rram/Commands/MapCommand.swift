import ArgumentParser
import Foundation
import RRAMKit

struct MapCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "map",
    abstract: "Show where a model's weights would go, and what to expect of them, before any pulse.",
    discussion: """
      Targets of every cell, the error of the weights and the quality of samples that the chip's profile predicts for an age after \
      writing, without and with a calibration of that moment. Touches no cell; cells that are known to be bad or noisy are avoided as \
      'program' would. Default: emu:.
      """)

  @Argument(help: "A shipped model, or a file (.safetensors, .npz).")
  var model: String

  @Option(help: "Age at which quality is predicted, seconds after the last write.")
  var age = 600.0

  @Option(help: "Chips that are drawn from the profile to predict the quality; 0: none.")
  var draws = 3

  @Option(name: .shortAndLong, help: "Samples a drawn chip.")
  var n = 20_000

  @Option(help: "Seed of the first drawn chip.")
  var seed: UInt64 = 1

  @Option(help: "Draw the targets into this file (.svg, .png).")
  var plot: String?

  @Option(help: "How the cells would be written: 'rram program --help' says which there are.")
  var strategy: WriteStrategyName = .ispp

  @OptionGroup var mapping: MappingArguments
  @OptionGroup var chip: ChipOptions
  @OptionGroup var options: BoardOptions

  func validate() throws {
    guard age > 0, age.isFinite else { throw ValidationError("--age \(age): seconds above 0 are needed") }
    guard (0...64).contains(draws) else { throw ValidationError("--draws \(draws): 0 to 64 are possible") }
    guard (256...1_000_000).contains(n) else { throw ValidationError("-n \(n): 256 to 1000000 are possible") }
    if let plot, !plot.hasSuffix(".svg"), !plot.hasSuffix(".png") {
      throw ValidationError("--plot \(plot): a name that ends in .svg or .png is needed")
    }
  }

  func run() async throws {
    let address = try options.address(default: "emu:")
    let model = try ScoreModel.open(self.model, options.common)
    let named = try chip.namedProfile(at: address)
    try checkWritable(plot)
    let output = try await RRAM.withBoard(at: address, logger: options.common.logger) { board in
      let profile = try named ?? ChipOptions.profile(of: board)
      let known = try KnownCells.load(chip: board.info.chipID, home: RecordsHome())
      let plan = try model.plan(for: board, mapping: mapping.options(for: model, on: board, profile), known: known)
      let description = board.boardDescription
      try plan.check(profile, on: description)
      try plan.check(strategy)
      return try MapOutput(
        plan, model: model, profile: profile, board: description, strategy: strategy, age: .seconds(age), draws: draws,
        count: n,
        seed: seed,
        plot: plot)
    }
    if let plot {
      let panels: [(title: String, shape: MacroShape, target: [Float], measured: [Float])] =
        output.plan.layers.enumerated().map { index, layer in
          ("layer \(index + 1)", layer.block.shape, layer.targets, output.firstDraw[index])
        }
      try Pictures.conductanceMaps(
        panels, measured: "predicted", to: URL(filePath: plot), format: plot.hasSuffix(".svg") ? .svg : .png)
    }
    try answer(output, json: options.common.json)
  }
}

struct MapOutput: CommandOutput {
  var plan: MappingPlan
  /// Conductances of the first drawn chip.
  var firstDraw: [[Float]]
  var plot: String?
  private var model: String
  private var profile: String
  private var board: String
  private var strategy: WriteStrategyName
  /// µS.
  private var tolerance: Double
  private var scoreError: Double?
  private var age: Double
  private var wireDrop: [Double]
  private var weightError: [Ages: Double?]
  private var predictions: [ScheduleCalibration.Prediction]

  enum Ages: String, CaseIterable {
    case oneSecond = "after1s"
    case oneMinute = "after60s"
    case tenMinutes = "after600s"
    var duration: Duration {
      switch self {
      case .oneSecond: .seconds(1)
      case .oneMinute: .seconds(60)
      case .tenMinutes: .seconds(600)
      }
    }
  }

  init(
    _ plan: MappingPlan, model: ScoreModel, profile: ChipProfile, board: BoardDescription, strategy: WriteStrategyName,
    age: Duration, draws: Int, count: Int, seed: UInt64, plot: String?
  ) throws {
    self.plan = plan
    self.plot = plot
    self.model = model.name
    self.profile = profile.name
    self.board = board.name
    self.age = Double(age.components.seconds) + Double(age.components.attoseconds) * 1e-18
    wireDrop = plan.wireDrop(profile.wires, on: board)
    let tolerance = profile.tolerance(strategy)
    self.strategy = strategy
    self.tolerance = tolerance.microsiemens
    func draw(_ age: Duration, _ seed: UInt64) -> [[Float]] {
      plan.predictedConductances(profile, tolerance: tolerance, strategy: strategy, age: age, seed: seed)
    }
    scoreError = try plan.options.hiddenScale.map {
      try DiagonalRescale(
        model, on: board, window: plan.window, options: plan.options, profile: profile,
        // That of one cell: a difference within √2 of it leaves as much of either.
        tolerance: profile.programming.tolerance, age: age,
        given: $0
      ).predicted
    }
    firstDraw = draw(age, seed)
    weightError = [:]
    for age in Ages.allCases {
      weightError[age] = plan.weightErrorPercent(of: draw(age.duration, seed))
    }
    predictions = []
    guard board.closedLoop != nil, model.metadata.process != .neuralODE else { return }
    let labels: [Int?] = model.network.isConditional ? (0..<model.network.classCount).map { $0 } : [nil]
    let goal = try CalibrationGoal(model, labels: labels)
    try goal.check(on: board)
    for index in 0..<draws {
      if let prediction = try goal.prediction(
        of: plan, conductances: draw(age, seed &+ UInt64(index)), on: board, chipProfile: profile.name, count: count)
      {
        predictions.append(prediction)
      }
    }
  }

  private enum CodingKeys: String, CodingKey {
    case model, profile, board, pairs, scale, window, layers, notes
    case strategy
    case tolerance = "tolerance_uS"
    case hiddenScale, scoreErrorFactor, weightErrorPercent
    case age = "age_s"
    case predicted, plot
  }
  private struct Layer: Encodable {
    var macro, firstRow, firstColumn, rows, columns, inputs, outputs: Int
    var rowInputs: [Int?]
    var rowFactors: [Double]
    var written, bare, masked: Int
    var scale: [Double]
    var gain: [Double]
    var wireDropPercent: Double
    var targets: [[Double]]

    enum CodingKeys: String, CodingKey {
      case macro, firstRow, firstColumn, rows, columns, inputs, outputs, rowInputs, rowFactors, written, bare, masked
      case scale = "scale_S"
      case gain = "columnGain_ohm"
      case wireDropPercent
      case targets = "targets_uS"
    }
  }
  private struct Predicted: Encodable {
    var data: String
    var draws: Int
    var software: Double
    var uncalibrated, calibrated: Ratios
  }
  private struct Ratios: Encodable {
    var kl2d, slicedWasserstein: [Double?]
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(model, forKey: .model)
    try container.encode(profile, forKey: .profile)
    try container.encode(board, forKey: .board)
    try container.encode(plan.options.pairs.rawValue, forKey: .pairs)
    try container.encode(plan.options.scale.rawValue, forKey: .scale)
    try container.encode(
      [plan.window.lowerBound.microsiemens, plan.window.upperBound.microsiemens], forKey: .window)
    try container.encode(layerRows, forKey: .layers)
    try container.encode(plan.notes, forKey: .notes)
    try container.encode(strategy, forKey: .strategy)
    try container.encode(tolerance, forKey: .tolerance)
    try container.encode(plan.options.hiddenScale, forKey: .hiddenScale)
    try container.encode(scoreError, forKey: .scoreErrorFactor)
    try container.encode(
      Dictionary(uniqueKeysWithValues: weightError.map { ($0.key.rawValue, $0.value) }), forKey: .weightErrorPercent)
    try container.encode(age, forKey: .age)
    try container.encode(
      predictions.first.map { first in
        Predicted(
          data: first.data, draws: predictions.count, software: first.software.kl2d,
          uncalibrated: Ratios(
            kl2d: predictions.map(\.ratioBefore.kl2d),
            slicedWasserstein: predictions.map(\.ratioBefore.slicedWasserstein)),
          calibrated: Ratios(
            kl2d: predictions.map(\.ratioAfter.kl2d), slicedWasserstein: predictions.map(\.ratioAfter.slicedWasserstein)
          ))
      }, forKey: .predicted)
    try container.encode(plot, forKey: .plot)
  }

  private var layerRows: [Layer] {
    zip(plan.layers, wireDrop).map { layer, drop in
      let columns = layer.block.shape.columns
      return Layer(
        macro: layer.block.macro, firstRow: layer.block.firstRow, firstColumn: layer.block.firstColumn,
        rows: layer.block.shape.rows, columns: columns, inputs: layer.inputs, outputs: layer.outputs,
        rowInputs: layer.rows.map(\.input), rowFactors: layer.rows.map(\.factor), written: layer.written.count { $0 },
        bare: layer.bare.count, masked: layer.masked.count, scale: layer.scales, gain: layer.columnGain,
        wireDropPercent: 100 * drop,
        targets: stride(from: 0, to: layer.targets.count, by: columns).map { start in
          layer.targets[start..<start + columns].map { Double($0) * 1e6 }
        })
    }
  }

  var text: String {
    var rows = [["layer", "place", "rows an input", "cells written", "pristine", "masked", "µS a unit", "wires take"]]
    for (index, layer) in plan.layers.enumerated() {
      let replicas = layer.rows.count { $0.input == 0 }
      let scales = layer.scales.map { $0 * 1e6 }
      let (low, high) = (scales.min() ?? 0, scales.max() ?? 0)
      rows.append([
        "\(index + 1)", "\(layer.block)", "\(replicas)", "\(layer.written.count { $0 })", "\(layer.bare.count)",
        "\(layer.masked.count)",
        low == high ? low.formatted(digits: 4) : "\(low.formatted(digits: 4)) to \(high.formatted(digits: 4))",
        "\((100 * wireDrop[index]).formatted(digits: 2)) %",
      ])
    }
    var lines = [
      "'\(model)' on board '\(board)', chip profile '\(profile)' (modelled, nothing is written)", table(rows),
    ]
    lines += plan.notes
    let window = "±\(tolerance.formatted(digits: 3)) µS"
    lines.append(
      strategy == .pairAware
        ? "written pair-aware: G+ − G− of every pair within \(window) of its target; the common part of a pair stays where writing leaves it"
        : "written by \(strategy.rawValue): every cell within \(window) of its target")
    if let factors = plan.options.hiddenScale {
      lines.append("hidden units times \(factors.map { $0.formatted(digits: 3) }.joined(separator: ", "))")
      lines.append(
        "predicted error of the score by them, rms, times \(scoreError.formatted(digits: 3)): to first order, before a calibration"
      )
    }
    lines.append(
      "predicted error of the weights, rms, % of the layer's largest: "
        + Ages.allCases.map { "\($0.rawValue.dropFirst(5)) \((weightError[$0] ?? nil).formatted(digits: 3))" }.joined(
          separator: ", "))
    if let first = predictions.first {
      func list(_ values: [Double?]) -> String { values.map { $0.formatted(digits: 3) }.joined(separator: ", ") }
      lines.append(
        "predicted quality \(age.formatted(digits: 4)) s after writing, chip/software, \(predictions.count) drawn chips, data '\(first.data)':"
      )
      lines.append(
        table([
          ["", "KL2d", "sliced Wasserstein"],
          [
            "not calibrated", list(predictions.map(\.ratioBefore.kl2d)),
            list(predictions.map(\.ratioBefore.slicedWasserstein)),
          ],
          [
            "calibrated then", list(predictions.map(\.ratioAfter.kl2d)),
            list(predictions.map(\.ratioAfter.slicedWasserstein)),
          ],
        ]))
      lines.append("cells are taken to stand still after the read-back; where they do not, 'sample --track'")
    }
    return lines.joined(separator: "\n")
  }
}
