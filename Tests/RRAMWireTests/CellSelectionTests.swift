import RRAMUnits
import Testing

@testable import RRAMWire

@Suite struct CellSelectionTests {
  @Test(arguments: [0, 1, 7, 8, 9, 64, 65]) func countsSelectedCells(_ cells: Int) {
    #expect(CellMask(repeating: true, cellCount: cells).selectedCount == cells)
    #expect(CellMask(repeating: true, cellCount: cells).selectedIndices == Array(0..<cells))
    #expect(CellMask(repeating: false, cellCount: cells).selectedIndices.isEmpty)
    var mask = CellMask(cellCount: cells)
    for cell in stride(from: 0, to: cells, by: 3) { mask[cell] = true }
    #expect(mask.selectedIndices == Array(stride(from: 0, to: cells, by: 3)))
    #expect(mask.selectedCount == mask.selectedIndices.count)
    #expect((0..<cells).allSatisfy { mask[$0] == ($0 % 3 == 0) })
  }

  @Test func setsAndClearsSingleCells() {
    var mask = CellMask([true, false, true])
    mask[0] = false
    mask[1] = true
    mask[1] = true
    #expect(mask == CellMask([false, true, true]))
    #expect(mask.selectedCount == 2)
  }

  @Test func refusesBytesThatAreNoMaskOfTheBlock() {
    #expect(throws: WireError.self) { try CellMask(bytes: [0xFF], cellCount: 9) }
    #expect(throws: WireError.self) { try CellMask(bytes: [0xFF, 1, 0], cellCount: 9) }
    #expect(throws: WireError.self) { try CellMask(bytes: [0xFF, 2], cellCount: 9) }
    #expect(throws: WireError.self) { try CellMask(bytes: [], cellCount: .max) }
    #expect((try? CellMask(bytes: [0xFF, 1], cellCount: 9))?.selectedCount == 9)
  }

  @Test func refusesAMaskOfAnotherBlock() {
    let cells = CellSelection(
      block: CellBlock(macro: 0, shape: MacroShape(rows: 2, columns: 2)), mask: CellMask(cellCount: 5))
    let error = #expect(throws: WireError.self) {
      try RequestMessage(
        operationID: 1,
        body: .readCells(ReadCells(cells: cells, bias: ReadBias(wordLine: .volts(1), bitLine: .volts(0.2))))
      ).payload()
    }
    #expect(error?.code == .wrongLength)
    #expect(error?.field == "read_cells.cells.mask")
  }

  @Test func selectsAllCellsWithoutAMask() {
    let cells = CellSelection(block: CellBlock(macro: 0, shape: MacroShape(rows: 3, columns: 2)))
    #expect(cells.count == 6)
    #expect(cells.indices == [0, 1, 2, 3, 4, 5])
  }
}
