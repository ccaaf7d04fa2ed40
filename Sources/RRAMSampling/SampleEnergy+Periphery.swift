internal import RRAMMapping
internal import RRAMProfiles
internal import RRAMUnits

extension SampleEnergy {
  /// Adds what amplifiers, converters and the rest of the board draw while one sample is made, if the board description says it: power
  /// times the time from preset to read-out.
  ///
  /// Amplifiers: one a column pair in use, two multipliers a coefficient and coordinate, an integrator a coordinate. Converters: one
  /// channel a table, start point and held noise, and the conversions of x. Idle time between samples is not in it.
  mutating func addPeriphery(
    of loop: BoardDescription.ClosedLoop, schedule: Schedule, plan: MappingPlan, atOnce: Bool
  ) {
    guard let power = loop.power else { return }
    let seconds = (loop.presetTime + schedule.tick * schedule.ticks + loop.readOutTime).seconds
    let axes = Schedule.dimensions
    let columns = (plan.first + (atOnce ? plan.second : [])).reduce(0) { $0 + $1.outputs }
    // a·x, b·net and, where two networks run, the second b.
    let multipliers = axes * (atOnce ? 3 : 2)
    amplifiers =
      seconds
      * (Double(columns) * power.amplifier.rawValue + Double(multipliers) * power.multiplier.rawValue
        + Double(axes) * power.integrator.rawValue)
    let unused = loop.secondLayerMacros.isEmpty || atOnce ? 0 : 1 + loop.embeddingChannels
    let channels = schedule.channels - unused + axes * (schedule.noise.isEmpty ? 1 : 2)
    converters =
      seconds * Double(channels) * power.converterChannel.rawValue + Double(axes) * power.conversion.rawValue
    board = seconds * power.board.rawValue
  }
}
