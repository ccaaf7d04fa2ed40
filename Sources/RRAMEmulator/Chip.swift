internal import RRAMPhysics
internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

/// One pulse as the firmware gives it: what it is for, the amplitude on the line that this drives, in volts.
struct CellPulse {
  var kind: PulseKind
  var amplitude: Double
  var wordLine: Double
  var width: Duration
}

/// What was done to cells since boot.
struct CellBooks {
  var reads = 0
  var setPulses = 0
  var resetPulses = 0
  var formingPulses = 0
  var loopRuns = 0

  var pulses: Int { setPulses + resetPulses + formingPulses }
}

/// The die behind the firmware: macros, chip time, labels, and the file that keeps them.
///
/// Every action costs the chip time that drivers, amplifiers and converters of the board description need for it.
final class Chip {
  let profile: ChipProfile
  let board: BoardDescription
  let seed: UInt64
  let limits: ChipLimits
  let check: LimitCheck
  /// Threads the closed loop may use.
  let threads: Int
  let loop: EmulatedBoard.LoopSolution
  /// Chip time since the chip was made, ns.
  private(set) var nanoseconds: UInt64
  private(set) var books = CellBooks()
  var crossbars: [Crossbar]
  /// Between drivers, cells and amplifiers; see Chip+Wires.
  let wires: ArrayWires
  /// Made when it is first needed; serves all macros.
  var wireNetwork: WireNetwork?
  /// The effective matrices solved last, by macro.
  var effectiveMatrices: [Int: BlockConductances] = [:]
  /// The run whose cells are kept apart; see Chip+Run.
  var run: RunCells?
  private var labels: [[UInt8]]
  private var writeCounters: [UInt64]
  /// Cells that forming or a write left conducting, one byte a cell: the board's own books, not the cells' state.
  private var formedCells: [[UInt8]]
  /// The read-out converter gives one code whatever it is shown.
  var isConverterStuck = false
  /// Siemens as the board last read each cell, NaN where it has not since the cell's last pulse; of this boot.
  private var lastReads: [[Float]]
  private let stateFile: StateFile?
  /// Something changed that must be on disk before anyone hears of it.
  private var isDirty = false
  /// Time has passed or cells were read: worth keeping, not worth waiting for.
  private var isStale = false
  private let bitLine: LineDriver
  private let sourceLine: LineDriver
  private let wordLine: LineDriver

  /// - Throws: ``EmulatorError`` if the state file is held, damaged, newer, or of another chip.
  init(
    profile: ChipProfile, board: BoardDescription, seed: UInt64, statePath: String?, threads: Int,
    loop: EmulatedBoard.LoopSolution
  ) throws(EmulatorError) {
    self.profile = profile
    self.board = board
    self.seed = seed
    self.threads = threads
    self.loop = loop
    limits = profile.limits ?? .readOnly
    wires = ArrayWires(profile, on: board)
    check = LimitCheck(limits: limits, drivers: board.drivers)
    bitLine = LineDriver(board.drivers.bitLine)
    sourceLine = LineDriver(board.drivers.sourceLine)
    wordLine = LineDriver(board.drivers.wordLine)
    crossbars = (0..<board.macros.count).map {
      Crossbar(profile: profile, shape: board.macros.shape, macro: $0, seed: seed)
    }
    labels = [[UInt8]](repeating: [UInt8](repeating: 0, count: MacroLabel.byteCount), count: board.macros.count)
    writeCounters = [UInt64](repeating: 0, count: board.macros.count)
    formedCells = [[UInt8]](
      repeating: [UInt8](repeating: 0, count: board.macros.shape.cellCount), count: board.macros.count)
    lastReads = [[Float]](
      repeating: [Float](repeating: .nan, count: board.macros.shape.cellCount), count: board.macros.count)
    nanoseconds = 0
    guard let statePath else {
      stateFile = nil
      return
    }
    let file = try StateFile(path: statePath, profile: profile, board: board, seed: seed)
    stateFile = file
    if let state = try file.load() {
      nanoseconds = state.nanoseconds
      labels = state.labels
      writeCounters = state.writeCounters
      if !state.formedCells.isEmpty { formedCells = state.formedCells }
      for macro in crossbars.indices {
        do {
          try crossbars[macro].importState(state.macros[macro])
        } catch {
          throw EmulatorError(.damaged, "macro \(macro): \(error)", file: statePath, underlying: error)
        }
      }
      run = try state.run.map { run throws(EmulatorError) in try RunCells(run, of: self, file: statePath) }
    } else {
      // Written at once, so that a path that cannot be written is known before anything is done to the chip.
      isDirty = true
      try save()
    }
  }

