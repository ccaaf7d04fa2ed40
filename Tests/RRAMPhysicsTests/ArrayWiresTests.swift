import RRAMPhysics
import RRAMProfiles
import RRAMUnits
import Testing

@Suite struct ArrayWiresTests {
  static let shape = MacroShape(rows: 9, columns: 6)
  static let wires = ArrayWires(rowSegment: Ohms(20), columnSegment: Ohms(30), driver: Ohms(100), amplifier: Ohms(50))

  /// 5–100 µS.
  private func line(_ count: Int, seed: UInt64) -> [Double] {
    var draws = PhiloxStream(seed: seed, stream: (4, 5, 6))
    return (0..<count).map { _ in 5e-6 + 95e-6 * draws.uniform() }
  }

  @Test("cells of one row alone show what the whole network says", arguments: [0, 4, 8])
  func rowAlone(row: Int) throws {
    let columns = Self.shape.columns
    let cells = line(columns, seed: UInt64(row))
    var all = [Double](repeating: 0, count: Self.shape.cellCount)
    all.replaceSubrange(row * columns..<(row + 1) * columns, with: cells)
    let effective = try WireNetwork(shape: Self.shape, wires: Self.wires).effective(all)
    for (column, factor) in Self.wires.rowFactors(cells, row: row, of: Self.shape).enumerated() {
      #expect(abs(effective[row * columns + column] / (factor * cells[column]) - 1) < 1e-12)
      #expect(factor < 1)
    }
  }

  @Test("cells of one column alone show what the whole network says", arguments: [0, 3, 5])
  func columnAlone(column: Int) throws {
    let cells = line(Self.shape.rows, seed: UInt64(column))
    var all = [Double](repeating: 0, count: Self.shape.cellCount)
    for row in cells.indices { all[row * Self.shape.columns + column] = cells[row] }
    let effective = try WireNetwork(shape: Self.shape, wires: Self.wires).effective(all)
    for (row, factor) in Self.wires.columnFactors(cells, column: column).enumerated() {
      #expect(abs(effective[row * Self.shape.columns + column] / (factor * cells[row]) - 1) < 1e-12)
    }
  }

  @Test("bit lines are the rows, source lines the columns; driver and amplifier are the board's")
  func ofChipOnBoard() throws {
    var chip = try ChipProfile.named("cmo-hfox")
    var board = try BoardDescription.named("parallel")
    #expect(ArrayWires(chip, on: board).isIdeal)
    chip.wires = ChipProfile.Wires(bitLineSegment: Ohms(1), sourceLineSegment: Ohms(2))
    board.drivers.outputResistance = Ohms(3)
    board.sensing.inputResistance = Ohms(4)
    #expect(
      ArrayWires(chip, on: board)
        == ArrayWires(rowSegment: Ohms(1), columnSegment: Ohms(2), driver: Ohms(3), amplifier: Ohms(4)))
  }
}
