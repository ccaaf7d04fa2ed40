internal import Glibc

extension DigitalSolver {
  /// Draws samples from any score in float64: the oracle of the float32 path, and the Runge–Kutta methods.
  ///
  /// - Parameters:
  ///   - start: y at t = 1, shape (n, dimensions), row-major.
  ///   - noise: the noise of the SDE, required for it.
  /// - Returns: y at the end time. A sample does not depend on its neighbours.
  public func sample(
    _ score: ScoreFunction, process: DiffusionProcess, start: [Double], noise: HeldNoise? = nil, threads: Int? = nil
  ) -> [Double] {
    let dimensions = score.dimensions
    precondition(start.count % dimensions == 0, "\(start.count) values are no whole points")
    precondition(equation == .ode || noise != nil, "the SDE needs noise")
    precondition(process.supports(equation), "a flow has no SDE")
    let n = start.count / dimensions
    let chunk = 16
    var result = start
    result.withUnsafeMutableBufferPointer { result in
      // Each index writes its own chunk only.
      nonisolated(unsafe) let result = result
      concurrently((n + chunk - 1) / chunk, threads: threads ?? processorCount) { index in
        var field = Field(score, process, equation)
        for sample in index * chunk..<min(n, (index + 1) * chunk) {
          guard let base = result.baseAddress else { return }
          let y = base + sample * dimensions
          switch method {
          case .rk45: field.adaptive(y, tolerance: tolerance)
          case .rk4: field.rungeKutta(y, steps: steps)
          case .heun, .euler: field.heun(y, self, noise: equation == .sde ? noise : nil, sample: sample)
          case .eulerPublished: field.published(y, steps: steps)
          }
        }
      }
    }
    return result
  }
}

/// dy/dτ of one process and score, with what one thread needs to integrate it.
private struct Field {
  let process: DiffusionProcess
  let equation: ReverseEquation
  let dimensions: Int
  private let evaluate: ScoreFunction.Evaluate
  private var held: [Double]
  private let span = 1 - DiffusionProcess.endTime

  init(_ score: ScoreFunction, _ process: DiffusionProcess, _ equation: ReverseEquation) {
    self.process = process
    self.equation = equation
    dimensions = score.dimensions
    evaluate = score.makeEvaluate()
    held = [Double](repeating: 0, count: dimensions)
  }

  /// The slope at y and τ.
  private func slope(_ y: [Double], _ tau: Double, into output: inout [Double]) {
    let t = 1 - tau
    y.withUnsafeBufferPointer { y in
      output.withUnsafeMutableBufferPointer { output in
        guard let y = y.baseAddress, let output = output.baseAddress else { return }
        evaluate(y, t, output)
      }
    }
    let (a, b) = (process.stateCoefficient(at: t), process.scoreCoefficient(at: t, equation: equation))
    for i in 0..<dimensions { output[i] = a * y[i] + b * output[i] + held[i] }
  }

  /// Heun or Euler on equal steps, with noise held per tick.
  mutating func heun(_ y: UnsafeMutablePointer<Double>, _ solver: DigitalSolver, noise: HeldNoise?, sample: Int) {
    let perTick = noise == nil ? 1 : DigitalSolver.stepsPerTick
    let steps = solver.steps * perTick
    let (step, tick) = (span / Double(steps), span / Double(solver.steps))
    var state = (0..<dimensions).map { y[$0] }
    var (first, second, predicted) = (state, state, state)
    for index in 0..<steps {
      if let noise, index % perTick == 0 { hold(noise, index / perTick, of: solver.steps, tick, sample: sample) }
      let tau = Double(index) * step
      slope(state, tau, into: &first)
      if solver.method == .euler {
        for i in 0..<dimensions { state[i] += step * first[i] }
        continue
      }
      for i in 0..<dimensions { predicted[i] = state[i] + step * first[i] }
      slope(predicted, tau + step, into: &second)
      for i in 0..<dimensions { state[i] += 0.5 * step * (first[i] + second[i]) }
    }
    for i in 0..<dimensions {
      y[i] = state[i]
      held[i] = 0
    }
  }

