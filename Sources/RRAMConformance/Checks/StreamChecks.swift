internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

extension Check {
  static let order: [Check] = [
    Check("order.macro", "2", "Operations on one macro run and are answered in the order in which they came") { board in
      var sequences: [UInt32] = []
      for _ in 0..<min(6, board.hello.maximumInFlight) {
        sequences.append(try await board.send(.readCells(board.read())))
      }
      guard let last = sequences.last, sequences.count > 1 else {
        throw CheckEnd.skipped("the board takes one request at a time")
      }
      let answer = try await board.last(last)
      try board.expect(answer.status == .ok, "the last one is answered \(answer.status)")
      let earlier = try await board.settled().filter(sequences.contains)
      try board.expect(
        earlier == sequences.dropLast(), "of \(sequences) the answers \(earlier) came before that of \(last)")
    },
    Check("order.behind", "2", "An operation waits for an earlier one on its macro, however long that takes") { board in
      guard board.hello.maximumInFlight > 1 else { throw CheckEnd.skipped("the board takes one request at a time") }
      let (stream, _, request) = try await board.stall()
      let cells = CellSelection(
        block: CellBlock(macro: request.cells.block.macro, shape: MacroShape(rows: 1, columns: 1)))
      let behind = try await board.send(.readCells(ReadCells(cells: cells, bias: board.readBias)))
      try board.expect(
        try await !board.settled().contains(behind), "it was answered while the earlier one waited for credit")
      try await board.send(.credit(Credit(sequence: stream, frames: 1000)))
      let first = try await board.last(stream)
      try board.expect(first.status == .ok, "the earlier one ended as \(first.status): \(first.detail)")
      let second = try await board.last(behind)
      try board.expect(second.status == .ok, "the later one ended as \(second.status): \(second.detail)")
    },
    Check("order.in-flight", "2", "One request more than max_in_flight is answered BUSY, and the others are served") {
      board in
      let (stream, _, request) = try await board.stall()
      let cells = CellSelection(
        block: CellBlock(macro: request.cells.block.macro, shape: MacroShape(rows: 1, columns: 1)))
      var queued: [UInt32] = []
      for _ in 0..<board.hello.maximumInFlight - 1 {
        queued.append(try await board.send(.readCells(ReadCells(cells: cells, bias: board.readBias))))
      }
      let over = try await board.exchange(.readCells(ReadCells(cells: cells, bias: board.readBias)))
      try board.expect(over.status == .busy, "it is answered \(over.status), BUSY belongs")
      try await board.send(.credit(Credit(sequence: stream, frames: 1000)))
      for sequence in [stream] + queued {
        let answer = try await board.last(sequence)
        try board.expect(answer.status == .ok, "request \(sequence) of the queue ended as \(answer.status)")
      }
    },
  ]

  static let streams: [Check] = [
    Check("streams.credit", "2", "Every frame of a stream uses one credit; without credit the board waits") { board in
      let (stream, _, request) = try await board.stall()
      var expected = 0
      try await board.granting(stream) { (part: CellResults) in
        guard part.count > 0 else { return }
        try board.expect(
          part.firstIndex == expected, "a frame begins at cell \(part.firstIndex), \(expected) cells were told of")
        expected += part.count
      }
      try board.expect(
        expected == request.cells.count, "the frames tell of \(expected) of \(request.cells.count) cells")
    },
    Check("streams.others", "2", "A stream that waits for credit holds up no heartbeat and no Get request") { board in
      let (stream, id, _) = try await board.stall()
      _ = try await board.counters()
      _ = try await board.request(GetLimits())
      let state = try await board.state(of: id).state
      try board.expect(state == .running || state == .queued, "operation \(id) of stream \(stream) is \(state)")
      let heartbeat = try await board.request(Heartbeat())
      try board.expect(
        heartbeat.queuedOperations == 1, "Heartbeat names \(heartbeat.queuedOperations) operations, 1 is under way")
    },
    Check("streams.late-credit", "2", "Credit is never answered, and ignored for a stream that has ended") { board in
      let read = try await board.send(.readCells(board.read()))
      _ = try await board.last(read)
      let credit = try await board.send(.credit(Credit(sequence: read, frames: 5)))
      let answered = try await board.settled()
      try board.expect(!answered.contains(credit), "Credit was answered")
      try board.expect(!answered.contains(read), "the ended request was answered again")
    },
  ]

