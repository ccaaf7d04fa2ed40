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
