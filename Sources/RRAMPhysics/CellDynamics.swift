import CAnalogKernel
import Glibc
import RRAMProfiles
import RRAMUnits

/// The noise and drift law of a profile's cells, in µS and seconds, in the form the inner loops use.
///
/// Stationary part: 1/f noise as a sum of independent Ornstein–Uhlenbeck processes ("modes"), one a decade of correlation
/// time. A process of variance v and correlation time τ has the one-sided density 4vτ/(1 + (2πfτ)²); the sum over
/// log-spaced τ with v = A²·ln 10 a decade is A²/f between the corners, A = k·log10(G/µS). Where the profile has the law of two
/// components, v = a/2 a decade, times the cell's own strength, and one more mode is its fast part.
/// Accumulating part: a walk with variance b·log10(1 + t/t₀), or what the stationary part leaves of the published σ(t)².
struct CellDynamics: Sendable {
  /// Correlation times of all modes in seconds; the last one is that of the fast part if there is one.
  let correlationTimes: [Double]
  let rates: [Float]
  /// Modes of the 1/f noise, without the fast one.
  let decades: Int
  /// 1 for every mode of the 1/f noise.
  let fullWeights: [Float]
  /// σ of a mode in units of A: √(ln 10 · decades a mode).
  private let modeWeight: Double
  let flicker: Double
  /// White density in µS/√Hz.
  let whiteDensity: Double
  /// σ of a read in units of the σ of one mode, for the decision whether a pulse restarts the walk.
  private let readSigma: Double
  private let components: Components?
  private let meanSlope: Double
  private let firstTime: Double
  let hasWalk: Bool
  let hasTraps: Bool
  /// Tables of the ageing kernel; see cell_ageing.h.
  let normals: [Float]
  let decay: [Float]
  let walkTable: [Float]
  let stationaryTable: [Float]
  /// Fold by which time runs faster per 1/K below 1/T₀.
  private let activation: Double
  private let referenceTemperature: Double

  /// The law of two components as plain numbers: lists over conductances at write in µS.
  private struct Components {
    var conductances: [Double]
    /// a, b and w in µS² (a decade).
    var stationary: [Double]
    var accumulating: [Double]
    var fast: [Double]
    /// µS a decade.
    var mean: [Double]
    var meanOnset: Double
    var asymmetry: [Double]

    init(_ components: ChipProfile.Relaxation.Components) {
      conductances = components.conductances.map(\.microsiemens)
      stationary = components.stationary.map { $0 * 1e12 }
      accumulating = components.accumulating.map { $0 * 1e12 }
      fast = components.fast.map { $0 * 1e12 }
      mean = components.mean.map(\.microsiemens)
      meanOnset = components.meanOnset.seconds
      asymmetry = components.asymmetry
    }

    /// Linear between the conductances, constant beyond.
    func value(_ list: [Double], at conductance: Double) -> Double {
      guard conductance > conductances[0] else { return list[0] }
      for upper in 1..<conductances.count where conductance <= conductances[upper] {
        let share = (conductance - conductances[upper - 1]) / (conductances[upper] - conductances[upper - 1])
        return list[upper - 1] + share * (list[upper] - list[upper - 1])
      }
      return list[list.count - 1]
    }
  }

