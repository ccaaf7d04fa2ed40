public import RRAMModel

/// Where the energy of one sample goes, joules, all of it modelled; `nil` where the board description does not say what its parts draw.
public struct SampleEnergy: Sendable, Hashable, Codable {
  /// Dissipated in the cells: ∫Σ_rows v²·ΣG dt.
  public var array: Double?
  /// Of columns, multipliers and integrators while the sample is made.
  public var amplifiers: Double?
  public var converters: Double?
  public var board: Double?

  public init(array: Double? = nil, amplifiers: Double? = nil, converters: Double? = nil, board: Double? = nil) {
    self.array = array
    self.amplifiers = amplifiers
    self.converters = converters
    self.board = board
  }

  /// The mean of several runs; a part that one of them does not know is unknown.
  public static func mean(_ energies: [SampleEnergy]) -> SampleEnergy {
    func mean(_ part: KeyPath<SampleEnergy, Double?>) -> Double? {
      let values = energies.compactMap { $0[keyPath: part] }
      return values.isEmpty || values.count < energies.count ? nil : values.reduce(0, +) / Double(values.count)
    }
    return SampleEnergy(
      array: mean(\.array), amplifiers: mean(\.amplifiers), converters: mean(\.converters), board: mean(\.board))
  }

  /// All parts together; nil if one is unknown.
  public var total: Double? {
    guard let array, let amplifiers, let converters, let board else { return nil }
    return array + amplifiers + converters + board
  }

  enum CodingKeys: String, CodingKey { case array, amplifiers, converters, board }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(array, forKey: .array)
    try container.encode(amplifiers, forKey: .amplifiers)
    try container.encode(converters, forKey: .converters)
    try container.encode(board, forKey: .board)
  }
}

/// How many samples left a range while they ran, by the block they overdrove.
public struct OverRangeCounts: Sendable, Hashable, Codable {
  public var rowClamp = 0
  public var amplifierRail = 0
  public var integratorRail = 0
  public var noiseClamp = 0
  public var readOutSaturated = 0
  /// Start coordinates beyond the preset converter, set to its end; the realised start point counts. Where the board draws them,
  /// samples.
  public var presetClamped = 0

  public init() {}
}

/// The calibration that a run played.
public struct CalibrationUse: Sendable, Hashable, Encodable {
  public var id: String
  /// `software` or the data's name.
  public var target: String
  /// Chip time from the read-back to the run, seconds.
  public var sinceReadBack: Double
  /// How far the cells had moved since, % of the conductance window.
  public var movementPercent: Double

  enum CodingKeys: String, CodingKey {
    case id, target
    case sinceReadBack = "sinceReadBack_s"
    case movementPercent
  }

  public init(_ calibration: ScheduleCalibration, _ movement: ScheduleCalibration.Movement) {
    id = calibration.id
    target = calibration.target.name
    sinceReadBack = movement.seconds
    movementPercent = movement.percent
  }
}

/// What a sampling run took: what `sample` prints.
public struct SampleReport: Sendable, Hashable, Encodable {
  public var samples: Int
  public var solver: ReverseEquation
  public var classLabel: Int?
  public var ticks: Int
  public var scale: Double
  /// Chip time from the first command to the last result, over the samples.
  public var chipSecondsPerSample: Double
  public var hostSeconds: Double
  /// (preset + loop + conversion) over chip time: what is missing to 1 is idle time that host and bus made.
  public var dutyCycle: Double
  /// The loop alone over chip time.
  public var loopShare: Double
  /// Modelled or real time of the bus; nil where the board does not model it.
  public var busSeconds: Double?
  public var requests: Int
  public var overRange: OverRangeCounts
  public var energyPerSample: SampleEnergy
  /// nil: the model's own tables.
  public var calibration: CalibrationUse?
  /// Updates of the tables on the way; nil without tracking. Their chip time is in that of a sample.
  public var tracking: [ScheduleTracking.Update]?
  /// The sample file; nil if none was written.
  public var file: String?

  enum CodingKeys: String, CodingKey {
    case samples, solver, classLabel, ticks, scale, chipSecondsPerSample, hostSeconds, dutyCycle, loopShare, busSeconds
    case requests, overRange
    case energyPerSample = "energyPerSample_J"
    case calibration, tracking, file
  }

  public init(
    _ program: SamplingProgram, _ statistics: SamplingStatistics, energy: SampleEnergy = SampleEnergy(),
    file: String? = nil
  ) {
    samples = statistics.samples
    solver = program.equation
    classLabel = program.classLabel
    ticks = program.ticks
    scale = program.process.scale
    let chip = statistics.chipSeconds
    chipSecondsPerSample = statistics.samples > 0 ? chip / Double(statistics.samples) : 0
    hostSeconds = statistics.hostSeconds
    let busy = statistics.presetSeconds + statistics.loopSeconds + statistics.conversionSeconds
    dutyCycle = chip > 0 ? busy / chip : 0
    loopShare = chip > 0 ? statistics.loopSeconds / chip : 0
    busSeconds = statistics.busSeconds
    requests = statistics.requests
    overRange = statistics.overRange
    energyPerSample = energy
    self.file = file
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(samples, forKey: .samples)
    try container.encode(solver, forKey: .solver)
    try container.encode(classLabel, forKey: .classLabel)
    try container.encode(ticks, forKey: .ticks)
    try container.encode(scale, forKey: .scale)
    try container.encode(chipSecondsPerSample, forKey: .chipSecondsPerSample)
    try container.encode(hostSeconds, forKey: .hostSeconds)
    try container.encode(dutyCycle, forKey: .dutyCycle)
    try container.encode(loopShare, forKey: .loopShare)
    try container.encode(busSeconds, forKey: .busSeconds)
    try container.encode(requests, forKey: .requests)
    try container.encode(overRange, forKey: .overRange)
    try container.encode(energyPerSample, forKey: .energyPerSample)
    try container.encode(calibration, forKey: .calibration)
    try container.encode(tracking, forKey: .tracking)
    try container.encode(file, forKey: .file)
  }
}