  var shape: MacroShape { board.macros.shape }
  var macroCount: Int { crossbars.count }
  /// Chip time in seconds, the clock of the physics.
  var seconds: Double { Double(nanoseconds) * 1e-9 }

  // MARK: Arguments

  /// The block, if it lies in a macro of this board.
  func checked(_ block: CellBlock) throws(RequestFailure) -> CellBlock {
    guard block.macro >= 0, block.macro < macroCount else {
      throw RequestFailure(.badArgument, "macro \(block.macro) of \(macroCount): block.macro")
    }
    guard block.fits(in: shape) else {
      throw RequestFailure(
        .badArgument,
        "\(block.shape) cells from row \(block.firstRow) and column \(block.firstColumn) "
          + "do not lie in a macro of \(shape)")
    }
    return block
  }

  func hasFormedCell(_ block: CellBlock) -> Bool {
    guard let cells = try? crossbars[block.macro].cells(of: block) else { return false }
    return cells.contains { crossbars[block.macro].isFormed($0) }
  }

  // MARK: Time

  private static let iceKelvin = 273.15

  /// °C of the die.
  var celsius: Double { (crossbars.first?.kelvin ?? profile.retention.referenceTemperature) - Self.iceKelvin }

  /// Brings the die to a temperature from now on; `nil`: the profile's reference temperature.
  ///
  /// Where the chip stood before this board was switched on is not known to it: what has aged has aged.
  func setTemperature(celsius: Double?) {
    let kelvin = celsius.map { $0 + Self.iceKelvin } ?? profile.retention.referenceTemperature
    for macro in crossbars.indices where crossbars[macro].kelvin != kelvin {
      crossbars[macro].setTemperature(kelvin: kelvin, at: seconds)
      isStale = true
    }
  }

  /// Longest chip time, ns: a hundred years.
  private static let lastNanosecond: UInt64 = 100 * 365 * 86_400 * 1_000_000_000

  func advance(_ duration: Duration) { advance(nanoseconds: UInt64(max(0, (duration.seconds * 1e9).rounded()))) }

  func advance(nanoseconds step: UInt64) {
    nanoseconds = min(nanoseconds &+ step, Self.lastNanosecond)
    isStale = true
  }

  func advanceOperation(_ request: AdvanceTime) throws(RequestFailure) -> any Operation {
    let last = Duration.nanoseconds(Int64(Self.lastNanosecond))
    guard request.duration <= last - .nanoseconds(Int64(nanoseconds)) else {
      throw RequestFailure(.badArgument, "chip time ends after a hundred years: advance_time.duration_us")
    }
    if let celsius = request.celsius, !EmulatedBoard.Configuration.temperatureRange.contains(celsius) {
      let range = EmulatedBoard.Configuration.temperatureRange
      throw RequestFailure(
        .badArgument,
        "\(celsius) °C is not between \(range.lowerBound) and \(range.upperBound): advance_time.temperature_c")
    }
    return ImmediateOperation(macros: .all) { chip throws(RequestFailure) in
      if let celsius = request.celsius { chip.setTemperature(celsius: celsius) }
      chip.advance(request.duration)
      chip.isDirty = true
      return .advanceTime(AdvanceTimeResult())
    }
  }

