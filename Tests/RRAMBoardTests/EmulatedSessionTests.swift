import RRAMBoard
import RRAMEmulator
import RRAMProfiles
import RRAMTransport
import RRAMUnits
import RRAMWire
import Testing

/// The host's side against virtual firmware: the same frames as with a board of copper.
@Suite struct EmulatedSessionTests {
  private func emulated(_ profile: String) throws -> EmulatedBoard {
    try EmulatedBoard(profile: ChipProfile.named(profile), board: BoardDescription.named("parallel"))
  }

  private func form(_ cells: CellSelection, _ bias: ChipProfile.Programming.Bias, _ board: Board) -> Form {
    Form(
      cells: cells,
      ramp: PulseRamp(
        wordLine: bias.wordLine, start: bias.start, step: bias.step, stop: bias.stop, width: bias.width),
      read: board.defaultReadBias(), stopConductance: .microsiemens(5), credit: 1)
  }

  private func ramp(_ bias: ChipProfile.Programming.Bias) -> PulseRamp {
    PulseRamp(wordLine: bias.wordLine, start: bias.start, step: bias.step, stop: bias.stop, width: bias.width)
  }

  private func write(_ cells: CellSelection, _ profile: ChipProfile, _ board: Board, tolerance: Siemens) -> WriteVerify
  {
    WriteVerify(
      cells: cells,
      targets: (0..<cells.count).map { Float(20e-6 + 50e-6 * Double($0) / Double(cells.count)) },
      tolerance: tolerance, set: ramp(profile.programming.set), reset: ramp(profile.programming.reset),
      verify: board.defaultReadBias(), maximumPulses: 200, maximumReversals: 50, credit: 1)
  }

