/// What a number in a profile measures, and the units it may be written in.
package enum Dimension {
  case conductance, voltage, resistance, time, frequency, ratio, count, bits, bytes, byteRate
  case conductanceDensity, conductancePerVolt, conductanceSquared, perVolt, perSecond, energy, temperature, cycles
  case slew, current, pulseEnergy, power, celsius

  /// Unit symbols and their factors to the SI unit, the usual one first.
  package var units: [(symbol: String, factor: Double)] {
    switch self {
    case .conductance: [("µS", 1e-6), ("S", 1), ("mS", 1e-3), ("nS", 1e-9)]
    case .voltage: [("V", 1), ("mV", 1e-3), ("µV", 1e-6)]
    case .resistance: [("kΩ", 1e3), ("Ω", 1), ("MΩ", 1e6)]
    case .time: [("s", 1), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9), ("min", 60), ("h", 3600)]
    case .frequency: [("Hz", 1), ("kHz", 1e3), ("MHz", 1e6), ("GHz", 1e9)]
    case .ratio: [("1", 1), ("%", 1e-2)]
    case .count: [("1", 1)]
    case .bits: [("bit", 1)]
    case .bytes: [("B", 1), ("KiB", 1024), ("MiB", 1_048_576)]
    case .byteRate: [("MB/s", 1e6), ("kB/s", 1e3), ("B/s", 1)]
    case .conductanceDensity: [("µS/√Hz", 1e-6), ("nS/√Hz", 1e-9), ("S/√Hz", 1)]
    case .conductancePerVolt: [("µS/V", 1e-6), ("S/V", 1)]
    case .conductanceSquared: [("µS²", 1e-12), ("S²", 1)]
    case .perVolt: [("1/V", 1)]
    case .perSecond: [("1/s", 1)]
    case .energy: [("eV", 1)]
    case .temperature: [("K", 1)]
    case .cycles: [("1", 1)]
    case .slew: [("V/µs", 1e6), ("V/s", 1)]
    case .current: [("µA", 1e-6), ("mA", 1e-3), ("A", 1), ("nA", 1e-9)]
    case .pulseEnergy: [("nJ", 1e-9), ("pJ", 1e-12), ("µJ", 1e-6), ("J", 1)]
    case .power: [("mW", 1e-3), ("W", 1)]
    case .celsius: [("°C", 1)]
    }
  }

  /// The symbols as one reads them: `s, ms or µs`.
  package var symbols: String {
    let all = units.map(\.symbol)
    return all.count == 1 ? all[0] : all.dropLast().joined(separator: ", ") + " or " + all[all.count - 1]
  }

  /// True where only whole numbers make sense.
  var isWhole: Bool {
    switch self {
    case .count, .bits, .bytes: true
    default: false
    }
  }

  /// The factor of a unit as people type it: `u` or Greek mu for micro, `Ohm` for Ω.
  package func factor(of unit: String) -> Double? {
    var text = String(
      unit.unicodeScalars.map { scalar -> Character in
        switch scalar {
        case "\u{3BC}": "µ"  // Greek small mu
        case "\u{2126}": "Ω"  // ohm sign
        default: Character(scalar)
        }
      })
    if text.hasSuffix("Ohm") { text = text.dropLast(3) + "Ω" }
    if let found = units.first(where: { $0.symbol == text }) { return found.factor }
    if text.hasPrefix("u") {
      let micro = "µ" + text.dropFirst()
      return units.first { $0.symbol == micro }?.factor
    }
    return nil
  }
}
