internal import RRAMUnits
public import RRAMWire

/// Attempts of a full RESET and SET pulses whose gate climbs, or with one SET at a tabulated gate: what several bits a cell are
/// written with on published test chips.
public struct GateAttempts: WriteStrategy {
  /// SET pulses of the attempt so far; nil: it begins with a RESET.
  public struct Cell: Sendable {
    var index: Int
    var sets: Int?
  }

  let ramp: GateRamp
  let set: PulseRamp
  let reset: PulseRamp

  public init(_ ramp: GateRamp, set: PulseRamp, reset: PulseRamp) {
    self.ramp = ramp
    self.set = set
    self.reset = reset
  }

  public func begin(_ index: Int) -> Cell { Cell(index: index) }

  public func pulse(_ cell: inout Cell, at reading: CellReading, to goal: WriteGoal) -> WritePulse {
    let first = Double(ramp.first[cell.index])
    guard let sets = cell.sets, first.isNaN || reading.conductance <= goal.window.upperBound else {
      return strongReset(&cell)
    }
    guard !first.isNaN else {
      // The RESET did not do: a SET between makes the next one another draw.
      cell.sets = nil
      return strongSet(ramp.stop)
    }
    let gate = Volts(first) + Double(sets) * ramp.step
    guard sets == 0 || ramp.step > .zero && gate <= ramp.stop + Volts(1e-6) else { return strongReset(&cell) }
    cell.sets = sets + 1
    return strongSet(min(gate, ramp.stop))
  }

  private func strongReset(_ cell: inout Cell) -> WritePulse {
    cell.sets = 0
    return WritePulse(
      kind: .reset, wordLine: reset.wordLine, amplitude: reset.stop, width: reset.width, isStrongest: true)
  }

  private func strongSet(_ gate: Volts) -> WritePulse {
    WritePulse(
      kind: .set, wordLine: gate, amplitude: set.stop, width: set.width,
      isStrongest: gate + ramp.step > ramp.stop)
  }
}
