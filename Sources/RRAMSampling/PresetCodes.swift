internal import RRAMProfiles
internal import RRAMUnits

/// Start points as the preset converter realises them.
struct PresetCodes: Sendable, Hashable {
  /// [sample][2].
  var codes: [UInt16]
  /// The voltages of these codes, in units.
  var realised: [Float]
  /// Coordinates that lay outside the converter's range and were set to its end.
  var clamped: Int

  /// - Parameters:
  ///   - x: units, (n, 2), finite.
  ///   - lines: of the board's converters; nil: ideal ones.
  init(_ x: [Float], loop: BoardDescription.ClosedLoop, lines: ConverterLines?) {
    let converter = loop.preset
    let last = Double(converter.codeCount - 1)
    let scales = (0..<2).map { loop.scale(of: .preset, channel: $0, lines) }
    codes = []
    realised = []
    codes.reserveCapacity(x.count)
    realised.reserveCapacity(x.count)
    clamped = 0
    for (index, value) in x.enumerated() {
      let (lower, step) = scales[index % 2]
      let position = ((Double(value) - lower) / step).rounded(.toNearestOrEven)
      let code = min(max(position, 0), last)
      if code != position { clamped += 1 }
      codes.append(UInt16(code))
      realised.append(Float(lower + code * step))
    }
  }
}

extension BoardDescription.ClosedLoop {
  /// What read-out codes (n, 2) stand for, in units.
  func units(ofReadOut codes: [UInt16], _ lines: ConverterLines?) -> [Float] { units(codes, of: .readOut, lines) }

  /// Start coordinates that the preset converters of both axes reach, in units.
  func presetReach(_ lines: ConverterLines?) -> ClosedRange<Float> {
    let scales = (0..<2).map { scale(of: .preset, channel: $0, lines) }
    let last = Double(preset.codeCount - 1)
    return Float(
      max(scales[0].lower, scales[1].lower))...Float(
        min(scales[0].lower + last * scales[0].step, scales[1].lower + last * scales[1].step))
  }

  /// What preset codes (n, 2) stand for, in units.
  func units(ofPreset codes: [UInt16], _ lines: ConverterLines?) -> [Float] { units(codes, of: .preset, lines) }

  private func units(_ codes: [UInt16], of kind: LoopConverter, _ lines: ConverterLines?) -> [Float] {
    let scales = (0..<2).map { scale(of: kind, channel: $0, lines) }
    return codes.enumerated().map { index, code in
      Float(scales[index % 2].lower + Double(code) * scales[index % 2].step)
    }
  }

  /// What code 0 and one code more stand for behind a channel's line, in units.
  fileprivate func scale(
    of kind: LoopConverter, channel: Int, _ lines: ConverterLines?
  ) -> (lower: Double, step: Double) {
    let converter = kind == .readOut ? readOut : preset
    let (lower, step) = (converter.range.lowerBound / unitVoltage, converter.leastSignificantBit / unitVoltage)
    guard let line = lines?[kind][channel] else { return (lower, step) }
    let offset = line.offset / unitVoltage.rawValue
    // A digital-to-analog converter's line is what it makes of a code, an analog-to-digital one's what it shows of a voltage.
    return kind == .readOut
      ? ((lower - offset) / line.gain, step / line.gain) : (lower * line.gain + offset, step * line.gain)
  }
}
