internal import SwiftProtobuf

/// Every kind of request.
public enum RequestBody: Sendable, Hashable {
  case hello(Hello)
  case getDescription(GetDescription)
  case getLimits(GetLimits)
  case safe(Safe)
  case abort(Abort)
  case heartbeat(Heartbeat)
  case credit(Credit)
  case getOperation(GetOperation)
  case getCounters(GetCounters)
  case advanceTime(AdvanceTime)
  case getLabel(GetLabel)
  case setLabel(SetLabel)
  case setTrigger(SetTrigger)
  case form(Form)
  case pulse(Pulse)
  case cycleCells(CycleCells)
  case readCells(ReadCells)
  case writeVerify(WriteVerify)
  case setDAC(SetDAC)
  case readADC(ReadADC)
  case matrixProduct(MatrixProduct)
  case configureLoop(ConfigureLoop)
  case uploadSchedule(UploadSchedule)
  case runLoop(RunLoop)

  /// True for a ``CellOperation`` and for ``RunLoop``: requests that need an operation id.
  public var needsOperationID: Bool {
    switch self {
    case .form, .pulse, .cycleCells, .readCells, .writeVerify, .matrixProduct, .runLoop: true
    case .hello, .getDescription, .getLimits, .safe, .abort, .heartbeat, .credit, .getOperation, .getCounters,
      .advanceTime, .getLabel, .setLabel, .setTrigger, .setDAC, .readADC, .configureLoop, .uploadSchedule:
      false
    }
  }

  /// Name of the body's field in the protocol: `write_verify`.
  public var name: String {
    switch self {
    case .hello: "hello"
    case .getDescription: "get_description"
    case .getLimits: "get_limits"
    case .safe: "safe"
    case .abort: "abort"
    case .heartbeat: "heartbeat"
    case .credit: "credit"
    case .getOperation: "get_operation"
    case .getCounters: "get_counters"
    case .advanceTime: "advance_time"
    case .getLabel: "get_label"
    case .setLabel: "set_label"
    case .setTrigger: "set_trigger"
    case .form: "form"
    case .pulse: "pulse"
    case .cycleCells: "cycle_cells"
    case .readCells: "read_cells"
    case .writeVerify: "write_verify"
    case .setDAC: "set_dac"
    case .readADC: "read_adc"
    case .matrixProduct: "matrix_product"
    case .configureLoop: "configure_loop"
    case .uploadSchedule: "upload_schedule"
    case .runLoop: "run_loop"
    }
  }
}

/// One message from host to board: the payload of a frame.
public struct RequestMessage: Sendable, Hashable {
  /// Names an operation that touches cells; 0 for all other requests. Never reused by a host.
  public var operationID: UInt64
  public var body: RequestBody

  public init(operationID: UInt64 = 0, body: RequestBody) {
    self.operationID = operationID
    self.body = body
  }

  /// Reads the payload of a frame.
  ///
  /// - Throws: `malformedMessage` if the bytes are no message, `unknownBody` if the request is missing or not known here, and
  ///   `missingField`, `outOfRange`, `notFinite` or `wrongLength` with the name of the field that is wrong.
  public init(payload: [UInt8]) throws(WireError) {
    self = try RequestMessage(try parse(Rram_Board_V1_Request.self, payload))
  }

  /// The payload of the frame that carries this message.
  ///
  /// - Throws: `outOfRange`, `notFinite`, `wrongLength` or `missingField` if a value does not fit its field.
  public func payload() throws(WireError) -> [UInt8] { try serialize(try message()) }
}

extension RequestMessage {
  init(_ message: Rram_Board_V1_Request) throws(WireError) {
    guard let wireBody = message.body else {
      throw WireError(.unknownBody, "the request has no body known at level \(ProtocolLevel.current)")
    }
    operationID = message.operationID
    body =
      switch wireBody {
      case .hello(let part): .hello(try Hello(part))
      case .getDescription: .getDescription(GetDescription())
      case .getLimits: .getLimits(GetLimits())
      case .safe: .safe(Safe())
      case .abort(let part): .abort(Abort(part))
      case .heartbeat: .heartbeat(Heartbeat())
      case .credit(let part): .credit(Credit(part))
      case .getOperation(let part): .getOperation(GetOperation(part))
      case .getCounters: .getCounters(GetCounters())
      case .advanceTime(let part): .advanceTime(try AdvanceTime(part))
      case .getLabel(let part): .getLabel(GetLabel(part))
      case .setLabel(let part): .setLabel(try SetLabel(part))
      case .setTrigger(let part): .setTrigger(SetTrigger(part))
      case .form(let part): .form(try Form(part))
      case .pulse(let part): .pulse(try Pulse(part))
      case .cycleCells(let part): .cycleCells(try CycleCells(part))
      case .readCells(let part): .readCells(try ReadCells(part))
      case .writeVerify(let part): .writeVerify(try WriteVerify(part))
      case .setDac(let part): .setDAC(try SetDAC(part))
      case .readAdc(let part): .readADC(try ReadADC(part))
      case .matrixProduct(let part): .matrixProduct(try MatrixProduct(part))
      case .configureLoop(let part): .configureLoop(try ConfigureLoop(part))
      case .uploadSchedule(let part): .uploadSchedule(try UploadSchedule(part))
      case .runLoop(let part): .runLoop(try RunLoop(part))
      }
    try checkOperationID()
  }

