public import RRAMModel
public import RRAMProfiles
public import RRAMUnits

/// The tables that a board's converters play during one run of the closed loop.
///
/// The loop realises dx/dτ = a·x + b·outputAmplifier·net(x, e) + noise, where τ advances by 1 in the board's run time. The
/// process asks for t from 1 to ``DiffusionProcess/endTime``, so every rate is multiplied by
/// k = (1 − endTime)·runTime/(ticks·tick). Tables take the value at the tick's midpoint.
///
/// Guidance on one network is multiplexed in time, in slots of one tick: b is 2(1 + w)·b in the class's slots and −2w·b in
/// those of the null condition, while a and noise run through. The ODE's slots go class, null, null, class: splitting a smooth
/// flow symmetrically leaves an error of second order in the slot. The SDE's alternate class, null: noise that is new in every
/// slot moves x between the slots of one class, and in the symmetrical order what each slot gets wrong adds up like a random
/// walk, whereas in alternation it is an exact difference along the path that telescopes to its two ends, where b or the
/// memory of the start is small (rms at w = 1 and 200 slots, letters: 2.5e-3 to 3e-3 symmetrical, 3e-4 to 4e-4 alternating;
/// for the ODE 2e-4 symmetrical, 1.2e-3 alternating).
/// A slot must be long beside the poles of amplifiers and multipliers, or what is left of the slot before takes the wrong sign: a
/// guided run is stretched until a slot has ``slotConstants`` of the slowest pole's time constants, and its rates shrink with it
/// (letters at w = 1: 3e-3 rms where a slot has 100 of them, 3e-4 with 1 000). So is the run of a neural ODE: a delay around the
/// loop drives what oscillates (twin: 2e-2 rms with 100 of them a tick of 400, 1e-3 with 1 000).
///
/// Guidance on two networks of one state plays both conditions at once: b is (1 + w)·b and the class's embedding for the first network,
/// −w·b and that of the null condition for the second. On a board with a second network its channels follow all others, at 0 where it
/// is not used.
public struct Schedule: Sendable, Hashable {
  /// Ticks of a run.
  public let ticks: Int
  /// Length of a tick, whole nanoseconds.
  public let tick: Duration
  /// Codes, `[tick][channel]`: a, b, embedding 0 …, then offset x, y where the board has them, then b and embedding 0 … of the second
  /// network where it has one.
  public let codes: [UInt16]
  /// Codes a tick.
  public let channels: Int
  /// Volts at the noise converter for one standard deviation, one a tick, 0 in the last; empty for the ODE.
  public let noise: [Float]
  /// The values behind the codes, channel by channel, and what each converter reaches.
  public let tables: [Table]
  /// Values that a calibration asked for beyond a converter's range, set to its end.
  public let clipped: Int

  /// One channel of a schedule.
  public struct Table: Sendable, Hashable {
    public let name: String
    /// What 1 stands for at the converter, volts.
    public let unit: Volts
    /// One value a tick, in multiples of `unit`; of the noise 4 σ.
    public let values: [Double]
    /// What the converter reaches, in multiples of `unit`.
    public let limits: ClosedRange<Double>
  }

  /// Time t at the middle of each tick.
  public static func midpoints(ticks: Int) -> [Double] {
    (0..<ticks).map { 1 - (Double($0) + 0.5) * (1 - DiffusionProcess.endTime) / Double(ticks) }
  }

