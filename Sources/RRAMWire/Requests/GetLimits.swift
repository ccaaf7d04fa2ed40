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

  public init(
    isPresent: Bool = true, wordLine: Volts, bitLine: Volts, sourceLine: Volts, forming: Volts, read: Volts,
    pulseWidth: ClosedRange<Duration>, pulsesPerRequest: Int, conductance: ClosedRange<Siemens>
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
    return message
  }
}
