internal import RRAMTransport
internal import RRAMWire

extension Check {
  static let framing: [Check] = [
    Check("framing.split", "1", "Where the stream is cut means nothing") { board in
      let sequence = board.takeSequence()
      for byte in try board.frame(board.payload(.heartbeat(Heartbeat())), sequence: sequence) {
        try await board.send(bytes: [byte])
      }
      let answer = try await board.last(sequence)
      try board.expect(answer.status == .ok, "a request sent byte by byte is answered \(answer.status)")
    },
    Check("framing.joined", "1", "Several frames in one burst are all answered, in order") { board in
      let sequences = (0..<4).map { _ in board.takeSequence() }
      let payload = try board.payload(.heartbeat(Heartbeat()))
      try await board.send(bytes: sequences.flatMap { try board.frame(payload, sequence: $0) })
      let order = try await board.settled().filter(sequences.contains)
      try board.expect(order == sequences, "requests \(sequences) are answered in the order \(order)")
    },
    Check("framing.flags", "1", "Flag bits other than MORE are ignored") { board in
      let sequence = try await board.send(
        payload: board.payload(.heartbeat(Heartbeat())), flags: Frame.Flags(rawValue: 0xF0))
      let answer = try await board.last(sequence)
      try board.expect(answer.status == .ok, "it is answered \(answer.status)")
    },
    Check("framing.garbage", "1", "Bytes that are no frame are skipped, false sync marks among them") { board in
      let garbage: [[UInt8]] = [
        [0x00], [0x52], [0x52, 0x52], [0x52, 0x52, 0x01, 0x00], Array(repeating: 0xFF, count: 100),
      ]
      for bytes in garbage {
        let sequence = board.takeSequence()
        try await board.send(
          bytes: bytes + board.frame(board.payload(.heartbeat(Heartbeat())), sequence: sequence))
        let answer = try await board.last(sequence)
        try board.expect(answer.status == .ok, "behind \(bytes.count) bytes a request is answered \(answer.status)")
      }
    },
    Check("framing.header-check", "1", "A frame whose header check fails is not executed") { board in
      let bad = board.takeSequence()
      var bytes = try board.frame(board.payload(.heartbeat(Heartbeat())), sequence: bad)
      bytes[12] ^= 0x01
      try await board.send(bytes: bytes)
      try board.expect(try await !board.settled().contains(bad), "it was answered")
    },
    Check("framing.payload-check", "1", "A frame whose payload check fails is counted, told of, and not executed") {
      board in
      let before = try await board.counters()
      let cells = try board.read()
      let bad = board.takeSequence()
      let id = board.newOperation()
      var bytes = try board.frame(board.payload(.readCells(cells), id: id), sequence: bad)
      bytes[bytes.count - 1] ^= 0x80
      board.forgetEvents()
      try await board.send(bytes: bytes)
      try board.expect(try await !board.settled().contains(bad), "it was answered")
      let after = try await board.counters()
      try board.expect(after.reads == before.reads, "it was executed: \(after.reads - before.reads) reads more")
      let state = try await board.state(of: id).state
      try board.expect(state == .unknown, "its operation is \(state), unknown belongs")
      try board.expect(
        after.badFrames == before.badFrames + 1, "bad_frames went from \(before.badFrames) to \(after.badFrames)")
      let count = try await board.event { if case .badFrame(let count) = $0 { count } else { nil } }
      try board.expect(count == after.badFrames, "event BadFrame says \(count.map(String.init) ?? "nothing")")
    },
    Check("framing.payload-inside", "1", "What lies inside a frame whose payload check fails is not taken for a frame")
    {
      board in
      let inner = board.takeSequence()
      let outer = board.takeSequence()
      let hidden = try board.frame(board.payload(.heartbeat(Heartbeat())), sequence: inner)
      var bytes = try board.frame(hidden, sequence: outer)
      bytes[bytes.count - 1] ^= 0x80
      try await board.send(bytes: bytes)
      let answered = try await board.settled()
      try board.expect(!answered.contains(inner), "the frame inside was executed")
      try board.expect(!answered.contains(outer), "the frame around it was answered")
    },
    Check("framing.version", "1", "A frame of an unknown version is dropped, and the next one is found") { board in
      let unknown = board.takeSequence()
      var bytes = try board.frame([], sequence: unknown)
      bytes[2] = 0x7F
      // Its header check holds: the version alone is the reason.
      bytes.replaceSubrange(12..<16, with: CRC32.checksum(Array(bytes[0..<12])).littleEndianBytes)
      // Only the header: what is behind it depends on the version.
      try await board.send(bytes: Array(bytes[0..<16]))
      try board.expect(try await !board.settled().contains(unknown), "it was answered")
    },
    Check("framing.too-long", "1, 2", "A header that promises more than the board takes does not swallow what follows")
    {
      board in
      let long = board.takeSequence()
      var bytes = try board.frame([], sequence: long)
      bytes.replaceSubrange(8..<12, with: UInt32(board.hello.maximumRequestBytes + 1).littleEndianBytes)
      bytes.replaceSubrange(12..<16, with: CRC32.checksum(Array(bytes[0..<12])).littleEndianBytes)
      try await board.send(bytes: Array(bytes[0..<16]))
      // Answered or not is the board's choice; the next request must be served.
      _ = try await board.request(Heartbeat())
      _ = try await board.next(long, within: .zero)
    },
    Check("framing.half-frame", "1, 4", "RESYNC discards a half frame") { board in
      let bytes = try board.frame(board.payload(.readCells(board.read())))
      try await board.send(bytes: Array(bytes.prefix(bytes.count / 2)))
      // Control requests have a way of their own and may pass bytes: these get time to arrive.
      try await Task.sleep(for: .milliseconds(100))
      _ = try await board.control(.resync)
      let answer = try await board.exchange(.hello(Hello(sessionID: board.newSession(), client: "conformance")))
      try board.expect(answer.status == .ok, "Hello behind it is answered \(answer.status)")
    },
  ]
}

extension FixedWidthInteger {
  var littleEndianBytes: [UInt8] { withUnsafeBytes(of: littleEndian, Array.init) }
}
