public import RRAMUnits

/// Which digital-to-analog converter.
public enum DACKind: Sendable, Hashable, CaseIterable {
  case wordLine, bitLine, sourceLine
  case embedding, coefficient, offset
  /// Sets x(0) of the integrators.
  case preset
  /// The held noise of a stochastic run.
  case noise
}

/// Sets one bias converter. Line drivers are checked against the limits like pulses.
public struct SetDAC: WireRequest {
  public typealias Response = SetDACResult

  public var kind: DACKind
  public var channel: Int
  public var code: DACCode

  public init(kind: DACKind, channel: Int, code: DACCode) {
    self.kind = kind
    self.channel = channel
    self.code = code
  }

  public var body: RequestBody { .setDAC(self) }
}

public struct SetDACResult: WireResponse, Hashable {
  /// What the code stands for.
  public var voltage: Volts

  public init(voltage: Volts) { self.voltage = voltage }

  public init?(_ body: ResponseBody) {
    guard case .setDAC(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .setDAC(self) }
}

extension DACKind {
  init(_ value: Rram_Board_V1_DacKind, _ field: String) throws(WireError) {
    switch value {
    case .wordLineDac: self = .wordLine
    case .bitLineDac: self = .bitLine
    case .sourceLineDac: self = .sourceLine
    case .embeddingDac: self = .embedding
    case .coefficientDac: self = .coefficient
    case .offsetDac: self = .offset
    case .presetDac: self = .preset
    case .noiseDac: self = .noise
    case .unspecified: throw WireError(.missingField, field: field, "it must be set")
    case .UNRECOGNIZED(let number): throw WireError(.outOfRange, field: field, "no converter kind \(number)")
    }
  }

  var message: Rram_Board_V1_DacKind {
    switch self {
    case .wordLine: .wordLineDac
    case .bitLine: .bitLineDac
    case .sourceLine: .sourceLineDac
    case .embedding: .embeddingDac
    case .coefficient: .coefficientDac
    case .offset: .offsetDac
    case .preset: .presetDac
    case .noise: .noiseDac
    }
  }
}

extension SetDAC {
  init(_ message: Rram_Board_V1_SetDac) throws(WireError) {
    kind = try DACKind(message.kind, "set_dac.kind")
    channel = Int(message.channel)
    code = DACCode(rawValue: message.code)
  }

  func message() throws(WireError) -> Rram_Board_V1_SetDac {
    var message = Rram_Board_V1_SetDac()
    message.kind = kind.message
    message.channel = try wire32(channel, "set_dac.channel")
    message.code = code.rawValue
    return message
  }
}

extension SetDACResult {
  init(_ message: Rram_Board_V1_SetDacResult) throws(WireError) {
    voltage = try quantity(message.voltageV, "set_dac.voltage_v")
  }

  func message() throws(WireError) -> Rram_Board_V1_SetDacResult {
    var message = Rram_Board_V1_SetDacResult()
    message.voltageV = try wireFloat(voltage, "set_dac.voltage_v")
    return message
  }
}
