/// What a session took so far.
public struct SamplingStatistics: Sendable, Hashable {
  public var samples = 0
  /// Requests sent, the schedule's included.
  public var requests = 0
  /// Chip time from the first run to the last result.
  public var chipSeconds = 0.0
  /// Chip time spent in the three phases of a run, summed over samples.
  public var presetSeconds = 0.0
  public var loopSeconds = 0.0
  public var conversionSeconds = 0.0
  /// Modelled or real time of the bus; nil where the board does not model it.
  public var busSeconds: Double?
  /// The host's monotonic clock.
  public var hostSeconds = 0.0
  public var overRange = OverRangeCounts()

  public init() {}

  /// Adds another session of the same run, a further class for example.
  public mutating func add(_ other: SamplingStatistics) {
    samples += other.samples
    requests += other.requests
    chipSeconds += other.chipSeconds
    presetSeconds += other.presetSeconds
    loopSeconds += other.loopSeconds
    conversionSeconds += other.conversionSeconds
    busSeconds = busSeconds.map { $0 + (other.busSeconds ?? 0) } ?? other.busSeconds
    hostSeconds += other.hostSeconds
    overRange.rowClamp += other.overRange.rowClamp
    overRange.amplifierRail += other.overRange.amplifierRail
    overRange.integratorRail += other.overRange.integratorRail
    overRange.noiseClamp += other.overRange.noiseClamp
    overRange.readOutSaturated += other.overRange.readOutSaturated
    overRange.presetClamped += other.overRange.presetClamped
  }
}

/// Samples that came back together.
public struct SampleBatch: Sendable, Hashable {
  /// Number of the first one in the run.
  public var firstSample: UInt32
  public var label: Int?
  /// From the read-out codes, units, shape (n, 2), row-major.
  public var x: [Float]
  /// The start points as the preset converter realised them, units, shape (n, 2).
  public var xT: [Float]
  /// Blocks that each sample overdrove: bit 0 row clamp, 1 amplifier rail, 2 integrator rail, 3 noise clamp, 4 read-out
  /// saturated.
  public var flags: [UInt8]
  /// The path of each sample, units, shape (n, frames, 2); the first frame is its start point. Empty unless asked for.
  public var trajectory: [Float]

  public var count: Int { flags.count }

  public init(firstSample: UInt32, label: Int?, x: [Float], xT: [Float], flags: [UInt8], trajectory: [Float] = []) {
    self.firstSample = firstSample
    self.label = label
    self.x = x
    self.xT = xT
    self.flags = flags
    self.trajectory = trajectory
  }
}
