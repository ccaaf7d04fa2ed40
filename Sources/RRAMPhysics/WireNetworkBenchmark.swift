internal import Glibc
public import RRAMUnits

/// How long it takes to renew a macro's effective matrix, CPU seconds of the calling thread.
public struct WireNetworkBenchmark: Sendable, Hashable {
  public var shape: MacroShape
  /// Laying out and analysing, once a macro shape.
  public var analysis: Double
  /// One set of conductances, the first left out: median and 99th percentile of the runs.
  public var renewalP50: Double
  public var renewalP99: Double
  public var renewals: Int

  /// Measures a macro of cells between 10 and 90 µS with 1 Ω a segment and 50 Ω drivers.
  ///
  /// - Parameter renewals: runs of which the median is taken, at least 1.
  public static func run(shape: MacroShape, renewals: Int = 10) throws(PhysicsError) -> WireNetworkBenchmark {
    var draws = PhiloxStream(seed: 1, stream: (0x5749_5245, 0, 0))
    var cells = (0..<shape.cellCount).map { _ in 10e-6 + 80e-6 * draws.uniform() }
    var start = cpuSeconds()
    let network = try WireNetwork(
      shape: shape,
      wires: ArrayWires(rowSegment: Ohms(1), columnSegment: Ohms(1), driver: Ohms(50)))
    let analysis = cpuSeconds() - start
    var times: [Double] = []
    for run in 0...max(1, renewals) {
      for index in cells.indices { cells[index] *= 1 + 1e-3 * (draws.uniform() - 0.5) }
      start = cpuSeconds()
      _ = try network.effective(cells)
      if run > 0 { times.append(cpuSeconds() - start) }
    }
    times.sort()
    return WireNetworkBenchmark(
      shape: shape, analysis: analysis, renewalP50: times[times.count / 2],
      renewalP99: times[min(times.count - 1, times.count * 99 / 100)], renewals: times.count)
  }

  private static func cpuSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
