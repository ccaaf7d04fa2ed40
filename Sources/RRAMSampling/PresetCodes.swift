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

  /// - Parameter x: units, (n, 2), finite.
  init(_ x: [Float], loop: BoardDescription.ClosedLoop) {
    let converter = loop.preset
    let lower = converter.range.lowerBound / loop.unitVoltage
    let step = converter.leastSignificantBit / loop.unitVoltage
    let last = Double(converter.codeCount - 1)
    codes = []
    realised = []
    codes.reserveCapacity(x.count)
    realised.reserveCapacity(x.count)
    clamped = 0
    for value in x {
      let position = ((Double(value) - lower) / step).rounded(.toNearestOrEven)
      let code = min(max(position, 0), last)
      if code != position { clamped += 1 }
      codes.append(UInt16(code))
      realised.append(Float(lower + code * step))
    }
  }
}

extension BoardDescription.ClosedLoop {
  /// The voltages of read-out codes, in units.
  func units(ofReadOut codes: [UInt16]) -> [Float] {
    units(codes, of: readOut)
  }

  /// The voltages of preset codes, in units.
  func units(ofPreset codes: [UInt16]) -> [Float] { units(codes, of: preset) }

  private func units(_ codes: [UInt16], of converter: BoardDescription.Converter) -> [Float] {
    let lower = converter.range.lowerBound / unitVoltage
    let step = converter.leastSignificantBit / unitVoltage
    return codes.map { Float(lower + Double($0) * step) }
  }
}
