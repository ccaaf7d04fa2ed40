public import RRAMUnits

/// Asks what the board permits for this chip.
public struct GetLimits: WireRequest {
  public typealias Response = WireLimits
  public init() {}
  public var body: RequestBody { .getLimits(self) }
}

/// What the board permits for this chip.
public struct WireLimits: WireResponse, Hashable {
  /// False where there is no limits record: then only reads up to ``read`` are allowed.
  public var isPresent: Bool
  /// Largest |V| of each line.
  public var wordLine: Volts
  public var bitLine: Volts
  public var sourceLine: Volts
  /// Largest |V| on the bit line while forming; 0 forbids forming.
  public var forming: Volts
  /// Largest |V| across a cell in a read.
  public var read: Volts
  /// Shortest and longest pulse, whole nanoseconds.
  public var pulseWidth: ClosedRange<Duration>
  /// Most pulses one request may give to one cell; 0 forbids pulses.
  public var pulsesPerRequest: Int
  /// Conductances a target may ask for.
  public var conductance: ClosedRange<Siemens>
  // `nil`: not stated.
  /// The fastest a line may change.
  public var slew: VoltsPerSecond?
  /// Largest current through one cell.
  public var current: Amperes?
  /// Largest energy of one pulse: voltage × compliance × width.
  public var pulseEnergy: Joules?
  /// Largest power in all cells driven at once.
  public var power: Watts?
  /// A cell last read above this gets no RESET pulse.
  public var resistance: Ohms?
  /// Rows of the closed loop must be clamped below it; `nil` forbids the loop.
  public var disturb: Volts?
  public var pulsesPerRun: Int?
  public var pulsesPerLife: Int?
  /// Of the die, while cells are pulsed.
  public var temperature: ClosedRange<Celsius>?

  public init(
    isPresent: Bool = true, wordLine: Volts, bitLine: Volts, sourceLine: Volts, forming: Volts, read: Volts,
    pulseWidth: ClosedRange<Duration>, pulsesPerRequest: Int, conductance: ClosedRange<Siemens>,
    slew: VoltsPerSecond? = nil, current: Amperes? = nil, pulseEnergy: Joules? = nil, power: Watts? = nil,
    resistance: Ohms? = nil, disturb: Volts? = nil, pulsesPerRun: Int? = nil, pulsesPerLife: Int? = nil,
    temperature: ClosedRange<Celsius>? = nil
  ) {
    self.isPresent = isPresent
    self.wordLine = wordLine
    self.bitLine = bitLine
    self.sourceLine = sourceLine
    self.forming = forming
    self.read = read
    self.pulseWidth = pulseWidth
    self.pulsesPerRequest = pulsesPerRequest
    self.conductance = conductance
    self.slew = slew
    self.current = current
    self.pulseEnergy = pulseEnergy
    self.power = power
    self.resistance = resistance
    self.disturb = disturb
    self.pulsesPerRun = pulsesPerRun
    self.pulsesPerLife = pulsesPerLife
    self.temperature = temperature
  }

