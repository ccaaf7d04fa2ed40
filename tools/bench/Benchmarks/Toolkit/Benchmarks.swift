import Benchmark

/// Wall time and, where the machine counts them, instructions of every workload. Processor time comes in steps of 10 ms here.
let benchmarks: @Sendable () -> Void = {
  for workload in Workload.all {
    Benchmark(
      workload.name,
      configuration: .init(
        metrics: [.wallClock, .instructions], warmupIterations: 1, maxDuration: .seconds(2),
        maxIterations: 200)
    ) { benchmark in
      let body = try await workload.prepare()
      benchmark.startMeasurement()
      try await body()
      benchmark.stopMeasurement()
    }
  }
}
