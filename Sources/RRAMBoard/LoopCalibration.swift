public import RRAMUnits

/// What the column amplifiers of the closed loop make of the conductances that reads show: a pair of columns with G₊ and G₋ by the reads
/// gives gain·R·(G₊ − G₋) + offset in the loop, R being the transimpedance that its code stands for.
///
/// Reads go through other amplifiers than the loop, so this is no part of a ``ReadCalibration``; it is measured with its corrections in
/// force and holds beside that very one. Made by driving rows with known voltages, once in a matrix product and once in the loop.
public struct LoopCalibration: ChipCalibration, Hashable, Codable {
  /// One pair of columns.
  public struct Pair: Sendable, Hashable, Codable {
    /// Gain of inference ÷ gain of read-back.
    public var gain: Double
    public var standardError: Double
    /// At the amplifier's output, units.
    public var offset: Double

    public init(gain: Double, standardError: Double, offset: Double) {
      self.gain = gain
      self.standardError = standardError
      self.offset = offset
    }
  }

  public var id: String
  public var chip: String
  public var board: String
  public var descriptionSHA256: String?
  /// Seconds since 1970-01-01 UTC.
  public var madeAt: Double
  /// Of the board's sensor, degrees Celsius.
  public var celsius: Double?
  /// Id of the calibration of the read chain that was in force; nil: none was.
  public var readCalibration: String?
  public var shape: MacroShape
  /// By macro, then pair of columns; nil for one that was not measured, which counts as without error.
  public var pairs: [[Pair?]]

  public init(
    id: String, chip: String, board: String, descriptionSHA256: String? = nil, madeAt: Double, celsius: Double?,
    readCalibration: String?, shape: MacroShape, pairs: [[Pair?]]
  ) {
    self.id = id
    self.chip = chip
    self.board = board
    self.descriptionSHA256 = descriptionSHA256
    self.madeAt = madeAt
    self.celsius = celsius
    self.readCalibration = readCalibration
    self.shape = shape
    self.pairs = pairs
  }

  public func fits(macros: Int, shape: MacroShape) -> Bool {
    self.shape == shape && pairs.count == macros
      && pairs.allSatisfy { macro in
        macro.count == shape.columns / 2
          && macro.allSatisfy { pair in
            pair.map { $0.gain.isFinite && $0.gain > 0 && $0.standardError >= 0 && $0.offset.isFinite } ?? true
          }
      }
  }

  /// The pair whose first column is `column`; nil if it was not measured.
  public func pair(macro: Int, column: Int) -> Pair? { pairs[macro][column / 2] }
}
