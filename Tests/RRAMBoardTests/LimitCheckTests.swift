import RRAMProfiles
import RRAMUnits
import RRAMWire
import Testing

@testable import RRAMBoard

@Suite struct LimitCheckTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var message: String
    var code = BoardError.Code.limitRefused
    var act: @Sendable (Board) async throws -> Void
  }

  private static let whole = "for macro 0 rows 0..3 columns 0..3"

  @Test(arguments: [
    Case(testDescription: "bit line", message: "bit line limit: 1.6 V asked, -1.5 V to 1.5 V allowed, \(whole)") {
      _ = try await $0.pulse(pulse(bitLine: 1.6))
    },
    Case(testDescription: "not a number", message: "bit line limit: nan V asked, -1.5 V to 1.5 V allowed, \(whole)") {
      _ = try await $0.pulse(pulse(bitLine: .nan))
    },
    Case(testDescription: "word line", message: "word line limit: 3.4 V asked, -3.3 V to 3.3 V allowed, \(whole)") {
      var request = pulse()
      request.wordLine = Volts(3.4)
      _ = try await $0.pulse(request)
    },
    Case(testDescription: "below the driver", message: "word line limit: -1 V asked, 0 V to 4.999 V allowed, \(whole)")
    {
      var request = pulse()
      request.wordLine = Volts(-1)
      _ = try await $0.pulse(request)
    },
    Case(testDescription: "source line", message: "source line limit: 1.45 V asked, -1.4 V to 1.4 V allowed, \(whole)")
    {
      var request = pulse()
      request.sourceLine = Volts(1.45)
      _ = try await $0.pulse(request)
    },
    Case(
      testDescription: "pulse width",
      message: "pulse width limit: 10.0 ns asked, 20.0 ns to 100000.0 ns allowed, \(whole)"
    ) {
      var request = pulse()
      request.width = .nanoseconds(10)
      _ = try await $0.pulse(request)
    },
    Case(
      testDescription: "step of pulse widths",
      message: "a pulse width of 2.5e-08 seconds is no multiple of 1e-08 seconds",
      code: .badArgument
    ) {
      var request = pulse()
      request.width = .nanoseconds(25)
      _ = try await $0.pulse(request)
    },
    Case(testDescription: "pulse count", message: "pulse count limit: 1001 asked, 1 to 1000 allowed, \(whole)") {
      var request = pulse()
      request.count = 1001
      _ = try await $0.pulse(request)
    },
    Case(testDescription: "read", message: "read limit: 400 mV asked, -300 mV to 300 mV allowed, \(whole)") {
      _ = try await $0.read(block, bias: ReadBias(wordLine: Volts(1), bitLine: Volts(0.4)))
    },
    Case(
      testDescription: "conductance",
      message: "conductance limit: 95 µS asked, 10 µS to 90 µS allowed, at macro 0 row 1 column 2"
    ) {
      var request = writeVerify(CellSelection(block: block))
      request.targets[6] = 95e-6
      _ = try await $0.writeVerify(request)
    },
    Case(testDescription: "end of a ramp", message: "bit line limit: 1.7 V asked, -1.5 V to 1.5 V allowed, \(whole)") {
      var request = writeVerify(CellSelection(block: block))
      request.set.stop = Volts(1.7)
      _ = try await $0.writeVerify(request)
    },
    Case(testDescription: "matrix product", message: "read limit: 500 mV asked, -300 mV to 300 mV allowed, \(whole)") {
      _ = try await $0.matrixProduct(MatrixProduct(block: block, inputs: [0, 0.5, 0, 0], wordLine: Volts(1)))
    },
    Case(testDescription: "bias converter", message: "read limit: 2.5 V asked, -300 mV to 300 mV allowed") {
      _ = try await $0.setDAC(.bitLine, channel: 0, code: DACCode(rawValue: 2048))
    },
    Case(
      testDescription: "outside the macro",
      message: "4×4 cells from row 62 column 0 do not lie in a macro of 64×64", code: .badArgument
    ) {
      _ = try await $0.read(CellBlock(macro: 0, firstRow: 62, shape: MacroShape(rows: 4, columns: 4)))
    },
    Case(testDescription: "no such macro", message: "no macro 4 on a board with 4", code: .badArgument) {
      _ = try await $0.label(macro: 4)
    },
    Case(testDescription: "forming", message: "forming needs the permission to form", code: .permissionRequired) {
      _ = try await $0.form(form(3), permissions: [])
    },
    Case(testDescription: "forming voltage", message: "forming limit: 3.5 V asked, -3.2 V to 3.2 V allowed, \(whole)") {
      _ = try await $0.form(form(3.5), permissions: .forming)
    },
    Case(
      testDescription: "a forming pulse", message: "a forming pulse needs the permission to form",
      code: .permissionRequired
    ) {
      var request = pulse(bitLine: 3)
      request.kind = .forming
      _ = try await $0.pulse(request)
    },
    Case(
      testDescription: "capability",
      message: "reading trajectories: the board parallel lacks the capability loop trajectory", code: .unsupported
    ) {
      for try await _ in $0.runLoop(LoopRun(scheduleID: 1, preset: [0, 0], seed: 0, trajectoryEvery: 1)) {}
    },
  ])
  func whatExceedsALimitIsRefusedBeforeAnythingIsSent(refusal: Case) async throws {
    let device = try ScriptedDevice()
    let board = try await open(device)
    let error = await #expect(throws: BoardError.self) { try await refusal.act(board) }
    #expect(error?.code == refusal.code)
    #expect(error?.message == refusal.message)
    try await board.close()
    #expect(device.trace == ["hello", "get_description", "get_limits", "safe"])
  }

  @Test func exactlyTheLimitIsAllowedHoweverItWasComputed() async throws {
    let device = try ScriptedDevice { device, request in
      guard case .readCells = request.body else { return false }
      device.reply(request, .conductances(Conductances(firstIndex: 0, conductance: Array(repeating: 1, count: 16))))
      return true
    }
    let board = try await open(device)
    // 3 · 0.1 is 0.30000000000000004.
    _ = try await board.read(block, bias: ReadBias(wordLine: Volts(1), bitLine: 3 * Volts(0.1)))
    try await board.close()
  }

  @Test func theStrictestRecordHolds() async throws {
    var own = ChipLimits.readOnly
    own.read = Volts(0.1)
    let board = try await open(try ScriptedDevice(), limits: own)
    #expect(board.defaultReadBias().bitLine == Volts(0.1))
    let error = await #expect(throws: BoardError.self) { try await board.pulse(pulse()) }
    #expect(error?.code == .limitRefused)
    try await board.close()
  }

  @Test func aChipWithoutARecordMayOnlyBeRead() async throws {
    var limits = ScriptedDevice.permissive
    limits.isPresent = false
    limits.read = Volts(0.2)
    let device = try ScriptedDevice(limits: limits) { device, request in
      guard case .readCells(let read) = request.body else { return false }
      device.reply(
        request, .conductances(Conductances(firstIndex: 0, conductance: Array(repeating: 1, count: read.cells.count))))
      return true
    }
    let board = try await open(device)
    #expect(board.limits == .readOnly)
    _ = try await board.read(block)
    await #expect(throws: BoardError.self) { try await board.pulse(pulse()) }
    await #expect(throws: BoardError.self) {
      try await board.read(block, bias: ReadBias(wordLine: Volts(1), bitLine: Volts(0.25)))
    }
    try await board.close()
    #expect(device.trace == ["hello", "get_description", "get_limits", "read_cells 1001", "safe"])
  }
}

private func form(_ stop: Double) -> Form {
  Form(
    cells: CellSelection(block: block),
    ramp: PulseRamp(
      wordLine: Volts(1.2), start: Volts(1), step: Volts(0.1), stop: Volts(stop), width: .microseconds(1)),
    read: ReadBias(wordLine: Volts(1.1), bitLine: Volts(0.2)), stopConductance: .microsiemens(20), credit: 1)
}
