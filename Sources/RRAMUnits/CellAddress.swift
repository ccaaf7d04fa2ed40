/// Rows and columns of a macro or of a block of it.
///
/// A row is a driven input line, a column a sensed output line.
public struct MacroShape: Sendable, Hashable, Codable, CustomStringConvertible {
  public var rows: Int
  public var columns: Int

  public init(rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
  }

  public var cellCount: Int { rows * columns }
  public var description: String { "\(rows)×\(columns)" }
}

/// One cell: macro, row (driven line) and column (sensed line), each counted from 0.
public struct CellAddress: Sendable, Hashable, Codable, CustomStringConvertible {
  public var macro: Int
  public var row: Int
  public var column: Int

  public init(macro: Int, row: Int, column: Int) {
    self.macro = macro
    self.row = row
    self.column = column
  }

  /// Row-major index in a macro of `shape`: row · columns + column.
  public func index(in shape: MacroShape) -> Int { row * shape.columns + column }

  public var description: String { "macro \(macro) row \(row) column \(column)" }
}

/// A rectangle of cells of one macro; the unit in which requests address cells.
public struct CellBlock: Sendable, Hashable, Codable, CustomStringConvertible {
  public var macro: Int
  public var firstRow: Int
  public var firstColumn: Int
  public var shape: MacroShape

  public init(macro: Int, firstRow: Int = 0, firstColumn: Int = 0, shape: MacroShape) {
    self.macro = macro
    self.firstRow = firstRow
    self.firstColumn = firstColumn
    self.shape = shape
  }

  public var rowRange: Range<Int> { firstRow..<firstRow + shape.rows }
  public var columnRange: Range<Int> { firstColumn..<firstColumn + shape.columns }
  public var cellCount: Int { shape.cellCount }

  /// True if the block is not empty and lies wholly inside a macro of `macroShape`.
  public func fits(in macroShape: MacroShape) -> Bool {
    firstRow >= 0 && firstColumn >= 0 && shape.rows > 0 && shape.columns > 0
      && shape.rows <= macroShape.rows - firstRow && shape.columns <= macroShape.columns - firstColumn
  }

  /// The address of the cell at `index` of the block, row-major within the block.
  public func address(at index: Int) -> CellAddress {
    CellAddress(macro: macro, row: firstRow + index / shape.columns, column: firstColumn + index % shape.columns)
  }

  public var description: String {
    "macro \(macro) rows \(firstRow)..\(firstRow + shape.rows - 1) columns \(firstColumn)..\(firstColumn + shape.columns - 1)"
  }
}

/// Raw code written to a digital-to-analog converter.
public struct DACCode: RawRepresentable, Sendable, Hashable, Codable {
  public var rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// Raw code read from an analog-to-digital converter.
public struct ADCCode: RawRepresentable, Sendable, Hashable, Codable {
  public var rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
}
