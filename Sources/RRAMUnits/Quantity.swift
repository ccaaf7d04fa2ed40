/// A physical quantity stored as one `Double` in its SI base or derived unit.
///
/// Conforming types are distinct, so a voltage cannot be passed where a conductance is expected.
public protocol Quantity: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
  /// The value in the SI unit named by ``unitSymbol``.
  var rawValue: Double { get }
  /// Makes a quantity from a value in SI units.
  init(_ rawValue: Double)
  /// The SI unit, as printed: `S`, `V`, `A`, `Ω`, `W`, `J`.
  static var unitSymbol: String { get }
}

extension Quantity {
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
  // Comparable would derive these from `<`, and then a limit check `value <= limit` would let a NaN pass.
  public static func <= (a: Self, b: Self) -> Bool { a.rawValue <= b.rawValue }
  public static func > (a: Self, b: Self) -> Bool { a.rawValue > b.rawValue }
  public static func >= (a: Self, b: Self) -> Bool { a.rawValue >= b.rawValue }
  public static func + (a: Self, b: Self) -> Self { Self(a.rawValue + b.rawValue) }
  public static func - (a: Self, b: Self) -> Self { Self(a.rawValue - b.rawValue) }
  public static prefix func - (a: Self) -> Self { Self(-a.rawValue) }
  public static func * (a: Self, k: Double) -> Self { Self(a.rawValue * k) }
  public static func * (k: Double, a: Self) -> Self { Self(k * a.rawValue) }
  public static func / (a: Self, k: Double) -> Self { Self(a.rawValue / k) }
  /// The ratio of two quantities of one kind, a plain number.
  public static func / (a: Self, b: Self) -> Double { a.rawValue / b.rawValue }
  public static var zero: Self { Self(0) }
  public var magnitude: Self { Self(abs(rawValue)) }
  public var isFinite: Bool { rawValue.isFinite }

  public init(from decoder: any Decoder) throws {
    self.init(try decoder.singleValueContainer().decode(Double.self))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }

  /// Four significant digits with an SI prefix: `47.5 µS`, `1.2 V`.
  public var description: String { engineering(rawValue, unit: Self.unitSymbol) }
}

/// Conductance in siemens.
public struct Siemens: Quantity {
  public let rawValue: Double
  public init(_ rawValue: Double) { self.rawValue = rawValue }
  public static var unitSymbol: String { "S" }
  public static func microsiemens(_ value: Double) -> Siemens { Siemens(value * 1e-6) }
  public var microsiemens: Double { rawValue * 1e6 }
}

/// Electric potential in volts.
public struct Volts: Quantity {
  public let rawValue: Double
  public init(_ rawValue: Double) { self.rawValue = rawValue }
  public static var unitSymbol: String { "V" }
  public static func volts(_ value: Double) -> Volts { Volts(value) }
  public static func millivolts(_ value: Double) -> Volts { Volts(value * 1e-3) }
}

/// Electric current in amperes.
public struct Amperes: Quantity {
  public let rawValue: Double
  public init(_ rawValue: Double) { self.rawValue = rawValue }
  public static var unitSymbol: String { "A" }
  public static func microamperes(_ value: Double) -> Amperes { Amperes(value * 1e-6) }
}

/// Resistance in ohms; also the gain of a transimpedance amplifier (V/A).
public struct Ohms: Quantity {
  public let rawValue: Double
  public init(_ rawValue: Double) { self.rawValue = rawValue }
  public static var unitSymbol: String { "Ω" }
  public static func kiloohms(_ value: Double) -> Ohms { Ohms(value * 1e3) }
}

/// Power in watts.
public struct Watts: Quantity {
  public let rawValue: Double
  public init(_ rawValue: Double) { self.rawValue = rawValue }
  public static var unitSymbol: String { "W" }
}

/// Energy in joules.
public struct Joules: Quantity {
  public let rawValue: Double
  public init(_ rawValue: Double) { self.rawValue = rawValue }
  public static var unitSymbol: String { "J" }
}

/// How fast a line's voltage changes, volts a second.
public struct VoltsPerSecond: Quantity {
  public let rawValue: Double
  public init(_ rawValue: Double) { self.rawValue = rawValue }
  public static var unitSymbol: String { "V/s" }
}

/// Temperature in degrees Celsius.
public struct Celsius: Quantity {
  public let rawValue: Double
  public init(_ rawValue: Double) { self.rawValue = rawValue }
  public static var unitSymbol: String { "°C" }
  public var description: String { "\((rawValue * 100).rounded() / 100) °C" }
}

extension Siemens {
  public static func * (g: Siemens, v: Volts) -> Amperes { Amperes(g.rawValue * v.rawValue) }
}

extension Amperes {
  public static func / (i: Amperes, v: Volts) -> Siemens { Siemens(i.rawValue / v.rawValue) }
  public static func * (i: Amperes, r: Ohms) -> Volts { Volts(i.rawValue * r.rawValue) }
}

extension Duration {
  /// The duration in seconds.
  public var seconds: Double {
    let (s, attoseconds) = components
    return Double(s) + Double(attoseconds) * 1e-18
  }
}

/// Four significant digits and an SI prefix between femto and giga.
func engineering(_ value: Double, unit: String) -> String {
  guard value.isFinite else { return "\(value) \(unit)" }
  guard value != 0 else { return "0 \(unit)" }
  let prefixes: [(scale: Double, symbol: String)] = [
    (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f"),
  ]
  let magnitude = abs(value)
  let prefix = prefixes.first { magnitude >= $0.scale * 0.99995 } ?? prefixes[prefixes.count - 1]
  let scaled = magnitude / prefix.scale
  let decimals = scaled >= 99.995 ? 1 : scaled >= 9.9995 ? 2 : 3
  let power = [10.0, 100.0, 1000.0][decimals - 1]
  let rounded = (scaled * power).rounded() / power
  var text = "\(rounded)"
  if text.hasSuffix(".0") { text.removeLast(2) }
  return (value < 0 ? "-" : "") + text + " " + prefix.symbol + unit
}
