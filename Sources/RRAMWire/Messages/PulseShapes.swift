public import RRAMUnits

/// What a pulse is for, and with it which line is driven.
public enum PulseKind: Sendable, Hashable, CaseIterable {
  /// Raises the conductance; the bit line is driven.
  case set
  /// Lowers the conductance; the source line is driven.
  case reset
  /// Makes the first filament of a pristine cell; the bit line is driven.
  case forming
}

/// A ramp of pulses: the driven line (BL for SET and forming, SL for RESET) goes from `start` by `step` to `stop`.
public struct PulseRamp: Sendable, Hashable {
  public var wordLine: Volts
  public var start: Volts
  public var step: Volts
  public var stop: Volts
  /// Width of every pulse, whole nanoseconds.
  public var width: Duration

  public init(wordLine: Volts, start: Volts, step: Volts, stop: Volts, width: Duration) {
    self.wordLine = wordLine
    self.start = start
    self.step = step
    self.stop = stop
    self.width = width
  }
}

/// How a cell is read.
public struct ReadBias: Sendable, Hashable {
  public var wordLine: Volts
  public var bitLine: Volts
  /// Conversions averaged per cell, at least 1.
  public var averages: Int

  public init(wordLine: Volts, bitLine: Volts, averages: Int = 1) {
    self.wordLine = wordLine
    self.bitLine = bitLine
    self.averages = averages
  }
}

extension PulseKind {
  init(_ value: Rram_Board_V1_PulseKind, _ field: @autoclosure () -> String) throws(WireError) {
    switch value {
    case .set: self = .set
    case .reset: self = .reset
    case .forming: self = .forming
    case .unspecified: throw WireError(.missingField, field: field(), "it must be set")
    case .UNRECOGNIZED(let number): throw WireError(.outOfRange, field: field(), "no pulse kind \(number)")
    }
  }

  var message: Rram_Board_V1_PulseKind {
    switch self {
    case .set: .set
    case .reset: .reset
    case .forming: .forming
    }
  }
}

extension PulseRamp {
  init(_ message: Rram_Board_V1_PulseRamp, _ field: @autoclosure () -> String) throws(WireError) {
    wordLine = try quantity(message.wordLineV, field() + ".word_line_v")
    start = try quantity(message.startV, field() + ".start_v")
    step = try quantity(message.stepV, field() + ".step_v")
    stop = try quantity(message.stopV, field() + ".stop_v")
    width = .nanoseconds(Int64(message.widthNs))
  }

  func message(_ field: @autoclosure () -> String) throws(WireError) -> Rram_Board_V1_PulseRamp {
    var message = Rram_Board_V1_PulseRamp()
    message.wordLineV = try wireFloat(wordLine, field() + ".word_line_v")
    message.startV = try wireFloat(start, field() + ".start_v")
    message.stepV = try wireFloat(step, field() + ".step_v")
    message.stopV = try wireFloat(stop, field() + ".stop_v")
    message.widthNs = try wireNanoseconds(width, field() + ".width_ns")
    return message
  }
}

extension ReadBias {
  init(_ message: Rram_Board_V1_ReadBias, _ field: @autoclosure () -> String) throws(WireError) {
    wordLine = try quantity(message.wordLineV, field() + ".word_line_v")
    bitLine = try quantity(message.bitLineV, field() + ".bit_line_v")
    averages = Int(message.averages)
    guard averages >= 1 else { throw WireError(.outOfRange, field: field() + ".averages", "0 conversions, at least 1") }
  }

  func message(_ field: @autoclosure () -> String) throws(WireError) -> Rram_Board_V1_ReadBias {
    guard averages >= 1 else {
      throw WireError(.outOfRange, field: field() + ".averages", "\(averages) conversions, at least 1")
    }
    var message = Rram_Board_V1_ReadBias()
    message.wordLineV = try wireFloat(wordLine, field() + ".word_line_v")
    message.bitLineV = try wireFloat(bitLine, field() + ".bit_line_v")
    message.averages = try wire32(averages, field() + ".averages")
    return message
  }
}
