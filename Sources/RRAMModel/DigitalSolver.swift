internal import CAnalogKernel
internal import RRAMUnits

/// The noise of the reverse SDE: one standard normal number per sample, tick and channel, held during the tick.
public struct HeldNoise: Sendable {
  /// Fills the buffer with ξ of consecutive samples from `firstSample` on, for one tick and one channel.
  public typealias Source =
    @Sendable (
      _ tick: Int, _ channel: Int, _ firstSample: Int, _ output: UnsafeMutableBufferPointer<Float>
    ) -> Void

  let source: Source

  /// Noise from any source; it is called from several threads.
  public init(_ source: @escaping Source) { self.source = source }

  /// Fills the buffer as ``Source`` says.
  public func draw(tick: Int, channel: Int, firstSample: Int, into output: UnsafeMutableBufferPointer<Float>) {
    source(tick, channel, firstSample, output)
  }

  /// The numbers that host and board draw alike, ``SamplingNoise``.
  ///
  /// - Parameter firstSample: number of the run's sample that is the solver's sample 0.
  public static func philox(seed: UInt64, firstSample: Int = 0) -> HeldNoise {
    HeldNoise { tick, channel, sample, output in
      fill(seed, UInt32(truncatingIfNeeded: firstSample + sample), tick, channel, output)
    }
  }

  /// The same for samples that bear these numbers.
  public static func philox(seed: UInt64, numbers: [UInt32]) -> HeldNoise {
    HeldNoise { tick, channel, sample, output in
      // Most run through, and come at once.
      var index = 0
      while index < output.count {
        let first = numbers[sample + index]
        var end = index + 1
        while end < output.count, numbers[sample + end] == first &+ UInt32(end - index) { end += 1 }
        fill(seed, first, tick, channel, UnsafeMutableBufferPointer(rebasing: output[index..<end]))
        index = end
      }
    }
  }

  /// Draws in the loop's kernel, many at once.
  private static func fill(
    _ seed: UInt64, _ firstSample: UInt32, _ tick: Int, _ channel: Int, _ output: UnsafeMutableBufferPointer<Float>
  ) {
    let status = ak_normal_fill(
      seed, firstSample, UInt32(tick), UInt32(channel), AK_STREAM_WIENER, Int64(output.count), output.baseAddress,
      bestSet)
    precondition(status == AK_OK, "the kernel refuses its fastest instruction set")
  }

  private static let bestSet = ak_isa_best()

  /// Given numbers, shape (samples, ticks, channels), row-major.
  public static func values(_ values: [Float], ticks: Int, channels: Int = 2) -> HeldNoise {
    HeldNoise { tick, channel, sample, output in
      for i in 0..<output.count { output[i] = values[((sample + i) * ticks + tick) * channels + channel] }
    }
  }
}

/// Solves the reverse equation in software: the baseline that a chip is compared with. Euler and Heun work in float32 like the
/// published software, the two Runge–Kutta methods in float64, as oracles for the others.
public struct DigitalSolver: Sendable, Hashable {
  /// How time is stepped.
  public enum Method: String, Sendable, Hashable, Codable, CaseIterable {
    /// Left-point Euler on `steps` equal steps from 1 to the end time.
    case euler
    /// Heun (trapezoidal) on the same steps, two evaluations each.
    case heun
    /// The notebooks' grid: t_n = 1 − n(1 − 1e-4)/(N − 1) for n = 0..<N, with steps of (1 − 1e-4)/N.
    case eulerPublished = "euler-published"
    /// The classical fourth-order Runge–Kutta method on `steps` equal steps, four evaluations each, in float64.
    case rk4
    /// Dormand and Prince's pair of orders 5 and 4 with adaptive steps, each sample with its own, in float64: see
    /// ``DigitalSolver/tolerance``.
    case rk45
  }

  /// Noise beyond this many standard deviations is clamped, as the noise converter does.
  public static let noiseLimit: Float = 4
  /// Heun steps in a tick of held noise.
  public static let stepsPerTick = 2

  public var equation: ReverseEquation
  public var method: Method
  /// Steps of the ODE; ticks of the SDE, each of which takes ``stepsPerTick`` Heun steps. Not used by `rk45`.
  public var steps: Int
  /// Relative and absolute tolerance of a step of `rk45`: its error estimate stays below tolerance·(1 + |y|) in every coordinate.
  public var tolerance = 1e-8

