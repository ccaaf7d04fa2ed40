/// Which reverse equation is solved from noise to sample.
public enum ReverseEquation: String, Sendable, Hashable, Codable, CaseIterable {
  /// The probability-flow ordinary differential equation: deterministic after the start point.
  case ode
  /// The reverse stochastic differential equation.
  case sde
}

/// The forward noising process, as the coefficients of the reverse equation in its normal form
///
///     dx/dτ = a(t)·x + b(t)·score(x, t) + noise,  t = 1 − τ,  τ from 0 to 1 − ``endTime``.
///
/// Time t is dimensionless, 0 at the data and 1 at the noise.
public enum DiffusionProcess: Sendable, Hashable {
  /// Variance preserving, β(t) = scale·(β₀ + t(β₁ − β₀)); drift −½βx, g² = β (Song et al., arXiv 2011.13456, eq. 32–33).
  case variancePreserving(beta0: Double, beta1: Double, scale: Double)

  /// Sampling stops at this t, not at 0, where a score is not defined.
  public static let endTime = 1e-4

  /// The process with another β scale.
  public func scaled(to scale: Double) -> DiffusionProcess {
    switch self {
    case .variancePreserving(let beta0, let beta1, _): .variancePreserving(beta0: beta0, beta1: beta1, scale: scale)
    }
  }

  /// The factor on β.
  public var scale: Double {
    switch self {
    case .variancePreserving(_, _, let scale): scale
    }
  }

  /// a(t), the coefficient of x.
  public func stateCoefficient(at t: Double) -> Double {
    switch self {
    case .variancePreserving: 0.5 * beta(at: t)
    }
  }

  /// b(t), the coefficient of the score: ½g² for the ODE, g² for the SDE.
  public func scoreCoefficient(at t: Double, equation: ReverseEquation) -> Double {
    squaredDiffusion(at: t) * (equation == .ode ? 0.5 : 1)
  }

  /// g²(t): variance added by the noise per unit of t.
  public func squaredDiffusion(at t: Double) -> Double {
    switch self {
    case .variancePreserving: beta(at: t)
    }
  }

  /// Standard deviation of the start points, each coordinate independent normal with mean 0.
  public var priorStandardDeviation: Double {
    switch self {
    case .variancePreserving: 1
    }
  }

  private func beta(at t: Double) -> Double {
    switch self {
    case .variancePreserving(let beta0, let beta1, let scale): scale * (beta0 + t * (beta1 - beta0))
    }
  }
}
