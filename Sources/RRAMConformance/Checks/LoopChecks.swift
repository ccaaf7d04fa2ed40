internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

extension Check {
  static let loop: [Check] = [
    Check("loop.stream", "2", "RunLoop sends its samples in order, one frame a credit, the last without flag MORE") {
      board in
      let (stream, _, samples) = try await idleRun(board)
      var told = 0
      try await board.granting(stream) { (part: RunResults) in
        try board.expect(
          part.firstIndex == told, "a frame begins at sample \(part.firstIndex), \(told) samples were told of")
        told += part.count
      }
      try board.expect(told == samples, "the frames tell of \(told) of \(samples) samples")
    },
    Check("loop.abort", "2", "Abort ends a run that waits for credit as ABORTED") { board in
      let (stream, id, _) = try await idleRun(board)
      let result = try await board.request(Abort(operationID: id))
      try board.expect(result.abortedOperations == 1, "\(result.abortedOperations) operations were ended")
      let answer = try await board.last(stream)
      try board.expect(answer.status == .aborted, "the run ends as \(answer.status), ABORTED belongs")
      let state = try await board.state(of: id).state
      try board.expect(state == .aborted, "GetOperation says \(state)")
    },
    Check("loop.loopback", "6", "A converter that is read back shows what SetDac set it to, and 0 V after Safe") {
      board in
      guard let loop = try board.papers().closedLoop else { throw CheckEnd.skipped("the board has no closed loop") }
      guard board.hello.capabilities.isSuperset(of: [.converterLoopback, .rawConverters]),
        let zero = loop.preset.code(nearest: .zero)
      else { throw CheckEnd.skipped("the board cannot read its converters back") }
      guard !board.options.isDry else { throw CheckEnd.skipped("no converter is set: dry") }
      let high = DACCode(rawValue: zero.rawValue + UInt32(loop.preset.codeCount / 4))
      let asked = loop.preset.volts(high).rawValue
      // An eighth of it: far beyond what converters differ by, far below what is set.
      func expect(_ wanted: Double, _ when: String) async throws {
        let result = try await board.request(ReadADC.loopback(.preset, channel: 1))
        try board.expect(
          !result.isSaturated && abs(result.value - wanted) < asked / 8,
          "preset converter 1 reads back as \(result.value) V \(when), \(wanted) V belong")
      }
      _ = try await board.request(SetDAC(kind: .preset, channel: 1, code: high))
      try await expect(asked, "after SetDac")
      _ = try await board.request(Safe())
      try await expect(0, "after Safe")
    },
  ]

  /// Begins a run without credit: one layer of three rows and two pairs of columns with a formed cell among them, every coefficient 0.
  ///
  /// x stays where it was preset, at 0 V; the bias row stands at one unit, which must be no more than a read.
  private static func idleRun(_ board: BoardUnderTest) async throws -> (sequence: UInt32, id: UInt64, samples: Int) {
    guard !board.options.isDry else { throw CheckEnd.skipped("no loop is run: dry") }
    let papers = try board.papers()
    guard board.hello.capabilities.contains(.closedLoop), let loop = papers.closedLoop,
      let macro = loop.layerMacros.first
    else { throw CheckEnd.skipped("the board has no closed loop") }
    guard let limits = board.limits, loop.unitVoltage <= limits.read else {
      throw CheckEnd.skipped("one unit, \(loop.unitVoltage), is more than a read may have")
    }
    let block = try await formedBlock(macro, on: board)
    _ = try await board.request(ConfigureLoop(layers: [LoopLayer(block: block, columnGain: [0, 0])]))
    guard let coefficient = loop.coefficient.code(nearest: .zero), let embedding = loop.embedding.code(nearest: .zero),
      let preset = loop.preset.code(nearest: .zero)
    else { throw CheckEnd.failed("a converter of the loop has no code for 0 V") }
    var tick = [coefficient, coefficient] + Array(repeating: embedding, count: loop.embeddingChannels)
    if let offset = loop.offset {
      guard let zero = offset.code(nearest: .zero) else {
        throw CheckEnd.failed("the offset converter has no code for 0 V")
      }
      tick += [zero, zero]
    }
    if !loop.secondLayerMacros.isEmpty {
      tick += [coefficient] + Array(repeating: embedding, count: loop.embeddingChannels)
    }
    let hasTrajectory = board.hello.capabilities.contains(.loopTrajectory)
    // Points of the trajectory make a sample long, so that few samples take several frames.
    let ticks = min(16, loop.maximumTicks)
    _ = try await board.request(
      UploadSchedule(
        scheduleID: 1, ticks: ticks, tick: loop.tick.lowerBound, firstTick: 0, count: ticks,
        codes: Array(repeating: tick.map { UInt16(truncatingIfNeeded: $0.rawValue) }, count: ticks).flatMap { $0 }))
    let samples = min(256, (board.hello.maximumRequestBytes - Self.requestOverhead) / 4)
    let id = board.newOperation()
    let sequence = try await board.send(
      .runLoop(
        RunLoop(
          scheduleID: 1, samples: samples,
          preset: Array(repeating: UInt16(truncatingIfNeeded: preset.rawValue), count: 2 * samples), seed: 1,
          trajectoryEvery: hasTrajectory ? 1 : 0, credit: 0)), id: id)
    try await board.expectWaiting(sequence)
    return (sequence, id, samples)
  }

  /// Bytes of a RunLoop beside its presets, generously.
  private static let requestOverhead = 256

  private static func formedBlock(_ macro: Int, on board: BoardUnderTest) async throws -> CellBlock {
    let shape = try board.papers().macros.shape
    let wanted = MacroShape(rows: 3, columns: 4)
    guard shape.rows >= wanted.rows, shape.columns >= wanted.columns else {
      throw CheckEnd.skipped("a macro of \(shape) holds no layer of \(wanted)")
    }
    let formed = try await board.formedCells(macro: macro)
    guard let cell = formed.indices.first(where: { formed[$0] }) else {
      throw CheckEnd.skipped("macro \(macro) has no formed cell, and a loop without any is refused")
    }
    return CellBlock(
      macro: macro, firstRow: min(cell / shape.columns, shape.rows - wanted.rows),
      firstColumn: min(cell % shape.columns, shape.columns - wanted.columns) / 2 * 2, shape: wanted)
  }
}
