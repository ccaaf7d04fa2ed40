internal import RRAMTransport
internal import RRAMWire

extension Check {
  static let safety: [Check] = [
    Check("safe.frame", "3", "Safe ends every operation as ABORTED, grounds all lines and says so") { board in
      let (stream, _, _) = try await board.stall()
      board.forgetEvents()
      let result = try await board.request(Safe())
      try board.expect(result.isGrounded, "the lines are not at ground")
      try board.expect(result.abortedOperations == 1, "\(result.abortedOperations) operations were ended, 1 ran")
      let answer = try await board.last(stream)
      try board.expect(answer.status == .aborted, "the operation ended as \(answer.status)")
      try await expectSafe(.requested, on: board)
      let next = try await board.exchange(.readCells(board.read()))
      try board.expect(next.status == .ok, "the session is gone: the next request is answered \(next.status)")
    },
    Check("safe.control", "3, 4", "The control request SAFE does the same, whatever state the frames are in") { board in
      let (stream, _, _) = try await board.stall()
      board.forgetEvents()
      // Half a frame stands in the way of every request behind it.
      let bytes = try board.frame(board.payload(.heartbeat(Heartbeat())))
      try await board.send(bytes: Array(bytes.prefix(bytes.count / 2)))
      _ = try await board.control(.safe)
      let answer = try await board.last(stream)
      try board.expect(answer.status == .aborted, "the operation ended as \(answer.status)")
      try await board.send(bytes: Array(bytes.dropFirst(bytes.count / 2)))
      try await expectSafe(.requested, on: board)
    },
    Check("safe.status", "4", "STATUS tells energised, grounded, session, cause, operations and boot id") { board in
      let (_, id, _) = try await board.stall()
      let busy = try await board.status()
      try board.expect(busy.hasSession, "bit 2 says that there is no session")
      try board.expect(busy.operations == 1, "\(busy.operations) operations, 1 is under way (id \(id))")
      try board.expect(
        board.observed.bootIDs.contains(busy.bootID), "boot_id \(busy.bootID) is not that of the responses")
      _ = try await board.request(Safe())
      let safe = try await board.status()
      try board.expect(
        safe.isGrounded && !safe.isEnergised, "after Safe: energised \(safe.isEnergised), grounded \(safe.isGrounded)")
      try board.expect(safe.lastSafeCause == .requested, "the last cause is \(safe.lastSafeCause)")
      try board.expect(safe.operations == 0, "\(safe.operations) operations after Safe")
    },
    Check("safe.resync", "3, 4", "RESYNC makes the board safe and ends the session") { board in
      let (_, id, _) = try await board.stall()
      board.forgetEvents()
      _ = try await board.control(.resync)
      let status = try await board.status()
      try board.expect(!status.hasSession, "bit 2 of STATUS says that there is a session")
      try board.expect(status.isGrounded, "the lines are not at ground")
      try board.expect(status.operations == 0, "\(status.operations) operations are left")
      let answer = try await board.exchange(.getOperation(GetOperation(operationID: id)))
      try board.expect(answer.status == .wrongState, "a request without a session is answered \(answer.status)")
    },
    Check("safe.watchdog", "3", "Silence while energised trips the watchdog, which makes the board safe") { board in
      try await energise(board)
      let before = try await board.counters().watchdogTrips
      board.forgetEvents()
      // Nothing is sent meanwhile, not even STATUS.
      let cause = try await board.event(within: board.hello.watchdog * 2 + board.options.limit) {
        if case .enteredSafe(let cause) = $0 { cause } else { nil }
      }
      try board.expect(
        cause == .watchdog,
        "within \(board.hello.watchdog * 2) of silence EnteredSafe came with cause \(cause.map(\.description) ?? "none")"
      )
      let heartbeat = try await board.request(Heartbeat())
      try board.expect(!heartbeat.isEnergised, "the board is still energised")
      let after = try await board.counters().watchdogTrips
      try board.expect(after == before + 1, "watchdog_trips went from \(before) to \(after)")
    },
    Check("safe.fed", "3", "Valid frames and STATUS keep the watchdog quiet") { board in
      try await energise(board)
      board.forgetEvents()
      let period = board.hello.watchdog / 4
      for index in 0..<6 {
        let cause = try await board.event(within: period) {
          if case .enteredSafe(let cause) = $0 { cause } else { nil }
        }
        try board.expect(
          cause == nil, "the board went safe after \(period * (index + 1)), cause \(cause.map(\.description) ?? "")")
        if index.isMultiple(of: 2) { _ = try await board.request(Heartbeat()) } else { _ = try await board.status() }
      }
      let heartbeat = try await board.request(Heartbeat())
      try board.expect(heartbeat.isEnergised, "the board is not energised any more")
    },
    Check("safe.link-lost", "3, 4", "The end of the link makes the board safe and ends the session") { board in
      let (_, id, _) = try await board.stall()
      let boot = try await board.status().bootID
      try await board.reconnect()
      var status = try await board.status()
      // A board may take a moment to notice; it has as long as for any answer.
      let deadline = ContinuousClock.now + board.options.limit
      while status.hasSession, ContinuousClock.now < deadline {
        try await Task.sleep(for: .milliseconds(5))
        status = try await board.status()
      }
      guard status.bootID == boot else { throw CheckEnd.skipped("the board started anew with the new link") }
      try board.expect(!status.hasSession, "the session outlived its link")
      try board.expect(status.isGrounded && !status.isEnergised, "the lines are not at ground")
      // A bus tells a board nothing of a host that closes its node, and the next one says RESYNC as it opens it.
      let causes: [SafeCause] = board.address.hasPrefix("usb:") ? [.linkLost, .newSession] : [.linkLost]
      try board.expect(causes.contains(status.lastSafeCause), "the last cause is \(status.lastSafeCause)")
      let hello = try await board.exchange(.hello(Hello(sessionID: board.newSession(), client: "conformance")))
      try board.expect(hello.status == .ok, "Hello on the new link is answered \(hello.status)")
      let state = try await board.state(of: id).state
      try board.expect(state == .aborted, "the operation under way is \(state), aborted belongs")
    },
  ]

  private static func expectSafe(_ cause: SafeCause, on board: BoardUnderTest) async throws {
    let told = try await board.event { if case .enteredSafe(let cause) = $0 { cause } else { nil } }
    try board.expect(
      told == cause, "EnteredSafe with cause \(cause) belongs, \(told.map(\.description) ?? "none") came")
    let heartbeat = try await board.request(Heartbeat())
    try board.expect(!heartbeat.isEnergised, "the board is still energised")
    try board.expect(heartbeat.queuedOperations == 0, "\(heartbeat.queuedOperations) operations are left")
  }

  private static func energise(_ board: BoardUnderTest) async throws {
    let answer = try await board.exchange(.readCells(board.read()))
    try board.expect(answer.status == .ok, "ReadCells is answered \(answer.status): \(answer.detail)")
    let heartbeat = try await board.request(Heartbeat())
    guard heartbeat.isEnergised else { throw CheckEnd.skipped("a read does not leave this board energised") }
  }
}
