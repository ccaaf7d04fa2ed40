internal import Foundation

/// The activation energy of what written cells lose, from changes at several temperatures.
///
/// One process that time drives faster when it is hot leaves one curve: the change against log₁₀(t) + E·(1/T₀ − 1/T)/(k·ln 10) is the same
/// function at every temperature (time–temperature superposition of an Arrhenius rate; T₀ is the first temperature). E is where one parabola
/// through the squares of the mean |ΔG| of all temperatures leaves the least squares, each square weighted by its own size: cells lose
/// with a variance that is linear in log t, and a mean that is.
struct Arrhenius {
  /// Boltzmann's constant, eV/K (CODATA 2018).
  static let boltzmann = 8.617_333_262e-5
  /// Energies that are searched, eV. An end of it stands for what lies beyond.
  static let range = 0.0...3.0
  /// Two temperatures give an energy and nothing that could contradict it.
  static let leastTemperatures = 3
  /// Of one temperature.
  static let leastCells = 8

  /// eV; an end of ``range`` where the curves join best beyond it, NaN where a spread is none.
  var energy: Double
  /// - Parameters:
  ///   - spreads: mean |ΔG| by temperature and age, > 0.
  ///   - ages: seconds since the chip was at its temperature, by temperature and age.
  init?(spreads: [[Double]], ages: [[Double]], celsius: [Double]) {
    guard celsius.count >= Self.leastTemperatures else { return nil }
    energy = .nan
    let y = spreads.flatMap { $0.map { $0 * $0 } }
    guard y.count >= 5, y.allSatisfy({ $0.isFinite && $0 > 0 }) else { return }
    let times = ages.map { $0.map { log10($0) } }
    func rest(_ energy: Double) -> Double {
      let shifts = Self.shifts(celsius, energy: energy)
      return parabolaRest(zip(times, shifts).flatMap { times, shift in times.map { $0 + shift } }, y)
    }
    let step = 0.05
    let grid = Array(stride(from: Self.range.lowerBound, through: Self.range.upperBound, by: step))
    let rests = grid.map(rest)
    guard let best = rests.indices.min(by: { rests[$0] < rests[$1] }) else { return }
    // Golden section between the neighbours of the best point.
    let golden = (5.0.squareRoot() - 1) / 2
    var (low, high) = (grid[max(0, best - 1)], grid[min(grid.count - 1, best + 1)])
    while high - low > 1e-5 {
      let (left, right) = (high - golden * (high - low), low + golden * (high - low))
      if rest(left) < rest(right) { high = right } else { low = left }
    }
    energy = (low + high) / 2
    for end in [Self.range.lowerBound, Self.range.upperBound] where abs(energy - end) < 1e-4 { energy = end }
  }

  /// log₁₀ of the seconds at the first temperature that do what one second does at each.
  static func shifts(_ celsius: [Double], energy: Double) -> [Double] {
    celsius.map {
      energy / (boltzmann * log(10)) * (1 / ((celsius.first ?? $0) + 273.15) - 1 / ($0 + 273.15))
    }
  }

  /// The energy from cells' changes, with its 95 % interval over cells; nil where no energy within ``range`` joins the curves. Draws that end
  /// at an end of the range stay in the interval.
  ///
  /// - Parameter changes: ΔG by temperature, age and cell; every temperature has cells of its own.
  static func estimate(_ changes: [[[Double]]], ages: [[Double]], celsius: [Double]) -> Estimate? {
    let places = changes.enumerated().flatMap { temperature, changes in
      (0..<(changes.first?.count ?? 0)).map { (temperature, cell: $0) }
    }
    guard celsius.count >= leastTemperatures,
      changes.allSatisfy({ ($0.first?.count ?? 0) >= leastCells })
    else { return nil }
    func energy(_ pieces: [Int]) -> Double {
      var counts = changes.map { _ in 0.0 }
      var sums = changes.map { $0.map { _ in 0.0 } }
      for piece in pieces {
        let (temperature, cell) = places[piece]
        counts[temperature] += 1
        for age in sums[temperature].indices { sums[temperature][age] += abs(changes[temperature][age][cell]) }
      }
      return Arrhenius(
        spreads: zip(sums, counts).map { sums, count in sums.map { $0 / count } }, ages: ages, celsius: celsius)?.energy
        ?? .nan
    }
    let found = energy(Array(places.indices))
    guard found > range.lowerBound, found < range.upperBound else { return nil }
    return Estimate(
      "activation energy", found, Bootstrap.interval(places.count, of: energy), unit: "eV", n: places.count,
      method: Bootstrap.method)
  }
}

/// What a parabola through the points leaves: the least sum of squares of relative errors.
private func parabolaRest(_ x: [Double], _ y: [Double]) -> Double {
  // Polynomials that are orthogonal on these points: no ill-conditioned normal equations.
  let weights = y.map { 1 / ($0 * $0) }
  func product(_ a: [Double], _ b: [Double]) -> Double {
    var sum = 0.0
    for index in weights.indices { sum += weights[index] * a[index] * b[index] }
    return sum
  }
  var bases: [[Double]] = []
  var rest = y
  for power in 0...2 {
    var basis = x.map { pow($0, Double(power)) }
    for other in bases {
      let share = product(basis, other) / product(other, other)
      for index in basis.indices { basis[index] -= share * other[index] }
    }
    let norm = product(basis, basis)
    guard norm > 0 else { continue }
    let share = product(rest, basis) / norm
    for index in rest.indices { rest[index] -= share * basis[index] }
    bases.append(basis)
  }
  return product(rest, rest)
}