  /// Compiles the tables of a model for a board.
  ///
  /// - Parameters:
  ///   - process: with the β scale of the run.
  ///   - label: class, nil for the null condition.
  ///   - guidance: w; 0 compiles to the plain schedule. Otherwise a class is needed, and in slots ticks are a multiple of 4, at least
  ///     ``guidanceSlots``.
  ///   - play: how guidance is played; nil: at once where the board has two networks.
  ///   - ticks: parts of the run in which all tables are constant.
  ///   - lines: of the board's converters: codes are those of which the lines make the wanted voltages; nil: ideal ones.
  ///   - correction: of a calibration for this chip, equation, condition and guidance. What it moves beyond a converter's range is set to its end,
  ///     as the calibration reckoned, and counted in ``clipped``.
  /// - Throws: ``ScheduleError`` naming channel, time, value and the largest scale or guidance that fits; what the model itself asks
  ///   for is never clamped.
  public init(
    _ network: ScoreNetwork, process: DiffusionProcess, equation: ReverseEquation, label: Int? = nil,
    guidance: Double = 0, play: GuidancePlay? = nil, ticks: Int = 200, correction: ScheduleCorrection? = nil,
    lines: ConverterLines? = nil, on board: BoardDescription
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
    let play = play ?? .suited(to: loop)
    guard guidance == 0 || play == .slots || !loop.secondLayerMacros.isEmpty else {
      throw ScheduleError(
        .channels, "guidance at once needs two networks, board '\(board.name)' has one: it can play slots")
    }
    let tick = try Self.tick(
      ticks: ticks, settles: (guidance != 0 && play == .slots) || process == .neuralODE, loop: loop, board: board.name)
    precondition(guidance == 0 || label != nil, "guidance needs a class to guide to")
    let slots = guidance != 0 && play == .slots
    if slots, ticks < Self.guidanceSlots || ticks % 4 != 0 {
      throw ScheduleError(
        .ticks,
        "\(ticks) ticks asked for; guidance takes a slot a tick, a multiple of 4 and at least \(Self.guidanceSlots)")
    }
    self.ticks = ticks
    self.tick = tick

    let nominal = NominalTables(
      network, process: process, equation: equation, ticks: ticks, loop: loop,
      tickDuration: tick.seconds / loop.runTime.seconds, guidance: guidance, play: play)
    let times = nominal.times
    let hidden = network.hiddenSize
    let embedding = nominal.embedding(label)
    func embedded(_ channel: Int, network: Int) -> [Double] {
      guard channel < hidden, network < nominal.networks else { return [Double](repeating: 0, count: ticks) }
      return (0..<ticks).map { embedding[($0 * nominal.networks + network) * hidden + channel] }
    }
    let noise = nominal.heldGain
    let lines = lines ?? ConverterLines(loop)
    guard lines.fits(loop) else {
      throw ScheduleError(.channels, "\(lines.count) converter lines are not those of board '\(board.name)'")
    }
    var channels = [
      Channel(
        "a", nominal.a, unit: loop.coefficientUnit, converter: loop.coefficient, line: lines.coefficient[0], power: 1),
      Channel(
        "b", nominal.b, unit: loop.coefficientUnit, converter: loop.coefficient, line: lines.coefficient[1], power: 1),
    ]
    for channel in 0..<loop.embeddingChannels {
      channels.append(
        Channel(
          "embedding \(channel)", embedded(channel, network: 0), unit: loop.unitVoltage, converter: loop.embedding,
          line: lines.embedding[channel], power: 0))
    }
    if let offset = loop.offset {
      for (axis, name) in ["x", "y"].enumerated() {
        // What the noise converter adds of its own while it plays.
        let added = -lines.noise[axis].offset * loop.noiseGain / loop.unitVoltage.rawValue
        channels.append(
          Channel(
            "offset \(name)", (0..<ticks).map { noise.isEmpty || noise[$0] == 0 ? 0 : added },
            unit: loop.unitVoltage, converter: offset, line: lines.offset[axis], power: 0))
      }
    }
    if !loop.secondLayerMacros.isEmpty {
      let score = nominal.secondB.isEmpty ? [Double](repeating: 0, count: ticks) : nominal.secondB
      channels.append(
        Channel(
          Self.secondCoefficient, score, unit: loop.coefficientUnit, converter: loop.coefficient,
          line: lines.coefficient[2], power: 1))
      for channel in 0..<loop.embeddingChannels {
        channels.append(
          Channel(
            "embedding 2, \(channel)", embedded(channel, network: 1), unit: loop.unitVoltage,
            converter: loop.embedding, line: lines.embedding[loop.embeddingChannels + channel], power: 0))
      }
    }
    // The converter must reach ± the noise limit; what is sent is volts for one standard deviation, not a code.
    let peak = Double(DigitalSolver.noiseLimit)
    // A level is for both axes: what the gains have in common is made good.
    let noiseLine = ConverterLine(gain: lines.noise.reduce(0) { $0 + $1.gain } / Double(lines.noise.count))
    let noiseUnit = loop.unitVoltage / loop.noiseGain
    let peaks = (noise.map { peak * $0 } + noise.map { -peak * $0 })
    let noiseChannel = Channel(
      "noise (4 σ)", peaks, unit: noiseUnit, converter: loop.noise, line: noiseLine, power: 0.5)
    try Self.check(
      channels + [noiseChannel], times: times, scale: process.hasScale ? process.scale : nil, guidance: guidance
    ) { channel, index in slots ? Self.isClassSlot(index, equation) : channel == "b" }
    var clipped = 0
    if let correction {
      clipped = Self.correct(&channels, by: correction, nominal, loop)
    }
    self.clipped = clipped

    tables = (channels + (noise.isEmpty ? [] : [noiseChannel])).map {
      Table(name: $0.name, unit: $0.unit, values: Array($0.values.prefix(ticks)), limits: $0.limits)
    }
    self.channels = channels.count
    let columns = try channels.map { channel throws(ScheduleError) in try channel.codes }
    var codes: [UInt16] = []
    codes.reserveCapacity(ticks * columns.count)
    for index in 0..<ticks { for column in columns { codes.append(column[index]) } }
    self.codes = codes
    self.noise = noise.map { Float(noiseLine.inverse($0 * noiseUnit).rawValue) }
  }