  static let operations: [Check] = [
    Check("operations.done", "2", "The board remembers what became of an operation") { board in
      let id = board.newOperation()
      let request = try board.read()
      let answer = try await board.exchange(.readCells(request), id: id)
      try board.expect(answer.status == .ok, "ReadCells is answered \(answer.status): \(answer.detail)")
      let state = try await board.state(of: id)
      try board.expect(state.state == .done, "it is \(state.state), done belongs")
      try board.expect(
        state.finished == request.cells.count && state.total == request.cells.count,
        "\(state.finished) of \(state.total) cells are named, \(request.cells.count) were read")
      let unknown = try await board.state(of: board.newOperation()).state
      try board.expect(unknown == .unknown, "an id that was never sent is \(unknown)")
    },
    Check("operations.repeated", "2", "A request with a remembered id is answered from memory, not executed again") {
      board in
      let id = board.newOperation()
      let request = RequestBody.readCells(try board.read())
      let first = try await board.exchange(request, id: id)
      try board.expect(first.status == .ok, "ReadCells is answered \(first.status): \(first.detail)")
      let before = try await board.counters().reads
      let again = try await board.exchange(request, id: id)
      let after = try await board.counters().reads
      try board.expect(after == before, "it was executed again: \(after - before) reads more")
      try board.expect(again.status == .ok, "it is answered \(again.status), OK belongs")
      let state: OperationState = try again.response()
      try board.expect(
        state.state == .done && state.operationID == id, "operation \(state.operationID) is \(state.state)")
    },
    Check("operations.memory", "2", "The last 64 operations are remembered") { board in
      let first = board.newOperation()
      let request = RequestBody.readCells(try board.read(1))
      for index in 0..<64 {
        let answer = try await board.exchange(request, id: index == 0 ? first : nil)
        try board.expect(answer.status == .ok, "read \(index) is answered \(answer.status): \(answer.detail)")
      }
      let state = try await board.state(of: first).state
      try board.expect(state == .done, "after 63 later ones the first is \(state)")
    },
    Check("abort.one", "2", "Abort ends the named operation as ABORTED, credit or not, and spares the others") {
      board in
      let (stream, id, _) = try await board.stall()
      let result = try await board.request(Abort(operationID: id))
      try board.expect(result.abortedOperations == 1, "\(result.abortedOperations) operations were ended")
      let answer = try await board.last(stream)
      try board.expect(answer.status == .aborted, "the stream ends as \(answer.status), ABORTED belongs")
      let state = try await board.state(of: id).state
      try board.expect(state == .aborted, "GetOperation says \(state)")
      let next = try await board.exchange(.readCells(board.read()))
      try board.expect(next.status == .ok, "the next request is answered \(next.status)")
    },
    Check("abort.queued", "2", "Abort ends an operation that has not begun, and the one before it goes on") { board in
      guard board.hello.maximumInFlight > 1 else { throw CheckEnd.skipped("the board takes one request at a time") }
      let (stream, _, request) = try await board.stall()
      let cells = CellSelection(
        block: CellBlock(macro: request.cells.block.macro, shape: MacroShape(rows: 1, columns: 1)))
      let id = board.newOperation()
      let queued = try await board.send(.readCells(ReadCells(cells: cells, bias: board.readBias)), id: id)
      _ = try await board.request(Abort(operationID: id))
      let answer = try await board.last(queued)
      try board.expect(answer.status == .aborted, "it ends as \(answer.status), ABORTED belongs")
      try await board.send(.credit(Credit(sequence: stream, frames: 1000)))
      let first = try await board.last(stream)
      try board.expect(first.status == .ok, "the operation before it ends as \(first.status)")
    },
    Check("abort.unknown", "2", "Abort of an unknown id ends nothing") { board in
      let (stream, id, _) = try await board.stall()
      let result = try await board.request(Abort(operationID: board.newOperation()))
      try board.expect(result.abortedOperations == 0, "\(result.abortedOperations) operations were ended")
      let state = try await board.state(of: id).state
      try board.expect(state == .running || state == .queued, "the operation of stream \(stream) is \(state)")
    },
  ]
}
