internal import RRAMUnits

/// The nodes of an array with its wires, numbered in the order of elimination; the terminals of rows, then those of columns
/// are the last.
struct WireNodes {
  /// A piece of wire.
  struct Link {
    var from: Int
    var to: Int
    var conductance: Double
  }

  /// Nodes of each cell's two ends, row-major.
  private(set) var row: [Int]
  private(set) var column: [Int]
  private(set) var links: [Link] = []
  private(set) var count = 0

  private let shape: MacroShape
  private let unnumbered = -1

  init(shape: MacroShape, wires: ArrayWires) {
    self.shape = shape
    let (rows, columns) = (shape.rows, shape.columns)
    row = [Int](repeating: unnumbered, count: rows * columns)
    column = row
    let rowsAreChains = wires.rowSegment > .zero
    let columnsAreChains = wires.columnSegment > .zero
    dissect(rows: 0..<rows, columns: 0..<columns, rowsAreChains, columnsAreChains)
    // A line without resistance of its own is one node, and its terminal unless something lies in between.
    if !rowsAreChains, wires.driver > .zero { for i in 0..<rows { numberRow(i) } }
    if !columnsAreChains, wires.amplifier > .zero { for j in 0..<columns { numberColumn(j) } }
    let rowTerminal = count
    if !rowsAreChains, wires.driver == .zero { for i in 0..<rows { numberRow(i) } } else { count += rows }
    let columnTerminal = count
    if !columnsAreChains, wires.amplifier == .zero {
      for j in 0..<columns { numberColumn(j) }
    } else {
      count += columns
    }

    let rowEntry = wires.driver + wires.rowSegment
    for i in 0..<rows {
      if rowEntry > .zero { link(rowTerminal + i, row[i * columns], rowEntry) }
      guard rowsAreChains else { continue }
      for j in 1..<max(1, columns) { link(row[i * columns + j - 1], row[i * columns + j], wires.rowSegment) }
    }
    let columnExit = wires.amplifier + wires.columnSegment
    for j in 0..<columns {
      if columnExit > .zero { link(column[(rows - 1) * columns + j], columnTerminal + j, columnExit) }
      guard columnsAreChains else { continue }
      for i in 1..<max(1, rows) { link(column[(i - 1) * columns + j], column[i * columns + j], wires.columnSegment) }
    }
  }

  private mutating func link(_ from: Int, _ to: Int, _ resistance: Ohms) {
    links.append(Link(from: from, to: to, conductance: 1 / resistance.rawValue))
  }

  private mutating func numberRow(_ i: Int) {
    for j in 0..<shape.columns { row[i * shape.columns + j] = count }
    count += 1
  }

  private mutating func numberColumn(_ j: Int) {
    for i in 0..<shape.rows { column[i * shape.columns + j] = count }
    count += 1
  }

  /// Numbers both halves of a rectangle of cells, then the nodes that part them: those where a wire crosses the cut.
  private mutating func dissect(
    rows: Range<Int>, columns: Range<Int>, _ rowsAreChains: Bool, _ columnsAreChains: Bool
  ) {
    guard !rows.isEmpty, !columns.isEmpty else { return }
    let width = shape.columns
    if rows.count * columns.count == 1 {
      let cell = rows.lowerBound * width + columns.lowerBound
      if rowsAreChains, row[cell] == unnumbered { row[cell] = take() }
      if columnsAreChains, column[cell] == unnumbered { column[cell] = take() }
      return
    }
    let held = -2
    if columns.count >= rows.count {
      let cut = (columns.lowerBound + columns.upperBound) / 2
      let parting = rows.map { $0 * width + cut }.filter { rowsAreChains && row[$0] == unnumbered }
      for cell in parting { row[cell] = held }
      dissect(rows: rows, columns: columns.lowerBound..<cut, rowsAreChains, columnsAreChains)
      dissect(rows: rows, columns: cut..<columns.upperBound, rowsAreChains, columnsAreChains)
      for cell in parting { row[cell] = take() }
    } else {
      let cut = (rows.lowerBound + rows.upperBound) / 2
      let parting = columns.map { cut * width + $0 }.filter { columnsAreChains && column[$0] == unnumbered }
      for cell in parting { column[cell] = held }
      dissect(rows: rows.lowerBound..<cut, columns: columns, rowsAreChains, columnsAreChains)
      dissect(rows: cut..<rows.upperBound, columns: columns, rowsAreChains, columnsAreChains)
      for cell in parting { column[cell] = take() }
    }
  }

  private mutating func take() -> Int {
    defer { count += 1 }
    return count
  }
}
