public import RRAMBoard
internal import RRAMFiles
internal import RRAMProfiles
internal import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// What the amplifiers of the closed loop make of the conductances that reads show, for every pair of columns with formed cells of the
/// networks' macros.
///
/// At the loop's operating point, word lines, row voltage and transimpedance: rows are driven with one unit, once in a matrix product, whose
/// currents the read chain shows, and once in the loop, where the pair is one of the two last outputs and its integrator adds it up. Slope and
/// offset of the second over the first are gain and offset of inference against those of read-back.
///
/// What is common to all pairs, multipliers and integrators behind the last layer, is taken off: the output of a first layer is balanced
/// against its embedding's converter, whose volts are known, through one and the same pair behind it.
public struct LoopGains: PlanStep {
  public static let name = "loopGains"
  public static let title = "Gains of the loop"
  public static let wears = false
  static let settings: [Setting<Self>] = [
    .whole("passes", \.passes, in: 2...1000, "times that everything is measured, one after the other"),
    .whole("samples", \.samples, in: 1...4096, "runs of the loop averaged for one value"),
    .whole("averages", \.averages, in: 1...4096, "conversions averaged per column of a product"),
  ]

  /// Times that everything is measured, one after the other: their scatter gives the standard errors.
  public var passes = 32
  /// Runs of the loop averaged for one value.
  public var samples = 64
  /// Conversions averaged per column of a product.
  public var averages = 16

  public init() {}

  /// Network output that the rows of a pattern add up to at most, units: half of what a rail of 50 behind an amplifier of 5 permits.
  private static let highest = 6.0
  /// The least span of outputs that tells a gain, units.
  private static let leastSpan = 0.2
  /// Pairs of the first layer that are balanced against the embedding, per axis, and how often for each pass: what they tell is in every gain.
  private static let balanced = 8
  private static let balances = 3
  /// The least output of a first layer while it is balanced, units: well above the rectifier's zero.
  private static let least = 0.5
  /// Rows of a pair among which those of a balance are chosen.
  private static let candidates = 10
  private static let ticks = 40
  /// Above the ids that sampling sessions use.
  private static let schedule: UInt32 = 1 << 29

  public func obstacle(at site: Site) -> String? {
    guard let loop = site.board.boardDescription.closedLoop,
      site.board.info.capabilities.isSuperset(of: [.closedLoop, .matrixProduct])
    else { return "the board has no closed loop beside matrix products" }
    guard loop.rowRouting == .any else { return "the board's rows have fixed sources: none can be driven alone" }
    // A product is converted in the range that suits its current, a read in another: their ratio would be in every gain.
    let unknown = Self.unmeasured(loop.layerMacros, at: site)
    guard unknown.isEmpty else {
      return
        "the gains of the reads' ranges are not known on macro\(unknown.count == 1 ? "" : "s") "
        + unknown.map(String.init).joined(separator: ", ")
        + ": 'rram characterize converters --macro \(unknown[0])' measures them, and products are converted in other ranges than reads"
    }
    return nil
  }

  /// Those of some macros whose read amplifiers have no calibration where the board could be asked for one.
  private static func unmeasured(_ macros: [Int], at site: Site) -> [Int] {
    let board = site.board
    let sensing = board.boardDescription.sensing
    guard sensing.ranges.count > 1, sensing.references != nil, board.info.capabilities.contains(.rawConverters) else {
      return []
    }
    return macros.filter { board.calibration?.covers(macro: $0) != true }
  }

  /// Macros of each network, layer after layer.
  private static func networks(_ loop: BoardDescription.ClosedLoop) -> [[Int]] {
    loop.secondLayerMacros.isEmpty ? [loop.layerMacros] : [loop.layerMacros, loop.secondLayerMacros]
  }

  public func cost(at site: Site) -> Cost {
    guard let loop = site.board.boardDescription.closedLoop else { return Cost() }
    let shape = site.block.shape
    // Five patterns a block, and three points of every balance.
    let networks = Self.networks(loop)
    let patterns =
      networks.count * passes
      * (loop.layerMacros.count * (shape.columns / 4) * 5 + 2 * Self.balanced * Self.balances * 3)
    let trip = site.board.info.busRoundTrip.seconds
    let run = loop.runTime.seconds + loop.presetTime.seconds + loop.readOutTime.seconds
    return Cost(
      reads: patterns * 4 * averages + networks.joined().count * shape.rows * shape.columns,
      chipSeconds: Double(patterns) * (Double(samples) * run + Double(averages) * site.readSeconds + 4 * trip))
  }

