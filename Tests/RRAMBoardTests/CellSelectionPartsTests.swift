import RRAMUnits
import RRAMWire
import Testing

@testable import RRAMBoard

@Suite struct CellSelectionPartsTests {
  @Test(arguments: [
    (MacroShape(rows: 64, columns: 64), 1, 4, 768), (MacroShape(rows: 64, columns: 64), 3, 4, 768),
    (MacroShape(rows: 5, columns: 300), 2, 4, 100), (MacroShape(rows: 3, columns: 7), 1, 0, 1),
    (MacroShape(rows: 128, columns: 128), 5, 0, 768), (MacroShape(rows: 1, columns: 1), 1, 4, 5),
  ])
  func partsFitAndJoinToTheSelection(shape: MacroShape, every: Int, bytesPerCell: Int, budget: Int) {
    let block = CellBlock(macro: 1, firstRow: 2, firstColumn: 3, shape: shape)
    let mask = CellMask((0..<shape.cellCount).map { $0 % every == 0 })
    let selection = CellSelection(block: block, mask: mask)
    let parts = selection.parts(bytesPerCell: bytesPerCell, budget: budget)
    let cells = parts.flatMap { part in part.indices.map { part.block.address(at: $0) } }
    #expect(cells == selection.indices.map { block.address(at: $0) })
    for part in parts {
      #expect((part.mask?.bytes.count ?? 0) + bytesPerCell * part.count <= budget)
      #expect(part.count > 0)
    }
  }

  @Test func whatFitsStaysWhole() {
    let selection = CellSelection(block: CellBlock(macro: 0, shape: MacroShape(rows: 64, columns: 64)))
    #expect(selection.parts(bytesPerCell: 0, budget: 768) == [selection])
    #expect(selection.parts(bytesPerCell: 4, budget: 16384) == [selection])
  }

  @Test func aLimitOfCellsCutsBetweenRows() {
    let shape = MacroShape(rows: 9, columns: 20)
    let selection = CellSelection(block: CellBlock(macro: 0, shape: shape))
    let parts = selection.parts(bytesPerCell: 4, budget: 16384, limit: 56)
    #expect(parts.map(\.count) == [40, 40, 40, 40, 20])
    // A row is never cut for the limit's sake.
    #expect(selection.parts(bytesPerCell: 4, budget: 16384, limit: 7).map(\.count) == Array(repeating: 20, count: 9))
  }

  @Test func nothingSelectedIsNothingToSend() {
    let block = CellBlock(macro: 0, shape: MacroShape(rows: 2, columns: 2))
    #expect(CellSelection(block: block, mask: CellMask(cellCount: 4)).parts(bytesPerCell: 4, budget: 100).isEmpty)
  }
}
