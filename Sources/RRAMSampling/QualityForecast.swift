internal import RRAMMapping
public import RRAMModel
public import RRAMProfiles
internal import RRAMUnits

/// What is done about the errors of cells when a network is sampled.
public enum CalibrationMode: String, Sendable, Hashable, Codable, CaseIterable {
  /// The model's own tables.
  case none
  /// One read-back and fit for the run.
  case once
  /// Read-backs and updates between the parts of the run.
  case tracked
}

/// Quality of samples that a chip is expected to give, from networks with errors as its cells are expected to have.
///
/// Some virtual chips are drawn; each is read back, its tables are fitted as a calibration would, its cells move on, and the modelled loop
/// is sampled. Nothing is measured here.
public struct QualityForecast: Sendable, Hashable, Codable {
  /// Ratios to the network in software from the same start points: of the middle one of the chips, and of the worst.
  public struct Spread: Sendable, Hashable, Codable {
    public var median: Double
    public var largest: Double

    init(_ values: [Double]) {
      let sorted = values.sorted()
      median =
        sorted.count.isMultiple(of: 2)
        ? (sorted[sorted.count / 2 - 1] + sorted[sorted.count / 2]) / 2 : sorted[sorted.count / 2]
      largest = sorted[sorted.count - 1]
    }
  }

  public var kl2d: Spread
  public var slicedWasserstein: Spread
  public var chips: Int
  public var samples: Int
  /// Seconds from the last write to the read-back, or to the use where nothing is calibrated.
  public var age: Double

  enum CodingKeys: String, CodingKey {
    case kl2d, slicedWasserstein, chips, samples
    case age = "age_s"
  }

  /// Parts of a tracked run that are modelled: their cells moved independently.
  private static let parts = 4
  /// From a read-back to the use of its tables.
  private static let delay = Duration.seconds(1)

  /// - Parameters:
  ///   - goal: what a calibration would aim at; its model is the network.
  ///   - data: what samples are compared with.
  ///   - settings: of the fits.
  public init(
    _ goal: CalibrationGoal, placement: RecipePlacement, cells: CellForecast, use: CalibrationMode, age: Duration,
    loop: BoardDescription.ClosedLoop, data: EvaluationData, chips: Int = 4, samples: Int = 8192, seed: UInt64 = 1,
    settings: ScheduleFit.Settings = ScheduleFit.Settings()
  ) throws {
    let plan = placement.plan
    precondition(chips > 0 && samples >= 4 * goal.labels.count, "at least one chip and some samples")
    var (kl2d, distance): ([Double], [Double]) = ([], [])
    let data = goal.model.network.isConditional && !goal.labels.contains(nil) ? data : data.withoutClasses
    let pieces = use == .tracked ? Self.parts : 1
    let share = max(1, samples / goal.labels.count / pieces)
    func quality(_ points: (_ condition: Int, _ part: Int) -> [Float]) throws -> SampleQuality {
      var (x, labels): ([Float], [Int]) = ([], [])
      for (condition, label) in goal.labels.enumerated() {
        for part in 0..<pieces { x += points(condition, part).map { $0 * Float(goal.process.stateScale) } }
        labels += [Int](repeating: label ?? SampleFile.noLabel, count: share * pieces)
      }
      return try SampleMetrics.quality(of: x, labels: data.labels == nil ? nil : labels, against: data).overall
    }
    func startSeed(_ condition: Int, _ part: Int) -> UInt64 { UInt64(condition * Self.parts + part) }

    var software: SampleQuality?
    for chip in 0..<chips {
      var stream = PhiloxStream(seed: seed, stream: (0x464F_5245, UInt32(chip), 0))
      let layers = zip(plan.layers, placement.noisePower).map { layer, power in
        cells.cells(layer.targets, noisePower: power, age: age, &stream)
      }
      func weights(_ values: [[Float]]) -> [[Double]] { zip(plan.layers, values).map { $0.weights(of: $1) } }
      let read = layers.map { $0.map { Float(max(0, $0.read)) } }
      let fit = try goal.fit(
        weights: weights(read), of: plan, integratorOffset: [0, 0], loop: loop, settings: settings)
      if software == nil {
        software = try quality { fit.idealEndPoints(condition: $0, count: share, seed: startSeed($0, $1)) }
      }
      let found: SampleQuality
      if use == .none {
        found = try quality { fit.endPoints(nil, condition: $0, count: share, seed: startSeed($0, $1)) }
      } else {
        var corrections = fit.run().corrections
        var used: [(fit: ScheduleFit, corrections: [ScheduleCorrection])] = []
        for part in 0..<pieces {
          if part > 0 {
            // The cells as the next read-back finds them, and a fresh fit to them.
            let moved = layers.map { cells.use($0, age: age, delay: .seconds(Double(30 * part)), &stream) }
            corrections = fit.replacing(weights: weights(moved)).run(from: corrections).corrections
            used.append((fit.replacing(weights: weights(drifted(moved, layers, cells, age, &stream))), corrections))
          } else {
            let now = layers.map { cells.use($0, age: age, delay: Self.delay, &stream) }
            used.append((fit.replacing(weights: weights(now)), corrections))
          }
        }
        found = try quality { condition, part in
          used[part].fit.endPoints(
            used[part].corrections[condition], condition: condition, count: share, seed: startSeed(condition, part))
        }
      }
      guard let ratio = software.map(found.ratio(to:)), let kl = ratio.kl2d, let swd = ratio.slicedWasserstein else {
        continue
      }
      kl2d.append(kl)
      distance.append(swd)
    }
    self.kl2d = Spread(kl2d)
    slicedWasserstein = Spread(distance)
    self.chips = chips
    self.samples = share * pieces * goal.labels.count
    self.age = age.seconds

    /// Cells of which `read` was read, a moment later.
    func drifted(
      _ read: [[Float]], _ layers: [[CellForecast.Cell]], _ cells: CellForecast, _ age: Duration,
      _ stream: inout PhiloxStream
    ) -> [[Float]] {
      zip(read, layers).map { values, layer in
        let moved = zip(values, layer).map { value, cell in
          var cell = cell
          cell.read = Double(value)
          return cell
        }
        return cells.use(moved, age: age, delay: Self.delay, &stream)
      }
    }
  }
}
