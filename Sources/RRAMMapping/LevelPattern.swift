public import RRAMProfiles
public import RRAMUnits

/// Levels that cells are written to, each with the conductances that count as it: several bits a cell.
public struct LevelPattern: Sendable, Hashable {
  public struct Level: Sendable, Hashable, Codable {
    /// Where writing aims; in the window, and permitted by the chip.
    public var target: Siemens
    public var window: ClosedRange<Siemens>

    public init(target: Siemens, window: ClosedRange<Siemens>) {
      self.target = target
      self.window = window
    }

    /// The window in a form that reads: `166.4…173.3 µS`.
    public var name: String {
      "\(rounded(window.lowerBound.microsiemens))…\(rounded(window.upperBound.microsiemens)) µS"
    }

    private func rounded(_ value: Double) -> Double { (value * 10).rounded() / 10 }
  }

  public var levels: [Level]

  public init(_ levels: [Level]) {
    precondition(!levels.isEmpty, "a pattern without levels")
    self.levels = levels
  }

  /// Two bits a cell as 1T1R HfOx test chips are published with: 5.77–6.01 and 8.51–9.31 kΩ; the third window is assumed ±3 % at 70 µS,
  /// the last one is open downwards, and writing aims at its chip's lowest permitted conductance.
  public static func twoBits(_ limits: ChipLimits) -> LevelPattern {
    func kiloohms(_ low: Double, _ high: Double) -> Level {
      let window = Siemens(1e-3 / high)...Siemens(1e-3 / low)
      return Level(target: (window.lowerBound + window.upperBound) / 2, window: window)
    }
    return LevelPattern([
      Level(target: limits.conductance.lowerBound, window: .zero...Siemens(1e-3 / 30)),
      Level(target: .microsiemens(70), window: .microsiemens(67.9)...(.microsiemens(72.1))),
      kiloohms(8.51, 9.31), kiloohms(5.77, 6.01),
    ])
  }

  /// Index of the level of a cell: levels go round along the row, and begin one further in the next, so that neighbours differ.
  public func level(row: Int, column: Int) -> Int { (row + column) % levels.count }
}
