public import RRAMProfiles

/// What every converter of a board's closed loop adds: its line, as it was read back.
///
/// A board that is opened with one gets codes of which the lines make the voltages that a schedule asks for, and what it reads out is corrected.
public struct ConverterLineCalibration: Sendable, Hashable, Codable {
  /// Against what the lines hold.
  public enum Reference: Sendable, Hashable, Codable {
    /// The board's own voltage reference, which is right within this share.
    case voltage(tolerance: Double)
    /// A voltage reference that an instrument measured.
    case measured(instrument: String)
    /// The board's measuring converter, of which nothing else is known: channels agree with each other, and no volt is known.
    case measuringConverter
  }

  public var id: String
  /// The chip that was in the socket.
  public var chip: String
  /// The board's serial number: converters belong to the board.
  public var board: String
  /// SHA-256 of the board's description: codes stand for other voltages where it says so.
  public var descriptionSHA256: String
  /// Seconds since 1970-01-01 UTC.
  public var madeAt: Double
  /// Of the board's sensor, degrees Celsius.
  public var celsius: Double?
  public var reference: Reference
  public var lines: ConverterLines

  public init(
    id: String, chip: String, board: String, descriptionSHA256: String, madeAt: Double, celsius: Double?,
    reference: Reference, lines: ConverterLines
  ) {
    self.id = id
    self.chip = chip
    self.board = board
    self.descriptionSHA256 = descriptionSHA256
    self.madeAt = madeAt
    self.celsius = celsius
    self.reference = reference
    self.lines = lines
  }

  /// Why it is not for the board of a serial number; nil if it is.
  public func obstacle(on serial: String, _ described: BoardDescription) -> String? {
    guard board == serial else { return "was made on board \(board), this is \(serial)" }
    guard let loop = described.closedLoop else { return "is of a closed loop, and the board has none" }
    let channels = LoopConverter.allCases.reduce(0) { $0 + loop.channels(of: $1) }
    guard lines.count == channels else {
      return "is of \(lines.count) converter channels, the board has \(channels)"
    }
    guard lines.fits(loop) else {
      return "has lines that are not of this board's converters, or that cannot be inverted"
    }
    return descriptionSHA256 == described.hash ? nil : "was made when the board described itself otherwise"
  }
}

extension ConverterLineCalibration.Reference: CustomStringConvertible {
  public var description: String {
    switch self {
    case .voltage(let tolerance): "voltage reference of ±\(tolerance * 100) %"
    case .measured(let instrument): "voltage reference measured by \(instrument)"
    case .measuringConverter: "uncalibrated"
    }
  }
}