  public func check(at site: Site) throws {
    guard let loop = site.board.boardDescription.closedLoop else { return }
    try site.board.check.check(
      product(
        CellBlock(macro: site.block.macro, shape: site.block.shape), Array(0..<site.block.shape.rows), loop))
  }

  // MARK: Measuring

  /// One pair of columns in a block of two.
  private struct Pair {
    /// 0, or 1 for the second network.
    var network: Int
    var macro: Int
    var pair: Int
    /// 0: it is x, 1: it is y.
    var axis: Int
  }

  /// The layers of a network with no row driven.
  private struct Idle {
    /// One output wide: for the places before the layer that is measured.
    var narrow: [LoopLayer] = []
    /// Two outputs wide: what closes the first network beside the second.
    var wide: [LoopLayer] = []
  }

  /// Two pairs of columns that are the outputs of a last layer, and the rows that are driven together.
  private struct Outputs {
    var network: Int
    var layer: Int
    var block: CellBlock
    /// By output, then row: what one unit on the row gives by the reads, units.
    var weights: [[Double]]
    var patterns: [[Int]]
  }

  private func product(_ block: CellBlock, _ rows: [Int], _ loop: BoardDescription.ClosedLoop) -> MatrixProduct {
    var inputs = [Float](repeating: 0, count: block.shape.rows)
    for row in rows { inputs[row] = Float(loop.unitVoltage.rawValue) }
    return MatrixProduct(block: block, inputs: inputs, wordLine: loop.wordLine, averages: averages)
  }

  /// The loop as one network's measurements need it.
  private struct Setup {
    let network: Int
    let loop: BoardDescription.ClosedLoop
    /// What the loop's converters make of their codes, as far as it was measured: gains found here are without it.
    let lines: ConverterLines
    let gainCode: UInt16
    let ohms: Double
    let tick: Duration
    /// b·τ·(gain of the output amplifier): units of x per unit of the network's output.
    let path: Double
    let bCode: UInt16
    /// The network's b and the first channel of its embedding among the channels of a schedule.
    let bChannel: Int
    let embeddingChannel: Int
    /// Line of that embedding channel.
    let embedding: ConverterLine
    var idle = Idle()
    /// Of the first network, which stands beside the second one's layers.
    var companion = Idle()

    init(
      network: Int, _ loop: BoardDescription.ClosedLoop, lines: ConverterLines, window: ClosedRange<Siemens>,
      highest: Double
    ) throws {
      self.network = network
      bChannel = network == 0 ? 1 : 2 + loop.embeddingChannels + loop.channels(of: .offset)
      embeddingChannel = bChannel + 1
      embedding = lines.embedding[network * loop.embeddingChannels]
      self.loop = loop
      self.lines = lines
      // Two units over the window: where trained networks lie.
      let wanted = Ohms(2 / (window.upperBound - window.lowerBound).rawValue)
      let last = UInt32((1 << loop.columnGainBits) - 1)
      let code = min(loop.columnGainCode(nearest: wanted) ?? (wanted > loop.columnGain.upperBound ? last : 0), last)
      gainCode = UInt16(code)
      ohms = loop.columnGain(code: code).rawValue
      let nanoseconds = (loop.runTime.seconds / Double(LoopGains.ticks) * 1e9).rounded()
      tick = min(max(.nanoseconds(Int(nanoseconds)), loop.tick.lowerBound), loop.tick.upperBound)
      let tau = tick.seconds * Double(LoopGains.ticks) / loop.runTime.seconds
      // Two thirds of the integrators' rail at the largest output.
      let b = 2 / 3.0 * (loop.integratorRail / loop.unitVoltage) / (highest * loop.outputAmplifier * tau)
      let line = lines.coefficient[1 + network]
      guard let code = loop.coefficient.code(nearest: line.inverse(b * loop.coefficientUnit)) else {
        throw CharacterizationError(.place, "the coefficient b of \(b) is beyond its converter")
      }
      bCode = UInt16(code.rawValue)
      path = (line.of(loop.coefficient.volts(code)) / loop.coefficientUnit) * tau * loop.outputAmplifier
    }

    /// Codes of a schedule of constants: b and the embedding's first channel, all else 0.
    func schedule(isOpen: Bool, embedding: DACCode? = nil) -> LoopSchedule {
      var codes = lines.zeroCodes(loop)
      if isOpen { codes[bChannel] = bCode }
      if let embedding { codes[embeddingChannel] = UInt16(embedding.rawValue) }
      return LoopSchedule(
        id: LoopGains.schedule, tick: tick, ticks: LoopGains.ticks,
        codes: (0..<LoopGains.ticks).flatMap { _ in codes })
    }

