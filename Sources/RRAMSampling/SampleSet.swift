internal import RRAMFiles
public import RRAMModel

/// Points to be compared with data: a run of this toolkit, a network's run in software, or points of any origin.
public struct SampleSet: Sendable, Hashable {
  /// What it was asked for by: a path, or `software:MODEL`.
  public let name: String
  /// In units, shape (n, 2), row-major.
  public let x: [Float]
  /// Class of each point, ``SampleFile/noLabel`` for none; nil if there are no classes.
  public let labels: [Int]?
  /// The run they were drawn in; nil for points that do not say how they were made.
  public let run: SampleFile?

  public var count: Int { x.count / 2 }
  /// True if any point has a class.
  public var hasClasses: Bool { labels?.contains { $0 != SampleFile.noLabel } ?? false }

  /// What names a network's run in software, before the model's name.
  public static let softwarePrefix = "software:"

  /// The samples of a run.
  public init(_ run: SampleFile, name: String) {
    self.name = name
    x = run.x
    labels = run.labels
    self.run = run
  }

  /// The points of a data set.
  public init(_ data: EvaluationData) {
    name = data.name
    x = data.points.map { Float($0) }
    labels = data.labels
    run = nil
  }

  /// Reads or makes a set.
  ///
  /// - Parameters:
  ///   - nameOrPath: a sample file, any `.npz` with `x` (n, 2) and maybe `label` (n), an `.npy` (n, 2), `software:MODEL`,
  ///     or the name of a shipped data set.
  ///   - softwareCount: samples that `software:MODEL` draws.
  ///   - seed: of its start points and noise.
  ///   - method: how an ODE is stepped in software, in `steps` steps.
  /// - Throws: errors of files and models, ``SessionError``. Points that are no samples of this toolkit must be finite.
  public init(
    _ nameOrPath: String, softwareCount: Int = 20_000, seed: UInt64 = 0, method: DigitalSolver.Method = .heun,
    steps: Int = 200
  ) throws {
    if nameOrPath.hasPrefix(Self.softwarePrefix) {
      let model = try ModelLibrary.scoreModel(String(nameOrPath.dropFirst(Self.softwarePrefix.count)))
      let run = try SampleFile.software(model, count: softwareCount, seed: seed, method: method, steps: steps)
      self.init(run, name: nameOrPath)
    } else if nameOrPath.hasSuffix(".npz"), try NPZArchive(file: nameOrPath).contains("meta") {
      self.init(try SampleFile(path: nameOrPath), name: nameOrPath)
    } else {
      self.init(try EvaluationData(nameOrPath))
    }
  }
}

extension EvaluationData {
  /// Samples as the data side of a comparison; they must be finite.
  public init(_ set: SampleSet) throws(ModelError) {
    try self.init(name: set.name, points: set.x.map { Double($0) }, labels: set.hasClasses ? set.labels : nil)
  }
}

extension SampleFile {
  /// A network's run in software, float32, as a chip without errors would answer it: start points and noise of seed and sample
  /// number, classes in equal shares.
  ///
  /// - Parameters:
  ///   - method: how an ODE is stepped, in `steps` steps; the SDE takes two Heun steps in each of 200 ticks.
  public static func software(
    _ model: ScoreModel, count: Int, seed: UInt64 = 0, method: DigitalSolver.Method = .heun, steps: Int = 200,
    threads: Int? = nil
  ) throws -> SampleFile {
    guard count > 0 else { throw SessionError(.invalidArgument, "\(count) samples: at least 1 is needed") }
    let network = model.network
    guard network.dimensions == 2 else {
      throw SessionError(.invalidArgument, "'\(model.name)': x has \(network.dimensions) dimensions, samples have 2")
    }
    let program = try SamplingProgram(model, seed: seed)
    let start = program.startPoints(from: 0, count: count).map { $0 * Float(program.process.stateScale) }
    let classes = max(1, network.classCount)
    let shares: [(label: Int?, samples: Range<Int>)] = (0..<classes).map { index in
      (network.isConditional ? index : nil, count * index / classes..<count * (index + 1) / classes)
    }
    func file(_ x: [Float]) -> SampleFile {
      var file = SampleFile(metadata: SampleMetadata(program, board: "software"))
      for (label, samples) in shares {
        let range = 2 * samples.lowerBound..<2 * samples.upperBound
        file.append(
          x: Array(x[range]), xT: Array(start[range]), label: label, firstSample: UInt32(samples.lowerBound))
      }
      return file
    }
    return file(
      try file(start).softwareReference(for: model, method: method, steps: steps, threads: threads))
  }
}
