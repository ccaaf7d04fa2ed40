/// A defect of board or chip, for tests of what firmware and host make of it.
package enum HardwareFault: Sendable, Hashable {
  /// The supply dips: lines are grounded, operations end, the fault is reported.
  case supply
  /// The read-out converter gives one code from now on.
  case converterStuck
  /// A formed cell, chosen by `seed`, does not move any more: worn out, open or shorted.
  case cellStuck(seed: UInt64)
}

extension EmulatedBoard {
  package func inject(_ fault: HardwareFault) { core.post(.inject(fault)) }
}
