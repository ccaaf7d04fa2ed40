import Foundation
import RRAMBoard
import RRAMMapping
import RRAMModel
import RRAMRecords
import RRAMSampling
import RRAMUnits
import Testing

@Suite("ScheduleCalibration", .serialized) struct ScheduleCalibrationTests {
  private static let quick: ScheduleFit.Settings = {
    var settings = ScheduleFit.Settings()
    settings.iterations = 10
    settings.batches = 2
    settings.batch = 64
    return settings
  }()

  private func refusal(_ body: () throws -> Void) -> String? {
    do {
      try body()
      return nil
    } catch let error as SessionError {
      #expect(error.code == .otherCalibration)
      return error.reason
    } catch {
      Issue.record("\(error)")
      return nil
    }
  }

  @Test("a calibration is kept with its chip, found again, and refused for all that it was not made for")
  func pairing() async throws {
    let model = try ModelLibrary.scoreModel("ring")
    try await withChip(model, profile: "cmo-hfox") { board, home, record in
      let program = try SamplingProgram(model)
      let goal = try CalibrationGoal(model, labels: [nil])
      var calibration = try await ScheduleCalibration(
        goal, on: board, record: record, reads: 2, settings: Self.quick, predicting: 500)
      // Written in this boot, so the board's own clock tells how long ago.
      #expect(calibration.ageByBoard && calibration.age > 0 && calibration.age < 1)
      #expect(calibration.chipSeconds > 0)
      #expect(try #require(calibration.predicted).after.n == 500)
      let file = try calibration.save(home: home)
      let copy = try ScheduleCalibration(file: file)
      #expect(copy.tables == calibration.tables && copy.id == calibration.id)
      #expect(copy.readBack.conductances == calibration.readBack.conductances)
      #expect(try ScheduleCalibration.named(copy.id, chip: copy.chip, home: home) == copy)

      let found = ScheduleCalibration.newest(for: [program], on: board, record: record, home: home)
      #expect(found.calibration?.id == calibration.id && found.refusal == nil)
      var played = program
      try played.apply(copy)
      #expect(played.correction == calibration.tables[0].correction && played.calibration == copy.id)

      // Another equation, scale, model and condition.
      let sde = try SamplingProgram(model, equation: .sde)
      #expect(refusal { try calibration.check(sde) }?.contains("is for the ode, the run is of the sde") == true)
      let scaled = try SamplingProgram(model, scale: 1.5)
      #expect(refusal { try calibration.check(scaled) }?.contains("β scale 2.0, the run has 1.5") == true)
      let other = try SamplingProgram(ModelLibrary.scoreModel("ring-hardware-aware"))
      #expect(refusal { try calibration.check(other) }?.contains("is of model 'ring'") == true)
      let none = ScheduleCalibration.newest(for: [sde], on: board, record: record, home: home)
      #expect(none.calibration == nil && none.refusal?.code == .otherCalibration)
      // As if it had been made for guided runs.
      var guided = copy
      (guided.guidance, guided.guidancePlay) = (0.5, .slots)
      #expect(refusal { try guided.check(program) }?.contains("is for guidance 0.5, the run has no guidance") == true)
      calibration.tables[0].label = 1
      #expect(refusal { try calibration.check(program) }?.contains("is of class 1, the run is of no class") == true)

      // Another chip, board, firmware and write.
      #expect(refusal { try copy.check(on: board, record: record) } == nil)
      for (change, words) in [
        (\ScheduleCalibration.chip, "is of chip x"), (\.board, "was made on a board 'x'"),
        (\.firmware, "was made with firmware x"), (\.program, "was read back before the last write"),
      ] {
        var changed = copy
        changed[keyPath: change] = "x"
        #expect(refusal { try changed.check(on: board, record: record) }?.contains(words) == true, "\(words)")
      }
      var written = record
      written.macros[0].writeCounter += 1
      #expect(refusal { try copy.check(on: board, record: written) }?.contains("before the last write") == true)
    }
  }

