import RRAMPhysics
import RRAMUnits
import Testing

/// Every node of array, wires and terminals as one dense system, solved row by row with full pivoting of columns: nothing in
/// common with the code under test.
private func denseSolution(_ shape: MacroShape, _ wires: ArrayWires, _ cells: [Double]) -> [Double] {
  let (rows, columns) = (shape.rows, shape.columns)
  // Lines without resistance are one node; a name maps to its number.
  var numbers: [String: Int] = [:]
  func node(_ name: String) -> Int {
    if let number = numbers[name] { return number }
    numbers[name] = numbers.count
    return numbers.count - 1
  }
  func rowNode(_ i: Int, _ j: Int) -> Int {
    if wires.rowSegment > .zero { return node("r\(i),\(j)") }
    return node(wires.driver > .zero ? "r\(i)" : "R\(i)")
  }
  func columnNode(_ i: Int, _ j: Int) -> Int {
    if wires.columnSegment > .zero { return node("c\(i),\(j)") }
    return node(wires.amplifier > .zero ? "c\(j)" : "C\(j)")
  }
  var links: [(Int, Int, Double)] = []
  for i in 0..<rows {
    let entry = wires.driver + wires.rowSegment
    if entry > .zero { links.append((node("R\(i)"), rowNode(i, 0), 1 / entry.rawValue)) }
    if wires.rowSegment > .zero {
      for j in 1..<max(columns, 1) { links.append((rowNode(i, j - 1), rowNode(i, j), 1 / wires.rowSegment.rawValue)) }
    }
  }
  for j in 0..<columns {
    let exit = wires.amplifier + wires.columnSegment
    if exit > .zero { links.append((node("C\(j)"), columnNode(rows - 1, j), 1 / exit.rawValue)) }
    if wires.columnSegment > .zero {
      for i in 1..<max(rows, 1) {
        links.append((columnNode(i - 1, j), columnNode(i, j), 1 / wires.columnSegment.rawValue))
      }
    }
  }
  for i in 0..<rows {
    for j in 0..<columns { links.append((rowNode(i, j), columnNode(i, j), cells[i * columns + j])) }
  }
  let count = numbers.count
  var matrix = [[Double]](repeating: [Double](repeating: 0, count: count), count: count)
  for (a, b, g) in links {
    matrix[a][a] += g
    matrix[b][b] += g
    matrix[a][b] -= g
    matrix[b][a] -= g
  }
  let terminals = Set((0..<rows).map { node("R\($0)") } + (0..<columns).map { node("C\($0)") })
  let inside = (0..<count).filter { !terminals.contains($0) }
  var result = [Double](repeating: 0, count: rows * columns)
  // Elimination with the right-hand sides of all rows beside the matrix.
  var system = inside.map { a in inside.map { matrix[a][$0] } + (0..<rows).map { -matrix[a][node("R\($0)")] } }
  for pivot in inside.indices {
    let best = (pivot..<inside.count).max { abs(system[$0][pivot]) < abs(system[$1][pivot]) } ?? pivot
    system.swapAt(pivot, best)
    for other in inside.indices where other != pivot && system[other][pivot] != 0 {
      let factor = system[other][pivot] / system[pivot][pivot]
      for k in pivot..<inside.count + rows { system[other][k] -= factor * system[pivot][k] }
    }
  }
  for i in 0..<rows {
    for j in 0..<columns {
      // What flows into a terminal at 0 V.
      let column = node("C\(j)")
      var current = -matrix[column][node("R\(i)")]
      for (k, a) in inside.enumerated() {
        current -= matrix[column][a] * system[k][inside.count + i] / system[k][k]
      }
      result[i * columns + j] = current
    }
  }
  return result
}

/// 1–100 µS, every seventh cell next to open, every eleventh without any conductance.
private func cells(_ shape: MacroShape, seed: UInt64) -> [Double] {
  var draws = PhiloxStream(seed: seed, stream: (1, 2, 3))
  return (0..<shape.cellCount).map { cell in
    let u = 1e-6 + 99e-6 * draws.uniform()
    return cell % 11 == 5 ? 0 : cell % 7 == 3 ? 1e-8 : u
  }
}

private func largestRelativeDifference(_ a: [Double], _ b: [Double]) -> Double {
  zip(a, b).map { $0 == $1 ? 0 : abs($0 - $1) / max(abs($0), abs($1)) }.max() ?? .infinity
}

