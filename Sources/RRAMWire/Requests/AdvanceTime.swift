/// Lets chip time pass without waiting. Emulated boards only (``Capability/advanceTime``).
public struct AdvanceTime: WireRequest {
  public typealias Response = AdvanceTimeResult

  /// Whole microseconds.
  public var duration: Duration
  /// Degrees Celsius at which the chip stands from now on, as in an oven; `nil`: no change.
  public var celsius: Double?

  public init(duration: Duration, celsius: Double? = nil) {
    self.duration = duration
    self.celsius = celsius
  }

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
  init(_ message: Rram_Board_V1_AdvanceTime) throws(WireError) {
    duration = .microseconds(message.durationUs)
    guard message.hasTemperatureC else { return }
    guard message.temperatureC.isFinite else {
      throw WireError(.notFinite, field: "advance_time.temperature_c", "the value is \(message.temperatureC)")
    }
    celsius = Double(message.temperatureC.description) ?? Double(message.temperatureC)
  }

  func message() throws(WireError) -> Rram_Board_V1_AdvanceTime {
    var message = Rram_Board_V1_AdvanceTime()
    message.durationUs = try microseconds(duration, "advance_time.duration_us")
    if let celsius {
      guard celsius.isFinite else {
        throw WireError(.notFinite, field: "advance_time.temperature_c", "the value is \(celsius)")
      }
      message.temperatureC = Float(celsius)
    }
    return message
  }
}
