import Foundation
import RRAMUnits
import SwiftProtobuf
import Testing

@testable import RRAMWire

@Suite struct ResponseMessageTests {
  static func response(_ body: ResponseBody?) -> ResponseMessage {
    ResponseMessage(bootID: 7, boardTime: .milliseconds(3), body: body)
  }

  static let hello = HelloResult(
    firmwareVersion: "1", serial: "s", board: "b", maximumRequestBytes: 1024, maximumResponseBytes: 4096,
    maximumInFlight: 1, maximumScheduleTicks: 1)

  /// Responses with one wrong field each, and the field the error names.
  static let wrong: [(ResponseBody, String)] = {
    var small = hello
    small.maximumRequestBytes = 1023
    var short = hello
    short.maximumResponseBytes = 4095
    var idle = hello
    idle.maximumInFlight = 0
    var wordy = hello
    wordy.serial = String(repeating: "x", count: 33)
    let zero = Duration.zero
    return [
      (small.body, "hello.max_request_bytes"), (short.body, "hello.max_response_bytes"),
      (idle.body, "hello.max_in_flight"), (wordy.body, "hello.serial"),
      (DescriptionPage(firstIndex: 3, total: 4, page: [1, 2]).body, "description.page"),
      (CellResults(firstIndex: 0, count: 2, conductance: [1]).body, "cell_results.conductance"),
      (CellResults(firstIndex: 0, count: 2, reasons: [.masked]).body, "cell_results.reason"),
      (CellResults(firstIndex: -1, count: 0).body, "cell_results.first_index"),
      (MacroLabel(macro: 0, label: [], writeCounter: 0).body, "label.label"),
      (
        RunResults(firstIndex: 0, x: [1], overRange: [[]], presetTime: zero, loopTime: zero, conversionTime: zero).body,
        "run_results.x"
      ),
      (
        RunResults(
          firstIndex: 0, x: [1, 2], overRange: [[]], trajectory: [1, 2, 3], presetTime: zero, loopTime: zero,
          conversionTime: zero
        ).body, "run_results.trajectory"
      ),
      (Counters(pulses: -1).body, "counters.pulses"),
      (SetDACResult(voltage: Volts(.nan)).body, "set_dac.voltage_v"),
    ]
  }()

  @Test(arguments: wrong.indices) func refusesToEncodeAWrongField(_ index: Int) {
    let error = #expect(throws: WireError.self) { try Self.response(Self.wrong[index].0).payload() }
    #expect(error?.field == Self.wrong[index].1)
  }

  @Test func readsNumbersItDoesNotKnow() throws {
    var message = try Self.response(
      HeartbeatResult(isEnergised: false, lastSafeCause: .watchdog, queuedOperations: 0).body
    ).message()
    message.status = .UNRECOGNIZED(77)
    message.heartbeat.lastSafeCause = .UNRECOGNIZED(12)
    let response = try ResponseMessage(payload: try message.serializedBytes())
    #expect(response.status == Status(rawValue: 77))
    #expect("\(response.status)" == "status 77")
    #expect(try response.response(as: HeartbeatResult.self).lastSafeCause == SafeCause(rawValue: 12))
  }

  @Test func refusesAResponseWithoutStatus() {
    let error = #expect(throws: WireError.self) { try ResponseMessage(payload: []) }
    #expect(error?.field == "status")
  }

  @Test func refusesRangesThatAreUpsideDown() throws {
    let limits = WireLimits(
      wordLine: .volts(3), bitLine: .volts(2), sourceLine: .volts(2), forming: .volts(3), read: .volts(0.2),
      pulseWidth: .nanoseconds(50) ... .microseconds(1), pulsesPerRequest: 10,
      conductance: Siemens(1e-5)...Siemens(9e-5))
    var message = try Self.response(limits.body).message()
    message.limits.pulseWidthMinNs = 2000
    var payload: [UInt8] = try message.serializedBytes()
    #expect(throws: WireError.self) { try ResponseMessage(payload: payload) }
    message.limits.pulseWidthMinNs = 50
    message.limits.conductanceMinS = 1
    payload = try message.serializedBytes()
    #expect(throws: WireError.self) { try ResponseMessage(payload: payload) }
    message.limits.conductanceMinS = 1e-5
    payload = try message.serializedBytes()
    #expect(try ResponseMessage(payload: payload).response(as: WireLimits.self) == limits)
  }

  @Test func namesBothTypesWhenTheBodyIsAnother() {
    let error = #expect(throws: WireError.self) {
      try Self.response(.configureLoop(ConfigureLoopResult())).response(as: Counters.self)
    }
    #expect(error?.code == .unexpectedBody)
    #expect(error?.detail == "Counters expected, configure_loop received")
    #expect(throws: WireError.self) { try Self.response(nil).response(as: Counters.self) }
  }

  @Test func cutsALongDetailBetweenCharacters() throws {
    let response = ResponseMessage(
      bootID: 1, boardTime: .zero, status: .failed, detail: String(repeating: "µ", count: 500) + "x")
    #expect(response.detail == String(repeating: "µ", count: 120))
    _ = try response.payload()
  }

  @Test func namesLimitNumbersAndCellOfARefusal() {
    let cell = CellBlock(macro: 1, firstRow: 12, firstColumn: 63, shape: MacroShape(rows: 1, columns: 1))
    let refusal = Refusal(limit: .wordLine, asked: 5, minimum: -3.3, maximum: 3.3, cell: cell)
    #expect("\(refusal)" == "word line: 5.0 V asked, -3.3 to 3.3 V allowed at macro 1 row 12 column 63")
  }
}

@Suite struct EventMessageTests {
  @Test func tellsAnEventOfALaterLevel() {
    let error = #expect(throws: WireError.self) { try EventMessage(payload: [0x9A, 0x06, 0x00]) }
    #expect(error?.code == .unknownBody)
  }
}