    /// A layer with rows that one unit drives, or that the layer before it drives, and the others grounded.
    func layer(_ block: CellBlock, driven rows: [Int], by source: LoopRow.Source = .bias) -> LoopLayer {
      var drives = [LoopRow](repeating: LoopRow(.ground), count: block.shape.rows)
      for row in rows { drives[row] = LoopRow(source) }
      return LoopLayer(
        block: block, columnGain: [UInt16](repeating: gainCode, count: block.shape.columns / 2), rows: drives)
    }

    /// Connects layers of this network.
    func connect(_ layers: [LoopLayer], on board: Board) async throws {
      guard network > 0 else { return try await board.configureLoop(layers) }
      let last = layers.count - 1
      try await board.configureLoop(companion.narrow.prefix(last) + [companion.wide[last]], second: layers)
    }
  }

  /// Where the integrators end from 0, units, mean over the runs.
  private func run(_ setup: Setup, on board: Board) async throws -> [Double] {
    let zeros = setup.lines.preset.map { UInt16(setup.loop.preset.code(nearest: $0.inverse(.zero))?.rawValue ?? 0) }
    var sums = [0.0, 0.0]
    for try await batch in board.runLoop(
      LoopRun(scheduleID: Self.schedule, preset: (0..<samples).flatMap { _ in zeros }, seed: 0))
    {
      guard batch.overRange.allSatisfy(\.isEmpty) else {
        throw CharacterizationError(.instrument, "the loop is driven beyond a rail where it should not be")
      }
      for (index, code) in batch.x.enumerated() {
        let shown = setup.loop.readOut.volts(DACCode(rawValue: UInt32(code)))
        sums[index % 2] += setup.lines.readOut[index % 2].inverse(shown) / setup.loop.unitVoltage
      }
    }
    return sums.map { $0 / Double(samples) }
  }

  /// The pairs of columns of a network that tell a gain, with the patterns that tell it, and its idle layers; a board runs on formed cells only.
  private func outputs(
    of network: Int, _ setup: Setup, at site: Site
  ) async throws -> (outputs: [Outputs], idle: Idle) {
    let shape = site.block.shape
    var (outputs, idle) = ([Outputs](), Idle())
    for (layer, macro) in Self.networks(setup.loop)[network].enumerated() {
      let (read, formed) = try await site.readings(CellSelection(block: CellBlock(macro: macro, shape: shape)))
      let first = formed.firstIndex(of: true) ?? 0
      func still(_ columns: Int) -> LoopLayer {
        setup.layer(
          CellBlock(
            macro: macro, firstRow: min(first / shape.columns, shape.rows - 2),
            firstColumn: min(first % shape.columns / columns * columns, shape.columns - columns),
            shape: MacroShape(rows: 2, columns: columns)), driven: [])
      }
      idle.narrow.append(still(2))
      idle.wide.append(still(4))
      for column in stride(from: 0, to: shape.columns - 3, by: 4) {
        let block = CellBlock(
          macro: macro, firstColumn: column, shape: MacroShape(rows: shape.rows, columns: 4))
        let weights = (0..<2).map { output in
          (0..<shape.rows).map { row -> Double in
            let plus = row * shape.columns + column + 2 * output
            guard formed.isEmpty || formed[plus] || formed[plus + 1] else { return 0 }
            let difference = setup.ohms * Double(read[plus] - read[plus + 1])
            return difference.isFinite ? difference : 0
          }
        }
        var patterns: [[Int]] = [[]]
        for axis in 0..<2 {
          for sign in [1.0, -1.0] {
            let rows = Self.pattern(weights, axis: axis, sign: sign, highest: Self.highest)
            if !rows.isEmpty, !patterns.contains(rows) { patterns.append(rows) }
          }
        }
        if patterns.count > 1 {
          outputs.append(Outputs(network: network, layer: layer, block: block, weights: weights, patterns: patterns))
        }
      }
    }
    return (outputs, idle)
  }

