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
    guard bias.bitLine.rawValue != 0 else {
      throw RequestFailure(.badArgument, "a read at 0 V tells nothing: bit_line_v")
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

  /// The widest pulse ramp of a write-verify or of forming; every amplitude between its ends is covered.
  func ramp(
    _ ramp: PulseRamp, _ kind: PulseKind, name: String, cell: CellBlock? = nil
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
  }
}

extension PulseRamp {
  /// Amplitude of pulse `index` of the ramp: it stays at `stop` once there.
  func amplitude(_ index: Int) -> Double {
    min(start.rawValue + Double(index) * step.rawValue, stop.rawValue)
  }

  /// Pulses until `stop` is reached, that one included; rounding of the decimals must not add one.
  var count: Int {
    guard step.rawValue > 0 else { return 1 }
    let steps = (stop.rawValue - start.rawValue) / step.rawValue
    return steps < 1e6 ? Int((steps - 1e-6).rounded(.up)) + 1 : 1_000_001
  }
}
