internal import Foundation
internal import RRAMBoard

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

  /// One pulse of one device.
  struct Point {
    var device: Int
    var volts: Double
    var kind: Kind
    /// ln x, or the bound of it.
    var value: Double

    enum Kind { case seen, below, above }
  }

  /// Pulses of a ramp from `start` to the end point `end`; `curve` holds the conductances after each, all of one unit.
  ///
  /// - Parameters:
  ///   - noise: σ of a read.
  ///   - deepest: share of the whole way that may be left for a pulse's outcome to be told.
  static func points(
    device: Int, start: Double, curve: [Double], end: Double, volts: [Double], noise: Double, deepest: Double
  ) -> [Point] {
    let span = abs(start - end)
    guard span > 20 * noise else { return [] }
    var points: [Point] = []
    var before = abs(start - end)
    for (volts, value) in zip(volts, curve) {
      let after = end > start ? end - value : value - end
      // From here on the rest of the way is too short to tell outcomes apart.
      guard before > 2 * deepest * span else { break }
      if before - after < 3 * noise {
        points.append(Point(device: device, volts: volts, kind: .below, value: log(log(before / (before - 3 * noise)))))
      } else if after < deepest * span {
        points.append(Point(device: device, volts: volts, kind: .above, value: log(log(before / (deepest * span)))))
      } else {
        points.append(Point(device: device, volts: volts, kind: .seen, value: log(log(before / after))))
      }
      before = min(before, after)
    }
    return points
  }

  init?(_ points: [Point]) {
    let devices = Dictionary(grouping: points, by: \.device).values.filter { group in
      group.contains { $0.kind == .seen }
    }
    guard devices.count >= 4 else { return nil }
    var slope = log(10) / 0.2
    var sigma = 0.5
    var constants = devices.map { group in
      let seen = group.filter { $0.kind == .seen }
      return mean(seen.map { $0.value - slope * $0.volts })
    }
    for _ in 0..<200 {
      var (xx, xy, squares, count) = (0.0, 0.0, 0.0, 0)
      var filled: [[(volts: Double, value: Double, variance: Double)]] = []
      for (device, group) in devices.enumerated() {
        filled.append(
          group.map { point in
            let centre = constants[device] + slope * point.volts
            guard point.kind != .seen else { return (point.volts, point.value, 0) }
            let (shift, rest) = Self.tail((point.value - centre) / sigma, above: point.kind == .above)
            return (point.volts, centre + sigma * shift, sigma * sigma * rest)
          })
      }
      for group in filled {
        let (volts, value) = (mean(group.map(\.volts)), mean(group.map(\.value)))
        for point in group {
          xx += (point.volts - volts) * (point.volts - volts)
          xy += (point.volts - volts) * (point.value - value)
        }
      }
      guard xx > 0 else { return nil }
      let next = xy / xx
      for (device, group) in filled.enumerated() {
        constants[device] = mean(group.map { $0.value - next * $0.volts })
        for point in group {
          let rest = point.value - constants[device] - next * point.volts
          squares += rest * rest + point.variance
          count += 1
        }
      }
      let change = abs(next - slope) / abs(next)
      slope = next
      // Every device's own constant and the slope are taken from the data.
      let free = Double(count - devices.count - 1)
      guard free > 0, slope > 0 else { return nil }
      let spread = (squares / free).squareRoot()
      let moved = abs(spread - sigma) / spread
      sigma = spread
      if change < 1e-6, moved < 1e-6 { break }
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
  }

  /// Mean and variance of a standard normal that is known to lie above or below z.
  private static func tail(_ z: Double, above: Bool) -> (mean: Double, variance: Double) {
    let bound = above ? z : -z
    let density = exp(-bound * bound / 2) / (2 * Double.pi).squareRoot()
    let share = 0.5 * erfc(bound / 2.0.squareRoot())
    // Far out the hazard is the bound itself and a bit (Gordon, Ann. Math. Stat. 12, 364, 1941).
    let hazard = share > 1e-12 ? density / share : bound + 1 / max(bound, 1)
    let rest = max(1e-6, 1 - hazard * (hazard - bound))
    return (above ? hazard : -hazard, rest)
  }
}
