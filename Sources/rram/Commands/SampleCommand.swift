public import ArgumentParser
import Foundation
public import RRAMKit

struct SampleCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sample", abstract: "Draw samples in closed loop from the network that is on the chip.",
    discussion: """
      The chip must carry the model, unchanged since 'rram program'. Start points come from --seed and the sample's number, or from a \
      file. A conditional network without --class draws its classes in equal shares.
      """)

  @Argument(
    help: "ring, ring-hardware-aware, letters, or a file (.safetensors, .npz). Needed for all but hdpm: and hdpm-emu:.")
  var model: String?

  @Option(name: .customShort("n"), parsing: .unconditional, help: "How many samples.")
  var count = 1000

  @Option(name: .shortAndLong, help: "Sample file (.npz). Default: samples.npz in the run's folder.")
  var output: String?

  @Option(help: "ode or sde. Default: what suits the model.")
  var solver: ReverseEquation?

  @Option(parsing: .unconditional, help: "Factor on β. Default: the model's.")
  var scale: Double?

  @Option(name: .customLong("class"), help: "Class by name or number, or 'none' for the null condition.")
  var label: String?

  @Option(parsing: .unconditional, help: "Ticks of the schedule.")
  var ticks = 200

  @Option(help: "Seed of start points and noise.")
  var seed: UInt64 = 0

  @Option(help: "File (.npy, float, (n, 2)) of start points x(0), in units.")
  var start: String?

  @Option(help: "Published board: the preset that is played.")
  var preset = "0"

  @Option(help: "Published board: folder into which an oscilloscope writes one capture (.csv, .npz) a run.")
  var scope: String?

  @Option(
    help: "Published board: seconds since it was powered up; lets runs step around the wraps of its tick counter.")
  var uptime: Double?

  @OptionGroup(title: "Published board (hdpm:)") var published: PublishedBoardOptions
  @OptionGroup var options: BoardOptions
  @OptionGroup var runOptions: RunOptions

  func validate() throws {
    guard count > 0 else { throw ValidationError("-n \(count): at least 1 sample is needed") }
    guard count <= 100_000_000 else { throw ValidationError("-n \(count): at most 100 million samples a run") }
    guard ticks > 0 else { throw ValidationError("--ticks \(ticks): at least 1 is needed") }
    if let uptime, !(uptime >= 0 && uptime < 1e9) {
      throw ValidationError("--uptime \(uptime): seconds of at least 0 are needed")
    }
    if let scale, !(scale > 0 && scale.isFinite) {
      throw ValidationError("--scale \(scale): a number above 0 is needed")
    }
  }

  func run() async throws {
    let address = try options.address()
    switch address {
    case .hdpm, .emulatedHDPM: return try await runOnPublishedBoard(at: address)
    default: break
    }
    guard let modelName = self.model else {
      throw CommandError(
        message: "no model is named", hint: "for example 'rram sample ring'", exitCode: ExitStatus.usage)
    }
    let model = try ScoreModel.open(modelName, options.common)
    let batches = try self.batches(of: model)
    let startPoints = try start.map { try self.startPoints(from: $0) }
    try checkWritable(output)
    let programs = try batches.map { batch in
      try SamplingProgram(
        model, equation: solver, scale: scale, classLabel: batch.label, ticks: ticks, seed: seed,
        firstSample: UInt32(batch.first))
    }
    let progress = ProgressLine(quiet: options.common.quiet)
    let settings = [
      "model": model.name, "modelSHA256": model.sha256, "samples": "\(count)", "solver": programs[0].equation.rawValue,
      "scale": "\(programs[0].process.scale)", "class": label ?? "", "ticks": "\(ticks)", "seed": "\(seed)",
      "start": start ?? "",
    ]
    let result = try await withRecordedBoard(options, runOptions, settings: settings) { board, record in
      var statistics = SamplingStatistics()
      var file: SampleFile?
      var energies: [SampleEnergy] = []
      for (batch, program) in zip(batches, programs) {
        let session = try await SamplingSession(program, on: board, home: RecordsHome())
        if file == nil { warn(of: session.record) }
        var samples = file ?? SampleFile(metadata: session.metadata)
        let points = startPoints.map { Array($0[2 * batch.first..<2 * (batch.first + batch.count)]) }
        do {
          statistics.add(
            try await session.draw(batch.count, startPoints: points) { drawn in
              samples.append(drawn)
              progress.show("sampling", finished: samples.count, total: count)
            })
        } catch {
          progress.clear()
          // What was drawn until then is worth its chip time.
          if samples.count > 0 {
            let kept = record.file("samples-partial.npz").path
            try samples.write(to: kept)
            note("\(samples.count) of \(count) samples were drawn and are kept in \(kept)")
          }
          throw error
        }
        file = samples
        energies.append(session.modelledEnergy())
        try record.events.append([
          .init(
            "sample", boardTime: await board.boardTime,
            detail: "\(batch.count) samples\(batch.label.map { " of class \($0)" } ?? "")")
        ])
      }
      progress.clear()
      let path = output ?? record.file("samples.npz").path
      guard let file else { throw CancellationError() }
      try file.write(to: path)
      try record.keep(file)
      let arrays = energies.compactMap(\.array)
      let energy = SampleEnergy(array: arrays.isEmpty ? nil : arrays.reduce(0, +) / Double(arrays.count))
      var report = SampleReport(programs[0], statistics, energy: energy, file: path)
      if batches.count > 1 { report.classLabel = nil }
      return SampleOutput(report: report)
    }
    try answer(result, json: options.common.json)
  }

  /// Says so if the network was not written well.
  private func warn(of program: ProgramRecord) {
    guard !options.common.quiet, program.report.fractionInTolerance < 0.99 else { return }
    note(
      "warning: '\(program.model)' was written with \(program.report.inTolerance) of \(program.report.cells) cells in tolerance"
    )
  }

  /// Which samples are of which class: numbers run through.
  private func batches(of model: ScoreModel) throws -> [(label: Int?, first: Int, count: Int)] {
    if label != nil || !model.network.isConditional { return [(try model.classIndex(label), 0, count)] }
    let classes = model.network.classCount
    return (0..<classes).compactMap { index in
      let (first, end) = (count * index / classes, count * (index + 1) / classes)
      return end > first ? (index, first, end - first) : nil
    }
  }

  private func startPoints(from path: String) throws -> [Float] {
    let array = try NPYArray(file: path)
    guard array.shape == [count, 2], let values = array.floats else {
      throw CommandError(
        message:
          "\(path): shape \(array.shape) of \(array.elementType), numbers of shape (\(count), 2) are needed for -n \(count)",
        exitCode: ExitStatus.badInput)
    }
    if let bad = values.firstNonFinite {
      throw CommandError(message: "\(path): point \(bad.index / 2) is \(bad.value)", exitCode: ExitStatus.badInput)
    }
    return values
  }
}

