internal import RRAMPhysics
internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

/// The board's loop engine: which cells are the network, the tables of the converters, and what the integrators hold.
///
/// Volatile: a new session starts without network and schedules.
final class LoopSequencer {
  /// State coordinates: x and y.
  static let dimensions = 2
  /// Schedules the table memory holds; the oldest goes first.
  private static let scheduleCapacity = 8

  /// One layer of the network.
  struct Layer {
    let block: CellBlock
    /// Transimpedance of each column pair, Ω.
    let gains: [Double]
    let inputs: Int
    /// Which input drives each row, `inputs` for one unit, nil for ground; and by which factor.
    let rows: [(input: Int?, factor: Double)]

    var outputs: Int { block.shape.columns / 2 }
  }

  /// An uploaded schedule, perhaps still with gaps.
  struct Schedule {
    let id: UInt32
    let ticks: Int
    let tick: Duration
    let channels: Int
    /// Codes, (ticks, channels).
    var codes: [UInt16]
    /// V at the noise converter for one standard deviation, one a tick.
    var noise: [Float]
    var hasNoise = false
    var received: [Bool]

    var receivedCount: Int { received.count { $0 } }
  }

  let description: BoardDescription.ClosedLoop
  private let board: BoardDescription
  private(set) var layers: [Layer] = []
  /// The second network; empty if none is connected.
  private(set) var second: [Layer] = []
  private var schedules: [Schedule] = []
  /// What the integrators hold since the last run, V.
  var integrators = [Double](repeating: 0, count: dimensions)

  /// The parts of this very board.
  let periphery: LoopPeriphery

  /// Of the channels of its converters.
  private let lines: [LoopConverter: [ConverterLine]]

  init(_ description: BoardDescription.ClosedLoop, board: BoardDescription, seed: UInt64) {
    self.description = description
    let periphery = LoopPeriphery(description, seed: seed)
    self.periphery = periphery
    lines = Dictionary(uniqueKeysWithValues: LoopConverter.allCases.map { ($0, periphery.lines($0)) })
    self.board = board
  }

  func lines(_ kind: LoopConverter) -> [ConverterLine] { lines[kind] ?? [] }

  /// What a channel puts out for a code, V.
  func output(_ kind: LoopConverter, _ channel: Int, _ code: Int, _ scale: ConverterScale) -> Double {
    periphery.output(
      kind, channel: channel, code: code, of: scale.lastCode + 1, volts: scale.volts(code), step: scale.step,
      line: lines(kind)[channel])
  }

  /// Loads an integrator from its preset converter.
  func preset(_ channel: Int, code: Int) {
    integrators[channel] = output(.preset, channel, code, ConverterScale(description.preset))
  }

  private var knownTables: [UInt32: LoopTables] = [:]

  /// The loop on cells that do not age, and the revisions of their macros.
  private var known: (revisions: [UInt64], loop: ClosedLoop)?

  /// The loop of a chip whose cells stand still: made anew only when something was done to them or other layers are connected.
  func standing(
    _ revisions: [UInt64], _ make: () throws(RequestFailure) -> ClosedLoop
  ) throws(RequestFailure) -> ClosedLoop {
    if let known, known.revisions == revisions { return known.loop }
    let loop = try make()
    known = (revisions, loop)
    return loop
  }

  func forget() {
    known = nil
    knownTables = [:]
    layers = []
    second = []
    schedules = []
    integrators = [Double](repeating: 0, count: Self.dimensions)
  }

  var macros: MacroSet { MacroSet((layers + second).map(\.block.macro)) }

  /// Converter channels of a schedule: a, b, the embedding, then offset x and y where the board has them, then b and embedding of the
  /// second network where it has one.
  var channels: Int { secondChannel + (description.secondLayerMacros.isEmpty ? 0 : 1 + description.embeddingChannels) }
  private var secondChannel: Int {
    2 + description.embeddingChannels + (description.offset == nil ? 0 : Self.dimensions)
  }

  func schedule(_ id: UInt32) -> Schedule? { schedules.first { $0.id == id } }

  // MARK: Network