  /// Applies a calibration to the channels as they stand in a schedule.
  private static func correct(
    _ channels: inout [Channel], by correction: ScheduleCorrection, _ nominal: NominalTables,
    _ loop: BoardDescription.ClosedLoop
  ) -> Int {
    let offset = 2 + loop.embeddingChannels
    let second = offset + (loop.offset == nil ? 0 : 2)
    let null = correction.nullEmbedding
    var clipped = 0
    func move(_ channel: Int, _ index: Int, to value: Double) {
      let limits = channels[channel].limits
      let reached = min(max(value, limits.lowerBound), limits.upperBound)
      if reached != value { clipped += 1 }
      channels[channel].values[index] = reached
    }
    func add(_ series: [[Double]], to first: Int, _ index: Int, _ basis: [Double]) {
      for (channel, series) in series.enumerated() {
        move(
          first + channel, index,
          to: channels[first + channel].values[index] + ScheduleCorrection.sum(series, basis))
      }
    }
    for (index, t) in nominal.times.enumerated() {
      let basis = ScheduleCorrection.basis(at: t)
      let score = ScheduleCorrection.factor(ScheduleCorrection.sum(correction.score, basis)).factor
      move(
        0, index,
        to: channels[0].values[index]
          * ScheduleCorrection.factor(ScheduleCorrection.sum(correction.state, basis)).factor)
      move(1, index, to: channels[1].values[index] * score)
      add(nominal.isNull[index] ? null : correction.embedding, to: 2, index, basis)
      add(correction.offset, to: offset, index, basis)
      guard nominal.networks == 2 else { continue }
      move(second, index, to: channels[second].values[index] * score)
      add(null, to: second + 1, index, basis)
    }
    return clipped
  }

  /// The fewest slots with which guidance by slots is near enough to guidance at once.
  public static let guidanceSlots = 200

  /// Whether a slot of guidance plays the class's embedding; the others play the null condition's.
  static func isClassSlot(_ index: Int, _ equation: ReverseEquation) -> Bool {
    switch equation {
    case .ode: index % 4 == 0 || index % 4 == 3
    case .sde: index % 2 == 0
    }
  }

  /// Integrators of a closed loop: its messages carry two codes a sample.
  static let dimensions = 2
  /// Name of the second network's coefficient.
  static let secondCoefficient = "b 2"

  /// The shortest tick of guidance and of a neural ODE in time constants of the slowest pole.
  public static let slotConstants = 1000

  /// The length of a tick: the run time divided evenly, in whole nanoseconds; if every tick has to settle, no shorter than
  /// ``slotConstants`` of the poles.
  static func tick(
    ticks: Int, settles: Bool = false, loop: BoardDescription.ClosedLoop, board: String
  ) throws(ScheduleError) -> Duration {
    guard (1...loop.maximumTicks).contains(ticks) else {
      throw ScheduleError(.ticks, "\(ticks) ticks asked for, board '\(board)' has 1 to \(loop.maximumTicks)")
    }
    let nanoseconds = (loop.runTime.seconds * 1e9 / Double(ticks)).rounded()
    let even = Duration.nanoseconds(Int64(nanoseconds))
    let pole = min(loop.amplifierBandwidth, loop.multiplierBandwidth)
    let settled = Duration.nanoseconds(
      Int64((Double(slotConstants) * 1e9 / (2 * Double.pi * pole)).rounded(.up)))
    guard !settles || settled <= loop.tick.upperBound else {
      throw ScheduleError(
        .ticks,
        "guidance or a neural ODE on board '\(board)' takes ticks of at least \(settled), \(slotConstants) time constants of "
          + "its stages (\(Float(pole)) Hz); its longest is \(loop.tick.upperBound)")
    }
    let tick = settles ? max(even, settled) : even
    guard loop.tick.contains(tick) else {
      throw ScheduleError(
        .ticks,
        "\(ticks) ticks of a run of \(loop.runTime) are \(tick) each, board '\(board)' has \(loop.tick.lowerBound) to "
          + "\(loop.tick.upperBound)")
    }
    return tick
  }

