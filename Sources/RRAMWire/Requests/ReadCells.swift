internal import FoundationEssentials

/// Reads the conductance of the selected cells.
public struct ReadCells: CellOperation {
  public typealias Response = Conductances

  public var cells: CellSelection
  public var bias: ReadBias

  public init(cells: CellSelection, bias: ReadBias) {
    self.cells = cells
    self.bias = bias
  }

  public var body: RequestBody { .readCells(self) }
}

/// Part of the answer to ``ReadCells``.
public struct Conductances: WireResponse, Hashable {
  /// Index among the selected cells of the first value.
  public var firstIndex: Int
  /// S, in the order of the selected cells.
  public var conductance: [Float]
  /// Conversions that hit the end of the converter's range, in this part.
  public var saturated: Int
  /// One a value: the board knows the cell to be formed, whatever it conducts now. Empty where the board does not keep it.
  public var formed: [Bool]

  public init(firstIndex: Int, conductance: [Float], saturated: Int = 0, formed: [Bool] = []) {
    self.firstIndex = firstIndex
    self.conductance = conductance
    self.saturated = saturated
    self.formed = formed
  }

  public init?(_ body: ResponseBody) {
    guard case .conductances(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .conductances(self) }
}

extension ReadCells {
  init(_ message: Rram_Board_V1_ReadCells) throws(WireError) {
    cells = try CellSelection(try required(message.hasCells, message.cells, "read_cells.cells"), "read_cells.cells")
    bias = try ReadBias(try required(message.hasBias, message.bias, "read_cells.bias"), "read_cells.bias")
  }

  func message() throws(WireError) -> Rram_Board_V1_ReadCells {
    var message = Rram_Board_V1_ReadCells()
    message.cells = try cells.message("read_cells.cells")
    message.bias = try bias.message("read_cells.bias")
    return message
  }
}

extension Conductances {
  init(_ message: Rram_Board_V1_Conductances) throws(WireError) {
    firstIndex = Int(message.firstIndex)
    conductance = try unpack(message.conductance, count: Int(message.count), "conductances.conductance")
    saturated = Int(message.saturated)
    let bits: [UInt8] = try unpackOptional(
      message.formed, count: (conductance.count + 7) / 8, "conductances.formed")
    formed = bits.isEmpty ? [] : conductance.indices.map { bits[$0 / 8] >> UInt8($0 % 8) & 1 != 0 }
  }

  func message() throws(WireError) -> Rram_Board_V1_Conductances {
    var message = Rram_Board_V1_Conductances()
    message.firstIndex = try wire32(firstIndex, "conductances.first_index")
    message.count = try wire32(conductance.count, "conductances.count")
    message.conductance = pack(conductance)
    message.saturated = try wire32(saturated, "conductances.saturated")
    try check(formed, count: conductance.count, orEmpty: true, "conductances.formed")
    if !formed.isEmpty {
      var bits = [UInt8](repeating: 0, count: (formed.count + 7) / 8)
      for index in formed.indices where formed[index] { bits[index / 8] |= 1 << UInt8(index % 8) }
      message.formed = pack(bits)
    }
    return message
  }
}
