public import RRAMUnits

/// What may be done to the cells of a chip; the strictest of board, profile and chip record wins.
///
/// A chip without a limits record permits only reads up to 0.2 V: ``readOnly``.
public struct ChipLimits: Sendable, Hashable, Codable {
  /// Largest |V| on the word line (selector gate).
  public var wordLine: Volts
  /// Largest |V| on the bit line.
  public var bitLine: Volts
  /// Largest |V| on the source line.
  public var sourceLine: Volts
  /// Largest |V| on the bit line while forming; 0 forbids forming.
  public var forming: Volts
  /// Largest |V| across a cell in a read.
  public var read: Volts
  /// Shortest and longest pulse.
  public var pulseWidth: ClosedRange<Duration>
  /// Largest number of pulses one request may give to one cell; 0 forbids pulses.
  public var pulsesPerRequest: Int
  /// Conductances a target may ask for.
  public var conductance: ClosedRange<Siemens>
  // What a record need not state; `nil` forbids nothing, except `disturb`.
  /// The fastest a line may change; compared with the board's drivers.
  public var slew: VoltsPerSecond?
  /// Largest current through a cell; compared with the compliance of the board's drivers.
  public var current: Amperes?
  /// Largest energy of one pulse: its voltage × the drivers' compliance × its width, whatever the cell conducts.
  public var pulseEnergy: Joules?
  /// Largest power in all cells that are driven at once, each at the drivers' compliance; in the closed loop, at the row clamp.
  public var power: Watts?
  /// A cell that was read above this gets no RESET pulse.
  public var resistance: Ohms?
  /// Voltage that cells bear for long: what rows may reach in the closed loop, below it. `nil` forbids the closed loop.
  public var disturb: Volts?
  /// Pulses a cell may get in one run (a session with the board), and in the chip's life.
  public var pulsesPerRun: Int?
  public var pulsesPerLife: Int?
  /// Temperatures of the die at which cells may be pulsed.
  public var temperature: ClosedRange<Celsius>?

  public init(
    wordLine: Volts, bitLine: Volts, sourceLine: Volts, forming: Volts, read: Volts,
    pulseWidth: ClosedRange<Duration>, pulsesPerRequest: Int, conductance: ClosedRange<Siemens>,
    slew: VoltsPerSecond? = nil, current: Amperes? = nil, pulseEnergy: Joules? = nil, power: Watts? = nil,
    resistance: Ohms? = nil, disturb: Volts? = nil, pulsesPerRun: Int? = nil, pulsesPerLife: Int? = nil,
    temperature: ClosedRange<Celsius>? = nil
  ) {
    self.wordLine = wordLine
    self.bitLine = bitLine
    self.sourceLine = sourceLine
    self.forming = forming
    self.read = read
    self.pulseWidth = pulseWidth
    self.pulsesPerRequest = pulsesPerRequest
    self.conductance = conductance
    self.slew = slew
    self.current = current
    self.pulseEnergy = pulseEnergy
    self.power = power
    self.resistance = resistance
    self.disturb = disturb
    self.pulsesPerRun = pulsesPerRun
    self.pulsesPerLife = pulsesPerLife
    self.temperature = temperature
  }

  /// Reads up to 0.2 V and nothing else; the word line may open the selector up to 1.1 V for them.
  public static let readOnly = ChipLimits(
    wordLine: Volts(1.1), bitLine: Volts(0.2), sourceLine: Volts(0), forming: Volts(0), read: Volts(0.2),
    pulseWidth: .zero ... .zero, pulsesPerRequest: 0, conductance: .zero ... .zero)

