internal import RRAMUnits
internal import RRAMWire

extension CellSelection {
  /// The selection cut into parts whose mask and per-cell data fit into `budget` bytes each, in row-major order.
  ///
  /// Parts are bands of whole rows where a row fits, else pieces of rows; parts without a selected cell are left out, so the
  /// selected cells of all parts in order are those of the selection.
  ///
  /// - Parameter limit: selected cells of a part of whole rows at most, but never less than a row; what the budget cuts within a row keeps to that alone.
  func parts(bytesPerCell: Int, budget: Int, limit: Int = .max) -> [CellSelection] {
    func bytes(_ cells: Int, _ selected: Int) -> Int {
      (mask == nil ? 0 : (cells + 7) / 8) + bytesPerCell * selected
    }
    guard bytes(block.cellCount, count) > budget || count > limit else { return count == 0 ? [] : [self] }
    let columns = block.shape.columns
    func isSelected(_ row: Int, _ column: Int) -> Bool { mask?[row * columns + column] ?? true }
    let inRow = (0..<block.shape.rows).map { row in (0..<columns).count { isSelected(row, $0) } }
    var parts: [CellSelection] = []
    var row = 0
    while row < block.shape.rows {
      var end = row
      var selected = 0
      while end < block.shape.rows, bytes((end + 1 - row) * columns, selected + inRow[end]) <= budget,
        selected == 0 || selected + inRow[end] <= limit
      {
        selected += inRow[end]
        end += 1
      }
      if end > row {
        if selected > 0 { parts.append(part(rows: row..<end, columns: 0..<columns)) }
        row = end
        continue
      }
      var column = 0
      while column < columns {
        var end = column
        var selected = 0
        // At least one cell a part: a budget below that of one cell is refused when the request is sent.
        while end < columns,
          end == column || bytes(end + 1 - column, selected + (isSelected(row, end) ? 1 : 0)) <= budget
        {
          selected += isSelected(row, end) ? 1 : 0
          end += 1
        }
        if selected > 0 { parts.append(part(rows: row..<row + 1, columns: column..<end)) }
        column = end
      }
      row += 1
    }
    return parts
  }

  private func part(rows: Range<Int>, columns: Range<Int>) -> CellSelection {
    let partBlock = CellBlock(
      macro: block.macro, firstRow: block.firstRow + rows.lowerBound,
      firstColumn: block.firstColumn + columns.lowerBound,
      shape: MacroShape(rows: rows.count, columns: columns.count))
    guard let mask else { return CellSelection(block: partBlock) }
    let bits = rows.flatMap { row in columns.map { mask[row * block.shape.columns + $0] } }
    return CellSelection(block: partBlock, mask: CellMask(bits))
  }
}
