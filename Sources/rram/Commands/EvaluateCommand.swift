public import ArgumentParser
import Foundation
public import RRAMKit

struct EvaluateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Compare samples with data, with other samples, and with the same run in software.",
    discussion: """
      Prints KL of the pooled coordinates (kl1d, the published metric), KL of the 2-D histograms (kl2d), sliced Wasserstein and energy \
      distance, and the radius. With --model the same run is computed in software from the same start points and noise, and ratios \
      chip/software are printed. Of a twin's run the prediction error over time is printed. A second set takes the place of the data: 'rram evaluate a.npz b.npz'.
      """)

  @Argument(
    help:
      "Samples: a file of 'rram sample', any .npz with x (n, 2) or .npy (n, 2), software:MODEL (that network's run in software), or the name of shipped data."
  )
  var samples: String

  @Argument(help: "What they are compared with instead of the model's data: as the first.")
  var other: String?

  @Option(name: .customShort("n"), parsing: .unconditional, help: "How many samples software:MODEL draws.")
  var count = 20_000

  @Option(help: "Seed of software:MODEL; that of a second one is the next.")
  var seed: UInt64 = 0

  @Flag(help: "Compare all classes as one.")
  var pooled = false

  @Option(
    help:
      "Network of the software reference: ring, ring-hardware-aware, ring-flow, letters, letters-flow, twin, or a file."
  )
  var model: String?

  @Option(
    help:
      "How the software steps the ODE: heun, euler, rk4 (float64), rk45 (float64, adaptive, tolerance 1e-8), or euler-published, the notebooks' own grid."
  )
  var solver: DigitalSolver.Method = .heun

  @Option(parsing: .unconditional, help: "Steps of that solver; rk45 chooses its own.")
  var steps = 200

  @Option(
    help: "Data to compare with: ring, letters, or a file (.npy, .npz). Default: the data the model was trained on.")
  var against: String?

  @Option(help: "Bins of an axis of the 2-D histogram.")
  var bins: Int?

  @Option(help: "Half width of the 2-D histogram, in units.")
  var range: Double?

  @Option(help: "Letters: draw decoded samples of each class into this file (.svg, .png).")
  var letters: String?

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (1...100_000_000).contains(count) else {
      throw ValidationError("-n \(count): 1 to 100 million samples are possible")
    }
    if let other, let against {
      throw ValidationError("'\(other)' and --against \(against): one of them is possible")
    }
    guard (2...100_000).contains(steps) else {
      throw ValidationError("--steps \(steps): 2 to 100000 are possible")
    }
    if let letters, !letters.hasSuffix(".svg"), !letters.hasSuffix(".png") {
      throw ValidationError("--letters \(letters): a name that ends in .svg or .png is needed")
    }
    if let bins, !(2...1000).contains(bins) { throw ValidationError("--bins \(bins): 2 to 1000 are possible") }
    if let range, !(range > 0 && range.isFinite) {
      throw ValidationError("--range \(range): a number above 0 is needed")
    }
  }

  func run() async throws {
    let set = try SampleSet(samples, softwareCount: count, seed: seed, method: solver, steps: steps)
    let model = try self.model.map { try ModelLibrary.scoreModel($0) }
    if let run = set.run, run.process == .neuralODE {
      let model = try model ?? ModelLibrary.scoreModel(run.metadata.model)
      guard model.metadata.process == .neuralODE else {
        throw CommandError(
          message: "\(samples): is a run of a neural ODE, and '\(model.name)' is none", exitCode: ExitStatus.badInput)
      }
      let reference = try ReferenceTrajectories(against ?? model.metadata.data)
      let report = TwinReport(try TwinRun(path: samples), model: model, reference: reference)
      return try answer(TwinOutput(report: report), json: common.json)
    }
    var data = try data(for: set, model: model)
    if pooled { data = data.withoutClasses }
    let isLabelled = set.hasClasses
    if data.labels != nil, !isLabelled {
      throw CommandError(
        message:
          "\(samples): its samples have no classes, and data '\(data.name)' has; they cannot be compared class by class",
        hint: "--pooled compares them as one", exitCode: ExitStatus.badInput)
    }
    if let model, isLabelled, !model.network.isConditional {
      throw CommandError(
        message: "\(samples): its samples have classes, and '\(model.name)' has none",
        exitCode: ExitStatus.badInput)
    }
    if let letters {
      guard data.name == "letters", isLabelled else {
        throw CommandError(
          message: "--letters: the samples of \(samples) are no letters with classes", exitCode: ExitStatus.usage)
      }
      try checkWritable(letters)
      try Pictures.imageGrid(
        set.decodedLetters(), side: LetterDecoder.imageSize, to: URL(filePath: letters),
        format: letters.hasSuffix(".svg") ? .svg : .png)
    }
    let report = try set.evaluate(against: data, bins: bins, range: range, model: model, method: solver, steps: steps)
    try answer(EvaluateOutput(report: report), json: common.json)
  }

  /// The second set, the data that was named, or what the model or the samples' own model was trained on.
  private func data(for set: SampleSet, model: ScoreModel?) throws -> EvaluationData {
    if let other {
      let isSoftware = other.hasPrefix(SampleSet.softwarePrefix)
      return isSoftware
        ? try EvaluationData(
          SampleSet(other, softwareCount: count, seed: seed &+ 1, method: solver, steps: steps))
        : try EvaluationData(other)
    }
    guard let name = against ?? model?.metadata.data ?? set.run?.defaultData else {
      throw CommandError(
        message: "\(samples): its points do not say what they are samples of",
        hint: "name what to compare with: 'rram evaluate \(samples) OTHER', or --against ring",
        exitCode: ExitStatus.usage)
    }
    return try EvaluationData(name)
  }
}

