public import RRAMUnits

/// What the board can be told before a run: the state behind `C`, `D`, `N`, `O` and `In`.
///
/// The values right after boot are those of a board that nobody has told anything; only v_bias = 0.1 V is published, the rest is assumed.
public struct HDPMSettings: Sendable, Hashable {
  /// The three values of command `D`.
  public enum Bias: Int, Sendable, Hashable, CaseIterable {
    case millivolts50 = 0
    case millivolts100
    case millivolts200

    public var volts: Volts { Volts([0.05, 0.1, 0.2][rawValue]) }
    var value: Float { [0.05, 0.1, 0.2][rawValue] }

    /// The bias of that voltage, or an ``HDPMError`` with the voltages there are.
    public init(_ volts: Volts) throws(HDPMError) {
      guard let bias = Self.allCases.first(where: { abs($0.volts.rawValue - volts.rawValue) < 1e-9 }) else {
        throw HDPMError(.value, "v_bias \(volts): the board has 0.05, 0.1 and 0.2 V")
      }
      self = bias
    }
  }

  public var preset: HDPMPreset
  public var bias = Bias.millivolts100
  /// Factor on g²; command `C` takes hundredths in 0 < v < 10.
  public var coefficient: Float = 1
  /// Random noise on channels 9C and 9D.
  public var noise = false
  /// Command `N`, hundredths; the firmware checks nothing.
  public var noiseScale: Float = 1
  /// Command `O`: offsets of channels 9C and 9D, −0.5 … 0.49 of full scale in hundredths.
  public var offsets: SIMD2<Float> = .zero

  public init(preset: HDPMPreset) { self.preset = preset }

  /// Embedding factor in force.
  var scale: Float { preset.fixedScale ?? 5 * bias.value }

  /// Volts at x of one unit of the network: v_bias.
  public var unitVoltage: Volts { bias.volts }
}
