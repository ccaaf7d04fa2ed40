import RRAMPhysics
import RRAMProfiles
import RRAMUnits
import Testing

@Suite struct LoopPeripheryTests {
  private func loop(_ change: (inout BoardDescription.ClosedLoop.Imperfections) -> Void) throws
    -> BoardDescription.ClosedLoop
  {
    var loop = try #require(try BoardDescription.named("parallel").closedLoop)
    change(&loop.imperfections)
    return loop
  }

  private func tables(ticks: Int = 4) -> LoopTables {
    LoopTables(
      tickDuration: 0.25, a: (0..<ticks).map { 0.1 * Float($0) }, b: [Float](repeating: 0.5, count: ticks),
      embedding: (0..<ticks).flatMap { [Float($0), 1, 1, Float($0)] }, embeddingColumns: 4)
  }

  @Test func aTrimmedBoardAddsNothing() throws {
    let periphery = LoopPeriphery(try loop { _ in }, seed: 1)
    #expect(periphery.isIdeal)
    var tables = tables()
    periphery.apply(to: &tables, tick: .microseconds(5), dimensions: 2)
    #expect(tables == self.tables())
    #expect(periphery.nonlinearity(.embedding, channel: 3, code: 100, of: 4096) == 0)
    #expect(periphery.readOutNoise(runSeed: 1, sample: 2, point: 0, channel: 0) == 0)
  }

  /// A leak takes x away at its rate, feed-through adds x and network at coefficient 0, an integrator offset adds to x's input in
  /// units of the unit voltage.
  @Test func integratorAndFeedThroughFoldIntoTheTables() throws {
    let periphery = LoopPeriphery(
      try loop {
        $0.integratorLeak = 0.02
        $0.feedThrough = 0.01
      }, seed: 1)
    var tables = tables()
    periphery.apply(to: &tables, tick: .microseconds(5), dimensions: 2)
    for tick in 0..<4 {
      let expected = 0.1 * Float(tick) - 0.01
      #expect(abs(tables.a[tick] - expected) < 1e-6)
      #expect(abs(tables.b[tick] - 0.51) < 1e-6)
    }
    #expect(tables.offset.allSatisfy { $0 == 0 })
    #expect(tables.embedding == self.tables().embedding)
  }

  /// Offsets have the stated σ over boards: 400 seeds × 2 coordinates, σ of 5 mV at 0.1 V a unit; sampling error 4/√(2·800).
  @Test func integratorOffsetsHaveTheirSigma() throws {
    var squares = 0.0
    for seed in 0..<400 {
      let periphery = LoopPeriphery(try loop { $0.integratorOffset = .millivolts(5) }, seed: UInt64(seed))
      var tables = tables()
      periphery.apply(to: &tables, tick: .microseconds(5), dimensions: 2)
      // The same in every tick.
      #expect(tables.offset[0] == tables.offset[6] && tables.offset[1] == tables.offset[7])
      squares += Double(tables.offset[0] * tables.offset[0] + tables.offset[1] * tables.offset[1])
    }
    #expect(abs((squares / 800).squareRoot() / 0.05 - 1) < 0.1)
  }

  /// Converters that load one after the other are late by their place: the first not at all, the last by the skew.
  @Test func skewedConvertersLagBehind() throws {
    let periphery = LoopPeriphery(try loop { $0.skew = .microseconds(1) }, seed: 1)
    var tables = tables()
    periphery.apply(to: &tables, tick: .microseconds(4), dimensions: 2)
    #expect(tables.a == self.tables().a)
    // Six channels; the last embedding column is the last one: a quarter of a tick late.
    #expect(abs(tables.embedding[15] - 2.75) < 1e-6)
    #expect(abs(tables.embedding[12] - 2.9) < 1e-6)
    // The first tick has nothing before it.
    #expect(tables.embedding[3] == 0)
  }

  /// A pole: the mean over a tick of what settles with a time constant of the tick's own length lacks τ/T·(1 − e^(−T/τ)).
  @Test func settlingTakesItsShareOfATick() throws {
    let periphery = LoopPeriphery(try loop { $0.settling = .microseconds(4) }, seed: 1)
    var tables = tables()
    periphery.apply(to: &tables, tick: .microseconds(4), dimensions: 2)
    #expect(abs(tables.embedding[4] - 0.367_879) < 1e-5)
  }

