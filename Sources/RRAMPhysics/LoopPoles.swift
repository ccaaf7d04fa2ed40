public import RRAMProfiles
internal import RRAMUnits

/// Single poles of the closed loop's stages, as time constants in units of the run time τ.
///
/// Every column amplifier follows its input, v̇ = (u − v)/``amplifier``, before rectifier and rail; a·x + b·amplitude·net reaches an
/// integrator through its multipliers, one more pole of ``multiplier``. A run begins when everything has settled to its start.
public struct LoopPoles: Sendable, Hashable {
  public var amplifier: Float
  public var multiplier: Float

  /// Both above 0, or both 0 for none.
  public init(amplifier: Float, multiplier: Float) {
    self.amplifier = amplifier
    self.multiplier = multiplier
  }

  /// Stages that follow at once.
  public static let none = LoopPoles(amplifier: 0, multiplier: 0)

  /// Those of a board: a pole at f has the time constant 1/(2πf).
  public init(_ loop: BoardDescription.ClosedLoop) {
    func constant(_ bandwidth: Double) -> Float { Float(1 / (2 * Double.pi * bandwidth * loop.runTime.seconds)) }
    self.init(amplifier: constant(loop.amplifierBandwidth), multiplier: constant(loop.multiplierBandwidth))
  }
}
