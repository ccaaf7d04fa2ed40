internal import Foundation
internal import RRAMFiles
public import RRAMModel
internal import RRAMUnits

/// How samples were made: the `meta` entry of a sample file.
public struct SampleMetadata: Sendable, Hashable, Codable {
  public struct Seeds: Sendable, Hashable, Codable {
    /// Of start points and noise.
    public var noise: UInt64

    public init(noise: UInt64) { self.noise = noise }
  }

  public var schema = 1
  /// The model's name, and the SHA-256 of its file.
  public var model: String
  public var modelSHA256: String
  /// `vp`, `subvp`, `ve`, `flow` or `neural-ode`.
  public var sde: String
  /// Of `vp` and `subvp`.
  public var beta0: Double?
  public var beta1: Double?
  /// Factor on β, of `vp`; 1 for all others.
  public var scale: Double
  /// Of `ve`.
  public var sigma: Double?
  public var solver: ReverseEquation
  public var ticks: Int
  /// The class of all samples; nil if they have none or several, see the `label` entry.
  public var classLabel: Int?
  /// Guidance strength.
  public var w: Double
  public var seeds: Seeds
  /// Name of the board description, and serial number and chip of the board.
  public var board: String
  public var serial: String?
  public var chip: String?
  /// Chip profile; nil where the board does not know it.
  public var profile: String?
  /// Calibration in force, by id; nil: none.
  public var calibration: String?
  /// First sample numbers of the parts before which the calibration was updated; nil without tracking.
  public var tracked: [UInt32]?

  enum CodingKeys: String, CodingKey {
    case schema, model, modelSHA256, sde, beta0, beta1, scale, sigma, solver, ticks
    case classLabel = "class"
    case w, seeds, board, serial, chip, profile, calibration, tracked
  }

  public init(
    _ program: SamplingProgram, board: String, serial: String? = nil, chip: String? = nil, profile: String? = nil
  ) {
    model = program.model.name
    modelSHA256 = program.model.sha256
    sde = program.process.name
    scale = program.process.scale
    solver = program.equation
    ticks = program.ticks
    classLabel = program.classLabel
    w = program.guidance
    seeds = Seeds(noise: program.seed)
    self.board = board
    self.serial = serial
    self.chip = chip
    self.profile = profile
    calibration = program.calibration
    note(program.process)
  }

  /// For samples that were not drawn with a schedule of this toolkit.
  public init(
    model: String, modelSHA256: String, process: DiffusionProcess, solver: ReverseEquation, ticks: Int,
    classLabel: Int?, seed: UInt64, board: String, profile: String?
  ) {
    self.model = model
    self.modelSHA256 = modelSHA256
    sde = process.name
    scale = process.scale
    self.solver = solver
    self.ticks = ticks
    self.classLabel = classLabel
    w = 0
    seeds = Seeds(noise: seed)
    self.board = board
    self.profile = profile
    note(process)
  }

  private mutating func note(_ process: DiffusionProcess) {
    switch process {
    case .variancePreserving(let beta0, let beta1, _), .subVariancePreserving(let beta0, let beta1):
      (self.beta0, self.beta1) = (beta0, beta1)
    case .varianceExploding(let sigma): self.sigma = sigma
    case .flow, .neuralODE: break
    }
  }

  public func encode(to encoder: any Encoder) throws {
    // Spelled out because the synthesised form would leave out what is nil.
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(schema, forKey: .schema)
    try container.encode(model, forKey: .model)
    try container.encode(modelSHA256, forKey: .modelSHA256)
    try container.encode(sde, forKey: .sde)
    try container.encode(beta0, forKey: .beta0)
    try container.encode(beta1, forKey: .beta1)
    try container.encode(scale, forKey: .scale)
    try container.encode(sigma, forKey: .sigma)
    try container.encode(solver, forKey: .solver)
    try container.encode(ticks, forKey: .ticks)
    try container.encode(classLabel, forKey: .classLabel)
    try container.encode(w, forKey: .w)
    try container.encode(seeds, forKey: .seeds)
    try container.encode(board, forKey: .board)
    try container.encode(serial, forKey: .serial)
    try container.encode(chip, forKey: .chip)
    try container.encode(profile, forKey: .profile)
    try container.encode(calibration, forKey: .calibration)
    try container.encodeIfPresent(tracked, forKey: .tracked)
  }

