internal import CKLU
public import RRAMUnits

/// The cells of a macro and their wires as one linear network, solved exactly.
///
/// With every word line on, ``effective(_:)`` gives the current into each column's virtual ground per volt on each row while
/// all other rows are held at 0 V: cells outside a block load it as they do on the die. It is the Schur complement of the
/// nodal matrix on the terminals: the nodes inside are eliminated by a sparse LU factorisation (SuiteSparse KLU), the
/// terminals last, and the complement is read off the factors, so there is no right-hand side at all. The order of
/// elimination is nested dissection of the array, analysed once; only numbers change from one set of conductances to the
/// next.
///
/// Not for concurrent use: the factorisation is kept.
public final class WireNetwork {
  public let shape: MacroShape
  public let wires: ArrayWires

  // Nodal matrix by columns (KLU's form), in siemens; nodes are numbered in the order of elimination.
  private var starts: [Int32] = []
  private var rows: [Int32] = []
  private var fixed: [Double] = []
  private var values: [Double] = []
  /// The four entries of every cell: on the diagonal of its row node and column node, and off it.
  private var entries: [CellEntries] = []
  private var nodeCount = 0

  private var common = klu_common()
  private var symbolic: UnsafeMutablePointer<klu_symbolic>?
  private var numeric: UnsafeMutablePointer<klu_numeric>?
  private var lower = Factor()
  private var upper = Factor()

  private struct CellEntries {
    var row: Int32
    var column: Int32
    var rowColumn: Int32
    var columnRow: Int32
  }

  /// A triangular factor by columns.
  private struct Factor {
    var starts: [Int32] = []
    var rows: [Int32] = []
    var values: [Double] = []

    mutating func prepare(_ nodes: Int, _ count: Int) {
      guard starts.count != nodes + 1 || values.count != count else { return }
      starts = [Int32](repeating: 0, count: nodes + 1)
      rows = [Int32](repeating: 0, count: count)
      values = [Double](repeating: 0, count: count)
    }
  }

  /// Lays the network out and analyses it.
  ///
  /// - Throws: ``PhysicsError`` (`network`) for a resistance that is negative or not finite, or if memory runs out.
  public init(shape: MacroShape, wires: ArrayWires) throws(PhysicsError) {
    self.shape = shape
    self.wires = wires
    for (name, value) in [
      ("row segment", wires.rowSegment), ("column segment", wires.columnSegment), ("driver", wires.driver),
      ("amplifier", wires.amplifier),
    ] where !(value >= .zero && value.isFinite) {
      throw PhysicsError(code: .network, subject: "wires", reason: "\(name) of \(value) is not 0 or above")
    }
    guard !wires.isIdeal else { return }
    assemble(WireNodes(shape: shape, wires: wires))
    klu_defaults(&common)
    // One block, in the order given, its own diagonal as pivots: the matrix is symmetric and diagonally dominant.
    common.btf = 0
    common.scale = 0
    let order = (0..<Int32(nodeCount)).map { $0 }
    symbolic = order.withUnsafeBufferPointer { order in
      starts.withUnsafeMutableBufferPointer { starts in
        rows.withUnsafeMutableBufferPointer { rows in
          // KLU's parameters are not const; it reads them only.
          let order = UnsafeMutablePointer(mutating: order.baseAddress)
          return klu_analyze_given(
            Int32(nodeCount), starts.baseAddress, rows.baseAddress, order, order, &common)
        }
      }
    }
    guard symbolic != nil else { throw failure("analysis") }
  }

  deinit {
    klu_free_numeric(&numeric, &common)
    klu_free_symbolic(&symbolic, &common)
  }

  /// Current into each column's virtual ground per volt on each row, siemens, row-major like `conductances`.
  ///
  /// - Parameter conductances: of every cell of the macro, siemens, row-major.
  /// - Throws: ``PhysicsError``: `shape` for another number of cells, `network` for a conductance that is negative or not
  ///   finite, or if memory runs out.
  public func effective(_ conductances: [Double]) throws(PhysicsError) -> [Double] {
    guard conductances.count == shape.cellCount else {
      throw PhysicsError(
        code: .shape, subject: "wires", reason: "\(conductances.count) conductances for a macro of \(shape)")
    }
    if let bad = conductances.firstIndex(where: { !($0 >= 0 && $0.isFinite) }) {
      throw PhysicsError(
        code: .network, subject: "wires", reason: "cell \(bad) has a conductance of \(Siemens(conductances[bad]))")
    }
    guard !wires.isIdeal else { return conductances }
    fill(conductances)
    try factor()
    return try complement()
  }

  // MARK: Matrix

