import Foundation
import RRAMUnits
import SwiftProtobuf
import Testing

@testable import RRAMWire

@Suite struct RequestMessageTests {
  static let cells = CellSelection(block: CellBlock(macro: 0, shape: MacroShape(rows: 2, columns: 3)))
  static let ramp = PulseRamp(
    wordLine: .volts(1.2), start: .volts(0.8), step: .volts(0.05), stop: .volts(1.6), width: .microseconds(1))
  static let read = ReadBias(wordLine: .volts(1.1), bitLine: .volts(0.2))

  static func writeVerify(_ change: (inout WriteVerify) -> Void = { _ in }) -> RequestBody {
    var request = WriteVerify(
      cells: cells, targets: [Float](repeating: 4e-5, count: 6), tolerance: .microsiemens(1.5), set: ramp, reset: ramp,
      verify: read, maximumPulses: 100, maximumReversals: 10, credit: 4)
    change(&request)
    return request.body
  }

  /// Requests with one wrong field each, and what the error says.
  static let wrong: [(RequestBody, WireError.Code, String)] = [
    (Hello(sessionID: 0, client: "").body, .missingField, "hello.session_id"),
    (Hello(sessionID: 1, client: String(repeating: "µ", count: 33)).body, .wrongLength, "hello.client"),
    (Hello(protocolLevel: -1, sessionID: 1, client: "").body, .outOfRange, "hello.protocol_level"),
    (SetLabel(macro: 0, label: [1]).body, .wrongLength, "set_label.label"),
    (GetLabel(macro: 1 << 32).body, .outOfRange, "get_label.macro"),
    (AdvanceTime(duration: .seconds(-1)).body, .outOfRange, "advance_time.duration_us"),
    (Credit(sequence: 1, frames: -1).body, .outOfRange, "credit.frames"),
    (writeVerify { $0.targets = [1e-5] }, .wrongLength, "write_verify.targets"),
    (writeVerify { $0.targets[3] = .nan }, .notFinite, "write_verify.targets"),
    (writeVerify { $0.targets[5] = -.infinity }, .notFinite, "write_verify.targets"),
    (writeVerify { $0.tolerance = Siemens(.nan) }, .notFinite, "write_verify.tolerance_s"),
    (writeVerify { $0.set.start = Volts(1e39) }, .notFinite, "write_verify.set.start_v"),
    (writeVerify { $0.reset.width = .seconds(5) }, .outOfRange, "write_verify.reset.width_ns"),
    (writeVerify { $0.reset.width = .nanoseconds(-1) }, .outOfRange, "write_verify.reset.width_ns"),
    (writeVerify { $0.verify.averages = 0 }, .outOfRange, "write_verify.verify.averages"),
    (writeVerify { $0.maximumPulses = -5 }, .outOfRange, "write_verify.max_pulses"),
    (writeVerify { $0.cells.block.firstRow = -1 }, .outOfRange, "write_verify.cells.block.first_row"),
    (
      writeVerify { $0.cells.block.shape = MacroShape(rows: .max, columns: 2) }, .outOfRange,
      "write_verify.cells.block"
    ),
    (
      MatrixProduct(block: cells.block, inputs: [0.1], wordLine: .volts(1)).body, .wrongLength,
      "matrix_product.inputs"
    ),
    (
      ConfigureLoop(layers: [LoopLayer(block: cells.block, columnGain: [1])]).body, .outOfRange,
      "configure_loop.layers[0].block.columns"
    ),
    (
      UploadSchedule(scheduleID: 1, ticks: 4, tick: .nanoseconds(100), firstTick: 3, count: 2, codes: [1, 2]).body,
      .outOfRange, "upload_schedule.count"
    ),
    (
      UploadSchedule(scheduleID: 1, ticks: 4, tick: .nanoseconds(100), firstTick: 0, count: 2, codes: [1, 2, 3]).body,
      .wrongLength, "upload_schedule.codes"
    ),
    (RunLoop(scheduleID: 1, samples: 2, preset: [1, 2], seed: 0, credit: 1).body, .wrongLength, "run_loop.preset"),
    (
      RunLoop(scheduleID: 1, samples: 2, preset: [1, 2, 3, 4], seed: 0, firstSample: .max, credit: 1).body, .outOfRange,
      "run_loop.samples"
    ),
    (RunLoop(scheduleID: 1, samples: 0, preset: [], seed: 0, credit: 1).body, .outOfRange, "run_loop.samples"),
    (
      RunLoop(scheduleID: 1, samples: 1, preset: [1, 2], seed: 0, credit: 1, startDeviation: .volts(0.1)).body,
      .wrongLength, "run_loop.preset"
    ),
    (
      RunLoop(scheduleID: 1, samples: 1, seed: 0, credit: 1, startDeviation: .volts(-0.1)).body, .outOfRange,
      "run_loop.start_deviation_v"
    ),
  ]