  /// The process the samples were drawn with; nil if `sde` is unknown or lacks its numbers.
  public var knownProcess: DiffusionProcess? {
    switch (sde, beta0, beta1, sigma) {
    case ("vp", let beta0?, let beta1?, _): .variancePreserving(beta0: beta0, beta1: beta1, scale: scale)
    case ("subvp", let beta0?, let beta1?, _): .subVariancePreserving(beta0: beta0, beta1: beta1)
    case ("ve", _, _, let sigma?): .varianceExploding(sigma: sigma)
    case ("flow", _, _, _): .flow
    case ("neural-ode", _, _, _): .neuralODE
    default: nil
    }
  }
}

/// Samples with what made them: an npz with `x` (n, 2), `xT` (n, 2), `label` (n), `sample` (n) and `meta`; where paths were read also
/// `trajectory` (n, frames, 2) and `time` (frames).
public struct SampleFile: Sendable, Hashable {
  /// The label of a sample without class.
  public static let noLabel = -1

  public var metadata: SampleMetadata
  /// The process the samples were drawn with.
  public let process: DiffusionProcess
  /// Samples in units, shape (n, 2), row-major.
  public private(set) var x: [Float]
  /// The start points as the preset converter realised them.
  public private(set) var xT: [Float]
  /// Class of each sample, −1 for none.
  public private(set) var labels: [Int]
  /// Number of each sample in its run: with the seed it names the noise.
  public private(set) var numbers: [UInt32]
  /// t at the frames of the paths, 1 at the first one, the start; empty if paths were not read.
  public let times: [Double]
  /// The path of each sample in units, shape (n, frames, 2), row-major.
  public private(set) var trajectory: [Float]

  public var count: Int { labels.count }

  /// - Precondition: the metadata name a process, as those made from a program or a process do.
  public init(metadata: SampleMetadata, times: [Double] = []) {
    guard let process = metadata.knownProcess else {
      preconditionFailure("metadata of process '\(metadata.sde)' without its numbers")
    }
    self.metadata = metadata
    self.process = process
    x = []
    xT = []
    labels = []
    numbers = []
    self.times = times
    trajectory = []
  }

  /// Adds samples of one class.
  public mutating func append(x: [Float], xT: [Float], label: Int?, firstSample: UInt32, trajectory: [Float] = []) {
    precondition(x.count == xT.count && x.count % 2 == 0, "\(x.count) and \(xT.count) coordinates")
    precondition(trajectory.count == x.count * times.count, "\(trajectory.count) coordinates of paths")
    self.trajectory += trajectory
    self.x += x
    self.xT += xT
    let count = x.count / 2
    labels += [Int](repeating: label ?? Self.noLabel, count: count)
    numbers += (0..<count).map { firstSample &+ UInt32($0) }
    if let known = metadata.classLabel, known != label { metadata.classLabel = nil }
  }

  /// Adds a batch of a session.
  public mutating func append(_ batch: SampleBatch) {
    append(x: batch.x, xT: batch.xT, label: batch.label, firstSample: batch.firstSample, trajectory: batch.trajectory)
  }

  /// Writes the file atomically.
  public func write(to path: String) throws { try writer().write(to: path) }

  /// The file's arrays, for more to be added.
  func writer() throws -> NPZWriter {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let json = String(decoding: try encoder.encode(metadata), as: UTF8.self)
    var writer = NPZWriter()
    writer.add(NPYArray(x, shape: [count, 2]), as: "x")
    writer.add(NPYArray(xT, shape: [count, 2]), as: "xT")
    writer.add(NPYArray(labels), as: "label")
    writer.add(NPYArray(numbers), as: "sample")
    if !times.isEmpty {
      writer.add(NPYArray(trajectory, shape: [count, times.count, 2]), as: "trajectory")
      writer.add(NPYArray(times), as: "time")
    }
    writer.add(json, as: "meta")
    return writer
  }