  /// - Precondition: `steps` is at least 1 (2 for `eulerPublished`); the SDE is stepped with `heun`.
  public init(equation: ReverseEquation = .ode, method: Method = .heun, steps: Int = 200) {
    precondition(steps >= (method == .eulerPublished ? 2 : 1), "\(steps) steps")
    precondition(equation == .ode || method == .heun, "the SDE with held noise is stepped with heun")
    self.equation = equation
    self.method = method
    self.steps = steps
  }

  /// Network evaluations a sample takes; nil for `rk45`, which decides as it goes.
  public var evaluationsPerSample: Int? {
    switch (equation, method) {
    case (.sde, _): steps * Self.stepsPerTick * 2
    case (.ode, .heun): steps * 2
    case (.ode, .euler), (.ode, .eulerPublished): steps
    case (.ode, .rk4): steps * 4
    case (.ode, .rk45): nil
    }
  }

  /// Draws samples.
  ///
  /// - Parameters:
  ///   - network: the score network.
  ///   - process: the forward process it was trained for.
  ///   - start: y at t = 1, shape (n, dimensions), row-major; y = x but for VE, see ``DiffusionProcess/stateScale``.
  ///   - label: class, nil for the null condition.
  ///   - guidance: w of classifier-free guidance, (1 + w)·net(y, class) − w·net(y, null condition); 0 for none.
  ///   - noise: the noise of the SDE, required for it; not used by the ODE. None acts in the last tick.
  ///   - threads: threads to use, nil for as many as there are processors. The result does not depend on it.
  /// - Returns: y at the end time, shape (n, dimensions).
  public func sample(
    _ network: ScoreNetwork, process: DiffusionProcess, start: [Float], label: Int? = nil, guidance: Double = 0,
    noise: HeldNoise? = nil, threads: Int? = nil
  ) -> [Float] {
    precondition(start.count % network.dimensions == 0, "\(start.count) values are no whole points")
    precondition(equation == .ode || noise != nil, "the SDE needs noise")
    precondition(process.supports(equation), "a flow has no SDE")
    precondition(guidance == 0 || label != nil, "guidance needs a class to guide to")
    if method == .rk4 || method == .rk45 {
      return sample(
        ScoreFunction(network, label: label, guidance: guidance), process: process, start: start.map { Double($0) },
        threads: threads
      ).map { Float($0) }
    }
    let dimensions = network.dimensions
    let n = start.count / dimensions
    let kernel = NetworkKernel(network)
    let plan = Plan(self, network, kernel, process, label: label, guidance: guidance)
    // A chunk is a few blocks, so that threads end together.
    let chunk = NetworkKernel.lanes * 4
    return [Float](unsafeUninitializedCapacity: start.count) { output, filled in
      // Each index writes its own chunk of the output only.
      nonisolated(unsafe) let output = output
      concurrently((n + chunk - 1) / chunk, threads: threads ?? processorCount) { index in
        let workspace = NetworkKernel.Workspace(hidden: network.hiddenSize, dimensions: dimensions)
        for first in stride(from: index * chunk, to: min(n, (index + 1) * chunk), by: NetworkKernel.lanes) {
          let used = min(NetworkKernel.lanes, n - first)
          for d in 0..<dimensions {
            for lane in 0..<NetworkKernel.lanes {
              workspace.state[d * NetworkKernel.lanes + lane] =
                lane < used ? start[(first + lane) * dimensions + d] : 0
            }
          }
          plan.integrate(kernel, workspace, firstSample: first, used: used, noise: noise)
          for lane in 0..<used {
            for d in 0..<dimensions {
              output[(first + lane) * dimensions + d] = workspace.state[d * NetworkKernel.lanes + lane]
            }
          }
        }
      }
      filled = start.count
    }
  }

  /// The coefficients of every evaluation time, shared by all samples.
  private struct Plan: Sendable {
    let trapezoidal: Bool
    let stepsPerTick: Int
    let step: Float
    let stepCount: Int
    let dimensions: Int
    /// 2·hidden values a time.
    let bias: [Float]
    let biasStride: Int
    /// The same for the null condition, and w; empty without guidance.
    let nullBias: [Float]
    let guidance: Float
    let stateCoefficient: [Float]
    /// b(t)·amplitude.
    let scoreCoefficient: [Float]
    /// g(mid-tick)/√Δτ of every tick, 0 in the last; empty for the ODE.
    let noiseGain: [Float]