  /// Columns of a row that the amplifiers reach one after the other.
  private func conversionSlots(_ cells: ArraySlice<Int>) -> Int {
    var slots = 0
    forEachRow(cells) { row in
      guard board.sensing.columnsPerAmplifier > 1 else {
        slots += 1
        return
      }
      // Amplifiers work side by side; the one with most of the columns takes longest.
      var uses: [Int: Int] = [:]
      for cell in row { uses[cell % shape.columns / board.sensing.columnsPerAmplifier, default: 0] += 1 }
      slots += uses.values.max() ?? 0
    }
    return slots
  }

  /// Groups of one row that the drivers can pulse at once.
  private func pulseGroups(_ cells: ArraySlice<Int>) -> Int {
    var groups = 0
    let atOnce = max(1, board.drivers.simultaneousColumns)
    forEachRow(cells) { row in groups += (row.count + atOnce - 1) / atOnce }
    return groups
  }

  private func forEachRow(_ cells: ArraySlice<Int>, _ body: (ArraySlice<Int>) -> Void) {
    var first = cells.startIndex
    while first < cells.endIndex {
      let row = cells[first] / shape.columns
      var last = first + 1
      while last < cells.endIndex, cells[last] / shape.columns == row { last += 1 }
      body(cells[first..<last])
      first = last
    }
  }

  // MARK: Reads

  /// The board shows its converter a reference while the lines settle; one that answers anything else is not believed.
  func checkConverter() throws(RequestFailure) {
    guard isConverterStuck else { return }
    var failure = RequestFailure(.failed, "the read-out converter does not see its reference: it is stuck")
    failure.isFault = true
    throw failure
  }

  /// Ends the life of a formed cell.
  func wearOutCell(seed: UInt64) {
    for macro in crossbars.indices {
      let formed = formedCells[macro].indices.filter { formedCells[macro][$0] != 0 }
      guard !formed.isEmpty else { continue }
      crossbars[macro].wearOut(formed[Int(seed % UInt64(formed.count))])
      isDirty = true
      return
    }
  }

  /// Reads cells: settling, then integration and conversion for every column an amplifier has to serve.
  func read(
    macro: Int, _ cells: ArraySlice<Int>, _ bias: ReadBias
  ) throws(RequestFailure) -> (conductance: [Float], saturated: Int) {
    let sensing = board.sensing
    let voltage = bitLine.atMost(bias.bitLine.rawValue)
    let gate = wordLine.atMost(bias.wordLine.rawValue)
    try checkConverter()
    let slots = conversionSlots(cells)
    advance(
      (board.drivers.settling + (sensing.integrationTime + sensing.conversionTime) * bias.averages) * slots)
    books.reads += cells.count
    let readOut = Crossbar.ReadOut(
      sensing: sensing, wordLine: Volts(gate), voltage: Volts(voltage),
      range: sensing.rangeIndex(for: highestConductance, at: Volts(voltage)), averages: bias.averages)
    do {
      let factors = try readFactors(
        macro: macro, cells, averaging: sensing.integrationTime * bias.averages)
      let readings = try crossbars[macro].read(Array(cells), readOut, at: seconds, factors: factors)
      let conductance = readings.conductances.map { Float($0.rawValue) }
      for (cell, value) in zip(cells, conductance) { lastReads[macro][cell] = value }
      return (conductance, readings.saturated.count { $0 })
    } catch {
      throw RequestFailure(error)
    }
  }

  /// What the board last read of a formed cell, siemens; NaN if it has not read it since its last pulse, or has not formed it.
  func lastRead(macro: Int, _ cell: Int) -> Float { formedCells[macro][cell] == 0 ? .nan : lastReads[macro][cell] }

  /// What the amplifiers' range is chosen for: a little above the window that targets may ask for.
  private var highestConductance: Siemens { limits.conductance.upperBound * 1.05 }