  func configureOperation(_ request: ConfigureLoop, _ chip: Chip) throws(RequestFailure) -> any Operation {
    try chip.check.loop(
      description, cells: (request.layers + request.second).reduce(0) { $0 + $1.block.cellCount }, celsius: chip.celsius
    )
    let first = try layers(request.layers, places: description.layerMacros, "configure_loop.layers", chip)
    var second: [Layer] = []
    if !request.second.isEmpty {
      guard request.second.count == request.layers.count else {
        throw RequestFailure(
          .badArgument,
          "\(request.second.count) layers beside the \(request.layers.count) of the first network: configure_loop.second"
        )
      }
      second = try layers(request.second, places: description.secondLayerMacros, "configure_loop.second", chip)
    }
    return ImmediateOperation(macros: .all) { [self] _ throws(RequestFailure) in
      self.layers = first
      self.second = second
      known = nil
      knownTables = [:]
      return .configureLoop(ConfigureLoopResult())
    }
  }

  /// One network of a request.
  private func layers(
    _ request: [LoopLayer], places: [Int], _ field: String, _ chip: Chip
  ) throws(RequestFailure) -> [Layer] {
    guard (1...max(1, places.count)).contains(request.count), !places.isEmpty else {
      throw RequestFailure(
        .badArgument, "\(request.count) layers, this board chains 1 to \(places.count): \(field)")
    }
    guard description.wordLine <= chip.limits.wordLine else {
      throw RequestFailure(
        refusal: Refusal(
          limit: .wordLine, asked: description.wordLine.rawValue, minimum: 0,
          maximum: chip.limits.wordLine.rawValue))
    }
    var layers: [Layer] = []
    for (index, layer) in request.enumerated() {
      let name = "\(field)[\(index)]"
      let block = try chip.checked(layer.block)
      guard block.macro == places[index] else {
        throw RequestFailure(
          .badArgument, "layer \(index) lies in macro \(block.macro), the board chains macro \(places[index]): \(name)")
      }
      guard block.shape.rows >= 2, block.shape.columns % 2 == 0 else {
        throw RequestFailure(.badArgument, "\(block.shape) is no inputs + 1 rows and pairs of columns: \(name)")
      }
      let outputs = block.shape.columns / 2
      let inputs = layers.last.map(\.outputs) ?? Self.dimensions
      let rows = try rows(layer, inputs: inputs, "layer \(index)", name)
      guard layer.columnGain.count == outputs else {
        throw RequestFailure(
          .badArgument, "\(layer.columnGain.count) gains for \(outputs) column pairs: \(name).column_gain")
      }
      let gainCodes = 1 << description.columnGainBits
      guard layer.columnGain.allSatisfy({ Int($0) < gainCodes }) else {
        throw RequestFailure(
          .badArgument, "a code beyond \(description.columnGainBits) bits: \(name).column_gain")
      }
      let gains = layer.columnGain.map { description.columnGain(code: UInt32($0)).rawValue }
      layers.append(Layer(block: block, gains: gains, inputs: inputs, rows: rows))
    }
    guard let last = layers.last, last.outputs == Self.dimensions else {
      throw RequestFailure(
        .badArgument,
        "the last layer has \(layers.last?.outputs ?? 0) outputs, \(Self.dimensions) integrators take them")
    }
    return layers
  }

  private func rows(
    _ layer: LoopLayer, inputs: Int, _ place: String, _ name: String
  ) throws(RequestFailure) -> [(input: Int?, factor: Double)] {
    guard !layer.rows.isEmpty else {
      let arriving = layer.block.shape.rows - 1
      guard arriving == inputs else {
        throw RequestFailure(.badArgument, "\(place) has \(arriving) inputs where \(inputs) arrive: \(name)")
      }
      return (0...inputs).map { ($0, 1) }
    }
    guard description.rowRouting == .any else {
      throw RequestFailure(.unsupported, "this board's rows have fixed sources: \(name).row_source")
    }
    let factors = description.rowAttenuation
    var rows: [(input: Int?, factor: Double)] = []
    for (index, row) in layer.rows.enumerated() {
      guard row.attenuation < factors.count else {
        throw RequestFailure(
          .badArgument,
          "row \(index) asks for attenuation \(row.attenuation), the last is \(factors.count - 1): \(name).row_attenuation"
        )
      }
      switch row.source {
      case .ground: rows.append((nil, 0))
      case .bias: rows.append((inputs, factors[row.attenuation]))
      case .input(let input):
        guard input < inputs else {
          throw RequestFailure(
            .badArgument, "row \(index) is driven by input \(input), \(inputs) arrive: \(name).row_source")
        }
        rows.append((input, factors[row.attenuation]))
      }
    }
    return rows
  }

