import Glibc
import RRAMEmulator
import RRAMPhysics
import RRAMProfiles
import RRAMTransport
import RRAMUnits
import RRAMWire
import Testing

/// The closed loop as a host runs it, against an integration of its equation in the test.
@Suite(.timeLimit(.minutes(2)))
struct RunLoopTests {
  /// A network, where it lies, and what its converters play, in the numbers of the equation.
  struct Network {
    /// (outputs, inputs + 1) a layer, the bias last.
    var weights: [[[Double]]] = []
    static let widths = [2, 14, 14, 2]
    static let ticks = 200
    static let tick = Duration.nanoseconds(100)
    static let scale = 50e-6

    init(seed: UInt64 = 11) {
      var draws = PhiloxStream(seed: seed, stream: (1, 1, 1))
      for layer in 0..<3 {
        weights.append(
          (0..<Self.widths[layer + 1]).map { _ in
            (0...Self.widths[layer]).map { _ in min(max(0.35 * draws.normal(), -1.5), 1.5) }
          })
      }
    }

    func time(_ tick: Int) -> Double { 1 - (Double(tick) + 0.5) / Double(Self.ticks) }
    func beta(_ tick: Int) -> Double { 2 * (0.001 + 0.499 * time(tick)) }
    func embedding(_ tick: Int) -> [Double] { (0..<14).map { 0.8 * cos6(Double($0) + time(tick) * 3) } }
    /// A cosine-like shape without a library: the values only have to be smooth.
    private func cos6(_ v: Double) -> Double {
      let x = v - (v / 2).rounded() * 2
      return 1 - 2 * x * x
    }

    func block(_ layer: Int) -> CellBlock {
      CellBlock(
        macro: layer, firstRow: 1, firstColumn: 2,
        shape: MacroShape(rows: Self.widths[layer] + 1, columns: 2 * Self.widths[layer + 1]))
    }

    /// Conductances of the pairs around the middle of the window, row-major in the block.
    func targets(_ layer: Int) -> [Float] {
      var targets: [Float] = []
      for row in 0...Self.widths[layer] {
        for output in 0..<Self.widths[layer + 1] {
          let half = weights[layer][output][row] * Self.scale / 2
          targets += [Float(75e-6 + half), Float(75e-6 - half)]
        }
      }
      return targets
    }

    /// b·5·net(x, e) with the embeddings of both hidden layers.
    func score(_ x: SIMD2<Double>, _ embeddings: [[Double]], _ b: Double) -> SIMD2<Double> {
      var values = [x.x, x.y]
      for layer in 0..<3 {
        values = (0..<Self.widths[layer + 1]).map { output in
          let row = weights[layer][output]
          var sum = row[Self.widths[layer]]
          for input in values.indices { sum += row[input] * values[input] }
          return layer < 2 ? max(0, sum + embeddings[layer][output]) : sum
        }
      }
      return b * 5 * SIMD2(values[0], values[1])
    }

    /// Runge–Kutta of fourth order with four steps a tick.
    ///
    /// Poles far below a tick are delays: what reaches the integrator belongs to states and coefficients one pole of a multiplier ago, and
    /// what passed amplifiers to those one pole of each more. States are taken back by ẋ, tables by that share of a tick; the error is of
    /// the order of a delay's square.
    func solve(
      _ start: SIMD2<Double>, poles: LoopPoles, stochastic: (seed: UInt64, sample: UInt32)? = nil
    ) -> SIMD2<Double> {
      var x = start
      let length = 1 / Double(Self.ticks)
      let step = length / 4
      func delay(_ amplifiers: Int) -> Double {
        Double(poles.multiplier) + Double(amplifiers) * Double(poles.amplifier)
      }
      func played(_ tick: Int, behind amplifiers: Int, _ table: (Int) -> Double) -> Double {
        table(tick) + delay(amplifiers) / length * (table(max(0, tick - 1)) - table(tick))
      }
      for tick in 0..<Self.ticks {
        let embeddings = [3, 2].map { amplifiers in
          (0..<14).map { node in played(tick, behind: amplifiers) { embedding($0)[node] } }
        }
        let a = played(tick, behind: 0) { beta($0) / 2 }
        let b = played(tick, behind: 0) { stochastic == nil ? beta($0) / 2 : beta($0) }
        var held = SIMD2<Double>.zero
        if let (seed, sample) = stochastic, tick < Self.ticks - 1 {
          for channel in 0..<2 {
            let drawn = SamplingNoise.wiener(
              seed: seed, sample: sample, tick: UInt32(tick), channel: UInt32(channel))
            held[channel] = min(max(Double(drawn), -4), 4) * noise(tick)
          }
        }
        func slope(_ x: SIMD2<Double>) -> SIMD2<Double> {
          let rate = a * x + score(x, embeddings, b) + held
          return a * (x - delay(0) * rate) + score(x - delay(3) * rate, embeddings, b) + held
        }
        for _ in 0..<4 {
          let k1 = slope(x)
          let k2 = slope(x + step / 2 * k1)
          let k3 = slope(x + step / 2 * k2)
          let k4 = slope(x + step * k3)
          x += step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        }
      }
      return x
    }

