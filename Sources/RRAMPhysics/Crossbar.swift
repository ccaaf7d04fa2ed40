import Glibc
public import RRAMProfiles
public import RRAMUnits

/// The cells of one macro: their state, how pulses change it, and what they conduct at a given chip time.
///
/// Cells are numbered row-major (row · columns + column). Chip time is in seconds and comes from the caller; a cell ages
/// only when it is touched, by exactly the time since it was last touched. Every draw is Philox of the chip's seed, the
/// macro, the cell and the cell's own draw counter, so neither the order in which cells are touched nor threads change
/// anything, and a saved state continues bit for bit.
public struct Crossbar: Sendable {
  /// The defect a cell was made with.
  public enum Defect: UInt8, Sendable, Hashable {
    case none
    /// Forms, then stays at the lower asymptote.
    case stuckLow
    /// Shorted from the start: stays at the upper asymptote.
    case stuckHigh
    /// Never forms.
    case unformable
  }

  public let macro: Int
  public let shape: MacroShape
  public let profile: ChipProfile
  public let seed: UInt64
  /// What the physics asserts: the profile's limits, or reads only.
  public let limits: ChipLimits

  // Constants of the die, drawn once.
  let defects: [Defect]
  /// V.
  let formingVoltages: [Float]
  /// V, added to the profile's setVoltage and resetVoltage.
  let setShifts: [Float]
  let resetShifts: [Float]
  let dynamics: CellDynamics

  // State; see Crossbar+State.
  var formed: [UInt8]
  /// Conductance in µS as the last pulse left it, without drift and noise.
  var base: [Float]
  /// Accumulated relaxation in µS since the last write, and its variance in µS².
  var walk: [Float]
  var walkVariance: [Float]
  /// Chip time in seconds of the last write and of the last advance.
  var writeTime: [Double]
  var time: [Double]
  /// Ornstein–Uhlenbeck processes with variance 1, `dynamics.modeCount` a cell.
  var modes: [Float]
  var draws: [UInt32]
  var pulseCounts: [UInt32]
  var readCounts: [UInt32]
  /// Largest |V| on each line and longest pulse in seconds that each cell was given.
  var peakWordLine: [Float]
  var peakBitLine: [Float]
  var peakSourceLine: [Float]
  var longestPulse: [Float]

  /// Counts everything that changed the state: equal revisions mean equal states.
  public internal(set) var revision: UInt64 = 0

  /// What a Philox block is for; the second word of its counter holds the cell, the third the macro.
  enum Purpose: UInt32 {
    case fabrication = 0x4641_4200
    case modes = 0x4D4F_4400
    case walk = 0x5741_4C00
    case pulse = 0x5055_4C00
    case read = 0x5245_4100
  }

  /// A virgin macro: every cell pristine, with the defects and spreads that `seed` gives it.
  public init(profile: ChipProfile, shape: MacroShape, macro: Int, seed: UInt64) {
    self.profile = profile
    self.shape = shape
    self.macro = macro
    self.seed = seed
    limits = profile.limits ?? .readOnly
    dynamics = CellDynamics(profile)
    let count = shape.cellCount
    let cells = profile.cells
    let distribution = FormingDistribution(cells)
    var defects: [Defect] = []
    var formingVoltages: [Float] = []
    var setShifts: [Float] = []
    var resetShifts: [Float] = []
    for cell in 0..<count {
      func block(_ index: UInt32) -> Philox4x32.Block {
        Philox4x32.block(seed: seed, index, UInt32(cell), UInt32(macro), Purpose.fabrication.rawValue)
      }
      let first = block(0)
      let u = Philox4x32.uniform(first.z)
      let low = cells.stuckLowFraction
      let high = low + cells.stuckHighFraction
      let unformable = high + cells.unformableFraction
      defects.append(u < low ? .stuckLow : u < high ? .stuckHigh : u < unformable ? .unformable : .none)
      let z = Philox4x32.normals(first).0
      formingVoltages.append(
        Float((distribution?.voltage(at: z) ?? cells.formingMean + z * cells.formingSigma).rawValue))
      let shifts = Philox4x32.normals(block(1))
      setShifts.append(Float(shifts.0 * profile.programming.deviceSpread.rawValue))
      resetShifts.append(Float(shifts.1 * profile.programming.deviceSpread.rawValue))
    }
    self.defects = defects
    self.formingVoltages = formingVoltages
    self.setShifts = setShifts
    self.resetShifts = resetShifts
    formed = [UInt8](repeating: 0, count: count)
    base = defects.map {
      Float($0 == .stuckHigh ? cells.asymptotes.upperBound.microsiemens : cells.pristine.microsiemens)
    }
    walk = [Float](repeating: 0, count: count)
    walkVariance = walk
    writeTime = [Double](repeating: 0, count: count)
    time = writeTime
    modes = [Float](repeating: 0, count: count * dynamics.modeCount)
    draws = [UInt32](repeating: 0, count: count)
    pulseCounts = draws
    readCounts = draws
    peakWordLine = walk
    peakBitLine = walk
    peakSourceLine = walk
    longestPulse = walk
  }

