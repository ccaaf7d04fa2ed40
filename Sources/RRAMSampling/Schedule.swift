public import RRAMModel
public import RRAMProfiles
internal import RRAMUnits

/// The tables that a board's converters play during one run of the closed loop.
///
/// The loop realises dx/dτ = a·x + b·outputAmplifier·net(x, e) + noise, where τ advances by 1 in the board's run time. The
/// process asks for t from 1 to ``DiffusionProcess/endTime``, so every rate is multiplied by
/// k = (1 − endTime)·runTime/(ticks·tick). Tables take the value at the tick's midpoint.
public struct Schedule: Sendable, Hashable {
  /// Ticks of a run.
  public let ticks: Int
  /// Length of a tick, whole nanoseconds.
  public let tick: Duration
  /// Codes, `[tick][channel]`: a, b, embedding 0 …, then offset x, y where the board has them.
  public let codes: [UInt16]
  /// Codes a tick.
  public let channels: Int
  /// Volts at the noise converter for one standard deviation, one a tick, 0 in the last; empty for the ODE.
  public let noise: [Float]

  /// Time t at the middle of each tick.
  public static func midpoints(ticks: Int) -> [Double] {
    (0..<ticks).map { 1 - (Double($0) + 0.5) * (1 - DiffusionProcess.endTime) / Double(ticks) }
  }

  /// Compiles the tables of a model for a board.
  ///
  /// - Parameters:
  ///   - process: with the β scale of the run.
  ///   - label: class, nil for the null condition.
  ///   - ticks: parts of the run in which all tables are constant.
  /// - Throws: ``ScheduleError`` naming channel, time, value and the largest scale that fits; nothing is ever clamped.
  public init(
    _ network: ScoreNetwork, process: DiffusionProcess, equation: ReverseEquation, label: Int? = nil, ticks: Int = 200,
    on board: BoardDescription
  ) throws(ScheduleError) {
    guard let loop = board.closedLoop else {
      throw ScheduleError(.noClosedLoop, "board '\(board.name)' has no closed loop")
    }
    guard network.hiddenSize <= loop.embeddingChannels else {
      throw ScheduleError(
        .channels,
        "\(network.hiddenSize) embedding values, board '\(board.name)' has \(loop.embeddingChannels) channels")
    }
    guard network.dimensions == Self.dimensions else {
      throw ScheduleError(.channels, "x has \(network.dimensions) dimensions, the loop \(Self.dimensions) integrators")
    }
    for (name, converter) in [
      ("coefficient", loop.coefficient), ("embedding", loop.embedding), ("preset", loop.preset),
      ("read-out", loop.readOut),
    ] + (loop.offset.map { [("offset", $0)] } ?? []) where converter.bits > UInt16.bitWidth {
      throw ScheduleError(
        .converter,
        "the \(name) converter of board '\(board.name)' has \(converter.bits) bits, the wire carries \(UInt16.bitWidth)"
      )
    }
    let tick = try Self.tick(ticks: ticks, loop: loop, board: board.name)
    self.ticks = ticks
    self.tick = tick

    let rate = (1 - DiffusionProcess.endTime) * loop.runTime.seconds / (Double(ticks) * tick.seconds)
    let amplitude = Double(network.amplitude) / loop.outputAmplifier
    let times = Self.midpoints(ticks: ticks)
    let state = times.map { rate * process.stateCoefficient(at: $0) }
    let score = times.map { rate * amplitude * process.scoreCoefficient(at: $0, equation: equation) }
    let labelEmbedding = network.classEmbedding(label)
    let embedding = times.map { zip(network.timeEmbedding(Float($0)), labelEmbedding).map { Double($0) + Double($1) } }
    let noise = Self.noise(process, equation, times: times, rate: rate)
    var channels = [
      Channel("a", state, unit: loop.coefficientUnit, converter: loop.coefficient, power: 1),
      Channel("b", score, unit: loop.coefficientUnit, converter: loop.coefficient, power: 1),
    ]
    for channel in 0..<loop.embeddingChannels {
      let values = embedding.map { channel < $0.count ? $0[channel] : 0 }
      channels.append(
        Channel("embedding \(channel)", values, unit: loop.unitVoltage, converter: loop.embedding, power: 0))
    }
    if let offset = loop.offset {
      let zeros = [Double](repeating: 0, count: ticks)
      for axis in ["x", "y"] {
        channels.append(Channel("offset \(axis)", zeros, unit: loop.unitVoltage, converter: offset, power: 0))
      }
    }
    // The converter must reach ± the noise limit; what is sent is volts for one standard deviation, not a code.
    let peak = Double(DigitalSolver.noiseLimit)
    let noiseUnit = loop.unitVoltage / loop.noiseGain
    let peaks = (noise.map { peak * $0 } + noise.map { -peak * $0 })
    let noiseChannel = Channel(
      "noise (4 σ)", peaks, unit: noiseUnit, converter: loop.noise, power: 0.5)
    try Self.check(channels + [noiseChannel], times: times, scale: process.scale)

    self.channels = channels.count
    let columns = try channels.map { channel throws(ScheduleError) in try channel.codes }
    var codes: [UInt16] = []
    codes.reserveCapacity(ticks * columns.count)
    for index in 0..<ticks { for column in columns { codes.append(column[index]) } }
    self.codes = codes
    self.noise = noise.map { Float($0 * noiseUnit.rawValue) }
  }

