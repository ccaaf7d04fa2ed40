public import RRAMUnits

/// What the read chain of every column adds: what it shows is gain·G + offset for a true conductance G.
///
/// Made by reading known inputs through each column's amplifier; a ``Board`` that is opened with one corrects what it reads and shifts the
/// targets that it writes.
public struct ReadCalibration: ChipCalibration, Hashable, Codable {
  /// Against what the scale holds.
  public enum Reference: Sendable, Hashable, Codable {
    /// The board's own resistors, which are right within this share.
    case resistors(tolerance: Double)
    /// Resistors whose values an instrument measured.
    case measured(instrument: String)
  }

  public var id: String
  public var chip: String
  public var board: String
  public var descriptionSHA256: String?
  /// Seconds since 1970-01-01 UTC.
  public var madeAt: Double
  /// Of the board's sensor, degrees Celsius.
  public var celsius: Double?
  public var reference: Reference
  public var shape: MacroShape
  /// By macro: true where known inputs were read; the others have gains of 1 and no offsets. `nil` in records from before it was kept.
  public var isMeasured: [Bool]?
  /// By macro, then column.
  public var gain: [[Double]]
  /// Siemens, by macro, then column.
  public var offsetSiemens: [[Double]]
  /// One of the amplifiers' ranges.
  public struct RangeLine: Sendable, Hashable, Codable {
    /// By macro, then column.
    public var gain: [[Double]]
    /// Siemens at the board's read voltage, by macro, then column.
    public var offsetSiemens: [[Double]]
    /// By macro: true where the range carries a known input, which was read; the others have the gains of reads. `nil` in records from before
    /// it was kept.
    public var isMeasured: [Bool]?

    public init(gain: [[Double]], offsetSiemens: [[Double]], isMeasured: [Bool]? = nil) {
      self.gain = gain
      self.offsetSiemens = offsetSiemens
      self.isMeasured = isMeasured
    }
  }
  /// The same for every range of the board's description, in its order: products are converted in the one that suits a column's current.
  /// `nil`: measured in the range of reads alone.
  public var ranges: [RangeLine]?

  public init(
    id: String, chip: String, board: String, descriptionSHA256: String? = nil, madeAt: Double, celsius: Double?,
    reference: Reference, shape: MacroShape, gain: [[Double]], offsetSiemens: [[Double]], isMeasured: [Bool]? = nil,
    ranges: [RangeLine]? = nil
  ) {
    self.id = id
    self.chip = chip
    self.board = board
    self.descriptionSHA256 = descriptionSHA256
    self.madeAt = madeAt
    self.celsius = celsius
    self.reference = reference
    self.shape = shape
    self.gain = gain
    self.offsetSiemens = offsetSiemens
    self.isMeasured = isMeasured
    self.ranges = ranges
  }

  public func fits(macros: Int, shape: MacroShape) -> Bool {
    self.shape == shape
      && ([RangeLine(gain: gain, offsetSiemens: offsetSiemens, isMeasured: isMeasured)] + (ranges ?? [])).allSatisfy {
        line in
        line.gain.count == macros && line.offsetSiemens.count == macros
          && line.isMeasured.map { $0.count == macros } ?? true
          && line.gain.allSatisfy { $0.count == shape.columns && $0.allSatisfy { $0.isFinite && $0 > 0 } }
          && line.offsetSiemens.allSatisfy { $0.count == shape.columns && $0.allSatisfy(\.isFinite) }
      }
  }

  /// True if the amplifiers of a macro were measured, in the range of reads at least.
  public func covers(macro: Int) -> Bool { isMeasured?[macro] ?? false }

  /// True if they were measured in every range.
  public func coversRanges(macro: Int) -> Bool { ranges?.allSatisfy { $0.isMeasured?[macro] ?? false } ?? false }

  /// The current behind what a product shows, amperes.
  ///
  /// - Parameters:
  ///   - range: that of the conversion; `nil` where the board does not say, the range of reads then gives the gain and nothing the offset.
  ///   - voltage: the board's read voltage, at which the offsets are siemens.
  func corrected(current: Float, macro: Int, column: Int, range: Int?, voltage: Volts) -> Float {
    guard let range, let ranges, ranges.indices.contains(range) else { return current / Float(gain[macro][column]) }
    let line = ranges[range]
    return Float(
      (Double(current) - line.offsetSiemens[macro][column] * voltage.rawValue) / line.gain[macro][column])
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
