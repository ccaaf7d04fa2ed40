internal import FoundationEssentials
public import RRAMUnits

/// Drives the rows of a block and measures the currents of its columns: I_c = Σ_r v_r · G_rc. Other rows stay at 0 V.
public struct MatrixProduct: CellOperation {
  public typealias Response = ColumnCurrents

  public var block: CellBlock
  /// V, one a row of the block.
  public var inputs: [Float]
  public var wordLine: Volts
  /// Conversions averaged per column, at least 1.
  public var averages: Int

  public init(block: CellBlock, inputs: [Float], wordLine: Volts, averages: Int = 1) {
    self.block = block
    self.inputs = inputs
    self.wordLine = wordLine
    self.averages = averages
  }

  public var body: RequestBody { .matrixProduct(self) }
}

/// Part of the answer to ``MatrixProduct``.
public struct ColumnCurrents: WireResponse, Hashable {
  /// Column of the block the first value belongs to.
  public var firstIndex: Int
  /// A, one a column.
  public var currents: [Float]
  /// Conversions that hit the end of the converter's range, in this part.
  public var saturated: Int
  /// Place in the description's sensing.ranges of the transimpedance that each column was converted with; empty if all have one gain and
  /// offset, or the board does not say.
  public var ranges: [UInt8]

  public init(firstIndex: Int, currents: [Float], saturated: Int = 0, ranges: [UInt8] = []) {
    self.firstIndex = firstIndex
    self.currents = currents
    self.saturated = saturated
    self.ranges = ranges
  }

  public init?(_ body: ResponseBody) {
    guard case .columnCurrents(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .columnCurrents(self) }
}

extension MatrixProduct {
  init(_ message: Rram_Board_V1_MatrixProduct) throws(WireError) {
    block = try CellBlock(
      try required(message.hasBlock, message.block, "matrix_product.block"), "matrix_product.block")
    inputs = try unpack(message.inputs, count: block.shape.rows, "matrix_product.inputs")
    try checkFinite(inputs, "matrix_product.inputs")
    wordLine = try quantity(message.wordLineV, "matrix_product.word_line_v")
    averages = Int(message.averages)
    try checkAverages()
  }

  func message() throws(WireError) -> Rram_Board_V1_MatrixProduct {
    var message = Rram_Board_V1_MatrixProduct()
    message.block = try block.message("matrix_product.block")
    try check(inputs, count: block.shape.rows, "matrix_product.inputs")
    try checkFinite(inputs, "matrix_product.inputs")
    try checkAverages()
    message.inputs = pack(inputs)
    message.wordLineV = try wireFloat(wordLine, "matrix_product.word_line_v")
    message.averages = try wire32(averages, "matrix_product.averages")
    return message
  }

  private func checkAverages() throws(WireError) {
    guard averages >= 1 else {
      throw WireError(.outOfRange, field: "matrix_product.averages", "\(averages) conversions, at least 1")
    }
  }
}

extension ColumnCurrents {
  init(_ message: Rram_Board_V1_ColumnCurrents) throws(WireError) {
    firstIndex = Int(message.firstIndex)
    currents = try unpack(message.currents, count: Int(message.count), "column_currents.currents")
    saturated = Int(message.saturated)
    ranges = try unpackOptional(message.ranges, count: currents.count, "column_currents.ranges")
  }

  func message() throws(WireError) -> Rram_Board_V1_ColumnCurrents {
    var message = Rram_Board_V1_ColumnCurrents()
    message.firstIndex = try wire32(firstIndex, "column_currents.first_index")
    message.count = try wire32(currents.count, "column_currents.count")
    message.currents = pack(currents)
    message.saturated = try wire32(saturated, "column_currents.saturated")
    try check(ranges, count: currents.count, orEmpty: true, "column_currents.ranges")
    message.ranges = pack(ranges)
    return message
  }
}
