internal import RRAMUnits
internal import RRAMWire

/// Currents of a block's columns with its rows driven, in one step.
final class MatrixProductOperation: Operation {
  private let block: CellBlock
  private let request: MatrixProduct
  private let columnsPerFrame: Int
  private(set) var account: OperationAccount
  private var currents: [Float] = []
  private var saturated: [Bool] = []
  private var ranges: [UInt8] = []
  private var sent = 0

  init(_ request: MatrixProduct, _ chip: Chip, frameBytes: Int) throws(RequestFailure) {
    block = try chip.checked(request.block)
    guard request.inputs.count == block.shape.rows else {
      throw RequestFailure(
        .badArgument, "\(request.inputs.count) inputs for \(block.shape.rows) rows: matrix_product.inputs")
    }
    let check = chip.check
    for (k, input) in request.inputs.enumerated() {
      // The shortest decimal of the float, as for every voltage of the wire: 0.2 asked is 0.2.
      let cell = CellBlock(
        macro: block.macro, firstRow: block.firstRow + k, firstColumn: block.firstColumn,
        shape: MacroShape(rows: 1, columns: 1))
      try check.standing(Volts(Double("\(input)") ?? Double(input)), cell: cell)
    }
    try check.wordLine(request.wordLine)
    guard (1...4096).contains(request.averages) else {
      throw RequestFailure(.badArgument, "\(request.averages) averages, 1 to 4096: matrix_product.averages")
    }
    self.request = request
    columnsPerFrame = frameBytes / 5
    account = OperationAccount(total: block.shape.columns)
  }

  var macros: MacroSet { MacroSet(CollectionOfOne(block.macro)) }

  func step(_ chip: Chip) throws(RequestFailure) -> OperationStep {
    if currents.isEmpty {
      (currents, saturated, ranges) = try chip.columnCurrents(
        block, inputs: request.inputs.map(Double.init), wordLine: request.wordLine.rawValue,
        averages: request.averages)
      account.finished = currents.count
      account.reads = currents.count
    }
    let range = sent..<min(sent + columnsPerFrame, currents.count)
    sent = range.upperBound
    let body = ResponseBody.columnCurrents(
      ColumnCurrents(
        firstIndex: range.lowerBound, currents: Array(currents[range]),
        saturated: saturated[range].count { $0 }, ranges: ranges.isEmpty ? [] : Array(ranges[range])))
    return sent == currents.count ? .finished(body) : .part(body)
  }
}
