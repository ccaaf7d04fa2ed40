internal import Glibc
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
  public var retention: Retention
  public var disturb: Disturb
  public var wear: Wear
  /// The limits record of an emulated chip; `nil` permits reads only.
  public var limits: ChipLimits?
  /// Key path (`cells.conductance.min`) → where its number comes from.
  public var provenance: [String: Provenance]
  /// Every value as it stands in the document, in its order.
  public var documentedValues: [DocumentedValue]
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
    /// On-resistance of the selector at the gate voltage `readGate`: part of every conductance that is written down or read.
    public var selectorResistance: Ohms
    public var readGate: Volts
    /// Voltage across the cell at which its conductance is what is written down.
    public var readVoltage: Volts
    /// 1/V₀ of I = G·V₀·sinh(V/V₀), in 1/V; 0 is ohmic.
    public var curvature: Double
    /// Conductance at a negative voltage ÷ that at the positive one of equal size.
    public var polarity: Double
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
    /// Fractions of cells.
    public var stuckLowFraction: Double
    public var stuckHighFraction: Double
    public var unformableFraction: Double
    /// Cells with `leak` in parallel, whatever their state and their gate.
    public var leakyFraction: Double
    public var leak: Siemens
    /// Defects come in clusters: `badRowShare` of them lie in `badRows` of the rows.
    public var badRows: Double
    public var badRowShare: Double
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
    /// How far the ends of SET and RESET differ from the asymptotes.
    public struct Endpoints: Sendable, Hashable {
      /// σ of the natural logarithm of the conductance a SET drives to: a fresh draw every pulse, one every SET–RESET cycle, and
      /// one for the device's life.
      public var pulse: Double
      public var cycle: Double
      public var device: Double
      /// σ of log10 of the conductance a RESET drives to, per cycle and per device.
      public var resetCycle: Double
      public var resetDevice: Double
      /// Decades by which each volt above `resetReference` lowers it.
      public var resetDepth: Double
      public var resetReference: Volts
    }
    public var endpoints: Endpoints
    /// Default verify window: |G − target| ≤ tolerance.
    public var tolerance: Siemens
    public var maximumPulses: Int
    public var maximumReversals: Int
  }

  /// Drift after a write: G(t) − G(t_w) = mean + walk (accumulating) + stationary part (1/f-like).
  public struct Relaxation: Sendable, Hashable {
    /// Mean shift, siemens per e-fold of time, from `firstTime` on: slope·ln(t/1 s). 0 where `components` says it.
    public var meanSlope: Siemens
    /// σ of the whole change, stationary part included: σ(t) = max(0, sigmaSlope·ln(t/1 s) + sigmaOffset).
    public var sigmaSlope: Siemens
    public var sigmaOffset: Siemens
    /// First measured time; no mean shift before it.
    public var firstTime: Duration
    /// The law of two components; `nil` where the fit above is all that is published.
    public var components: Components?

    /// Var[G(t₂) − G(t₁)] = a·log10(1 + (t₂ − t₁)/t₀) + b·[log10(1 + t₂/t₀) − log10(1 + t₁/t₀)] + w, times since the write.
    ///
    /// a is drawn per cell and b per write, log-normal with these means: a minority carries most of either. A noisy cell stays noisy; one
    /// that drifted need not drift when written again, so further passes narrow.
    public struct Components: Sendable, Hashable {
      /// t₀.
      public var onset: Duration
      /// The lists below stand for these conductances at write; linear between them, constant beyond.
      public var conductances: [Siemens]
      /// a, S² a decade.
      public var stationary: [Double]
      /// b, S² a decade.
      public var accumulating: [Double]
      /// w, S², with its correlation time: white to reads further apart, constant within a run of the loop.
      public var fast: [Double]
      public var fastTime: Duration
      /// Mean shift a decade: m·log10(1 + t/meanOnset).
      public var mean: [Siemens]
      public var meanOnset: Duration
      /// κ: deviations upwards count 1 + κ times, downwards 1 − κ times.
      public var asymmetry: [Double]
      /// σ of ln a from cell to cell, and of ln b from write to write.
      public var stationarySpread: Double
      public var accumulatingSpread: Double

      /// The value of one of the lists at a conductance.
      public func value(_ list: [Double], at conductance: Siemens) -> Double {
        guard let last = conductances.indices.last else { return 0 }
        guard conductance > conductances[0] else { return list[0] }
        guard let upper = conductances.firstIndex(where: { conductance <= $0 }) else { return list[last] }
        let share = (conductance - conductances[upper - 1]) / (conductances[upper] - conductances[upper - 1])
        return list[upper - 1] + share * (list[upper] - list[upper - 1])
      }
    }

    /// σ of the change from the write to `age` of cells written to `conductance`.
    public func sigma(after age: Duration, at conductance: Siemens) -> Siemens {
      guard let components else { return max(.zero, sigmaSlope * log(age.seconds) + sigmaOffset) }
      let decades = log10(1 + age.seconds / components.onset.seconds)
      let variance =
        (components.value(components.stationary, at: conductance)
          + components.value(components.accumulating, at: conductance)) * decades
        + components.value(components.fast, at: conductance)
      return Siemens(variance.squareRoot())
    }
  }

  /// Read noise as densities.
  public struct ReadNoise: Sendable, Hashable {
    /// 1/f: S_G(f) = (k·log10(G/µS))²/f; `k` in siemens. Zero at and below 1 µS, and where relaxation has components: their
    /// stationary part is the 1/f noise.
    public var flicker: Siemens
    /// White density, S/√Hz.
    public var whiteDensity: Double
    /// Fastest and slowest correlation time of the 1/f noise.
    public var correlationTimes: ClosedRange<Duration>
    /// Time over which "σ of a read" is taken where one number is needed.
    public var referenceTime: Duration
    /// A single trap that switches a cell between two conductances.
    public struct Telegraph: Sendable, Hashable {
      /// Of the cells.
      public var fraction: Double
      /// Step ÷ conductance at write: median, and σ of its natural logarithm.
      public var step: Double
      public var stepSpread: Double
      /// Correlation times, log-uniform; S(f) = (step·G)²τ/(1 + (2πfτ)²).
      public var times: ClosedRange<Duration>
    }
    public var telegraph: Telegraph
  }

  /// How much faster cells age when hot: time counts exp(E/k·(1/T₀ − 1/T)) fold.
  public struct Retention: Sendable, Hashable {
    /// E in eV.
    public var activationEnergy: Double
    /// T₀ in K: the temperature of the relaxation figures.
    public var referenceTemperature: Double
  }

  /// What time at voltage does to a cell that is not being written: G moves towards the upper asymptote at
  /// rate·10^((V − voltage)/voltsPerDecade) per second.
  public struct Disturb: Sendable, Hashable {
    /// 1/s at `voltage`; 0: never.
    public var rate: Double
    public var voltage: Volts
    public var voltsPerDecade: Volts
    /// Share of the bit line's voltage that the unselected cells of a pulsed row see.
    public var inhibit: Double
  }

  /// What SET–RESET cycles do. A cycle is a SET and a RESET across the whole window; smaller moves count in proportion.
  public struct Wear: Sendable, Hashable {
    /// Median of the cycles that a cell survives, 0: for ever, and σ of their log10.
    public var endurance: Double
    public var enduranceSpread: Double
    /// Share of the cells that fail early, infant mortality, and the median of the cycles that they survive.
    public var earlyShare: Double
    public var earlyEndurance: Double
    /// Of the cells that fail, those that end shorted; the others no longer SET.
    public var shortShare: Double
    /// Wear begins here: the SET end point falls by `setLoss` (natural logarithm) and the spread of devices grows by `spreadGrowth`
    /// for every decade of 1 + cycles/onset.
    public var onset: Double
    public var setLoss: Double
    public var spreadGrowth: Double
  }
}
