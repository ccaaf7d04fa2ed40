internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

extension Check {
  static let messages: [Check] = [
    Check("messages.empty", "2", "A request without a body is answered UNKNOWN_REQUEST") { board in
      try await expect(.unknownRequest, to: [], on: board)
    },
    Check("messages.unknown-body", "2", "A body the firmware does not know is answered UNKNOWN_REQUEST") { board in
      // Field 2000, length-delimited, empty: no level has it.
      try await expect(.unknownRequest, to: tag(2000, 2) + [0x00], on: board)
    },
    Check("messages.unknown-field", "1", "Fields a board does not know are ignored") { board in
      // Field 3000, a number, beside a body that is known.
      let sequence = try await board.send(payload: board.payload(.heartbeat(Heartbeat())) + tag(3000, 0) + [0x01])
      let answer = try await board.last(sequence)
      try board.expect(answer.status == .ok, "it is answered \(answer.status): \(answer.detail)")
    },
    Check("messages.malformed", "2", "A payload that is no message is answered BAD_ARGUMENT") { board in
      // Field 15 announces more bytes than there are.
      try await expect(.badArgument, to: tag(15, 2) + [0x7F, 0x01], on: board)
    },
    Check("messages.operation-id", "2", "Requests that touch cells need an operation id, all others have none") {
      board in
      let before = try await board.counters().reads
      let read = try board.payload(.readCells(board.read()), id: 1)
      // Operation id 1 takes the first two bytes: tag and value.
      try await expect(.badArgument, to: Array(read.dropFirst(2)), on: board)
      try await expect(.badArgument, to: [0x08, 0x01] + board.payload(.getCounters(GetCounters())), on: board)
      let after = try await board.counters().reads
      try board.expect(after == before, "\(after - before) reads were done")
    },
    Check("messages.not-finite", "1", "NaN and infinity are refused as BAD_ARGUMENT, and nothing is done") { board in
      let before = try await board.counters().reads
      let payload = try board.payload(.readCells(board.read()))
      let voltage = Float(try board.readBias.bitLine.rawValue).bitPattern.littleEndianBytes
      guard let at = payload.indices.dropLast(3).last(where: { Array(payload[$0..<$0 + 4]) == voltage }) else {
        throw CheckEnd.skipped("the read voltage was not found in the request")
      }
      for value in [Float.nan, .infinity, -.infinity] {
        var bytes = payload
        bytes.replaceSubrange(at..<at + 4, with: value.bitPattern.littleEndianBytes)
        try await expect(.badArgument, to: bytes, on: board)
      }
      let after = try await board.counters().reads
      try board.expect(after == before, "\(after - before) reads were done")
    },
    Check("messages.outside", "2", "Cells outside the macros are refused as BAD_ARGUMENT") { board in
      let macros = try board.papers().macros
      let shape = macros.shape
      let one = MacroShape(rows: 1, columns: 1)
      let blocks = [
        CellBlock(macro: macros.count, shape: one), CellBlock(macro: 0, firstRow: shape.rows, shape: one),
        CellBlock(macro: 0, firstColumn: shape.columns, shape: one),
        CellBlock(macro: 0, firstRow: shape.rows - 1, shape: MacroShape(rows: 2, columns: 1)),
        CellBlock(macro: 0, shape: MacroShape(rows: 0, columns: 1)),
      ]
      for block in blocks {
        let request = ReadCells(cells: CellSelection(block: block), bias: try board.readBias)
        try await expect(.badArgument, to: board.payload(.readCells(request)), on: board)
      }
    },
    Check("messages.length", "1", "Bulk data of a wrong length are refused as BAD_ARGUMENT") { board in
      guard board.hello.capabilities.contains(.matrixProduct) else {
        throw CheckEnd.skipped("the board has no matrix product")
      }
      let block = CellBlock(macro: 0, shape: MacroShape(rows: 2, columns: 1))
      let payload = try board.payload(
        .matrixProduct(
          MatrixProduct(block: block, inputs: [0, 0], wordLine: try board.readBias.wordLine)))
      // Rows (field 3) and columns (field 5) of the block; one row more or less than there are inputs.
      guard let at = payload.indices.dropLast(3).first(where: { Array(payload[$0..<$0 + 4]) == [0x18, 2, 0x28, 1] })
      else { throw CheckEnd.skipped("the block was not found in the request") }
      for rows: UInt8 in [1, 3] {
        var bytes = payload
        bytes[at + 1] = rows
        try await expect(.badArgument, to: bytes, on: board)
      }
    },
  ]

  private static func expect(_ status: Status, to payload: [UInt8], on board: BoardUnderTest) async throws {
    let answer = try await board.last(board.send(payload: payload))
    try board.expect(
      answer.status == status,
      "\(payload.count) bytes are answered \(answer.status), \(status) belongs: \(answer.detail)")
  }

  /// Tag of a protobuf field: number and wire type as a varint.
  private static func tag(_ field: Int, _ type: Int) -> [UInt8] {
    var rest = field << 3 | type
    var bytes: [UInt8] = []
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F | 0x80))
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }
}
