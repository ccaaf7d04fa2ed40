internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

/// What the firmware permits: the chip's limits and what the board's drivers reach, whichever is tighter.
///
/// Everything is checked before anything is done. Voltages are compared as the floats they are on the wire, so that exactly the
/// limit is always allowed.
struct LimitCheck {
  let limits: ChipLimits
  let drivers: BoardDescription.Drivers

  /// A line's voltage against its limit and its driver's range.
  func line(
    _ voltage: Volts, _ limit: Refusal.Limit, permitted: Volts, driver: BoardDescription.Converter,
    cell: CellBlock? = nil
  ) throws(RequestFailure) {
    let low = max(-permitted, driver.range.lowerBound)
    let high = min(permitted, driver.range.upperBound)
    // NaN compares false and is refused.
    guard Float(voltage.rawValue) >= Float(low.rawValue), Float(voltage.rawValue) <= Float(high.rawValue) else {
      throw RequestFailure(
        refusal: Refusal(
          limit: limit, asked: voltage.rawValue, minimum: low.rawValue, maximum: high.rawValue, cell: cell))
    }
  }

  func wordLine(_ voltage: Volts, cell: CellBlock? = nil) throws(RequestFailure) {
    try line(voltage, .wordLine, permitted: limits.wordLine, driver: drivers.wordLine, cell: cell)
  }

  func bitLine(_ voltage: Volts, cell: CellBlock? = nil) throws(RequestFailure) {
    try line(voltage, .bitLine, permitted: limits.bitLine, driver: drivers.bitLine, cell: cell)
  }

  func sourceLine(_ voltage: Volts, cell: CellBlock? = nil) throws(RequestFailure) {
    try line(voltage, .sourceLine, permitted: limits.sourceLine, driver: drivers.sourceLine, cell: cell)
  }

  /// The bit line while forming.
  func forming(_ voltage: Volts, cell: CellBlock? = nil) throws(RequestFailure) {
    try line(voltage, .forming, permitted: limits.forming, driver: drivers.bitLine, cell: cell)
  }

  /// The bias of a read.
  func read(_ bias: ReadBias, cell: CellBlock? = nil) throws(RequestFailure) {
    try wordLine(bias.wordLine, cell: cell)
    try line(bias.bitLine, .read, permitted: limits.read, driver: drivers.bitLine, cell: cell)
    // The driver rounds towards 0 V.
    guard bias.bitLine.magnitude >= drivers.bitLine.leastSignificantBit else {
      throw RequestFailure(
        .badArgument,
        "a read at \(bias.bitLine) tells nothing, one step of the driver is \(drivers.bitLine.leastSignificantBit): bit_line_v"
      )
    }
    guard bias.averages <= 4096 else {
      throw RequestFailure(.badArgument, "\(bias.averages) averages, at most 4096")
    }
  }

  /// A voltage that stands on a line longer than any pulse: a row of a matrix product, an output that is set.
  func standing(_ voltage: Volts, cell: CellBlock? = nil) throws(RequestFailure) {
    // Rows of a product are driven with both signs, around the amplifiers' virtual ground.
    guard Float(voltage.magnitude.rawValue) <= Float(limits.read.rawValue) else {
      throw RequestFailure(
        refusal: Refusal(
          limit: .read, asked: voltage.rawValue, minimum: -limits.read.rawValue, maximum: limits.read.rawValue,
          cell: cell))
    }
  }

  /// A pulse width against limits and drivers.
  func width(_ width: Duration, cell: CellBlock? = nil) throws(RequestFailure) {
    let low = max(limits.pulseWidth.lowerBound, drivers.pulseWidth.lowerBound)
    let high = min(limits.pulseWidth.upperBound, drivers.pulseWidth.upperBound)
    guard width >= low, width <= high else {
      throw RequestFailure(
        refusal: Refusal(
          limit: .pulseWidth, asked: width.seconds * 1e9, minimum: low.seconds * 1e9, maximum: high.seconds * 1e9,
          cell: cell))
    }
    let step = drivers.pulseWidthStep
    guard step > .zero else { return }
    let steps = width / step
    guard abs(steps - steps.rounded()) < 1e-6 else {
      throw RequestFailure(.badArgument, "a pulse width of \(width) is no multiple of \(step)")
    }
  }

  /// Pulses one cell may get from one request.
  func pulses(_ count: Int, cell: CellBlock? = nil) throws(RequestFailure) {
    guard count <= limits.pulsesPerRequest else {
      throw RequestFailure(
        refusal: Refusal(
          limit: .pulseCount, asked: Double(count), minimum: 0, maximum: Double(limits.pulsesPerRequest), cell: cell))
    }
    guard count >= 1 else { throw RequestFailure(.badArgument, "a pulse count of \(count), at least 1") }
  }

