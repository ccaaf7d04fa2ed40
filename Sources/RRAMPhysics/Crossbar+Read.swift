public import RRAMProfiles
public import RRAMUnits

extension Crossbar {
  /// How a cell is read.
  public struct ReadOut: Sendable, Hashable {
    public var sensing: BoardDescription.Sensing
    public var wordLine: Volts
    /// Across the cell.
    public var voltage: Volts
    /// Index into `sensing.ranges`.
    public var range: Int
    /// Conversions averaged a cell.
    public var averages: Int

    public init(
      sensing: BoardDescription.Sensing, wordLine: Volts, voltage: Volts, range: Int, averages: Int = 1
    ) {
      self.sensing = sensing
      self.wordLine = wordLine
      self.voltage = voltage
      self.range = range
      self.averages = averages
    }
  }

  /// What was read: one entry a cell.
  public struct Readings: Sendable, Hashable {
    /// Means over the conversions.
    public var conductances: [Siemens]
    /// True where a conversion was beyond the converter's range.
    public var saturated: [Bool]
  }

  /// Conductances as an ideal instrument sees them in `integration`, with the cells' own noise and nothing else.
  ///
  /// The 1/f noise faster than the integration averages; white noise of density d adds σ = d/√(2·integration).
  public mutating func read(
    _ cells: [Int], integration: Duration, at time: Double
  ) throws(PhysicsError) -> [Siemens] {
    try check(cells)
    let weights = averagedWeights(over: integration.seconds)
    let white = whiteSigma(over: integration)
    age(cells, to: cellTime(time))
    var result: [Siemens] = []
    result.reserveCapacity(cells.count)
    for cell in cells {
      readCounts[cell] &+= 1
      var value = conductance(of: cell, weights: weights)
      if white > 0, formed[cell] != 0 { value += white * Philox4x32.normals(block(.read, cell: cell)).0 }
      result.append(.microsiemens(value))
    }
    revision &+= 1
    return result
  }

  /// Reads cells through amplifier and converter.
  ///
  /// - Parameters:
  ///   - time: chip time in seconds of the read.
  ///   - factors: what wires leave of each cell's conductance; empty for all of it.
  /// - Throws: ``PhysicsError`` (`overLimit`, `shape`): a read voltage above the limit never reaches a cell.
  public mutating func read(
    _ cells: [Int], _ readOut: ReadOut, at time: Double, factors: [Double] = []
  ) throws(PhysicsError) -> Readings {
    try check(cells)
    if let first = cells.first { try assertLimits(readOut, cell: first) }
    let sensing = readOut.sensing
    let averages = readOut.averages
    let duration = sensing.integrationTime * averages
    let weights = averagedWeights(over: duration.seconds)
    let transport = CellTransport(profile.cells, CellBias(wordLine: readOut.wordLine, voltage: readOut.voltage))
    let dose = profile.disturb.exposure(at: readOut.voltage, for: duration)
    // White noise of the cell and noise of the converter, both at the converter's input.
    let voltsPerMicrosiemens = readOut.voltage.rawValue * sensing.ranges[readOut.range].rawValue * 1e-6
    let cellNoise = whiteSigma(over: sensing.integrationTime) * voltsPerMicrosiemens
    let converterNoise = sensing.converterNoise.rawValue
    let noise = (cellNoise * cellNoise + converterNoise * converterNoise).squareRoot()
    let periphery = SensingPeriphery(sensing, seed: seed, macro: macro)
    age(cells, to: cellTime(time))
    var result = Readings(conductances: [], saturated: [])
    result.conductances.reserveCapacity(cells.count)
    result.saturated.reserveCapacity(cells.count)
    for (place, cell) in cells.enumerated() {
      let factor = factors.isEmpty ? 1 : factors[place]
      readCounts[cell] &+= 1
      let conductance = conductance(of: cell, weights: weights)
      // A closed selector leaves what leaks past it.
      let value = Siemens.microsiemens(
        factor * (transport.isOpen ? transport.seen(conductance) : Double(made.leaks[cell])))
      // Read disturb: a cell's own time at voltage.
      if dose > 0, formed[cell] != 0 { exposureOrigin[cell] -= dose }
      var sum = 0.0
      var isSaturated = false
      var pair = (0.0, 0.0)
      for index in 0..<averages {
        if noise > 0 {
          pair = index.isMultiple(of: 2) ? Philox4x32.normals(block(.read, cell: cell)) : (pair.1, 0)
        }
        var conversion = sensing.convert(
          value, at: readOut.voltage, range: readOut.range, noise: Volts(noise * pair.0))
        if !periphery.isIdeal {
          let voltage = value * readOut.voltage * sensing.ranges[readOut.range]
          conversion = sensing.converter.convert(
            periphery.seen(voltage + Volts(noise * pair.0), column: cell % shape.columns, range: readOut.range))
        }
        isSaturated = isSaturated || conversion.isSaturated
        sum += sensing.conductance(of: conversion.code, at: readOut.voltage, range: readOut.range).rawValue
      }
      result.conductances.append(Siemens(sum / Double(averages)))
      result.saturated.append(isSaturated)
    }
    revision &+= 1
    return result
  }

  /// σ in µS of the white noise averaged over `integration`.
  private func whiteSigma(over integration: Duration) -> Double {
    dynamics.whiteDensity / (2 * integration.seconds).squareRoot()
  }

  private func assertLimits(_ readOut: ReadOut, cell: Int) throws(PhysicsError) {
    for (name, value, limit) in [
      ("read", readOut.voltage, limits.read), ("wordLine", readOut.wordLine, limits.wordLine),
    ] where !(value.magnitude <= limit) {
      throw PhysicsError(
        code: .overLimit, subject: name, cell: address(of: cell), reason: "\(value) exceeds the limit of \(limit)")
    }
    guard readOut.voltage > .zero, readOut.averages > 0, readOut.sensing.ranges.indices.contains(readOut.range) else {
      throw PhysicsError(
        code: .shape, subject: "read", cell: address(of: cell),
        reason: "\(readOut.averages) conversions at \(readOut.voltage) in range \(readOut.range) cannot be made")
    }
  }
}