  /// Integrators of a closed loop: its messages carry two codes a sample.
  static let dimensions = 2

  /// The length of a tick: the run time divided evenly, in whole nanoseconds.
  private static func tick(
    ticks: Int, loop: BoardDescription.ClosedLoop, board: String
  ) throws(ScheduleError) -> Duration {
    guard (1...loop.maximumTicks).contains(ticks) else {
      throw ScheduleError(.ticks, "\(ticks) ticks asked for, board '\(board)' has 1 to \(loop.maximumTicks)")
    }
    let nanoseconds = (loop.runTime.seconds * 1e9 / Double(ticks)).rounded()
    let tick = Duration.nanoseconds(Int64(nanoseconds))
    guard loop.tick.contains(tick) else {
      throw ScheduleError(
        .ticks,
        "\(ticks) ticks of a run of \(loop.runTime) are \(tick) each, board '\(board)' has \(loop.tick.lowerBound) to "
          + "\(loop.tick.upperBound)")
    }
    return tick
  }

  /// Units at the integrator for ξ = 1: k·g(t)/√Δτ, where Δτ = (1 − endTime)/ticks is the tick in the process's own time,
  /// so that an increment has variance g²Δτ.
  private static func noise(
    _ process: DiffusionProcess, _ equation: ReverseEquation, times: [Double], rate: Double
  ) -> [Double] {
    guard equation == .sde else { return [] }
    let step = (1 - DiffusionProcess.endTime) / Double(times.count)
    return times.enumerated().map { index, t in
      index + 1 < times.count ? rate * (process.squaredDiffusion(at: t) / step).squareRoot() : 0
    }
  }

  /// Refuses the first value that its converter does not reach, with the largest scale at which all channels fit.
  private static func check(_ channels: [Channel], times: [Double], scale: Double) throws(ScheduleError) {
    for channel in channels {
      guard let index = channel.values.firstIndex(where: { !channel.reaches($0) }) else { continue }
      let (value, time) = (channel.values[index], times[index % times.count])
      var error = ScheduleError(
        .outOfRange,
        "channel \(channel.name) at t = \(Float(time)): \(Float(value)) is outside the converter's "
          + "\(Float(channel.limits.lowerBound)) to \(Float(channel.limits.upperBound))")
      error.channel = channel.name
      error.time = time
      error.value = value
      if channel.power > 0 {
        let largest = channels.compactMap(\.largestFactor).min().map { roundedDown($0 * scale) }
        error.largestScale = largest
        error.reason += largest.map { "; the largest β scale that fits is \($0), asked \(scale)" } ?? ""
      } else {
        error.reason += "; no β scale changes that"
      }
      throw error
    }
  }

  /// Down to three decimals, so that the number as printed fits.
  private static func roundedDown(_ value: Double) -> Double { (value * 1000).rounded(.down) / 1000 }
}

/// The values of one converter over a run.
private struct Channel {
  let name: String
  /// In multiples of `unit`.
  let values: [Double]
  let unit: Volts
  let converter: BoardDescription.Converter
  /// The values grow with the β scale to this power.
  let power: Double

  init(_ name: String, _ values: [Double], unit: Volts, converter: BoardDescription.Converter, power: Double) {
    self.name = name
    self.values = values
    self.unit = unit
    self.converter = converter
    self.power = power
  }

  /// What the converter reaches, in multiples of `unit`.
  var limits: ClosedRange<Double> {
    let reach = converter.reachable
    return (reach.lowerBound / unit)...(reach.upperBound / unit)
  }

  func reaches(_ value: Double) -> Bool { converter.code(nearest: value * unit) != nil }

  /// How much larger the β scale may become before a value leaves the converter's range; nil if it does not matter.
  var largestFactor: Double? {
    guard power > 0 else { return nil }
    let ratio = values.map { $0 > 0 ? limits.upperBound / $0 : $0 < 0 ? limits.lowerBound / $0 : .infinity }.min()
    guard let ratio, ratio.isFinite, ratio > 0 else { return nil }
    return power == 0.5 ? ratio * ratio : ratio
  }

  var codes: [UInt16] {
    get throws(ScheduleError) {
      var codes: [UInt16] = []
      codes.reserveCapacity(values.count)
      for value in values {
        guard let code = converter.code(nearest: value * unit) else {
          throw ScheduleError(.outOfRange, "channel \(name): \(Float(value)) is outside the converter's range")
        }
        codes.append(UInt16(code.rawValue))
      }
      return codes
    }
  }
}
