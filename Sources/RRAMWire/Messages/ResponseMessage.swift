internal import FoundationEssentials
public import RRAMUnits
internal import SwiftProtobuf

/// How a request ended. Open: later firmware may have more.
public struct Status: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
  public var rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }

  public static let ok = Status(rawValue: 1)
  /// The body is missing or of a kind the firmware does not know.
  public static let unknownRequest = Status(rawValue: 2)
  /// A field is out of range; the detail names it.
  public static let badArgument = Status(rawValue: 3)
  /// Something beyond the limits was asked; nothing was done. The refusal says what.
  public static let limitRefused = Status(rawValue: 4)
  /// The queue is full, or the macro is held by another operation.
  public static let busy = Status(rawValue: 5)
  /// Ended by Abort, Safe, watchdog or loss of the link; results so far were sent.
  public static let aborted = Status(rawValue: 6)
  /// The hardware did not do it; the detail says what.
  public static let failed = Status(rawValue: 7)
  /// The board lacks the capability.
  public static let unsupported = Status(rawValue: 8)
  /// Host and firmware share no protocol level.
  public static let versionMismatch = Status(rawValue: 9)
  /// The chip is not in the state the request needs.
  public static let wrongState = Status(rawValue: 10)

  public var description: String {
    switch self {
    case .ok: "ok"
    case .unknownRequest: "unknown request"
    case .badArgument: "bad argument"
    case .limitRefused: "limit refused"
    case .busy: "busy"
    case .aborted: "aborted"
    case .failed: "failed"
    case .unsupported: "unsupported"
    case .versionMismatch: "version mismatch"
    case .wrongState: "wrong state"
    default: "status \(rawValue)"
    }
  }
}

/// Which limit refused what.
public struct Refusal: Sendable, Hashable, CustomStringConvertible {
  /// The limit that was exceeded. Open: later firmware may have more.
  public struct Limit: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    public var rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    public static let wordLine = Limit(rawValue: 1)
    public static let bitLine = Limit(rawValue: 2)
    public static let sourceLine = Limit(rawValue: 3)
    public static let forming = Limit(rawValue: 4)
    public static let read = Limit(rawValue: 5)
    public static let pulseWidth = Limit(rawValue: 6)
    public static let pulseCount = Limit(rawValue: 7)
    public static let conductance = Limit(rawValue: 8)
    public static let slew = Limit(rawValue: 9)
    public static let current = Limit(rawValue: 10)
    public static let pulseEnergy = Limit(rawValue: 11)
    public static let power = Limit(rawValue: 12)
    public static let resistance = Limit(rawValue: 13)
    public static let disturb = Limit(rawValue: 14)
    public static let pulsesPerRun = Limit(rawValue: 15)
    public static let pulsesPerLife = Limit(rawValue: 16)
    public static let temperature = Limit(rawValue: 17)
    public static let overRange = Limit(rawValue: 18)

    public var description: String {
      switch self {
      case .wordLine: "word line"
      case .bitLine: "bit line"
      case .sourceLine: "source line"
      case .forming: "forming"
      case .read: "read"
      case .pulseWidth: "pulse width"
      case .pulseCount: "pulse count"
      case .conductance: "conductance"
      case .slew: "slew"
      case .current: "current"
      case .pulseEnergy: "pulse energy"
      case .power: "power"
      case .resistance: "resistance"
      case .disturb: "disturb"
      case .pulsesPerRun: "pulses per run"
      case .pulsesPerLife: "pulses per life"
      case .temperature: "temperature"
      case .overRange: "over range"
      default: "limit \(rawValue)"
      }
    }

    /// Unit of the numbers of a refusal by this limit.
    public var unit: String {
      switch self {
      case .wordLine, .bitLine, .sourceLine, .forming, .read, .disturb: "V"
      case .pulseWidth: "ns"
      case .conductance: "S"
      case .slew: "V/s"
      case .current: "A"
      case .pulseEnergy: "J"
      case .power: "W"
      case .resistance: "Ω"
      case .temperature: "°C"
      default: ""
      }
    }
  }

  public var limit: Limit
  /// Asked and allowed, in the ``Limit/unit`` of the limit; pulses or samples where that is empty.
  public var asked: Double
  public var minimum: Double
  public var maximum: Double
  /// The first cell concerned, if one is: a block of one cell.
  public var cell: CellBlock?

  public init(limit: Limit, asked: Double, minimum: Double, maximum: Double, cell: CellBlock? = nil) {
    self.limit = limit
    self.asked = asked
    self.minimum = minimum
    self.maximum = maximum
    self.cell = cell
  }

  public var description: String {
    let unit = limit.unit.isEmpty ? "" : " " + limit.unit
    let place = cell.map { " at \($0.address(at: 0))" } ?? ""
    return "\(limit): \(asked)\(unit) asked, \(minimum) to \(maximum)\(unit) allowed\(place)"
  }
}

