internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

extension Check {
  static let limits: [Check] = [
    Check("limits.read", "2", "A read beyond the limit is refused with numbers, and nothing is done") { board in
      guard let limits = board.limits else { throw CheckEnd.skipped("the board's limits could not be read") }
      // One float above: refused by comparison, and harmless where it is not.
      let asked = Volts(Double(Float(limits.read.rawValue).nextUp))
      var request = try board.read()
      request.bias.bitLine = asked
      try await expectRefusal(.read, of: .readCells(request), asked: asked.rawValue, on: board)
    },
    Check("limits.target", "2", "A target outside the conductance window is refused before the first pulse") { board in
      guard let limits = board.limits else { throw CheckEnd.skipped("the board's limits could not be read") }
      let target = Float(limits.conductance.upperBound.rawValue).nextUp
      let request = try await board.stallingRequest(target: target)
      try await expectRefusal(.conductance, of: .writeVerify(request), asked: Double(target), on: board)
    },
    Check("limits.word-line", "2", "A word line beyond its limit is refused, exactly the limit is allowed") { board in
      guard let limits = board.limits else { throw CheckEnd.skipped("the board's limits could not be read") }
      // Bit and source line at ground: no current flows whatever the board makes of it.
      var pulse = try pulse(on: board)
      let permitted = min(limits.wordLine, try board.papers().drivers.wordLine.range.upperBound)
      pulse.wordLine = Volts(Double(Float(permitted.rawValue).nextUp))
      try await expectRefusal(.wordLine, of: .pulse(pulse), asked: pulse.wordLine.rawValue, on: board)
      pulse.wordLine = permitted
      let allowed = try await board.exchange(.pulse(pulse))
      try board.expect(allowed.status == .ok, "\(permitted) is answered \(allowed.status): \(allowed.detail)")
    },
    Check("limits.bit-line", "2", "A bit line beyond its limit is refused") { board in
      guard let limits = board.limits else { throw CheckEnd.skipped("the board's limits could not be read") }
      // Word line at ground: every selector is closed.
      var pulse = try pulse(on: board)
      pulse.wordLine = .zero
      pulse.bitLine = Volts(Double(Float(limits.bitLine.rawValue).nextUp))
      try await expectRefusal(.bitLine, of: .pulse(pulse), asked: pulse.bitLine.rawValue, on: board)
    },
    Check("limits.source-line", "2", "A source line beyond its limit is refused") { board in
      guard let limits = board.limits else { throw CheckEnd.skipped("the board's limits could not be read") }
      var pulse = try pulse(on: board)
      pulse.kind = .reset
      pulse.wordLine = .zero
      pulse.sourceLine = Volts(Double(Float(limits.sourceLine.rawValue).nextUp))
      try await expectRefusal(.sourceLine, of: .pulse(pulse), asked: pulse.sourceLine.rawValue, on: board)
    },
    Check("limits.pulse-width", "2", "A pulse shorter or longer than the limits is refused") { board in
      guard let limits = board.limits else { throw CheckEnd.skipped("the board's limits could not be read") }
      var pulse = try pulse(on: board)
      for width in [limits.pulseWidth.lowerBound - .nanoseconds(1), limits.pulseWidth.upperBound + .nanoseconds(1)]
      where width > .zero {
        pulse.width = width
        try await expectRefusal(.pulseWidth, of: .pulse(pulse), asked: width / .nanoseconds(1), on: board)
      }
    },
    Check("limits.pulse-count", "2", "More pulses than a request may give are refused") { board in
      guard let limits = board.limits else { throw CheckEnd.skipped("the board's limits could not be read") }
      var pulse = try pulse(on: board)
      pulse.count = limits.pulsesPerRequest + 1
      try await expectRefusal(.pulseCount, of: .pulse(pulse), asked: Double(pulse.count), on: board)
    },
    Check("counters.reads", "2", "The board counts its reads, and reading changes nothing") { board in
      let label = try await board.request(GetLabel(macro: board.cells(1).block.macro))
      let before = try await board.counters()
      let request = try board.read()
      let answer = try await board.exchange(.readCells(request))
      try board.expect(answer.status == .ok, "ReadCells is answered \(answer.status): \(answer.detail)")
      let after = try await board.counters()
      try board.expect(
        after.reads >= before.reads + request.cells.count,
        "\(request.cells.count) cells were read, \(after.reads - before.reads) reads counted")
      try board.expect(after.pulses == before.pulses, "\(after.pulses - before.pulses) pulses were counted")
      let again = try await board.request(GetLabel(macro: board.cells(1).block.macro))
      try board.expect(
        again == label, "the write counter went from \(label.writeCounter) to \(again.writeCounter)")
    },
    Check("counters.pulses", "2", "The board counts every pulse, and a macro knows that it was written") { board in
      var pulse = try pulse(on: board)
      pulse.count = 3
      let macro = pulse.cells.block.macro
      let label = try await board.request(GetLabel(macro: macro))
      let before = try await board.counters()
      let answer = try await board.exchange(.pulse(pulse))
      try board.expect(answer.status == .ok, "Pulse is answered \(answer.status): \(answer.detail)")
      let after = try await board.counters()
      try board.expect(
        after.pulses == before.pulses + 3 && after.setPulses == before.setPulses + 3,
        "3 SET pulses were given, \(after.pulses - before.pulses) pulses and \(after.setPulses - before.setPulses) SET "
          + "pulses counted")
      let again = try await board.request(GetLabel(macro: macro))
      try board.expect(
        again.writeCounter > label.writeCounter, "the write counter stayed at \(again.writeCounter)")
    },
    Check("counters.triggers", "6", "The trigger output is raised at every pulse while that is asked for") { board in
      guard board.hello.capabilities.contains(.triggerOutput) else {
        throw CheckEnd.skipped("the board has no trigger output")
      }
      var pulse = try pulse(on: board)
      pulse.count = 3
      for (isAsked, edges) in [(true, 3), (false, 0)] {
        _ = try await board.request(SetTrigger(pulses: isAsked))
        let before = try await board.counters()
        let answer = try await board.exchange(.pulse(pulse))
        try board.expect(answer.status == .ok, "Pulse is answered \(answer.status): \(answer.detail)")
        let after = try await board.counters()
        try board.expect(
          after.triggers == before.triggers + edges,
          "3 pulses raised it \(after.triggers - before.triggers) times where \(edges) belong")
      }
    },
  ]