  /// The limits that satisfy all of `records`; ``readOnly`` if there are none.
  ///
  /// Ranges that do not overlap leave nothing to do: pulses are forbidden then, and the window collapses.
  public static func strictest(of records: [ChipLimits]) -> ChipLimits {
    guard var result = records.first else { return .readOnly }
    for other in records.dropFirst() {
      result.wordLine = min(result.wordLine, other.wordLine)
      result.bitLine = min(result.bitLine, other.bitLine)
      result.sourceLine = min(result.sourceLine, other.sourceLine)
      result.forming = min(result.forming, other.forming)
      result.read = min(result.read, other.read)
      result.pulsesPerRequest = min(result.pulsesPerRequest, other.pulsesPerRequest)
      if let widths = result.pulseWidth.intersection(other.pulseWidth) {
        result.pulseWidth = widths
      } else {
        result.pulseWidth = .zero ... .zero
        result.pulsesPerRequest = 0
      }
      if let window = result.conductance.intersection(other.conductance) {
        result.conductance = window
      } else {
        result.conductance = .zero ... .zero
        result.pulsesPerRequest = 0
      }
      result.slew = lower(result.slew, other.slew)
      result.current = lower(result.current, other.current)
      result.pulseEnergy = lower(result.pulseEnergy, other.pulseEnergy)
      result.power = lower(result.power, other.power)
      result.resistance = lower(result.resistance, other.resistance)
      // Whoever does not know the disturb voltage permits no loop.
      result.disturb = result.disturb == nil || other.disturb == nil ? nil : lower(result.disturb, other.disturb)
      result.pulsesPerRun = lower(result.pulsesPerRun, other.pulsesPerRun)
      result.pulsesPerLife = lower(result.pulsesPerLife, other.pulsesPerLife)
      if let range = result.temperature, let its = other.temperature {
        result.temperature = range.intersection(its)
        if result.temperature == nil { result.pulsesPerRequest = 0 }
      } else {
        result.temperature = result.temperature ?? other.temperature
      }
    }
    return result
  }

  /// The lower of two limits; one that is not stated forbids nothing.
  private static func lower<T: Comparable>(_ a: T?, _ b: T?) -> T? {
    guard let a, let b else { return a ?? b }
    return min(a, b)
  }
}

/// What the caller knowingly allows beyond the limits; nothing else can be opened.
public struct LimitAllowance: Sendable, Hashable {
  /// Line voltages up to this one; `nil` opens none.
  public var overVoltage: Volts?
  /// More pulses a cell than a run or the chip's life may have.
  public var wear: Bool

  public init(overVoltage: Volts? = nil, wear: Bool = false) {
    self.overVoltage = overVoltage
    self.wear = wear
  }
}

extension ChipLimits {
  /// These limits with what `allowance` opens. A line that may not be driven at all stays closed.
  public func opened(by allowance: LimitAllowance) -> ChipLimits {
    var result = self
    if let voltage = allowance.overVoltage {
      for line in [\ChipLimits.wordLine, \.bitLine, \.sourceLine, \.forming] where result[keyPath: line] > .zero {
        result[keyPath: line] = max(result[keyPath: line], voltage)
      }
    }
    if allowance.wear { (result.pulsesPerRun, result.pulsesPerLife) = (nil, nil) }
    return result
  }
}

/// A limits record and where it comes from.
public struct LimitRecord: Sendable, Hashable {
  public enum Source: String, Sendable, Hashable, Codable {
    /// What the board says: its own record of board and chip, on an emulated board the chip's profile.
    case board
    /// The host's record of this very chip.
    case chip
    /// Nobody has a record: reads only.
    case none
  }

  public var source: Source
  /// The file it was read from, if it was.
  public var file: String?
  public var limits: ChipLimits

  public init(_ source: Source, file: String? = nil, _ limits: ChipLimits) {
    self.source = source
    self.file = file
    self.limits = limits
  }
}

extension ClosedRange {
  fileprivate func intersection(_ other: ClosedRange) -> ClosedRange? {
    let low = Swift.max(lowerBound, other.lowerBound)
    let high = Swift.min(upperBound, other.upperBound)
    return low <= high ? low...high : nil
  }
}