  /// Currents of the block's columns, A, which conversions were out of range, and the amplifiers' ranges.
  func columnCurrents(
    _ block: CellBlock, inputs: [Double], wordLine gate: Double, averages: Int
  ) throws(RequestFailure) -> (currents: [Float], saturated: [Bool], ranges: [UInt8]) {
    let sensing = board.sensing
    try checkConverter()
    let slots = min(block.shape.columns, sensing.columnsPerAmplifier)
    advance(board.drivers.settling + (sensing.integrationTime + sensing.conversionTime) * averages * slots)
    books.reads += block.shape.columns
    let rows = block.shape.rows
    let columns = block.shape.columns
    let gate = wordLine.atMost(gate)
    let open = gate >= profile.cells.selectorThreshold.rawValue
    // Exact where no wire takes a share of a row's voltage.
    let inputs = inputs.map { $0 * profile.cells.relativeConductance(at: Volts($0)) }
    do {
      let use = sensing.integrationTime * averages
      let conductances = try conductances(of: block, averaging: use, wordLine: Volts(gate))
      // White noise integrated over T is that of a pole at 1/(πT).
      let white = try crossbars[block.macro].nodeNoise(
        of: block, over: .zero, bandwidth: 1 / (.pi * sensing.integrationTime.seconds))
      var draws = drawStream(Self.productTag, macro: block.macro)
      let periphery = SensingPeriphery(sensing, seed: seed, macro: block.macro)
      var currents: [Float] = []
      var saturated: [Bool] = []
      var ranges: [UInt8] = []
      for column in 0..<columns {
        var current = 0.0
        var variance = 0.0
        if open {
          for row in 0..<rows {
            let index = row * columns + column
            current += inputs[row] * conductances.effective[index]
            let input = inputs[row] * conductances.noiseFactor(index)
            variance += input * input * white[index]
          }
        }
        let range = currentRange(current)
        let (value, isSaturated) = convert(
          current, sigma: variance.squareRoot(), averages: averages, range: range,
          column: block.firstColumn + column, periphery, &draws)
        currents.append(Float(value))
        saturated.append(isSaturated)
        ranges.append(UInt8(range))
      }
      return (currents, saturated, periphery.isIdeal ? [] : ranges)
    } catch {
      throw RequestFailure(error)
    }
  }

  /// One conversion of a column with the lines as SetDac left them.
  func columnVoltage(macro: Int, column: Int, _ lines: LineVoltages) throws(RequestFailure) -> ADCResult {
    let sensing = board.sensing
    try checkConverter()
    advance(sensing.integrationTime + sensing.conversionTime)
    books.reads += 1
    do {
      let conductances = try columnConductances(macro: macro, column: column) { row, column in
        let channel =
          switch board.macros.wordLines {
          case .parallelToBitLines: macro * shape.rows + row
          case .parallelToSourceLines: macro * shape.columns + column
          }
        return Volts(lines[.init(kind: .wordLine, channel: channel)])
      }
      var current = 0.0
      for row in 0..<shape.rows {
        // Exact where all source lines are at one voltage.
        let across =
          lines[.init(kind: .bitLine, channel: macro * shape.rows + row)]
          - lines[.init(kind: .sourceLine, channel: macro * shape.columns + column)]
        current += across * profile.cells.relativeConductance(at: Volts(across)) * conductances[row]
      }
      var draws = drawStream(Self.columnTag, macro: macro)
      let noise = sensing.converterNoise.rawValue * draws.normal()
      let range = currentRange(current)
      let conversion = sensing.converter.convert(
        SensingPeriphery(sensing, seed: seed, macro: macro).seen(
          Volts(current * sensing.ranges[range].rawValue + noise), column: column, range: range))
      return ADCResult(
        code: conversion.code, value: sensing.converter.volts(conversion.code).rawValue,
        isSaturated: conversion.isSaturated)
    } catch {
      throw RequestFailure(error)
    }
  }

  /// Known inputs of an amplifier: the open one, and the resistors.
  var referenceCount: Int { board.sensing.references.map { $0.resistors.count + 1 } ?? 0 }

