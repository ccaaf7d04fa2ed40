public import RRAMProfiles
import RRAMUnits

/// A chip profile's statistics as its emulated cells show them, beside the published numbers.
///
/// Everything is drawn from `seed`; the same profile, seed and size give the same figures.
public struct ProfileCheck: Sendable {
  /// One figure: what is published, what the model shows.
  public struct Row: Sendable, Hashable {
    public var section: String
    public var quantity: String
    public var unit: String
    public var published: Double
    public var model: Double
    /// Largest |model − published| that counts as agreement, in `unit`; `nil` where `published` is a limit that the model has to stay
    /// below.
    public var bound: Double?
    /// Cells, or samples where it says so in `quantity`.
    public var sampleSize: Int
    /// True where the profile's numbers were chosen so that this figure comes out; false where it is a prediction.
    public var isFitted: Bool
    public var source: String

    public var isWithinBound: Bool { bound.map { abs(model - published) <= $0 } ?? (model < published) }
  }

  /// One picture.
  public struct Figure: Sendable {
    public struct Series: Sendable {
      public var name: String
      public var isPublished: Bool
      public var points: [(x: Double, y: Double)]
    }
    public var title: String
    public var xLabel: String
    public var yLabel: String
    public var isLogarithmic: Bool
    public var series: [Series]
  }

  public var profile: ChipProfile
  public var seed: UInt64
  /// Cells a statistic is made of, as far as it does not name its own number.
  public var cells: Int
  public private(set) var rows: [Row] = []
  public private(set) var figures: [Figure] = []

  /// Runs the statistics that apply to a profile: forming for all, the published tables for the shipped ones they belong to.
  ///
  /// - Parameters:
  ///   - cells: a power of four from 1 024 on; published tests used 4 000 to 24 576.
  public init(_ profile: ChipProfile, cells: Int = 16_384, seed: UInt64 = 1) throws(PhysicsError) {
    self.profile = profile
    self.seed = seed
    self.cells = max(1024, cells)
    try checkForming()
    switch profile.name {
    case "cmo-hfox": try checkPublishedFit()
    case "hfox-analog": try checkRelaxation()
    case "hfox-mlc":
      try checkStates()
      try checkReadNoise()
      try checkWriteSchemes()
      try checkBake()
    default: break
    }
  }

  /// Every figure within its bound.
  public var isWithinBounds: Bool { rows.allSatisfy(\.isWithinBound) }

  mutating func add(
    _ section: String, _ quantity: String, _ unit: String, published: Double, model: Double, bound: Double?, n: Int,
    fitted: Bool, source: String
  ) {
    rows.append(
      Row(
        section: section, quantity: quantity, unit: unit, published: published, model: model, bound: bound,
        sampleSize: n, isFitted: fitted, source: source))
  }

  mutating func add(_ figure: Figure) { figures.append(figure) }

  /// A macro of `count` cells; 64 columns.
  func crossbar(_ count: Int, _ profile: ChipProfile, stream: UInt64) -> Crossbar {
    Crossbar(
      profile: profile, shape: MacroShape(rows: (count + 63) / 64, columns: 64), macro: 0,
      seed: seed &* 1_000_003 &+ stream)
  }

  /// The profile without defective cells, which would have to be left out of every statistic.
  var withoutDefects: ChipProfile {
    var profile = profile
    profile.cells.stuckLowFraction = 0
    profile.cells.stuckHighFraction = 0
    profile.cells.unformableFraction = 0
    profile.cells.leakyFraction = 0
    return profile
  }

  // MARK: Forming

