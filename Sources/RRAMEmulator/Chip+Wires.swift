internal import RRAMPhysics
internal import RRAMProfiles
internal import RRAMUnits

extension Chip {
  /// Conductances of a block, row-major: as the cells have them, and as rows and columns see them through the wires.
  struct BlockConductances {
    var cells: [Double]
    /// S: current into a column's virtual ground per volt on a row, the other rows at 0 V.
    var effective: [Double]

    /// What a cell's own noise is multiplied by, as a current at its column.
    ///
    /// To first order the drop along its lines lowers it as much as its mean current. Next to open cells have more current
    /// through their neighbours than of their own, and no noise worth the name.
    func noiseFactor(_ index: Int) -> Double {
      cells[index] > 0 ? min(1, effective[index] / cells[index]) : 0
    }
  }

  /// The block with every word line of the macro on: cells beside it load its rows and columns.
  ///
  /// - Parameters:
  ///   - averaging: as for `Crossbar.conductances(of:at:averaging:bias:)`.
  ///   - time: chip time, s; now if `nil`.
  ///   - wordLine: gate voltage of all selectors. How the current follows the voltage is left to whoever knows that of the rows.
  func conductances(
    of block: CellBlock, averaging: Duration?, wordLine: Volts, at time: Double? = nil
  ) throws(PhysicsError) -> BlockConductances {
    let macro = block.macro
    let time = time ?? seconds
    let bias = CellBias(wordLine: wordLine, voltage: profile.cells.readVoltage)
    guard !wires.isIdeal else {
      let cells = try crossbars[macro].conductances(of: block, at: time, averaging: averaging, bias: bias)
        .map(\.rawValue)
      return BlockConductances(cells: cells, effective: cells)
    }
    let all = try crossbars[macro].conductances(of: whole(macro), at: time, averaging: averaging, bias: bias)
      .map(\.rawValue)
    let effective = try effective(all, macro: macro)
    let indices = block.rowRange.flatMap { row in block.columnRange.map { row * shape.columns + $0 } }
    return BlockConductances(cells: indices.map { all[$0] }, effective: indices.map { effective[$0] })
  }

  /// A column's conductances to every row, momentary, each cell's selector at the gate voltage of its own word line.
  func columnConductances(
    macro: Int, column: Int, wordLine: (_ row: Int, _ column: Int) -> Volts
  ) throws(PhysicsError) -> [Double] {
    let columns = shape.columns
    if wires.isIdeal {
      let block = CellBlock(
        macro: macro, firstRow: 0, firstColumn: column, shape: MacroShape(rows: shape.rows, columns: 1))
      let cells = try crossbars[macro].conductances(of: block, at: seconds)
      return cells.indices.map {
        crossbars[macro].conductance(cells[$0], wordLine: wordLine($0, column)).rawValue
      }
    }
    let cells = try crossbars[macro].conductances(of: whole(macro), at: seconds)
    let all = cells.indices.map {
      crossbars[macro].conductance(cells[$0], wordLine: wordLine($0 / columns, $0 % columns)).rawValue
    }
    let effective = try effective(all, macro: macro)
    return (0..<shape.rows).map { effective[$0 * columns + column] }
  }

  /// Factors by which wires lower what a read of each cell shows; empty where they do not.
  ///
  /// One word line is on. Where it runs along the row, its cells load the row line on their way to the columns, which are
  /// all at virtual ground; where it runs along the column, the other rows are held at 0 V and load the column.
  func readFactors(macro: Int, _ cells: ArraySlice<Int>, averaging: Duration) throws(PhysicsError) -> [Double] {
    guard !wires.isIdeal else { return [] }
    let (rows, columns) = (shape.rows, shape.columns)
    let alongRow = board.macros.wordLines == .parallelToBitLines
    var lines: [Int: [Double]] = [:]
    var factors: [Double] = []
    factors.reserveCapacity(cells.count)
    for cell in cells {
      let (row, column) = (cell / columns, cell % columns)
      let line = alongRow ? row : column
      if lines[line] == nil {
        let block =
          alongRow
          ? CellBlock(macro: macro, firstRow: row, firstColumn: 0, shape: MacroShape(rows: 1, columns: columns))
          : CellBlock(macro: macro, firstRow: 0, firstColumn: column, shape: MacroShape(rows: rows, columns: 1))
        let own = try crossbars[macro].conductances(of: block, at: seconds, averaging: averaging).map(\.rawValue)
        lines[line] = alongRow ? wires.rowFactors(own, row: row, of: shape) : wires.columnFactors(own, column: column)
      }
      factors.append(lines[line]?[alongRow ? column : row] ?? 1)
    }
    return factors
  }

  /// The cells that age when a block is used.
  func used(_ block: CellBlock) -> CellBlock { wires.isIdeal ? block : whole(block.macro) }

  private func whole(_ macro: Int) -> CellBlock {
    CellBlock(macro: macro, firstRow: 0, firstColumn: 0, shape: shape)
  }

  /// The effective matrix of a macro; solved anew whenever a conductance has changed.
  private func effective(_ cells: [Double], macro: Int) throws(PhysicsError) -> [Double] {
    if let known = effectiveMatrices[macro], known.cells == cells { return known.effective }
    let network: WireNetwork
    if let wireNetwork { network = wireNetwork } else { network = try WireNetwork(shape: shape, wires: wires) }
    wireNetwork = network
    let effective = try network.effective(cells)
    effectiveMatrices[macro] = BlockConductances(cells: cells, effective: effective)
    return effective
  }
}