  public func measure(at site: Site) async throws -> Measurement {
    guard let loop = site.board.boardDescription.closedLoop else { return Measurement() }
    let board = site.board
    let networks = Self.networks(loop)
    // What is asked, and what products mean, depends on it: a step that was cut off does not go on under another.
    let calibration = (board.calibration?.id ?? "").unicodeScalars.map { Double($0.value) }
    guard try await site.ask("calibration", { .init(numbers: calibration) }).numbers == calibration else {
      throw CharacterizationError(
        .otherRun, "the step was begun under another calibration of the reads than is in force now: begin it anew")
    }
    var setups: [Setup] = []
    var outputs: [Outputs] = []
    var leftOut: [Int] = []
    for network in networks.indices {
      var setup = try Setup(
        network: network, loop, lines: board.lineCalibration?.lines ?? ConverterLines(loop),
        window: board.limits.conductance, highest: Self.highest)
      let found = try await self.outputs(of: network, setup, at: site)
      (setup.idle, setup.companion) = (found.idle, setups.first?.idle ?? found.idle)
      setups.append(setup)
      // Of the first network nothing is unmeasured, see `obstacle`.
      let unmeasured = found.outputs.isEmpty ? [] : Self.unmeasured(networks[network], at: site)
      leftOut += unmeasured
      if unmeasured.isEmpty { outputs += found.outputs }
    }
    guard !outputs.isEmpty else {
      throw CharacterizationError(
        .place,
        leftOut.isEmpty
          ? "no pair of columns of macros \(networks.flatMap { $0 }) has cells that differ: program the chip first"
          : "no pair of columns of macros \(networks[0]) has cells that differ, and the reads of macros \(leftOut) are not calibrated"
      )
    }

    // By pair, then pass and pattern: output by the product, and by the loop.
    let pairs = outputs.flatMap { item in
      (0..<2).map {
        Pair(network: item.network, macro: item.block.macro, pair: item.block.firstColumn / 2 + $0, axis: $0)
      }
    }
    let most = outputs.map(\.patterns.count).max() ?? 0
    var products = [[Double]](
      repeating: [Double](repeating: .nan, count: passes * most), count: pairs.count)
    var responses = products
    var balances = setups.flatMap { chosenBalances(outputs, $0) }
    for pass in 0..<passes {
      var start: [Double] = []
      for (place, item) in outputs.enumerated() {
        let setup = setups[item.network]
        if place == 0 || outputs[place - 1].network != item.network {
          start = try await site.ask("integrators") {
            try await setup.connect(
              setup.idle.narrow.prefix(item.layer) + [setup.layer(item.block, driven: [])], on: board)
            try await board.uploadSchedule(setup.schedule(isOpen: false))
            return .init(numbers: try await run(setup, on: board))
          }.numbers
        }
        let answers = try await site.ask("pair") {
          var numbers: [Double] = []
          try await board.uploadSchedule(setup.schedule(isOpen: true))
          for rows in item.patterns {
            let currents = try await board.matrixProduct(product(item.block, rows, loop)).map(Double.init)
            try await setup.connect(
              setup.idle.narrow.prefix(item.layer) + [setup.layer(item.block, driven: rows)], on: board)
            let x = try await run(setup, on: board)
            for axis in 0..<2 {
              numbers.append(
                setup.ohms * (currents[2 * axis] - currents[2 * axis + 1]) / loop.unitVoltage.rawValue)
            }
            numbers += x
          }
          return .init(numbers: numbers)
        }.numbers
        for pattern in item.patterns.indices {
          for axis in 0..<2 {
            products[2 * place + axis][pass * most + pattern] = answers[4 * pattern + axis]
            responses[2 * place + axis][pass * most + pattern] =
              (answers[4 * pattern + 2 + axis] - start[axis]) / setup.path
          }
        }
        site.progress(pass * outputs.count + place + 1, passes * outputs.count)
      }
      // In every pass, so that what drifts from pass to pass is in their scatter too.
      for index in balances.indices {
        for _ in 0..<Self.balances {
          balances[index].gains.append(try await gain(of: balances[index], setups[balances[index].network], at: site))
        }
      }
    }
    var measurement = Measurement()
    measurement.add(pairs.map(\.network), as: "network")
    measurement.add(pairs.map(\.macro), as: "macro")
    measurement.add(pairs.map(\.pair), as: "pair")
    measurement.add(pairs.map(\.axis), as: "axis")
    measurement.add([passes], as: "passes")
    measurement.add([setups[0].ohms], as: "columnGain_Ohm")
    measurement.add(leftOut, as: "leftOutMacro")
    let macros = Set(pairs.map(\.macro)).sorted()
    measurement.add(
      board.boardDescription.sensing.ranges.count == 1
        ? [] : macros.filter { board.calibration?.coversRanges(macro: $0) != true }, as: "unknownRangesMacro")
    measurement.add(products.flatMap { $0 }, shape: [pairs.count, passes * most], as: "product_units")
    measurement.add(responses.flatMap { $0 }, shape: [pairs.count, passes * most], as: "loop_units")
    balances.removeAll { !$0.gains.allSatisfy(\.isFinite) }
    measurement.add(balances.map(\.pair), as: "balancedPair")
    measurement.add(
      balances.flatMap(\.gains), shape: [balances.count, passes * Self.balances], as: "balancedGain")
    measurement.add(balances.map(\.output), as: "balancedOutput_units")
    if let calibration = board.calibration { measurement.add(calibration.id, as: "readCalibration") }
    if let before = board.loopCalibration {
      measurement.add(
        pairs.map { before.pair(macro: $0.macro, column: 2 * $0.pair)?.gain ?? 1 }, as: "gainInForce")
    }
    return measurement
  }

