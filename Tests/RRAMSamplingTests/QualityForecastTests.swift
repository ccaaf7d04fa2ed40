import RRAMBoard
import RRAMMapping
import RRAMModel
import RRAMProfiles
import RRAMSampling
import RRAMUnits
import Testing

/// What is said of samples before a pulse is spent.
@Suite struct QualityForecastTests {
  private static func plan(_ profile: ChipProfile) throws -> (plan: MappingPlan, loop: BoardDescription.ClosedLoop) {
    let board = try BoardDescription.named("parallel")
    let plan = try MappingPlan(
      ModelLibrary.scoreModel("ring").network, on: board, window: profile.cells.conductance)
    return (plan, try #require(board.closedLoop))
  }

  private static func forecast(_ name: String, _ use: CalibrationMode, scale: Double = 1) throws -> QualityForecast {
    let profile = try ChipProfile.named(name)
    let (plan, loop) = try plan(profile)
    var settings = ScheduleFit.Settings()
    (settings.batches, settings.iterations) = (8, 100)
    return try QualityForecast(
      CalibrationGoal(ModelLibrary.scoreModel("ring"), labels: [nil]),
      placement: RecipePlacement(plan, known: KnownCells()),
      cells: CellForecast(profile, tolerance: profile.programming.tolerance, scale: scale), use: use,
      age: .seconds(600), loop: loop, data: EvaluationData("ring"), chips: 1, samples: 2048, settings: settings)
  }

  /// One virtual chip, 2 048 samples, a third of the usual steps. Emulated chips through the commands gave medians of 1.84 uncalibrated and
  /// 0.91 calibrated on cmo-hfox, 23 uncalibrated on hfox-analog.
  @Test func forecastsOrderProfilesAndCalibrations() throws {
    let ideal = try Self.forecast("ideal", .none)
    #expect(abs(ideal.kl2d.median - 1) < 0.1 && abs(ideal.slicedWasserstein.median - 1) < 0.1, "\(ideal)")
    let plain = try Self.forecast("cmo-hfox", .none)
    #expect(try Self.forecast("cmo-hfox", .once).kl2d.median < 0.9 * plain.kl2d.median, "\(plain)")
    #expect(plain.kl2d.median > 1.2 && plain.kl2d.median < 3.5, "\(plain)")
    // Cells that were measured to be off by more are forecast to be worse.
    #expect(try Self.forecast("cmo-hfox", .none, scale: 3).kl2d.median > 1.3 * plain.kl2d.median)
  }

  @Test func recipesTakeTheCheapestWayThatReachesTheGoal() throws {
    let profile = try ChipProfile.named("cmo-hfox")
    let (plan, _) = try Self.plan(profile)
    func recipe(_ goal: QualityGoal, _ scale: Double?) throws -> QualityRecipe {
      try QualityRecipe(
        goal, model: ModelLibrary.scoreModel("ring"), placements: [RecipePlacement(plan, known: KnownCells())],
        board: BoardDescription.named("parallel"),
        profile: profile, age: .seconds(600), errorScale: scale, pulsesPerCell: 4)
    }
    let fast = try recipe(.fast, nil)
    #expect(fast.choice.calibration == .none && fast.retry == nil && fast.basis == "profile cmo-hfox")
    #expect(fast.pulses == Double(4 * fast.cells) && fast.cells == 564)
    #expect(fast.forming == nil, "all cells are formed")
    // The same chip with errors as small as its verify window needs no calibration for a clear picture.
    let standard = try recipe(.standard, 0.05)
    #expect(standard.choice.calibration == .none && standard.meetsGoal, "\(standard.considered)")
  }

  /// What comes before the write is in the forecast: cells of every pass of a screening, formed by ramps to 3.12 V from 1.8 V in steps of 0.1 V,
  /// and a minute and five seconds for each pass that reads.
  @Test func screeningsFormingIsForecast() throws {
    let profile = try ChipProfile.named("hfox-analog")
    let board = try BoardDescription.named("parallel")
    let placement = try RecipePlacement.screened(
      ModelLibrary.scoreModel("ring").network, on: board, window: profile.cells.conductance,
      mapping: RecipePlacement.mappings(on: board)[1], known: KnownCells(), profile: profile)
    #expect(placement.toForm.count > placement.plan.writtenCount && placement.screenings == 3)
    #expect(placement.plan.cellsToForm.isSubset(of: placement.toForm))
    let recipe = try QualityRecipe(
      .fast, model: ModelLibrary.scoreModel("ring"), placements: [placement], board: board, profile: profile,
      age: .seconds(600), errorScale: nil, pulsesPerCell: nil)
    let forming = try #require(recipe.forming)
    #expect(forming.cells == placement.toForm.count && forming.pulses == Double(15 * forming.cells), "\(forming)")
    #expect(forming.chipSeconds > 3 * 65 && forming.chipSeconds < 3 * 65 + 1, "\(forming)")
  }

  /// Sparse pairs on a screened chip of noise drawn by seed 1: the cells that are written are quieter than those that were looked at,
  /// a screened network is forecast to be better than the same cells as they come, and profiles without traps have nothing to screen.
  @Test func screeningIsForecast() throws {
    let board = try BoardDescription.named("parallel")
    let network = try ModelLibrary.scoreModel("ring").network
    let mappings = RecipePlacement.mappings(on: board)
    #expect(mappings.count == 2 && mappings[0] == MappingOptions() && mappings[1].pairs == .sparse)
    #expect(try RecipePlacement.mappings(on: .named("multiplexed")) == [MappingOptions()])
    func placement(_ name: String) throws -> RecipePlacement {
      let profile = try ChipProfile.named(name)
      return try RecipePlacement.screened(
        network, on: board, window: profile.cells.conductance, mapping: mappings[1], known: KnownCells(),
        profile: profile)
    }
    #expect(try !placement("cmo-hfox").isScreened)
    let screened = try placement("hfox-analog")
    var (written, seen): ([Double], [Double]) = ([], [])
    for (layer, powers) in zip(screened.plan.layers, screened.noisePower) {
      for (isWritten, power) in zip(layer.written, powers) {
        guard let power else { continue }
        seen.append(power)
        if isWritten { written.append(power) }
      }
    }
    func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
    // Log-normal with σ of ln 1: a cell is as likely above its median as below.
    #expect(written.count > 400 && seen.count > written.count + 200, "\(written.count) of \(seen.count)")
    #expect(median(written) < 0.8 * median(seen), "\(median(written)) of \(median(seen))")
  }

  @Test func aBoardWithoutLoopIsRefused() throws {
    let profile = try ChipProfile.named("cmo-hfox")
    let (plan, _) = try Self.plan(profile)
    #expect(throws: ScheduleError.self) {
      try QualityRecipe(
        .fast, model: ModelLibrary.scoreModel("ring"), placements: [RecipePlacement(plan, known: KnownCells())],
        board: BoardDescription.named("multiplexed"),
        profile: profile, age: .seconds(1), errorScale: nil, pulsesPerCell: nil)
    }
  }
}
