public import RRAMProfiles
public import RRAMUnits

/// What lies between a row's source, the cells and a column's virtual ground.
///
/// Rows are driven from the side of column 0, columns are sensed below the last row. A line has one segment between its
/// terminal and the cell next to it, and one between any two neighbours.
public struct ArrayWires: Sendable, Hashable {
  /// Of one segment of a row.
  public var rowSegment: Ohms
  /// Of one segment of a column.
  public var columnSegment: Ohms
  /// Of a row's driver.
  public var driver: Ohms
  /// Between a column's last segment and virtual ground.
  public var amplifier: Ohms

  public init(
    rowSegment: Ohms = .zero, columnSegment: Ohms = .zero, driver: Ohms = .zero, amplifier: Ohms = .zero
  ) {
    self.rowSegment = rowSegment
    self.columnSegment = columnSegment
    self.driver = driver
    self.amplifier = amplifier
  }

  /// The wires of a chip on a board: its bit lines are the rows, its source lines the columns.
  public init(_ chip: ChipProfile, on board: BoardDescription) {
    self.init(
      rowSegment: chip.wires.bitLineSegment, columnSegment: chip.wires.sourceLineSegment,
      driver: board.drivers.outputResistance, amplifier: board.sensing.inputResistance)
  }

  /// True if every cell sees exactly the voltage of its row: the effective matrix is that of the conductances.
  public var isIdeal: Bool {
    rowSegment == .zero && columnSegment == .zero && driver == .zero && amplifier == .zero
  }
}

extension ArrayWires {
  /// What each cell of a row shows, as a fraction of its conductance, if it alone of all word lines' cells conducts.
  ///
  /// A ladder along the row; every rung is a cell in series with its column down to virtual ground.
  ///
  /// - Parameters:
  ///   - conductances: of the row's cells, siemens.
  ///   - row: number of the row in a macro of `shape`.
  public func rowFactors(_ conductances: [Double], row: Int, of shape: MacroShape) -> [Double] {
    let column = columnSegment * Double(shape.rows - row) + amplifier
    let rungs = conductances.map { 1 / (1 + $0 * column.rawValue) }
    let line = Self.ladder(
      zip(conductances, rungs).map { $0 * $1 }, first: driver + rowSegment, segment: rowSegment)
    return zip(line, rungs).map { $0 * $1 }
  }

  /// What each cell of a column shows, as a fraction of its conductance, if only the cells of this column conduct and all
  /// other rows are held at 0 V.
  ///
  /// - Parameters:
  ///   - conductances: of the column's cells, siemens.
  ///   - column: number of the column in its macro.
  public func columnFactors(_ conductances: [Double], column: Int) -> [Double] {
    // By reciprocity the current at the foot per volt on a row is that on the row per volt at the foot.
    let row = rowSegment * Double(column + 1) + driver
    let rungs = conductances.map { 1 / (1 + $0 * row.rawValue) }
    let line = Self.ladder(
      zip(conductances, rungs).map { $0 * $1 }.reversed(), first: amplifier + columnSegment, segment: columnSegment)
    return zip(line.reversed(), rungs).map { $0 * $1 }
  }

  /// Voltages along a line that is driven with 1 V through `first`, with one conductance to ground at every node.
  private static func ladder(_ rungs: [Double], first: Ohms, segment: Ohms) -> [Double] {
    // Conductance of everything behind a node, from the far end on.
    var behind = [Double](repeating: 0, count: rungs.count)
    var sum = 0.0
    for index in rungs.indices.reversed() {
      sum += rungs[index]
      behind[index] = sum
      sum /= 1 + sum * (index == 0 ? first : segment).rawValue
    }
    var voltage = 1.0
    return rungs.indices.map { index in
      voltage /= 1 + behind[index] * (index == 0 ? first : segment).rawValue
      return voltage
    }
  }
}
