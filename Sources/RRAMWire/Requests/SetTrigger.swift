/// Says what raises the board's trigger output for a microsecond, for oscilloscopes and meters: until the next one or a new session.
public struct SetTrigger: WireRequest, Hashable {
  public typealias Response = SetTriggerResult

  /// The start of every pulse, those of write-verify, forming and cycling included.
  public var pulses: Bool
  /// The start of every ``RunLoop``.
  public var runs: Bool

  public init(pulses: Bool = false, runs: Bool = false) {
    self.pulses = pulses
    self.runs = runs
  }

  public var body: RequestBody { .setTrigger(self) }
}

/// The answer to ``SetTrigger``.
public struct SetTriggerResult: WireResponse, Hashable {
  public init() {}

  public init?(_ body: ResponseBody) {
    guard case .setTrigger(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .setTrigger(self) }
}

extension SetTrigger {
  init(_ message: Rram_Board_V1_SetTrigger) {
    pulses = message.pulses
    runs = message.runs
  }

  var message: Rram_Board_V1_SetTrigger {
    var message = Rram_Board_V1_SetTrigger()
    message.pulses = pulses
    message.runs = runs
    return message
  }
}
