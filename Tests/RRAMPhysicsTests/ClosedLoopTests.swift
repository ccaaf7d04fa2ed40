import Glibc
import RRAMPhysics
import RRAMProfiles
import RRAMUnits
import Testing

@Suite struct ClosedLoopTests {
  struct Case: CustomTestStringConvertible {
    var name: String
    var widths = [2, 14, 14, 2]
    var limits = LoopLimits.none
    var integration = LoopIntegration(substeps: 2)
    var held = false
    var noise = LoopNoise.none
    var shared = false
    var biasLevel: Float = 1
    var amplitude: Float = 1
    var tolerance = 1e-5
    var ticks = 40
    var testDescription: String { name }
  }

  static let cells = LoopNoise.perCell(
    .init(
      modes: [.init(correlationTime: 0.03, share: 0.4), .init(correlationTime: 0.3, share: 0.7)], telegraphTime: 0.1))
  static let tight = LoopLimits(rowClamp: 1.2, amplifierRail: 1.6, integratorRail: 2)
  static let cases: [Case] = [
    Case(name: "ideal"),
    Case(name: "ideal, Euler", integration: LoopIntegration(method: .euler)),
    Case(name: "amplitude 2 and bias level 0.5", biasLevel: 0.5, amplitude: 2),
    Case(name: "row clamp", limits: LoopLimits(rowClamp: 1)),
    Case(name: "amplifier rail", limits: LoopLimits(amplifierRail: 0.8)),
    Case(name: "integrator rail", limits: LoopLimits(integratorRail: 0.7)),
    Case(name: "all limits, bias row clamped too", limits: tight, held: true, biasLevel: 1.5),
    Case(name: "soft rectifier", limits: LoopLimits(softness: 0.3)),
    Case(name: "soft rectifier and limits", limits: LoopLimits(rowClamp: 1, amplifierRail: 2, softness: 0.3)),
    Case(name: "held noise", held: true),
    Case(name: "white noise, own variances", noise: .white, tolerance: 3e-5),
    Case(name: "white noise, shared variances", noise: .white, shared: true, tolerance: 3e-5),
    Case(name: "band-limited noise", limits: tight, noise: .bandLimited(correlationTime: 0.05), tolerance: 3e-5),
    Case(
      name: "band-limited noise, shared, soft", limits: LoopLimits(softness: 0.2),
      noise: .bandLimited(correlationTime: 0.05), shared: true, tolerance: 3e-5),
    Case(name: "one layer", widths: [3, 3], limits: tight),
    Case(name: "one state", widths: [1, 5, 1], held: true),
    Case(name: "wide", widths: [3, 64, 64, 64, 3], limits: tight, integration: LoopIntegration(), ticks: 8),
    Case(name: "uneven, noisy", widths: [6, 9, 23, 6], noise: .bandLimited(correlationTime: 0.1), tolerance: 3e-5),
    Case(name: "noise of the cells", limits: tight, held: true, noise: cells, biasLevel: 0.8, tolerance: 3e-5),
    Case(
      name: "noise of the cells, uneven, soft", widths: [5, 9, 5], limits: LoopLimits(softness: 0.2), noise: cells,
      tolerance: 3e-5),
    Case(name: "uneven, shared noise", widths: [2, 13, 2], noise: .white, shared: true, tolerance: 3e-5),
  ]

