internal import Glibc

/// Which reverse equation is solved from noise to sample.
public enum ReverseEquation: String, Sendable, Hashable, Codable, CaseIterable {
  /// The probability-flow ordinary differential equation: deterministic after the start point.
  case ode
  /// The reverse stochastic differential equation.
  case sde
}

/// The forward noising process, as the coefficients of the reverse equation in its normal form
///
///     dy/dτ = a(t)·y + b(t)·net(y, t) + noise,  t = 1 − τ,  τ from 0 to 1 − ``endTime``,
///
/// where net is the score (for flow matching the velocity) and y = x/``stateScale`` is what the loop integrates. Time t is
/// dimensionless, 0 at the data and 1 at the noise. With B(t) = ∫₀ᵗβ.
public enum DiffusionProcess: Sendable, Hashable {
  /// Variance preserving, β(t) = scale·(β₀ + t(β₁ − β₀)); drift −½βx, g² = β (Song et al., arXiv 2011.13456, eq. 32–33).
  case variancePreserving(beta0: Double, beta1: Double, scale: Double)
  /// Sub-variance preserving: the same drift, g² = β(1 − e^{−2B}) (arXiv 2011.13456, eq. 28).
  case subVariancePreserving(beta0: Double, beta1: Double)
  /// Variance exploding: no drift, g² = σ^{2t}, so that x(t) has the variance (σ^{2t} − 1)/(2 ln σ) more than the data.
  case varianceExploding(sigma: Double)
  /// Flow matching on straight paths x_t = (1 − t)·x₀ + t·z: the network is the velocity z − x₀, and there is no SDE
  /// (Lipman et al., arXiv 2210.02747, with noise at t = 1).
  case flow
  /// No noising at all: the network is the velocity of a dynamical system, dy/dτ = net(y, e(t)), run forward from a measured
  /// state; t = 1 − τ only names the place in the run, and the embedding of t carries the system's drive.
  case neuralODE

  /// Sampling stops at this t, not at 0, where a score is not defined.
  public static let endTime = 1e-4

  /// The name in metadata, `rram.sde`.
  public var name: String {
    switch self {
    case .variancePreserving: "vp"
    case .subVariancePreserving: "subvp"
    case .varianceExploding: "ve"
    case .flow: "flow"
    case .neuralODE: "neural-ode"
    }
  }

  /// The process with another β scale; nil where there is none: only VP has one.
  public func scaled(to scale: Double) -> DiffusionProcess? {
    guard case .variancePreserving(let beta0, let beta1, _) = self else { return nil }
    return .variancePreserving(beta0: beta0, beta1: beta1, scale: scale)
  }

  /// True if a factor on β may be chosen.
  public var hasScale: Bool { scaled(to: 1) != nil }

  /// The factor on β; 1 where there is none.
  public var scale: Double {
    guard case .variancePreserving(_, _, let scale) = self else { return 1 }
    return scale
  }

  /// True if `equation` exists for this process: a flow and a neural ODE have no SDE.
  public func supports(_ equation: ReverseEquation) -> Bool {
    (self != .flow && self != .neuralODE) || equation == .ode
  }

  /// x = stateScale·y: 1 but for VE, whose x at t = 1 would leave the range of the loop; there the process's standard
  /// deviation at t = 1, so that y starts with variance 1.
  public var stateScale: Double {
    guard case .varianceExploding(let sigma) = self else { return 1 }
    return ((sigma * sigma - 1) / (2 * log(sigma))).squareRoot()
  }

  /// a(t), the coefficient of y.
  public func stateCoefficient(at t: Double) -> Double {
    switch self {
    case .variancePreserving, .subVariancePreserving: 0.5 * beta(at: t)
    case .varianceExploding, .flow, .neuralODE: 0
    }
  }

  /// b(t), the coefficient of the network: ½g² for the ODE, g² for the SDE, over ``stateScale``; −1 for a flow, 1 for a neural
  /// ODE.
  public func scoreCoefficient(at t: Double, equation: ReverseEquation) -> Double {
    if case .flow = self { return -1 }
    if case .neuralODE = self { return 1 }
    return diffusionOfX(at: t) * (equation == .ode ? 0.5 : 1) / stateScale
  }

  /// g²(t) of y: variance added by the noise per unit of t; 0 for a flow and a neural ODE.
  public func squaredDiffusion(at t: Double) -> Double { diffusionOfX(at: t) / (stateScale * stateScale) }

  /// Standard deviation of the start points of y, each coordinate independent normal with mean 0.
  public var priorStandardDeviation: Double { 1 }

  /// x(t) given x₀ is normal with mean factor·x₀ and this standard deviation, in units of x; a neural ODE has no such thing, and
  /// answers (1, 0).
  public func marginal(at t: Double) -> (factor: Double, standardDeviation: Double) {
    switch self {
    case .variancePreserving: (exp(-0.5 * integral(to: t)), (-expm1(-integral(to: t))).squareRoot())
    case .subVariancePreserving: (exp(-0.5 * integral(to: t)), -expm1(-integral(to: t)))
    case .varianceExploding(let sigma): (1, (expm1(2 * t * log(sigma)) / (2 * log(sigma))).squareRoot())
    case .flow: (1 - t, t)
    case .neuralODE: (1, 0)
    }
  }

  private func diffusionOfX(at t: Double) -> Double {
    switch self {
    case .variancePreserving: beta(at: t)
    case .subVariancePreserving: beta(at: t) * -expm1(-2 * integral(to: t))
    case .varianceExploding(let sigma): pow(sigma, 2 * t)
    case .flow, .neuralODE: 0
    }
  }

  private func beta(at t: Double) -> Double {
    switch self {
    case .variancePreserving(let beta0, let beta1, let scale): scale * (beta0 + t * (beta1 - beta0))
    case .subVariancePreserving(let beta0, let beta1): beta0 + t * (beta1 - beta0)
    case .varianceExploding, .flow, .neuralODE: 0
    }
  }

  /// B(t).
  private func integral(to t: Double) -> Double {
    switch self {
    case .variancePreserving(let beta0, let beta1, let scale): scale * t * (beta0 + 0.5 * t * (beta1 - beta0))
    case .subVariancePreserving(let beta0, let beta1): t * (beta0 + 0.5 * t * (beta1 - beta0))
    case .varianceExploding, .flow, .neuralODE: 0
    }
  }
}