  @Test func formWriteAndRead() async throws {
    let profile = try ChipProfile.named("ideal")
    let cells = CellSelection(block: CellBlock(macro: 1, shape: MacroShape(rows: 16, columns: 16)))
    try await withBoard(InMemoryLink(to: try emulated("ideal"))) { board in
      let formed = try await board.form(form(cells, profile.programming.forming, board), permissions: .forming)
      #expect(formed.convergedCount == 256)
      let request = write(cells, profile, board, tolerance: profile.programming.tolerance)
      let written = try await board.writeVerify(request)
      #expect(written.convergedCount == 256)
      let before = await board.statistics
      let values = try await board.read(cells)
      #expect(await board.statistics.requests - before.requests == 1)
      // Seed 0, 256 cells: the window and six σ of one conversion, 8 µV at 10 kΩ and 0.2 V.
      let bound = Float(request.tolerance.rawValue + 6 * 4e-9)
      for (value, target) in zip(values, request.targets) { #expect(abs(value - target) <= bound) }
    }
  }

  @Test func cyclesEndInTheLowStateAndAreCounted() async throws {
    let profile = try ChipProfile.named("ideal")
    let cells = CellSelection(block: CellBlock(macro: 0, shape: MacroShape(rows: 2, columns: 8)))
    func shape(_ bias: ChipProfile.Programming.Bias) -> CycleCells.Shape {
      .init(wordLine: bias.wordLine, amplitude: bias.stop, width: bias.width)
    }
    try await withBoard(InMemoryLink(to: try emulated("ideal"))) { board in
      _ = try await board.form(form(cells, profile.programming.forming, board), permissions: .forming)
      let request = CycleCells(
        cells: cells, set: shape(profile.programming.set), reset: shape(profile.programming.reset), count: 50)
      let report = try await board.cycle(request)
      #expect(report.pulses == Array(repeating: 100, count: 16))
      let counters = try await board.counters()
      #expect(counters.setPulses == 800 && counters.resetPulses == 800)
      // The last pulse of a cycle is a SET.
      let top = Float(profile.cells.conductance.upperBound.rawValue)
      #expect(try await board.read(cells).allSatisfy { $0 > 0.9 * top })
      var many = request
      many.count = board.limits.pulsesPerRequest / 2 + 1
      await #expect(throws: BoardError.self) { _ = try await board.cycle(many) }
    }
  }

  @Test func theTriggerIsRaisedByWhatWasAskedFor() async throws {
    let device = try emulated("ideal")
    let profile = try ChipProfile.named("ideal")
    let cells = CellSelection(block: CellBlock(macro: 0, shape: MacroShape(rows: 2, columns: 3)))
    func edges(_ trigger: SetTrigger?, resuming: Bool = false) async throws -> Int {
      var configuration = BoardConfiguration()
      configuration.trigger = trigger
      return try await withBoard(InMemoryLink(to: device), configuration: configuration) { board in
        if resuming { try await board.resume() }
        let before = try await board.counters().triggers
        let set = profile.programming.set
        _ = try await board.pulse(
          Pulse(cells: cells, kind: .set, wordLine: set.wordLine, bitLine: set.start, width: set.width, count: 4))
        return try await board.counters().triggers - before
      }
    }
    #expect(try await edges(SetTrigger(pulses: true)) == 24)
    // A session that follows in the same opening asks anew.
    #expect(try await edges(SetTrigger(pulses: true), resuming: true) == 24)
    // What the last session asked for is forgotten.
    #expect(try await edges(nil) == 0)
    #expect(try await edges(SetTrigger(runs: true)) == 0)
  }

  @Test func pulsesOfFormingAndWriteVerifyRaiseTheTrigger() async throws {
    let profile = try ChipProfile.named("ideal")
    let cells = CellSelection(block: CellBlock(macro: 1, shape: MacroShape(rows: 2, columns: 4)))
    var configuration = BoardConfiguration()
    configuration.trigger = SetTrigger(pulses: true)
    try await withBoard(InMemoryLink(to: try emulated("ideal")), configuration: configuration) { board in
      _ = try await board.form(form(cells, profile.programming.forming, board), permissions: .forming)
      let formed = try await board.counters()
      #expect(formed.triggers == formed.formingPulses && formed.triggers >= 8)
      _ = try await board.writeVerify(write(cells, profile, board, tolerance: .microsiemens(1)))
      let written = try await board.counters()
      #expect(written.triggers == written.pulses && written.triggers > formed.triggers)
    }
  }

  @Test func aBoardWithoutTriggerOutputIsNotOpenedWithOne() async throws {
    var configuration = configuration()
    configuration.trigger = SetTrigger(pulses: true)
    let device = try ScriptedDevice()
    do {
      _ = try await Board.open(InMemoryLink(to: device), clock: TestClock(), configuration: configuration)
      Issue.record("the board was opened")
    } catch let error as BoardError {
      #expect(error.code == .unsupported && "\(error)".contains("no trigger output"), "\(error)")
    }
  }

  /// A lifetime of 1 000 pulses, of which cell (0, 3) has had 900.
  @Test func pulsesBeyondACellsLifetimeAreRefused() async throws {
    var configuration = BoardConfiguration()
    configuration.pulsesPerLife = { _ in 1000 }
    configuration.lifetimePulses = { _, macro in
      var spent = [UInt32](repeating: 0, count: 4096)
      if macro == 0 { spent[3] = 900 }
      return spent
    }
    let profile = try ChipProfile.named("ideal")
    let row = CellSelection(block: CellBlock(macro: 0, shape: MacroShape(rows: 1, columns: 4)))
    let three = CellSelection(block: CellBlock(macro: 0, shape: MacroShape(rows: 1, columns: 3)))
    func pulse(_ count: Int, _ cells: CellSelection) -> Pulse {
      let bias = profile.programming.set
      return Pulse(
        cells: cells, kind: .set, wordLine: bias.wordLine, bitLine: bias.start, width: bias.width, count: count)
    }
    try await withBoard(InMemoryLink(to: try emulated("ideal")), configuration: configuration) { board in
      _ = try await board.pulse(pulse(60, row))
      let error = await #expect(throws: BoardError.self) { _ = try await board.pulse(pulse(50, row)) }
      #expect(error?.code == .limitRefused && error?.refusal?.limit == .pulsesPerLife && error?.refusal?.asked == 1010)
      let counters = try await board.counters()
      #expect(counters.pulses == 240)
      _ = try await board.pulse(pulse(50, three))
    }
  }

  /// The amplifier of column 1 shows 3 % and 2 µS too much: reads and writes of the opened board know it.
  @Test func aCalibrationCorrectsReadsAndTargets() async throws {
    let profile = try ChipProfile.named("ideal")
    let cells = CellSelection(block: CellBlock(macro: 0, shape: MacroShape(rows: 2, columns: 2)))
    let device = try emulated("ideal")
    try await withBoard(InMemoryLink(to: device)) { board in
      _ = try await board.form(form(cells, profile.programming.forming, board), permissions: .forming)
    }
    var configuration = BoardConfiguration()
    configuration.readCalibration = { info, _ in
      let gain = (0..<64).map { $0 == 1 ? 1.03 : 1.0 }
      let offset = (0..<64).map { $0 == 1 ? 2e-6 : 0.0 }
      return ReadCalibration(
        id: "test", chip: info.chipID, board: info.serial, madeAt: 0, celsius: 25,
        reference: .resistors(tolerance: 0.001),
        shape: MacroShape(rows: 64, columns: 64), gain: Array(repeating: gain, count: 4),
        offsetSiemens: Array(repeating: offset, count: 4))
    }
    let targets: [Float] = [20e-6, 20e-6, 60e-6, 60e-6]
    let written = try await withBoard(InMemoryLink(to: device), configuration: configuration) { board in
      var request = write(cells, profile, board, tolerance: profile.programming.tolerance)
      request.targets = targets
      let report = try await board.writeVerify(request)
      return (report.conductance, try await board.read(cells))
    }
    let bound = Float(profile.programming.tolerance.rawValue + 4e-8)
    for values in [written.0, written.1] {
      for (value, target) in zip(values, targets) { #expect(abs(value - target) <= bound) }
    }
    // That of another chip is refused.
    let corrections = configuration.readCalibration
    configuration.readCalibration = { info, description in
      var calibration = try corrections?(info, description)
      calibration?.chip = "X"
      return calibration
    }
    let error = await #expect(throws: BoardError.self) {
      try await withBoard(InMemoryLink(to: device), configuration: configuration) { _ in }
    }
    #expect(error?.message.hasPrefix("calibration test of the read chain is of chip X on board ") == true)
    // Without it, the same cells read as the amplifier shows them.
    let raw = try await withBoard(InMemoryLink(to: device)) { try await $0.read(cells) }
    #expect(abs(raw[1] - (20e-6 * 1.03 + 2e-6)) <= 1.03 * bound && abs(raw[3] - (60e-6 * 1.03 + 2e-6)) <= 1.03 * bound)
    #expect(abs(raw[0] - 20e-6) <= bound)
  }

  /// Calibrations of the loop: one of another board or shape is refused, one that was made with other corrections of the reads is not used.
  @Test func aCalibrationOfTheLoopMustBelong() async throws {
    let device = try emulated("ideal")
    func open(_ change: @escaping @Sendable (inout LoopCalibration) -> Void) async throws -> (
      used: String?, stale: String?
    ) {
      var configuration = BoardConfiguration()
      configuration.loopCalibration = { info, _ in
        var calibration = LoopCalibration(
          id: "L", chip: info.chipID, board: info.serial, madeAt: 0, celsius: 25, readCalibration: nil,
          shape: MacroShape(rows: 64, columns: 64),
          pairs: Array(repeating: Array(repeating: .init(gain: 1.01, standardError: 0, offset: 0), count: 32), count: 4)
        )
        change(&calibration)
        return calibration
      }
      return try await withBoard(InMemoryLink(to: device), configuration: configuration) {
        ($0.loopCalibration?.id, $0.staleLoopCalibration?.id)
      }
    }
    #expect(try await open { _ in } == ("L", nil))
    #expect(try await open { $0.readCalibration = "R" } == (nil, "L"))
    for change: @Sendable (inout LoopCalibration) -> Void in [
      { $0.pairs.removeLast() }, { $0.pairs[1][3]?.gain = 0 }, { $0.shape = MacroShape(rows: 32, columns: 64) },
    ] {
      let error = try await #require(throws: BoardError.self) { _ = try await open(change) }
      #expect(error.message == "calibration L of the loop is not for 4 macros of 64×64")
    }
    let other = try await #require(throws: BoardError.self) { _ = try await open { $0.board = "X" } }
    #expect(other.message.hasPrefix("calibration L of the loop is of chip "), "\(other.message)")
    let described = try await #require(throws: BoardError.self) { _ = try await open { $0.descriptionSHA256 = "0" } }
    #expect(described.message == "calibration L of the loop was made when the board described itself otherwise")
  }

  @Test func aWholeMacroTakesAtMostThreeRequests() async throws {
    try await withBoard(InMemoryLink(to: try emulated("ideal"))) { board in
      let before = await board.statistics
      let values = try await board.read(CellBlock(macro: 0, shape: MacroShape(rows: 64, columns: 64)))
      #expect(values.count == 4096)
      #expect(await board.statistics.requests - before.requests <= 3)
    }
  }

  @Test func cancellingInMidProgramLeavesTheArrayGrounded() async throws {
    let profile = try ChipProfile.named("cmo-hfox")
    let device = try emulated("cmo-hfox")
    let cells = CellSelection(block: CellBlock(macro: 0, shape: MacroShape(rows: 64, columns: 64)))
    let (progressed, sink) = AsyncStream<Void>.makeStream()
    let task = Task {
      try await withBoard(InMemoryLink(to: device)) { board in
        let first = CellSelection(block: CellBlock(macro: 0, shape: MacroShape(rows: 2, columns: 64)))
        _ = try await board.form(form(first, profile.programming.forming, board), permissions: .forming)
        // A window that no cell meets: it would go on for long.
        _ = try await board.writeVerify(write(cells, profile, board, tolerance: Siemens(1e-12))) { _ in sink.yield() }
      }
    }
    for await _ in progressed { break }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    let status = try BoardStatus(bytes: device.control(.status, data: []))
    #expect(status.isGrounded)
    #expect(!status.isEnergised)
    #expect(status.operations == 0)
  }

  @Test func aBoardOnASocketAnswersStatusBesideItsHost() async throws {
    let scratch = Scratch()
    let server = try UnixSocketServer(path: scratch.path, endpoint: try emulated("ideal"))
    try await withBoard(try await UnixSocketTransport.open(path: scratch.path)) { board in
      let block = CellBlock(macro: 2, shape: MacroShape(rows: 64, columns: 64))
      #expect(try await board.read(block).count == 4096)
      let bytes = try await UnixSocketTransport.control(path: scratch.path, .status)
      let status = try BoardStatus(bytes: bytes)
      #expect(status.hasSession)
      #expect(status.bootID == board.info.bootID)
    }
    await server.close()
  }
}
