internal import Foundation

func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

/// Standard deviation, divisor n − 1; NaN below two values.
func deviation(_ values: [Double]) -> Double { variance(values).squareRoot() }

func variance(_ values: [Double]) -> Double {
  let centre = mean(values)
  return values.reduce(0) { $0 + ($1 - centre) * ($1 - centre) } / Double(values.count - 1)
}

/// Linear interpolation between the order statistics, numpy's default; NaN without values.
func quantile(_ values: [Double], _ p: Double) -> Double {
  guard !values.isEmpty else { return .nan }
  let sorted = values.sorted()
  let position = p * Double(sorted.count - 1)
  let lower = Int(position.rounded(.down))
  let upper = min(lower + 1, sorted.count - 1)
  return sorted[lower] + (position - Double(lower)) * (sorted[upper] - sorted[lower])
}

func median(_ values: [Double]) -> Double { quantile(values, 0.5) }

/// Least-squares line y = slope·x + offset; NaN where x does not vary.
func line(_ x: [Double], _ y: [Double]) -> (slope: Double, offset: Double) {
  let (meanX, meanY) = (mean(x), mean(y))
  var (xx, xy) = (0.0, 0.0)
  for (x, y) in zip(x, y) {
    xx += (x - meanX) * (x - meanX)
    xy += (x - meanX) * (y - meanY)
  }
  let slope = xy / xx
  return (slope, meanY - slope * meanX)
}

/// Spreads of repeated measurements of several devices, kept apart by a one-way analysis of variance.
struct Spreads {
  /// σ from cycle to cycle in one device, what `noise` adds taken off.
  var cycle: Double
  /// σ between the devices' own means, what the cycles leave in a mean taken off.
  var device: Double

  /// - Parameters:
  ///   - devices: values of one device each, all of one length ≥ 2.
  ///   - noise: σ of a single read.
  init(_ devices: [[Double]], noise: Double) {
    let within = mean(devices.map(variance))
    let between = variance(devices.map(mean))
    cycle = max(0, within - noise * noise).squareRoot()
    device = max(0, between - within / Double(devices.first?.count ?? 1)).squareRoot()
  }
}

/// Points of an empirical distribution: sorted values with (k − ½)/n.
func distribution(_ values: [Double]) -> [[Double]] {
  let sorted = values.filter(\.isFinite).sorted()
  return sorted.enumerated().map { [$1, (Double($0) + 0.5) / Double(sorted.count)] }
}

func text(_ value: Double, digits: Int = 3) -> String { value.isFinite ? String(format: "%.\(digits)g", value) : "–" }

/// Up to forty of them in a sentence's end, and how many more there are.
func listed(_ items: [String]) -> String {
  items.prefix(40).joined(separator: "; ") + (items.count > 40 ? "; and \(items.count - 40) more." : ".")
}