  /// One conversion of a known input through the amplifier of a column, as a conductance.
  ///
  /// A resistor's true value is drawn once from the board's seed, even over its tolerance.
  ///
  /// - Parameter range: nil: that of reads.
  func referenceReading(_ reference: Int, macro: Int, column: Int, range: Int? = nil) -> ADCResult {
    let sensing = board.sensing
    advance(board.drivers.settling + sensing.integrationTime + sensing.conversionTime)
    let voltage = Volts(bitLine.atMost(min(sensing.readVoltage, limits.read).rawValue))
    let range = range ?? sensing.rangeIndex(for: highestConductance, at: voltage)
    var current = 0.0
    if reference > 0, let known = sensing.references {
      let words = Philox4x32.block(seed: seed, UInt32(reference), 0, 0, Self.referenceTag)
      let resistance = known.resistors[reference - 1] * (1 + known.tolerance * (2 * Philox4x32.uniform(words.x) - 1))
      current = voltage.rawValue / resistance.rawValue
    }
    var draws = drawStream(Self.referenceTag, macro: macro)
    let noise = sensing.converterNoise.rawValue * draws.normal()
    let conversion = sensing.converter.convert(
      SensingPeriphery(sensing, seed: seed, macro: macro).seen(
        Volts(current * sensing.ranges[range].rawValue + noise), column: column, range: range))
    return ADCResult(
      code: conversion.code, value: sensing.conductance(of: conversion.code, at: voltage, range: range).rawValue,
      isSaturated: conversion.isSaturated)
  }

  /// The board's voltage reference, drawn once from the board's seed, even over its tolerance; V.
  func voltageReference(_ loopback: BoardDescription.ClosedLoop.Loopback) -> Double {
    guard let reference = loopback.reference else { return 0 }
    let words = Philox4x32.block(seed: seed, 0, 0, 0, Self.loopbackTag)
    return reference.voltage.rawValue * (1 + reference.tolerance * (2 * Philox4x32.uniform(words.x) - 1))
  }

  /// One conversion of a voltage that stands at an output, without an amplifier.
  func loopbackReading(
    _ voltage: Double, _ loop: LoopSequencer, _ loopback: BoardDescription.ClosedLoop.Loopback
  ) -> ADCResult {
    let sensing = board.sensing
    advance(loopback.settling + sensing.conversionTime)
    var draws = drawStream(Self.loopbackTag, macro: 0)
    let seen = loop.periphery.line(nil, channel: 0).of(Volts(voltage))
    let conversion = sensing.converter.convert(seen + Volts(sensing.converterNoise.rawValue * draws.normal()))
    return ADCResult(
      code: conversion.code, value: sensing.converter.volts(conversion.code).rawValue,
      isSaturated: conversion.isSaturated)
  }

  /// What the read-out converter shows of an integrator before it rounds, V.
  func integratorVoltage(_ loop: LoopSequencer, _ channel: Int, _ scale: ConverterScale) -> Double {
    let volts = loop.integrators[channel]
    let periphery = loop.periphery
    let shown =
      loop.lines(.readOut)[channel].of(Volts(volts)).rawValue
      + scale.step
      * periphery.nonlinearity(.readOut, channel: channel, code: scale.code(volts).code, of: scale.lastCode + 1)
    // Chip time has just moved: no two conversions share a draw.
    return shown
      + periphery.readOutNoise(
        runSeed: seed ^ nanoseconds, sample: UInt32(truncatingIfNeeded: nanoseconds), point: 0, channel: channel)
  }

  /// Counter words that tell these streams of draws from those of the cells: "PROD", "COLU", "REFE" and "LOOP".
  private static let referenceTag: UInt32 = 0x5245_4645
  private static let loopbackTag: UInt32 = 0x4C4F_4F50
  private static let productTag: UInt32 = 0x5052_4F44
  private static let columnTag: UInt32 = 0x434F_4C55

