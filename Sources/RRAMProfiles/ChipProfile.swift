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
  /// The limits record of an emulated chip; `nil` permits reads only.
  public var limits: ChipLimits?
  /// Key path (`cells.conductance.min`) → where its number comes from.
  public var provenance: [String: Provenance]
  /// SHA-256 of the YAML bytes, lower-case hex: state files name it.
  public var hash: String

  /// Where a number of a profile or board description comes from.
  public enum Provenance: Sendable, Hashable {
    case published(String)
    case assumed(String)
  }

  /// What a cell is before and after forming.
  public struct Cells: Sendable, Hashable {
    /// Programmable window.
    public var conductance: ClosedRange<Siemens>
    /// Conductance of a pristine cell.
    public var pristine: Siemens
    /// Forming voltage on the bit line: mean, σ and the 1 % and 99 % quantiles (skewed).
    public var formingMean: Volts
    public var formingSigma: Volts
    public var formingQuantile1: Volts
    public var formingQuantile99: Volts
    /// Conductance after forming: mean and device-to-device σ/µ.
    public var formedConductance: Siemens
    public var formedSpread: Double
    /// Fractions of cells, independent draws.
    public var stuckLowFraction: Double
    public var stuckHighFraction: Double
    public var unformableFraction: Double
  }

  /// Which terminal controls how far a SET goes.
  public enum SetControl: String, Sendable, Hashable { case gate, amplitude }

  /// Response of a formed cell to pulses and the biases used by default.
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
    }
    public var forming: Bias
    public var set: Bias
    public var reset: Bias
    /// Amplitude at which half of the window is reached, and the width of that transition.
    public var setThreshold: Volts
    public var resetThreshold: Volts
    public var transitionWidth: Volts
    /// Share of the remaining distance that one pulse of the reference width moves.
    public var moveFraction: Double
    public var referenceWidth: Duration
    /// Relative spread of a move from pulse to pulse and of the thresholds from cell to cell.
    public var cycleSpread: Double
    public var deviceSpread: Volts
    /// Default verify window: |G − target| ≤ tolerance.
    public var tolerance: Siemens
    public var maximumPulses: Int
    public var maximumReversals: Int
  }

  /// Drift after a write: G(t) − G(t_w) = mean + walk (accumulating) + stationary part.
  public struct Relaxation: Sendable, Hashable {
    /// Mean shift, siemens per e-fold of time, from `firstTime` on: slope·ln(t/1 s).
    public var meanSlope: Siemens
    /// σ(t) = max(0, sigmaSlope·ln(t/1 s) + sigmaOffset).
    public var sigmaSlope: Siemens
    public var sigmaOffset: Siemens
    /// First measured time; no mean shift before it.
    public var firstTime: Duration
  }

  /// Read noise as densities.
  public struct ReadNoise: Sendable, Hashable {
    /// 1/f: S_G(f) = (k·log10(G/µS))²/f; `k` in siemens.
    public var flicker: Siemens
    /// White density, S/√Hz.
    public var whiteDensity: Siemens
    /// Slowest and fastest corner of the 1/f noise.
    public var slowest: Duration
    public var fastest: Duration
  }
}
