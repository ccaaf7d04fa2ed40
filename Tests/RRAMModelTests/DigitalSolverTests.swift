import RRAMFiles
import RRAMModel
import RRAMUnits
import Testing

@Suite struct DigitalSolverTests {
  private static let process = DiffusionProcess.variancePreserving(beta0: 0.001, beta1: 0.5, scale: 2)

  private func vectors() throws -> NPZArchive { try NPZArchive(file: try Fixture.path("reference-vectors.npz")) }

  /// The notebooks' sampler with 200 steps, run by the training code.
  @Test func eulerPublishedEqualsTheNotebooks() throws {
    let vectors = try vectors()
    let start = try vectors.floats("xT", shape: [256, 2])
    let solver = DigitalSolver(method: .eulerPublished, steps: 200)
    let ring = try Fixture.model("ring.safetensors").network
    expectClose(
      solver.sample(ring, process: Self.process, start: start), try vectors.floats("ring_ode200_scale2_x0"),
      within: 1e-5)
    let letters = try Fixture.model("letters.safetensors").network
    for label in 0..<3 {
      expectClose(
        solver.sample(letters, process: Self.process, start: start, label: label),
        try vectors.floats("letters_ode200_scale2_class\(label)_x0"), within: 1e-5)
    }
  }

  /// Euler's error is first order: 2.5e-4 at 4 000 steps against 5e-3 at 200; Heun's 200 steps must lie within Euler's.
  @Test func heunAgreesWithFineEuler() throws {
    let network = try Fixture.model("ring.safetensors").network
    let start = Array(try vectors().floats("xT").prefix(64))
    let heun = DigitalSolver().sample(network, process: Self.process, start: start)
    let euler = DigitalSolver(method: .euler, steps: 4000).sample(network, process: Self.process, start: start)
    let coarse = DigitalSolver(method: .euler, steps: 200).sample(network, process: Self.process, start: start)
    expectClose(heun, euler, within: 1e-3)
    #expect(SampleMetrics.rootMeanSquareDifference(heun, coarse) > 1e-3)
  }

  /// Heun with 200 steps is the reference of every chip: rms to 4 000 steps of RK4 at most 5e-5 (flows 2e-4), and RK45 at 1e-8 within
  /// 3e-6. 16 points of seed 3. RK4 itself is within 2e-8 of four times as many steps, kinks of the ReLU included.
  @Test(arguments: [
    ("ring.safetensors", Int?.none, 5e-5), ("letters.safetensors", 2, 5e-5), ("ring-flow", nil, 2e-4),
    ("letters-flow", 1, 2e-4),
  ])
  func solversAgreeWithFineRungeKutta(file: String, label: Int?, bound: Double) throws {
    let network = try (file.hasSuffix("flow") ? ModelLibrary.scoreModel(file) : Fixture.model(file)).network
    let process = file.contains("flow") ? DiffusionProcess.flow : Self.process
    let start = SamplingNoise.start(seed: 3, count: 16)
    func end(_ solver: DigitalSolver) -> [Float] {
      solver.sample(network, process: process, start: start, label: label)
    }
    let exact = end(DigitalSolver(method: .rk4, steps: 4000))
    let heun = SampleMetrics.rootMeanSquareDifference(end(DigitalSolver()), exact)
    let adaptive = SampleMetrics.rootMeanSquareDifference(end(DigitalSolver(method: .rk45)), exact)
    #expect(heun <= bound, "Heun \(heun)")
    #expect(adaptive <= 3e-6, "RK45 \(adaptive)")
    // Euler's error is far outside, so these figures see the solver; the straighter the flow, the smaller both are.
    #expect(SampleMetrics.rootMeanSquareDifference(end(DigitalSolver(method: .euler)), exact) > 10 * heun)
  }

