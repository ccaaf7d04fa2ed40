import RRAMProfiles
import RRAMTransport
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

  struct Strict: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var message: String
    var sent: [String] = []
    var limit: @Sendable (inout WireLimits) -> Void
    var act: @Sendable (Board) async throws -> Void
  }

  /// Limits that the shipped chips do not reach, each made to bite.
  @Test(arguments: [
    Strict(testDescription: "slew", message: "slew limit: 10 MV/s asked, 0 V/s to 1 MV/s allowed, \(whole)") {
      $0.slew = VoltsPerSecond(1e6)
    } act: {
      _ = try await $0.pulse(pulse())
    },
    Strict(testDescription: "current", message: "current limit: 1 mA asked, 0 A to 100 µA allowed, \(whole)") {
      $0.current = .microamperes(100)
    } act: {
      _ = try await $0.pulse(pulse())
    },
    Strict(
      testDescription: "pulse energy of a ramp's end",
      message: "pulse energy limit: 1.5 nJ asked, 0 J to 1 nJ allowed, \(whole)"
    ) {
      $0.pulseEnergy = Joules(1e-9)
    } act: {
      var request = writeVerify(CellSelection(block: block))
      (request.set.start, request.set.stop, request.set.width) = (Volts(1), Volts(1.5), .microseconds(1))
      _ = try await $0.writeVerify(request)
    },
    Strict(testDescription: "power", message: "power limit: 4.8 mW asked, 0 W to 4 mW allowed, \(whole)") {
      $0.power = Watts(0.004)
    } act: {
      _ = try await $0.pulse(pulse(bitLine: 1.2))
    },
    Strict(
      testDescription: "pulses per run",
      message: "pulses per run limit: 6 asked, 0 to 5 allowed, at macro 0 row 0 column 0"
    ) {
      $0.pulsesPerRun = 5
    } act: {
      var request = pulse()
      request.count = 6
      _ = try await $0.pulse(request)
    },
    Strict(
      testDescription: "pulses per life",
      message: "pulses per life limit: 101 asked, 0 to 100 allowed, at macro 0 row 0 column 0"
    ) {
      $0.pulsesPerLife = 100
    } act: {
      var request = pulse()
      request.count = 101
      _ = try await $0.pulse(request)
    },
    Strict(testDescription: "disturb", message: "disturb limit: 1 V asked, 0 V to 900 mV allowed, \(whole)") {
      $0.disturb = Volts(0.9)
    } act: {
      try await $0.configureLoop([LoopLayer(block: block, columnGain: [1, 1])])
    },
    Strict(
      testDescription: "no disturb voltage",
      message:
        "disturb limit: the limits state no voltage that cells bear for long, and rows of the loop reach 1 V"
    ) {
      $0.disturb = nil
    } act: {
      try await $0.configureLoop([LoopLayer(block: block, columnGain: [1, 1])])
    },
  ])
  func theLimitsThatNeedNotBeStatedRefuse(strict: Strict) async throws {
    var limits = ScriptedDevice.permissive
    strict.limit(&limits)
    let device = try ScriptedDevice(limits: limits)
    let board = try await open(device)
    let error = await #expect(throws: BoardError.self) { try await strict.act(board) }
    #expect(error?.code == .limitRefused)
    #expect(error?.message == strict.message)
    try await board.close()
    #expect(device.trace == ["hello", "get_description", "get_limits", "safe"])
  }

  /// The host counts what each cell got in this session and before it.
  @Test func pulsesOfRunAndLifeAddUp() async throws {
    var limits = ScriptedDevice.permissive
    limits.pulsesPerLife = 100
    let device = try ScriptedDevice(limits: limits) { device, request in
      guard case .pulse(let pulse) = request.body else { return false }
      device.reply(
        request,
        .cellResults(
          CellResults(
            firstIndex: 0, count: 16, pulses: Array(repeating: UInt32(pulse.count), count: 16),
            progress: OperationProgress(finished: 16, total: 16))))
      return true
    }
    var configuration = BoardConfiguration()
    configuration.lifetimePulses = { chip, macro in
      #expect(chip == "chip-3" && macro == 0)
      var pulses = [UInt32](repeating: 0, count: 4096)
      pulses[64 + 2] = 90
      return pulses
    }
    let board = try await Board.open(InMemoryLink(to: device), configuration: configuration)
    var request = pulse()
    request.count = 6
    _ = try await board.pulse(request)
    let error = await #expect(throws: BoardError.self) { try await board.pulse(request) }
    #expect(error?.message == "pulses per life limit: 102 asked, 0 to 100 allowed, at macro 0 row 1 column 2")
    try await board.close()
  }

  /// A RESET to a cell that was read above the ceiling could short it.
  @Test func aCellAboveTheResistanceCeilingGetsNoReset() async throws {
    var limits = ScriptedDevice.permissive
    limits.resistance = .kiloohms(100)
    let device = try ScriptedDevice(limits: limits) { device, request in
      guard case .readCells = request.body else { return false }
      var values = [Float](repeating: 20e-6, count: 16)
      values[5] = 8e-6
      device.reply(request, .conductances(Conductances(firstIndex: 0, conductance: values)))
      return true
    }
    let board = try await open(device)
    _ = try await board.read(block)
    // Procedures leave such cells out of a RESET beforehand, and those near the ceiling where they ask for it.
    let all = CellSelection(block: block)
    #expect(await board.resettable(all).indices == all.indices.filter { $0 != 5 })
    #expect(await board.resettable(all, share: 0.4).count == 0)
    var request = pulse(bitLine: 0)
    (request.kind, request.sourceLine) = (.reset, Volts(1))
    let error = await #expect(throws: BoardError.self) { try await board.pulse(request) }
    #expect(error?.message == "resistance limit: 125 kΩ asked, 0 Ω to 100 kΩ allowed, at macro 0 row 1 column 1")
    try await board.close()
  }

  /// The host looks at the sensor only where its own record is stricter than the board's.
  @Test func aHotChipIsNotPulsed() async throws {
    let device = try ScriptedDevice { device, request in
      guard case .readADC = request.body else { return false }
      device.reply(request, .adc(ADCResult(code: ADCCode(rawValue: 1440), value: 90)))
      return true
    }
    var own = ChipLimits(ScriptedDevice.permissive)
    own.temperature = Celsius(0)...Celsius(85)
    let board = try await open(device, limits: own)
    let error = await #expect(throws: BoardError.self) { try await board.pulse(pulse()) }
    #expect(error?.message == "temperature limit: 90.0 °C asked, 0.0 °C to 85.0 °C allowed")
    try await board.close()
    #expect(device.trace == ["hello", "get_description", "get_limits", "read_adc", "safe"])
  }

  /// `--allow overvoltage` opens the host's record; the board's stays its own.
  @Test func anAllowanceOpensTheHostsRecordOnly() async throws {
    var own = ChipLimits(ScriptedDevice.permissive)
    own.bitLine = Volts(1.2)
    let record = own
    var configuration = BoardConfiguration()
    configuration.chipLimits = { _ in LimitRecord(.chip, record) }
    configuration.allowance = LimitAllowance(overVoltage: Volts(3))
    let board = try await Board.open(InMemoryLink(to: try ScriptedDevice()), configuration: configuration)
    #expect(board.limits.bitLine == Volts(1.5))
    #expect(board.limitRecords.map(\.source) == [.board, .chip])
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