extension DigitalSolver.Method: ExpressibleByArgument {}

extension SampleFile {
  /// The data its model was trained on, as far as the metadata tells.
  var defaultData: String {
    (try? ModelLibrary.scoreModel(metadata.model).metadata.data) ?? (labels.contains { $0 >= 0 } ? "letters" : "ring")
  }

  /// Some decoded samples of each class, for a picture.
  func decodedLetters(perClass: Int = 24) throws -> [(title: String, images: [[Float]])] {
    try SampleSet(self, name: metadata.model).decodedLetters(perClass: perClass)
  }

  /// The report of `rram evaluate`.
  func evaluate(against data: EvaluationData, model: ScoreModel?) throws -> EvaluationReport {
    try SampleSet(self, name: metadata.model).evaluate(against: data, model: model)
  }
}

extension SampleSet {
  /// Some decoded samples of each class, for a picture.
  func decodedLetters(perClass: Int = 24) throws -> [(title: String, images: [[Float]])] {
    let decoder = try ModelLibrary.letterDecoder()
    let names = try ModelLibrary.letterClassifier().classNames
    let pixels = LetterDecoder.imageSize * LetterDecoder.imageSize
    let labels = labels ?? []
    return Set(labels).filter { $0 >= 0 }.sorted().map { label in
      let members = labels.indices.filter { labels[$0] == label }.prefix(perClass)
      let images = decoder.images(of: members.flatMap { [x[2 * $0], x[2 * $0 + 1]] })
      return (
        label < names.count ? names[label] : "\(label)",
        (0..<members.count).map { Array(images[$0 * pixels..<($0 + 1) * pixels]) }
      )
    }
  }

  /// The report of `rram evaluate`.
  func evaluate(
    against data: EvaluationData, bins: Int? = nil, range: Double? = nil, model: ScoreModel?,
    method: DigitalSolver.Method = .heun, steps: Int = 200
  ) throws -> EvaluationReport {
    var data = data
    if let bins { data.histogram.bins = bins }
    if let range { data.histogram.halfWidth = range }
    let ring = data.name == "ring" ? try ModelLibrary.scoreModel("ring") : nil
    return try EvaluationReport(self, against: data, model: model, ring: ring, method: method, steps: steps)
  }
}

struct EvaluateOutput: CommandOutput {
  var report: EvaluationReport

  func encode(to encoder: any Encoder) throws { try report.encode(to: encoder) }

  var text: String {
    let quality = report.quality
    var rows = [["metric", "samples"]]
    if report.software != nil { rows[0] += ["software", "ratio"] }
    func row(_ name: String, _ value: KeyPath<SampleQuality, Double>, _ ratio: Double??) {
      var row = [name, quality[keyPath: value].formatted(digits: 4)]
      if let software = report.software {
        row += [software[keyPath: value].formatted(digits: 4), (ratio ?? nil).formatted(digits: 3)]
      }
      rows.append(row)
    }
    row("KL1d", \.kl1d, report.ratio?.kl1d)
    row("KL2d", \.kl2d, report.ratio?.kl2d)
    row("sliced Wasserstein", \.slicedWasserstein, report.ratio?.slicedWasserstein)
    row("energy distance", \.energyDistance, report.ratio?.energyDistance)
    row("radius, mean", \.radiusMean, nil)
    row("radius, σ", \.radiusStd, nil)
    var lines = [
      "\(report.set): \(quality.n) samples against \(quality.nData) points of \(report.data)"
        + (quality.nonFinite > 0 ? ", \(quality.nonFinite) samples not finite" : ""),
      table(rows),
    ]
    if let rms = report.rmsToSoftware { lines.append("rms to software \(rms.formatted(digits: 3)) units") }
    for (name, score) in [("samples", report.letters), ("software", report.softwareLetters)] {
      guard let score else { continue }
      let classes = score.classes.sorted { $0.key < $1.key }.map {
        "\($0.key) \(($0.value * 100).formatted(digits: 4)) %"
      }
      lines.append(
        "letters recognised, \(name): \((score.mean * 100).formatted(digits: 4)) % (\(classes.joined(separator: ", ")))"
      )
    }
    if let toRing = report.ratioToRing {
      lines.append(
        "ratio to 'ring' in software: KL2d \(toRing.kl2d.formatted(digits: 3)), sliced Wasserstein \(toRing.slicedWasserstein.formatted(digits: 3))"
      )
    }
    if report.sameModel == false {
      lines.append("note: the samples were drawn from another model than the one compared with")
    }
    return lines.joined(separator: "\n")
  }
}