  // MARK: Schedules

  func uploadOperation(_ request: UploadSchedule) throws(RequestFailure) -> any Operation {
    let loop = description
    guard (1...loop.maximumTicks).contains(request.ticks) else {
      throw RequestFailure(
        .badArgument, "\(request.ticks) ticks, 1 to \(loop.maximumTicks): upload_schedule.ticks")
    }
    guard loop.tick.contains(request.tick) else {
      throw RequestFailure(
        .badArgument,
        "a tick of \(request.tick), \(loop.tick.lowerBound) to \(loop.tick.upperBound): "
          + "upload_schedule.tick_ns")
    }
    guard request.firstTick >= 0, request.count >= 1, request.firstTick <= request.ticks - request.count else {
      throw RequestFailure(
        .badArgument, "ticks \(request.firstTick) to \(request.firstTick + request.count - 1) of \(request.ticks)")
    }
    let channels = channels
    guard request.codes.count == request.count * channels else {
      throw RequestFailure(
        .badArgument,
        "\(request.codes.count) codes for \(request.count) ticks of \(channels) channels: "
          + "upload_schedule.codes")
    }
    guard request.noise.isEmpty || request.noise.count == request.count else {
      throw RequestFailure(
        .badArgument, "\(request.noise.count) noise levels for \(request.count) ticks: upload_schedule.noise")
    }
    let highest = Float(loop.noise.range.upperBound.rawValue)
    guard request.noise.allSatisfy({ $0 >= 0 && $0 <= highest }) else {
      throw RequestFailure(
        .badArgument, "a noise level beyond 0 to \(highest) V of its converter: upload_schedule.noise")
    }
    for channel in 0..<channels {
      let last = codeLimit(channel)
      for tick in 0..<request.count where Int(request.codes[tick * channels + channel]) > last {
        throw RequestFailure(
          .badArgument,
          "code \(request.codes[tick * channels + channel]) of tick \(request.firstTick + tick), "
            + "channel \(channel), whose last code is \(last): upload_schedule.codes")
      }
    }
    return ImmediateOperation(macros: .all) { [self] _ throws(RequestFailure) in
      .uploadSchedule(UploadScheduleResult(received: store(request)))
    }
  }

  private func codeLimit(_ channel: Int) -> Int {
    switch channel {
    case 0, 1, secondChannel: description.coefficient.codeCount - 1
    case 2..<2 + description.embeddingChannels: description.embedding.codeCount - 1
    case ..<secondChannel: (description.offset?.codeCount ?? 1) - 1
    default: description.embedding.codeCount - 1
    }
  }

  private func store(_ part: UploadSchedule) -> Int {
    // A part for a schedule that is complete, or of another length or tick, begins a new one under the same id.
    let known = schedules.firstIndex {
      $0.id == part.scheduleID && $0.ticks == part.ticks && $0.tick == part.tick && $0.receivedCount < $0.ticks
    }
    var schedule =
      known.map { schedules[$0] }
      ?? Schedule(
        id: part.scheduleID, ticks: part.ticks, tick: part.tick, channels: channels,
        codes: [UInt16](repeating: 0, count: part.ticks * channels), noise: [Float](repeating: 0, count: part.ticks),
        received: [Bool](repeating: false, count: part.ticks))
    schedules.removeAll { $0.id == part.scheduleID }
    if schedules.count >= Self.scheduleCapacity { schedules.removeFirst() }
    let ticks = part.firstTick..<part.firstTick + part.count
    schedule.codes.replaceSubrange(
      ticks.lowerBound * schedule.channels..<ticks.upperBound * schedule.channels, with: part.codes)
    for (tick, k) in zip(ticks, 0...) {
      schedule.received[tick] = true
      schedule.noise[tick] = part.noise.isEmpty ? 0 : part.noise[k]
    }
    schedule.hasNoise = schedule.noise.contains { $0 != 0 }
    schedules.append(schedule)
    knownTables = [:]
    return schedule.receivedCount
  }

