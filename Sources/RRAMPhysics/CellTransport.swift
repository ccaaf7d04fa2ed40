import Glibc
public import RRAMProfiles
public import RRAMUnits

/// Where a cell is used: the selector's gate and the voltage across the cell, positive in the direction of SET.
public struct CellBias: Sendable, Hashable {
  public var wordLine: Volts
  public var voltage: Volts

  public init(wordLine: Volts, voltage: Volts) {
    self.wordLine = wordLine
    self.voltage = voltage
  }
}

/// What a 1T1R cell conducts away from the read point at which its conductance is written down.
///
/// The selector is a resistor in series, R_on·(V_read gate − V_t)/(V_WL − V_t); the oxide conducts as V₀·sinh(V/V₀), and
/// `polarity` times as well in the direction of RESET.
struct CellTransport: Sendable {
  /// MΩ, so that 1/µS adds up: selector at the bias less selector at the read point.
  private let series: Double
  private let factor: Double
  /// The selector is closed: nothing flows but what leaks past it.
  let isOpen: Bool

  init(_ cells: ChipProfile.Cells, _ bias: CellBias?) {
    guard let bias else {
      (series, factor, isOpen) = (0, 1, true)
      return
    }
    let threshold = cells.selectorThreshold.rawValue
    isOpen = bias.wordLine.rawValue >= threshold
    let over = max(bias.wordLine.rawValue - threshold, 0.02)
    let reference = cells.readGate.rawValue - threshold
    series = cells.selectorResistance.rawValue * 1e-6 * (reference / over - 1)
    factor = cells.relativeConductance(at: bias.voltage)
  }

  /// sinh(cV)/(cV).
  fileprivate static func chord(_ voltage: Double, _ curvature: Double) -> Double {
    let x = abs(voltage * curvature)
    return x < 1e-4 ? 1 + x * x / 6 : sinh(x) / x
  }

  /// The conductance in µS that is seen of one of `conductance` µS.
  func seen(_ conductance: Double) -> Double {
    guard conductance > 0 else { return conductance }
    return factor / (1 / conductance + series)
  }
}

extension ChipProfile.Cells {
  /// The current at `voltage` over that of an ohmic cell with the conductance that is written down.
  public func relativeConductance(at voltage: Volts) -> Double {
    CellTransport.chord(voltage.rawValue, curvature) / CellTransport.chord(readVoltage.rawValue, curvature)
      * (voltage < .zero ? polarity : 1)
  }
}