  @Test func guidanceIsAWeightedDifferenceOfScores() throws {
    let network = try Fixture.model("letters.safetensors").network
    let start: [Float] = [0.3, -0.4]
    // One Euler step from t = 1: y + Δτ·(a·y + b·guided score).
    let end = DigitalSolver(method: .euler, steps: 1)
      .sample(network, process: Self.process, start: start, label: 2, guidance: 1.5)
    let (conditional, free) = (network.score(start, t: 1, label: 2), network.score(start, t: 1))
    for i in 0..<2 {
      let guided = 2.5 * Double(conditional[i]) - 1.5 * Double(free[i])
      let slope =
        Self.process.stateCoefficient(at: 1) * Double(start[i])
        + Self.process.scoreCoefficient(at: 1, equation: .ode) * guided
      #expect(abs(Double(end[i]) - (Double(start[i]) + (1 - 1e-4) * slope)) < 1e-5)
    }
    let plain = DigitalSolver(steps: 5).sample(network, process: Self.process, start: start, label: 2)
    #expect(
      DigitalSolver(steps: 5).sample(network, process: Self.process, start: start, label: 2, guidance: 0) == plain)
  }

  @Test(arguments: [ReverseEquation.ode, .sde])
  func resultDoesNotDependOnThreadsOrGrouping(equation: ReverseEquation) throws {
    let network = try Fixture.model("letters.safetensors").network
    let solver = DigitalSolver(equation: equation, steps: 5)
    let start = SamplingNoise.start(seed: 9, count: 700)
    func sample(_ range: Range<Int>, threads: Int) -> [Float] {
      solver.sample(
        network, process: Self.process, start: Array(start[2 * range.lowerBound..<2 * range.upperBound]), label: 1,
        noise: .philox(seed: 9, firstSample: range.lowerBound), threads: threads)
    }
    let whole = sample(0..<700, threads: 1)
    #expect(sample(0..<700, threads: 3) == whole)
    #expect(sample(0..<333, threads: 2) + sample(333..<700, threads: 1) == whole)
  }

  /// Without a network the SDE is linear, so the variance after all ticks is the sum of what each tick adds.
  @Test func heldNoiseAddsTheVarianceOfTheProcess() throws {
    let zero = ScoreNetwork(
      layers: [
        .init(outputs: 2, inputs: 2, weight: [0, 0, 0, 0], bias: [0, 0]),
        .init(outputs: 2, inputs: 2, weight: [0, 0, 0, 0], bias: [0, 0]),
        .init(outputs: 2, inputs: 2, weight: [0, 0, 0, 0], bias: [0, 0]),
      ], timeFrequencies: [1], amplitude: 5)
    let ticks = 50
    // One unit kick in one tick and channel: Δx = g(t_mid)·√Δτ, carried on by dx/dτ = ½βx.
    var noise = [Float](repeating: 0, count: ticks * 2)
    noise[2 * 20 + 1] = 1
    let solver = DigitalSolver(equation: .sde, steps: ticks)
    let end = solver.sample(
      zero, process: Self.process, start: [0, 0], noise: .values(noise, ticks: ticks), threads: 1)
    let tick = (1 - 1e-4) / Double(ticks)
    let middle = 1 - 20.5 * tick
    let kick = (Self.process.squaredDiffusion(at: middle) * tick).squareRoot()
    // ∫½β dt from the end time to the middle of the tick; β is linear.
    let beta = { Self.process.squaredDiffusion(at: $0) }
    let growth = 0.5 * (middle - 1e-4) * (beta(middle) + beta(1e-4)) / 2
    #expect(end[0] == 0)
    #expect(abs(Double(end[1]) - kick * (1 + growth + growth * growth / 2)) < 1e-3 * kick)
  }

  @Test func noiseIsClampedAndAbsentInTheLastTick() throws {
    let network = try Fixture.model("ring.safetensors").network
    let solver = DigitalSolver(equation: .sde, steps: 4)
    func end(_ noise: [Float]) -> [Float] {
      solver.sample(
        network, process: Self.process, start: [0.5, -0.5], noise: .values(noise, ticks: 4), threads: 1)
    }
    let none = end([0, 0, 0, 0, 0, 0, 0, 0])
    #expect(end([0, 0, 0, 0, 0, 0, 3, -3]) == none)
    #expect(end([0, 0, 0, 0, 0.01, 0, 0, 0]) != none)
    #expect(end([9, -7, 0, 0, 0, 0, 0, 0]) == end([4, -4, 0, 0, 0, 0, 0, 0]))
  }

  /// The ring SDE in software, 1 000 samples of seed 1: radius 0.7, standard deviation 0.10 to 0.13 as published; a standard error is 0.004.
  @Test func sdeDrawsAWideRing() throws {
    let network = try Fixture.model("ring.safetensors").network
    let start = SamplingNoise.start(seed: 1, count: 1000)
    let points = DigitalSolver(equation: .sde, steps: 50).sample(
      network, process: Self.process, start: start, noise: .philox(seed: 1))
    var (sum, squares) = (0.0, 0.0)
    for i in stride(from: 0, to: points.count, by: 2) {
      let square = Double(points[i] * points[i] + points[i + 1] * points[i + 1])
      sum += square.squareRoot()
      squares += square
    }
    let mean = sum / Double(points.count / 2)
    let deviation = (squares / Double(points.count / 2) - mean * mean).squareRoot()
    #expect(abs(mean - 0.7) < 0.05, "mean radius \(mean)")
    #expect((0.08...0.16).contains(deviation), "standard deviation \(deviation)")
  }

  @Test func noSamplesIsNoPoint() throws {
    let network = try Fixture.model("ring.safetensors").network
    #expect(DigitalSolver(steps: 2).sample(network, process: Self.process, start: []) == [])
  }
}