/// Every kind of response.
public enum ResponseBody: Sendable, Hashable {
  case hello(HelloResult)
  case description(DescriptionPage)
  case limits(WireLimits)
  case safe(SafeResult)
  case abort(AbortResult)
  case heartbeat(HeartbeatResult)
  case operation(OperationState)
  case counters(Counters)
  case advanceTime(AdvanceTimeResult)
  case label(MacroLabel)
  case setTrigger(SetTriggerResult)
  case cellResults(CellResults)
  case conductances(Conductances)
  case setDAC(SetDACResult)
  case adc(ADCResult)
  case columnCurrents(ColumnCurrents)
  case configureLoop(ConfigureLoopResult)
  case uploadSchedule(UploadScheduleResult)
  case runResults(RunResults)

  /// Name of the body's field in the protocol: `cell_results`.
  public var name: String {
    switch self {
    case .hello: "hello"
    case .description: "description"
    case .limits: "limits"
    case .safe: "safe"
    case .abort: "abort"
    case .heartbeat: "heartbeat"
    case .operation: "operation"
    case .counters: "counters"
    case .advanceTime: "advance_time"
    case .label: "label"
    case .setTrigger: "set_trigger"
    case .cellResults: "cell_results"
    case .conductances: "conductances"
    case .setDAC: "set_dac"
    case .adc: "adc"
    case .columnCurrents: "column_currents"
    case .configureLoop: "configure_loop"
    case .uploadSchedule: "upload_schedule"
    case .runResults: "run_results"
    }
  }
}

/// One message from board to host in answer to a request: the payload of a frame.
public struct ResponseMessage: Sendable, Hashable {
  /// Drawn at each boot of the board.
  public var bootID: UInt64
  /// The board's clock since boot, whole microseconds.
  public var boardTime: Duration
  public var status: Status
  /// One sentence for people; empty when the status is ok. At most ``maximumDetailBytes`` bytes of UTF-8.
  public var detail: String
  /// Set when the status is ``Status/limitRefused``.
  public var refusal: Refusal?
  /// Results, also those of an operation that ended early; `nil` where there are none.
  public var body: ResponseBody?

  /// Longest ``detail``.
  public static let maximumDetailBytes = 240

  /// - Parameter detail: cut at a character boundary to ``maximumDetailBytes``.
  public init(
    bootID: UInt64, boardTime: Duration, status: Status = .ok, detail: String = "", refusal: Refusal? = nil,
    body: ResponseBody? = nil
  ) {
    self.bootID = bootID
    self.boardTime = boardTime
    self.status = status
    self.detail = detail
    while self.detail.utf8.count > Self.maximumDetailBytes { self.detail.removeLast() }
    self.refusal = refusal
    self.body = body
  }

  /// Reads the payload of a frame with a sequence number other than 0.
  ///
  /// - Throws: `malformedMessage`, `missingField`, `outOfRange`, `notFinite` or `wrongLength`.
  public init(payload: [UInt8]) throws(WireError) {
    self = try ResponseMessage(try parse(Rram_Board_V1_Response.self, payload))
  }

  /// The payload of the frame that carries this message.
  public func payload() throws(WireError) -> [UInt8] { try serialize(try message()) }

  /// The body as the response type of a request.
  ///
  /// - Throws: `unexpectedBody` if it is missing or of another type.
  public func response<R: WireResponse>(as type: R.Type = R.self) throws(WireError) -> R {
    guard let body, let response = R(body) else {
      throw WireError(.unexpectedBody, "\(R.self) expected, \(body?.name ?? "none") received")
    }
    return response
  }
}

