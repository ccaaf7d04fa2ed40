public import RRAMProfiles
public import RRAMUnits

/// What a converter read: the code and whether the input was beyond its range.
public struct Conversion: Sendable, Hashable {
  public var code: ADCCode
  /// True if the input was beyond the first or the last code: the code is then that end's.
  public var isSaturated: Bool

  public init(code: ADCCode, isSaturated: Bool) {
    self.code = code
    self.isSaturated = isSaturated
  }
}

extension BoardDescription.Converter {
  /// The voltage that a digital-to-analog converter puts out when asked for `voltage`: that of the nearest code.
  ///
  /// - Throws: ``PhysicsError`` (`converterRange`) if there is no such code: an output is never silently clamped.
  public func output(nearest voltage: Volts, of name: String) throws(PhysicsError) -> Volts {
    guard let code = code(nearest: voltage) else {
      throw PhysicsError(
        code: .converterRange, subject: name,
        reason: "\(voltage) is outside \(reachable.lowerBound) … \(reachable.upperBound)")
    }
    return volts(code)
  }

  /// What an analog-to-digital converter reads at `voltage`.
  public func convert(_ voltage: Volts) -> Conversion {
    let steps = ((voltage - range.lowerBound) / leastSignificantBit).rounded(.toNearestOrEven)
    let last = Double(codeCount - 1)
    let isInside = steps >= 0 && steps <= last
    return Conversion(
      code: ADCCode(rawValue: UInt32(isInside ? steps : steps > 0 ? last : 0)), isSaturated: !isInside)
  }

  /// The voltage that `code` stands for.
  public func volts(_ code: ADCCode) -> Volts { volts(DACCode(rawValue: code.rawValue)) }
}

extension BoardDescription.Sensing {
  /// Index of the largest transimpedance that keeps `conductance` read at `voltage` inside the converter; the smallest one
  /// if none does.
  public func rangeIndex(for conductance: Siemens, at voltage: Volts) -> Int {
    ranges.lastIndex { (conductance * voltage * $0).magnitude <= converter.reachable.upperBound } ?? 0
  }

  /// One conversion of a cell's current: amplifier, input-referred noise, converter.
  ///
  /// - Parameters:
  ///   - conductance: what the cell presents, its own noise included.
  ///   - voltage: across the cell.
  ///   - range: index into `ranges`.
  ///   - noise: the draw of the converter's input-referred noise.
  public func convert(_ conductance: Siemens, at voltage: Volts, range: Int, noise: Volts) -> Conversion {
    converter.convert(conductance * voltage * ranges[range] + noise)
  }

  /// The conductance that `code` stands for.
  public func conductance(of code: ADCCode, at voltage: Volts, range: Int) -> Siemens {
    Siemens(converter.volts(code).rawValue / (ranges[range].rawValue * voltage.rawValue))
  }
}
