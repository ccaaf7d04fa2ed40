public import RRAMUnits

/// Write-verify by attempts: a RESET of the RESET ramp's stop, then SET pulses of the SET ramp's stop whose word line climbs.
///
/// A cell above its window, or below it at the end of the ramp, begins another attempt. With a step of 0 an attempt is one SET.
public struct GateRamp: Sendable, Hashable {
  /// Word line of the first SET of an attempt, V, one a selected cell; NaN: RESET alone reaches the target.
  public var first: [Float]
  public var step: Volts
  public var stop: Volts

  public init(first: [Float], step: Volts, stop: Volts) {
    self.first = first
    self.step = step
    self.stop = stop
  }
}

/// Write-verify by pulses computed from a response to them, which is corrected for each cell by what its own pulses did.
///
/// A pulse of amplitude V and width w moves a cell by (goal − G)·(1 − exp(−(w/referenceWidth)·10^((V − v₁)/voltsPerDecade))), the
/// exponential voltage–time relation of filamentary switching.
public struct PulseResponse: Sendable, Hashable {
  /// v₁ of SET and RESET, and the conductance that either approaches.
  public var set: Volts
  public var setGoal: Siemens
  public var reset: Volts
  public var resetGoal: Siemens
  public var voltsPerDecade: Volts
  /// Whole nanoseconds.
  public var referenceWidth: Duration
  /// σ of ln(rate) from pulse to pulse.
  public var rateSpread: Double
  /// σ of v₁ from cell to cell.
  public var cellSpread: Volts
  /// A SET of the ramp's stop with V on the word line leaves gateSlope·(V − gateThreshold); slope 0: the gate is not used.
  public var gateThreshold: Volts
  /// Siemens per volt.
  public var gateSlope: Double
  /// σ of ln(G) after such a SET, from pulse to pulse and from cell to cell.
  public var gatePulseSpread: Double
  public var gateCellSpread: Double
  /// σ of a verify read ÷ G.
  public var readSpread: Double
  /// Amplitudes and word lines are multiples of this.
  public var grid: Volts
  /// What is known of each selected cell, three numbers each: added to v₁ of SET and of RESET (V), and to ln(G) after a SET by the gate;
  /// NaN where nothing is. Empty: nothing of any cell.
  public var offsets: [Float]

  public init(
    set: Volts, setGoal: Siemens, reset: Volts, resetGoal: Siemens, voltsPerDecade: Volts, referenceWidth: Duration,
    rateSpread: Double, cellSpread: Volts, gateThreshold: Volts = .zero, gateSlope: Double = 0,
    gatePulseSpread: Double = 0, gateCellSpread: Double = 0, readSpread: Double, grid: Volts, offsets: [Float] = []
  ) {
    self.set = set
    self.setGoal = setGoal
    self.reset = reset
    self.resetGoal = resetGoal
    self.voltsPerDecade = voltsPerDecade
    self.referenceWidth = referenceWidth
    self.rateSpread = rateSpread
    self.cellSpread = cellSpread
    self.gateThreshold = gateThreshold
    self.gateSlope = gateSlope
    self.gatePulseSpread = gatePulseSpread
    self.gateCellSpread = gateCellSpread
    self.readSpread = readSpread
    self.grid = grid
    self.offsets = offsets
  }
}

extension GateRamp {
  init(_ message: Rram_Board_V1_GateRamp, count: Int) throws(WireError) {
    first = try unpack(message.firstV, count: count, "gate_ramp.first_v")
    step = try quantity(message.stepV, "gate_ramp.step_v")
    stop = try quantity(message.stopV, "gate_ramp.stop_v")
    guard step.rawValue >= 0 else {
      throw WireError(.outOfRange, field: "gate_ramp.step_v", "\(step) does not rise")
    }
    for value in first where !(value.isNaN || value > 0 && value <= message.stopV) {
      throw WireError(.outOfRange, field: "gate_ramp.first_v", "\(value) V is not above 0 and at most \(stop)")
    }
  }

