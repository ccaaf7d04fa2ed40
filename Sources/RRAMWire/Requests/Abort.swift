/// Ends an operation after the pulse under way.
public struct Abort: WireRequest {
  public typealias Response = AbortResult

  /// The operation to end; 0: all of them.
  public var operationID: UInt64

  public init(operationID: UInt64) { self.operationID = operationID }

  public var body: RequestBody { .abort(self) }
}

public struct AbortResult: WireResponse, Hashable {
  public var abortedOperations: Int

  public init(abortedOperations: Int) { self.abortedOperations = abortedOperations }

  public init?(_ body: ResponseBody) {
    guard case .abort(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .abort(self) }
}

extension Abort {
  init(_ message: Rram_Board_V1_Abort) { operationID = message.targetOperationID }

  var message: Rram_Board_V1_Abort {
    var message = Rram_Board_V1_Abort()
    message.targetOperationID = operationID
    return message
  }
}

extension AbortResult {
  init(_ message: Rram_Board_V1_AbortResult) { abortedOperations = Int(message.abortedOperations) }

  func message() throws(WireError) -> Rram_Board_V1_AbortResult {
    var message = Rram_Board_V1_AbortResult()
    message.abortedOperations = try wire32(abortedOperations, "abort.aborted_operations")
    return message
  }
}