  /// The rows with the largest weights of one sign for an output, as many as neither output is driven too far by.
  private static func pattern(_ weights: [[Double]], axis: Int, sign: Double, highest: Double) -> [Int] {
    var sums = [0.0, 0.0]
    var rows: [Int] = []
    let own = weights[axis]
    for row in own.indices.filter({ sign * own[$0] > 0.02 }).sorted(by: { sign * own[$0] > sign * own[$1] }) {
      let next = [sums[0] + weights[0][row], sums[1] + weights[1][row]]
      guard next.allSatisfy({ abs($0) <= highest }) else { continue }
      sums = next
      rows.append(row)
    }
    return abs(sums[axis]) >= leastSpan ? rows.sorted() : []
  }

  /// Gains of one pair of a first layer by balance: the embedding that gives the layer behind it what the driven rows gave.
  private struct Balance {
    var network: Int
    /// Place among all pairs.
    var pair: Int
    var axis: Int
    /// Units.
    var output: Double
    /// The pair, and the rows of it that are driven.
    var block: CellBlock
    var rows: [Int]
    /// Outputs of the layer behind it, and the rows that the pair drives.
    var behind: CellBlock
    var behindRows: [Int]
    var gains: [Double] = []

    /// The embedding beside driven rows, units: what is balanced stays above `least` at either sign.
    var rest: Double { least + max(0, -1.05 * output) }
  }

  /// The pairs of a network's first layer that are balanced; none on a board with one layer.
  private func chosenBalances(_ outputs: [Outputs], _ setup: Setup) -> [Balance] {
    let loop = setup.loop
    guard loop.layerMacros.count > 1, loop.embeddingChannels > 0, loop.embeddingInjection == .afterGain else {
      return []
    }
    let top = loop.embedding.reachable.upperBound / loop.unitVoltage
    let reach = (top - Self.least) / 1.1
    guard reach >= Self.leastSpan else { return [] }
    var chosen: [Balance] = []
    for axis in 0..<2 {
      // The pair behind: the largest output by rows that the first layer's output, some units, may drive.
      var behind: (block: CellBlock, rows: [Int], value: Double)?
      for item in outputs where item.network == setup.network && item.layer == 1 {
        for sign in [1.0, -1.0] {
          let rows = Self.pattern(item.weights, axis: axis, sign: sign, highest: Self.highest / top)
          let value = abs(rows.reduce(0) { $0 + item.weights[axis][$1] })
          if value > behind?.value ?? 0 { behind = (item.block, rows, value) }
        }
      }
      guard let behind else { continue }
      var count = 0
      for (place, item) in outputs.enumerated()
      where item.network == setup.network && item.layer == 0 && count < Self.balanced {
        guard let (rows, output) = Self.balancedRows(item.weights[axis], reach: reach) else { continue }
        count += 1
        chosen.append(
          Balance(
            network: setup.network, pair: 2 * place + axis, axis: axis, output: output,
            block: CellBlock(
              macro: item.block.macro, firstColumn: item.block.firstColumn + 2 * axis,
              shape: MacroShape(rows: item.block.shape.rows, columns: 2)), rows: rows,
            behind: behind.block, behindRows: behind.rows))
      }
    }
    return chosen
  }

