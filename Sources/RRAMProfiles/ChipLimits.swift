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

  public init(
    wordLine: Volts, bitLine: Volts, sourceLine: Volts, forming: Volts, read: Volts,
    pulseWidth: ClosedRange<Duration>, pulsesPerRequest: Int, conductance: ClosedRange<Siemens>
  ) {
    self.wordLine = wordLine
    self.bitLine = bitLine
    self.sourceLine = sourceLine
    self.forming = forming
    self.read = read
    self.pulseWidth = pulseWidth
    self.pulsesPerRequest = pulsesPerRequest
    self.conductance = conductance
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
    }
    return result
  }
}

extension ClosedRange {
  fileprivate func intersection(_ other: ClosedRange) -> ClosedRange? {
    let low = Swift.max(lowerBound, other.lowerBound)
    let high = Swift.min(upperBound, other.upperBound)
    return low <= high ? low...high : nil
  }
}
