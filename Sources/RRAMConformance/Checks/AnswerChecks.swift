internal import RRAMWire

extension Check {
  /// What must hold for everything the board sent during the suite.
  static let answers: [Check] = [
    Check("answers.sequence", "2", "A response carries the number of its request, whichever that is") { board in
      for number in [0x7FFF_FFFF, 0x8000_0000, UInt32.max] {
        let sequence = try await board.send(.heartbeat(Heartbeat()), sequence: number)
        let answer = try await board.last(sequence)
        try board.expect(answer.status == .ok, "number \(number) is answered \(answer.status)")
      }
    },
    Check("answers.solicited", "2", "Nothing is answered that was not asked", needsSession: false) { board in
      try board.expect(board.observed.frames > 0, "the board sent nothing")
      try board.expect(board.observed.unsolicited == nil, board.observed.unsolicited ?? "")
    },
    Check("answers.readable", "1", "Everything the board sends is a good frame and a message", needsSession: false) {
      board in
      try board.expect(board.observed.frames > 0, "the board sent nothing")
      try board.expect(board.observed.broken == nil, board.observed.broken ?? "")
    },
    Check("answers.size", "2", "No response is longer than max_response_bytes", needsSession: false) { board in
      try board.expect(board.observed.frames > 0, "the board sent nothing")
      try board.expect(
        board.observed.longest <= board.hello.maximumResponseBytes,
        "\(board.observed.longest) bytes came, \(board.hello.maximumResponseBytes) were announced")
    },
    Check("answers.detail", "2", "A status other than OK ends the response and says why", needsSession: false) {
      board in
      try board.expect(board.observed.frames > 0, "the board sent nothing")
      try board.expect(board.observed.detail == nil, board.observed.detail ?? "")
    },
    Check(
      "answers.boot-id", "2", "Every response and event carries the boot id, drawn once a boot", needsSession: false
    ) { board in
      let ids = board.observed.bootIDs
      try board.expect(ids.count == 1 && !ids.contains(0), "\(ids.count) boot ids came: \(ids.sorted())")
    },
    Check("answers.time", "2", "The board's clock never goes back", needsSession: false) { board in
      try board.expect(board.observed.frames > 0, "the board sent nothing")
      try board.expect(board.observed.timeWentBack == nil, board.observed.timeWentBack ?? "")
    },
  ]
}
