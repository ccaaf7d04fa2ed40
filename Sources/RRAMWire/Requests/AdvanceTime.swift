/// Lets chip time pass without waiting. Emulated boards only (``Capability/advanceTime``).
public struct AdvanceTime: WireRequest {
  public typealias Response = AdvanceTimeResult

  /// Whole microseconds.
  public var duration: Duration

  public init(duration: Duration) { self.duration = duration }

  public var body: RequestBody { .advanceTime(self) }
}

public struct AdvanceTimeResult: WireResponse, Hashable {
  public init() {}

  public init?(_ body: ResponseBody) {
    guard case .advanceTime(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .advanceTime(self) }
}

extension AdvanceTime {
  init(_ message: Rram_Board_V1_AdvanceTime) { duration = .microseconds(message.durationUs) }

  func message() throws(WireError) -> Rram_Board_V1_AdvanceTime {
    var message = Rram_Board_V1_AdvanceTime()
    message.durationUs = try microseconds(duration, "advance_time.duration_us")
    return message
  }
}
