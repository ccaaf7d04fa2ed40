import Glibc
import RRAMProfiles
import RRAMUnits

/// The noise and drift law of a profile's cells, in µS and seconds, in the form the inner loops use.
///
/// Stationary part: 1/f noise as a sum of independent Ornstein–Uhlenbeck processes ("modes"), one a decade of correlation
/// time. A process of variance v and correlation time τ has the one-sided density 4vτ/(1 + (2πfτ)²); the sum over
/// log-spaced τ with v = A²·ln 10 a decade is A²/f between the corners, A = k·log10(G/µS).
/// Accumulating part: a walk whose variance at time t after the write is what the stationary part leaves of σ(t)².
struct CellDynamics: Sendable {
  /// Correlation times in seconds; none for a chip without 1/f noise.
  let correlationTimes: [Double]
  /// √(ln 10 · decades a mode): a mode's σ is A times this.
  let modeWeight: Float
  /// Weights that make every mode count in full.
  let fullWeights: [Float]
  /// ``NormalTable``, held here so that inner loops need not look for it.
  let normalTable = NormalTable.values
  let flicker: Double
  /// White density in µS/√Hz.
  let whiteDensity: Double
  /// σ of a read in units of A, for the decision whether a pulse restarts the walk.
  let readSigma: Double
  let meanSlope: Double
  let sigmaSlope: Double
  let sigmaOffset: Double
  let firstTime: Double
  let hasWalk: Bool
  /// Variance of the difference of the stationary part between two times, in units of A², against log10 of their distance.
  private let variogram: [Double]
  private let variogramStart: Double
  private static let pointsPerDecade = 16.0

  init(_ profile: ChipProfile) {
    let noise = profile.readNoise
    let fastest = noise.correlationTimes.lowerBound.seconds
    let slowest = noise.correlationTimes.upperBound.seconds
    flicker = noise.flicker.microsiemens
    whiteDensity = noise.whiteDensity * 1e6
    let decades = log10(slowest / fastest)
    let count = flicker > 0 && decades > 0 ? max(1, Int(decades.rounded())) : 0
    let decadesPerMode = count > 0 ? decades / Double(count) : 0
    let times = (0..<count).map { fastest * pow(10, (Double($0) + 0.5) * decadesPerMode) }
    correlationTimes = times
    fullWeights = [Float](repeating: 1, count: count)
    let weight = log(10) * decadesPerMode
    modeWeight = Float(weight.squareRoot())
    // Published form: σ = A·√ln((t + t_r)/2t_r) over a time t of reads of t_r each.
    let reference = noise.referenceTime.seconds
    readSigma = log((reference + fastest) / (2 * fastest)).squareRoot()

    let relaxation = profile.relaxation
    meanSlope = relaxation.meanSlope.microsiemens
    sigmaSlope = relaxation.sigmaSlope.microsiemens
    sigmaOffset = relaxation.sigmaOffset.microsiemens
    firstTime = relaxation.firstTime.seconds
    hasWalk = sigmaSlope > 0 || sigmaOffset > 0
    variogramStart = log10(fastest) - 2
    let points = Int((log10(slowest) + 2 - variogramStart) * Self.pointsPerDecade) + 1
    let start = variogramStart
    variogram = (0..<max(points, 2)).map { point in
      let t = pow(10, start + Double(point) / Self.pointsPerDecade)
      return 2 * weight * times.reduce(0) { $0 - expm1(-t / $1) }
    }
  }

  var modeCount: Int { correlationTimes.count }
  /// False if formed cells keep their conductance for ever.
  var isAlive: Bool { modeCount > 0 || hasWalk || meanSlope != 0 }

  /// A = k·log10(G/µS) in µS, 0 up to 1 µS.
  func amplitude(at conductance: Double) -> Double { conductance > 1 ? flicker * log10(conductance) : 0 }

  /// Mean shift in µS at ln(t/s) after the write.
  func mean(logTime: Double, time: Double) -> Double { time >= firstTime ? meanSlope * logTime : 0 }

  /// Variance of the walk in µS² at time t after the write of a cell whose 1/f amplitude is A.
  func walkVariance(logTime: Double, amplitude: Double) -> Double {
    let sigma = max(0, sigmaSlope * logTime + sigmaOffset)
    guard sigma > 0 else { return 0 }
    return max(0, sigma * sigma - amplitude * amplitude * stationaryVariogram(logTime: logTime))
  }

  private func stationaryVariogram(logTime: Double) -> Double {
    let position = (logTime * 0.434_294_481_903_251_8 - variogramStart) * Self.pointsPerDecade
    guard position > 0 else { return variogram[0] }
    let index = Int(position)
    guard index < variogram.count - 1 else { return variogram[variogram.count - 1] }
    let fraction = position - Double(index)
    return variogram[index] + fraction * (variogram[index + 1] - variogram[index])
  }

  /// By what factor averaging over `time` shrinks each mode's σ: √((2/x)(1 − (1 − e⁻ˣ)/x)), x = time/τ.
  func averagingFactors(over time: Double) -> [Float] {
    correlationTimes.map { tau in
      let x = time / tau
      guard x > 1e-3 else { return Float((1 - x / 3).squareRoot()) }
      return Float((2 / x * (1 + expm1(-x) / x)).squareRoot())
    }
  }
}

/// Cheap normal numbers for the modes: 2 048 equally likely values with the quantiles of a normal, mean 0, variance 1.
///
/// A mode mixes many draws, and eleven modes add up, so the steps and the cut at 3.4 σ do not show in a conductance.
enum NormalTable {
  static let bits = 11
  static let values: [Float] = {
    let count = 1 << bits
    let raw = (0..<count).map { inverseNormal((Double($0) + 0.5) / Double(count)) }
    let scale = (raw.reduce(0) { $0 + $1 * $1 } / Double(count)).squareRoot()
    return raw.map { Float($0 / scale) }
  }()

  /// Quantile of the standard normal: Newton's method on Φ(z) = ½ erfc(−z/√2).
  private static func inverseNormal(_ p: Double) -> Double {
    var z = 0.0
    for _ in 0..<60 {
      let density = exp(-z * z / 2) / (2 * Double.pi).squareRoot()
      // Steps beyond 1 would leave the region in which the iteration converges.
      let step = min(max((0.5 * erfc(-z / 2.0.squareRoot()) - p) / density, -1), 1)
      z -= step
      if abs(step) < 1e-14 { break }
    }
    return z
  }
}