  @Test(arguments: wrong.indices) func refusesToEncodeAWrongField(_ index: Int) {
    let (body, code, field) = Self.wrong[index]
    let error = #expect(throws: WireError.self) {
      try RequestMessage(operationID: body.needsOperationID ? 1 : 0, body: body).payload()
    }
    #expect(error?.code == code)
    #expect(error?.field == field)
  }

  /// Changes to a good WriteVerify message that only a peer could make, and the field the error names.
  static let foreign: [(@Sendable (inout Rram_Board_V1_WriteVerify) -> Void, WireError.Code, String)] = [
    ({ $0.clearCells() }, .missingField, "write_verify.cells"),
    ({ $0.cells.clearBlock() }, .missingField, "write_verify.cells.block"),
    ({ $0.clearSet() }, .missingField, "write_verify.set"),
    ({ $0.clearReset() }, .missingField, "write_verify.reset"),
    ({ $0.clearVerify() }, .missingField, "write_verify.verify"),
    ({ $0.cells.block.rows = .max }, .outOfRange, "write_verify.cells.block"),
    ({ $0.cells.mask = Data([0xFF]) }, .outOfRange, "write_verify.cells.mask"),
    ({ $0.cells.mask = Data([1, 0]) }, .wrongLength, "write_verify.cells.mask"),
    ({ $0.cells.mask = Data([1]) }, .wrongLength, "write_verify.targets"),
    ({ $0.targets.removeLast() }, .wrongLength, "write_verify.targets"),
    ({ $0.targets.replaceSubrange(0..<4, with: [0, 0, 0x80, 0x7F]) }, .notFinite, "write_verify.targets"),
    ({ $0.set.stepV = .nan }, .notFinite, "write_verify.set.step_v"),
    ({ $0.verify.averages = 0 }, .outOfRange, "write_verify.verify.averages"),
  ]

  @Test(arguments: foreign.indices) func refusesToDecodeAWrongField(_ index: Int) throws {
    let (change, code, field) = Self.foreign[index]
    var message = try RequestMessage(operationID: 1, body: Self.writeVerify()).message()
    change(&message.writeVerify)
    let payload: [UInt8] = try message.serializedBytes()
    let error = #expect(throws: WireError.self) { try RequestMessage(payload: payload) }
    #expect(error?.code == code)
    #expect(error?.field == field)
  }

  @Test func asksForAnOperationIDWhereCellsAreTouchedAndOnlyThere() {
    #expect(throws: WireError.self) { try RequestMessage(body: Self.writeVerify()).payload() }
    #expect(throws: WireError.self) { try RequestMessage(operationID: 1, body: Safe().body).payload() }
    let error = #expect(throws: WireError.self) {
      try RequestMessage(operationID: 0, body: Self.writeVerify()).payload()
    }
    #expect(error.map { "\($0)" } == "missing field in operation_id: write_verify touches cells and needs one")
  }

  @Test func tellsAnUnknownBodyFromBytesThatAreNoMessage() {
    // Field 99, wire type 2, empty: a request of a later level.
    let later = #expect(throws: WireError.self) { try RequestMessage(payload: [0x9A, 0x06, 0x00]) }
    #expect(later?.code == .unknownBody)
    let empty = #expect(throws: WireError.self) { try RequestMessage(payload: []) }
    #expect(empty?.code == .unknownBody)
    // operation_id, then a length-delimited field that runs over the end.
    let broken = #expect(throws: WireError.self) { try RequestMessage(payload: [0x08, 0x01, 0x52, 0x05, 0x00]) }
    #expect(broken?.code == .malformedMessage)
    #expect(broken?.byteOffset == 2)
  }

  @Test func refusesAnUnsetOrUnknownPulseKind() throws {
    let pulse = Pulse(cells: Self.cells, kind: .set, wordLine: .volts(1.2), width: .nanoseconds(100))
    var message = try RequestMessage(operationID: 1, body: pulse.body).message()
    for (kind, code) in [
      (Rram_Board_V1_PulseKind.unspecified, WireError.Code.missingField), (.UNRECOGNIZED(77), .outOfRange),
    ] {
      message.pulse.kind = kind
      let payload: [UInt8] = try message.serializedBytes()
      let error = #expect(throws: WireError.self) { try RequestMessage(payload: payload) }
      #expect(error?.code == code)
    }
  }

  @Test(arguments: [0.2, 0.1, 1.35, 3.3, -2.05, 1e-6, 0.3, 123.456]) func keepsVoltagesAsTheyWereWritten(
    _ value: Double
  ) throws {
    let pulse = Pulse(cells: Self.cells, kind: .set, wordLine: .volts(value), width: .nanoseconds(100))
    let payload = try RequestMessage(operationID: 1, body: pulse.body).payload()
    guard case .pulse(let received) = try RequestMessage(payload: payload).body else {
      Issue.record("another body came back")
      return
    }
    #expect(received.wordLine.rawValue == value)
  }

  @Test func roundsDurationsToTheNearestNanosecond() throws {
    let width = Duration(secondsComponent: 0, attosecondsComponent: 100_600_000_000)
    let pulse = Pulse(cells: Self.cells, kind: .set, wordLine: .volts(1), width: width)
    let message = try RequestMessage(operationID: 1, body: pulse.body).message()
    #expect(message.pulse.widthNs == 101)
  }

  @Test func keepsTheLargestTimes() throws {
    let largest = Duration.microseconds(UInt64.max)
    let payload = try RequestMessage(body: AdvanceTime(duration: largest).body).payload()
    #expect(try RequestMessage(payload: payload).body == AdvanceTime(duration: largest).body)
    #expect(throws: WireError.self) {
      try RequestMessage(body: AdvanceTime(duration: largest + .microseconds(1)).body).payload()
    }
  }
}