  private func assemble(_ nodes: WireNodes) {
    nodeCount = nodes.count
    var degree = [Int32](repeating: 1, count: nodeCount)
    for link in nodes.links {
      degree[link.from] += 1
      degree[link.to] += 1
    }
    for cell in 0..<shape.cellCount {
      degree[nodes.row[cell]] += 1
      degree[nodes.column[cell]] += 1
    }
    starts = [0]
    starts.reserveCapacity(nodeCount + 1)
    for count in degree { starts.append(starts[starts.count - 1] + count) }
    let total = Int(starts[nodeCount])
    rows = [Int32](repeating: 0, count: total)
    fixed = [Double](repeating: 0, count: total)
    // The diagonal comes first in every column.
    var next = starts
    for node in 0..<nodeCount {
      rows[Int(next[node])] = Int32(node)
      next[node] += 1
    }
    func connect(_ a: Int, _ b: Int) -> (Int32, Int32) {
      let (ab, ba) = (next[b], next[a])
      rows[Int(ab)] = Int32(a)
      rows[Int(ba)] = Int32(b)
      next[b] += 1
      next[a] += 1
      return (ab, ba)
    }
    for link in nodes.links {
      let (ab, ba) = connect(link.from, link.to)
      fixed[Int(ab)] = -link.conductance
      fixed[Int(ba)] = -link.conductance
      fixed[Int(starts[link.from])] += link.conductance
      fixed[Int(starts[link.to])] += link.conductance
    }
    entries.reserveCapacity(shape.cellCount)
    for cell in 0..<shape.cellCount {
      let (row, column) = (nodes.row[cell], nodes.column[cell])
      let (rowColumn, columnRow) = connect(row, column)
      entries.append(
        CellEntries(row: starts[row], column: starts[column], rowColumn: rowColumn, columnRow: columnRow))
    }
    // Any conductance to ground makes the whole matrix regular, and changes nothing between two terminals.
    for terminal in nodeCount - shape.rows - shape.columns..<nodeCount { fixed[Int(starts[terminal])] += 1 }
    values = fixed
  }

  private func fill(_ conductances: [Double]) {
    for index in values.indices { values[index] = fixed[index] }
    for (entry, conductance) in zip(entries, conductances) {
      values[Int(entry.row)] += conductance
      values[Int(entry.column)] += conductance
      values[Int(entry.rowColumn)] -= conductance
      values[Int(entry.columnRow)] -= conductance
    }
  }

  // MARK: Factorisation

  private func factor() throws(PhysicsError) {
    let done = starts.withUnsafeMutableBufferPointer { starts in
      rows.withUnsafeMutableBufferPointer { rows in
        values.withUnsafeMutableBufferPointer { values in
          if numeric != nil {
            return klu_refactor(
              starts.baseAddress, rows.baseAddress, values.baseAddress, symbolic, numeric, &common) == 1
          }
          numeric = klu_factor(starts.baseAddress, rows.baseAddress, values.baseAddress, symbolic, &common)
          return numeric != nil
        }
      }
    }
    guard done, common.status == KLU_OK, common.noffdiag == 0 else {
      let error = failure("factorisation")
      klu_free_numeric(&numeric, &common)
      throw error
    }
  }

  private func extract() throws(PhysicsError) {
    guard let numeric else { throw failure("factorisation") }
    // Out of the object and back: three arrays of one property cannot be lent at once.
    var (lower, upper) = (Factor(), Factor())
    swap(&lower, &self.lower)
    swap(&upper, &self.upper)
    lower.prepare(nodeCount, Int(numeric.pointee.lnz))
    upper.prepare(nodeCount, Int(numeric.pointee.unz))
    let done = klu_extract(
      numeric, symbolic, &lower.starts, &lower.rows, &lower.values, &upper.starts, &upper.rows, &upper.values, nil, nil,
      nil, nil, nil, nil, nil, &common)
    swap(&lower, &self.lower)
    swap(&upper, &self.upper)
    guard done == 1 else { throw failure("reading the factors") }
  }

  /// −S between rows and columns, where S = L·U of the terminals' part of the factors.
  private func complement() throws(PhysicsError) -> [Double] {
    try extract()
    let (rowCount, columnCount) = (shape.rows, shape.columns)
    let firstRow = nodeCount - rowCount - columnCount
    let firstColumn = nodeCount - columnCount
    // L between rows (its columns) and columns (its rows), and U between rows.
    var coupling = [Double](repeating: 0, count: rowCount * columnCount)
    var triangle = [Double](repeating: 0, count: rowCount * rowCount)
    for row in 0..<rowCount {
      for place in Int(lower.starts[firstRow + row])..<Int(lower.starts[firstRow + row + 1]) {
        let column = Int(lower.rows[place]) - firstColumn
        if column >= 0 { coupling[row * columnCount + column] = lower.values[place] }
      }
      for place in Int(upper.starts[firstRow + row])..<Int(upper.starts[firstRow + row + 1]) {
        let other = Int(upper.rows[place]) - firstRow
        if other >= 0 { triangle[row * rowCount + other] = upper.values[place] }
      }
    }
    var result = [Double](repeating: 0, count: rowCount * columnCount)
    result.withUnsafeMutableBufferPointer { result in
      coupling.withUnsafeBufferPointer { coupling in
        for row in 0..<rowCount {
          for other in 0...row {
            let factor = -triangle[row * rowCount + other]
            if factor == 0 { continue }
            let (to, from) = (row * columnCount, other * columnCount)
            for column in 0..<columnCount { result[to + column] += factor * coupling[from + column] }
          }
        }
      }
    }
    return result
  }

  private func failure(_ what: String) -> PhysicsError {
    let cause =
      switch common.status {
      case KLU_SINGULAR: "the matrix is singular"
      case KLU_OUT_OF_MEMORY: "no memory"
      case KLU_TOO_LARGE: "too large"
      default: "status \(common.status), \(common.noffdiag) pivots off the diagonal"
      }
    return PhysicsError(
      code: .network, subject: "wires", reason: "\(what) of \(nodeCount) nodes of a macro of \(shape) failed: \(cause)")
  }
}