  public var cellCount: Int { shape.cellCount }

  // MARK: What an instrument cannot see; for tests and reports of the emulator

  public func isFormed(_ cell: Int) -> Bool { formed[cell] != 0 }
  public func defect(of cell: Int) -> Defect { defects[cell] }
  public func formingVoltage(of cell: Int) -> Volts { Volts(Double(formingVoltages[cell])) }
  /// Pulses and reads since the cell was made.
  public func pulseCount(of cell: Int) -> Int { Int(pulseCounts[cell]) }
  public func readCount(of cell: Int) -> Int { Int(readCounts[cell]) }
  /// Largest |V| on word, bit and source line and the longest pulse a cell has ever been given.
  public func stress(of cell: Int) -> (wordLine: Volts, bitLine: Volts, sourceLine: Volts, width: Duration) {
    (
      Volts(Double(peakWordLine[cell])), Volts(Double(peakBitLine[cell])), Volts(Double(peakSourceLine[cell])),
      .nanoseconds(Int64((Double(longestPulse[cell]) * 1e9).rounded()))
    )
  }

  public func address(of cell: Int) -> CellAddress {
    CellAddress(macro: macro, row: cell / shape.columns, column: cell % shape.columns)
  }

  /// Indices of the cells of a block, row-major within it.
  ///
  /// - Throws: ``PhysicsError`` (`shape`) if the block does not fit or names another macro.
  public func cells(of block: CellBlock) throws(PhysicsError) -> [Int] {
    guard block.macro == macro, block.fits(in: shape) else {
      throw PhysicsError(code: .shape, subject: "block", reason: "\(block) is not in macro \(macro) of \(shape)")
    }
    return block.rowRange.flatMap { row in block.columnRange.map { row * shape.columns + $0 } }
  }

  func check(_ cells: [Int]) throws(PhysicsError) {
    guard let bad = cells.first(where: { $0 < 0 || $0 >= cellCount }) else { return }
    throw PhysicsError(code: .shape, subject: "cell", reason: "\(bad) is not below \(cellCount)")
  }

  // MARK: Draws

  mutating func block(_ purpose: Purpose, cell: Int) -> Philox4x32.Block {
    let block = Philox4x32.block(seed: seed, draws[cell], UInt32(cell), UInt32(macro), purpose.rawValue)
    draws[cell] &+= 1
    return block
  }

  // MARK: Ageing

  /// Ages every cell to `time`; a cell already later stays as it is.
  public mutating func advance(to time: Double) {
    guard dynamics.isAlive else { return }
    var decay = ModeDecay(dynamics)
    for cell in 0..<cellCount { advance(cell, to: time, &decay) }
    revision &+= 1
  }

  /// Factors of the last time step: neighbours mostly age by the same time.
  struct ModeDecay {
    private var step = -1.0
    private var age = -1.0
    private var logAge = 0.0
    var keep: [Float]
    var renew: [Float]
    private let correlationTimes: [Double]

    init(_ dynamics: CellDynamics) {
      correlationTimes = dynamics.correlationTimes
      keep = [Float](repeating: 0, count: dynamics.modeCount)
      renew = keep
    }

    /// ln(age/s).
    mutating func logarithm(of newAge: Double) -> Double {
      if newAge != age {
        age = newAge
        logAge = log(newAge)
      }
      return logAge
    }

    /// Exact discretisation: x ← x·e^(−Δt/τ) + ξ·√(1 − e^(−2Δt/τ)).
    mutating func prepare(_ newStep: Double) {
      guard newStep != step else { return }
      step = newStep
      for mode in correlationTimes.indices {
        let x = newStep / correlationTimes[mode]
        keep[mode] = Float(exp(-x))
        renew[mode] = Float((-expm1(-2 * x)).squareRoot())
      }
    }
  }

  mutating func advance(_ cell: Int, to now: Double, _ decay: inout ModeDecay) {
    guard formed[cell] != 0, now > time[cell] else { return }
    if dynamics.modeCount > 0 {
      decay.prepare(now - time[cell])
      renewModes(of: cell, decay)
    }
    time[cell] = now
    guard dynamics.hasWalk else { return }
    let age = now - writeTime[cell]
    let variance = Float(
      dynamics.walkVariance(logTime: decay.logarithm(of: age), amplitude: dynamics.amplitude(at: Double(base[cell]))))
    guard variance > walkVariance[cell] else { return }
    let increment = (variance - walkVariance[cell]).squareRoot()
    walk[cell] += increment * Float(Philox4x32.normals(block(.walk, cell: cell)).0)
    walkVariance[cell] = variance
  }

