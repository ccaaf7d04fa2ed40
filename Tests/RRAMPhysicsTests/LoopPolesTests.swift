import Glibc
import RRAMPhysics
import RRAMUnits
import Testing

@Suite struct LoopPolesTests {
  static let poles = LoopPoles(amplifier: 0.01, multiplier: 0.015)

  private func rms(_ a: [Float], _ b: [Float]) -> Double {
    (zip(a, b).reduce(0) { $0 + pow(Double($1.0) - Double($1.1), 2) } / Double(a.count)).squareRoot()
  }

  /// Tables as a schedule has them: everything moves slowly from tick to tick.
  private func smoothTables(for network: LoopNetwork, ticks: Int, seed: UInt64) -> LoopTables {
    var stream = PhiloxStream(seed: seed, stream: (0, 0, 5))
    let columns = network.layers.map(\.outputs).max() ?? 0
    let waves = (0..<columns).map { _ in (stream.normal(), 2 * Double.pi * stream.uniform()) }
    return LoopTables(
      tickDuration: 1 / Double(ticks), a: [Float](repeating: 0.3, count: ticks),
      b: (0..<ticks).map { 1.2 - Float($0) / Float(ticks) },
      embedding: (0..<ticks).flatMap { tick in
        waves.map { Float(sin(2 * Double.pi * $0.0 * Double(tick) / Double(ticks) + $0.1)) }
      }, embeddingColumns: columns)
  }

  /// With steps far below the time constants: the same x as the differential equations of all nodes, solved in double precision.
  @Test(arguments: [
    ([2, 14, 14, 2], LoopLimits.none, LoopTransport.ohmic),
    ([3, 5, 3], LoopLimits(rowClamp: 1.2, amplifierRail: 1.5), .ohmic),
    ([2, 4, 5, 4, 2], LoopLimits(rowClamp: 2), LoopTransport(curvature: 0.4, readLevel: 1, polarity: 0.9)),
  ])
  func fineStepsSolveTheEquationsOfAllNodes(_ widths: [Int], limits: LoopLimits, transport: LoopTransport) throws {
    let network = randomNetwork(widths, seed: 81)
    var tables = randomTables(for: network, ticks: 10, seed: 82)
    tables.noiseAmplitude = []
    let dimensions = network.dimensions
    let x0 = randomPoints(3, dimensions: dimensions, seed: 83)
    var reference = ReferenceLoop(network: network, limits: limits)
    reference.transport = transport
    let expected = (0..<3).flatMap { sample in
      reference.run(
        x0: x0[sample * dimensions..<(sample + 1) * dimensions].map(Double.init), tables: tables, poles: Self.poles,
        steps: 60)
    }
    let loop = try ClosedLoop(network: network, limits: limits, poles: Self.poles, transport: transport)
    #expect(loop.path == .general)
    let fine = LoopIntegration(substeps: 400)
    for set in InstructionSet.supported {
      let result = try loop.run(x0: x0, tables: tables, integration: fine, instructionSet: set)
      #expect(largestDifference(result.x, expected) < 1e-4, "\(set)")
    }
    let instant = try ClosedLoop(network: network, limits: limits, transport: transport).run(x0: x0, tables: tables)
    #expect(largestDifference(instant.x, expected) > 5e-3)
  }

