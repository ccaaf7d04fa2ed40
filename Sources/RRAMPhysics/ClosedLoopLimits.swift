public import RRAMProfiles

/// Where the loop's analog blocks stop being linear, in units; infinity means without limit.
public struct LoopLimits: Sendable, Hashable {
  /// Every driven row is limited to ± this.
  public var rowClamp: Float
  /// Every layer's output is limited to ± this.
  public var amplifierRail: Float
  /// The state x is limited to ± this.
  public var integratorRail: Float
  /// s of the rectifier ½(v + √(v² + s²)), which is s/2 at v = 0 and approaches the ideal one as s²/(4|v|); 0 is ideal.
  public var softness: Float

  public init(
    rowClamp: Float = .infinity, amplifierRail: Float = .infinity, integratorRail: Float = .infinity,
    softness: Float = 0
  ) {
    self.rowClamp = rowClamp
    self.amplifierRail = amplifierRail
    self.integratorRail = integratorRail
    self.softness = softness
  }

  /// No limits and an ideal rectifier.
  public static let none = LoopLimits()
}

/// The time behaviour of the read noise; its size is in ``LoopNetwork/Layer/variances``.
public enum LoopNoise: Sendable, Hashable {
  /// Silent, whatever the variances.
  case none
  /// A fresh draw per output and integration step, held over the step.
  case white
  /// An Ornstein–Uhlenbeck process per output, stationary from the start and exactly discretised.
  ///
  /// The variances are those within the band. The correlation time is in units of the run time τ, 1/(2πf) for a single
  /// pole at f; steps should be no longer than it.
  case bandLimited(correlationTime: Float)
  /// Noise of each weight's own, shared by all that its row drives: what the others reduce to one process an output.
  case perCell(CellNoise)

  /// Processes of one weight, all stationary from the start and exactly discretised; every sample has its own.
  public struct CellNoise: Sendable, Hashable {
    /// One Ornstein–Uhlenbeck process; a sum of them, one a decade, is 1/f noise.
    public struct Mode: Sendable, Hashable {
      /// In units of the run time τ, above 0.
      public var correlationTime: Float
      /// Part of ``LoopNetwork/Layer/variances`` that this process has, 0 or above.
      public var share: Float

      public init(correlationTime: Float, share: Float) {
        self.correlationTime = correlationTime
        self.share = share
      }
    }

    /// At most four.
    public var modes: [Mode]
    /// Correlation time of the two-state processes in units of τ; their sizes are in ``LoopNetwork/Layer/telegraph``.
    /// A symmetric process stays twice as long in a state.
    public var telegraphTime: Float

    public init(modes: [Mode], telegraphTime: Float = 1) {
      self.modes = modes
      self.telegraphTime = telegraphTime
    }
  }
}

/// Where the unit normal numbers ξ of the held noise g(t)·ξ/√Δτ come from; limited to ±4, none in the last tick.
public enum LoopHeldNoise: Sendable, Hashable {
  case none
  /// (samples, ticks, dimensions) numbers, row-major, for the samples of `x0`.
  case table([Float])
  /// Drawn per sample, tick and channel from Philox under this seed, as host and board agree on, and played by a converter if
  /// there is one.
  case wiener(seed: UInt64, converter: Converter? = nil)

  /// What plays the noise: it is asked for level·ξ volts and gives those of the nearest code.
  public struct Converter: Sendable, Hashable {
    /// V of code 0.
    public var lower: Double
    /// V between two codes, above 0.
    public var step: Double
    public var lastCode: Int
    /// V for one standard deviation, one a tick; above 0 wherever the tables have noise.
    public var levels: [Float]
    /// What each channel makes of its volts in ticks with noise; in the others it is not connected. Empty: nothing.
    public var lines: [ConverterLine]

    public init(lower: Double, step: Double, lastCode: Int, levels: [Float], lines: [ConverterLine] = []) {
      self.lines = lines.allSatisfy { $0 == .ideal } ? [] : lines
      self.lower = lower
      self.step = step
      self.lastCode = lastCode
      self.levels = levels
    }
  }
}

/// Blocks of the loop that left their linear range while a sample ran.
public struct LoopFlags: OptionSet, Sendable, Hashable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// A driven row reached its clamp.
  public static let rowClamp = LoopFlags(rawValue: 1)
  /// A layer's output reached its rail.
  public static let amplifierRail = LoopFlags(rawValue: 2)
  /// The state reached the integrator's rail.
  public static let integratorRail = LoopFlags(rawValue: 4)
  /// ξ passed ±4, or its converter's range ended.
  public static let noiseClamp = LoopFlags(rawValue: 8)
}