  /// Of the ten rows with the largest weights within what the embedding reaches, those that add up to most within it, and that sum, units;
  /// nil where they add up to too little.
  static func balancedRows(_ weights: [Double], reach: Double) -> (rows: [Int], output: Double)? {
    let rows = weights.indices.filter { (0.02...reach).contains(abs(weights[$0])) }
      .sorted { abs(weights[$0]) > abs(weights[$1]) }.prefix(candidates)
    var best: (rows: [Int], output: Double)?
    for mask in 1..<1 << rows.count {
      let driven = rows.enumerated().filter { mask >> $0.offset & 1 == 1 }.map(\.element)
      let output = driven.reduce(0) { $0 + weights[$1] }
      guard (leastSpan...reach).contains(abs(output)), abs(output) > abs(best?.output ?? 0) else { continue }
      best = (driven.sorted(), output)
    }
    return best
  }

  /// One balance; NaN where the embedding's converter does not reach.
  private func gain(of balance: Balance, _ setup: Setup, at site: Site) async throws -> Double {
    let (loop, line, board) = (setup.loop, setup.embedding, site.board)
    return try await site.ask("balance") {
      func pairOutput(_ rows: [Int]) async throws -> Double {
        let currents = try await board.matrixProduct(product(balance.block, rows, loop)).map(Double.init)
        return setup.ohms * (currents[0] - currents[1]) / loop.unitVoltage.rawValue
      }
      let (expected, nothing) = (try await pairOutput(balance.rows), try await pairOutput([]))
      var points: [(level: Double, x: Double)] = []
      for (driven, level) in [
        (balance.rows, balance.rest), ([], balance.rest + 0.95 * expected), ([], balance.rest + 1.05 * expected),
      ] {
        guard let code = loop.embedding.code(nearest: line.inverse(level * loop.unitVoltage)) else {
          return .init(numbers: [.nan])
        }
        try await setup.connect(
          [
            setup.layer(balance.block, driven: driven),
            setup.layer(balance.behind, driven: balance.behindRows, by: .input(0)),
          ], on: board)
        try await board.uploadSchedule(setup.schedule(isOpen: true, embedding: code))
        points.append(
          (line.of(loop.embedding.volts(code)) / loop.unitVoltage, try await run(setup, on: board)[balance.axis]))
      }
      let slope = (points[2].x - points[1].x) / (points[2].level - points[1].level)
      let equal = points[1].level + (points[0].x - points[1].x) / slope
      return .init(numbers: [(equal - points[0].level) / (expected - nothing)])
    }.numbers[0]
  }

  // MARK: Analysing

  /// What was found of one pair.
  struct Found {
    var macro: Int
    var pair: Int
    var gain: Double
    var standardError: Double
    var offset: Double
    /// Scatter of single outputs about the line, units.
    var sigma: Double
    /// False where the path behind the last layer could not be taken off: it is in gain and offset.
    var isBalanced: Bool

    /// True if a calibration takes it.
    var isKept: Bool { isBalanced && standardError <= keptError * abs(gain) }
  }

