internal import Foundation
internal import RRAMFiles
internal import RRAMUnits

/// Trajectories of the system that a neural ODE is the twin of, none of them used in its training: an npz with `time` (frames + 1),
/// seconds of the system, `x0` (n, 2), start points as measured, and `x` (n, frames + 1, 2), both in units of the network.
public struct ReferenceTrajectories: Sendable {
  /// The shipped reference's name or the path.
  public let name: String
  /// SHA-256 of the file, hexadecimal.
  public let sha256: String
  /// Seconds of the system, from 0 on, equally spaced over the loop's run; one more than there are frames.
  public let time: [Double]
  /// Start points as measured, (n, 2).
  public let start: [Float]
  /// (n, frames + 1, 2).
  public let x: [Float]
  /// Standard deviation of each coordinate over all trajectories and times: what errors are measured in.
  public let deviation: [Double]

  /// Trajectories.
  public var count: Int { start.count / 2 }
  /// Points of a trajectory after its start.
  public var frames: Int { time.count - 1 }

  /// Reads the shipped reference of a model's `rram.data`, or a file.
  public init(_ nameOrPath: String) throws(ModelError) {
    let path: String
    if ModelLibrary.isPath(nameOrPath, endings: [".npz"]) {
      path = nameOrPath
    } else if nameOrPath == "twin" {
      path = try ModelLibrary.resource("data/twin-reference.npz", name: "reference '\(nameOrPath)'")
    } else {
      throw ModelError(.unknownName, "reference '\(nameOrPath)'", reason: "unknown; there is twin, or a path")
    }
    let bytes = try readingFile { () throws(FileError) in try FileContents.read(path) }
    let archive = try readingFile { () throws(FileError) in try NPZArchive(bytes: bytes, file: path) }
    let times = try readingFile { () throws(FileError) in try archive.array("time") }
    guard times.shape.count == 1, times.shape[0] > 1, let seconds = times.doubles else {
      throw ModelError(.wrongShape, path, key: "time", reason: "shape \(times.shape), expected at least 2 numbers")
    }
    let points = try readingFile { () throws(FileError) in try archive.array("x0") }
    guard points.shape.count == 2, points.shape[0] > 0, points.shape[1] == 2, let start = points.floats else {
      throw ModelError(.wrongShape, path, key: "x0", reason: "shape \(points.shape), expected (n, 2)")
    }
    let shape = [points.shape[0], seconds.count, 2]
    let x = try readingFile { () throws(FileError) in try archive.floats("x", shape: shape) }
    if let bad = start.firstNonFinite ?? x.firstNonFinite {
      throw ModelError(.nonFinite, path, key: "x", reason: "element \(bad.index) is \(bad.value)")
    }
    self.init(
      name: nameOrPath, sha256: SHA256.hexadecimal(bytes), time: seconds, start: start, x: x)
  }

  /// Trajectories of any origin.
  public init(name: String, sha256: String = "", time: [Double], start: [Float], x: [Float]) {
    precondition(
      time.count > 1 && start.count % 2 == 0 && x.count == start.count * time.count, "the arrays' shapes differ")
    self.name = name
    self.sha256 = sha256
    self.time = time
    self.start = start
    self.x = x
    deviation = (0..<2).map { axis in
      let values = stride(from: axis, to: x.count, by: 2).map { Double(x[$0]) }
      let mean = values.reduce(0, +) / Double(values.count)
      return (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)).squareRoot()
    }
  }
}

extension ScoreNetwork {
  /// Free-running trajectories of a neural ODE in software, float32: Heun with a whole number of steps a point.
  ///
  /// - Parameters:
  ///   - start: (n, 2), units.
  ///   - points: of each trajectory, equally spaced over the loop's run, the start left out.
  ///   - steps: at least; rounded up to a multiple of `points`. With 1 600 steps of the shipped twin the solver's own error is below
  ///     a tenth of a percent.
  /// - Returns: (n, points, 2).
  public func trajectories(from start: [Float], points: Int, steps: Int = 1600) -> [Float] {
    precondition(points > 0 && steps > 0, "\(points) points, \(steps) steps")
    let perPoint = (steps + points - 1) / points
    let step = Float(1 - DiffusionProcess.endTime) / Float(points * perPoint)
    let n = start.count / dimensions
    var result = [Float](repeating: 0, count: start.count * points)
    var x = start
    for index in 0..<points * perPoint {
      let before = score(x, t: 1 - Float(index) * step)
      let predicted = zip(x, before).map { $0 + step * $1 }
      let after = score(predicted, t: 1 - Float(index + 1) * step)
      for i in x.indices { x[i] += 0.5 * step * (before[i] + after[i]) }
      guard (index + 1) % perPoint == 0 else { continue }
      let point = index / perPoint
      for sample in 0..<n {
        for axis in 0..<dimensions {
          result[(sample * points + point) * dimensions + axis] = x[sample * dimensions + axis]
        }
      }
    }
    return result
  }
}

/// How far predicted trajectories are from the reference, over time.
public struct PredictionError: Sendable, Hashable, Encodable {
  /// Root mean square over trajectories and coordinates at each point, in standard deviations of the reference's coordinate.
  public let overTime: [Double]
  /// Root mean square over all points.
  public let rms: Double
  /// Seconds of the system until a trajectory's own error first passes the threshold, the whole run if it never does: median.
  public let validTime: Double
  /// Trajectories whose error never passes it.
  public let validThroughout: Int

  enum CodingKeys: String, CodingKey {
    case overTime, rms
    case validTime = "validTime_s"
    case validThroughout
  }

  /// Compares trajectories (n, points, 2), start left out, with the first n of a reference.
  ///
  /// - Precondition: `points` divides the reference's frames.
  public init(_ predicted: [Float], points: Int, against reference: ReferenceTrajectories, threshold: Double) {
    let n = predicted.count / (2 * points)
    precondition(
      n > 0 && n <= reference.count && predicted.count == 2 * points * n && reference.frames % points == 0,
      "\(predicted.count) coordinates of \(points) points against \(reference.count) trajectories of \(reference.frames)"
    )
    let every = reference.frames / points
    var squares = [Double](repeating: 0, count: points)
    var times: [Double] = []
    var throughout = 0
    for sample in 0..<n {
      var valid: Double?
      for point in 0..<points {
        var square = 0.0
        for axis in 0..<2 {
          let truth = reference.x[(sample * (reference.frames + 1) + (point + 1) * every) * 2 + axis]
          let difference = Double(predicted[(sample * points + point) * 2 + axis]) - Double(truth)
          square += difference * difference / (reference.deviation[axis] * reference.deviation[axis])
        }
        squares[point] += square / 2
        // A value that is not finite is not below the threshold either.
        if valid == nil, !((square / 2).squareRoot() <= threshold) { valid = reference.time[(point + 1) * every] }
      }
      if valid == nil { throughout += 1 }
      times.append(valid ?? reference.time[reference.frames])
    }
    overTime = squares.map { ($0 / Double(n)).squareRoot() }
    rms = (squares.reduce(0, +) / Double(n * points)).squareRoot()
    times.sort()
    validTime = (times[(n - 1) / 2] + times[n / 2]) / 2
    validThroughout = throughout
  }
}