  /// The schedule as the loop sees it, made once for as long as schedule and network stay.
  func tables(_ schedule: Schedule) -> LoopTables {
    if let known = knownTables[schedule.id] { return known }
    let tables = makeTables(schedule)
    knownTables[schedule.id] = tables
    return tables
  }

  /// The schedule as the loop sees it: codes through their converters, in units and τ.
  ///
  /// One unit at an integrator's input moves x by one unit in `runTime`, so a tick lasts tick/runTime of τ.
  private func makeTables(_ schedule: Schedule) -> LoopTables {
    let loop = description
    let unit = loop.unitVoltage.rawValue
    let coefficient = ConverterScale(loop.coefficient)
    let embedding = ConverterScale(loop.embedding)
    let columns = embeddingColumns
    let tickDuration = schedule.tick.seconds / loop.runTime.seconds
    var tables = LoopTables(tickDuration: tickDuration, a: [], b: [], embeddingColumns: columns)
    tables.a.reserveCapacity(schedule.ticks)
    tables.b.reserveCapacity(schedule.ticks)
    tables.embedding.reserveCapacity(schedule.ticks * columns)
    for tick in 0..<schedule.ticks {
      let codes = schedule.codes[tick * schedule.channels..<(tick + 1) * schedule.channels]
      let first = codes.startIndex
      func volts(_ scale: ConverterScale, _ kind: LoopConverter, _ channel: Int, _ code: UInt16) -> Double {
        output(kind, channel, Int(code), scale)
      }
      tables.a.append(Float(volts(coefficient, .coefficient, 0, codes[first]) / loop.coefficientUnit.rawValue))
      tables.b.append(Float(volts(coefficient, .coefficient, 1, codes[first + 1]) / loop.coefficientUnit.rawValue))
      func embed(_ layer: Layer, channel: Int, at place: Int) {
        for output in 0..<layer.outputs {
          guard output < loop.embeddingChannels else {
            tables.embedding.append(0)
            continue
          }
          let level = volts(embedding, .embedding, channel + output, codes[place + output])
          let gain: Double =
            switch loop.embeddingInjection {
            case .afterGain: 1
            // The current is that of the embedding voltage behind the largest transimpedance.
            case .current: layer.gains[output] / loop.columnGain.upperBound.rawValue
            }
          tables.embedding.append(Float(level * gain / unit))
        }
      }
      for (index, layer) in layers.dropLast().enumerated() {
        embed(layer, channel: 0, at: first + 2)
        guard !second.isEmpty else { continue }
        embed(second[index], channel: loop.embeddingChannels, at: first + secondChannel + 1)
      }
      if !second.isEmpty {
        tables.secondB.append(
          Float(volts(coefficient, .coefficient, 2, codes[first + secondChannel]) / loop.coefficientUnit.rawValue))
      }
      if let offset = loop.offset {
        let scale = ConverterScale(offset)
        for d in 0..<Self.dimensions {
          tables.offset.append(
            Float(volts(scale, .offset, d, codes[first + 2 + loop.embeddingChannels + d]) / unit))
        }
      }
    }
    periphery.apply(to: &tables, tick: schedule.tick, dimensions: Self.dimensions)
    if schedule.hasNoise {
      // The kernel adds g·ξ/√Δτ; what arrives at the integrator is σ·gain·ξ/unit.
      let scale = loop.noiseGain / unit * tickDuration.squareRoot()
      tables.noiseAmplitude = schedule.noise.map { Float(Double($0) * scale) }
    }
    return tables
  }

  /// Every hidden layer has columns of its own, because `current` injection scales them by its gains.
  private var embeddingColumns: Int { (layers.dropLast() + second.dropLast()).reduce(0) { $0 + $1.outputs } }
}