@Suite struct WireNetworkTests {
  @Test(
    "agrees with an independent dense solve to 1e-9",
    arguments: [MacroShape(rows: 12, columns: 9), MacroShape(rows: 5, columns: 14), MacroShape(rows: 1, columns: 6)],
    [
      ArrayWires(rowSegment: Ohms(2), columnSegment: Ohms(3), driver: Ohms(50), amplifier: Ohms(7)),
      ArrayWires(rowSegment: Ohms(1), columnSegment: Ohms(1)),
      ArrayWires(rowSegment: Ohms(1e-3), columnSegment: Ohms(40), driver: Ohms(1e-3)),
      ArrayWires(rowSegment: Ohms(5)), ArrayWires(columnSegment: Ohms(5)),
      ArrayWires(driver: Ohms(100)), ArrayWires(amplifier: Ohms(100)),
      ArrayWires(columnSegment: Ohms(4), driver: Ohms(100)), ArrayWires(rowSegment: Ohms(4), amplifier: Ohms(100)),
      ArrayWires(driver: Ohms(20), amplifier: Ohms(30)), ArrayWires(rowSegment: Ohms(2000), columnSegment: Ohms(3000)),
    ])
  func dense(shape: MacroShape, wires: ArrayWires) throws {
    let network = try WireNetwork(shape: shape, wires: wires)
    // Twice: the second set of conductances takes the analysis of the first.
    for seed in 1...2 {
      let cells = cells(shape, seed: UInt64(seed))
      let difference = largestRelativeDifference(
        try network.effective(cells), denseSolution(shape, wires, cells))
      #expect(difference <= 1e-9)
    }
  }

  @Test("one cell is a series of resistors")
  func series() throws {
    let network = try WireNetwork(
      shape: MacroShape(rows: 1, columns: 1),
      wires: ArrayWires(rowSegment: Ohms(10), columnSegment: Ohms(20), driver: Ohms(30), amplifier: Ohms(40)))
    // 10 kΩ + 100 Ω.
    #expect(abs(try network.effective([1e-4])[0] * 10_100 - 1) < 1e-12)
  }

  @Test("a row of two cells is a ladder")
  func ladder() throws {
    let network = try WireNetwork(shape: MacroShape(rows: 1, columns: 2), wires: ArrayWires(rowSegment: Ohms(1000)))
    // 1 kΩ into the first cell of 1 kΩ beside 1 kΩ + 1 kΩ: nodes at 0.4 V and 0.2 V.
    let effective = try network.effective([1e-3, 1e-3])
    #expect(abs(effective[0] - 0.4e-3) < 1e-15 && abs(effective[1] - 0.2e-3) < 1e-15)
  }

  @Test("cells of rows at 0 V load the column of another")
  func offBlock() throws {
    let network = try WireNetwork(shape: MacroShape(rows: 2, columns: 1), wires: ArrayWires(amplifier: Ohms(1000)))
    // 1 kΩ from the source to the column, which goes to ground through 1 kΩ and the other cell of 1 kΩ: 1/3 V there.
    #expect(abs(try network.effective([1e-3, 1e-3])[0] - 1e-3 / 3) < 1e-15)
    #expect(abs(try network.effective([1e-3, 0])[0] - 0.5e-3) < 1e-15)
  }

  @Test("without resistance the matrix is that of the conductances, bit for bit")
  func ideal() throws {
    let shape = MacroShape(rows: 7, columns: 4)
    let cells = cells(shape, seed: 3)
    #expect(ArrayWires().isIdeal)
    #expect(try WireNetwork(shape: shape, wires: ArrayWires()).effective(cells) == cells)
  }

  @Test("a macro of 64×64 loses current where its cells are far from driver and amplifier")
  func macro() throws {
    let shape = MacroShape(rows: 64, columns: 64)
    let network = try WireNetwork(shape: shape, wires: ArrayWires(rowSegment: Ohms(1), columnSegment: Ohms(1)))
    let effective = try network.effective([Double](repeating: 50e-6, count: shape.cellCount))
    let near = effective[63 * 64] / 50e-6
    let far = effective[63] / 50e-6
    #expect(near < 1 && near > 0.85)
    #expect(far < near && far > 0.6)
    // Reciprocity of a square array of equal cells: mirrored across the diagonal between the two corners.
    #expect(abs(effective[5 * 64 + 3] / effective[60 * 64 + 58] - 1) < 1e-12)
  }

  @Test("refuses what is no conductance, no resistance or no macro of this shape")
  func refusals() throws {
    let shape = MacroShape(rows: 2, columns: 2)
    let network = try WireNetwork(shape: shape, wires: ArrayWires(rowSegment: Ohms(1)))
    for bad in [-1e-6, .nan, .infinity] {
      #expect(
        try #require(throws: PhysicsError.self) { try network.effective([1e-6, bad, 1e-6, 1e-6]) }.code == .network)
    }
    #expect(try #require(throws: PhysicsError.self) { try network.effective([1e-6]) }.code == .shape)
    for bad in [Ohms(-1), Ohms(.nan), Ohms(.infinity)] {
      #expect(throws: PhysicsError.self) { try WireNetwork(shape: shape, wires: ArrayWires(driver: bad)) }
    }
    // Still good for use afterwards.
    #expect(try network.effective([1e-6, 0, 1e-6, 1e-6])[1] == 0)
  }
}
