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
    let fine = LoopIntegration(substeps: 400)
    #expect(loop.path(tables, fine) == .general)
    for set in InstructionSet.supported {
      let result = try loop.run(x0: x0, tables: tables, integration: fine, instructionSet: set)
      #expect(largestDifference(result.x, expected) < 1e-4, "\(set)")
    }
    let instant = try ClosedLoop(network: network, limits: limits, transport: transport).run(x0: x0, tables: tables)
    #expect(largestDifference(instant.x, expected) > 5e-3)
  }

  /// One step a tick, from poles far below a tick to poles of many: what they move x by comes out within a fifth, wherever
  /// that is above rounding. Seeds 84 to 86, 256 samples of 200 ticks.
  @Test(arguments: [5e-5, 1e-4, 2e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 8e-3, 2e-2] as [Float])
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
    // A tick of 5e-3 is twenty times the largest pole that leaves the fast path.
    let isFarBelow = pole < 2.4e-4
    #expect(loop.path(tables) == (isFarBelow ? .specialised : .general))
    #expect((isFarBelow ? 3...3 : 2...6).contains(loop.stepEvaluations(tables, LoopIntegration())))
  }

  /// The fast path and the general one: a fifteenth hidden unit without weights takes a network off the first. Seeds 95 to 97, 70
  /// samples of 40 ticks, poles of a fortieth of a tick; the order of the sums differs.
  @Test(
    arguments: [LoopTransport.ohmic, LoopTransport(curvature: 0.2, readLevel: 1, polarity: 0.95)], [0, 0.1] as [Float])
  func bothPathsGoThroughThePolesAlike(_ transport: LoopTransport, softness: Float) throws {
    let network = randomNetwork([2, 14, 14, 2], seed: 95)
    var wide = network
    wide.layers[0].outputs = 15
    wide.layers[0].weights += [0, 0, 0]
    wide.layers[1].inputs = 15
    wide.layers[1].weights = (0..<14).flatMap { out -> [Float] in
      let row = network.layers[1].weights[15 * out..<15 * (out + 1)]
      return row.dropLast() + [0] + row.suffix(1)
    }
    var tables = randomTables(for: network, ticks: 40, seed: 96)
    var padded = tables
    padded.embeddingColumns = 29
    padded.embedding = (0..<40).flatMap { tick -> [Float] in
      let row = Array(tables.embedding[tables.embeddingColumns * tick..<tables.embeddingColumns * (tick + 1)])
      return Array(row[0..<14]) + [0] + Array(row[0..<14])
    }
    wide.layers[1].embeddingColumn = 15
    tables.noiseAmplitude = []
    padded.noiseAmplitude = []
    let limits = LoopLimits(rowClamp: 2, amplifierRail: 3, integratorRail: 2.5, softness: softness)
    let poles = LoopPoles(amplifier: 1 / 1600, multiplier: 1 / 1700)
    let fast = try ClosedLoop(network: network, limits: limits, poles: poles, transport: transport)
    let slow = try ClosedLoop(network: wide, limits: limits, poles: poles, transport: transport)
    #expect(fast.path(tables) == .specialised)
    #expect(slow.path(padded) == .general)
    let x0 = randomPoints(70, dimensions: 2, seed: 97)
    for set in InstructionSet.supported {
      let (a, b) = (
        try fast.run(x0: x0, tables: tables, instructionSet: set),
        try slow.run(x0: x0, tables: padded, instructionSet: set)
      )
      #expect(zip(a.x, b.x).allSatisfy { abs($0 - $1) <= 1e-5 }, "\(set)")
      #expect(a.flags == b.flags, "\(set)")
    }
  }

  /// Poles of a tenth of a tick and above on the general path, and of a fiftieth on the fast one.
  @Test(
    arguments: [LoopNoise.none, .white, .bandLimited(correlationTime: 0.02), ClosedLoopTests.cells],
    [LoopPoles(amplifier: 0.002, multiplier: 0.003), LoopPoles(amplifier: 0.0005, multiplier: 0.001)])
  func fusedSetsAgreeBitForBitAndThreadsChangeNothing(_ noise: LoopNoise, _ poles: LoopPoles) throws {
    let network = randomNetwork([2, 14, 14, 2], seed: 87, deviation: 0.05)
    let tables = randomTables(for: network, ticks: 20, seed: 88)
    let loop = try ClosedLoop(
      network: network, limits: LoopLimits(rowClamp: 2, amplifierRail: 3, integratorRail: 2.5), noise: noise,
      poles: poles,
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