  /// Refuses the first value that its converter does not reach, with the largest scale at which all channels fit, and for the
  /// network's coefficient under guidance the largest w.
  ///
  /// - Parameters:
  ///   - scale: of β; nil where the process has none.
  ///   - isClass: whether a channel plays the class in a tick, and not the null condition.
  private static func check(
    _ channels: [Channel], times: [Double], scale: Double?, guidance: Double, isClass: (String, Int) -> Bool
  ) throws(ScheduleError) {
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
      let coefficients = channels.filter { ["b", secondCoefficient].contains($0.name) }
      if guidance != 0, coefficients.contains(where: { $0.name == channel.name }) {
        error.largestGuidance = coefficients.compactMap { $0.largestGuidance(now: guidance, isClass) }.min().map(
          roundedDown)
        error.reason +=
          error.largestGuidance.map { "; the largest w that fits is \($0), asked \(guidance)" }
          ?? "; no w changes that"
      } else if channel.power > 0, let scale {
        let largest = channels.compactMap(\.largestFactor).min().map { roundedDown($0 * scale) }
        error.largestScale = largest
        error.reason += largest.map { "; the largest β scale that fits is \($0), asked \(scale)" } ?? ""
      } else {
        error.reason += scale == nil ? "; nothing that can be chosen changes that" : "; no β scale changes that"
      }
      throw error
    }
  }

  /// Down to three decimals, so that the number as printed fits.
  private static func roundedDown(_ value: Double) -> Double { (value * 1000).rounded(.down) / 1000 }
}

/// How guidance is played.
public enum GuidancePlay: String, Sendable, Hashable, Codable, CaseIterable {
  /// The two conditions take turns on one network.
  case slots
  /// Each has a network of its own.
  case atOnce = "at-once"

  /// At once where the board has two networks.
  static func suited(to loop: BoardDescription.ClosedLoop) -> GuidancePlay {
    loop.secondLayerMacros.isEmpty ? .slots : .atOnce
  }
}

/// The values of one converter over a run.
private struct Channel {
  let name: String
  /// In multiples of `unit`.
  var values: [Double]
  let unit: Volts
  let converter: BoardDescription.Converter
  /// What the channel makes of a code's voltage.
  let line: ConverterLine
  /// The values grow with the β scale to this power.
  let power: Double

  init(
    _ name: String, _ values: [Double], unit: Volts, converter: BoardDescription.Converter, line: ConverterLine,
    power: Double
  ) {
    self.line = line
    self.name = name
    self.values = values
    self.unit = unit
    self.converter = converter
    self.power = power
  }

  /// What the converter reaches, in multiples of `unit`.
  var limits: ClosedRange<Double> {
    let reach = converter.reachable
    return (line.of(reach.lowerBound) / unit)...(line.of(reach.upperBound) / unit)
  }

  func reaches(_ value: Double) -> Bool { code(value) != nil }

  /// The code of which the channel makes a value.
  private func code(_ value: Double) -> DACCode? { converter.code(nearest: line.inverse(value * unit)) }

  /// How much larger the β scale may become before a value leaves the converter's range; nil if it does not matter.
  var largestFactor: Double? {
    guard power > 0 else { return nil }
    let ratio = values.map { $0 > 0 ? limits.upperBound / $0 : $0 < 0 ? limits.lowerBound / $0 : .infinity }.min()
    guard let ratio, ratio.isFinite, ratio > 0 else { return nil }
    return power == 0.5 ? ratio * ratio : ratio
  }

  /// The largest w with which b fits, of tables made for `guidance`; nil if not even a small one does.
  func largestGuidance(now guidance: Double, _ isClass: (String, Int) -> Bool) -> Double? {
    // b for the class is a multiple of (1 + w)·β, for the null condition of −w·β, with the same sign of β in all.
    var largest = Double.infinity
    for (index, value) in values.enumerated() where value != 0 {
      let isClass = isClass(name, index)
      let room = value > 0 ? limits.upperBound : limits.lowerBound
      let plain = value / (isClass ? 1 + guidance : guidance)
      largest = min(largest, room / plain - (isClass ? 1 : 0))
    }
    return largest.isFinite && largest > 0 ? largest : nil
  }

  var codes: [UInt16] {
    get throws(ScheduleError) {
      var codes: [UInt16] = []
      codes.reserveCapacity(values.count)
      for value in values {
        guard let code = code(value) else {
          throw ScheduleError(.outOfRange, "channel \(name): \(Float(value)) is outside the converter's range")
        }
        codes.append(UInt16(code.rawValue))
      }
      return codes
    }
  }
}