extension ResponseMessage {
  init(_ message: Rram_Board_V1_Response) throws(WireError) {
    bootID = message.bootID
    boardTime = .microseconds(message.boardTimeUs)
    guard message.status != .unspecified else { throw WireError(.missingField, field: "status", "it must be set") }
    status = Status(rawValue: message.status.rawValue)
    detail = try text(message.detail, limit: Self.maximumDetailBytes, "detail")
    refusal = message.hasRefusal ? try Refusal(message.refusal) : nil
    body =
      switch message.body {
      case nil: nil
      case .hello(let part): .hello(try HelloResult(part))
      case .description_p(let part): .description(try DescriptionPage(part))
      case .limits(let part): .limits(try WireLimits(part))
      case .safe(let part): .safe(SafeResult(part))
      case .abort(let part): .abort(AbortResult(part))
      case .heartbeat(let part): .heartbeat(HeartbeatResult(part))
      case .operation(let part): .operation(try OperationState(part))
      case .counters(let part): .counters(try Counters(part))
      case .advanceTime: .advanceTime(AdvanceTimeResult())
      case .label(let part): .label(try MacroLabel(part))
      case .setTrigger: .setTrigger(SetTriggerResult())
      case .cellResults(let part): .cellResults(try CellResults(part))
      case .conductances(let part): .conductances(try Conductances(part))
      case .setDac(let part): .setDAC(try SetDACResult(part))
      case .adc(let part): .adc(try ADCResult(part))
      case .columnCurrents(let part): .columnCurrents(try ColumnCurrents(part))
      case .configureLoop: .configureLoop(ConfigureLoopResult())
      case .uploadSchedule(let part): .uploadSchedule(UploadScheduleResult(part))
      case .runResults(let part): .runResults(try RunResults(part))
      }
  }

  func message() throws(WireError) -> Rram_Board_V1_Response {
    var message = Rram_Board_V1_Response()
    message.bootID = bootID
    message.boardTimeUs = try microseconds(boardTime, "board_time_us")
    message.status = Rram_Board_V1_Status(rawValue: status.rawValue) ?? .UNRECOGNIZED(status.rawValue)
    guard message.status != .unspecified else { throw WireError(.missingField, field: "status", "it must be set") }
    message.detail = try text(detail, limit: Self.maximumDetailBytes, "detail")
    if let refusal { message.refusal = try refusal.message() }
    message.body =
      switch body {
      case nil: nil
      case .hello(let part): .hello(try part.message())
      case .description(let part): .description_p(try part.message())
      case .limits(let part): .limits(try part.message())
      case .safe(let part): .safe(try part.message())
      case .abort(let part): .abort(try part.message())
      case .heartbeat(let part): .heartbeat(try part.message())
      case .operation(let part): .operation(try part.message())
      case .counters(let part): .counters(try part.message())
      case .advanceTime: .advanceTime(Rram_Board_V1_AdvanceTimeResult())
      case .label(let part): .label(try part.message())
      case .setTrigger: .setTrigger(Rram_Board_V1_SetTriggerResult())
      case .cellResults(let part): .cellResults(try part.message())
      case .conductances(let part): .conductances(try part.message())
      case .setDAC(let part): .setDac(try part.message())
      case .adc(let part): .adc(try part.message())
      case .columnCurrents(let part): .columnCurrents(try part.message())
      case .configureLoop: .configureLoop(Rram_Board_V1_ConfigureLoopResult())
      case .uploadSchedule(let part): .uploadSchedule(try part.message())
      case .runResults(let part): .runResults(try part.message())
      }
    return message
  }
}

extension Refusal {
  init(_ message: Rram_Board_V1_Refusal) throws(WireError) {
    limit = Limit(rawValue: message.limit.rawValue)
    asked = message.asked
    minimum = message.minimum
    maximum = message.maximum
    cell = message.hasCell ? try CellBlock(message.cell, "refusal.cell") : nil
  }

  func message() throws(WireError) -> Rram_Board_V1_Refusal {
    var message = Rram_Board_V1_Refusal()
    message.limit = Rram_Board_V1_Refusal.Limit(rawValue: limit.rawValue) ?? .UNRECOGNIZED(limit.rawValue)
    message.asked = asked
    message.minimum = minimum
    message.maximum = maximum
    if let cell { message.cell = try cell.message("refusal.cell") }
    return message
  }
}
