/// Asks what became of an operation; the board remembers the last 64.
public struct GetOperation: WireRequest {
  public typealias Response = OperationState

  public var operationID: UInt64

  public init(operationID: UInt64) { self.operationID = operationID }

  public var body: RequestBody { .getOperation(self) }
}

/// What became of an operation. Also the answer to a request whose operation id the board has seen before.
public struct OperationState: WireResponse, Hashable {
  /// Where an operation stands. Open: later firmware may have more.
  public struct State: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    public var rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// Never seen, or forgotten.
    public static let unknown = State(rawValue: 1)
    public static let queued = State(rawValue: 2)
    public static let running = State(rawValue: 3)
    public static let done = State(rawValue: 4)
    public static let aborted = State(rawValue: 5)
    public static let failed = State(rawValue: 6)

    public var description: String {
      switch self {
      case .unknown: "unknown"
      case .queued: "queued"
      case .running: "running"
      case .done: "done"
      case .aborted: "aborted"
      case .failed: "failed"
      default: "state \(rawValue)"
      }
    }
  }

  public var operationID: UInt64
  public var state: State
  /// Cells or samples finished, of how many.
  public var finished: Int
  public var total: Int
  public var pulses: Int
  public var reads: Int

  public init(
    operationID: UInt64, state: State, finished: Int = 0, total: Int = 0, pulses: Int = 0, reads: Int = 0
  ) {
    self.operationID = operationID
    self.state = state
    self.finished = finished
    self.total = total
    self.pulses = pulses
    self.reads = reads
  }

  public init?(_ body: ResponseBody) {
    guard case .operation(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .operation(self) }
}

extension GetOperation {
  init(_ message: Rram_Board_V1_GetOperation) { operationID = message.operationID }

  var message: Rram_Board_V1_GetOperation {
    var message = Rram_Board_V1_GetOperation()
    message.operationID = operationID
    return message
  }
}

extension OperationState {
  init(_ message: Rram_Board_V1_OperationState) throws(WireError) {
    operationID = message.operationID
    state = State(rawValue: message.state.rawValue)
    finished = try count(message.finished, "operation.finished")
    total = try count(message.total, "operation.total")
    pulses = try count(message.pulses, "operation.pulses")
    reads = try count(message.reads, "operation.reads")
  }

  func message() throws(WireError) -> Rram_Board_V1_OperationState {
    var message = Rram_Board_V1_OperationState()
    message.operationID = operationID
    message.state =
      Rram_Board_V1_OperationState.State(rawValue: state.rawValue) ?? .UNRECOGNIZED(state.rawValue)
    message.finished = try wire64(finished, "operation.finished")
    message.total = try wire64(total, "operation.total")
    message.pulses = try wire64(pulses, "operation.pulses")
    message.reads = try wire64(reads, "operation.reads")
    return message
  }
}