  /// Rows of the effective weights get their amplifier's gain, the bias column its offset, noise its gain squared.
  @Test func amplifiersChangeTheirRows() throws {
    let periphery = LoopPeriphery(
      try loop {
        $0.amplifierGain = 0.1
        $0.amplifierOffset = .millivolts(10)
      }, seed: 3)
    let layer = LoopNetwork.Layer(
      inputs: 2, outputs: 2, weights: [1, 2, 0, -1, 4, 0], variances: [1, 1, 1, 1, 1, 1])
    var network = LoopNetwork(layers: [layer])
    let pairs = [[(macro: 0, pair: 0), (macro: 0, pair: 1)]]
    periphery.apply(to: &network, amplifiers: pairs)
    let changed = network.layers[0]
    for row in 0..<2 {
      let gain = changed.weights[3 * row] / layer.weights[3 * row]
      let other = changed.weights[3 * row + 1] / layer.weights[3 * row + 1]
      #expect(gain != 1 && abs(gain - 1) < 0.5)
      #expect(abs(other - gain) < 1e-6)
      #expect(abs(changed.variances[3 * row] - gain * gain) < 1e-5)
      #expect(changed.weights[3 * row + 2] != 0)
    }
    #expect(changed.weights[2] != changed.weights[5])
    // The same board again, and another one.
    var again = LoopNetwork(layers: [layer])
    periphery.apply(to: &again, amplifiers: pairs)
    #expect(again == network)
    // An amplifier belongs to its pair of columns, not to its place in the network.
    var exchanged = LoopNetwork(layers: [layer])
    periphery.apply(to: &exchanged, amplifiers: [pairs[0].reversed()])
    #expect(exchanged.layers[0].weights[0] / layer.weights[0] == changed.weights[3] / layer.weights[3])
    var other = LoopNetwork(layers: [layer])
    LoopPeriphery(
      try loop {
        $0.amplifierGain = 0.1
        $0.amplifierOffset = .millivolts(10)
      }, seed: 4
    ).apply(to: &other, amplifiers: pairs)
    #expect(other != network)
  }

  /// Multipliers: (1 + g)(c + c₀)(v + v₀) + o. With b constant its offsets are constant; a's grow with a.
  @Test func multiplierOffsetsFollowTheCoefficient() throws {
    let periphery = LoopPeriphery(try loop { $0.multiplierOffset = .millivolts(10) }, seed: 5)
    var changed = tables()
    periphery.apply(to: &changed, tick: .microseconds(5), dimensions: 2)
    let shift = changed.a[0]
    #expect(shift != 0 && abs(shift) < 0.2)
    for tick in 0..<4 {
      let expected = 0.1 * Float(tick) + shift
      #expect(abs(changed.a[tick] - expected) < 1e-6)
    }
    let steps = (1..<4).map { changed.offset[2 * $0] - changed.offset[2 * $0 - 2] }
    #expect(steps.allSatisfy { abs($0 - steps[0]) < 1e-6 } && steps[0] != 0)
  }

  /// Nonlinearity stays within its peak, passes through it, and belongs to the channel.
  @Test func nonlinearityStaysWithinItsPeak() throws {
    let periphery = LoopPeriphery(try loop { $0.converterNonlinearity = 2 }, seed: 6)
    let errors = (0..<2).map { channel in
      stride(from: 0, to: 4096, by: 16).map {
        periphery.nonlinearity(.embedding, channel: channel, code: $0, of: 4096)
      }
    }
    for curve in errors {
      #expect(curve.allSatisfy { abs($0) <= 2 })
      #expect((curve.max() ?? 0) > 1.9 && (curve.min() ?? 0) < -1.9)
    }
    #expect(errors[0] != errors[1])
  }

  /// Amplifiers of the read-out: one gain and offset each, the same at every read. Eight columns share one on `multiplexed`.
  @Test func columnsOfOneAmplifierReadAlike() throws {
    let board = try BoardDescription.named("multiplexed")
    let periphery = SensingPeriphery(board.sensing, seed: 7, macro: 0)
    let seen = (0..<64).map { periphery.seen(Volts(0.5), column: $0, range: 1) }
    #expect(Set(seen).count == 8)
    #expect(seen[0] == seen[7] && seen[8] != seen[7])
    #expect(seen.allSatisfy { abs($0.rawValue - 0.5) < 0.003 })
    #expect(
      SensingPeriphery(try BoardDescription.named("parallel").sensing, seed: 7, macro: 0)
        .seen(Volts(0.5), column: 3, range: 1) == Volts(0.5))
    // Ranges differ only by resistors of their own: 1 % here, 64 draws, σ within 3 standard errors of it.
    #expect(periphery.seen(Volts(0.5), column: 3, range: 0) == seen[3])
    var sensing = board.sensing
    sensing.columnsPerAmplifier = 1
    (sensing.imperfections.offset, sensing.imperfections.nonlinearity) = (.zero, 0)
    (sensing.imperfections.gain, sensing.imperfections.rangeGain) = (0, 0.01)
    let rough = SensingPeriphery(sensing, seed: 7, macro: 0)
    let ratios = (0..<64).map {
      rough.seen(Volts(0.5), column: $0, range: 0) / rough.seen(Volts(0.5), column: $0, range: 1) - 1
    }
    let deviation = (ratios.reduce(0) { $0 + $1 * $1 } / 64).squareRoot()
    #expect(abs(deviation / 0.01 / 2.0.squareRoot() - 1) < 3 / 128.0.squareRoot(), "\(deviation)")
  }
}
