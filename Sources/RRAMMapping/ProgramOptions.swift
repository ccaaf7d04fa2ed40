internal import RRAMBoard
public import RRAMProfiles
public import RRAMUnits
public import RRAMWire

/// How cells are written and how long they are followed; a chip's profile gives the defaults.
public struct ProgramOptions: Sendable, Hashable {
  /// Half width of the verify window: |G − target| ≤ tolerance; of the strategy `pair-aware` |G+ − G− − its target| ≤ tolerance.
  public var tolerance: Siemens
  /// Strategy, verification and caps.
  public var method: WriteMethod
  /// Writes what has drifted off again; nil: once is all.
  public var retry: WriteRetry?
  /// Cells are read again at all ages up to this one; nil: not at all.
  public var followUp: FollowUp?
  /// A cell that conducts less has not been formed, unless the board knows better.
  public var formedAbove: Siemens

  /// The profile's own procedure, followed for one second.
  public init(_ profile: ChipProfile) {
    tolerance = profile.programming.tolerance
    method = WriteMethod(profile)
    followUp = .oneSecond
    formedAbove = profile.formedAbove
  }
}

/// How cells are formed; a chip's profile gives the defaults.
public struct FormOptions: Sendable, Hashable {
  public var ramp: PulseRamp
  /// A ramp ends when the cell conducts this much.
  public var stopConductance: Siemens
  /// A cell that conducts this much before the first pulse, or that the board knows to be formed, is left alone.
  public var formedAbove: Siemens
  /// A cell that conducts this much before the first pulse is stuck high: no pristine cell does, and no target lies there.
  public var stuckAbove: Siemens
  /// Conversions averaged in a read.
  public var averages: Int

  public init(_ profile: ChipProfile) {
    ramp = PulseRamp(profile.programming.forming)
    stopConductance = profile.formedAbove
    formedAbove = profile.formedAbove
    stuckAbove = profile.stuckAbove
    averages = 1
  }
}

extension Board.Readings {
  /// True if the board knows a cell to be formed, or it conducts at least `threshold`: a RESET can leave a formed cell
  /// conducting less than that, so the read alone is what boards without such books must do with.
  func isFormed(_ cell: Int, above threshold: Siemens) -> Bool {
    !formed.isEmpty && formed[cell] || Double(conductance[cell]) >= threshold.rawValue
  }
}

extension ChipProfile {
  /// What tells a formed cell from a pristine one: the geometric mean of a pristine cell's conductance and the lowest that
  /// a formed cell approaches.
  public var formedAbove: Siemens {
    Siemens((cells.pristine.rawValue * cells.asymptotes.lowerBound.rawValue).squareRoot())
  }
  /// What tells a cell that is stuck high from one in use: the geometric mean of the highest target and the highest
  /// conductance that pulses approach.
  public var stuckAbove: Siemens {
    Siemens((cells.conductance.upperBound.rawValue * cells.asymptotes.upperBound.rawValue).squareRoot())
  }
}