  /// Every pair whose rows tell it, and the gain that all of a network have in common with its standard error, by network, then axis.
  static func analyse(
    _ measurement: Measurement
  ) throws -> (pairs: [Found], common: [(gain: Double, standardError: Double)?]) {
    let (macros, places) = (try measurement.values("macro"), try measurement.values("pair"))
    // Records of one network do not say which.
    let networks = try measurement.optionalValues("network") ?? macros.map { _ in 0 }
    let axes = zip(networks, try measurement.values("axis")).map { 2 * Int($0) + Int($1) }
    let passes = Int(try measurement.value("passes"))
    let (products, responses) = (try measurement.rows("product_units"), try measurement.rows("loop_units"))
    let balanced = try measurement.values("balancedPair").map { Int($0) }
    let balancedGains = balanced.isEmpty ? [] : try measurement.rows("balancedGain")
    let outputs = try measurement.values("balancedOutput_units")
    struct Fit { var slope: Double, error: Double, offset: Double, sigma: Double, isKnown: Bool }
    let fits = macros.indices.map { index -> Fit in
      let count = products[index].count / passes
      let (x, y) = (products[index], responses[index])
      let patterns = (0..<count).filter { x[$0].isFinite && y[$0].isFinite }
      // Of every pattern's mean over the passes: a product has noise of its own, and over single ones a slope would be too small by the share
      // that this noise has of their variance.
      func fitted(without left: Int?) -> (slope: Double, offset: Double) {
        let kept = (0..<passes).filter { $0 != left }
        func means(_ values: [Double]) -> [Double] {
          patterns.map { pattern in mean(kept.map { values[$0 * count + pattern] }) }
        }
        return line(means(x), means(y))
      }
      let fit = fitted(without: nil)
      let slopes = (0..<passes).map { fitted(without: $0).slope }
      let points = (0..<passes).flatMap { pass in patterns.map { pass * count + $0 } }
      let rest = points.map { y[$0] - fit.slope * x[$0] - fit.offset }
      let span = (patterns.map { x[$0] }.max() ?? 0) - (patterns.map { x[$0] }.min() ?? 0)
      // Jackknife over the passes.
      return Fit(
        slope: fit.slope, error: deviation(slopes) * Double(passes - 1) / Double(passes).squareRoot(),
        offset: fit.offset, sigma: deviation(rest), isKnown: span >= leastSpan && fit.slope.isFinite)
    }
    // Behind the last layer: multiplier, output amplifier and integrator of an axis.
    let common = (0..<((axes.max() ?? 0) / 2 + 1) * 2).map { axis -> (gain: Double, standardError: Double)? in
      var (sum, total, variance) = (0.0, 0.0, 0.0)
      for ((place, gains), output) in zip(zip(balanced, balancedGains), outputs)
      where axes[place] == axis && fits[place].isKnown {
        // By pass: balances of one pass have its drift in common.
        let each = gains.count / passes
        let byPass = (0..<passes).map { mean(Array(gains[$0 * each..<($0 + 1) * each])) }
        let direct = mean(byPass)
        let error = deviation(byPass) / Double(passes).squareRoot() / direct
        let other = fits[place].error / fits[place].slope
        // What fluctuates is much the same in units, so a small output tells less.
        let weight = output * output
        sum += weight * fits[place].slope / direct
        total += weight
        variance += weight * weight * (error * error + other * other)
      }
      return total > 0 ? (sum / total, variance.squareRoot() / total) : nil
    }
    let pairs = macros.indices.filter { fits[$0].isKnown }.map { index -> Found in
      let shared = common[axes[index]] ?? (1, 0)
      let fit = fits[index]
      let gain = fit.slope / shared.gain
      let relative =
        ((fit.error / fit.slope) * (fit.error / fit.slope) + shared.standardError * shared.standardError).squareRoot()
      return Found(
        macro: Int(macros[index]), pair: Int(places[index]), gain: gain, standardError: gain * relative,
        offset: fit.offset / shared.gain, sigma: fit.sigma, isBalanced: common[axes[index]] != nil)
    }
    return (pairs, common)
  }

  /// The largest relative standard error with which a gain is kept: amplifiers differ by some such share, and a correction that is known
  /// no better is none.
  static let keptError = 0.01

  /// The calibration that a finished step gives; pairs that it could not measure well enough, or of which it could not take the path behind
  /// the last layer off, keep what is known of them. Nil if it kept none.
  public static func calibration(
    from measurement: Measurement, board: Board, id: String, at seconds: Double, before: LoopCalibration?
  ) throws -> LoopCalibration? {
    let measured = try analyse(measurement).pairs.filter(\.isKept)
    guard !measured.isEmpty else { return nil }
    let macros = board.boardDescription.macros
    let readCalibration =
      measurement.arrays.contains { $0.name == "readCalibration" }
      ? try measurement.array("readCalibration").string : nil
    let earlier = before.flatMap {
      $0.readCalibration == readCalibration && $0.isOf(board.info, exactly: board.boardDescription) ? $0 : nil
    }
    let none = [[LoopCalibration.Pair?]](
      repeating: .init(repeating: nil, count: macros.shape.columns / 2), count: macros.count)
    var calibration = LoopCalibration(
      id: id, chip: board.info.chipID, board: board.info.serial,
      descriptionSHA256: board.boardDescription.hash, madeAt: seconds,
      celsius: try? measurement.value("step_temperature_C"), readCalibration: readCalibration, shape: macros.shape,
      pairs: earlier?.pairs ?? none)
    for found in measured {
      calibration.pairs[found.macro][found.pair] = .init(
        gain: found.gain, standardError: found.standardError, offset: found.offset)
    }
    guard calibration.fits(macros: macros.count, shape: macros.shape) else {
      throw CharacterizationError(
        .instrument, "the loop's outputs do not rise with the currents that drive them: the loop is broken")
    }
    return calibration
  }

  /// The demand: read-back gain equals inference gain within this.
  static let demand = 0.003

