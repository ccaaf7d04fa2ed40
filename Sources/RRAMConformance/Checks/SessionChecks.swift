internal import RRAMTransport
internal import RRAMUnits
internal import RRAMWire

extension Check {
  static let session: [Check] = [
    Check("session.greeting", "2, 3", "Hello names sizes that every host may rely on, and the description joins up") {
      board in
      let hello = board.hello
      try board.expect(
        hello.maximumRequestBytes >= HelloResult.leastRequestBytes,
        "requests of \(hello.maximumRequestBytes) bytes, at least \(HelloResult.leastRequestBytes) belong")
      try board.expect(
        hello.maximumResponseBytes >= HelloResult.leastResponseBytes,
        "responses of \(hello.maximumResponseBytes) bytes, at least \(HelloResult.leastResponseBytes) belong")
      try board.expect(hello.maximumInFlight >= 1, "max_in_flight is \(hello.maximumInFlight)")
      try board.expect(hello.watchdog > .zero, "the watchdog waits \(hello.watchdog)")
      try board.expect(!hello.serial.isEmpty, "the board has no serial number")
      _ = try board.papers()
    },
    Check("session.hello-first", "3", "Before Hello only Hello, Safe and Heartbeat are accepted") { board in
      _ = try await board.control(.resync)
      let refused: [RequestBody] = [.getCounters(GetCounters()), .readCells(try board.read())]
      for body in refused {
        let answer = try await board.exchange(body)
        try board.expect(
          answer.status == .wrongState, "\(body.name) before Hello is answered \(answer.status), WRONG_STATE belongs")
      }
      let heartbeat = try await board.exchange(.heartbeat(Heartbeat()))
      try board.expect(heartbeat.status == .ok, "Heartbeat before Hello is answered \(heartbeat.status)")
    },
    Check("session.same-id", "3", "Hello with the session's own id changes nothing") { board in
      let (sequence, id, _) = try await board.stall()
      board.forgetEvents()
      let answer = try await board.exchange(.hello(Hello(sessionID: board.session, client: "conformance")))
      try board.expect(answer.status == .ok, "Hello is answered \(answer.status)")
      _ = try await board.settled()
      let safe = try await board.event(within: .zero) { if case .enteredSafe(let cause) = $0 { cause } else { nil } }
      try board.expect(safe == nil, "the board went safe, cause \(safe.map(\.description) ?? "")")
      let state = try await board.state(of: id).state
      try board.expect(state == .running || state == .queued, "operation \(sequence) is \(state)")
    },
    Check("session.new-id", "3", "Hello with another session id aborts, empties the queue and makes the board safe") {
      board in
      let (_, id, _) = try await board.stall()
      board.forgetEvents()
      let answer = try await board.exchange(.hello(Hello(sessionID: board.newSession(), client: "conformance")))
      try board.expect(answer.status == .ok, "Hello is answered \(answer.status)")
      let cause = try await board.event { if case .enteredSafe(let cause) = $0 { cause } else { nil } }
      try board.expect(
        cause == .newSession, "EnteredSafe with cause new session belongs, \(cause.map(\.description) ?? "none") came")
      let state = try await board.state(of: id).state
      try board.expect(state == .aborted, "the operation of the old session is \(state)")
      let heartbeat = try await board.request(Heartbeat())
      try board.expect(
        heartbeat.queuedOperations == 0, "\(heartbeat.queuedOperations) operations of the old session are queued")
    },
    Check("versions.too-new", "6", "A host that accepts only newer levels gets VERSION_MISMATCH and the board's range")
    {
      board in
      let highest = board.hello.firmwareMaximumLevel
      let answer = try await board.exchange(
        .hello(
          Hello(
            protocolLevel: highest + 5, minimumLevel: highest + 1, sessionID: board.newSession(),
            client: "conformance")))
      try board.expect(
        answer.status == .versionMismatch, "it is answered \(answer.status), VERSION_MISMATCH belongs")
      let hello: HelloResult = try answer.response()
      try board.expect(hello.protocolLevel == 0, "protocol_level is \(hello.protocolLevel), 0 belongs")
      try board.expect(hello.firmwareMaximumLevel == highest, "the range ends at \(hello.firmwareMaximumLevel)")
    },
    Check("versions.newer-host", "6", "A newer host that accepts old levels gets the highest one both speak") { board in
      let highest = board.hello.firmwareMaximumLevel
      let answer = try await board.exchange(
        .hello(
          Hello(
            protocolLevel: highest + 5, minimumLevel: board.hello.firmwareMinimumLevel, sessionID: board.newSession(),
            client: "conformance")))
      try board.expect(answer.status == .ok, "it is answered \(answer.status)")
      let hello: HelloResult = try answer.response()
      try board.expect(
        hello.protocolLevel == highest, "level \(hello.protocolLevel) is in use, \(highest) is the highest of both")
    },
  ]
}