  @Test("agrees with the equation in double precision", arguments: cases)
  func agreesWithReference(_ item: Case) throws {
    let deviation: Float = item.noise == .none ? 0 : 0.1
    var network = randomNetwork(
      item.widths, seed: 11, deviation: deviation, shared: item.shared, amplitude: item.amplitude)
    network.biasLevel = item.biasLevel
    let tables = randomTables(for: network, ticks: item.ticks, seed: 12)
    let dimensions = network.dimensions
    // Seventeen samples: one vector of the widest set and a remainder.
    let samples = 17
    let x0 = randomPoints(samples, dimensions: dimensions, seed: 13)
    let xi = randomPoints(samples * tables.ticks, dimensions: dimensions, seed: 14).map { $0 * 2 }
    var integration = item.integration
    integration.trajectoryInterval = item.ticks / 4

    let reference = ReferenceLoop(network: network, limits: item.limits, noise: item.noise)
    let expected = (0..<samples).map { sample in
      let rows = (0..<tables.ticks).map { tick in
        (0..<dimensions).map { Double(xi[(sample * tables.ticks + tick) * dimensions + $0]) }
      }
      return reference.run(
        x0: x0[sample * dimensions..<(sample + 1) * dimensions].map(Double.init), tables: tables,
        integration: item.integration, xi: item.held ? rows : nil, nodeSeed: 15, sample: 1000 + UInt64(sample))
    }
    let trajectory = expected.flatMap { outcome in (0...4).flatMap { outcome.states[$0 * item.ticks / 4] } }

    let loop = try ClosedLoop(network: network, limits: item.limits, noise: item.noise)
    #expect(
      loop.path(tables, integration)
        == (item.widths == [2, 14, 14, 2] && item.noise != Self.cells ? .specialised : .general))
    for set in InstructionSet.supported {
      let result = try loop.run(
        x0: x0, tables: tables, integration: integration, firstSample: 1000,
        heldNoise: item.held ? .table(xi) : .none, noiseSeed: 15, instructionSet: set)
      #expect(largestDifference(result.x, expected.flatMap(\.x)) <= item.tolerance, "\(set)")
      #expect(largestDifference(result.trajectory, trajectory) <= item.tolerance, "\(set)")
      #expect(result.flags == expected.map(\.flags), "\(set)")
      #expect(
        result.evaluations == samples * item.ticks * integration.substeps * (integration.method == .heun ? 2 : 1))
    }
  }

  @Test func fusedSetsAgreeBitForBitAndOthersToRounding() throws {
    for widths in [[2, 14, 14, 2], [3, 20, 3]] {
      for noise in [LoopNoise.none, .bandLimited(correlationTime: 0.02), Self.cells] {
        let network = randomNetwork(widths, seed: 21, deviation: 0.05)
        let tables = randomTables(for: network, ticks: 50, seed: 22)
        let loop = try ClosedLoop(network: network, limits: Self.tight, noise: noise)
        let x0 = randomPoints(53, dimensions: network.dimensions, seed: 23)
        let results = try InstructionSet.supported.map {
          try loop.run(x0: x0, tables: tables, heldNoise: .wiener(seed: 24), noiseSeed: 25, instructionSet: $0)
        }
        for (set, result) in zip(InstructionSet.supported, results) {
          let fused: Set<InstructionSet> = [.avx2, .avx512]
          for (other, second) in zip(InstructionSet.supported, results) {
            let difference = zip(result.x, second.x).map { abs($0 - $1) }.max() ?? 0
            #expect(difference <= (fused.isSuperset(of: [set, other]) ? 0 : 1e-5))
          }
        }
      }
    }
  }

  @Test(arguments: [[2, 14, 14, 2], [2, 7, 2]], [LoopNoise.white, cells])
  func resultsDependNeitherOnThreadsNorOnTheCut(_ widths: [Int], noise: LoopNoise) throws {
    let network = randomNetwork(widths, seed: 31, deviation: 0.1)
    let tables = randomTables(for: network, ticks: 20, seed: 32)
    let loop = try ClosedLoop(network: network, limits: Self.tight, noise: noise)
    let count = 700
    let x0 = randomPoints(count, dimensions: 2, seed: 33)
    let integration = LoopIntegration(trajectoryInterval: 5)
    let whole = try loop.run(
      x0: x0, tables: tables, integration: integration, heldNoise: .wiener(seed: 34), noiseSeed: 35)
    for threads in [2, 3, 8] {
      let other = try loop.run(
        x0: x0, tables: tables, integration: integration, heldNoise: .wiener(seed: 34), noiseSeed: 35, threads: threads)
      #expect(other.x == whole.x)
      #expect(other.flags == whole.flags)
      #expect(other.trajectory == whole.trajectory)
    }
    var x: [Float] = []
    var flags: [LoopFlags] = []
    for range in [0..<1, 1..<16, 16..<19, 19..<350, 350..<700] {
      let part = try loop.run(
        x0: x0, tables: tables, samples: range, heldNoise: .wiener(seed: 34), noiseSeed: 35)
      x += part.x
      flags += part.flags
    }
    #expect(x == whole.x)
    #expect(flags == whole.flags)
    let tail = try loop.run(
      x0: Array(x0[2 * 123..<2 * 150]), tables: tables, firstSample: 123, heldNoise: .wiener(seed: 34), noiseSeed: 35)
    #expect(tail.x == Array(whole.x[2 * 123..<2 * 150]))
  }

  /// A sample that runs alone is served by code of its own, with the neurons of a layer side by side.
  @Test(arguments: [LoopLimits.none, tight, LoopLimits(softness: 0.1), LoopLimits(rowClamp: 1, softness: 0.1)])
  func oneSampleAloneGivesTheBitsItGivesAmongOthers(_ limits: LoopLimits) throws {
    let network = randomNetwork([2, 14, 14, 2], seed: 36)
    let tables = randomTables(for: network, ticks: 20, seed: 37)
    let loop = try ClosedLoop(network: network, limits: limits)
    let count = 70
    let x0 = randomPoints(count, dimensions: 2, seed: 38)
    for set in InstructionSet.supported {
      for method in [LoopIntegration.Method.heun, .euler] {
        let integration = LoopIntegration(method: method, substeps: 3, trajectoryInterval: 7)
        let whole = try loop.run(
          x0: x0, tables: tables, integration: integration, heldNoise: .wiener(seed: 39), instructionSet: set)
        let parts = try (0..<count).map {
          try loop.run(
            x0: x0, tables: tables, integration: integration, samples: $0..<$0 + 1, heldNoise: .wiener(seed: 39),
            instructionSet: set)
        }
        #expect(parts.flatMap(\.x) == whole.x, "\(set) \(method)")
        #expect(parts.flatMap(\.trajectory) == whole.trajectory, "\(set) \(method)")
        #expect(parts.flatMap(\.flags) == whole.flags, "\(set) \(method)")
      }
    }
  }

  @Test func seedsAndSamplesGiveDifferentNoise() throws {
    let network = randomNetwork([2, 14, 14, 2], seed: 41, deviation: 0.1)
    let tables = randomTables(for: network, ticks: 10, seed: 42)
    let loop = try ClosedLoop(network: network, noise: .white)
    let same = [Float](repeating: 0.5, count: 2 * 40)
    let first = try loop.run(x0: same, tables: tables, noiseSeed: 1).x
    let second = try loop.run(x0: same, tables: tables, noiseSeed: 2).x
    #expect(Set(first).count == 80)
    #expect(Set(first).isDisjoint(with: second))
    let silent = try ClosedLoop(network: network).run(x0: same, tables: tables, noiseSeed: 1).x
    #expect(Set(silent).count == 2)
  }

  /// A table of a thousand ticks covers the whole range of uniform numbers that log and cosine meet.
  @Test(arguments: InstructionSet.supported)
  func wienerNoiseIsTheOneThatHostsDraw(_ set: InstructionSet) throws {
    let layer = LoopNetwork.Layer(inputs: 2, outputs: 2, weights: [Float](repeating: 0, count: 6))
    let loop = try ClosedLoop(network: LoopNetwork(layers: [layer]))
    let ticks = 1000
    let zeros = [Float](repeating: 0, count: ticks)
    let tables = LoopTables(
      tickDuration: 1, a: zeros, b: zeros, noiseAmplitude: [Float](repeating: 1, count: ticks))
    let samples = 21
    let first: UInt32 = 4_000_000_000
    var xi: [Float] = []
    for sample in 0..<UInt32(samples) {
      for tick in 0..<UInt32(ticks) {
        for channel in 0..<UInt32(2) {
          xi.append(
            SamplingNoise.wiener(seed: 0xfeed_5eed_0123_4567, sample: first + sample, tick: tick, channel: channel))
        }
      }
    }
    let x0 = [Float](repeating: 0, count: 2 * samples)
    // Every tick adds one number; the trajectory shows each of them.
    let integration = LoopIntegration(method: .euler, trajectoryInterval: 1)
    let drawn = try loop.run(
      x0: x0, tables: tables, integration: integration, firstSample: UInt64(first),
      heldNoise: .wiener(seed: 0xfeed_5eed_0123_4567), instructionSet: set)
    let given = try loop.run(
      x0: x0, tables: tables, integration: integration, heldNoise: .table(xi), instructionSet: set)
    let difference = zip(drawn.trajectory, given.trajectory).map { abs($0 - $1) }.max() ?? 1
    #expect(difference <= 2e-5)
    // The sum of 999 numbers: none comes from the last tick.
    let sum = (0..<ticks - 1).reduce(Float(0)) { $0 + xi[2 * $1] }
    #expect(abs(drawn.x[0] - sum) < 1e-3)
  }

  /// A converter of 64 codes whose range ends at 2.5 deviations in every third tick; ticks of level 0 are silent. What it plays and
  /// which samples it clamps are worked out here number by number.
  @Test(
    arguments: InstructionSet.supported,
    [[], [ConverterLine(gain: 0.5, offset: 0.03125), ConverterLine(gain: 0.75, offset: -0.0625)]])
  func wienerNoisePassesItsConverter(_ set: InstructionSet, _ lines: [ConverterLine]) throws {
    let layer = LoopNetwork.Layer(inputs: 2, outputs: 2, weights: [Float](repeating: 0, count: 6))
    let loop = try ClosedLoop(network: LoopNetwork(layers: [layer]))
    let (ticks, samples) = (31, 37)
    let zeros = [Float](repeating: 0, count: ticks)
    let levels = (0..<ticks).map { (tick: Int) -> Float in
      if tick % 5 == 4 { return 0 }
      return tick % 3 == 0 ? 0.4 : 0.1 + 0.005 * Float(tick)
    }
    let tables = LoopTables(tickDuration: 1, a: zeros, b: zeros, noiseAmplitude: levels)
    let converter = LoopHeldNoise.Converter(
      lower: -1, step: 2.0 / 63, lastCode: 63, levels: levels, lines: lines)
    var played: [Float] = []
    var clamped = [Bool](repeating: false, count: samples)
    for sample in 0..<samples {
      for tick in 0..<ticks {
        for channel in 0..<2 {
          guard levels[tick] > 0, tick + 1 < ticks else {
            played.append(0)
            continue
          }
          let xi = SamplingNoise.wiener(
            seed: 71, sample: 5 + UInt32(sample), tick: UInt32(tick), channel: UInt32(channel))
          let sigma = Double(levels[tick])
          let code = ((sigma * Double(min(max(xi, -4), 4)) + 1) / converter.step).rounded()
          if abs(xi) > 4 || code < 0 || code > 63 { clamped[sample] = true }
          let line = lines.isEmpty ? ConverterLine.ideal : lines[channel]
          played.append(Float((line.gain * (-1 + min(max(code, 0), 63) * converter.step) + line.offset) / sigma))
        }
      }
    }
    #expect(Set(clamped).count == 2)
    let x0 = [Float](repeating: 0, count: 2 * samples)
    for groups in [1, samples] {
      // Alone a sample takes a path of its own.
      for first in stride(from: 0, to: samples, by: groups == 1 ? 12 : samples) {
        let range = first..<min(samples, first + groups)
        let integration = LoopIntegration(method: .euler, trajectoryInterval: 1)
        let drawn = try loop.run(
          x0: x0, tables: tables, integration: integration, samples: range, firstSample: 5,
          heldNoise: .wiener(seed: 71, converter: converter), instructionSet: set)
        let given = try loop.run(
          x0: x0, tables: tables, integration: integration, samples: range, heldNoise: .table(played),
          instructionSet: set)
        #expect(drawn.trajectory == given.trajectory)
        #expect(drawn.flags.map { $0.contains(LoopFlags.noiseClamp) } == Array(clamped[range]))
      }
    }
    #expect(throws: LoopError.self) {
      var broken = converter
      broken.levels[0] = 0
      _ = try loop.run(x0: x0, tables: tables, heldNoise: .wiener(seed: 71, converter: broken))
    }
  }

  @Test func heldNoiseIsLimitedToFourDeviations() throws {
    let layer = LoopNetwork.Layer(inputs: 1, outputs: 1, weights: [0, 0])
    let loop = try ClosedLoop(network: LoopNetwork(layers: [layer]))
    let tables = LoopTables(tickDuration: 0.25, a: [0, 0, 0], b: [0, 0, 0], noiseAmplitude: [1, 2, 3])
    let result = try loop.run(x0: [0, 0], tables: tables, heldNoise: .table([10, 1, 9, -7, -0.5, 9]))
    // Tick 0: 1 · ±4 / √¼ · ¼ = ±2; tick 1: 2 · ξ / 2; the last tick is silent.
    #expect(result.x == [3, -2.5])
    #expect(result.flags == [.noiseClamp, .noiseClamp])
    // 9 in the silent last tick limits nothing.
    #expect(try loop.run(x0: [0], tables: tables, heldNoise: .table([1, -4, 9])).flags == [[]])
  }

  // MARK: Read noise

  /// One layer without weights: dx/dτ of an output is its noise alone.
  private func noiseOnly(_ variances: [Float], inputs: Int) -> LoopNetwork {
    let weights = [Float](repeating: 0, count: variances.count)
    return LoopNetwork(layers: [.init(inputs: inputs, outputs: inputs, weights: weights, variances: variances)])
  }

  /// Seed 51, n = 8 000; bound 4·√(2/n) on each variance and 4/√n on the correlation.
  @Test func noiseVarianceIsTheSumOverDrivenRows() throws {
    let network = noiseOnly([0.1, 0.2, 0.3, 0.5, 0.05, 0.02], inputs: 2)
    let loop = try ClosedLoop(network: network, noise: .white)
    let tables = LoopTables(tickDuration: 1, a: [0], b: [1])
    let n = 8000
    let x0 = [Float]((0..<n).flatMap { _ in [Float(2), -0.5] })
    let result = try loop.run(x0: x0, tables: tables, integration: LoopIntegration(method: .euler), noiseSeed: 51)
    let first = (0..<n).map { Double(result.x[2 * $0]) - 2 }
    let second = (0..<n).map { Double(result.x[2 * $0 + 1]) + 0.5 }
    let expected = (0.1 * 4 + 0.2 * 0.25 + 0.3, 0.5 * 4 + 0.05 * 0.25 + 0.02)
    let bound = 4 * (2 / Double(n)).squareRoot()
    #expect(abs(variance(first) / expected.0 - 1) < bound)
    #expect(abs(variance(second) / expected.1 - 1) < bound)
    let correlation = mean(zip(first, second).map(*)) / (expected.0 * expected.1).squareRoot()
    #expect(abs(correlation) < 4 / Double(n).squareRoot())
    // Fourth moment 3σ⁴: a normal number, not merely one of the right variance. Its bound is 4·√(96/n).
    let fourth = mean(first.map { $0 * $0 * $0 * $0 }) / (expected.0 * expected.0)
    #expect(abs(fourth - 3) < 4 * (96 / Double(n)).squareRoot())
  }

  /// Seed 52, n = 6 000, correlation time 0.05, steps of 0.01; bounds 4·√(2/n) and 4/√n.
  @Test func bandLimitedNoiseIsStationaryAndForgetsExponentially() throws {
    let loop = try ClosedLoop(
      network: noiseOnly([0, 1], inputs: 1), noise: .bandLimited(correlationTime: 0.05))
    let ticks = 40
    let tables = LoopTables(
      tickDuration: 0.01, a: [Float](repeating: 0, count: ticks), b: [Float](repeating: 1, count: ticks))
    let n = 6000
    let result = try loop.run(
      x0: [Float](repeating: 0, count: n), tables: tables,
      integration: LoopIntegration(method: .euler, trajectoryInterval: 1), noiseSeed: 52)
    func z(_ tick: Int) -> [Double] {
      (0..<n).map { sample in
        let at = sample * (ticks + 1) + tick
        return Double(result.trajectory[at + 1] - result.trajectory[at]) / 0.01
      }
    }
    let bound = 4 * (2 / Double(n)).squareRoot()
    for tick in [0, 1, 5, 39] { #expect(abs(variance(z(tick)) - 1) < bound) }
    for lag in [1, 3, 5, 10, 20] {
      let correlation = mean(zip(z(3), z(3 + lag)).map(*))
      #expect(abs(correlation - exp(-Double(lag) * 0.01 / 0.05)) < 4 / Double(n).squareRoot())
    }
  }

  /// Seed 53, n = 6 000: ∫z over T has variance 2τ²(T/τ − 1 + e^(−T/τ)), and a rectified node the mean T/√(2π),
  /// whatever the step; bounds 4·√(2/n) plus 1 % for the step, and 4 standard errors.
  @Test(arguments: [1, 2, 4])
  func finerStepsChangeNeitherVarianceNorRectifiedMean(_ substeps: Int) throws {
    let n = 6000
    let ticks = 20
    let tables = LoopTables(
      tickDuration: 0.02, a: [Float](repeating: 0, count: ticks), b: [Float](repeating: 1, count: ticks))
    let time = 0.1
    let noise = LoopNoise.bandLimited(correlationTime: Float(time))
    let x0 = [Float](repeating: 0, count: n)
    let integration = LoopIntegration(substeps: substeps)
    let duration = Double(ticks) * 0.02

    let plain = try ClosedLoop(network: noiseOnly([0, 1], inputs: 1), noise: noise)
    let sums = try plain.run(x0: x0, tables: tables, integration: integration, noiseSeed: 53).x.map(Double.init)
    let exact = 2 * time * time * (duration / time - 1 + exp(-duration / time))
    #expect(abs(variance(sums) / exact - 1) < 4 * (2 / Double(n)).squareRoot() + 0.01)

    let rectified = LoopNetwork(layers: [
      .init(inputs: 1, outputs: 1, weights: [0, 0], variances: [0, 1]),
      .init(inputs: 1, outputs: 1, weights: [1, 0]),
    ])
    let means = try ClosedLoop(network: rectified, noise: noise)
      .run(x0: x0, tables: tables, integration: integration, noiseSeed: 53).x.map(Double.init)
    let error = 4 * (variance(means) / Double(n)).squareRoot()
    #expect(abs(mean(means) - duration / (2 * Double.pi).squareRoot()) < error)
  }

  /// dx/dτ = b·w·x + b₂·w₂·x has the solution x₀·exp(b·w + b₂·w₂), here exp(0.7·0.5 − 0.4·1.5) = 0.7788.
  @Test(arguments: InstructionSet.supported)
  func twoNetworksAddTheirOutputs(set: InstructionSet) throws {
    func single(_ weight: Float) -> LoopNetwork {
      LoopNetwork(layers: [.init(inputs: 1, outputs: 1, weights: [weight, 0])])
    }
    let ticks = 200
    func table(_ value: Float) -> [Float] { [Float](repeating: value, count: ticks) }
    let tables = LoopTables(
      tickDuration: 1 / Double(ticks), a: table(0), b: table(0.7), secondB: table(-0.4))
    let loop = try ClosedLoop(network: single(0.5).beside(single(1.5)))
    let x = try loop.run(x0: [1, -2], tables: tables, instructionSet: set).x
    #expect(abs(x[0] - 0.778801) < 1e-5 && abs(x[1] + 1.557602) < 2e-5)
    // Tables of one network do not fit two, nor the other way round.
    #expect(throws: LoopError.self) {
      try loop.run(x0: [1], tables: LoopTables(tickDuration: 1, a: [0], b: [1]))
    }
    #expect(throws: LoopError.self) { try ClosedLoop(network: single(1)).run(x0: [1], tables: tables) }
  }

  /// A network beside itself with coefficients that add up to one is that network; each takes its own embedding: with the other one's the
  /// end points differ.
  @Test func aNetworkBesideItselfIsItself() throws {
    let network = randomNetwork([2, 14, 14, 2], seed: 91)
    let single = randomTables(for: network, ticks: 200, seed: 92)
    var joint = single
    joint.b = single.b.map { 1.75 * $0 }
    joint.secondB = single.b.map { -0.75 * $0 }
    let width = single.embeddingColumns
    func doubled(_ second: (Int) -> Int) -> [Float] {
      (0..<single.ticks).flatMap { tick -> [Float] in
        func row(_ tick: Int) -> ArraySlice<Float> { single.embedding[width * tick..<width * (tick + 1)] }
        // Both hidden layers of a network take the same columns, and stand one behind the other in a joint one.
        return Array(row(tick) + row(second(tick)) + row(tick) + row(second(tick)))
      }
    }
    joint.embeddingColumns = 4 * width
    let x0 = (0..<64).map { Float(sin(Double($0))) }
    let expected = try ClosedLoop(network: network).run(x0: x0, tables: single).x
    let pair = try ClosedLoop(network: network.beside(network))
    #expect(pair.path(joint) == .general)
    joint.embedding = doubled { $0 }
    let x = try pair.run(x0: x0, tables: joint).x
    #expect(zip(x, expected).allSatisfy { abs($0 - $1) < 2e-4 })
    joint.embedding = doubled { single.ticks - 1 - $0 }
    let other = try pair.run(x0: x0, tables: joint).x
    #expect(zip(other, expected).contains { abs($0 - $1) > 1e-2 })
  }

  /// Seed 54, n = 6 000: one weight with two processes and a two-state one. Its variance is shares·variance + step², its
  /// correlation that of the sum; bounds 4·√(2/n) of the variance.
  @Test func noiseOfACellHasItsProcessesAndItsTwoStates() throws {
    let network = LoopNetwork(layers: [
      .init(inputs: 1, outputs: 1, weights: [0, 0], variances: [0, 0.5], telegraph: [0, 0.6])
    ])
    let loop = try ClosedLoop(network: network, noise: Self.cells)
    let (n, ticks) = (6000, 40)
    let tables = LoopTables(
      tickDuration: 0.01, a: [Float](repeating: 0, count: ticks), b: [Float](repeating: 1, count: ticks))
    let result = try loop.run(
      x0: [Float](repeating: 0, count: n), tables: tables,
      integration: LoopIntegration(method: .euler, trajectoryInterval: 1), noiseSeed: 54)
    func z(_ tick: Int) -> [Double] {
      (0..<n).map { sample in
        let at = sample * (ticks + 1) + tick
        return Double(result.trajectory[at + 1] - result.trajectory[at]) / 0.01
      }
    }
    func expected(_ lag: Double) -> Double {
      0.5 * (0.4 * exp(-lag / 0.03) + 0.7 * exp(-lag / 0.3)) + 0.36 * exp(-lag / 0.1)
    }
    let bound = 4 * (2 / Double(n)).squareRoot() * expected(0)
    for tick in [0, 1, 20, 39] { #expect(abs(variance(z(tick)) - expected(0)) < bound) }
    for lag in [1, 3, 10, 30] {
      #expect(abs(mean(zip(z(5), z(5 + lag)).map(*)) - expected(Double(lag) * 0.01)) < bound)
    }
  }

  /// Seed 55, n = 6 000: the reduction to one process an output has the variance of the cells behind it, for any input.
  @Test func noisePerOutputHasTheVarianceOfItsCells() throws {
    let network = noiseOnly([0.1, 0.2, 0.3, 0.5, 0.05, 0.02], inputs: 2)
    let tables = LoopTables(tickDuration: 1, a: [0], b: [1])
    let n = 6000
    let x0: [Float] = (0..<2 * n).map { $0.isMultiple(of: 2) ? 0.7 : -1.1 }
    let mode = LoopNoise.CellNoise.Mode(correlationTime: 1, share: 1)
    func variances(_ noise: LoopNoise) throws -> [Double] {
      let loop = try ClosedLoop(network: network, noise: noise)
      let x = try loop.run(x0: x0, tables: tables, integration: LoopIntegration(method: .euler), noiseSeed: 55).x
      return (0..<2).map { d in variance((0..<n).map { Double(x[2 * $0 + d]) }) }
    }
    let spreads = try [variances(.bandLimited(correlationTime: 1)), variances(.perCell(.init(modes: [mode])))]
    for d in 0..<2 { #expect(abs(spreads[0][d] / spreads[1][d] - 1) < 4 * (4 / Double(n)).squareRoot()) }
  }

  @Test func softRectifierApproachesTheIdealOne() throws {
    let network = randomNetwork([2, 14, 14, 2], seed: 61)
    let tables = randomTables(for: network, ticks: 40, seed: 62)
    let x0 = randomPoints(32, dimensions: 2, seed: 63)
    let ideal = try ClosedLoop(network: network).run(x0: x0, tables: tables).x
    let distances = try [Float(0.4), 0.1, 0.02, 0.001].map { softness in
      let soft = try ClosedLoop(network: network, limits: LoopLimits(softness: softness)).run(x0: x0, tables: tables).x
      return zip(soft, ideal).map { abs($0 - $1) }.max() ?? 1
    }
    #expect(distances == distances.sorted(by: >))
    #expect(distances[0] > 0.02)
    #expect(distances[3] < 1e-3)
  }

  @Test func flagsNameTheBlockThatWasOverdriven() throws {
    // dx/dτ = 1 for a run of length 1; rows see x, the amplifier sees 3x.
    let network = LoopNetwork(layers: [.init(inputs: 1, outputs: 1, weights: [3, 0])])
    let tables = LoopTables(
      tickDuration: 0.1, a: [Float](repeating: 0, count: 10), b: [Float](repeating: 0, count: 10),
      offset: [Float](repeating: 1, count: 10))
    let x0: [Float] = [0, 1.5, 2.5, 4.2]
    let wide = LoopLimits(rowClamp: 100, amplifierRail: 100, integratorRail: 100)
    func flags(_ limits: LoopLimits) throws -> [LoopFlags] {
      try ClosedLoop(network: network, limits: limits).run(x0: x0, tables: tables).flags
    }
    #expect(try flags(.none) == [[], [], [], []])
    #expect(try flags(wide) == [[], [], [], []])
    var limits = wide
    limits.rowClamp = 2
    #expect(try flags(limits) == [[], .rowClamp, .rowClamp, .rowClamp])
    limits = wide
    limits.amplifierRail = 9.5
    #expect(try flags(limits) == [[], [], .amplifierRail, .amplifierRail])
    limits = wide
    limits.integratorRail = 4
    #expect(try flags(limits) == [[], [], [], .integratorRail])
    limits.rowClamp = 3
    #expect(try flags(limits) == [[], [], .rowClamp, [.rowClamp, .integratorRail]])
  }

  // MARK: Arguments

  /// Subnormal factors would double the time of a run; below 2⁻⁶³ a weight is none, above it is what it is: many samples and one alone, cells with
  /// noise of their own.
  @Test(arguments: InstructionSet.supported, [([2, 14, 14, 2], 20), ([2, 14, 14, 2], 1), ([2, 9, 2], 20)])
  func weightsTooSmallToBeSeenAreNone(_ set: InstructionSet, shape: (widths: [Int], samples: Int)) throws {
    let (widths, samples) = shape
    func end(_ weight: Float) throws -> [Float] {
      let layers = zip(widths, widths.dropFirst()).enumerated().map { index, sizes in
        // The last layer's weights are asked about; what reaches it is 1 or more.
        LoopNetwork.Layer(
          inputs: sizes.0, outputs: sizes.1,
          weights: [Float](repeating: index == widths.count - 2 ? weight : 1, count: (sizes.0 + 1) * sizes.1))
      }
      let loop = try ClosedLoop(network: LoopNetwork(layers: layers))
      let tables = LoopTables(tickDuration: 1, a: [0], b: [1])
      return try loop.run(
        x0: [Float](repeating: 0, count: 2 * samples), tables: tables, integration: LoopIntegration(),
        instructionSet: set
      ).x
    }
    #expect(try end(1e-38).allSatisfy { $0 == 0 })
    #expect(try end(1e-20).allSatisfy { $0 == 0 })
    #expect(try end(1e-18).allSatisfy { $0 > 1e-18 })
  }

  @Test func noSamplesAreNoError() throws {
    let network = randomNetwork([2, 14, 14, 2], seed: 71)
    let result = try ClosedLoop(network: network).run(x0: [], tables: randomTables(for: network, ticks: 3, seed: 72))
    #expect(result.x.isEmpty)
    #expect(result.evaluations == 0)
  }

  @Test func wrongNetworksAreRefused() {
    func message(_ layers: [LoopNetwork.Layer], limits: LoopLimits = .none, noise: LoopNoise = .none) -> String? {
      do throws(LoopError) {
        _ = try ClosedLoop(network: LoopNetwork(layers: layers), limits: limits, noise: noise)
        return nil
      } catch {
        return error.description
      }
    }
    func layer(_ inputs: Int, _ outputs: Int) -> LoopNetwork.Layer {
      .init(inputs: inputs, outputs: outputs, weights: [Float](repeating: 0, count: max(0, outputs * (inputs + 1))))
    }
    #expect(message([layer(2, 2)]) == nil)
    #expect(message([]) == "network of 0 layers: 1 to 4 can be run")
    #expect(message([layer(2, 65), layer(65, 2)]) == "layer 0 is 2→65: 1 to 64 can be run")
    #expect(message([layer(2, 3), layer(4, 2)]) == "layer 1 has 4 inputs, 3 outputs feed it")
    #expect(message([layer(2, 3)]) == "layer 0 has 2 inputs, 3 outputs feed it")
    #expect(
      message([.init(inputs: 1, outputs: 1, weights: [0])])
        == "layer 0 has 1 weights, 0 variances and 0 two-state steps, 2 expected")
    #expect(
      message([.init(inputs: 1, outputs: 1, weights: [.nan, 0])])
        == "layer 0 has a weight or two-state step that is not finite or a negative variance")
    #expect(
      message([layer(1, 1)], limits: LoopLimits(rowClamp: 0))
        == "clamps and rails must be above 0, the rectifier's softness 0 or above")
    #expect(
      message([layer(1, 1)], noise: .bandLimited(correlationTime: 0))
        == "correlation time 0.0 of the read noise is not above 0")
    #expect(
      message([layer(1, 1)], noise: .perCell(.init(modes: [.init(correlationTime: 0, share: 1)])))
        == "correlation times of cell noise must be above 0, shares 0 or above and finite")
    #expect(
      message(
        [layer(1, 1)], noise: .perCell(.init(modes: .init(repeating: .init(correlationTime: 1, share: 1), count: 5))))
        == "5 processes a weight: at most 4 can be run")
  }

  @Test func wrongArgumentsOfARunAreRefused() throws {
    let network = randomNetwork([2, 14, 14, 2], seed: 81)
    let loop = try ClosedLoop(network: network)
    let good = randomTables(for: network, ticks: 4, seed: 82)
    func message(
      _ x0: [Float] = [0, 0], _ change: (inout LoopTables) -> Void = { _ in },
      integration: LoopIntegration = LoopIntegration(), samples: Range<Int>? = nil, held: LoopHeldNoise = .none
    ) -> String? {
      var tables = good
      change(&tables)
      do throws(LoopError) {
        _ = try loop.run(x0: x0, tables: tables, integration: integration, samples: samples, heldNoise: held)
        return nil
      } catch {
        return error.description
      }
    }
    #expect(message() == nil)
    #expect(message([0]) == "1 starting values are not whole points of 2")
    #expect(message([0, .infinity]) == "a starting value is not finite")
    #expect(message(samples: 0..<2) == "samples 0..<2 of 1")
    #expect(message([0, 0], { $0.b.removeLast() }) == "tables of 4 ticks for a and 3 for b")
    #expect(message([0, 0], { $0.embedding.removeLast() }) == "embedding of 55 values for 4 ticks of 14")
    #expect(
      message(
        [0, 0],
        {
          $0.embedding.removeLast(4)
          $0.embeddingColumns = 13
        }) == "layer 0 takes embedding columns 0..<14 of 13")
    #expect(message([0, 0], { $0.offset.removeLast() }) == "offset of 7 values for 4 ticks of 2")
    #expect(message([0, 0], { $0.noiseAmplitude.removeLast() }) == "noise amplitude of 3 values for 4 ticks")
    #expect(message([0, 0], { $0.tickDuration = 0 }) == "tick of length 0.0")
    #expect(message([0, 0], { $0.a[1] = .nan }) == "a has a value that is not finite")
    #expect(message(integration: LoopIntegration(substeps: 0)) == "0 steps a tick")
    #expect(message(integration: LoopIntegration(trajectoryInterval: 0)) == "trajectory interval of 0 ticks")
    #expect(message(held: .table([0])) == "held noise of 1 values for 1 samples, 4 ticks, 2 channels")
  }

  @Test func thePlainSetRunsEverywhere() {
    #expect(InstructionSet.portable.isSupported)
    #expect(InstructionSet.supported.contains(InstructionSet.best))
  }
}