  private mutating func checkForming() throws(PhysicsError) {
    let cells = profile.cells
    let sound = crossbar(self.cells, withoutDefects, stream: 1)
    let n = sound.cellCount
    let voltages = (0..<n).map { sound.formingVoltage(of: $0).rawValue }.sorted()
    let moments = Moments(voltages)
    let root = Double(n).squareRoot()
    let sigma = cells.formingSigma.rawValue
    func source(_ key: String) -> (text: String, fitted: Bool) {
      switch profile.provenance[key] {
      case .published(let text): (text, true)
      case .assumed(let text): ("assumed: \(text)", true)
      case nil: ("", true)
      }
    }
    let rows: [(String, String, Double, Double, Double)] = [
      ("mean of the forming voltage", "mean", cells.formingMean.rawValue, moments.mean, 4 * sigma / root),
      ("σ of the forming voltage", "sigma", sigma, moments.sigma, 4 * sigma / root),
      // Density at the quantiles of a distribution with such tails: about 0.01/σ.
      (
        "1 % quantile of the forming voltage", "quantile1", cells.formingQuantile1.rawValue, quantile(voltages, 1),
        20 * sigma / root
      ),
      (
        "99 % quantile of the forming voltage", "quantile99", cells.formingQuantile99.rawValue, quantile(voltages, 99),
        20 * sigma / root
      ),
    ]
    for (quantity, key, published, model, bound) in rows {
      let origin = source("cells.forming.\(key)")
      add(
        "forming", quantity, "V", published: published, model: model, bound: bound, n: n, fitted: origin.fitted,
        source: origin.text)
    }
    // The ramp itself: what an experimenter reads off is the step at which the cell conducts.
    var ramped = sound
    var seen = [Double](repeating: .nan, count: n)
    let bias = profile.programming.forming
    var amplitude = bias.start
    var now = 0.0
    while amplitude <= bias.stop + Volts(1e-9) {
      now += 1e-4
      let pristine = (0..<n).filter { !ramped.isFormed($0) }
      try ramped.pulse(
        pristine, Pulse(kind: .forming, wordLine: bias.wordLine, amplitude: amplitude, width: bias.width), at: now)
      for cell in pristine where ramped.isFormed(cell) { seen[cell] = amplitude.rawValue }
      amplitude = amplitude + bias.step
    }
    let formed = seen.filter(\.isFinite)
    add(
      "forming", "cells that form up to the ramp's end", "%", published: 100,
      model: 100 * Double(formed.count) / Double(n), bound: 0.5, n: n, fitted: false, source: "ramp of the profile")
    let after = try ramped.conductances(of: CellBlock(macro: 0, shape: ramped.shape), at: now).map(\.microsiemens)
    let resistance = Moments(zip(after, seen).filter { $0.1.isFinite }.map { 1000 / $0.0 }).median
    add(
      "forming", "median resistance after the ramp", "kΩ", published: 1000 / cells.formedConductance.microsiemens,
      model: resistance, bound: 0.1 * 1000 / cells.formedConductance.microsiemens, n: n, fitted: true,
      source: source("cells.formed.conductance").text)
    let steps = formed.sorted()
    add(
      Figure(
        title: "Forming voltage: share of cells formed", xLabel: "bit line (V)", yLabel: "share", isLogarithmic: false,
        series: [
          .init(
            name: "ramp on the emulated cells", isPublished: false,
            points: stride(from: bias.start.rawValue, through: bias.stop.rawValue, by: bias.step.rawValue).map { v in
              (v, Double(steps.count { $0 <= v + 1e-9 }) / Double(n))
            }),
          .init(
            name: "published quantiles", isPublished: true,
            points: [(cells.formingQuantile1.rawValue, 0.01), (cells.formingQuantile99.rawValue, 0.99)]),
        ]))
  }
}

/// Mean, standard deviation and median.
struct Moments {
  var mean: Double
  var sigma: Double
  var median: Double

  init(_ values: [Double]) {
    let n = Double(max(values.count, 1))
    let mean = values.reduce(0, +) / n
    self.mean = mean
    sigma = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / max(n - 1, 1)).squareRoot()
    median = quantile(values.sorted(), 50)
  }
}

/// Percentile of sorted numbers, linear between neighbours.
func quantile(_ sorted: [Double], _ percent: Double) -> Double {
  guard let last = sorted.last else { return .nan }
  let position = percent / 100 * Double(sorted.count - 1)
  let index = Int(position)
  guard index + 1 < sorted.count else { return last }
  return sorted[index] + (position - Double(index)) * (sorted[index + 1] - sorted[index])
}