    /// g/√Δτ: units at the integrator for one standard deviation.
    func noise(_ tick: Int) -> Double { (beta(tick) * Double(Self.ticks)).squareRoot() }

    func schedule(_ loop: BoardDescription.ClosedLoop, stochastic: Bool, id: UInt32 = 1) throws -> UploadSchedule {
      func code(_ units: Double, _ unit: Volts, _ converter: BoardDescription.Converter) throws -> UInt16 {
        UInt16(try #require(converter.code(nearest: units * unit)).rawValue)
      }
      var codes: [UInt16] = []
      var levels: [Float] = []
      for tick in 0..<Self.ticks {
        codes.append(try code(beta(tick) / 2, loop.coefficientUnit, loop.coefficient))
        codes.append(try code(beta(tick) * (stochastic ? 1 : 0.5), loop.coefficientUnit, loop.coefficient))
        for value in embedding(tick) { codes.append(try code(value, loop.unitVoltage, loop.embedding)) }
        for _ in 0..<2 { codes.append(try code(0, loop.unitVoltage, try #require(loop.offset))) }
        levels.append(Float(noise(tick) * loop.unitVoltage.rawValue / loop.noiseGain))
      }
      return UploadSchedule(
        scheduleID: id, ticks: Self.ticks, tick: Self.tick, firstTick: 0, count: Self.ticks, codes: codes,
        noise: stochastic ? levels : [])
    }
  }

  private func loop() throws -> BoardDescription.ClosedLoop {
    try #require(try BoardDescription.named("parallel").closedLoop)
  }

  /// Forms and writes the network and configures the loop.
  private func program(_ host: BoardHost, _ network: Network) async throws {
    let loop = try loop()
    try await host.hello()
    var layers: [LoopLayer] = []
    for layer in 0..<3 {
      let cells = CellSelection(block: network.block(layer))
      try await host.form(cells)
      let results = try await host.cellResults(
        .writeVerify(try host.writeVerify(cells, targets: network.targets(layer))))
      #expect(results.flatMap(\.reasons).allSatisfy { $0 == .converged })
      let gain = try #require(loop.columnGainCode(nearest: Ohms(1 / Network.scale)))
      layers.append(
        LoopLayer(
          block: network.block(layer),
          columnGain: [UInt16](repeating: UInt16(gain), count: Network.widths[layer + 1])))
    }
    _ = try await host.request(ConfigureLoop(layers: layers))
  }

  /// Time at voltage counts in the loop: G moves to the upper asymptote by 1 − exp(−rate·10^((V − voltage)/voltsPerDecade)·t), in the
  /// bias row at one unit, in the rows of x at the mean rate over 64 starting points, as often as the loop ran and however its samples
  /// were cut into commands. Cells beside the network, and rows at negative voltages only, stay.
  @Test(arguments: [UInt64(0), 5]) func timeAtVoltageDisturbs(run: UInt64) async throws {
    let loop = try loop()
    let unit = loop.unitVoltage.rawValue
    let ticks = 16
    func values(_ commands: [Int]) async throws -> (conductances: [Float], seconds: Double) {
      let host = try BoardHost { profile, _ in
        profile.disturb.rate = 10
        profile.disturb.voltage = Volts(0.1)
        profile.disturb.voltsPerDecade = Volts(0.25)
      }
      try await host.hello()
      try await host.form(BoardHost.block(3, 8))
      let layer = LoopLayer(block: CellBlock(macro: 0, shape: MacroShape(rows: 3, columns: 4)), columnGain: [0, 0])
      _ = try await host.request(ConfigureLoop(layers: [layer]))
      func code(_ converter: BoardDescription.Converter) throws -> UInt16 {
        UInt16(try #require(converter.code(nearest: .zero)).rawValue)
      }
      let embedding = try code(loop.embedding)
      let offset = try code(try #require(loop.offset))
      let tick =
        [try code(loop.coefficient), try code(loop.coefficient)]
        + [UInt16](repeating: embedding, count: loop.embeddingChannels) + [offset, offset]
      _ = try await host.request(
        UploadSchedule(
          scheduleID: 1, ticks: ticks, tick: loop.tick.upperBound, firstTick: 0, count: ticks,
          codes: (0..<ticks).flatMap { _ in tick }))
      var (first, seconds) = (0, 0.0)
      for samples in commands {
        let results = try await self.run(
          host,
          RunLoop(
            scheduleID: 1, samples: samples, preset: [UInt16](repeating: try code(loop.preset), count: 2 * samples),
            seed: 1, firstSample: UInt32(first), credit: 99, runID: run))
        seconds += try #require(results.last).loopTime.seconds
        first += samples
      }
      let conductances = try await host.read(BoardHost.block(3, 8))
      await host.board.close()
      return (conductances, seconds)
    }
    let (found, seconds) = try await values([1500])
    let profile = try ChipProfile.named("ideal")
    let top = profile.cells.asymptotes.upperBound.rawValue
    func rate(_ units: Double) -> Double { units > 0 ? 10 * pow(10, (units * unit - 0.1) / 0.25) : 0 }
    let starts = SamplingNoise.start(seed: 0, count: 64)
    let x = (0..<2).map { d in (0..<64).reduce(0) { $0 + rate(Double(starts[2 * $1 + d])) / 64 } }
    for (row, rate) in [x[0], x[1], rate(1)].enumerated() {
      for column in 0..<8 {
        let start = 100e-6
        let expected = column < 4 ? start + (top - start) * (1 - exp(-rate * seconds)) : start
        #expect(abs(Double(found[8 * row + column]) - expected) < 0.3e-6, "row \(row), column \(column), \(seconds) s")
      }
    }
    #expect(Double(found[16]) > 105e-6, "the bias row has moved: the test would see a loop that does not disturb")
    // Cut in the middle of what a look at the cells serves.
    #expect(try await values([100, 1400]).conductances == found)
  }

  // Two replicas of a layer and a row that is not driven: what the routed rows compute is what plain rows of the sums compute.
  @Test func routedRowsAddUp() async throws {
    let host = try BoardHost()
    let network = Network()
    try await program(host, network)
    let loop = try loop()
    let starts = starts(32)
    let request = RunLoop(scheduleID: 1, samples: 32, preset: try preset(starts), seed: 1, credit: 8)
    _ = try await host.request(network.schedule(loop, stochastic: false))
    let plain = try await run(host, request).flatMap(\.x)
    // The same cells, driven explicitly; then with the first layer's inputs exchanged, which is another network.
    let gain = UInt16(try #require(loop.columnGainCode(nearest: Ohms(1 / Network.scale))))
    func layers(_ first: [LoopRow]) -> [LoopLayer] {
      (0..<3).map { layer in
        let widths = Network.widths
        let rows: [LoopRow] = (0..<widths[layer]).map { .input($0) } + [.bias]
        return LoopLayer(
          block: network.block(layer), columnGain: [UInt16](repeating: gain, count: widths[layer + 1]),
          rows: layer == 0 ? first : rows)
      }
    }
    _ = try await host.request(ConfigureLoop(layers: layers([.input(0), .input(1), .bias])))
    #expect(try await run(host, request).flatMap(\.x) == plain)
    _ = try await host.request(ConfigureLoop(layers: layers([.input(1), .input(0), .bias])))
    let exchanged = try await run(host, request).flatMap(\.x)
    #expect(exchanged != plain)
    // One row more, of pristine cells, driven by an input or by nothing: both change next to nothing.
    for row in [LoopRow.ground, .input(0)] {
      var routed = layers([.input(0), .input(1), .bias, row])
      let block = routed[0].block
      routed[0].block = CellBlock(
        macro: block.macro, firstRow: block.firstRow, firstColumn: block.firstColumn,
        shape: MacroShape(rows: block.shape.rows + 1, columns: block.shape.columns))
      _ = try await host.request(ConfigureLoop(layers: routed))
      let (a, b) = (try units(try await run(host, request).flatMap(\.x)), try units(plain))
      #expect(zip(a, b).allSatisfy { abs($0 - $1) < 0.02 })
    }
    // A row driven by a quarter of the bias is another bias.
    _ = try await host.request(
      ConfigureLoop(layers: layers([.input(0), .input(1), LoopRow(.bias, attenuation: 1)])))
    #expect(try await run(host, request).flatMap(\.x) != plain)
    await host.board.close()
  }

  @Test func rowSourcesMustExist() async throws {
    let host = try BoardHost()
    try await host.hello()
    func refusal(_ rows: [LoopRow]) async throws -> String {
      let layer = LoopLayer(
        block: CellBlock(macro: 0, shape: MacroShape(rows: 3, columns: 4)), columnGain: [0, 0], rows: rows)
      return try await host.failure(.configureLoop(ConfigureLoop(layers: [layer]))).detail
    }
    #expect(
      try await refusal([.input(0), .input(2), .bias])
        == "row 1 is driven by input 2, 2 arrive: configure_loop.layers[0].row_source")
    #expect(
      try await refusal([.input(0), .input(1), LoopRow(.bias, attenuation: 3)])
        == "row 2 asks for attenuation 3, the last is 2: configure_loop.layers[0].row_attenuation")
    await host.board.close()
  }

  private func starts(_ count: Int) -> [SIMD2<Double>] {
    let values = SamplingNoise.start(seed: 21, count: count)
    return (0..<count).map { SIMD2(Double(values[2 * $0]), Double(values[2 * $0 + 1])) }
  }

  private func preset(_ starts: [SIMD2<Double>]) throws -> [UInt16] {
    let loop = try loop()
    return try starts.flatMap { start in
      try [start.x, start.y].map { UInt16(try #require(loop.preset.code(nearest: $0 * loop.unitVoltage)).rawValue) }
    }
  }

  private func units(_ codes: [UInt16]) throws -> [Double] {
    let loop = try loop()
    return codes.map { loop.readOut.volts(DACCode(rawValue: UInt32($0))) / loop.unitVoltage }
  }

  private func run(_ host: BoardHost, _ request: RunLoop) async throws -> [RunResults] {
    let messages = try await host.exchange(.runLoop(request))
    #expect(messages.last?.status == .ok, "\(messages.last?.detail ?? "")")
    return try messages.map { try $0.response(as: RunResults.self) }
  }

  private func rms(_ codes: [UInt16], _ expected: [SIMD2<Double>]) throws -> Double {
    let values = try units(codes)
    let sum = expected.enumerated().reduce(0.0) { sum, item in
      let dx = values[2 * item.offset] - item.element.x
      let dy = values[2 * item.offset + 1] - item.element.y
      return sum + dx * dx + dy * dy
    }
    return (sum / Double(2 * expected.count)).squareRoot()
  }

  @Test func deterministicRunsFollowTheEquation() async throws {
    // Seeds 1 (chip), 11 (weights), 21 (starts), n = 32; bound 1e-3 units rms with every converter of the board in it.
    let host = try BoardHost()
    let network = Network()
    try await program(host, network)
    _ = try await host.request(try network.schedule(try loop(), stochastic: false))
    let starts = starts(32)
    let results = try await run(
      host, RunLoop(scheduleID: 1, samples: 32, preset: try preset(starts), seed: 5, credit: 100))
    let codes = results.flatMap(\.x)
    let poles = LoopPoles(try loop())
    let expected = starts.map { network.solve($0, poles: poles) }
    let difference = try rms(codes, expected)
    #expect(difference <= 1e-3, "\(difference)")
    // Not the starts themselves, which would pass for a loop that does nothing.
    #expect(try rms(codes, starts) > 0.1)
    await host.board.close()
  }

  @Test func stochasticRunsFollowTheEquationWithTheSameNoise() async throws {
    // As above with held noise, which one Heun step a tick follows less well: the main path's 2e-3.
    let host = try BoardHost()
    let network = Network()
    try await program(host, network)
    _ = try await host.request(try network.schedule(try loop(), stochastic: true))
    let starts = starts(32)
    let results = try await run(
      host,
      RunLoop(scheduleID: 1, samples: 32, preset: try preset(starts), seed: 77, firstSample: 1000, credit: 100))
    let poles = LoopPoles(try loop())
    let expected = starts.enumerated().map {
      network.solve($1, poles: poles, stochastic: (77, 1000 + UInt32($0)))
    }
    let difference = try rms(results.flatMap(\.x), expected)
    #expect(difference <= 2e-3, "\(difference)")
    let other = try await run(
      host, RunLoop(scheduleID: 1, samples: 32, preset: try preset(starts), seed: 78, firstSample: 1000, credit: 100))
    #expect(try rms(other.flatMap(\.x), expected) > 0.1)
    await host.board.close()
  }

  @Test func neitherThreadsNorPartsChangeASample() async throws {
    let network = Network()
    var codes: [[UInt16]] = []
    let starts = starts(600)
    for (threads, parts) in [(1, [600]), (4, [600]), (2, [250, 350])] {
      let host = try BoardHost(threads: threads)
      try await program(host, network)
      _ = try await host.request(try network.schedule(try loop(), stochastic: true))
      var x: [UInt16] = []
      var first = 0
      for count in parts {
        let part = Array(starts[first..<first + count])
        x += try await run(
          host,
          RunLoop(
            scheduleID: 1, samples: count, preset: try preset(part), seed: 9, firstSample: UInt32(first), credit: 100)
        ).flatMap(\.x)
        first += count
      }
      codes.append(x)
      await host.board.close()
    }
    #expect(codes[0] == codes[1])
    #expect(codes[0] == codes[2])
  }

  @Test func phasesOfARunAreTimed() async throws {
    let host = try BoardHost()
    let network = Network()
    try await program(host, network)
    let loop = try loop()
    _ = try await host.request(try network.schedule(loop, stochastic: false))
    _ = try await host.request(SetTrigger(runs: true))
    let before = try await host.request(GetCounters())
    let results = try await run(
      host, RunLoop(scheduleID: 1, samples: 300, preset: try preset(starts(300)), seed: 0, credit: 100))
    let last = try #require(results.last)
    #expect(last.presetTime == loop.presetTime * 300)
    #expect(last.loopTime == Network.tick * Network.ticks * 300)
    #expect(last.conversionTime == loop.readOutTime * 300)
    let after = try await host.request(GetCounters())
    #expect(after.busy - before.busy == last.presetTime + last.loopTime + last.conversionTime)
    #expect(after.loopRuns == before.loopRuns + 1 && after.triggers == before.triggers + 1)
    await host.board.close()
  }

  @Test func trajectoryEndsWhereTheSampleDoes() async throws {
    let host = try BoardHost()
    let network = Network()
    try await program(host, network)
    _ = try await host.request(try network.schedule(try loop(), stochastic: false))
    let results = try await run(
      host,
      RunLoop(scheduleID: 1, samples: 10, preset: try preset(starts(10)), seed: 0, trajectoryEvery: 20, credit: 100))
    let x = results.flatMap(\.x)
    let trajectory = results.flatMap(\.trajectory)
    #expect(trajectory.count == 10 * 10 * 2)
    for sample in 0..<10 {
      #expect(Array(trajectory[sample * 20 + 18..<sample * 20 + 20]) == Array(x[2 * sample..<2 * sample + 2]))
    }
    #expect(Set(trajectory).count > 50)
    await host.board.close()
  }

  @Test func creditPausesARunAndAbortKeepsWhatWasSent() async throws {
    let host = try BoardHost(changing: { _, board in board.link.maximumResponseBytes = 4096 })
    let network = Network()
    try await program(host, network)
    _ = try await host.request(try network.schedule(try loop(), stochastic: false))
    let id = host.newOperationID()
    let stream = try await host.send(
      .runLoop(RunLoop(scheduleID: 1, samples: 4000, preset: try preset(starts(4000)), seed: 0, credit: 1)), id: id)
    let (first, more) = try await host.frame(of: stream)
    let part = try first.response(as: RunResults.self)
    #expect(more && part.firstIndex == 0 && part.count == (4096 - 512) / 5)
    #expect(try await host.request(Abort(operationID: id)).abortedOperations == 1)
    let rest = try await host.responses(to: stream)
    // The grant is used up: beside it only the frame that ends the response may come.
    #expect(rest.map(\.status) == [.aborted])
    let state = try await host.request(GetOperation(operationID: id))
    // The frame that says ABORTED carries results only if some had not been sent.
    let sent = rest.reduce(part.count) { $0 + ($1.body.flatMap(RunResults.init)?.count ?? 0) }
    #expect(state.finished == sent && sent < 4000)
    await host.board.close()
  }

  @Test func overRangeTellsWhichBlock() async throws {
    let host = try BoardHost()
    var network = Network()
    // A first layer that drives the second one's rows to their clamp of 10 units.
    network.weights[0] = network.weights[0].map { $0.map { $0 < 0 ? -1.4 : 1.4 } }
    try await program(host, network)
    _ = try await host.request(try network.schedule(try loop(), stochastic: false))
    let results = try await run(
      host,
      RunLoop(scheduleID: 1, samples: 1, preset: try preset([SIMD2(6, 6)]), seed: 0, credit: 10))
    let flags = try #require(results.last?.overRange.first)
    #expect(flags.contains(.rowClamp))
    await host.board.close()
  }

  // MARK: Refusals

  @Test func runsNeedNetworkScheduleAndFormedCells() async throws {
    let host = try BoardHost()
    let network = Network()
    try await host.hello()
    let request = RunLoop(scheduleID: 1, samples: 1, preset: [32768, 32768], seed: 0, credit: 10)
    let noNetwork = try await host.failure(.runLoop(request))
    #expect(noNetwork.status == .wrongState && noNetwork.detail == "no network: ConfigureLoop comes first")
    let layers = (0..<3).map {
      LoopLayer(block: network.block($0), columnGain: [UInt16](repeating: 1000, count: Network.widths[$0 + 1]))
    }
    _ = try await host.request(ConfigureLoop(layers: layers))
    #expect(try await host.failure(.runLoop(request)).detail == "no schedule 1: UploadSchedule comes first")
    var schedule = try network.schedule(try loop(), stochastic: false)
    let codes = schedule.codes
    schedule.firstTick = 100
    schedule.count = 100
    schedule.codes = Array(codes[(100 * 18)...])
    #expect(try await host.request(schedule).received == 100)
    #expect(try await host.failure(.runLoop(request)).detail == "schedule 1 has 100 of its 200 ticks")
    schedule.firstTick = 0
    schedule.codes = Array(codes[..<(100 * 18)])
    #expect(try await host.request(schedule).received == 200)
    let unformed = try await host.failure(.runLoop(request))
    #expect(unformed.status == .wrongState)
    #expect(unformed.detail.hasPrefix("no cell of layer 0 is formed"))
    // A new session starts with nothing.
    try await host.hello(session: 99)
    #expect(try await host.failure(.runLoop(request)).detail == "no network: ConfigureLoop comes first")
    await host.board.close()
  }

  @Test func layersMustFitTheBoardAndEachOther() async throws {
    let host = try BoardHost()
    try await host.hello()
    func layer(_ macro: Int, rows: Int, columns: Int) -> LoopLayer {
      LoopLayer(
        block: CellBlock(macro: macro, shape: MacroShape(rows: rows, columns: columns)),
        columnGain: [UInt16](repeating: 0, count: columns / 2))
    }
    for (layers, detail) in [
      ([], "0 layers, this board chains 1 to 3: configure_loop.layers"),
      ([layer(1, rows: 3, columns: 4)], "layer 0 lies in macro 1, the board chains macro 0: configure_loop.layers[0]"),
      ([layer(0, rows: 4, columns: 4)], "layer 0 has 3 inputs where 2 arrive: configure_loop.layers[0]"),
      ([layer(0, rows: 3, columns: 6)], "the last layer has 3 outputs, 2 integrators take them"),
    ] as [([LoopLayer], String)] {
      let answer = try await host.failure(.configureLoop(ConfigureLoop(layers: layers)))
      #expect(answer.status == .badArgument)
      #expect(answer.detail == detail)
    }
    await host.board.close()
  }

  @Test func schedulesMustFitTheConverters() async throws {
    let host = try BoardHost()
    try await host.hello()
    let good = try Network().schedule(try loop(), stochastic: true)
    func refused(_ change: (inout UploadSchedule) -> Void) async throws -> String {
      var schedule = good
      change(&schedule)
      let answer = try await host.failure(.uploadSchedule(schedule))
      #expect(answer.status == .badArgument)
      return answer.detail
    }
    #expect(try await refused { $0.ticks = 513 } == "513 ticks, 1 to 512: upload_schedule.ticks")
    #expect(try await refused { $0.tick = .nanoseconds(24) }.hasSuffix("upload_schedule.tick_ns"))
    // 14 bits of the embedding converter.
    #expect(
      try await refused { $0.codes[2] = 16384 }
        == "code 16384 of tick 0, channel 2, whose last code is 16383: upload_schedule.codes")
    #expect(try await refused { $0.noise[3] = 2.6 }.hasSuffix("upload_schedule.noise"))
    await host.board.close()
  }
}
