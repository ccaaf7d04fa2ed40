import RRAMUnits

/// A named array of a saved state.
public struct StateArray: Sendable, Hashable {
  public enum Values: Sendable, Hashable {
    case uint8([UInt8])
    case uint32([UInt32])
    case float32([Float])
    case float64([Double])

    public var count: Int {
      switch self {
      case .uint8(let values): values.count
      case .uint32(let values): values.count
      case .float32(let values): values.count
      case .float64(let values): values.count
      }
    }
  }

  public var name: String
  /// Row-major.
  public var shape: [Int]
  public var values: Values

  public init(name: String, shape: [Int], values: Values) {
    self.name = name
    self.shape = shape
    self.values = values
  }
}

extension Crossbar {
  /// Everything that pulses, reads and time have changed: with profile, seed, macro and shape it is the whole macro.
  ///
  /// Arrays are (rows, columns); `modes` is (modes, rows, columns). Conductances are in µS, times in s, voltages in V.
  public func exportState() -> [StateArray] {
    let plane = [shape.rows, shape.columns]
    return [
      StateArray(name: "formed", shape: plane, values: .uint8(formed)),
      StateArray(name: "base_uS", shape: plane, values: .float32(base)),
      StateArray(name: "walk_uS", shape: plane, values: .float32(walk)),
      StateArray(name: "walk_variance_uS2", shape: plane, values: .float32(walkVariance)),
      StateArray(name: "write_time_s", shape: plane, values: .float64(writeTime)),
      StateArray(name: "time_s", shape: plane, values: .float64(time)),
      StateArray(name: "modes", shape: [dynamics.modeCount] + plane, values: .float32(modes)),
      StateArray(name: "origin_uS", shape: plane, values: .float32(origin)),
      StateArray(name: "stationary_scale_uS", shape: plane, values: .float32(stationaryScale)),
      StateArray(name: "fast_scale_uS", shape: plane, values: .float32(fastScale)),
      StateArray(name: "walk_scale_uS2", shape: plane, values: .float32(walkScale)),
      StateArray(name: "trap_step_uS", shape: plane, values: .float32(trapSize)),
      StateArray(name: "trap_state", shape: plane, values: .uint8(trapState)),
      StateArray(name: "direction", shape: plane, values: .uint8(direction)),
      StateArray(name: "cycle_draw", shape: plane, values: .float32(cycleDraw)),
      StateArray(name: "cycles", shape: plane, values: .float64(cycles)),
      StateArray(name: "failure", shape: plane, values: .uint8(failure)),
      StateArray(name: "row_exposure", shape: [shape.rows], values: .float64(rowExposure)),
      StateArray(name: "exposure_origin", shape: plane, values: .float64(exposureOrigin)),
      StateArray(name: "clock", shape: [3], values: .float64(clock)),
      StateArray(name: "draws", shape: plane, values: .uint32(draws)),
      StateArray(name: "pulses", shape: plane, values: .uint32(pulseCounts)),
      StateArray(name: "reads", shape: plane, values: .uint32(readCounts)),
      StateArray(name: "peak_word_line_V", shape: plane, values: .float32(peakWordLine)),
      StateArray(name: "peak_bit_line_V", shape: plane, values: .float32(peakBitLine)),
      StateArray(name: "peak_source_line_V", shape: plane, values: .float32(peakSourceLine)),
      StateArray(name: "longest_pulse_s", shape: plane, values: .float32(longestPulse)),
    ]
  }

  /// Takes over a state written by ``exportState()`` of a macro with the same profile, seed, number and shape.
  ///
  /// - Throws: ``PhysicsError`` (`state`), with the macro unchanged, if an array is missing, unknown, of another shape or
  ///   kind, or holds a number that is not finite.
  public mutating func importState(_ arrays: [StateArray]) throws(PhysicsError) {
    var byName: [String: StateArray] = [:]
    for array in arrays {
      guard byName.updateValue(array, forKey: array.name) == nil else {
        throw PhysicsError(code: .state, subject: array.name, reason: "stands twice")
      }
    }
    var copy = self
    for expected in exportState() {
      guard let array = byName.removeValue(forKey: expected.name) else {
        throw PhysicsError(code: .state, subject: expected.name, reason: "is missing")
      }
      guard array.shape == expected.shape, array.values.count == expected.values.count else {
        throw PhysicsError(
          code: .state, subject: array.name, reason: "has shape \(array.shape), not \(expected.shape)")
      }
      try copy.take(array)
    }
    if let extra = byName.keys.min() { throw PhysicsError(code: .state, subject: extra, reason: "is not known") }
    for (name, values, largest) in [
      ("formed", copy.formed, 1), ("trap_state", copy.trapState, 1), ("direction", copy.direction, 2),
      ("failure", copy.failure, 2),
    ] where !values.allSatisfy({ $0 <= UInt8(largest) }) {
      throw PhysicsError(code: .state, subject: name, reason: "holds more than 0 to \(largest)")
    }
    guard copy.clock[0] > 0 else {
      throw PhysicsError(code: .state, subject: "clock", reason: "shows a temperature of \(copy.clock[0]) K")
    }
    copy.revision = revision &+ 1
    self = copy
  }

  private mutating func take(_ array: StateArray) throws(PhysicsError) {
    switch (array.name, array.values) {
    case ("formed", .uint8(let values)): formed = values
    case ("trap_state", .uint8(let values)): trapState = values
    case ("direction", .uint8(let values)): direction = values
    case ("failure", .uint8(let values)): failure = values
    case ("draws", .uint32(let values)): draws = values
    case ("pulses", .uint32(let values)): pulseCounts = values
    case ("reads", .uint32(let values)): readCounts = values
    case (_, .float64(let values)) where values.allSatisfy(\.isFinite):
      switch array.name {
      case "write_time_s": writeTime = values
      case "time_s": time = values
      case "cycles": cycles = values
      case "row_exposure": rowExposure = values
      case "exposure_origin": exposureOrigin = values
      case "clock": clock = values
      default: throw wrongKind(array)
      }
    case (_, .float32(let values)) where values.allSatisfy(\.isFinite):
      switch array.name {
      case "base_uS": base = values
      case "walk_uS": walk = values
      case "walk_variance_uS2": walkVariance = values
      case "modes": modes = values
      case "origin_uS": origin = values
      case "stationary_scale_uS": stationaryScale = values
      case "fast_scale_uS": fastScale = values
      case "walk_scale_uS2": walkScale = values
      case "trap_step_uS": trapSize = values
      case "cycle_draw": cycleDraw = values
      case "peak_word_line_V": peakWordLine = values
      case "peak_bit_line_V": peakBitLine = values
      case "peak_source_line_V": peakSourceLine = values
      case "longest_pulse_s": longestPulse = values
      default: throw wrongKind(array)
      }
    case (_, .float32), (_, .float64):
      throw PhysicsError(code: .state, subject: array.name, reason: "holds a number that is not finite")
    default: throw wrongKind(array)
    }
  }

  private func wrongKind(_ array: StateArray) -> PhysicsError {
    PhysicsError(code: .state, subject: array.name, reason: "holds numbers of another kind")
  }
}
