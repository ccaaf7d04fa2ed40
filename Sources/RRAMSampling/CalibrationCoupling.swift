internal import Glibc
internal import RRAMUnits

/// Which start point shall end at which data point: an exact map from noise to data that a calibration can aim at.
public struct CalibrationCoupling: Sendable, Hashable {
  /// Start points of the loop's state y, shape (n, 2).
  public var start: [Float]
  /// Their ends, of y as well.
  public var end: [Float]

  public var count: Int { start.count / 2 }

  public init(start: [Float], end: [Float]) {
    precondition(start.count == end.count && start.count % 2 == 0, "\(start.count) and \(end.count) coordinates")
    self.start = start
    self.end = end
  }

  /// Points of the `ring` data, which look the same from all directions: a start point keeps its angle, and the quantile of its
  /// distance from the origin.
  ///
  /// - Parameters:
  ///   - data: shape (n, 2).
  ///   - scale: x of the data is scale·y.
  public init(isotropic data: [Double], count: Int, scale: Double, seed: UInt64) {
    var radii: [Double] = []
    radii.reserveCapacity(data.count / 2)
    for i in stride(from: 0, to: data.count - 1, by: 2) {
      let (x, y) = (data[i], data[i + 1])
      radii.append((x * x + y * y).squareRoot())
    }
    radii.sort()
    start = SamplingNoise.start(seed: seed, count: count)
    end = []
    end.reserveCapacity(start.count)
    // The start points' own ranks would carry their sampling error into the targets: 1 − exp(−r²/2) is exact.
    for i in 0..<count {
      let (x, y) = (Double(start[2 * i]), Double(start[2 * i + 1]))
      let squared = x * x + y * y
      let place = -expm1(-squared / 2) * Double(radii.count - 1)
      let below = min(Int(place), radii.count - 2)
      let radius = radii[below] + (place - Double(below)) * (radii[below + 1] - radii[below])
      let factor = squared > 0 ? radius / squared.squareRoot() / scale : 0
      end.append(Float(x * factor))
      end.append(Float(y * factor))
    }
  }

  /// The assignment of start points to data points with the least sum of squared distances.
  ///
  /// - Parameters:
  ///   - data: shape (n, 2); `count` of them are taken, evenly spread over the list.
  public init(matching data: [Double], count: Int, scale: Double, seed: UInt64) {
    let available = data.count / 2
    let count = min(count, available)
    start = SamplingNoise.start(seed: seed, count: count)
    var points: [Double] = []
    points.reserveCapacity(2 * count)
    for i in 0..<count {
      let index = i * available / count
      points.append(data[2 * index] / scale)
      points.append(data[2 * index + 1] / scale)
    }
    end = []
    end.reserveCapacity(2 * count)
    for partner in Assignment.leastSquares(from: start.map { Double($0) }, to: points) {
      end.append(Float(points[2 * partner]))
      end.append(Float(points[2 * partner + 1]))
    }
  }
}
