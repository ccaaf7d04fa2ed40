internal import RRAMProfiles
internal import RRAMUnits

/// A converter as arithmetic on plain numbers: code 0 is the lower end of its range, the last code the upper.
struct ConverterScale {
  let lower: Double
  let step: Double
  let lastCode: Int

  init(_ converter: BoardDescription.Converter) {
    lower = converter.range.lowerBound.rawValue
    step = converter.leastSignificantBit.rawValue
    lastCode = converter.codeCount - 1
  }

  /// The voltage of a code, V.
  func volts(_ code: Int) -> Double { lower + Double(code) * step }

  /// The nearest code, and whether the voltage lies more than half a step outside the range.
  func code(_ volts: Double) -> (code: Int, saturated: Bool) {
    let position = ((volts - lower) / step).rounded()
    // NaN becomes code 0 and saturated.
    guard position >= 0 else { return (0, true) }
    guard position <= Double(lastCode) else { return (lastCode, true) }
    return (Int(position), false)
  }

  /// The voltage that a converter set to `volts` really gives.
  func quantised(_ volts: Double) -> Double { self.volts(code(volts).code) }
}
