internal import Foundation
internal import RRAMFiles
public import RRAMModel

/// Free-running trajectories of a neural ODE on a chip: a sample file, whose `x` are the end points and whose `xT` are the measured
/// start points as realised, with `prediction` (n, points, 2) in units and `predictionTime` (points) in seconds of the system.
public struct TwinRun: Sendable, Hashable {
  public let samples: SampleFile
  /// Seconds of the system, the start left out.
  public let time: [Double]
  /// (n, points, 2), row-major, the start left out.
  public let trajectory: [Float]

  public init(samples: SampleFile, time: [Double], trajectory: [Float]) {
    precondition(trajectory.count == 2 * samples.count * time.count, "the arrays' shapes differ")
    self.samples = samples
    self.time = time
    self.trajectory = trajectory
  }

  /// Writes the file atomically.
  public func write(to path: String) throws {
    var writer = try samples.writer()
    writer.add(NPYArray(time), as: "predictionTime")
    writer.add(NPYArray(trajectory, shape: [samples.count, time.count, 2]), as: "prediction")
    try writer.write(to: path)
  }

  /// Reads a file that ``write(to:)`` wrote.
  public init(path: String) throws {
    samples = try SampleFile(path: path)
    let archive = try NPZArchive(file: path)
    guard samples.process == .neuralODE, archive.contains("predictionTime"),
      let time = try archive.array("predictionTime").doubles,
      !time.isEmpty
    else { throw SessionError(.malformedFile, "\(path): no trajectories of a neural ODE") }
    self.time = time
    trajectory = try archive.floats("prediction", shape: [samples.count, time.count, 2])
  }
}

/// A twin's run against the system itself, and against the same network in software: what `sample` and `evaluate` print of it.
public struct TwinReport: Sendable, Hashable, Encodable {
  public var samples: Int
  /// Seconds of the system at each point.
  public var time: [Double]
  /// In standard deviations of a coordinate: a trajectory is valid until its error passes this.
  public var threshold: Double
  /// The chip's error against the reference; nil if the run did not start from the reference's measured points.
  public var chip: PredictionError?
  /// The software's from the same start points; nil as above.
  public var software: PredictionError?
  /// Root mean square difference between chip and software, all points, units; nil if it is not finite.
  public var rmsToSoftware: Double?
  public var reference: String
  public var referenceSHA256: String

  enum CodingKeys: String, CodingKey {
    case samples
    case time = "time_s"
    case threshold, chip, software, rmsToSoftware, reference, referenceSHA256
  }

  /// Runs the network in software from the same realised start points and compares both.
  public init(_ run: TwinRun, model: ScoreModel, reference: ReferenceTrajectories, threshold: Double = 0.3) {
    samples = run.samples.count
    time = run.time
    self.threshold = threshold
    self.reference = reference.name
    referenceSHA256 = reference.sha256
    let points = run.time.count
    let software = model.network.trajectories(from: run.samples.xT, points: points)
    let difference = SampleMetrics.rootMeanSquareDifference(run.trajectory, software)
    rmsToSoftware = difference.isFinite ? difference : nil
    // The converter moves a start point by its step, far below this.
    let isReference =
      run.samples.count <= reference.count && reference.frames % points == 0
      && zip(run.samples.xT, reference.start).allSatisfy { abs($0 - $1) < 0.01 }
    guard isReference else { return }
    chip = PredictionError(run.trajectory, points: points, against: reference, threshold: threshold)
    self.software = PredictionError(software, points: points, against: reference, threshold: threshold)
  }
}
