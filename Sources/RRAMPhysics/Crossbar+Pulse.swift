import Glibc
import RRAMProfiles
public import RRAMUnits

extension Crossbar {
  /// Gives one and the same pulse to every cell of `cells`.
  ///
  /// - Parameter time: chip time in seconds at the end of the pulse.
  /// - Throws: ``PhysicsError`` (`overLimit`, `shape`) before any cell has changed.
  public mutating func pulse(_ cells: [Int], _ pulse: Pulse, at time: Double) throws(PhysicsError) {
    try check(cells)
    guard let first = cells.first else { return }
    try assertLimits(pulse, cell: first)
    var decay = ModeDecay(dynamics)
    for cell in cells { apply(pulse, to: cell, at: time, &decay) }
    revision &+= 1
  }

  /// Gives every cell of `cells` a pulse of its own amplitude on the line that the kind of `pulse` drives.
  ///
  /// - Parameters:
  ///   - amplitudes: one a cell, in the order of `cells`.
  ///   - time: chip time in seconds at the end of the pulse.
  /// - Throws: ``PhysicsError`` (`overLimit`, `shape`) before any cell has changed.
  public mutating func pulse(
    _ cells: [Int], _ pulse: Pulse, amplitudes: [Volts], at time: Double
  ) throws(PhysicsError) {
    try check(cells)
    guard cells.count == amplitudes.count else {
      throw PhysicsError(
        code: .shape, subject: "amplitudes", reason: "\(amplitudes.count) given for \(cells.count) cells")
    }
    for (cell, amplitude) in zip(cells, amplitudes) { try assertLimits(pulse.withAmplitude(amplitude), cell: cell) }
    var decay = ModeDecay(dynamics)
    for (cell, amplitude) in zip(cells, amplitudes) {
      apply(pulse.withAmplitude(amplitude), to: cell, at: time, &decay)
    }
    revision &+= 1
  }

  /// Host and firmware refuse such a pulse long before; if it comes here, one of them is wrong.
  private func assertLimits(_ pulse: Pulse, cell: Int) throws(PhysicsError) {
    func require(_ name: String, _ value: Volts, _ limit: Volts) throws(PhysicsError) {
      // The negated comparison refuses NaN as well.
      guard !(value.magnitude <= limit) else { return }
      throw PhysicsError(
        code: .overLimit, subject: name, cell: address(of: cell), reason: "\(value) exceeds the limit of \(limit)")
    }
    try require("wordLine", pulse.wordLine, limits.wordLine)
    if pulse.kind == .forming {
      try require("forming", pulse.bitLine, limits.forming)
    } else {
      try require("bitLine", pulse.bitLine, limits.bitLine)
    }
    try require("sourceLine", pulse.sourceLine, limits.sourceLine)
    guard limits.pulsesPerRequest > 0 else {
      throw PhysicsError(
        code: .overLimit, subject: "pulsesPerRequest", cell: address(of: cell), reason: "pulses are forbidden")
    }
    guard limits.pulseWidth.contains(pulse.width) else {
      throw PhysicsError(
        code: .overLimit, subject: "pulseWidth", cell: address(of: cell),
        reason: "\(pulse.width) is outside \(limits.pulseWidth.lowerBound) … \(limits.pulseWidth.upperBound)")
    }
  }

  private mutating func apply(_ pulse: Pulse, to cell: Int, at now: Double, _ decay: inout ModeDecay) {
    pulseCounts[cell] &+= 1
    peakWordLine[cell] = max(peakWordLine[cell], Float(pulse.wordLine.magnitude.rawValue))
    peakBitLine[cell] = max(peakBitLine[cell], Float(pulse.bitLine.magnitude.rawValue))
    peakSourceLine[cell] = max(peakSourceLine[cell], Float(pulse.sourceLine.magnitude.rawValue))
    longestPulse[cell] = max(longestPulse[cell], Float(pulse.width.seconds))

    guard pulse.wordLine >= profile.cells.selectorThreshold else { return }
    let defect = defects[cell]
    guard defect != .unformable, defect != .stuckHigh else { return }
    if formed[cell] == 0 {
      form(cell, at: pulse.cellVoltage.rawValue, now)
    } else if defect != .stuckLow {
      switchCell(cell, by: pulse, at: now, &decay)
    }
  }

  /// Forming happens at once when the voltage reaches the cell's own; every volt beyond it makes a stronger filament.
  private mutating func form(_ cell: Int, at voltage: Double, _ now: Double) {
    let excess = voltage - Double(formingVoltages[cell])
    guard excess >= 0 else { return }
    let cells = profile.cells
    let spread = 1 + cells.formedSpread * Philox4x32.normals(block(.pulse, cell: cell)).0
    let conductance =
      defects[cell] == .stuckLow
      ? cells.asymptotes.lowerBound
      : min(
        max(cells.formedConductance * spread + Siemens(cells.formedOvershoot * excess), cells.asymptotes.lowerBound),
        cells.asymptotes.upperBound)
    formed[cell] = 1
    base[cell] = Float(conductance.microsiemens)
    restartWalk(of: cell, at: now)
    time[cell] = now
    // A new filament starts in the stationary state of its noise.
    var fresh = ModeDecay(dynamics)
    fresh.prepare(.infinity)
    if dynamics.modeCount > 0 { renewModes(of: cell, fresh) }
  }

  private mutating func restartWalk(of cell: Int, at now: Double) {
    walk[cell] = 0
    walkVariance[cell] = 0
    writeTime[cell] = now
  }

  private mutating func switchCell(_ cell: Int, by pulse: Pulse, at now: Double, _ decay: inout ModeDecay) {
    let programming = profile.programming
    let voltage = pulse.cellVoltage.rawValue
    guard abs(voltage) >= programming.threshold.rawValue, voltage != 0 else { return }
    advance(cell, to: now, &decay)
    let isSet = voltage > 0
    let scale =
      isSet
      ? programming.setVoltage.rawValue + Double(setShifts[cell])
      : programming.resetVoltage.rawValue + Double(resetShifts[cell])
    var logRate = (abs(voltage) - scale) / programming.voltsPerDecade.rawValue * 2.302_585_092_994_046
    if programming.cycleSpread > 0 {
      logRate += programming.cycleSpread * Philox4x32.normals(block(.pulse, cell: cell)).0
    }
    let exposure = pulse.width.seconds / programming.referenceWidth.seconds * exp(logRate)
    let asymptotes = profile.cells.asymptotes
    var goal = (isSet ? asymptotes.upperBound : asymptotes.lowerBound).microsiemens
    if isSet, programming.setControl == .gate, let gate = programming.gate {
      // The gate limits the current and with it how strong the filament can get.
      goal = min(goal, gate.slope * (pulse.wordLine - gate.threshold).rawValue * 1e6)
    }
    let stationary = stationaryPart(of: cell, modeWeights: dynamics.fullWeights)
    let drifted = Double(base[cell]) + drift(of: cell)
    let distance = goal - (drifted + stationary)
    guard isSet ? distance > 0 : distance < 0 else { return }
    let move = -expm1(-exposure) * distance
    let amplitude = dynamics.amplitude(at: Double(base[cell]))
    let restarts = abs(move) > 2 * amplitude * dynamics.readSigma
    if restarts {
      base[cell] = Float(drifted + move)
      restartWalk(of: cell, at: now)
    } else {
      base[cell] += Float(move)
    }
    // The traps keep their state, but their size follows the conductance: the whole still moves by `move`.
    base[cell] += Float(stationary - stationaryPart(of: cell, modeWeights: dynamics.fullWeights))
  }
}
