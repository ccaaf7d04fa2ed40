internal import Foundation

/// The law by which one pulse moves a cell, fitted to ramps of pulses with a read after each.
///
/// A pulse of amplitude V takes a cell the share 1 − e⁻ˣ of its way to the end point, ln x normal with mean ln10·(V − V₁)/s and spread c: V₁
/// is the device's own, s the volts a decade. What is too small to be read, or too near the end point, is known to be less or more than a
/// bound only: a censored regression (Tobin, Econometrica 26, 24, 1958) with a constant of every device, solved by expectation and
/// maximization (Dempster, Laird and Rubin, J. R. Stat. Soc. B 39, 1, 1977). Which pulses count is decided before their outcome.
struct PulseLaw {
  /// Volts: mean of the devices, and σ between them without what their own estimates add.
  var voltage: Double
  var deviceSpread: Double
  var voltsPerDecade: Double
  /// σ of ln x from pulse to pulse.
  var cycleSpread: Double
  /// ln x at 0 V of each device; NaN for those that do not count.
  private(set) var constants: [Double]

  /// The same law of some of its devices, or of others.
  func law(of pieces: [Int]) -> PulseLaw {
    var part = self
    part.constants = pieces.map { constants[$0] }
    return part
  }

  /// One pulse of one device.
  struct Point {
    var volts: Double
    var kind: Kind
    /// ln x, or the bound of it.
    var value: Double

    enum Kind { case seen, below, above }
  }

  /// Shares of the whole way: a pulse that covers less counts as too small to be told from the cell's noise, which would pass for spread of
  /// the pulses; what leaves less is too near an end point that differs from pulse to pulse.
  static let (least, deepest) = (0.1, 0.3)

  /// Pulses of a ramp from `start` to the end point `end`; `curve` holds the conductances after each, all of one unit.
  ///
  /// - Parameter noise: σ of a read; of ways shorter than 20 of it nothing is told.
  static func points(start: Double, curve: [Double], end: Double, volts: [Double], noise: Double) -> [Point] {
    let span = abs(start - end)
    guard span > 20 * noise else { return [] }
    var points: [Point] = []
    var before = span
    for (volts, value) in zip(volts, curve) {
      let after = end > start ? end - value : value - end
      // From here on the rest of the way is too short to tell outcomes apart.
      guard before > 2 * deepest * span else { break }
      if before - after < least * span {
        points.append(Point(volts: volts, kind: .below, value: log(log(before / (before - least * span)))))
      } else if after < deepest * span {
        points.append(Point(volts: volts, kind: .above, value: log(log(before / (deepest * span)))))
      } else {
        points.append(Point(volts: volts, kind: .seen, value: log(log(before / after))))
      }
      before = after
    }
    return points
  }

  /// Steps of expectation and maximization are made longer: most pulses are censored, and the plain step goes a sixteenth of the way. Below 2
  /// the iteration still ends where the plain one does (Salakhutdinov and Roweis, Proc. ICML, 664, 2003).
  private static let stride = 1.8

  /// - Parameters:
  ///   - all: pulses of one device each; those of which no pulse is seen do not count.
  ///   - start: a law near the result, with a constant of each device, to begin with.
  init?(_ all: [[Point]], near start: PulseLaw? = nil) {
    let used = all.indices.filter { place in all[place].contains { $0.kind == .seen } }
    let devices = used.map { all[$0] }
    guard devices.count >= 4 else { return nil }
    let points = devices.flatMap { $0 }
    let ends = devices.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.count) }
    var slope = log(10) / (start?.voltsPerDecade ?? 0.2)
    var sigma = start?.cycleSpread ?? 0.5
    var constants = zip(used, devices).map { place, group in
      if let known = start?.constants[place], known.isFinite { return known }
      return mean(group.filter { $0.kind == .seen }.map { $0.value - slope * $0.volts })
    }
    // Distances from the device's own mean voltage.
    var away = points.map(\.volts)
    var centres: [Double] = []
    for device in devices.indices {
      let centre = mean(devices[device].map(\.volts))
      centres.append(centre)
      for place in ends[device]..<ends[device + 1] { away[place] -= centre }
    }
    let xx = away.reduce(0) { $0 + $1 * $1 }
    // Every device's own constant and the slope are taken from the data.
    let free = Double(points.count - devices.count - 1)
    guard xx > 0, free > 0 else { return nil }
    var values = points.map(\.value)
    for _ in 0..<400 {
      var (xy, hidden) = (0.0, 0.0)
      for device in devices.indices {
        for place in ends[device]..<ends[device + 1] {
          let point = points[place]
          if point.kind != .seen {
            let centre = constants[device] + slope * point.volts
            let tail = NormalTail((point.value - centre) / sigma, above: point.kind == .above)
            values[place] = centre + sigma * tail.mean
            hidden += sigma * sigma * tail.variance
          }
          xy += away[place] * values[place]
        }
      }
      let next = xy / xx
      var squares = hidden
      for device in devices.indices {
        let places = ends[device]..<ends[device + 1]
        let middle = places.reduce(0.0) { $0 + values[$1] } / Double(places.count)
        constants[device] += Self.stride * (middle - next * centres[device] - constants[device])
        for place in places {
          let rest = values[place] - middle - next * away[place]
          squares += rest * rest
        }
      }
      let spread = (squares / free).squareRoot()
      let changes = (slope: Self.stride * (next - slope), sigma: Self.stride * (spread - sigma))
      slope += changes.slope
      sigma += changes.sigma
      guard slope > 0, sigma > 0 else { return nil }
      if abs(changes.slope) < 1e-6 * slope, abs(changes.sigma) < 1e-6 * sigma { break }
    }
    let voltages = constants.map { -$0 / slope }
    // What each device's own estimate adds to the spread of the devices; censored pulses tell about half as much.
    let own = mean(
      devices.map { group in
        let told = group.reduce(0.0) { $0 + ($1.kind == .seen ? 1 : 0.5) }
        return sigma * sigma / (told * slope * slope)
      })
    voltage = mean(voltages)
    deviceSpread = max(0, variance(voltages) - own).squareRoot()
    voltsPerDecade = log(10) / slope
    cycleSpread = sigma
    self.constants = [Double](repeating: .nan, count: all.count)
    for (place, constant) in zip(used, constants) { self.constants[place] = constant }
  }
}