  mutating func renewModes(of cell: Int, _ decay: borrowing ModeDecay) {
    let count = dynamics.modeCount
    let mask: UInt64 = (1 << UInt64(NormalTable.bits)) - 1
    var first = cell * count
    let end = first + count
    var mode = 0
    while first < end {
      let words = block(.modes, cell: cell)
      var low = UInt64(words.x) | UInt64(words.y) << 32
      var high = UInt64(words.z) | UInt64(words.w) << 32
      // 128 bits hold eleven numbers of 11 bits: five from each half, one from what is left of both.
      let last = min(first + 11, end)
      modes.withUnsafeMutableBufferPointer { modes in
        decay.keep.withUnsafeBufferPointer { keep in
          decay.renew.withUnsafeBufferPointer { renew in
            dynamics.normalTable.withUnsafeBufferPointer { table in
              for index in first..<last {
                let place = index - first
                let bits: UInt64
                if place < 5 {
                  bits = low & mask
                  low >>= 11
                } else if place < 10 {
                  bits = high & mask
                  high >>= 11
                } else {
                  bits = (low << 2 | high & 3) & mask
                }
                modes[index] = modes[index] * keep[mode + place] + renew[mode + place] * table[Int(bits)]
              }
            }
          }
        }
      }
      mode += last - first
      first = last
    }
  }

  // MARK: Conductance

  /// Conductance in µS at the cell's own time, each mode of the 1/f noise times its weight; never below a pristine cell's.
  func conductance(of cell: Int, modeWeights: [Float]) -> Double {
    let floor = profile.cells.pristine.microsiemens
    guard formed[cell] != 0, dynamics.isAlive else { return Double(base[cell]) }
    return max(floor, Double(base[cell]) + drift(of: cell) + stationaryPart(of: cell, modeWeights: modeWeights))
  }

  /// Mean shift and walk in µS.
  func drift(of cell: Int) -> Double {
    let age = time[cell] - writeTime[cell]
    guard age > 0 else { return Double(walk[cell]) }
    return Double(walk[cell]) + dynamics.mean(logTime: log(age), time: age)
  }

  func stationaryPart(of cell: Int, modeWeights: [Float]) -> Double {
    let count = dynamics.modeCount
    guard count > 0 else { return 0 }
    var sum: Float = 0
    modes.withUnsafeBufferPointer { modes in
      modeWeights.withUnsafeBufferPointer { weights in
        for mode in 0..<count { sum += modes[cell * count + mode] * weights[mode] }
      }
    }
    return dynamics.amplitude(at: Double(base[cell])) * Double(dynamics.modeWeight * sum)
  }

  /// True conductances of a block at chip time `time`, row-major: what a matrix product or the closed loop sees.
  ///
  /// - Parameter averaging: length of the use, over which the fast part of the 1/f noise averages; the rest of it is in
  ///   ``nodeNoise(of:over:bandwidth:)``. `nil` gives the momentary values.
  public mutating func conductances(
    of block: CellBlock, at time: Double, averaging: Duration? = nil
  ) throws(PhysicsError) -> [Siemens] {
    let cells = try cells(of: block)
    let weights = averaging.map { dynamics.averagingFactors(over: $0.seconds) } ?? dynamics.fullWeights
    var decay = ModeDecay(dynamics)
    var result: [Siemens] = []
    result.reserveCapacity(cells.count)
    for cell in cells {
      advance(cell, to: time, &decay)
      result.append(.microsiemens(conductance(of: cell, modeWeights: weights)))
    }
    if dynamics.isAlive { revision &+= 1 }
    return result
  }

  /// Variance in S² of each cell's conductance noise within a use of length `duration` seen through a single pole at
  /// `bandwidth` Hz: what ``conductances(of:at:averaging:)`` averages away, and the white noise, density²·(π/2)·bandwidth.
  public func nodeNoise(
    of block: CellBlock, over duration: Duration, bandwidth: Double
  ) throws(PhysicsError) -> [Double] {
    let white = dynamics.whiteDensity * dynamics.whiteDensity * .pi / 2 * bandwidth
    let averaged = dynamics.averagingFactors(over: duration.seconds)
    let weight = Double(dynamics.modeWeight) * Double(dynamics.modeWeight)
    let fast = averaged.reduce(0.0) { $0 + weight * (1 - Double($1) * Double($1)) }
    return try cells(of: block).map { cell in
      guard formed[cell] != 0 else { return 0 }
      let amplitude = dynamics.amplitude(at: Double(base[cell]))
      return (white + amplitude * amplitude * fast) * 1e-12
    }
  }
}
