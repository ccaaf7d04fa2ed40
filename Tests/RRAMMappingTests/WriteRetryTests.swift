import RRAMBoard
import RRAMMapping
import RRAMModel
import RRAMProfiles
import RRAMUnits
import Testing

/// Writing again what has drifted off, on strongly relaxing cells: `hfox-analog`, seed 11, the ring's 564 cells.
@Suite struct WriteRetryTests {
  private static func program(_ retry: WriteRetry?) async throws -> ProgramReport {
    let model = try ModelLibrary.scoreModel("ring")
    return try await EmulatedChip.with(profile: "hfox-analog", seed: 11) { chip in
      let plan = try chip.plan(model)
      _ = try await chip.board.form(plan.layers.map(\.block), options: FormOptions(chip.profile))
      var options = ProgramOptions(chip.profile)
      options.method = WriteMethod(chip.profile, .response)
      options.retry = retry
      options.followUp = .oneMinute
      return try await chip.board.program(plan, model: model, options: options, home: chip.home).report
    }
  }

  @Test func passesNarrowTheErrors() async throws {
    let once = try await Self.program(nil)
    let retried = try await Self.program(
      WriteRetry(epochs: 3, wait: .seconds(60), tolerance: .microsiemens(1.5)))
    #expect(once.retry == nil)
    let report = try #require(retried.retry)
    #expect(report.rewritten.count == 3 && report.rewritten[2] < report.rewritten[0], "\(report.rewritten)")
    #expect(report.pulses > 0 && report.chipSeconds >= 180)
    let before = try #require(once.error.after60s?.std)
    let after = try #require(retried.error.after60s?.std)
    // What fluctuates for ever is not narrowed, and a few cells in heavy tails make most of σ: over 20 other chips (seeds 101 to 120, the
    // same commands) the ratio is 0.83 ± 0.10, below the bound on 19 of them.
    #expect(after < 0.97 * before, "σ \(before) µS, with three passes \(after) µS")
  }

  /// Sums of pairs count: weights come out better than after a single write, though single cells are left where they are.
  @Test func cancellationMakesWeightsRight() async throws {
    let once = try await Self.program(nil)
    let cancelled = try await Self.program(
      WriteRetry(epochs: 2, wait: .seconds(60), tolerance: .microsiemens(1.5), cancels: true))
    let before = try #require(once.weightErrorPercent)
    let after = try #require(cancelled.weightErrorPercent)
    // What fluctuates for ever is not cancelled: over 20 other chips (seeds 101 to 120, the same commands) the ratio is 0.91 ± 0.10, below
    // the bound on 14 of them.
    #expect(after < 0.97 * before, "\(before) % of the largest weight, cancelled \(after) %")
  }
}
