import RRAMBoard
import RRAMMapping
import RRAMModel
import RRAMSampling
import RRAMUnits
import Testing

@Suite("ScheduleTracking", .serialized) struct ScheduleTrackingTests {
  /// Chip seed 2, `cmo-hfox`, which moves by about 1 % of its window in ten days.
  @Test("an update reads how far the cells moved and moves the tables after them")
  func update() async throws {
    let model = try ModelLibrary.scoreModel("ring")
    try await withChip(model, profile: "cmo-hfox") { board, _, record in
      var numbers = ScheduleFit.Settings()
      (numbers.iterations, numbers.batch, numbers.batches) = (40, 64, 4)
      let goal = try CalibrationGoal(model, labels: [nil])
      let calibration = try await ScheduleCalibration(
        goal, on: board, record: record, reads: 4, settings: numbers, predicting: 0)
      try await board.wait(.seconds(864_000))
      var settings = ScheduleTracking.Settings()
      (settings.reads, settings.iterations) = (4, 40)
      var tracking = try ScheduleTracking(goal, from: calibration, on: board, record: record, settings: settings)
      #expect(tracking.correction == calibration.tables[0].correction)
      let first = try await tracking.update(on: board, record: record, firstSample: 7, count: 5)
      #expect(first.firstSample == 7 && first.count == 5 && first.chipSeconds > 0)
      #expect(first.movementPercent > 0.5, "\(first)")
      #expect(first.lastLoss < 0.7 * first.firstLoss, "\(first)")
      #expect(tracking.correction != calibration.tables[0].correction)
      // From where the tables are by then, with cells that hardly moved.
      let second = try await tracking.update(on: board, record: record, firstSample: 12, count: 5)
      #expect(second.movementPercent < 0.5 * first.movementPercent, "\(second)")
      #expect(second.firstLoss < 0.7 * first.firstLoss, "\(second)")
    }
  }
}
