public import RRAMUnits

/// Describes a board's periphery: macros, drivers, amplifiers, converters, and the closed loop where it has one.
///
/// The emulator is built from it, and a board sends the same document to the host; mapping and schedules compile against it.
public struct BoardDescription: Sendable {
  public var name: String
  public var summary: String
  public var macros: Macros
  public var drivers: Drivers
  public var sensing: Sensing
  /// `nil` where the board cannot run a closed loop (`closedLoop: none`).
  public var closedLoop: ClosedLoop?
  public var link: Link
  public var provenance: [String: ChipProfile.Provenance]
  /// The YAML text itself, as sent over the wire.
  public var document: String

  /// The arrays on the board; all of one shape.
  public struct Macros: Sendable, Hashable {
    public var count: Int
    public var shape: MacroShape
    public enum PairOrientation: String, Sendable, Hashable {
      /// G+ in column 2j, G− in column 2j + 1.
      case adjacentColumns
    }
    public var pairOrientation: PairOrientation
  }

  /// A converter: code 0 is `range.lowerBound`, code 2^bits − 1 is `range.upperBound`.
  public struct Converter: Sendable, Hashable {
    public var bits: Int
    public var range: ClosedRange<Volts>

    public init(bits: Int, range: ClosedRange<Volts>) {
      self.bits = bits
      self.range = range
    }
    public var codeCount: Int { 1 << bits }
    /// One code step.
    public var leastSignificantBit: Volts { (range.upperBound - range.lowerBound) / Double(codeCount - 1) }
  }

  /// Line drivers for pulses and reads.
  public struct Drivers: Sendable, Hashable {
    public var wordLine: Converter
    public var bitLine: Converter
    public var sourceLine: Converter
    public var settling: Duration
    public var pulseWidth: ClosedRange<Duration>
    /// Width resolution.
    public var pulseWidthStep: Duration
    /// How many columns of one row may be pulsed at once.
    public var simultaneousColumns: Int
  }

  /// Read-out of currents.
  public struct Sensing: Sendable, Hashable {
    public var readVoltage: Volts
    public var readWordLine: Volts
    /// Selectable transimpedances for reads.
    public var ranges: [Ohms]
    /// Columns that share one amplifier: 1 = fully parallel.
    public var columnsPerAmplifier: Int
    public var converter: Converter
    public var conversionTime: Duration
    public var integrationTime: Duration
    /// Input-referred noise of one conversion, volts rms at the converter.
    public var converterNoise: Volts
  }

  /// The analog loop.
  public struct ClosedLoop: Sendable, Hashable {
    /// One *unit*: the software network's 1.0.
    public var unitVoltage: Volts
    /// Number of layers the board can chain and macros each uses, in order.
    public var layerMacros: [Int]
    /// Rows are clamped at ± this.
    public var rowClamp: Volts
    /// Supply rails of amplifiers and integrators.
    public var amplifierRail: Volts
    public var integratorRail: Volts
    /// Programmable transimpedance of a column pair: range and resolution (bits).
    public var columnGain: ClosedRange<Ohms>
    public var columnGainBits: Int
    public enum EmbeddingInjection: String, Sendable, Hashable {
      /// Added after the column gain: independent of it.
      case afterGain
      /// Added as a current before the gain.
      case current
    }
    public var embeddingInjection: EmbeddingInjection
    public var embeddingChannels: Int
    public var embedding: Converter
    /// Multiplier coefficient a(t), b(t): converter in volts, `coefficientUnit` volts = 1.
    public var coefficient: Converter
    public var coefficientUnit: Volts
    /// Gain behind the network's output (the paper's ×5).
    public var outputAmplifier: Double
    /// Additive offset channels, if present, and the path of the held SDE noise with its own gain.
    public var offset: Converter?
    public var noise: Converter
    /// Volts at the integrator's input per volt of the noise converter.
    public var noiseGain: Double
    /// x(0) preset and x read-out.
    public var preset: Converter
    public var readOut: Converter
    /// Time of one run from t = 1 to t_end, and the range allowed.
    public var runTime: Duration
    public var tick: ClosedRange<Duration>
    public var maximumTicks: Int
    public var presetTime: Duration
    public var readOutTime: Duration
  }

  /// Limits of the board's protocol engine and the modelled bus.
  public struct Link: Sendable, Hashable {
    public var maximumRequestBytes: Int
    public var maximumResponseBytes: Int
    public var maximumInFlight: Int
    /// Round trip that pipelining does not hide, and payload rate.
    public var roundTrip: Duration
    public var bytesPerSecond: Double
    /// Link-time watchdog while energised.
    public var watchdog: Duration
  }
}