  func message(count: Int) throws(WireError) -> Rram_Board_V1_GateRamp {
    var message = Rram_Board_V1_GateRamp()
    try check(first, count: count, "gate_ramp.first_v")
    message.firstV = pack(first)
    message.stepV = try wireFloat(step, "gate_ramp.step_v")
    message.stopV = try wireFloat(stop, "gate_ramp.stop_v")
    return message
  }
}

extension PulseResponse {
  init(_ message: Rram_Board_V1_PulseResponse, count: Int) throws(WireError) {
    func positive(_ value: Float, _ name: String) throws(WireError) -> Double {
      guard value > 0, value.isFinite else {
        throw WireError(.outOfRange, field: "pulse_response.\(name)", "\(value) is not above 0")
      }
      return Double(value.description) ?? Double(value)
    }
    func spread(_ value: Float, _ name: String) throws(WireError) -> Double {
      guard value >= 0, value.isFinite else {
        throw WireError(.outOfRange, field: "pulse_response.\(name)", "\(value) is no number from 0 on")
      }
      return Double(value.description) ?? Double(value)
    }
    set = Volts(try positive(message.setV, "set_v"))
    setGoal = Siemens(try positive(message.setGoalS, "set_goal_s"))
    reset = Volts(try positive(message.resetV, "reset_v"))
    resetGoal = Siemens(try spread(message.resetGoalS, "reset_goal_s"))
    voltsPerDecade = Volts(try positive(message.voltsPerDecade, "volts_per_decade"))
    guard message.referenceWidthNs > 0 else {
      throw WireError(.outOfRange, field: "pulse_response.reference_width_ns", "0 is no width")
    }
    referenceWidth = .nanoseconds(Int64(message.referenceWidthNs))
    rateSpread = try spread(message.rateSpread, "rate_spread")
    cellSpread = Volts(try spread(message.cellSpreadV, "cell_spread_v"))
    gateThreshold = try quantity(message.gateThresholdV, "pulse_response.gate_threshold_v")
    gateSlope = try spread(message.gateSlopeSPerV, "gate_slope_s_per_v")
    gatePulseSpread = try spread(message.gatePulseSpread, "gate_pulse_spread")
    gateCellSpread = try spread(message.gateCellSpread, "gate_cell_spread")
    readSpread = try spread(message.readSpread, "read_spread")
    grid = Volts(try positive(message.gridV, "grid_v"))
    offsets = try unpackOptional(message.offsets, count: 3 * count, "pulse_response.offsets")
  }

  func message(count: Int) throws(WireError) -> Rram_Board_V1_PulseResponse {
    var message = Rram_Board_V1_PulseResponse()
    message.setV = try wireFloat(set, "pulse_response.set_v")
    message.setGoalS = try wireFloat(setGoal, "pulse_response.set_goal_s")
    message.resetV = try wireFloat(reset, "pulse_response.reset_v")
    message.resetGoalS = try wireFloat(resetGoal, "pulse_response.reset_goal_s")
    message.voltsPerDecade = try wireFloat(voltsPerDecade, "pulse_response.volts_per_decade")
    message.referenceWidthNs = try wireNanoseconds(referenceWidth, "pulse_response.reference_width_ns")
    message.rateSpread = Float(rateSpread)
    message.cellSpreadV = try wireFloat(cellSpread, "pulse_response.cell_spread_v")
    message.gateThresholdV = try wireFloat(gateThreshold, "pulse_response.gate_threshold_v")
    message.gateSlopeSPerV = Float(gateSlope)
    message.gatePulseSpread = Float(gatePulseSpread)
    message.gateCellSpread = Float(gateCellSpread)
    message.readSpread = Float(readSpread)
    message.gridV = try wireFloat(grid, "pulse_response.grid_v")
    try check(offsets, count: 3 * count, orEmpty: true, "pulse_response.offsets")
    message.offsets = pack(offsets)
    return message
  }
}
