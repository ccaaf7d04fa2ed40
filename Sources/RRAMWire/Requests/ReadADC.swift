public import RRAMUnits

/// Which analog-to-digital converter.
public enum ADCKind: Sendable, Hashable, CaseIterable {
  case column, integrator, temperature
  /// A column's amplifier with a known input in place of the column; see ``ReadADC/reference(_:macro:column:of:)``.
  case reference
  /// A converter of the loop, or a known voltage, read back: ``ReadADC/loopback(_:channel:)``, ``ReadADC/ground``,
  /// ``ReadADC/voltageReference``.
  case loopback
}

/// Converts once on one channel.
public struct ReadADC: WireRequest {
  public typealias Response = ADCResult

  public var kind: ADCKind
  public var channel: Int
  /// Of ``ADCKind/loopback`` alone: whose channel is read; nil: a known voltage.
  public var source: DACKind?

  public init(kind: ADCKind, channel: Int, source: DACKind? = nil) {
    self.kind = kind
    self.channel = channel
    self.source = source
  }

  /// The output of a converter through the one that measures columns, volts.
  public static func loopback(_ source: DACKind, channel: Int) -> ReadADC {
    ReadADC(kind: .loopback, channel: channel, source: source)
  }
  /// 0 V, read like a converter.
  public static let ground = ReadADC(kind: .loopback, channel: 0)
  /// The board's voltage reference, read like a converter.
  public static let voltageReference = ReadADC(kind: .loopback, channel: 1)

  /// The amplifier of a column with a known input at the board's read voltage.
  ///
  /// - Parameters:
  ///   - number: 0 for an open input, k for the k-th reference resistor of the board's description.
  ///   - macros: how many the board has, all of this shape.
  ///   - range: which of how many ranges of the board's description, and how many known inputs it has, the open one included; nil: the range
  ///     of ``ReadCells``.
  public static func reference(
    _ number: Int, macro: Int, column: Int, of macros: (count: Int, shape: MacroShape),
    range: (index: Int, inputs: Int)? = nil
  ) -> ReadADC {
    let input = (range.map { (1 + $0.index) * $0.inputs } ?? 0) + number
    return ReadADC(kind: .reference, channel: (input * macros.count + macro) * macros.shape.columns + column)
  }

  public var body: RequestBody { .readADC(self) }
}

public struct ADCResult: WireResponse, Hashable {
  public var code: ADCCode
  /// Volts; degrees Celsius from ``ADCKind/temperature``, siemens from ``ADCKind/reference``.
  public var value: Double
  /// The code is the end of the range.
  public var isSaturated: Bool

  public init(code: ADCCode, value: Double, isSaturated: Bool = false) {
    self.code = code
    self.value = value
    self.isSaturated = isSaturated
  }

  public init?(_ body: ResponseBody) {
    guard case .adc(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .adc(self) }
}

extension ReadADC {
  init(_ message: Rram_Board_V1_ReadAdc) throws(WireError) {
    switch message.kind {
    case .columnAdc: kind = .column
    case .integratorAdc: kind = .integrator
    case .temperatureAdc: kind = .temperature
    case .referenceAdc: kind = .reference
    case .loopbackAdc: kind = .loopback
    case .unspecified: throw WireError(.missingField, field: "read_adc.kind", "it must be set")
    case .UNRECOGNIZED(let number): throw WireError(.outOfRange, field: "read_adc.kind", "no converter kind \(number)")
    }
    channel = Int(message.channel)
    guard message.dacKind != .unspecified else { return }
    guard kind == .loopback else {
      throw WireError(.outOfRange, field: "read_adc.dac_kind", "only a loopback reads a converter back")
    }
    source = try DACKind(message.dacKind, "read_adc.dac_kind")
  }

  func message() throws(WireError) -> Rram_Board_V1_ReadAdc {
    var message = Rram_Board_V1_ReadAdc()
    switch kind {
    case .column: message.kind = .columnAdc
    case .integrator: message.kind = .integratorAdc
    case .temperature: message.kind = .temperatureAdc
    case .reference: message.kind = .referenceAdc
    case .loopback: message.kind = .loopbackAdc
    }
    if let source { message.dacKind = source.message }
    message.channel = try wire32(channel, "read_adc.channel")
    return message
  }
}

extension ADCResult {
  init(_ message: Rram_Board_V1_AdcResult) throws(WireError) {
    code = ADCCode(rawValue: message.code)
    // The unit depends on the converter, so the number passes through Volts only for its conversion.
    let number: Volts = try quantity(message.value, "adc.value")
    value = number.rawValue
    isSaturated = message.saturated
  }

  func message() throws(WireError) -> Rram_Board_V1_AdcResult {
    var message = Rram_Board_V1_AdcResult()
    message.code = code.rawValue
    message.value = try wireFloat(Volts(value), "adc.value")
    message.saturated = isSaturated
    return message
  }
}
