public import RRAMUnits

/// What the read chain of every column adds: what it shows is gain·G + offset for a true conductance G.
///
/// Made by reading known inputs through each column's amplifier; a ``Board`` that is opened with one corrects what it reads and shifts the
/// targets that it writes.
public struct ReadCalibration: Sendable, Hashable, Codable {
  /// Against what the scale holds.
  public enum Reference: Sendable, Hashable, Codable {
    /// The board's own resistors, which are right within this share.
    case resistors(tolerance: Double)
    /// Resistors whose values an instrument measured.
    case measured(instrument: String)
  }

  public var id: String
  public var chip: String
  /// The board's serial number: amplifiers belong to the board.
  public var board: String
  /// Seconds since 1970-01-01 UTC.
  public var madeAt: Double
  /// Of the board's sensor, degrees Celsius.
  public var celsius: Double?
  public var reference: Reference
  public var shape: MacroShape
  /// By macro, then column.
  public var gain: [[Double]]
  /// Siemens, by macro, then column.
  public var offsetSiemens: [[Double]]

  public init(
    id: String, chip: String, board: String, madeAt: Double, celsius: Double?, reference: Reference, shape: MacroShape,
    gain: [[Double]], offsetSiemens: [[Double]]
  ) {
    self.id = id
    self.chip = chip
    self.board = board
    self.madeAt = madeAt
    self.celsius = celsius
    self.reference = reference
    self.shape = shape
    self.gain = gain
    self.offsetSiemens = offsetSiemens
  }

  /// True if it covers macros of this count and shape.
  public func fits(macros: Int, shape: MacroShape) -> Bool {
    self.shape == shape && gain.count == macros && offsetSiemens.count == macros
      && gain.allSatisfy { $0.count == shape.columns && $0.allSatisfy { $0.isFinite && $0 > 0 } }
      && offsetSiemens.allSatisfy { $0.count == shape.columns && $0.allSatisfy(\.isFinite) }
  }

  /// The conductance behind what a read shows.
  func corrected(_ shown: Float, _ cell: CellAddress) -> Float {
    Float((Double(shown) - offsetSiemens[cell.macro][cell.column]) / gain[cell.macro][cell.column])
  }

  /// What a read shows of a conductance.
  func shown(_ conductance: Float, _ cell: CellAddress) -> Float {
    Float(Double(conductance) * gain[cell.macro][cell.column] + offsetSiemens[cell.macro][cell.column])
  }
}

extension ReadCalibration.Reference: CustomStringConvertible {
  public var description: String {
    switch self {
    case .resistors(let tolerance): "reference resistors of ±\(tolerance * 100) %"
    case .measured(let instrument): "resistors measured by \(instrument)"
    }
  }
}
