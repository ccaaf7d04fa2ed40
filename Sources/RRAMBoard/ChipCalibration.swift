public import RRAMProfiles
public import RRAMUnits

/// A calibration that holds for one chip on one board.
public protocol ChipCalibration: Sendable {
  var id: String { get }
  var chip: String { get }
  /// The board's serial number: amplifiers belong to the board.
  var board: String { get }
  /// SHA-256 of the board's description as it was when this was made: ranges and gains stand for other values where it says so. `nil` in
  /// records from before it was kept.
  var descriptionSHA256: String? { get }

  /// True if it covers macros of this count and shape.
  func fits(macros: Int, shape: MacroShape) -> Bool
}

extension ChipCalibration {
  /// Why it is not for a chip on the board of a serial number; nil if it is.
  public func obstacle(of chip: String, on serial: String, _ described: BoardDescription) -> String? {
    guard self.chip == chip, board == serial else {
      return "is of chip \(self.chip) on board \(board), this is \(chip) on \(serial)"
    }
    guard fits(macros: described.macros.count, shape: described.macros.shape) else {
      return "is not for \(described.macros.count) macros of \(described.macros.shape)"
    }
    if let descriptionSHA256, descriptionSHA256 != described.hash {
      return "was made when the board described itself otherwise"
    }
    return nil
  }

  /// True if it is surely of this chip and of the board as it describes itself: what a new calibration takes over from an earlier one stands
  /// under the new one's name.
  public func isOf(_ info: BoardInfo, exactly described: BoardDescription) -> Bool {
    descriptionSHA256 == described.hash && obstacle(of: info.chipID, on: info.serial, described) == nil
  }
}