  /// Reads a file that ``write(to:)`` wrote.
  ///
  /// - Throws: `FileError` for a file that is no such archive, ``SessionError`` for metadata that cannot be understood.
  public init(path: String) throws {
    let archive = try NPZArchive(file: path)
    let labels = try archive.integers("label", shape: nil)
    let count = labels.count
    x = try archive.floats("x", shape: [count, 2])
    xT = try archive.floats("xT", shape: [count, 2])
    self.labels = labels
    let numbers = try archive.integers("sample", shape: [count])
    guard numbers.allSatisfy({ $0 >= 0 && $0 <= Int(UInt32.max) }) else {
      throw SessionError(.malformedFile, "\(path), 'sample': a sample number is below 0 or above \(UInt32.max)")
    }
    self.numbers = numbers.map { UInt32($0) }
    guard count > 0 else { throw SessionError(.malformedFile, "\(path): no samples") }
    if archive.contains("trajectory") {
      times = try archive.floats("time").map { Double($0) }
      trajectory = try archive.floats("trajectory", shape: [count, times.count, 2])
    } else {
      times = []
      trajectory = []
    }
    do {
      metadata = try JSONDecoder().decode(SampleMetadata.self, from: Data(try archive.string("meta").utf8))
    } catch let error as FileError {
      throw error
    } catch {
      throw SessionError(.malformedFile, "\(path), 'meta': is no description of samples", underlying: error)
    }
    guard metadata.schema <= 1 else {
      throw SessionError(.malformedFile, "\(path), 'meta': layout \(metadata.schema) is newer than this toolkit's 1")
    }
    // Bounds far beyond any board's, so that a hostile file costs neither memory nor time.
    guard (1...65_536).contains(metadata.ticks), metadata.scale > 0, metadata.scale <= 1e3,
      (0...1e3).contains(metadata.beta0 ?? 0), (0...1e3).contains(metadata.beta1 ?? 0),
      metadata.sigma.map({ $0 > 1 && $0 <= 1e3 }) ?? true, (0...1e3).contains(metadata.w)
    else {
      throw SessionError(
        .malformedFile,
        "\(path), 'meta': \(metadata.ticks) ticks, β \(metadata.beta0 ?? 0) to \(metadata.beta1 ?? 0), scale \(metadata.scale), "
          + "σ \(metadata.sigma ?? 0), w \(metadata.w); 1 to 65536 ticks and numbers up to 1000 are possible")
    }
    guard let process = metadata.knownProcess else {
      throw SessionError(
        .malformedFile,
        "\(path), 'meta': process '\(metadata.sde)' is unknown or lacks its β or σ; vp, subvp, ve, flow and neural-ode are known"
      )
    }
    self.process = process

    if let bad = xT.firstIndex(where: { !$0.isFinite }) {
      throw SessionError(.malformedFile, "\(path), 'xT': point \(bad / 2) is \(xT[bad])")
    }
  }

  /// The same run in software, float32: same realised start points, same classes, same noise, same guidance.
  ///
  /// ODE: 200 steps. SDE: the held noise of seed and sample number, two Heun steps in each of the run's ticks. A model of another
  /// process than the run's is sampled by its own, from the same start points; a flow by its ODE.
  ///
  /// - Parameters:
  ///   - model: its network; its own process if `ownProcess`, otherwise the run's.
  ///   - method: how an ODE is stepped; Heun is the reference, `eulerPublished` the notebooks' grid.
  ///   - steps: of the ODE; not used by `rk45`.
  ///   - ticks: of the SDE; the run's if nil.
  ///   - noise: of samples that bear these numbers, instead of the run's.
  /// - Throws: ``SessionError`` `invalidArgument` for another method than Heun on samples of the SDE.
  /// - Returns: shape (n, 2), in the order of the file.
  public func softwareReference(
    for model: ScoreModel, ownProcess: Bool = false, method: DigitalSolver.Method = .heun, steps: Int = 200,
    threads: Int? = nil, ticks: Int? = nil, noise: ((_ numbers: [UInt32]) -> HeldNoise)? = nil
  ) throws -> [Float] {
    let own = model.metadata.process
    // The β scale is the run's choice; everything else about a process is what the network was trained for.
    let process = ownProcess || own.name != self.process.name || own.name == "ve" ? own : self.process
    let equation = process.supports(metadata.solver) ? metadata.solver : .ode
    guard equation == .ode || method == .heun else {
      throw SessionError(
        .invalidArgument, "solver '\(method.rawValue)': samples of the SDE have a reference by heun only")
    }
    let solver =
      equation == .ode
      ? DigitalSolver(equation: .ode, method: method, steps: steps)
      : DigitalSolver(equation: .sde, method: .heun, steps: ticks ?? metadata.ticks)
    let seed = metadata.seeds.noise
    let (toState, toUnits) = (1 / Float(self.process.stateScale), Float(process.stateScale))
    var result = [Float](repeating: 0, count: x.count)
    for label in Set(labels).sorted() {
      let members = labels.indices.filter { labels[$0] == label }
      let condition = label == Self.noLabel ? nil : label
      try model.network.validate(label: condition, model: model.name)
      let start = members.flatMap { [xT[2 * $0] * toState, xT[2 * $0 + 1] * toState] }
      let numbers = members.map { self.numbers[$0] }
      let noise = noise?(numbers) ?? HeldNoise.philox(seed: seed, numbers: numbers)
      let samples = solver.sample(
        model.network, process: process, start: start, label: condition,
        guidance: condition == nil ? 0 : metadata.w, noise: noise, threads: threads)
      for (position, index) in members.enumerated() {
        result[2 * index] = samples[2 * position] * toUnits
        result[2 * index + 1] = samples[2 * position + 1] * toUnits
      }
    }
    return result
  }
}