  init(_ profile: ChipProfile) {
    let noise = profile.readNoise
    let components = profile.relaxation.components
    let fastest = noise.correlationTimes.lowerBound.seconds
    let slowest = noise.correlationTimes.upperBound.seconds
    flicker = noise.flicker.microsiemens
    whiteDensity = noise.whiteDensity * 1e6
    let span = log10(slowest / fastest)
    let isLive = flicker > 0 || components != nil
    let room = CA_MAX_MODES - (components == nil ? 0 : 1)
    let count = isLive && span > 0 ? min(room, max(1, Int(span.rounded()))) : 0
    let decadesPerMode = count > 0 ? span / Double(count) : 0
    let times = (0..<count).map { fastest * pow(10, (Double($0) + 0.5) * decadesPerMode) }
    correlationTimes = times + (components.map { [$0.fastTime.seconds] } ?? [])
    rates = correlationTimes.map { Float(1 / $0) }
    decades = count
    fullWeights = [Float](repeating: 1, count: count)
    modeWeight = (log(10) * decadesPerMode).squareRoot()
    // Published form: σ = A·√ln((t + t_r)/2t_r) over a time t of reads of t_r each.
    let reference = noise.referenceTime.seconds
    readSigma = count > 0 ? log((reference + fastest) / (2 * fastest)).squareRoot() / modeWeight : 0

    self.components = components.map(Components.init)
    let relaxation = profile.relaxation
    meanSlope = relaxation.meanSlope.microsiemens
    firstTime = relaxation.firstTime.seconds
    let sigmaSlope = relaxation.sigmaSlope.microsiemens
    let sigmaOffset = relaxation.sigmaOffset.microsiemens
    hasWalk = components != nil || sigmaSlope > 0 || sigmaOffset > 0
    hasTraps = noise.telegraph.fraction > 0 && noise.telegraph.step > 0
    normals = NormalTable.values
    decay = Self.nodes(first: CA_DECAY_FIRST, count: CA_DECAY_NODES).map { Float(-expm1(-$0)) }
    let ages = Self.nodes(first: CA_AGE_FIRST, count: CA_AGE_NODES)
    if let onset = components?.onset.seconds {
      walkTable = ages.map { Float(log10(1 + $0 / onset)) }
      stationaryTable = ages.map { _ in 0 }
    } else {
      walkTable = ages.map { age in
        let sigma = max(0, sigmaSlope * log(age) + sigmaOffset)
        return Float(sigma * sigma)
      }
      // Variance of the difference of the stationary part, in units of a mode's variance.
      stationaryTable = ages.map { age in
        var sum = 0.0
        for time in times { sum -= expm1(-age / time) }
        return Float(2 * sum)
      }
    }
    // Boltzmann's constant in eV/K.
    activation = profile.retention.activationEnergy / 8.617_333_262e-5
    referenceTemperature = profile.retention.referenceTemperature
  }

  /// The floats at which the kernel's tables have their nodes.
  private static func nodes(first: Int, count: Int) -> [Double] {
    (0..<count).map { Double(Float(bitPattern: UInt32(first + $0) << 19)) }
  }

  var modeCount: Int { rates.count }
  /// False if formed cells keep their conductance for ever.
  var isAlive: Bool { modeCount > 0 || hasWalk || hasTraps || meanSlope != 0 }

  /// By what factor time counts at `temperature` in K: Arrhenius, 1 at the reference temperature.
  func timeFactor(at temperature: Double) -> Double {
    exp(activation * (1 / referenceTemperature - 1 / temperature))
  }

  /// What a write to a conductance in µS makes of a cell: sizes of its noise and drift, in µS.
  struct Scales {
    /// σ of one mode of the 1/f noise, without the cell's own strength.
    var stationary: Double
    /// σ of the fast mode.
    var fast: Double
    /// Variance of the walk per unit of `walkTable`, without the cell's own strength.
    var walk: Double
  }

  func scales(at conductance: Double) -> Scales {
    guard let components else {
      return Scales(stationary: amplitude(at: conductance) * modeWeight, fast: 0, walk: hasWalk ? 1 : 0)
    }
    // v = a/2 for the processes of each decade: the variance of a difference is 2v a decade.
    let a = components.value(components.stationary, at: conductance)
    let w = components.value(components.fast, at: conductance)
    return Scales(
      stationary: (a / 2 * modeWeight * modeWeight / log(10)).squareRoot(), fast: (w / 2).squareRoot(),
      walk: components.value(components.accumulating, at: conductance))
  }

  /// σ in µS of a read, of the population at `conductance` µS.
  func readSigma(at conductance: Double) -> Double {
    let scales = scales(at: conductance)
    let slow = scales.stationary * readSigma
    return (slow * slow + scales.fast * scales.fast).squareRoot()
  }

  /// A = k·log10(G/µS) in µS, 0 up to 1 µS.
  private func amplitude(at conductance: Double) -> Double { conductance > 1 ? flicker * log10(conductance) : 0 }

  /// Mean shift in µS at `age` seconds after a write to `conductance` µS.
  func mean(age: Double, conductance: Double) -> Double {
    guard let components else { return meanSlope != 0 && age >= firstTime ? meanSlope * log(age) : 0 }
    guard age > 0 else { return 0 }
    return components.value(components.mean, at: conductance) * log10(1 + age / components.meanOnset)
  }

  /// Deviations count more on one side than on the other: x·(1 + κ) above 0, x·(1 − κ) below.
  func skewed(_ deviation: Double, conductance: Double) -> Double {
    guard let components else { return deviation }
    let kappa = components.value(components.asymmetry, at: conductance)
    return deviation * (deviation > 0 ? 1 + kappa : 1 - kappa)
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
  static let values: [Float] = {
    let count = CA_NORMALS
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
