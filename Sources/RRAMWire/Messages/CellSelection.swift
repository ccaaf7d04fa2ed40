internal import FoundationEssentials
public import RRAMUnits

/// Which cells of a block are meant: one bit a cell, row-major, least significant bit first.
public struct CellMask: Sendable, Hashable {
  /// Cells of the block, selected or not.
  public let cellCount: Int
  /// How many are selected.
  public private(set) var selectedCount: Int
  /// Bit i of byte i / 8 stands for cell i; unused bits of the last byte are 0.
  public private(set) var bytes: [UInt8]

  public init(repeating selected: Bool = false, cellCount: Int) {
    precondition(cellCount >= 0, "a mask has no negative number of cells")
    self.cellCount = cellCount
    bytes = [UInt8](repeating: selected ? 0xFF : 0, count: (cellCount + 7) / 8)
    selectedCount = selected ? cellCount : 0
    if selected, cellCount % 8 != 0 { bytes[bytes.count - 1] = 0xFF >> UInt8(8 - cellCount % 8) }
  }

  public init(_ selected: some Collection<Bool>) {
    self.init(cellCount: selected.count)
    for (i, isSelected) in selected.enumerated() where isSelected { self[i] = true }
  }

  /// - Throws: `wrongLength` if `bytes` does not hold exactly `cellCount` bits, `outOfRange` if an unused bit is 1.
  public init(bytes: [UInt8], cellCount: Int) throws(WireError) {
    guard cellCount >= 0, bytes.count == cellCount / 8 + (cellCount % 8 == 0 ? 0 : 1) else {
      throw WireError(.wrongLength, field: "mask", "\(bytes.count) bytes for \(cellCount) cells")
    }
    if cellCount % 8 != 0, let last = bytes.last, last >> UInt8(cellCount % 8) != 0 {
      throw WireError(.outOfRange, field: "mask", "a bit behind cell \(cellCount - 1) is set")
    }
    self.cellCount = cellCount
    self.bytes = bytes
    selectedCount = bytes.reduce(0) { $0 + $1.nonzeroBitCount }
  }

  public subscript(cell: Int) -> Bool {
    get { bytes[cell >> 3] >> UInt8(cell & 7) & 1 != 0 }
    set {
      precondition(cell >= 0 && cell < cellCount, "cell \(cell) of a mask of \(cellCount)")
      guard self[cell] != newValue else { return }
      bytes[cell >> 3] ^= 1 << UInt8(cell & 7)
      selectedCount += newValue ? 1 : -1
    }
  }

  /// Indices of the selected cells, ascending.
  public var selectedIndices: [Int] {
    var indices: [Int] = []
    indices.reserveCapacity(selectedCount)
    for (i, byte) in bytes.enumerated() {
      var rest = byte
      while rest != 0 {
        indices.append(i * 8 + rest.trailingZeroBitCount)
        rest &= rest - 1
      }
    }
    return indices
  }
}

/// Cells of a block, all of them or those of a mask.
///
/// "Selected cell k" counts the selected cells in row-major order.
public struct CellSelection: Sendable, Hashable {
  public var block: CellBlock
  /// `nil` selects every cell of the block. Its cell count must be that of the block.
  public var mask: CellMask?

  public init(block: CellBlock, mask: CellMask? = nil) {
    self.block = block
    self.mask = mask
  }

  /// How many cells are selected.
  public var count: Int { mask?.selectedCount ?? block.cellCount }

  /// Indices within the block of the selected cells, ascending.
  public var indices: [Int] { mask?.selectedIndices ?? Array(0..<block.cellCount) }
}

extension CellBlock {
  /// - Throws: `outOfRange` if the block has more than 2³² − 1 cells.
  init(_ message: Rram_Board_V1_CellBlock, _ field: @autoclosure () -> String) throws(WireError) {
    let (cells, overflow) = Int(message.rows).multipliedReportingOverflow(by: Int(message.columns))
    guard !overflow, cells <= Int(UInt32.max) else {
      throw WireError(.outOfRange, field: field(), "\(message.rows)×\(message.columns) cells")
    }
    self.init(
      macro: Int(message.macro), firstRow: Int(message.firstRow), firstColumn: Int(message.firstColumn),
      shape: MacroShape(rows: Int(message.rows), columns: Int(message.columns)))
  }

  func message(_ field: @autoclosure () -> String) throws(WireError) -> Rram_Board_V1_CellBlock {
    let (cells, overflow) = shape.rows.multipliedReportingOverflow(by: shape.columns)
    guard !overflow, cells <= Int(UInt32.max) else {
      throw WireError(.outOfRange, field: field(), "\(shape) cells")
    }
    var message = Rram_Board_V1_CellBlock()
    message.macro = try wire32(macro, field() + ".macro")
    message.firstRow = try wire32(firstRow, field() + ".first_row")
    message.rows = try wire32(shape.rows, field() + ".rows")
    message.firstColumn = try wire32(firstColumn, field() + ".first_column")
    message.columns = try wire32(shape.columns, field() + ".columns")
    return message
  }
}

extension CellSelection {
  init(_ message: Rram_Board_V1_CellSelection, _ field: @autoclosure () -> String) throws(WireError) {
    block = try CellBlock(try required(message.hasBlock, message.block, field() + ".block"), field() + ".block")
    guard !message.mask.isEmpty else { return }
    do {
      mask = try CellMask(bytes: Array(message.mask), cellCount: block.cellCount)
    } catch {
      throw WireError(error.code, field: field() + ".mask", error.detail)
    }
  }

  func message(_ field: @autoclosure () -> String) throws(WireError) -> Rram_Board_V1_CellSelection {
    var message = Rram_Board_V1_CellSelection()
    message.block = try block.message(field() + ".block")
    if let mask {
      guard mask.cellCount == block.cellCount else {
        throw WireError(
          .wrongLength, field: field() + ".mask", "a mask of \(mask.cellCount) cells for \(block.cellCount) cells")
      }
      message.mask = pack(mask.bytes)
    }
    return message
  }
}
