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
  /// Every value as it stands in the document, in its order.
  public var documentedValues: [DocumentedValue]
  /// The YAML text itself, as sent over the wire.
  public var document: String
  /// SHA-256 of the YAML bytes, lower-case hex.
  public var hash: String

  /// The arrays on the board; all of one shape.
  public struct Macros: Sendable, Hashable {
    public var count: Int
    public var shape: MacroShape
    public enum PairOrientation: String, Sendable, Hashable, CaseIterable {
      /// G+ in column 2j, G− in column 2j + 1.
      case adjacentColumns
    }
    public var pairOrientation: PairOrientation
    /// Which way the word lines run. Bit lines are the driven rows, source lines the sensed columns.
    public enum WordLines: String, Sendable, Hashable, CaseIterable {
      /// One word line opens the cells of a row.
      case parallelToBitLines
      /// One word line opens the cells of a column.
      case parallelToSourceLines
    }
    public var wordLines: WordLines
  }

  /// A converter: code c stands for `range.lowerBound` + c·LSB with LSB = span/2^bits.
  ///
  /// So the middle code of a symmetric range is exactly 0 V, and `range.upperBound` itself is one LSB out of reach.
  public struct Converter: Sendable, Hashable {
    public var bits: Int
    public var range: ClosedRange<Volts>

    public init(bits: Int, range: ClosedRange<Volts>) {
      self.bits = bits
      self.range = range
    }
    public var codeCount: Int { 1 << bits }
    /// One code step.
    public var leastSignificantBit: Volts { (range.upperBound - range.lowerBound) / Double(codeCount) }
    /// The voltages that have a code.
    public var reachable: ClosedRange<Volts> { range.lowerBound...(range.upperBound - leastSignificantBit) }

    /// The voltage of `code`.
    ///
    /// - Precondition: `code` < `codeCount`.
    public func volts(_ code: DACCode) -> Volts {
      precondition(code.rawValue < codeCount, "code \(code.rawValue) of a converter with \(bits) bits")
      return range.lowerBound + Double(code.rawValue) * leastSignificantBit
    }

    /// The code nearest to `voltage`, ties to the even code; `nil` if it is not finite or more than half an LSB beyond
    /// what the converter reaches.
    public func code(nearest voltage: Volts) -> DACCode? {
      let steps = ((voltage - range.lowerBound) / leastSignificantBit).rounded(.toNearestOrEven)
      guard steps >= 0, steps < Double(codeCount) else { return nil }
      return DACCode(rawValue: UInt32(steps))
    }
  }

  /// Line drivers for pulses and reads.
  public struct Drivers: Sendable, Hashable {
    public var wordLine: Converter
    public var bitLine: Converter
    public var sourceLine: Converter
    public var settling: Duration
    public var pulseWidth: ClosedRange<Duration>
    /// Width resolution: a width is a whole multiple of it.
    public var pulseWidthStep: Duration
    /// How many columns of one row may be pulsed at once.
    public var simultaneousColumns: Int
    /// Between a row driver and the first segment of its line.
    public var outputResistance: Ohms
    /// The largest current a line driver delivers to one cell, in hardware; `nil` where the board does not say.
    public var compliance: Amperes?
    /// The fastest a line changes; `nil` where the board does not say.
    public var slew: VoltsPerSecond?
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
    /// Between the last segment of a column and its amplifier's virtual ground: switches, mostly.
    public var inputResistance: Ohms
    /// Known inputs that the board can connect to any amplifier instead of a column; none on a board without them.
    public struct References: Sendable, Hashable {
      /// Nominal values.
      public var resistors: [Ohms]
      /// Half of the range in which their true values lie, as a share of the nominal one.
      public var tolerance: Double
    }
    public var references: References?
    /// What the amplifiers of a board differ by.
    public struct Imperfections: Sendable, Hashable {
      /// σ of the offset at an amplifier's output, from amplifier to amplifier.
      public var offset: Volts
      /// σ of the relative gain error.
      public var gain: Double
      /// σ of the relative gain error that each range of an amplifier has of its own beside that: its feedback resistor.
      public var rangeGain: Double
      /// Largest integral nonlinearity of the converter, LSB.
      public var nonlinearity: Double

      public var isIdeal: Bool { offset == .zero && gain == 0 && rangeGain == 0 && nonlinearity == 0 }
    }
    public var imperfections: Imperfections
  }

  /// The analog loop.
  public struct ClosedLoop: Sendable, Hashable {
    /// One *unit*: the software network's 1.0.
    public var unitVoltage: Volts
    /// Number of layers the board can chain and macros each uses, in order.
    public var layerMacros: [Int]
    /// The macros of a second network of the same state, whose output has a coefficient b and an embedding of its own; empty where the
    /// board has none.
    public var secondLayerMacros: [Int]
    /// Row voltages are clamped at ± this.
    public var rowClamp: Volts
    /// Samples in a row at a row clamp or an integrator's rail after which the board ends a run; `nil`: it never does.
    public var overRangeAbort: Int?
    /// What may drive a row.
    public enum RowRouting: String, Sendable, Hashable, CaseIterable {
      /// Row r of a layer's block is driven by input r, the last one with one unit.
      case fixed
      /// Every row has a switch to every input, to one unit and to ground.
      case any
    }
    public var rowRouting: RowRouting
    /// Factors by which a row may be driven, behind its clamp; the first is 1.
    public var rowAttenuation: [Double]
    /// Supply rails of amplifiers and integrators.
    public var amplifierRail: Volts
    public var integratorRail: Volts
    /// Programmable transimpedance of a column pair: code 0 is the lower end, code 2^bits − 1 the upper one.
    public var columnGain: ClosedRange<Ohms>
    public var columnGainBits: Int
    /// One step of the column gain.
    public var columnGainStep: Ohms {
      (columnGain.upperBound - columnGain.lowerBound) / Double((1 << columnGainBits) - 1)
    }
    /// The code nearest to `gain`, or `nil` outside the range.
    public func columnGainCode(nearest gain: Ohms) -> UInt32? {
      let steps = ((gain - columnGain.lowerBound) / columnGainStep).rounded(.toNearestOrEven)
      guard steps >= 0, steps < Double(1 << columnGainBits) else { return nil }
      return UInt32(steps)
    }
    /// The gain that `code` sets.
    public func columnGain(code: UInt32) -> Ohms { columnGain.lowerBound + Double(code) * columnGainStep }
    /// Pole of the column amplifiers, Hz: a node lags behind it, and it bounds the white noise that reaches a node.
    public var amplifierBandwidth: Double
    /// Pole of the multipliers in front of the integrators, Hz.
    public var multiplierBandwidth: Double
    /// Gate voltage of the cells' selectors while the loop runs.
    public var wordLine: Volts
    public enum EmbeddingInjection: String, Sendable, Hashable, CaseIterable {
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
    /// Additive offset channels at the integrators' inputs, if present: one a state coordinate.
    public var offset: Converter?
    /// The held SDE noise: one channel a state coordinate.
    public var noise: Converter
    /// Volts at the integrator's input per volt of the noise converter; an integrator input of one unit moves x by one
    /// unit in `runTime`.
    public var noiseGain: Double
    /// x(0) preset and x read-out.
    public var preset: Converter
    public var readOut: Converter
    /// Chip time in which the loop's own time τ advances by 1: a whole run.
    public var runTime: Duration
    /// Shortest and longest tick of the tables.
    public var tick: ClosedRange<Duration>
    public var maximumTicks: Int
    public var presetTime: Duration
    public var readOutTime: Duration
    /// What the loop's parts differ by and add, 0 where they are trimmed.
    public struct Imperfections: Sendable, Hashable {
      /// σ of the offset at a column amplifier's output, and of its relative gain error.
      public var amplifierOffset: Volts
      public var amplifierGain: Double
      /// σ of the offsets at a multiplier's inputs and output, and of its relative gain error.
      public var multiplierOffset: Volts
      public var multiplierGain: Double
      /// Share of a multiplier's signal that passes at coefficient 0.
      public var feedThrough: Double
      /// σ of the offset at an integrator's input, and the share of x that it loses in a run.
      public var integratorOffset: Volts
      public var integratorLeak: Double
      /// Largest integral nonlinearity of the loop's converters, LSB.
      public var converterNonlinearity: Double
      /// σ of the offset and of the relative gain error of the loop's converters, from channel to channel; also of the converter that
      /// reads them back.
      public var converterOffset: Volts
      public var converterGain: Double
      /// Noise of one conversion of x, volts rms.
      public var readOutNoise: Volts
      /// Time constant with which a table's value settles.
      public var settling: Duration
      /// The last converter of a tick loads this much after the first; 0: all at once.
      public var skew: Duration

      public var isIdeal: Bool {
        amplifierOffset == .zero && amplifierGain == 0 && multiplierOffset == .zero && multiplierGain == 0
          && feedThrough == 0 && integratorOffset == .zero && integratorLeak == 0 && converterNonlinearity == 0
          && converterOffset == .zero && converterGain == 0 && readOutNoise == .zero && settling == .zero
          && skew == .zero
      }
    }
    public var imperfections: Imperfections
    /// How the board reads the outputs of its own converters back: through `sensing.converter`, without an amplifier.
    public struct Loopback: Sendable, Hashable {
      /// Before a conversion.
      public var settling: Duration
      /// A known voltage that can be read like an output, and half of the range in which its true value lies, as a share of it.
      public struct Reference: Sendable, Hashable {
        public var voltage: Volts
        public var tolerance: Double
      }
      /// `nil` where the board has none: lines then hold against the measuring converter alone.
      public var reference: Reference?
    }
    /// `nil` where the board cannot read its converters back.
    public var loopback: Loopback?
    /// What the parts of the loop draw while a sample is made.
    public struct Power: Sendable, Hashable {
      /// One amplifier of a column pair, one multiplier, one integrator.
      public var amplifier: Watts
      public var multiplier: Watts
      public var integrator: Watts
      /// One channel that a converter plays during a run.
      public var converterChannel: Watts
      /// One conversion of one coordinate of x.
      public var conversion: Joules
      /// Everything else: controller, link, supplies.
      public var board: Watts
    }
    /// `nil` where the board does not say.
    public var power: Power?
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
