public import RRAMProfiles
public import RRAMUnits

/// How the current of cells follows the voltage on their row, for all cells of a die alike.
///
/// A cell conducts as V₀·sinh(V/V₀), ``polarity`` times as well below 0, and its conductance is written down at one read voltage.
/// That makes a factor of the row's voltage alone, taken before the matrix: v·[sinh(cv)/(cv)]/[sinh(cr)/(cr)].
/// It is exact for cells that see all of their row's voltage. Selector and wires in series take a share of it, and with it of the
/// curvature: behind R at a conductance G the current comes out too far from the ohmic one by at most 3.2·R·G of what the curve adds
/// (on `cmo-hfox` at 90 µS 0.12 % of the current at 0.4 V and 1.0 % at the row clamp of 1 V; on `hfox-analog` at 40 µS 0.45 and
/// 3.8 %; tested against a solve of each cell).
public struct LoopTransport: Sendable, Hashable {
  /// c = 1/V₀, a unit.
  public var curvature: Float
  /// r in units: where the weights hold.
  public var readLevel: Float
  /// Current at −v over that at v, above 0.
  public var polarity: Float

  public init(curvature: Float, readLevel: Float, polarity: Float) {
    self.curvature = curvature
    self.readLevel = readLevel
    self.polarity = polarity
  }

  /// Current in proportion to voltage.
  public static let ohmic = LoopTransport(curvature: 0, readLevel: 0, polarity: 1)

  /// That of a chip's cells on rows where one unit is `unit`.
  public init(_ cells: ChipProfile.Cells, unit: Volts) {
    self.init(
      curvature: Float(cells.curvature * unit.rawValue), readLevel: Float(cells.readVoltage / unit),
      polarity: Float(cells.polarity))
  }

  public var isOhmic: Bool { curvature == 0 && polarity == 1 }
}
