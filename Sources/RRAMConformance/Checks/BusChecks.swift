internal import RRAMTransport
internal import RRAMUnits
internal import RRAMWire

extension Check {
  static let bus: [Check] = BusInterruption.allCases.map { interruption in
    let what = interruption == .reset ? "A reset of the bus" : "A bus that sleeps"
    return Check(
      "safe.bus-\(interruption.rawValue)", "3, 4",
      "\(what) makes the board safe and ends the session; labels, write counters and limits survive"
    ) { board in
      let (_, id, request) = try await board.stall()
      let macro = request.cells.block.macro
      let limits = try await board.request(GetLimits())
      let label = try await board.request(GetLabel(macro: macro))
      let boot = try await board.status().bootID
      let status = try await board.interrupt(interruption)
      try board.expect(!status.hasSession, "the session outlived it")
      try board.expect(status.isGrounded && !status.isEnergised, "the lines are not at ground")
      try board.expect(status.operations == 0, "\(status.operations) operations are left")
      guard status.bootID == boot else { throw CheckEnd.skipped("the board started anew") }
      try board.expect(status.lastSafeCause == .linkLost, "the last cause is \(status.lastSafeCause)")
      try await board.start()
      let state = try await board.state(of: id).state
      try board.expect(state == .aborted, "the operation under way is \(state), aborted belongs")
      try board.expect(try await board.request(GetLabel(macro: macro)) == label, "label or write counter are others")
      try board.expect(try await board.request(GetLimits()) == limits, "the limits are others")
    }
  }
}