  private mutating func hold(_ noise: HeldNoise, _ index: Int, of ticks: Int, _ tick: Double, sample: Int) {
    let gain =
      index == ticks - 1
      ? 0 : (process.squaredDiffusion(at: 1 - (Double(index) + 0.5) * tick) / tick).squareRoot()
    for channel in 0..<dimensions {
      var drawn: Float = 0
      withUnsafeMutablePointer(to: &drawn) {
        noise.source(index, channel, sample, UnsafeMutableBufferPointer(start: $0, count: 1))
      }
      held[channel] = gain * Double(min(max(drawn, -DigitalSolver.noiseLimit), DigitalSolver.noiseLimit))
    }
  }

  /// The notebooks' grid.
  func published(_ y: UnsafeMutablePointer<Double>, steps: Int) {
    var state = (0..<dimensions).map { y[$0] }
    var first = state
    for index in 0..<steps {
      slope(state, Double(index) * span / Double(steps - 1), into: &first)
      for i in 0..<dimensions { state[i] += span / Double(steps) * first[i] }
    }
    for i in 0..<dimensions { y[i] = state[i] }
  }

  func rungeKutta(_ y: UnsafeMutablePointer<Double>, steps: Int) {
    let step = span / Double(steps)
    var state = (0..<dimensions).map { y[$0] }
    var (k1, k2, k3, k4, point) = (state, state, state, state, state)
    for index in 0..<steps {
      let tau = Double(index) * step
      slope(state, tau, into: &k1)
      for i in 0..<dimensions { point[i] = state[i] + 0.5 * step * k1[i] }
      slope(point, tau + 0.5 * step, into: &k2)
      for i in 0..<dimensions { point[i] = state[i] + 0.5 * step * k2[i] }
      slope(point, tau + 0.5 * step, into: &k3)
      for i in 0..<dimensions { point[i] = state[i] + step * k3[i] }
      slope(point, tau + step, into: &k4)
      for i in 0..<dimensions { state[i] += step / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]) }
    }
    for i in 0..<dimensions { y[i] = state[i] }
  }

  /// Dormand and Prince's coefficients (Journal of Computational and Applied Mathematics 6, 1980, RK5(4)7M).
  private static let nodes = [0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1]
  private static let stages: [[Double]] = [
    [],
    [1.0 / 5],
    [3.0 / 40, 9.0 / 40],
    [44.0 / 45, -56.0 / 15, 32.0 / 9],
    [19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729],
    [9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656],
    [35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84],
  ]
  /// Fifth-order minus fourth-order weights.
  private static let errorWeights = [
    71.0 / 57600, 0, -71.0 / 16695, 71.0 / 1920, -17253.0 / 339200, 22.0 / 525, -1.0 / 40,
  ]
  /// Below this step the error is rounding, not the method's.
  private static let smallestStep = 1e-9

  func adaptive(_ y: UnsafeMutablePointer<Double>, tolerance: Double) {
    var state = (0..<dimensions).map { y[$0] }
    var point = state
    var slopes = [[Double]](repeating: state, count: 7)
    var (tau, step) = (0.0, 0.01)
    slope(state, 0, into: &slopes[0])
    while tau < span {
      step = min(step, span - tau)
      for stage in 1..<7 {
        for i in 0..<dimensions {
          var sum = 0.0
          for (j, weight) in Self.stages[stage].enumerated() { sum += weight * slopes[j][i] }
          point[i] = state[i] + step * sum
        }
        slope(point, tau + Self.nodes[stage] * step, into: &slopes[stage])
      }
      // The last stage's point is the fifth-order result.
      var error = 0.0
      for i in 0..<dimensions {
        var estimate = 0.0
        for j in 0..<7 { estimate += Self.errorWeights[j] * slopes[j][i] }
        let relative = abs(step * estimate) / (tolerance * (1 + max(abs(state[i]), abs(point[i]))))
        // NaN stays, where max would lose it.
        error = relative <= error ? error : relative
      }
      if error <= 1 || step <= Self.smallestStep || !error.isFinite {
        tau = step >= span - tau ? span : tau + step
        state = point
        slopes[0] = slopes[6]
      }
      guard error.isFinite else { break }
      step = max(Self.smallestStep, step * min(5, max(0.2, 0.9 * pow(max(error, 1e-12), -0.2))))
    }
    for i in 0..<dimensions { y[i] = state[i] }
  }
}