  public init?(_ body: ResponseBody) {
    guard case .limits(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .limits(self) }
}

extension WireLimits {
  init(_ message: Rram_Board_V1_Limits) throws(WireError) {
    isPresent = message.present
    wordLine = try quantity(message.wordLineV, "limits.word_line_v")
    bitLine = try quantity(message.bitLineV, "limits.bit_line_v")
    sourceLine = try quantity(message.sourceLineV, "limits.source_line_v")
    forming = try quantity(message.formingV, "limits.forming_v")
    read = try quantity(message.readV, "limits.read_v")
    guard message.pulseWidthMinNs <= message.pulseWidthMaxNs else {
      throw WireError(
        .outOfRange, field: "limits.pulse_width_min_ns",
        "\(message.pulseWidthMinNs) ns is over the maximum of \(message.pulseWidthMaxNs) ns")
    }
    pulseWidth = .nanoseconds(Int64(message.pulseWidthMinNs)) ... .nanoseconds(Int64(message.pulseWidthMaxNs))
    pulsesPerRequest = Int(message.pulsesPerRequest)
    let low: Siemens = try quantity(message.conductanceMinS, "limits.conductance_min_s")
    let high: Siemens = try quantity(message.conductanceMaxS, "limits.conductance_max_s")
    guard low <= high else {
      throw WireError(.outOfRange, field: "limits.conductance_min_s", "\(low) is over the maximum of \(high)")
    }
    conductance = low...high
    slew = try stated(message.slewVPerS, "limits.slew_v_per_s")
    current = try stated(message.currentA, "limits.current_a")
    pulseEnergy = try stated(message.pulseEnergyJ, "limits.pulse_energy_j")
    power = try stated(message.powerW, "limits.power_w")
    resistance = try stated(message.resistanceOhm, "limits.resistance_ohm")
    disturb = try stated(message.disturbV, "limits.disturb_v")
    pulsesPerRun = message.pulsesPerRun == 0 ? nil : Int(message.pulsesPerRun)
    pulsesPerLife = message.pulsesPerLife == 0 ? nil : Int(message.pulsesPerLife)
    let coldest: Celsius = try quantity(message.temperatureMinC, "limits.temperature_min_c")
    let hottest: Celsius = try quantity(message.temperatureMaxC, "limits.temperature_max_c")
    guard coldest <= hottest else {
      throw WireError(
        .outOfRange, field: "limits.temperature_min_c", "\(coldest) is over the maximum of \(hottest)")
    }
    temperature = coldest == .zero && hottest == .zero ? nil : coldest...hottest
  }

  func message() throws(WireError) -> Rram_Board_V1_Limits {
    var message = Rram_Board_V1_Limits()
    message.present = isPresent
    message.wordLineV = try wireFloat(wordLine, "limits.word_line_v")
    message.bitLineV = try wireFloat(bitLine, "limits.bit_line_v")
    message.sourceLineV = try wireFloat(sourceLine, "limits.source_line_v")
    message.formingV = try wireFloat(forming, "limits.forming_v")
    message.readV = try wireFloat(read, "limits.read_v")
    message.pulseWidthMinNs = try wireNanoseconds(pulseWidth.lowerBound, "limits.pulse_width_min_ns")
    message.pulseWidthMaxNs = try wireNanoseconds(pulseWidth.upperBound, "limits.pulse_width_max_ns")
    message.pulsesPerRequest = try wire32(pulsesPerRequest, "limits.pulses_per_request")
    message.conductanceMinS = try wireFloat(conductance.lowerBound, "limits.conductance_min_s")
    message.conductanceMaxS = try wireFloat(conductance.upperBound, "limits.conductance_max_s")
    message.slewVPerS = try wireFloat(slew ?? .zero, "limits.slew_v_per_s")
    message.currentA = try wireFloat(current ?? .zero, "limits.current_a")
    message.pulseEnergyJ = try wireFloat(pulseEnergy ?? .zero, "limits.pulse_energy_j")
    message.powerW = try wireFloat(power ?? .zero, "limits.power_w")
    message.resistanceOhm = try wireFloat(resistance ?? .zero, "limits.resistance_ohm")
    message.disturbV = try wireFloat(disturb ?? .zero, "limits.disturb_v")
    message.pulsesPerRun = try wire32(pulsesPerRun ?? 0, "limits.pulses_per_run")
    message.pulsesPerLife = try wire32(pulsesPerLife ?? 0, "limits.pulses_per_life")
    message.temperatureMinC = try wireFloat(temperature?.lowerBound ?? .zero, "limits.temperature_min_c")
    message.temperatureMaxC = try wireFloat(temperature?.upperBound ?? .zero, "limits.temperature_max_c")
    return message
  }
}

/// A limit that need not be stated: 0 is none. A negative one is refused.
private func stated<Q: Quantity>(_ value: Float, _ field: String) throws(WireError) -> Q? {
  let result: Q = try quantity(value, field)
  guard result >= .zero else { throw WireError(.outOfRange, field: field, "\(result) is negative") }
  return result == .zero ? nil : result
}