extension ReverseEquation: ExpressibleByArgument {}

extension RunDirectory {
  /// Picture and report of a sample file.
  func keep(_ samples: SampleFile) throws {
    let picture = file("samples.svg")
    try Pictures.pointClouds(
      [("\(samples.metadata.model), \(samples.count) samples", samples.x)], halfWidth: 1.5, to: picture, format: .svg)
    var report = Report(title: "\(samples.count) samples of \(samples.metadata.model)")
    report.sections = [.picture(title: "The samples, at most 20 000 of them", svg: picture)]
    try report.write(to: file("report.html"), manifest: currentManifest)
  }
}

struct SampleOutput: CommandOutput {
  var report: SampleReport

  func encode(to encoder: any Encoder) throws { try report.encode(to: encoder) }

  var text: String {
    let over = report.overRange
    let hits = [
      ("row clamp", over.rowClamp), ("amplifier rail", over.amplifierRail), ("integrator rail", over.integratorRail),
      ("noise clamp", over.noiseClamp), ("read-out range", over.readOutSaturated),
    ].filter { $0.1 > 0 }.map { "\($0.1) at the \($0.0)" }
    var lines = [
      "\(report.samples) samples (\(report.solver.rawValue), scale \(report.scale.formatted(digits: 3)), \(report.ticks) ticks): \(report.file ?? "")",
      "chip \((report.chipSecondsPerSample * 1e6).formatted(digits: 4)) µs a sample, duty cycle \((report.dutyCycle * 100).formatted(digits: 3)) %, loop alone \((report.loopShare * 100).formatted(digits: 3)) %; host \(report.hostSeconds.formatted(digits: 3)) s",
    ]
    if let array = report.energyPerSample.array {
      lines.append(
        "array energy \(Joules(array)) a sample (modelled; amplifiers, converters and board are not modelled yet)")
    }
    if !hits.isEmpty { lines.append("samples that left a range: " + hits.joined(separator: ", ")) }
    return lines.joined(separator: "\n")
  }
}