  /// Draws of one measurement. Chip time has just moved, so no two measurements share a stream.
  private func drawStream(_ tag: UInt32, macro: Int) -> PhiloxStream {
    PhiloxStream(
      seed: seed ^ UInt64(macro) << 48,
      stream: (tag, UInt32(truncatingIfNeeded: nanoseconds), UInt32(truncatingIfNeeded: nanoseconds >> 32)))
  }

  /// The largest transimpedance that keeps a current inside the converter.
  private func currentRange(_ current: Double) -> Int {
    let sensing = board.sensing
    let highest = min(sensing.converter.reachable.upperBound.rawValue, -sensing.converter.reachable.lowerBound.rawValue)
    return sensing.ranges.lastIndex { abs(current) * $0.rawValue <= 0.98 * highest } ?? 0
  }

  private func convert(
    _ current: Double, sigma: Double, averages: Int, range: Int, column: Int, _ periphery: SensingPeriphery,
    _ draws: inout PhiloxStream
  ) -> (current: Double, saturated: Bool) {
    let sensing = board.sensing
    let gain = sensing.ranges[range].rawValue
    let cellNoise = sigma * gain
    let converterNoise = sensing.converterNoise.rawValue
    let noise = (cellNoise * cellNoise + converterNoise * converterNoise).squareRoot()
    var sum = 0.0
    var saturated = false
    for _ in 0..<averages {
      let voltage = Volts(current * gain + (noise > 0 ? noise * draws.normal() : 0))
      let conversion = sensing.converter.convert(periphery.seen(voltage, column: column, range: range))
      saturated = saturated || conversion.isSaturated
      sum += sensing.converter.volts(conversion.code).rawValue
    }
    return (sum / Double(averages) / gain, saturated)
  }

  // MARK: Pulses

  /// Says that an operation is about to change cells of a macro for the first time.
  func willWrite(macro: Int) {
    if run?.macros.contains(macro) == true { run = nil }
    writeCounters[macro] &+= 1
    isDirty = true
  }

  /// Enters cells into the board's books of formed ones.
  func noteFormed(macro: Int, _ cells: ArraySlice<Int>) {
    for cell in cells where formedCells[macro][cell] == 0 {
      formedCells[macro][cell] = 1
      isDirty = true
    }
  }

  /// What the board's books say of cells, in their order.
  func knownFormed(macro: Int, _ cells: ArraySlice<Int>) -> [Bool] { cells.map { formedCells[macro][$0] != 0 } }

  /// One and the same pulse to every cell.
  func pulse(macro: Int, _ cells: ArraySlice<Int>, _ pulse: CellPulse) throws(RequestFailure) {
    prepare(macro, cells, pulse.kind, pulse.width)
    do {
      try crossbars[macro].pulse(
        Array(cells), lines(pulse.kind, wordLine: pulse.wordLine, pulse.amplitude, pulse.width), at: seconds)
    } catch {
      throw RequestFailure(error)
    }
  }

  /// A pulse of its own amplitude to every cell.
  func pulse(
    macro: Int, _ cells: ArraySlice<Int>, kind: PulseKind, amplitudes: [Double], wordLine: Double, width: Duration
  ) throws(RequestFailure) {
    prepare(macro, cells, kind, width)
    let driver = kind == .reset ? sourceLine : bitLine
    do {
      try crossbars[macro].pulse(
        Array(cells), lines(kind, wordLine: wordLine, 0, width),
        amplitudes: amplitudes.map { Volts(driver.atMost($0)) }, at: seconds)
    } catch {
      throw RequestFailure(error)
    }
  }

  /// Time and books of one pulse to each of the cells: the lines settle, then the pulse, for every group of every row.
  private func prepare(_ macro: Int, _ cells: ArraySlice<Int>, _ kind: PulseKind, _ width: Duration) {
    for cell in cells { lastReads[macro][cell] = .nan }
    advance((board.drivers.settling + width) * pulseGroups(cells))
    isDirty = true
    switch kind {
    case .set: books.setPulses += cells.count
    case .reset: books.resetPulses += cells.count
    case .forming: books.formingPulses += cells.count
    }
  }