  /// Chip seed 2; cmo-hfox drifts by more than 1 % of its window in ten days, and by a tenth of that while it is read.
  @Test("cells that have moved since they were read are found by a short read")
  func movement() async throws {
    let model = try ModelLibrary.scoreModel("ring")
    try await withChip(model, profile: "cmo-hfox") { board, _, record in
      try await board.wait(.seconds(600))
      let goal = try CalibrationGoal(model, labels: [nil])
      let calibration = try await ScheduleCalibration(
        goal, on: board, record: record, reads: 8, settings: Self.quick, predicting: 0)
      #expect(abs(calibration.age - 600) < 1 && calibration.predicted == nil)
      let soon = try await calibration.movement(on: board, record: record)
      #expect(!soon.isTooFar && soon.percent < 0.2, "\(soon)")
      try await board.wait(.seconds(864_000))
      let late = try await calibration.movement(on: board, record: record)
      #expect(late.isTooFar && late.percent > 2 * soon.percent, "\(late)")
      #expect(abs(late.seconds - 864_000) < 1)
    }
  }

  /// Guided samples are not distributed like data: tables for them are scored against the guided network in software, which a chip without
  /// errors equals. Two sets of 4 096 points of it are KL2d 0.1 apart; the letters' data are farther than 0.3 from it.
  @Test("a guided calibration is scored against the guided network")
  func guidedReference() async throws {
    let model = try ModelLibrary.scoreModel("letters")
    try await withChip(model) { board, _, record in
      var settings = ScheduleFit.Settings()
      (settings.iterations, settings.batches) = (10, 1)
      let goal = try CalibrationGoal(model, labels: [1], guidance: 1)
      let calibration = try await ScheduleCalibration(
        goal, on: board, record: record, reads: 1, settings: settings, predicting: 4096)
      let predicted = try #require(calibration.predicted)
      #expect(predicted.data == "the guided network in software")
      #expect(
        predicted.software.kl2d < 0.15 && abs(predicted.before.kl2d / predicted.software.kl2d - 1) < 0.1, "\(predicted)"
      )
      let (before, after) = try calibration.schedules(goal, label: 1, record: record, on: board.boardDescription)
      #expect(before.tables.map(\.name) == after.tables.map(\.name) && before.codes != after.codes)
      #expect(
        try before.codes
          == SamplingProgram(model, classLabel: 1, guidance: 1).schedule(on: board.boardDescription).codes)
    }
  }

  @Test("data of another scale or shape, too few, or without the classes, are refused")
  func target() throws {
    let ring = try ModelLibrary.scoreModel("ring")
    let points = Array(try EvaluationData("ring").points.prefix(4000))
    func refused(_ model: ScoreModel, _ label: Int?, _ points: [Double]) throws -> String {
      let data = try EvaluationData(name: "mine", points: points, labels: nil)
      let error = try #require(throws: SessionError.self) {
        try CalibrationGoal(model, equation: .ode, labels: [label], data: data)
      }
      #expect(error.code == .targetData)
      return error.reason
    }
    #expect(try refused(ring, nil, points.map { $0 * 1.3 }).contains("of another shape or scale"))
    #expect(try refused(ring, nil, points.map { abs($0) }).contains("of another shape or scale"))
    #expect(try refused(ring, nil, Array(points.prefix(100))).contains("50 points"))
    let letters = try ModelLibrary.scoreModel("letters")
    #expect(try refused(letters, 0, points).contains("no classes"))
    let data = try EvaluationData(name: "mine", points: Array(points.prefix(512)), labels: nil)
    #expect(throws: Never.self) { try CalibrationGoal(ring, labels: [nil], data: data) }
    let guided = try #require(throws: SessionError.self) {
      try CalibrationGoal(letters, labels: [0], guidance: 1, data: EvaluationData("letters"))
    }
    #expect(guided.code == .targetData && guided.reason.contains("guidance 1.0 draws other points than the data's"))
  }

  @Test("a file that is no calibration, or of a newer layout, is refused")
  func malformed() throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString).json")
    defer { try? FileManager.default.removeItem(at: file) }
    for (text, words) in [("{}", "is no calibration"), ("{\"schema\": 3}", "layout 3"), ("x", "is no calibration")] {
      try Data(text.utf8).write(to: file)
      let error = try #require(throws: SessionError.self) { try ScheduleCalibration(file: file) }
      #expect(error.code == .malformedFile && error.reason.contains(words), "\(error)")
    }
    #expect(throws: SessionError.self) { try ScheduleCalibration(file: file.appending(path: "none")) }
  }
}