  /// What a pulse can do to a cell at the drivers' compliance, and the die's temperature. A board whose description states neither
  /// compliance nor slew cannot keep limits on them and refuses.
  ///
  /// - Parameter columns: how many the request may pulse side by side.
  func drive(
    _ amplitude: Volts, _ width: Duration, columns: Int, celsius: Double, cell: CellBlock? = nil
  ) throws(RequestFailure) {
    func most(_ asked: Double?, _ limit: Refusal.Limit, _ allowed: Double?) throws(RequestFailure) {
      guard let allowed else { return }
      guard let asked, Float(asked) <= Float(allowed) else {
        throw RequestFailure(
          refusal: Refusal(
            limit: limit, asked: asked ?? .greatestFiniteMagnitude, minimum: 0, maximum: allowed, cell: cell))
      }
    }
    let power = drivers.compliance.map { $0.rawValue * amplitude.magnitude.rawValue }
    try most(drivers.slew?.rawValue, .slew, limits.slew?.rawValue)
    try most(drivers.compliance?.rawValue, .current, limits.current?.rawValue)
    try most(power.map { $0 * width.seconds }, .pulseEnergy, limits.pulseEnergy?.rawValue)
    try most(
      power.map { $0 * Double(min(columns, drivers.simultaneousColumns)) }, .power, limits.power?.rawValue)
    try temperature(celsius, cell: cell)
  }

  /// The die's temperature while cells are driven.
  func temperature(_ celsius: Double, cell: CellBlock? = nil) throws(RequestFailure) {
    guard let range = limits.temperature, !range.contains(Celsius(celsius)) else { return }
    throw RequestFailure(
      refusal: Refusal(
        limit: .temperature, asked: celsius, minimum: range.lowerBound.rawValue, maximum: range.upperBound.rawValue,
        cell: cell))
  }

  /// The closed loop drives its rows itself, up to their clamp: that must be a voltage which cells bear for long, and a run that stays
  /// at it must end.
  func loop(_ loop: BoardDescription.ClosedLoop, cells: Int, celsius: Double) throws(RequestFailure) {
    let clamp = loop.rowClamp.rawValue
    func refuse(_ limit: Refusal.Limit, _ asked: Double, _ maximum: Double) -> RequestFailure {
      RequestFailure(refusal: Refusal(limit: limit, asked: asked, minimum: 0, maximum: maximum))
    }
    guard loop.rowClamp <= limits.bitLine else { throw refuse(.bitLine, clamp, limits.bitLine.rawValue) }
    guard loop.rowClamp < (limits.disturb ?? .zero) else {
      throw refuse(.disturb, clamp, limits.disturb?.rawValue ?? 0)
    }
    guard loop.overRangeAbort != nil else {
      throw RequestFailure(.failed, "this board does not end a run that stays at its row clamps")
    }
    let most = Double(cells) * clamp * clamp * limits.conductance.upperBound.rawValue
    if let power = limits.power, !(Float(most) <= Float(power.rawValue)) {
      throw refuse(.power, most, power.rawValue)
    }
    try temperature(celsius)
  }

  /// A RESET to a cell that was last read above the resistance ceiling; NaN: not read since its last pulse.
  func reset(lastRead conductance: Float, cell: @autoclosure () -> CellBlock) throws(RequestFailure) {
    guard let resistance = limits.resistance, !conductance.isNaN,
      !(Double(conductance) * resistance.rawValue >= 1)
    else { return }
    throw RequestFailure(
      refusal: Refusal(
        limit: .resistance, asked: 1 / max(Double(conductance), 1e-12), minimum: 0, maximum: resistance.rawValue,
        cell: cell()))
  }

  /// The widest pulse ramp of a write-verify or of forming; every amplitude between its ends is covered.
  func ramp(
    _ ramp: PulseRamp, _ kind: PulseKind, name: String, columns: Int, celsius: Double, cell: CellBlock? = nil
  ) throws(RequestFailure) {
    try wordLine(ramp.wordLine, cell: cell)
    for voltage in [ramp.start, ramp.stop] {
      switch kind {
      case .set: try bitLine(voltage, cell: cell)
      case .reset: try sourceLine(voltage, cell: cell)
      case .forming: try forming(voltage, cell: cell)
      }
    }
    try width(ramp.width, cell: cell)
    guard ramp.step.rawValue >= 0, ramp.stop >= ramp.start, ramp.start.rawValue > 0 else {
      throw RequestFailure(
        .badArgument, "\(name): a ramp from \(ramp.start) by \(ramp.step) to \(ramp.stop) does not rise")
    }
    try drive(ramp.stop, ramp.width, columns: columns, celsius: celsius, cell: cell)
  }
}

extension PulseRamp {
  /// Pulses until `stop` is reached, that one included; rounding of the decimals must not add one.
  var count: Int {
    guard step.rawValue > 0 else { return 1 }
    let steps = (stop.rawValue - start.rawValue) / step.rawValue
    return steps < 1e6 ? Int((steps - 1e-6).rounded(.up)) + 1 : 1_000_001
  }
}
