import Glibc
public import RRAMProfiles
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
    let now = cellTime(time)
    prepare(cells, pulse, now)
    let weights = fullWeights
    for cell in cells { apply(pulse, to: cell, at: now, weights) }
    expose(cells, pulse) { _ in pulse.bitLine.rawValue }
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
    let now = cellTime(time)
    prepare(cells, pulse, now)
    let weights = fullWeights
    for (cell, amplitude) in zip(cells, amplitudes) {
      apply(pulse.withAmplitude(amplitude), to: cell, at: now, weights)
    }
    if pulse.kind != .reset { expose(cells, pulse) { amplitudes[$0].rawValue } }
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

  /// Ages the cells that the pulse can reach.
  private mutating func prepare(_ cells: [Int], _ pulse: Pulse, _ now: Double) {
    guard dynamics.isAlive, pulse.wordLine >= profile.cells.selectorThreshold else { return }
    age(cells.filter { formed[$0] != 0 }, to: now)
  }

  private mutating func apply(_ pulse: Pulse, to cell: Int, at now: Double, _ weights: ModeWeights) {
    pulseCounts[cell] &+= 1
    peakWordLine[cell] = max(peakWordLine[cell], Float(pulse.wordLine.magnitude.rawValue))
    peakBitLine[cell] = max(peakBitLine[cell], Float(pulse.bitLine.magnitude.rawValue))
    peakSourceLine[cell] = max(peakSourceLine[cell], Float(pulse.sourceLine.magnitude.rawValue))
    longestPulse[cell] = max(longestPulse[cell], Float(pulse.width.seconds))

    guard pulse.wordLine >= profile.cells.selectorThreshold else { return }
    let defect = made.defects[cell]
    guard defect != .unformable, defect != .stuckHigh else { return }
    if formed[cell] == 0 {
      form(cell, at: pulse.cellVoltage.rawValue, now, weights)
    } else if defect != .stuckLow, failure[cell] == 0 {
      switchCell(cell, by: pulse, at: now, weights)
    }
  }

  /// Forming happens at once when the voltage reaches the cell's own; every volt beyond it makes a stronger filament.
  private mutating func form(_ cell: Int, at voltage: Double, _ now: Double, _ weights: ModeWeights) {
    let excess = voltage - Double(made.formingVoltages[cell])
    guard excess >= 0 else { return }
    let cells = profile.cells
    let spread = 1 + cells.formedSpread * Philox4x32.normals(block(.pulse, cell: cell)).0
    let conductance =
      made.defects[cell] == .stuckLow
      ? cells.asymptotes.lowerBound
      : min(
        max(cells.formedConductance * spread + Siemens(cells.formedOvershoot * excess), cells.asymptotes.lowerBound),
        cells.asymptotes.upperBound)
    formed[cell] = 1
    direction[cell] = 1
    // A new filament starts in the stationary state of its noise: it is as if it had been there for ever.
    time[cell] = now - 1e15
    writeTime[cell] = now
    age([cell], to: now)
    time[cell] = now
    settle(cell, at: conductance.microsiemens, now, weights)
  }

  /// A write to `conductance` in µS, all parts of the noise included: drift and walk begin anew, the traps keep their state.
  mutating func settle(_ cell: Int, at conductance: Double, _ now: Double, _ weights: ModeWeights) {
    let scales = dynamics.scales(at: conductance)
    stationaryScale[cell] = Float(scales.stationary) * made.stationaryStrengths[cell]
    fastScale[cell] = Float(scales.fast)
    walkScale[cell] = Float(scales.walk)
    if let spread = profile.relaxation.components?.accumulatingSpread, spread > 0 {
      // Log-normal with mean 1: every write leaves another filament, and one that relaxes much need not do so when written again.
      let z = Philox4x32.normals(block(.write, cell: cell)).0
      walkScale[cell] *= Float(exp(spread * z - spread * spread / 2))
    }
    trapSize[cell] = Float(conductance) * made.trapSteps[cell]
    origin[cell] = Float(stationaryPart(of: cell, weights: weights))
    walk[cell] = 0
    walkVariance[cell] = 0
    writeTime[cell] = now
    exposureOrigin[cell] = rowExposure[cell / shape.columns]
    base[cell] = Float(conductance) - trapSize[cell] * (trapState[cell] == 0 ? -0.5 : 0.5)
  }

  private mutating func switchCell(_ cell: Int, by pulse: Pulse, at now: Double, _ weights: ModeWeights) {
    let programming = profile.programming
    let endpoints = programming.endpoints
    let voltage = pulse.cellVoltage.rawValue
    guard abs(voltage) >= programming.threshold.rawValue, voltage != 0 else { return }
    let isSet = voltage > 0
    let scale =
      isSet
      ? programming.setVoltage.rawValue + Double(made.setShifts[cell])
      : programming.resetVoltage.rawValue + Double(made.resetShifts[cell])
    var logRate = (abs(voltage) - scale) / programming.voltsPerDecade.rawValue * 2.302_585_092_994_046
    var fresh = (0.0, 0.0)
    if programming.cycleSpread > 0 || endpoints.pulse > 0 || (!isSet && endpoints.resetCycle > 0) {
      fresh = Philox4x32.normals(block(.pulse, cell: cell))
      logRate += programming.cycleSpread * fresh.0
    }
    let half: UInt8 = isSet ? 1 : 2
    if direction[cell] != half {
      direction[cell] = half
      if isSet, endpoints.cycle > 0 {
        cycleDraw[cell] = Float(Philox4x32.normals(block(.cycle, cell: cell)).0)
      }
    }
    let exposure = pulse.width.seconds / programming.referenceWidth.seconds * exp(logRate)
    let goal = isSet ? setGoal(of: cell, pulse, fresh.1) : resetGoal(of: cell, abs(voltage), fresh.1)
    let before = conductance(of: cell, weights: weights) - Double(made.leaks[cell])
    let distance = goal - before
    guard isSet ? distance > 0 : distance < 0 else { return }
    let move = -expm1(-exposure) * distance
    // Wear: a SET and a RESET across the window make one cycle.
    let window = (profile.cells.conductance.upperBound - profile.cells.conductance.lowerBound).microsiemens
    cycles[cell] += abs(move) / (2 * window)
    if cycles[cell] > Double(made.lives[cell]) {
      failure[cell] = made.endsShorted[cell] ? 2 : 1
      let asymptotes = profile.cells.asymptotes
      settle(
        cell, at: (made.endsShorted[cell] ? asymptotes.upperBound : asymptotes.lowerBound).microsiemens, now, weights)
    } else if abs(move) > 2 * dynamics.readSigma(at: before) {
      settle(cell, at: before + move, now, weights)
    } else {
      base[cell] += Float(move)
    }
  }

  /// Where SET pulses drive a cell, µS: what the gate permits, or the upper asymptote, spread by device, cycle and pulse.
  private func setGoal(of cell: Int, _ pulse: Pulse, _ fresh: Double) -> Double {
    let programming = profile.programming
    let endpoints = programming.endpoints
    let top = profile.cells.asymptotes.upperBound.microsiemens
    var goal = top
    if programming.setControl == .gate, let gate = programming.gate {
      // The gate limits the current and with it how strong the filament can get.
      goal = max(0, gate.slope * (pulse.wordLine - gate.threshold).rawValue * 1e6)
    }
    let wear = profile.wear
    let worn =
      cycles[cell] > 0 && (wear.setLoss > 0 || wear.spreadGrowth > 0) ? log10(1 + cycles[cell] / wear.onset) : 0
    let spread =
      endpoints.pulse * fresh + endpoints.cycle * Double(cycleDraw[cell])
      + endpoints.device * (1 + wear.spreadGrowth * worn) * Double(made.setQuality[cell]) - wear.setLoss * worn
    return spread == 0 ? min(goal, top) : min(goal * exp(spread), top)
  }

  /// Where a RESET pulse of amplitude `voltage` drives a cell, µS: a fresh draw every time, as published cycles have one RESET each.
  private func resetGoal(of cell: Int, _ voltage: Double, _ fresh: Double) -> Double {
    let endpoints = profile.programming.endpoints
    let asymptotes = profile.cells.asymptotes
    let decades =
      endpoints.resetCycle * fresh + endpoints.resetDevice * Double(made.resetQuality[cell])
      - endpoints.resetDepth * max(0, voltage - endpoints.resetReference.rawValue)
    guard decades != 0 else { return asymptotes.lowerBound.microsiemens }
    return min(
      max(asymptotes.lowerBound.microsiemens * pow(10, decades), profile.cells.pristine.microsiemens),
      asymptotes.upperBound.microsiemens)
  }

  // MARK: Time at voltage

  /// Cells of a block stay at voltage in the closed loop, each at its row's.
  ///
  /// - Parameter exposures: one a row of the block, as `ChipProfile.Disturb.exposure(at:for:)` gives them.
  public mutating func expose(_ block: CellBlock, rows exposures: [Double]) {
    guard exposures.contains(where: { $0 > 0 }) else { return }
    for (row, exposure) in exposures.enumerated() where exposure > 0 {
      let first = (block.firstRow + row) * shape.columns + block.firstColumn
      for cell in first..<first + block.shape.columns where formed[cell] != 0 { exposureOrigin[cell] -= exposure }
    }
    revision &+= 1
  }

  /// Half-select: in a pulsed row all gates are open, and the source lines of unselected columns stand at what leaves `inhibit` of the
  /// bit line's voltage across their cells; where that closes their selectors, as in forming, nothing happens.
  ///
  /// The pulses of one call to one row are given side by side and count once, with the largest amplitude. Under RESET the row's
  /// bit line is grounded and other rows' gates are closed: nobody else sees the source line.
  private mutating func expose(_ cells: [Int], _ pulse: Pulse, _ amplitude: (Int) -> Double) {
    let disturb = profile.disturb
    guard disturb.rate > 0, disturb.inhibit > 0, pulse.kind != .reset else { return }
    var highest: [Int: Double] = [:]
    for (index, cell) in cells.enumerated() {
      highest[cell / shape.columns] = max(highest[cell / shape.columns] ?? 0, amplitude(index))
    }
    let gate = pulse.wordLine.rawValue - profile.cells.selectorThreshold.rawValue
    let doses = highest.mapValues { voltage in
      gate >= (1 - disturb.inhibit) * voltage
        ? disturb.exposure(at: Volts(disturb.inhibit * voltage), for: pulse.width) : 0
    }
    guard doses.values.contains(where: { $0 > 0 }) else { return }
    for (row, dose) in doses { rowExposure[row] += dose }
    for cell in Set(cells) { exposureOrigin[cell] += doses[cell / shape.columns] ?? 0 }
  }
}

extension ChipProfile.Disturb {
  /// Exposure of a cell that is at `voltage` for `time` and not being written, a number: the share 1 − exp(−exposure) of what is left to
  /// the upper asymptote is what it moves. 0 for negative voltages.
  public func exposure(at voltage: Volts, for time: Duration) -> Double {
    guard rate > 0, voltage > .zero else { return 0 }
    return time.seconds * rate * pow(10, (voltage - self.voltage) / voltsPerDecade)
  }
}
