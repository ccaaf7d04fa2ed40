public import RRAMUnits

/// One programming pulse as the lines carry it.
public struct Pulse: Sendable, Hashable {
  /// What the pulse is meant for; it decides which limit applies, the cell only feels the voltages.
  public enum Kind: String, Sendable, Hashable, CaseIterable { case forming, set, reset }

  public var kind: Kind
  public var wordLine: Volts
  public var bitLine: Volts
  public var sourceLine: Volts
  public var width: Duration

  public init(kind: Kind, wordLine: Volts, bitLine: Volts, sourceLine: Volts, width: Duration) {
    self.kind = kind
    self.wordLine = wordLine
    self.bitLine = bitLine
    self.sourceLine = sourceLine
    self.width = width
  }

  /// A pulse on the line its kind drives: bit line for forming and SET, source line for RESET; the other one is at 0 V.
  public init(kind: Kind, wordLine: Volts, amplitude: Volts, width: Duration) {
    self.init(
      kind: kind, wordLine: wordLine, bitLine: kind == .reset ? .zero : amplitude,
      sourceLine: kind == .reset ? amplitude : .zero, width: width)
  }

  /// Voltage across the cell, positive in the direction of SET and forming.
  public var cellVoltage: Volts { bitLine - sourceLine }

  /// The same pulse with `amplitude` on the line its kind drives.
  public func withAmplitude(_ amplitude: Volts) -> Pulse {
    var pulse = self
    if kind == .reset { pulse.sourceLine = amplitude } else { pulse.bitLine = amplitude }
    return pulse
  }
}
