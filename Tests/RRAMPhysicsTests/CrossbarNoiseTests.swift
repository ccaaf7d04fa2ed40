import RRAMPhysics
import RRAMProfiles
import RRAMUnits
import Testing

@Suite struct CrossbarNoiseTests {
  /// A macro whose cells were all brought to about `level` at time 0 by one strong pulse train and a plain ISPP.
  private func programmed(to level: Double, seed: UInt64) throws -> (crossbar: Crossbar, writes: Double) {
    var profile = try ChipProfile.named("cmo-hfox")
    // Defects would have to be left out of every statistic.
    profile.cells.stuckLowFraction = 0
    profile.cells.stuckHighFraction = 0
    profile.cells.unformableFraction = 0
    // One SET from a common state, so that every cell's last write is at one time.
    profile.programming.cycleSpread = 0
    profile.programming.deviceSpread = .zero
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 64, columns: 64), macro: 0, seed: seed)
    let cells = Array(0..<crossbar.cellCount)
    try crossbar.formAll(from: -10)
    let erase = Pulse(kind: .reset, wordLine: Volts(3), amplitude: Volts(1.48), width: .microseconds(10))
    try crossbar.pulse(cells, erase, at: -1)
    // From 5 µS to `level`: width chosen by the rate law at V = setVoltage.
    var width = 0.0
    let low = 5.0
    let high = 110.0
    // ln((high − low)/(high − level)) by summing the series of the logarithm's integral.
    let steps = 10_000
    for step in 0..<steps {
      let g = low + (level - low) * (Double(step) + 0.5) / Double(steps)
      width += (level - low) / Double(steps) / (high - g)
    }
    try crossbar.pulse(
      cells,
      Pulse(
        kind: .set, wordLine: Volts(2), amplitude: profile.programming.setVoltage,
        width: .nanoseconds(Int64((width * 1000).rounded()))), at: 0)
    return (crossbar, 0)
  }

  private func moments(_ values: [Double]) -> (mean: Double, sigma: Double) {
    let n = Double(values.count)
    let mean = values.reduce(0, +) / n
    return (mean, (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n).squareRoot())
  }

  /// The published fit at four ages: mean −0.089·ln t, σ = 0.042·ln t + 0.412 µS. Seeds 21 and 22, n = 4 096 cells; mean
  /// within 4σ/√n, σ within 4/√(2n) = 4.4 %.
  @Test(arguments: [(21, 30.0), (22, 70.0)])
  func relaxationFollowsThePublishedFit(seed: UInt64, level: Double) throws {
    var (crossbar, _) = try programmed(to: level, seed: seed)
    let block = CellBlock(macro: 0, shape: crossbar.shape)
    let start = try crossbar.conductances(of: block, at: 0).map(\.microsiemens)
    #expect(abs(moments(start).mean - level) < 0.5)
    let n = Double(start.count)
    for (age, logAge) in [(1.0, 0.0), (60, 4.094_345), (600, 6.396_930), (3600, 8.188_689)] {
      let now = try crossbar.conductances(of: block, at: age).map(\.microsiemens)
      let (mean, sigma) = moments(zip(now, start).map { $0 - $1 })
      let expected = 0.042 * logAge + 0.412
      #expect(abs(mean + 0.089 * logAge) < 4 * expected / n.squareRoot(), "mean at \(age) s: \(mean)")
      #expect(abs(sigma / expected - 1) < 4 / (2 * n).squareRoot(), "σ at \(age) s: \(sigma)")
    }
  }

  /// Skipping intermediate times changes neither mean nor σ at the end: seed 23, n = 4 096.
  @Test func ageingInOneStepOrManyGivesTheSameStatistics() throws {
    let (fresh, _) = try programmed(to: 50, seed: 23)
    var direct = fresh
    var stepped = fresh
    let block = CellBlock(macro: 0, shape: fresh.shape)
    let start = try direct.conductances(of: block, at: 0).map(\.microsiemens)
    for step in 1...60 { stepped.advance(to: Double(step)) }
    for crossbar in [direct, stepped] {
      var copy = crossbar
      let end = try copy.conductances(of: block, at: 60).map(\.microsiemens)
      let (mean, sigma) = moments(zip(end, start).map { $0 - $1 })
      #expect(abs(mean + 0.089 * 4.094_345) < 4 * 0.584 / 64)
      #expect(abs(sigma / 0.584 - 1) < 4 / 8192.0.squareRoot())
    }
  }

  /// The walk alone, measured by averaging over the noise, is what the stationary part leaves; a re-read a moment later
  /// differs by the 1/f noise only. Var = 2A²·ln(Δt/t_fast)-like: published σ = A·√ln((t + t_r)/2t_r) around the mean of a
  /// series; between two reads Δt apart the variance is twice what the modes faster than Δt hold. Seed 24, n = 4 096.
  @Test func stationaryPartDependsOnDistanceNotOnAge() throws {
    let (fresh, _) = try programmed(to: 50, seed: 24)
    let block = CellBlock(macro: 0, shape: fresh.shape)
    let amplitude = 0.0277 * 1.698_970
    for age in [1e4, 1e6] {
      var crossbar = fresh
      let first = try crossbar.conductances(of: block, at: age).map(\.microsiemens)
      let second = try crossbar.conductances(of: block, at: age + 0.1).map(\.microsiemens)
      let sigma = moments(zip(second, first).map { $0 - $1 }).sigma
      // 2A²·∫(1 − e^(−Δt/τ)) d ln τ from 1 µs: 2A²·(ln(Δt/1 µs) + γ), γ = 0.5772.
      let expected = amplitude * (2 * (11.512_925 + 0.577_216)).squareRoot()
      #expect(abs(sigma / expected - 1) < 0.06, "\(sigma) µS instead of \(expected) at age \(age) s")
    }
  }

  /// 1/f: the variance of the difference grows by the same amount, 2A²·ln 10, with every decade of distance. Seed 25,
  /// n = 4 096 cells and five decades; each increment within 15 %.
  @Test func readNoiseHasTheSamePowerInEveryDecade() throws {
    let (fresh, _) = try programmed(to: 50, seed: 25)
    let block = CellBlock(macro: 0, shape: fresh.shape)
    let amplitude = 0.0277 * 1.698_970
    let age = 1e7
    var variances: [Double] = []
    for distance in [1e-4, 1e-3, 1e-2, 1e-1, 1, 10.0] {
      var sum = 0.0
      var crossbar = fresh
      var last = try crossbar.conductances(of: block, at: age).map(\.microsiemens)
      for repeatIndex in 1...8 {
        let next = try crossbar.conductances(of: block, at: age + distance * Double(repeatIndex)).map(\.microsiemens)
        let sigma = moments(zip(next, last).map { $0 - $1 }).sigma
        sum += sigma * sigma
        last = next
      }
      variances.append(sum / 8)
    }
    let expected = 2 * amplitude * amplitude * 2.302_585
    for (low, high) in zip(variances, variances.dropFirst()) {
      #expect(abs((high - low) / expected - 1) < 0.15, "\(high - low) µS² a decade instead of \(expected)")
    }
  }

  /// Reads of 1 s average the noise faster than that; what remains of the difference of two such reads 10 s apart is
  /// about 2A²·ln(10) and not 2A²·ln(10 s/1 µs). Seed 26, n = 4 096.
  @Test func longReadsAverageTheFastPart() throws {
    let (fresh, _) = try programmed(to: 50, seed: 26)
    let amplitude = 0.0277 * 1.698_970
    let cells = Array(0..<fresh.cellCount)
    func spread(_ integration: Duration) throws -> Double {
      var crossbar = fresh
      let first = try crossbar.read(cells, integration: integration, at: 1e7).map(\.microsiemens)
      let second = try crossbar.read(cells, integration: integration, at: 1e7 + 10).map(\.microsiemens)
      let sigma = moments(zip(first, second).map { $0 - $1 }).sigma
      return sigma * sigma / (2 * amplitude * amplitude)
    }
    let short = try spread(.microseconds(1))
    let long = try spread(.seconds(1))
    #expect((14.0...19.0).contains(short), "\(short)")
    #expect((2.0...6.0).contains(long), "\(long)")
  }

  /// White noise alone has σ = d/√(2t) in a read of length t. Seed 29, n = 4 096; σ within 4/√(2n) = 4.4 %.
  @Test(arguments: [1, 10, 100])
  func whiteNoiseIsADensity(microseconds: Int) throws {
    var profile = try ChipProfile.named("ideal")
    profile.readNoise.whiteDensity = 1e-10
    var crossbar = Crossbar(profile: profile, shape: MacroShape(rows: 64, columns: 64), macro: 0, seed: 29)
    try crossbar.formAll()
    let cells = Array(0..<crossbar.cellCount)
    let integration = Duration.microseconds(microseconds)
    let first = try crossbar.read(cells, integration: integration, at: 10).map(\.microsiemens)
    let second = try crossbar.read(cells, integration: integration, at: 11).map(\.microsiemens)
    let sigma = moments(zip(first, second).map { $0 - $1 }).sigma / 2.0.squareRoot()
    let expected = 1e-4 / (2e-6 * Double(microseconds)).squareRoot()
    #expect(abs(sigma / expected - 1) < 0.044, "\(sigma) µS instead of \(expected)")
  }

  /// What the loop sees as constant and what it sees as noise add up to the momentary variance: 20 µs, seed 27.
  @Test func nodeNoiseIsWhatAveragingTakesAway() throws {
    let (fresh, _) = try programmed(to: 50, seed: 27)
    var crossbar = fresh
    let block = CellBlock(macro: 0, shape: fresh.shape)
    let noise = try crossbar.nodeNoise(of: block, over: .microseconds(20), bandwidth: 8e6)
    let averaged = try crossbar.conductances(of: block, at: 100, averaging: .microseconds(20)).map(\.microsiemens)
    let momentary = try crossbar.conductances(of: block, at: 100).map(\.microsiemens)
    let difference = moments(zip(averaged, momentary).map { $0 - $1 }).sigma
    // A few times A²: about one decade of the 1/f noise lies within a run; the white part is 4.5e-6²·(π/2)·8e6 µS².
    let amplitude = 0.0277 * 1.698_970
    let white = 4.5e-6 * 4.5e-6 * 1.570_796 * 8e6
    let fast = noise[0] * 1e12 - white
    #expect((0.5...4).contains(fast / (amplitude * amplitude)), "\(fast / (amplitude * amplitude))")
    #expect(difference * difference < 1.5 * fast)
    #expect(difference > 0)
  }

  @Test func anIdealCellNeverMoves() throws {
    var crossbar = try Crossbar.formed("ideal", shape: MacroShape(rows: 4, columns: 4), seed: 1)
    let block = CellBlock(macro: 0, shape: crossbar.shape)
    let before = try crossbar.conductances(of: block, at: 1)
    crossbar.advance(to: 1e9)
    #expect(try crossbar.conductances(of: block, at: 2e9) == before)
    #expect(try crossbar.nodeNoise(of: block, over: .microseconds(20), bandwidth: 8e6).allSatisfy { $0 == 0 })
  }

  /// Published arrays narrow when written again: cells found more than 1 µS off an hour later are written a second and a
  /// third time, all others left alone. Seed 28, n = 4 096; the sampling error of a σ is 1.1 %.
  @Test func furtherWritePassesNarrowTheSpread() throws {
    var (crossbar, _) = try programmed(to: 50, seed: 28)
    let board = try BoardDescription.named("parallel")
    let block = CellBlock(macro: 0, shape: crossbar.shape)
    let targets = [Siemens](repeating: .microsiemens(50), count: crossbar.cellCount)
    var spreads: [Double] = []
    var now = 1.0
    let ispp = PlainISPP(tolerance: .microsiemens(0.3), maximumPulses: 200)
    for _ in 0..<3 {
      let found = try crossbar.conductances(of: block, at: now)
      let off = targets.indices.filter { (found[$0] - targets[$0]).magnitude > .microsiemens(1) }
      let first = spreads.isEmpty ? Array(targets.indices) : off
      now = try ispp.run(
        &crossbar, cells: first, targets: first.map { targets[$0] }, board: board, from: now
      ).finished
      now += 3600
      spreads.append(moments(try crossbar.conductances(of: block, at: now).map(\.microsiemens)).sigma)
    }
    #expect(spreads[1] < 0.93 * spreads[0], "\(spreads)")
    #expect(spreads[2] < 0.97 * spreads[1], "\(spreads)")
  }
}