  private func lines(
    _ kind: PulseKind, wordLine gate: Double, _ amplitude: Double, _ width: Duration
  ) -> RRAMPhysics.Pulse {
    let physical: RRAMPhysics.Pulse.Kind =
      switch kind {
      case .set: .set
      case .reset: .reset
      case .forming: .forming
      }
    let driver = kind == .reset ? sourceLine : bitLine
    return RRAMPhysics.Pulse(
      kind: physical, wordLine: Volts(wordLine.atMost(gate)), amplitude: Volts(driver.atMost(amplitude)), width: width)
  }

  // MARK: Closed loop

  /// What tells whether anything was done to the macros of blocks.
  func revisions(of blocks: [CellBlock]) -> [UInt64] { blocks.map { crossbars[$0.macro].revision } }

  func noteLoopRun() { books.loopRuns += 1 }

  /// Says that something changed which must be on disk before anyone hears of it.
  func noteChanged() { isDirty = true }

  /// The loop on the cells as they are at chip time `time`, with a second network of the same state unless there is none.
  ///
  /// A column pair's amplifier makes R·(I₊ − I₋) of its currents, so one unit on a row gives R·(G₊ − G₋) units: the weight.
  /// Noise slower than a run is in the conductances, faster noise in the nodes, up to the amplifiers' bandwidth.
  func closedLoop(
    _ layers: [LoopSequencer.Layer], second: [LoopSequencer.Layer], _ loop: BoardDescription.ClosedLoop,
    limits: LoopLimits, use: Duration, at time: Double
  ) throws(RequestFailure) -> ClosedLoop {
    var network = try self.network(layers, loop, use: use, at: time)
    if !second.isEmpty { network = network.beside(try self.network(second, loop, use: use, at: time)) }
    let isNoisy = network.layers.contains { !$0.variances.isEmpty }
    LoopPeriphery(loop, seed: seed).apply(
      to: &network,
      amplifiers: layers.indices.map { layer in
        (second.isEmpty ? [layers[layer]] : [layers[layer], second[layer]]).flatMap { layer in
          (0..<layer.outputs).map { (layer.block.macro, layer.block.firstColumn / 2 + $0) }
        }
      })
    // A single pole at f has the correlation time 1/(2πf), here in units of τ.
    let correlationTime = 1 / (2 * Double.pi * loop.amplifierBandwidth * loop.runTime.seconds)
    do {
      return try ClosedLoop(
        network: network, limits: limits,
        noise: isNoisy ? noise(correlationTime: Float(correlationTime)) : .none, poles: LoopPoles(loop),
        transport: LoopTransport(profile.cells, unit: loop.unitVoltage))
    } catch {
      throw RequestFailure(.failed, "the loop cannot be run: \(error)")
    }
  }

