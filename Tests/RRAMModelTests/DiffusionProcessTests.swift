import RRAMModel
import Testing

@Suite struct DiffusionProcessTests {
  static let all: [DiffusionProcess] = [
    .variancePreserving(beta0: 0.001, beta1: 0.5, scale: 2), .subVariancePreserving(beta0: 0.1, beta1: 3),
    .varianceExploding(sigma: 8), .flow,
  ]
  private static let diffusions = Array(all.dropLast())

  /// The variance of x(t) obeys dv/dt = −2a·v + g² for the drift −a·x, whatever the closed form says.
  @Test(arguments: diffusions) func marginalsSolveTheForwardEquation(process: DiffusionProcess) {
    let square = process.stateScale * process.stateScale
    var (variance, mean, t) = (0.0, 1.0, 0.0)
    let step = 1e-4
    for _ in 0..<10_000 {
      let middle = t + step / 2
      let (a, g2) = (process.stateCoefficient(at: middle), process.squaredDiffusion(at: middle) * square)
      // Exact for coefficients that are constant in the step, to second order.
      variance += step * (g2 - 2 * a * (variance + 0.5 * step * (g2 - 2 * a * variance)))
      mean *= 1 - step * a + 0.5 * step * step * a * a
      t += step
      guard abs(t - 0.3) < step / 2 || abs(t - 1) < step / 2 else { continue }
      let (factor, deviation) = process.marginal(at: t)
      #expect(abs(factor - mean) < 1e-6 * mean, "\(process) at \(t)")
      #expect(abs(deviation * deviation - variance) < 1e-5 * variance, "\(process) at \(t)")
    }
  }

  @Test(arguments: diffusions) func sdeWeighsTheScoreTwice(process: DiffusionProcess) {
    for t in [0.01, 0.5, 1] {
      let ode = process.scoreCoefficient(at: t, equation: .ode)
      #expect(process.scoreCoefficient(at: t, equation: .sde) == 2 * ode)
      // b·score of x = ½g²/s: the noise of y is g/s.
      #expect(abs(2 * ode - process.squaredDiffusion(at: t) * process.stateScale) <= 1e-12 * ode)
    }
  }

  @Test func explodingStateStartsWithVarianceOne() {
    let process = DiffusionProcess.varianceExploding(sigma: 8)
    #expect(abs(process.stateScale - process.marginal(at: 1).standardDeviation) < 1e-12)
    #expect(process.stateScale > 3.8 && process.stateScale < 4)
    #expect(process.stateCoefficient(at: 0.7) == 0)
  }

  @Test func flowIsAConstantCoefficientWithoutNoise() {
    #expect(DiffusionProcess.flow.scoreCoefficient(at: 0.3, equation: .ode) == -1)
    #expect(DiffusionProcess.flow.squaredDiffusion(at: 0.3) == 0)
    #expect(!DiffusionProcess.flow.supports(.sde) && DiffusionProcess.flow.supports(.ode))
  }

  @Test func onlyVariancePreservingHasAScale() {
    #expect(Self.all.map(\.hasScale) == [true, false, false, false])
    #expect(Self.all[0].scaled(to: 3)?.scale == 3)
    #expect(Self.all.map(\.scale) == [2, 1, 1, 1])
  }
}