  /// One SET pulse of 0 V at one cell of the spare row.
  private static func pulse(on board: BoardUnderTest) throws -> Pulse {
    guard let block = try? board.spareRow().block else {
      throw CheckEnd.skipped("needs pulses, and no spare row was named")
    }
    return Pulse(
      cells: CellSelection(
        block: CellBlock(macro: block.macro, firstRow: block.firstRow, shape: MacroShape(rows: 1, columns: 1))),
      kind: .set, wordLine: try board.readBias.wordLine, bitLine: .zero, sourceLine: .zero,
      width: try board.shortestPulse(), count: 1)
  }

  private static func expectRefusal(
    _ limit: Refusal.Limit, of body: RequestBody, asked: Double, on board: BoardUnderTest
  ) async throws {
    let before = try await board.counters()
    let id = board.newOperation()
    let sequence = try await board.send(body, id: id)
    // Where the board accepts a stream it should have refused, it would wait for ever.
    try await board.send(.credit(Credit(sequence: sequence, frames: 1000)))
    let answer = try await board.last(sequence)
    try board.expect(
      answer.status == .limitRefused, "\(asked) \(limit.unit) is answered \(answer.status), LIMIT_REFUSED belongs")
    guard let refusal = answer.refusal else { throw CheckEnd.failed("the refusal has no numbers") }
    try board.expect(refusal.limit == limit, "the limit named is \(refusal.limit), \(limit) belongs")
    try board.expect(
      Float(refusal.asked) == Float(asked) && refusal.maximum >= refusal.minimum
        && !(refusal.minimum...refusal.maximum).contains(refusal.asked),
      "the numbers of the refusal do not fit: \(refusal)")
    let after = try await board.counters()
    try board.expect(
      after.pulses == before.pulses && after.reads == before.reads,
      "it did \(after.pulses - before.pulses) pulses and \(after.reads - before.reads) reads")
  }
}
