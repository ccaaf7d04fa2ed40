import RRAMUnits

/// Published relaxation statistics of 1T1R HfOx cells, µS: mean, covariance and quantiles of G(t) − G(0), G(0) the accepted read.
///
/// Computed from the open data set akashlevy/RRAM-Relaxation-Master-Model (techC, MIT licence, © 2021 Akash Levy): cells that
/// have all time points, by conductance at write.
public struct PublishedRelaxation: Sendable {
  /// Seconds since the accepted read.
  public static let times: [Double] = [0.01, 1, 3.44, 1e5]
  /// Per cent of the cells.
  public static let quantileLevels: [Double] = [0.5, 2.5, 15.87, 50, 84.13, 97.5, 99.5]

  /// Conductances at write, µS.
  public var range: ClosedRange<Double>
  public var cells: Int
  public var mean: [Double]
  /// (times, times), row-major, µS².
  public var covariance: [Double]
  /// (levels, times), row-major.
  public var quantiles: [Double]

  /// σ at time number `time`.
  public func sigma(_ time: Int) -> Double { covariance[time * Self.times.count + time].squareRoot() }
  /// Correlation of the changes up to two times.
  public func correlation(_ a: Int, _ b: Int) -> Double {
    covariance[a * Self.times.count + b] / (sigma(a) * sigma(b))
  }

  public static let bins: [PublishedRelaxation] = [
    PublishedRelaxation(
      range: 0...5, cells: 1968, mean: [0.065, 0.22, 0.357, 0.475],
      covariance: [
        0.532, 0.17, 0.153, 0.152, 0.17, 2.05, 1.766, 1.004, 0.153, 1.766, 3.128, 1.39, 0.152, 1.004, 1.39, 4.932,
      ],
      quantiles: [
        -1.714, -2.962, -3.123, -3.612, -0.874, -2.097, -2.108, -2.8, -0.152, -0.704, -0.777, -1.184, 0.001, 0.019,
        0.046, 0.055, 0.186, 1.047, 1.367, 2.073, 1.325, 3.64, 4.574, 6.118, 3.945, 6.972, 10.878, 10.116,
      ]),
    PublishedRelaxation(
      range: 5...10, cells: 1512, mean: [-0.024, -0.236, -0.244, -0.471],
      covariance: [
        0.899, 0.425, 0.411, 0.374, 0.425, 4.549, 3.746, 2.218, 0.411, 3.746, 6.025, 2.779, 0.374, 2.218, 2.779, 10.653,
      ],
      quantiles: [
        -3.296, -5.795, -6.146, -6.855, -1.986, -4.302, -4.564, -5.647, -0.381, -1.962, -2.173, -3.408, -0.011, -0.22,
        -0.303, -0.841, 0.325, 1.066, 1.306, 2.261, 1.527, 4.838, 5.729, 7.022, 4.519, 9.331, 11.266, 12.326,
      ]),
    PublishedRelaxation(
      range: 10...20, cells: 1455, mean: [-0.074, -0.52, -0.693, -1.88],
      covariance: [
        1.506, 1.076, 0.945, 0.953, 1.076, 6.747, 5.536, 4.056, 0.945, 5.536, 7.878, 4.687, 0.953, 4.056, 4.687, 17.002,
      ],
      quantiles: [
        -5.978, -10.307, -11.484, -14.396, -2.841, -7.207, -7.854, -11.367, -0.482, -2.359, -2.726, -5.542, -0.021,
        -0.25, -0.376, -1.581, 0.437, 1.173, 1.305, 1.433, 1.846, 4.3, 4.443, 6.39, 5.13, 7.239, 6.94, 10.95,
      ]),
    PublishedRelaxation(
      range: 20...30, cells: 1469, mean: [-0.106, -0.51, -0.634, -2.014],
      covariance: [
        0.93, 0.8, 0.702, 0.392, 0.8, 4.921, 4.015, 2.955, 0.702, 4.015, 5.296, 2.969, 0.392, 2.955, 2.969, 14.108,
      ],
      quantiles: [
        -4.495, -11.784, -11.554, -17.113, -2.221, -5.386, -6.18, -11.689, -0.547, -1.804, -2.163, -4.764, -0.033,
        -0.264, -0.32, -1.512, 0.417, 0.831, 0.866, 0.901, 1.452, 3.123, 3.313, 3.975, 2.873, 5.416, 5.467, 6.268,
      ]),
    PublishedRelaxation(
      range: 30...40, cells: 1233, mean: [-0.101, -0.449, -0.61, -2.178],
      covariance: [
        0.708, 0.41, 0.482, 0.446, 0.41, 2.881, 2.579, 1.811, 0.482, 2.579, 4.14, 2.578, 0.446, 1.811, 2.578, 11.575,
      ],
      quantiles: [
        -3.865, -7.612, -8.109, -14.35, -2.022, -4.005, -4.954, -9.953, -0.532, -1.667, -2.174, -4.987, -0.02, -0.294,
        -0.381, -1.777, 0.406, 0.796, 0.937, 0.709, 1.396, 2.492, 2.89, 2.789, 2.668, 4.11, 4.147, 4.844,
      ]),
  ]
}
