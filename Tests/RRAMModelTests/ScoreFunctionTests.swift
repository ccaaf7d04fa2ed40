import Foundation
import RRAMModel
import RRAMUnits
import Testing

/// Exact scores as oracles: what a process does to normal data is known in closed form.
@Suite struct ScoreFunctionTests {
  private static let mean = [0.4, -0.2]
  private static let deviation = 0.3

  private func oracle(_ process: DiffusionProcess) -> ScoreFunction {
    ScoreFunction(normalMean: Self.mean, deviation: Self.deviation, process: process)
  }

  /// x at the end time of the probability flow that starts at y: the normal's quantile is kept.
  private func exact(_ process: DiffusionProcess, _ y: [Double]) -> [Double] {
    func moments(_ t: Double) -> (mean: Double, deviation: Double) {
      let (factor, spread) = process.marginal(at: t)
      return (factor, (factor * factor * Self.deviation * Self.deviation + spread * spread).squareRoot())
    }
    let (start, end) = (moments(1), moments(DiffusionProcess.endTime))
    return y.indices.map { i in
      let x = y[i] * process.stateScale
      return end.mean * Self.mean[i % 2] + end.deviation / start.deviation * (x - start.mean * Self.mean[i % 2])
    }
  }

  /// Bounds: Heun is second order (200 steps of at most 1/200, and slopes that turn on the scale of 0.01 in VE), RK4 and
  /// RK45 are limited by their step and tolerance.
  @Test(
    arguments: DiffusionProcessTests.all,
    [(DigitalSolver.Method.heun, 200, 2e-4), (.rk4, 200, 1e-6), (.rk45, 1, 1e-7)])
  func probabilityFlowKeepsTheQuantile(
    process: DiffusionProcess, solver: (method: DigitalSolver.Method, steps: Int, bound: Double)
  ) {
    let start = [1.2, -0.7, 0.1, 2, -1.5, 0.3]
    let end = DigitalSolver(method: solver.method, steps: solver.steps)
      .sample(oracle(process), process: process, start: start, threads: 1).map { $0 * process.stateScale }
    let worst = zip(end, exact(process, start)).map { abs($0 - $1) }.max() ?? 1
    #expect(worst < solver.bound, "\(process.name), \(solver.method): \(worst)")
  }

  /// Points of ``sdeEndsOnTheData(process:)``; RRAM_TEST_LONG asks for more.
  private static let count = ProcessInfo.processInfo.environment["RRAM_TEST_LONG"] == nil ? 1500 : 50_000

  /// The reverse SDE ends on the data. Seed 5, n points of 2 coordinates, started from the exact marginal: the standard error of the mean
  /// is 0.3/√n a coordinate (0.0077 at 1 500, 0.0013 at 50 000), of the deviation 0.3/√(2n); the bound is 4 of each, and 2 % of the
  /// deviation for 100 ticks of held noise.
  @Test(arguments: Array(DiffusionProcessTests.all.dropLast()))
  func sdeEndsOnTheData(process: DiffusionProcess) {
    let (factor, spread) = process.marginal(at: 1)
    let deviation = (factor * factor * Self.deviation * Self.deviation + spread * spread).squareRoot()
    let count = Self.count
    let error = Self.deviation / Double(count).squareRoot()
    let start = SamplingNoise.start(seed: 5, count: count).enumerated().map { index, z in
      (factor * Self.mean[index % 2] + deviation * Double(z)) / process.stateScale
    }
    let end = DigitalSolver(equation: .sde, steps: 100)
      .sample(oracle(process), process: process, start: start, noise: .philox(seed: 5)).map { $0 * process.stateScale }
    for axis in 0..<2 {
      let values = stride(from: axis, to: end.count, by: 2).map { end[$0] }
      let mean = values.reduce(0, +) / Double(count)
      let spread = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)).squareRoot()
      #expect(abs(mean - Self.mean[axis]) < 4 * error, "\(process.name): mean \(mean)")
      #expect(
        abs(spread - Self.deviation) < 4 * error / 2.0.squareRoot() + 0.02 * Self.deviation,
        "\(process.name): deviation \(spread)")
    }
  }

  /// The float32 path and the float64 one step alike: what differs is rounding.
  @Test(arguments: DiffusionProcessTests.all, [ReverseEquation.ode, .sde])
  func bothPrecisionsAgree(process: DiffusionProcess, equation: ReverseEquation) throws {
    guard process.supports(equation) else { return }
    let network = try Fixture.model("letters.safetensors").network
    let start = SamplingNoise.start(seed: 4, count: 20)
    let solver = DigitalSolver(equation: equation, steps: 40)
    let single = solver.sample(
      network, process: process, start: start, label: 1, guidance: 0.5, noise: .philox(seed: 4), threads: 1)
    let double = solver.sample(
      ScoreFunction(network, label: 1, guidance: 0.5), process: process, start: start.map { Double($0) },
      noise: .philox(seed: 4), threads: 1)
    let largest = max(1, double.map(abs).max() ?? 1)
    expectClose(single, double.map { Float($0) }, within: Float(largest) * 2e-5)
  }
}
