public import RRAMUnits

/// The skewed distribution of forming voltages: V(z) = c₀ + c₁z + c₂z² + c₃z³ of a standard normal z.
///
/// Four coefficients meet four published figures exactly: mean, σ and the 1 % and 99 % quantiles.
public struct FormingDistribution: Sendable, Hashable {
  /// c₀ … c₃ in volts.
  public let coefficients: SIMD4<Double>

  /// The distribution of a profile's cells, or `nil` if no increasing cubic meets its four figures.
  ///
  /// With z₉₉ = 2.3263 and E[z²] = 1, E[z⁴] = 3, E[z⁶] = 15: mean = c₀ + c₂; V(z₉₉) + V(−z₉₉) = 2(c₀ + c₂z₉₉²);
  /// V(z₉₉) − V(−z₉₉) = 2(c₁z₉₉ + c₃z₉₉³); variance = c₁² + 2c₂² + 6c₁c₃ + 15c₃².
  public init?(_ cells: ChipProfile.Cells) {
    let mean = cells.formingMean.rawValue
    let sigma = cells.formingSigma.rawValue
    let low = cells.formingQuantile1.rawValue
    let high = cells.formingQuantile99.rawValue
    let z = 2.326_347_874_040_841
    let c2 = ((low + high) / 2 - mean) / (z * z - 1)
    let c0 = mean - c2
    // c₁ = p − q·c₃, put into the variance: (q² − 6q + 15)c₃² + (6p − 2pq)c₃ + p² + 2c₂² − σ² = 0.
    let p = (high - low) / (2 * z)
    let q = z * z
    let quadratic = q * q - 6 * q + 15
    let linear = 6 * p - 2 * p * q
    let constant = p * p + 2 * c2 * c2 - sigma * sigma
    let discriminant = linear * linear - 4 * quadratic * constant
    guard discriminant >= 0 else { return nil }
    let roots = [-1.0, 1.0].map { (-linear + $0 * discriminant.squareRoot()) / (2 * quadratic) }
    // Increasing between ±4 σ, where all but 6e-5 of the cells are; the smaller cubic term first.
    let increasing = roots.sorted { abs($0) < abs($1) }.first { c3 in
      let c1 = p - q * c3
      return stride(from: -4.0, through: 4.0, by: 0.125).allSatisfy { c1 + 2 * c2 * $0 + 3 * c3 * $0 * $0 > 0 }
    }
    guard let c3 = increasing else { return nil }
    coefficients = SIMD4(c0, p - q * c3, c2, c3)
  }

  /// The forming voltage at `z` standard deviations of the underlying normal, which is clamped at ±4.
  public func voltage(at z: Double) -> Volts {
    let z = min(max(z, -4), 4)
    return Volts(coefficients[0] + z * (coefficients[1] + z * (coefficients[2] + z * coefficients[3])))
  }
}