  public static func findings(from measurement: Measurement) throws -> Findings {
    let (pairs, common) = try analyse(measurement)
    guard !pairs.isEmpty else {
      throw CharacterizationError(.place, "no pair of columns has cells that differ enough: program the chip first")
    }
    let inForce = Dictionary(
      zip(
        zip(try measurement.values("macro"), try measurement.values("pair")).map { [Int($0), Int($1)] },
        try measurement.optionalValues("gainInForce") ?? []), uniquingKeysWith: { a, _ in a })
    let errors = pairs.map { ($0.gain - 1) * 100 }
    var findings = Findings()
    findings.estimates = [
      Bootstrap.estimate("gain of inference ÷ gain of read-back, mean − 1", of: errors, unit: "%", mean),
      Bootstrap.estimate("gain of inference ÷ gain of read-back, σ", of: errors, unit: "%", deviation),
      Bootstrap.estimate(
        "standard error of a pair's gain, rms", of: pairs.map { $0.standardError * 100 }, unit: "%",
        { mean($0.map { $0 * $0 }).squareRoot() }),
      Bootstrap.estimate("offset of a pair, σ", of: pairs.map(\.offset), unit: "units", deviation),
      Bootstrap.estimate(
        "single outputs about the line, rms", of: pairs.map(\.sigma), unit: "units",
        { mean($0.map { $0 * $0 }).squareRoot() }),
    ].map {
      var estimate = $0
      if estimate.low != nil { estimate.method = "bootstrap over pairs" }
      return estimate
    }
    func judge(_ name: String, _ gains: [(gain: Double, standardError: Double)]) -> String {
      let worst = gains.max { abs($0.gain - 1) < abs($1.gain - 1) } ?? (1, 0)
      let inside = gains.count { abs($0.gain - 1) <= demand }
      return
        "\(name): largest difference from read-back \(text(abs(worst.gain - 1) * 100)) ± \(text(worst.standardError * 100)) %, "
        + "\(inside) of \(gains.count) pairs within the demanded \(text(demand * 100)) %"
        + (inside == gains.count ? "." : ": the demand is not met.")
    }
    let largest = pairs.filter(\.isKept).map { $0.standardError / $0.gain }.max()
    let unkept = pairs.count { $0.standardError > keptError * abs($0.gain) }
    findings.remarks = [
      judge("As the board stands", pairs.map { ($0.gain, $0.standardError) }),
      inForce.isEmpty
        ? "No calibration of the loop was in force. "
          + (largest.map {
            "From the next run on this one is: what it leaves is its standard error, at most \(text($0 * 100)) %, "
              + "\($0 <= demand ? "within" : "not within") \(text(demand * 100)) %."
          } ?? "None was made either.")
        : judge(
          "With the calibration that was in force",
          pairs.map { found in
            let known = inForce[[found.macro, found.pair]] ?? 1
            return (found.gain / known, found.standardError / known)
          }),
      "Behind the last layer, taken off: "
        + zip(["x", "y", "x of the second network", "y of the second network"], common).map { name, path in
          path.map { "\(name) \(text($0.gain, digits: 5)) ± \(text($0.standardError))" }
            ?? "\(name) could not be balanced against the embedding, so its pairs have that path in them and are not kept"
        }.joined(separator: ", ") + ".",
    ]
    for (name, sentence) in [
      (
        "leftOutMacro",
        "The second network was left out, because its reads are not calibrated ('rram characterize converters --macro'): macros "
      ),
      (
        "unknownRangesMacro",
        "The board cannot measure every range of its reads: how ranges differ is in the gains of macros "
      ),
    ] {
      let macros = try measurement.optionalValues(name) ?? []
      if !macros.isEmpty {
        findings.remarks.append(sentence + macros.map { "\(Int($0))" }.joined(separator: ", ") + ".")
      }
    }
    if unkept > 0 {
      findings.remarks.append(
        "Not kept: \(unkept) of \(pairs.count) gains, whose standard error is above \(text(keptError * 100)) %; more passes make it smaller."
      )
    }
    findings.pictures = [
      .init(
        title: "Gain of inference against read-back",
        script: """
          set key off
          set xlabel 'pair of columns, macro after macro'
          set ylabel 'gain of inference ÷ gain of read-back − 1 (%)'
          plot $gains using 1:2:3 with yerrorbars pt 7 ps 0.5 lc rgb '#21518c', \(demand * 100) lc rgb '#999999', \(-demand * 100) lc rgb '#999999'
          """,
        tables: [
          .init(
            "gains",
            rows: pairs.enumerated().map { [Double($0), ($1.gain - 1) * 100, 1.96 * $1.standardError * 100] })
        ])
    ]
    return findings
  }
}
