public import RRAMUnits

/// Describes a die: its cells, their statistics, the voltages that move them, and its limits.
///
/// Decoded from YAML in which every number stands with its unit and its source, or marked as assumed; see ``provenance``.
public struct ChipProfile: Sendable {
  /// Short name, as in `profile=cmo-hfox`.
  public var name: String
  public var summary: String
  public var cells: Cells
  public var programming: Programming
  public var relaxation: Relaxation
  public var readNoise: ReadNoise
  public var wires: Wires
  /// The limits record of an emulated chip; `nil` permits reads only.
  public var limits: ChipLimits?
  /// Key path (`cells.conductance.min`) → where its number comes from.
  public var provenance: [String: Provenance]
  /// The YAML text itself.
  public var document: String
  /// SHA-256 of the YAML bytes, lower-case hex: state files name it.
  public var hash: String

  /// Where a number of a profile or board description comes from.
  public enum Provenance: Sendable, Hashable {
    case published(String)
    case assumed(String)
  }

  /// What a cell is before and after forming.
  public struct Cells: Sendable, Hashable {
    /// Programmable window: what targets may ask for.
    public var conductance: ClosedRange<Siemens>
    /// What a formed cell approaches under RESET and SET pulses without end; encloses `conductance`.
    public var asymptotes: ClosedRange<Siemens>
    /// Conductance of a pristine cell.
    public var pristine: Siemens
    /// Gate voltage below which the selector does not conduct: pulses do nothing.
    public var selectorThreshold: Volts
    /// Forming voltage on the bit line: mean, σ and the 1 % and 99 % quantiles (skewed).
    public var formingMean: Volts
    public var formingSigma: Volts
    public var formingQuantile1: Volts
    public var formingQuantile99: Volts
    /// Conductance after forming: mean, device-to-device σ/µ, and what every volt beyond the forming voltage adds.
    public var formedConductance: Siemens
    public var formedSpread: Double
    /// Siemens per volt.
    public var formedOvershoot: Double
    /// Fractions of cells, independent draws.
    public var stuckLowFraction: Double
    public var stuckHighFraction: Double
    public var unformableFraction: Double
  }

  /// Which terminal controls how far a SET goes.
  public enum SetControl: String, Sendable, Hashable, CaseIterable { case gate, amplitude }

  /// Response of a formed cell to pulses and the biases used by default.
  ///
  /// A pulse of amplitude V and width w across the cell moves G towards an asymptote at a rate that grows exponentially
  /// with V: G ← G∞ + (G − G∞)·exp(−(w/referenceWidth)·10^((V − V₁)/voltsPerDecade)), where V₁ is `setVoltage` or
  /// `resetVoltage` of this cell. A pulse below `threshold` does nothing. Starting each ramp where moves are as small as
  /// the tolerance makes plain incremental step pulse programming converge: start at `start`, add `step` after every
  /// pulse, and begin again at `start` of the other ramp after every reversal.
  public struct Programming: Sendable, Hashable {
    public var setControl: SetControl
    /// Default biases of one pulse kind.
    public struct Bias: Sendable, Hashable {
      public var wordLine: Volts
      /// First amplitude of a ramp on the driven line (bit line for SET and forming, source line for RESET).
      public var start: Volts
      public var step: Volts
      public var stop: Volts
      public var width: Duration

      public init(wordLine: Volts, start: Volts, step: Volts, stop: Volts, width: Duration) {
        self.wordLine = wordLine
        self.start = start
        self.step = step
        self.stop = stop
        self.width = width
      }
    }
    public var forming: Bias
    public var set: Bias
    public var reset: Bias
    /// Amplitude at which one pulse of `referenceWidth` covers 1 − 1/e of the way to the asymptote.
    public var setVoltage: Volts
    public var resetVoltage: Volts
    /// Amplitude below which a cell does not move at all.
    public var threshold: Volts
    /// Volts that make the rate ten times as large.
    public var voltsPerDecade: Volts
    public var referenceWidth: Duration
    /// σ of the natural logarithm of the rate, from pulse to pulse.
    public var cycleSpread: Double
    /// σ of `setVoltage` and of `resetVoltage`, from cell to cell.
    public var deviceSpread: Volts
    /// For ``SetControl/gate``: the gate limits a SET to `slope`·(V_WL − `threshold`).
    public struct Gate: Sendable, Hashable {
      public var threshold: Volts
      /// Siemens per volt.
      public var slope: Double
    }
    public var gate: Gate?
    /// Default verify window: |G − target| ≤ tolerance.
    public var tolerance: Siemens
    public var maximumPulses: Int
    public var maximumReversals: Int
  }

  /// Drift after a write: G(t) − G(t_w) = mean + walk (accumulating) + stationary part (the 1/f noise).
  public struct Relaxation: Sendable, Hashable {
    /// Mean shift, siemens per e-fold of time, from `firstTime` on: slope·ln(t/1 s).
    public var meanSlope: Siemens
    /// σ of the whole change, stationary part included: σ(t) = max(0, sigmaSlope·ln(t/1 s) + sigmaOffset).
    public var sigmaSlope: Siemens
    public var sigmaOffset: Siemens
    /// First measured time; no mean shift before it.
    public var firstTime: Duration
  }

  /// Read noise as densities.
  public struct ReadNoise: Sendable, Hashable {
    /// 1/f: S_G(f) = (k·log10(G/µS))²/f; `k` in siemens. Zero at and below 1 µS.
    public var flicker: Siemens
    /// White density, S/√Hz.
    public var whiteDensity: Double
    /// Fastest and slowest correlation time of the 1/f noise.
    public var correlationTimes: ClosedRange<Duration>
    /// Time over which "σ of a read" is taken where one number is needed.
    public var referenceTime: Duration
  }
}