    init(
      _ solver: DigitalSolver, _ network: ScoreNetwork, _ kernel: NetworkKernel, _ process: DiffusionProcess,
      label: Int?, guidance: Double
    ) {
      let span = 1 - DiffusionProcess.endTime
      stepsPerTick = solver.equation == .sde ? DigitalSolver.stepsPerTick : 1
      stepCount = solver.steps * stepsPerTick
      trapezoidal = solver.method == .heun
      dimensions = network.dimensions
      let times: [Double]
      if solver.method == .eulerPublished {
        times = (0..<solver.steps).map { 1 - Double($0) * span / Double(solver.steps - 1) }
      } else {
        let count = stepCount
        times = (0...count).map { 1 - Double($0) * span / Double(count) }
      }
      step = Float(span / Double(stepCount))
      biasStride = 2 * network.hiddenSize
      let labelEmbedding = network.classEmbedding(label)
      bias = times.flatMap { kernel.preactivation(network.timeEmbedding(Float($0)), labelEmbedding) }
      let null = network.classEmbedding(nil)
      nullBias =
        guidance == 0 ? [] : times.flatMap { kernel.preactivation(network.timeEmbedding(Float($0)), null) }
      self.guidance = Float(guidance)
      stateCoefficient = times.map { Float(process.stateCoefficient(at: $0)) }
      scoreCoefficient = times.map {
        Float(process.scoreCoefficient(at: $0, equation: solver.equation)) * network.amplitude
      }
      if solver.equation == .sde {
        let tick = span / Double(solver.steps)
        noiseGain = (0..<solver.steps).map {
          let middle = 1 - (Double($0) + 0.5) * tick
          return $0 == solver.steps - 1 ? 0 : Float((process.squaredDiffusion(at: middle) / tick).squareRoot())
        }
      } else {
        noiseGain = []
      }
    }

    /// Carries the block in `workspace.state` from t = 1 to the end.
    func integrate(
      _ kernel: NetworkKernel, _ workspace: NetworkKernel.Workspace, firstSample: Int, used: Int, noise: HeldNoise?
    ) {
      let count = dimensions * NetworkKernel.lanes
      let (x, slope, predicted, net, held) = (
        workspace.state, workspace.slope, workspace.predicted, workspace.output, workspace.noise
      )
      for i in 0..<count { held[i] = 0 }
      bias.withUnsafeBufferPointer { bias in
        for index in 0..<stepCount {
          if !noiseGain.isEmpty, index % stepsPerTick == 0, let noise {
            hold(noise, tick: index / stepsPerTick, firstSample: firstSample, used: used, into: held)
          }
          evaluate(kernel, x, bias, index, workspace)
          var (a, b) = (stateCoefficient[index], scoreCoefficient[index])
          for i in 0..<count { slope[i] = a * x[i] + b * net[i] + held[i] }
          guard trapezoidal else {
            for i in 0..<count { x[i] += step * slope[i] }
            continue
          }
          for i in 0..<count { predicted[i] = x[i] + step * slope[i] }
          evaluate(kernel, predicted, bias, index + 1, workspace)
          (a, b) = (stateCoefficient[index + 1], scoreCoefficient[index + 1])
          let half = 0.5 * step
          for i in 0..<count { x[i] += half * (slope[i] + (a * predicted[i] + b * net[i] + held[i])) }
        }
      }
    }

    /// net at the time of that number, guided if wanted, into `workspace.output`.
    @inline(__always)
    private func evaluate(
      _ kernel: NetworkKernel, _ x: UnsafeMutablePointer<Float>, _ bias: UnsafeBufferPointer<Float>, _ index: Int,
      _ workspace: NetworkKernel.Workspace
    ) {
      let (output, free) = (workspace.output, workspace.unguided)
      guard guidance != 0 else { return kernel.evaluate(x, bias: bias, offset: index * biasStride, workspace) }
      let count = dimensions * NetworkKernel.lanes
      nullBias.withUnsafeBufferPointer { kernel.evaluate(x, bias: $0, offset: index * biasStride, workspace) }
      for i in 0..<count { free[i] = output[i] }
      kernel.evaluate(x, bias: bias, offset: index * biasStride, workspace)
      for i in 0..<count { output[i] = (1 + guidance) * output[i] - guidance * free[i] }
    }

    private func hold(
      _ noise: HeldNoise, tick: Int, firstSample: Int, used: Int, into held: UnsafeMutablePointer<Float>
    ) {
      let gain = noiseGain[tick]
      let limit = DigitalSolver.noiseLimit
      for channel in 0..<dimensions {
        let values = UnsafeMutableBufferPointer(start: held + channel * NetworkKernel.lanes, count: used)
        guard gain != 0 else {
          values.update(repeating: 0)
          continue
        }
        noise.source(tick, channel, firstSample, values)
        for lane in 0..<used { values[lane] = gain * min(max(values[lane], -limit), limit) }
      }
    }
  }
}
