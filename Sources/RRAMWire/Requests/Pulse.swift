public import RRAMUnits

/// Gives `count` equal pulses to every selected cell.
public struct Pulse: CellOperation {
  public typealias Response = CellResults

  public var cells: CellSelection
  public var kind: PulseKind
  public var wordLine: Volts
  public var bitLine: Volts
  public var sourceLine: Volts
  /// Whole nanoseconds.
  public var width: Duration
  public var count: Int

  public init(
    cells: CellSelection, kind: PulseKind, wordLine: Volts, bitLine: Volts = .zero, sourceLine: Volts = .zero,
    width: Duration, count: Int = 1
  ) {
    self.cells = cells
    self.kind = kind
    self.wordLine = wordLine
    self.bitLine = bitLine
    self.sourceLine = sourceLine
    self.width = width
    self.count = count
  }

  public var body: RequestBody { .pulse(self) }
}

extension Pulse {
  init(_ message: Rram_Board_V1_Pulse) throws(WireError) {
    cells = try CellSelection(try required(message.hasCells, message.cells, "pulse.cells"), "pulse.cells")
    kind = try PulseKind(message.kind, "pulse.kind")
    wordLine = try quantity(message.wordLineV, "pulse.word_line_v")
    bitLine = try quantity(message.bitLineV, "pulse.bit_line_v")
    sourceLine = try quantity(message.sourceLineV, "pulse.source_line_v")
    width = .nanoseconds(Int64(message.widthNs))
    count = Int(message.count)
  }

  func message() throws(WireError) -> Rram_Board_V1_Pulse {
    var message = Rram_Board_V1_Pulse()
    message.cells = try cells.message("pulse.cells")
    message.kind = kind.message
    message.wordLineV = try wireFloat(wordLine, "pulse.word_line_v")
    message.bitLineV = try wireFloat(bitLine, "pulse.bit_line_v")
    message.sourceLineV = try wireFloat(sourceLine, "pulse.source_line_v")
    message.widthNs = try wireNanoseconds(width, "pulse.width_ns")
    message.count = try wire32(count, "pulse.count")
    return message
  }
}
