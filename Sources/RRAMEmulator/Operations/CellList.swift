internal import RRAMUnits
internal import RRAMWire

/// The selected cells of a request as indices into their macro, row-major: row · columns + column.
struct CellList {
  let macro: Int
  let indices: [Int]
  private let columns: Int
  /// Columns of the block: what may be pulsed side by side.
  let blockColumns: Int

  /// - Throws: BAD_ARGUMENT if the block does not lie in a macro of the board or selects nothing.
  init(_ selection: CellSelection, _ chip: Chip) throws(RequestFailure) {
    let block = try chip.checked(selection.block)
    let macroColumns = chip.shape.columns
    let cells: [Int] =
      (selection.mask?.selectedIndices ?? Array(0..<block.cellCount)).map { index in
        let (row, column) = index.quotientAndRemainder(dividingBy: block.shape.columns)
        return (block.firstRow + row) * macroColumns + block.firstColumn + column
      }
    guard !cells.isEmpty else { throw RequestFailure(.badArgument, "the mask selects no cell: cells.mask") }
    macro = block.macro
    indices = cells
    columns = macroColumns
    blockColumns = block.shape.columns
  }

  var count: Int { indices.count }

  /// A block of one cell, as refusals name it.
  func cell(_ selected: Int) -> CellBlock {
    let (row, column) = indices[selected].quotientAndRemainder(dividingBy: columns)
    return CellBlock(macro: macro, firstRow: row, firstColumn: column, shape: MacroShape(rows: 1, columns: 1))
  }
}

/// Cells one step works on: a few milliseconds of host time at most.
let cellsPerStep = 1024

/// Cells that are read in one step, so that a step takes some milliseconds however many conversions each cell takes.
func readsPerStep(_ bias: ReadBias, times: Int = 1) -> Int {
  max(1, cellsPerStep / max(1, bias.averages * times))
}