  /// One step a tick, from poles far below a tick to poles of many: what they move x by comes out within a fifth, wherever
  /// that is above rounding. Seeds 84 to 86, 256 samples of 200 ticks.
  @Test(arguments: [1e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 8e-3, 2e-2] as [Float])
  func oneStepATickShowsWhatPolesDo(_ pole: Float) throws {
    let network = randomNetwork([2, 14, 14, 2], seed: 84, amplitude: 5)
    let tables = smoothTables(for: network, ticks: 200, seed: 85)
    let x0 = randomPoints(256, dimensions: 2, seed: 86)
    let loop = try ClosedLoop(network: network, poles: LoopPoles(amplifier: pole, multiplier: pole))
    let coarse = try loop.run(x0: x0, tables: tables)
    // Steps of a quarter of the time constant and below.
    let fine = try loop.run(
      x0: x0, tables: tables, integration: LoopIntegration(substeps: max(8, Int((0.02 / pole).rounded(.up)))))
    let instant = try ClosedLoop(network: network).run(
      x0: x0, tables: tables, integration: LoopIntegration(substeps: 8))
    let effect = rms(fine.x, instant.x)
    #expect(effect > 0.5 * Double(pole))
    let error = rms(coarse.x, fine.x)
    #expect(error < 0.2 * effect + 3e-5, "error \(error), effect \(effect)")
    #expect(coarse.evaluations == 256 * 200 * loop.stepEvaluations(tables, LoopIntegration()))
    #expect((2...6).contains(loop.stepEvaluations(tables, LoopIntegration())))
  }

  @Test(arguments: [LoopNoise.none, .white, .bandLimited(correlationTime: 0.02), ClosedLoopTests.cells])
  func fusedSetsAgreeBitForBitAndThreadsChangeNothing(_ noise: LoopNoise) throws {
    let network = randomNetwork([2, 14, 14, 2], seed: 87, deviation: 0.05)
    let tables = randomTables(for: network, ticks: 20, seed: 88)
    let loop = try ClosedLoop(
      network: network, limits: LoopLimits(rowClamp: 2, amplifierRail: 3, integratorRail: 2.5), noise: noise,
      poles: LoopPoles(amplifier: 0.002, multiplier: 0.003),
      transport: LoopTransport(curvature: 0.2, readLevel: 1, polarity: 0.95))
    let x0 = randomPoints(153, dimensions: 2, seed: 89)
    let results = try InstructionSet.supported.map {
      try loop.run(x0: x0, tables: tables, heldNoise: .wiener(seed: 24), noiseSeed: 25, instructionSet: $0)
    }
    let fused: Set<InstructionSet> = [.avx2, .avx512]
    for (set, result) in zip(InstructionSet.supported, results) {
      for (other, second) in zip(InstructionSet.supported, results) {
        let difference = zip(result.x, second.x).map { abs($0 - $1) }.max() ?? 0
        #expect(difference <= (fused.isSuperset(of: [set, other]) ? 0 : 1e-5), "\(set) and \(other)")
      }
    }
    for threads in [2, 5] {
      let other = try loop.run(
        x0: x0, tables: tables, heldNoise: .wiener(seed: 24), noiseSeed: 25, threads: threads)
      let one = try loop.run(x0: x0, tables: tables, heldNoise: .wiener(seed: 24), noiseSeed: 25)
      #expect(other.x == one.x && other.flags == one.flags)
    }
  }

  @Test func polesThatCannotBeAreRefused() throws {
    let network = randomNetwork([2, 3, 2], seed: 90)
    for (amplifier, multiplier) in [(0.1, 0), (0, 0.1), (-0.1, 0.1), (.infinity, 0.1), (.nan, .nan)] as [(Float, Float)]
    {
      #expect(throws: LoopError.self) {
        try ClosedLoop(network: network, poles: LoopPoles(amplifier: amplifier, multiplier: multiplier))
      }
    }
    let loop = try ClosedLoop(network: network, poles: Self.poles)
    let tables = randomTables(for: network, ticks: 4, seed: 91)
    let x0 = randomPoints(2, dimensions: 2, seed: 92)
    let euler = #expect(throws: LoopError.self) {
      try loop.run(x0: x0, tables: tables, integration: LoopIntegration(method: .euler))
    }
    #expect(euler?.description.contains("Euler steps of a loop with poles: only Heun's are made") == true)
    #expect(throws: LoopError.self) {
      try loop.gradient(
        x0: x0, tables: tables, target: LoopTarget(interval: 4, points: randomPoints(2, dimensions: 2, seed: 93)))
    }
  }
}
