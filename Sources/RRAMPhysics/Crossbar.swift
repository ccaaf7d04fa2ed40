import CAnalogKernel
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

  /// Constants of the die, drawn once.
  let made: Fabrication
  let dynamics: CellDynamics

  // State; see Crossbar+State. Conductances are in µS.
  var formed: [UInt8]
  /// Conductance as the last write left it, without what moved since.
  var base: [Float]
  /// Stationary part at the last write: drift and noise count from there.
  var origin: [Float]
  /// Sizes that the last write gave to the cell: σ of one mode, σ of the fast mode, variance of the walk, step of the trap.
  var stationaryScale: [Float]
  var fastScale: [Float]
  var walkScale: [Float]
  var trapSize: [Float]
  /// Accumulated relaxation since the last write, and its variance in µS².
  var walk: [Float]
  var walkVariance: [Float]
  /// Seconds of the cells' clock at the last write and at the last advance.
  var writeTime: [Double]
  var time: [Double]
  /// Ornstein–Uhlenbeck processes with variance 1: `dynamics.modeCount` planes of one number a cell.
  var modes: [Float]
  var trapState: [UInt8]
  /// 1 after a SET, 2 after a RESET, 0 before either; and the SET's draw of the cycle.
  var direction: [UInt8]
  var cycleDraw: [Float]
  /// SET–RESET cycles.
  var cycles: [Double]
  /// 0 alive, 1 worn out low, 2 shorted.
  var failure: [UInt8]
  /// Cumulated exposure to voltage of each row's unselected cells, and how much of it is not each cell's own or is past.
  var rowExposure: [Double]
  var exposureOrigin: [Double]
  /// The cells' clock: at chip time `[1]` it stood at `[2]`, and runs as fast as cells age at `[0]` K.
  var clock: [Double]
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
    case row = 0x524F_5700
    case modes = 0x4D4F_4400
    case walk = 0x5741_4C00
    case pulse = 0x5055_4C00
    case cycle = 0x4359_4300
    case write = 0x5752_4900
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
    made = Fabrication(profile, shape: shape, macro: macro, seed: seed)
    let count = shape.cellCount
    let cells = profile.cells
    let zeros = [Float](repeating: 0, count: count)
    let bytes = [UInt8](repeating: 0, count: count)
    let times = [Double](repeating: 0, count: count)
    formed = bytes
    base = made.defects.map {
      Float($0 == .stuckHigh ? cells.asymptotes.upperBound.microsiemens : cells.pristine.microsiemens)
    }
    origin = zeros
    stationaryScale = zeros
    fastScale = zeros
    walkScale = zeros
    trapSize = zeros
    walk = zeros
    walkVariance = zeros
    writeTime = times
    time = times
    modes = [Float](repeating: 0, count: count * dynamics.modeCount)
    trapState = bytes
    direction = bytes
    cycleDraw = zeros
    cycles = times
    failure = bytes
    rowExposure = [Double](repeating: 0, count: shape.rows)
    exposureOrigin = times
    clock = [profile.retention.referenceTemperature, 0, 0]
    draws = [UInt32](repeating: 0, count: count)
    pulseCounts = draws
    readCounts = draws
    peakWordLine = zeros
    peakBitLine = zeros
    peakSourceLine = zeros
    longestPulse = zeros
  }

  public var cellCount: Int { shape.cellCount }

  // MARK: What an instrument cannot see; for tests and reports of the emulator

  public func isFormed(_ cell: Int) -> Bool { formed[cell] != 0 }
  public func defect(of cell: Int) -> Defect { made.defects[cell] }
  /// Conductance in parallel to a leaky cell; 0 for the others.
  public func leak(of cell: Int) -> Siemens { .microsiemens(Double(made.leaks[cell])) }
  /// True where SET–RESET cycles have worn the cell out.
  public func isWornOut(_ cell: Int) -> Bool { failure[cell] != 0 }

  /// Ends a cell's life where it stands: no pulse moves it any more.
  public mutating func wearOut(_ cell: Int) {
    failure[cell] = made.endsShorted[cell] ? 2 : 1
    revision &+= 1
  }
  /// SET–RESET cycles since the cell was made; moves across part of the window count in proportion.
  public func cycleCount(of cell: Int) -> Double { cycles[cell] }
  public func formingVoltage(of cell: Int) -> Volts { Volts(Double(made.formingVoltages[cell])) }
  /// The cell's own amplitude at which a SET or RESET of the reference width covers the share 1 − 1/e of the way, in the
  /// median; 0 V for forming.
  public func switchingVoltage(of cell: Int, _ kind: Pulse.Kind) -> Volts {
    switch kind {
    case .set: profile.programming.setVoltage + Volts(Double(made.setShifts[cell]))
    case .reset: profile.programming.resetVoltage + Volts(Double(made.resetShifts[cell]))
    case .forming: .zero
    }
  }
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

  /// Temperature of the die in K: it sets how fast cells relax.
  public var kelvin: Double { clock[0] }

  /// Brings the die to a temperature in K from chip time `time` on.
  public mutating func setTemperature(kelvin temperature: Double, at time: Double) {
    precondition(temperature > 0 && temperature.isFinite, "a temperature of \(temperature) K")
    clock = [temperature, time, cellTime(time)]
    revision &+= 1
  }

  /// What the cells' clock shows at chip time `time`; both are one at the reference temperature.
  func cellTime(_ time: Double) -> Double {
    guard clock[0] != profile.retention.referenceTemperature || clock[2] != clock[1] else { return time }
    return clock[2] + (time - clock[1]) * dynamics.timeFactor(at: clock[0])
  }

  /// Ages every cell to `time`; a cell already later stays as it is.
  public mutating func advance(to time: Double) {
    guard dynamics.isAlive else { return }
    age(nil, to: cellTime(time))
    revision &+= 1
  }

  /// True if cells change as time passes, by themselves or because they are at voltage.
  public var ages: Bool { dynamics.isAlive || profile.disturb.rate > 0 }

  /// Ages the cells of a block to `time`, as ``conductances(of:at:averaging:bias:)`` does before it answers.
  public mutating func age(_ block: CellBlock, to time: Double) throws(PhysicsError) {
    let cells = try cells(of: block)
    guard dynamics.isAlive else { return }
    age(cells, to: cellTime(time))
    revision &+= 1
  }

  /// Ages the listed cells, or all, to `now` of the cells' clock.
  mutating func age(_ list: [Int]?, to now: Double) {
    guard dynamics.isAlive else { return }
    let count = Int64(cellCount)
    let words = list?.map { Int64($0) }
    // One call with plain arrays: Swift passes distinct stored properties as pointers without a closure each.
    Self.age(
      dynamics, &modes, &walk, &walkVariance, &time, writeTime, &draws, formed, walkScale, stationaryScale,
      made.trapRates, &trapState, seed: seed, macro: UInt32(macro), list: words, count: count, now)
  }

  private static func age(
    _ dynamics: CellDynamics, _ modes: UnsafeMutablePointer<Float>, _ walk: UnsafeMutablePointer<Float>,
    _ walkVariance: UnsafeMutablePointer<Float>, _ time: UnsafeMutablePointer<Double>,
    _ writeTime: UnsafePointer<Double>, _ draws: UnsafeMutablePointer<UInt32>, _ formed: UnsafePointer<UInt8>,
    _ walkScale: UnsafePointer<Float>, _ amplitude: UnsafePointer<Float>, _ trapRates: UnsafePointer<Float>,
    _ trapState: UnsafeMutablePointer<UInt8>, seed: UInt64, macro: UInt32, list: [Int64]?, count: Int64, _ now: Double
  ) {
    var cells = ca_cells()
    cells.count = count
    cells.seed = seed
    cells.macro = macro
    cells.modes = modes
    cells.walk = walk
    cells.walk_variance = walkVariance
    cells.time = time
    cells.write_time = writeTime
    cells.draws = draws
    cells.formed = formed
    cells.walk_scale = walkScale
    cells.amplitude = amplitude
    cells.trap_rate = dynamics.hasTraps ? trapRates : nil
    cells.trap_state = trapState
    run(dynamics, dynamics.rates, dynamics.normals, dynamics.decay, dynamics.walkTable, dynamics.stationaryTable) {
      law in
      if let list {
        ca_age(law, &cells, list, 0, Int64(list.count), now)
      } else {
        ca_age(law, &cells, nil, 0, count, now)
      }
    }
  }

  /// What RRAM_ISA asks for, as the closed loop takes it; the results are the same on all.
  private static let ageingSet: ca_isa =
    switch try? InstructionSet.selected() {
    case .avx512: CA_AVX512
    case .avx2: CA_AVX2
    case .portable, .sse2, .neon: CA_BASELINE
    case nil: CA_BEST
    }

  private static func run(
    _ dynamics: CellDynamics, _ rates: UnsafePointer<Float>, _ normals: UnsafePointer<Float>,
    _ decay: UnsafePointer<Float>, _ walk: UnsafePointer<Float>, _ stationary: UnsafePointer<Float>,
    _ body: (UnsafePointer<ca_law>) -> Void
  ) {
    var law = ca_law()
    law.modes = Int32(dynamics.modeCount)
    law.rates = rates
    law.normals = normals
    law.decay = decay
    law.walk = dynamics.hasWalk ? walk : nil
    law.stationary = stationary
    law.isa = ageingSet
    law.mode_purpose = Purpose.modes.rawValue
    law.walk_purpose = Purpose.walk.rawValue
    body(&law)
  }

  // MARK: Conductance

  /// Conductance in µS at the cell's own time, each mode of the noise times its weight; never below a pristine cell's.
  ///
  /// - Parameter weights: one a mode of `dynamics.correlationTimes`.
  func conductance(of cell: Int, weights: ModeWeights) -> Double {
    let leak = Double(made.leaks[cell])
    guard formed[cell] != 0 else { return Double(base[cell]) + leak }
    var value = Double(base[cell])
    if dynamics.isAlive {
      let deviation = Double(walk[cell]) + stationaryPart(of: cell, weights: weights) - Double(origin[cell])
      value +=
        dynamics.skewed(deviation, conductance: value)
        + dynamics.mean(age: time[cell] - writeTime[cell], conductance: value)
      if dynamics.hasTraps { value += Double(trapSize[cell]) * (trapState[cell] == 0 ? -0.5 : 0.5) }
    }
    let exposure = rowExposure[cell / shape.columns] - exposureOrigin[cell]
    if exposure > 0 {
      value += (profile.cells.asymptotes.upperBound.microsiemens - value) * -expm1(-exposure)
    }
    return max(profile.cells.pristine.microsiemens, value) + leak
  }

  /// How much of each mode is seen.
  struct ModeWeights {
    /// Modes of the 1/f noise, then 0 for the fast one.
    var slow: [Float]
    var fast: Double
  }

  /// Momentary values.
  var fullWeights: ModeWeights {
    ModeWeights(slow: dynamics.fullWeights + (dynamics.modeCount > dynamics.decades ? [0] : []), fast: 1)
  }

  /// Means over `time` seconds.
  func averagedWeights(over time: Double) -> ModeWeights {
    var factors = dynamics.averagingFactors(over: time)
    guard dynamics.modeCount > dynamics.decades else { return ModeWeights(slow: factors, fast: 0) }
    let fast = Double(factors[dynamics.decades])
    factors[dynamics.decades] = 0
    return ModeWeights(slow: factors, fast: fast)
  }

  func stationaryPart(of cell: Int, weights: ModeWeights) -> Double {
    guard dynamics.modeCount > 0 else { return 0 }
    let sum = ca_mode_sum(modes, Int64(cellCount), Int32(dynamics.decades), Int64(cell), weights.slow)
    var part = Double(stationaryScale[cell]) * Double(sum)
    if dynamics.modeCount > dynamics.decades {
      let mode = Double(modes[dynamics.decades * cellCount + cell])
      part += Double(fastScale[cell]) * mode * weights.fast
    }
    return part
  }

  /// True conductances of a block at chip time `time`, row-major: what a matrix product or the closed loop sees.
  ///
  /// - Parameter averaging: length of the use, over which the fast part of the 1/f noise averages; the rest of it is in
  ///   ``nodeNoise(of:over:bandwidth:)``. `nil` gives the momentary values.
  /// - Parameter bias: gate and voltage at which the cells are used; `nil` where conductances are written down.
  public mutating func conductances(
    of block: CellBlock, at time: Double, averaging: Duration? = nil, bias: CellBias? = nil
  ) throws(PhysicsError) -> [Siemens] {
    let cells = try cells(of: block)
    let weights = averaging.map { averagedWeights(over: $0.seconds) } ?? fullWeights
    let transport = CellTransport(profile.cells, bias)
    age(cells, to: cellTime(time))
    if dynamics.isAlive { revision &+= 1 }
    return cells.map { cell in
      // A closed selector leaves what leaks past it.
      .microsiemens(
        transport.isOpen ? transport.seen(conductance(of: cell, weights: weights)) : Double(made.leaks[cell]))
    }
  }

  /// What a cell of `conductance` at the read point conducts at another gate voltage; 0 where that closes its selector.
  public func conductance(_ conductance: Siemens, wordLine: Volts) -> Siemens {
    let transport = CellTransport(profile.cells, CellBias(wordLine: wordLine, voltage: profile.cells.readVoltage))
    return transport.isOpen ? .microsiemens(transport.seen(conductance.microsiemens)) : .zero
  }

  /// Variance in S² of each cell's conductance noise within a use of length `duration` seen through a single pole at
  /// `bandwidth` Hz: what ``conductances(of:at:averaging:bias:)`` averages away, and the white noise,
  /// density²·(π/2)·bandwidth.
  public func nodeNoise(
    of block: CellBlock, over duration: Duration, bandwidth: Double
  ) throws(PhysicsError) -> [Double] {
    let white = dynamics.whiteDensity * dynamics.whiteDensity * .pi / 2 * bandwidth
    let averaged = averagedWeights(over: duration.seconds)
    let slow = averaged.slow.prefix(dynamics.decades).reduce(0.0) { $0 + (1 - Double($1) * Double($1)) }
    let fast = dynamics.modeCount > dynamics.decades ? 1 - averaged.fast * averaged.fast : 0
    return try cells(of: block).map { cell in
      guard formed[cell] != 0 else { return 0 }
      let (s, f) = (Double(stationaryScale[cell]), Double(fastScale[cell]))
      return (white + s * s * slow + f * f * fast) * 1e-12
    }
  }
}
