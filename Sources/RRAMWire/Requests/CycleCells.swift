public import RRAMUnits

/// Gives `count` SET–RESET cycles to every selected cell: a RESET pulse, then a SET pulse, with no read between.
public struct CycleCells: CellOperation {
  public typealias Response = CellResults

  /// The pulse of one kind: voltages of the gate and of the driven line, and the width in whole nanoseconds.
  public struct Shape: Sendable, Hashable {
    public var wordLine: Volts
    public var amplitude: Volts
    public var width: Duration

    public init(wordLine: Volts, amplitude: Volts, width: Duration) {
      self.wordLine = wordLine
      self.amplitude = amplitude
      self.width = width
    }
  }

  public var cells: CellSelection
  public var set: Shape
  public var reset: Shape
  public var count: Int

  public init(cells: CellSelection, set: Shape, reset: Shape, count: Int) {
    self.cells = cells
    self.set = set
    self.reset = reset
    self.count = count
  }

  public var body: RequestBody { .cycleCells(self) }
}

extension CycleCells {
  init(_ message: Rram_Board_V1_CycleCells) throws(WireError) {
    cells = try CellSelection(try required(message.hasCells, message.cells, "cycle_cells.cells"), "cycle_cells.cells")
    set = Shape(
      wordLine: try quantity(message.setWordLineV, "cycle_cells.set_word_line_v"),
      amplitude: try quantity(message.setBitLineV, "cycle_cells.set_bit_line_v"),
      width: .nanoseconds(Int64(message.setWidthNs)))
    reset = Shape(
      wordLine: try quantity(message.resetWordLineV, "cycle_cells.reset_word_line_v"),
      amplitude: try quantity(message.resetSourceLineV, "cycle_cells.reset_source_line_v"),
      width: .nanoseconds(Int64(message.resetWidthNs)))
    count = Int(message.count)
  }

  func message() throws(WireError) -> Rram_Board_V1_CycleCells {
    var message = Rram_Board_V1_CycleCells()
    message.cells = try cells.message("cycle_cells.cells")
    message.setWordLineV = try wireFloat(set.wordLine, "cycle_cells.set_word_line_v")
    message.setBitLineV = try wireFloat(set.amplitude, "cycle_cells.set_bit_line_v")
    message.setWidthNs = try wireNanoseconds(set.width, "cycle_cells.set_width_ns")
    message.resetWordLineV = try wireFloat(reset.wordLine, "cycle_cells.reset_word_line_v")
    message.resetSourceLineV = try wireFloat(reset.amplitude, "cycle_cells.reset_source_line_v")
    message.resetWidthNs = try wireNanoseconds(reset.width, "cycle_cells.reset_width_ns")
    message.count = try wire32(count, "cycle_cells.count")
    return message
  }
}
