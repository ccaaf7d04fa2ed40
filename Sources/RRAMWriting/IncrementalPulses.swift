internal import RRAMUnits
public import RRAMWire

/// Incremental step pulse programming: the amplitude climbs from pulse to pulse and begins again when the direction changes.
public struct IncrementalPulses: WriteStrategy {
  public struct Cell: Sendable {
    var kind: PulseKind?
    var index = 0
  }

  let set: PulseRamp
  let reset: PulseRamp

  public init(set: PulseRamp, reset: PulseRamp) {
    self.set = set
    self.reset = reset
  }

  public func begin(_ index: Int) -> Cell { Cell() }

  public func pulse(_ cell: inout Cell, at reading: CellReading, to goal: WriteGoal) -> WritePulse {
    let kind: PulseKind = reading.conductance < goal.target ? .set : .reset
    cell.index = cell.kind == kind ? cell.index + 1 : 0
    cell.kind = kind
    let ramp = kind == .set ? set : reset
    let amplitude = ramp.amplitude(cell.index)
    return WritePulse(
      kind: kind, wordLine: ramp.wordLine, amplitude: amplitude, width: ramp.width, isStrongest: amplitude >= ramp.stop)
  }
}