  func message() throws(WireError) -> Rram_Board_V1_Request {
    try checkOperationID()
    var message = Rram_Board_V1_Request()
    message.operationID = operationID
    message.body =
      switch body {
      case .hello(let part): .hello(try part.message())
      case .getDescription: .getDescription(Rram_Board_V1_GetDescription())
      case .getLimits: .getLimits(Rram_Board_V1_GetLimits())
      case .safe: .safe(Rram_Board_V1_Safe())
      case .abort(let part): .abort(part.message)
      case .heartbeat: .heartbeat(Rram_Board_V1_Heartbeat())
      case .credit(let part): .credit(try part.message())
      case .getOperation(let part): .getOperation(part.message)
      case .getCounters: .getCounters(Rram_Board_V1_GetCounters())
      case .advanceTime(let part): .advanceTime(try part.message())
      case .getLabel(let part): .getLabel(try part.message())
      case .setLabel(let part): .setLabel(try part.message())
      case .setTrigger(let part): .setTrigger(part.message)
      case .form(let part): .form(try part.message())
      case .pulse(let part): .pulse(try part.message())
      case .cycleCells(let part): .cycleCells(try part.message())
      case .readCells(let part): .readCells(try part.message())
      case .writeVerify(let part): .writeVerify(try part.message())
      case .setDAC(let part): .setDac(try part.message())
      case .readADC(let part): .readAdc(try part.message())
      case .matrixProduct(let part): .matrixProduct(try part.message())
      case .configureLoop(let part): .configureLoop(try part.message())
      case .uploadSchedule(let part): .uploadSchedule(try part.message())
      case .runLoop(let part): .runLoop(try part.message())
      }
    return message
  }

  private func checkOperationID() throws(WireError) {
    if body.needsOperationID, operationID == 0 {
      throw WireError(.missingField, field: "operation_id", "\(body.name) touches cells and needs one")
    }
    if !body.needsOperationID, operationID != 0 {
      throw WireError(.outOfRange, field: "operation_id", "\(body.name) touches no cells and has none")
    }
  }
}

/// A message from the payload of a frame.
func parse<M: Message>(_: M.Type, _ payload: [UInt8]) throws(WireError) -> M {
  do {
    return try M(serializedBytes: payload)
  } catch {
    throw WireError(
      .malformedMessage, byteOffset: firstMalformedByte(payload),
      "\(payload.count) bytes are no \(M.protoMessageName)")
  }
}

/// The payload of a frame from a message. Fields are written in the order of their numbers, so the bytes are reproducible.
func serialize(_ message: some Message) throws(WireError) -> [UInt8] {
  do {
    return try message.serializedBytes()
  } catch {
    throw WireError(.malformedMessage, "\(type(of: message).protoMessageName) cannot be written: \(error)")
  }
}

/// Offset of the outermost field at which `payload` stops being protobuf; `nil` if the fault lies inside a nested message.
private func firstMalformedByte(_ payload: [UInt8]) -> Int? {
  var at = 0
  /// The next varint, at most 10 bytes.
  func varint() -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard at < payload.count else { return nil }
      let byte = payload[at]
      at += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    return nil
  }
  while at < payload.count {
    let start = at
    guard let tag = varint(), tag >> 3 != 0, tag >> 32 == 0 else { return start }
    switch tag & 7 {
    case 0:
      guard varint() != nil else { return start }
    case 1:
      at += 8
    case 2:
      guard let length = varint(), length <= UInt64(payload.count - at) else { return start }
      at += Int(length)
    case 5:
      at += 4
    default:
      return start
    }
    guard at <= payload.count else { return start }
  }
  return nil
}