  /// One network behind its amplifiers.
  private func network(
    _ layers: [LoopSequencer.Layer], _ loop: BoardDescription.ClosedLoop, use: Duration, at time: Double
  ) throws(RequestFailure) -> LoopNetwork {
    var network = LoopNetwork(layers: [], amplitude: Float(loop.outputAmplifier))
    var embeddingColumn = 0
    for (index, layer) in layers.enumerated() {
      let conductances: BlockConductances
      let noise: [Double]
      do {
        conductances = try self.conductances(of: layer.block, averaging: use, wordLine: loop.wordLine, at: time)
        noise = try crossbars[layer.block.macro].nodeNoise(
          of: layer.block, over: use, bandwidth: loop.amplifierBandwidth)
      } catch {
        throw RequestFailure(error)
      }
      let columns = layer.block.shape.columns
      let inputs = layer.inputs + 1
      var sums = [Double](repeating: 0, count: layer.outputs * inputs)
      var squares = sums
      for output in 0..<layer.outputs {
        let gain = layer.gains[output]
        for (row, drive) in layer.rows.enumerated() {
          guard let input = drive.input else { continue }
          let plus = row * columns + 2 * output
          let factor = gain * drive.factor
          sums[output * inputs + input] += factor * (conductances.effective[plus] - conductances.effective[plus + 1])
          let (own, partner) = (conductances.noiseFactor(plus), conductances.noiseFactor(plus + 1))
          squares[output * inputs + input] +=
            factor * factor * (own * own * noise[plus] + partner * partner * noise[plus + 1])
        }
      }
      let weights = sums.map { Float($0) }
      let variances = squares.map { Float($0) }
      let isHidden = index + 1 < layers.count
      let noisy = variances.contains { $0 > 0 }
      network.layers.append(
        LoopNetwork.Layer(
          inputs: layer.inputs, outputs: layer.outputs, weights: weights, variances: noisy ? variances : [],
          embeddingColumn: isHidden ? embeddingColumn : nil))
      if isHidden { embeddingColumn += layer.outputs }
    }
    return network
  }

  private func noise(correlationTime: Float) -> LoopNoise {
    switch loop.noise {
    case .outputs: .bandLimited(correlationTime: correlationTime)
    case .cells: .perCell(.init(modes: [.init(correlationTime: correlationTime, share: 1)]))
    }
  }

  // MARK: Labels

  /// What a macro is labelled with.
  func label(macro: Int) throws(RequestFailure) -> MacroLabel {
    guard macro >= 0, macro < macroCount else {
      throw RequestFailure(.badArgument, "macro \(macro) of \(macroCount): label.macro")
    }
    return MacroLabel(macro: macro, label: labels[macro], writeCounter: writeCounters[macro])
  }

  func labelOperation(_ request: SetLabel) throws(RequestFailure) -> any Operation {
    let macro = request.macro
    _ = try label(macro: macro)
    guard request.label.count == MacroLabel.byteCount else {
      throw RequestFailure(
        .badArgument, "a label of \(request.label.count) bytes, \(MacroLabel.byteCount) belong: set_label.label")
    }
    return ImmediateOperation(macros: MacroSet(CollectionOfOne(macro))) { chip throws(RequestFailure) in
      chip.labels[macro] = request.label
      chip.isDirty = true
      return .label(try chip.label(macro: macro))
    }
  }

  // MARK: State

  /// Writes the state file if something changed that must not be lost; `everything` also keeps time and reads.
  func save(everything: Bool = false) throws(EmulatorError) {
    guard isDirty || (everything && isStale), let stateFile else { return }
    try stateFile.write(
      crossbars,
      StateFile.State(
        nanoseconds: nanoseconds, labels: labels, writeCounters: writeCounters, formedCells: formedCells, macros: []),
      run)
    isDirty = false
    isStale = false
  }

  /// Releases the state file for others.
  func close() { stateFile?.unlock() }
}

/// A line's converter: the firmware never drives more than it was asked for, so codes are rounded towards 0 V.
private struct LineDriver {
  let scale: ConverterScale

  init(_ converter: BoardDescription.Converter) { scale = ConverterScale(converter) }

  func atMost(_ voltage: Double) -> Double {
    // A hair of tolerance: a voltage that is a code must not fall to the next one by rounding.
    let steps = (voltage - scale.lower) / scale.step
    let code = voltage < 0 ? (steps - 1e-6).rounded(.up) : (steps + 1e-6).rounded(.down)
    let reached = scale.lower + min(max(code, 0), Double(scale.lastCode)) * scale.step
    return abs(reached) > abs(voltage) && abs(reached) - abs(voltage) < 1e-5 * scale.step ? voltage : reached
  }
}

extension RequestFailure {
  /// The physics refuses what firmware should have refused: a fault of the board, not of the request.
  init(_ error: PhysicsError) {
    self.init(.failed, "the chip refuses: \(error)")
    isFault = true
  }
}
