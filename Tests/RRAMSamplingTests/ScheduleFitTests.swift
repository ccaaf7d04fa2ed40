import Foundation
import RRAMBoard
import RRAMMapping
import RRAMModel
import RRAMProfiles
import RRAMSampling
import RRAMUnits
import Testing

@Suite("ScheduleFit", .serialized) struct ScheduleFitTests {
  /// Chip seed 2, all noise on, n = 4 000 from one seed. Over 64 other chips the fit brings KL2d from a median of 2.2 times the
  /// software's to 0.9 (90 % below 0.98); the bounds here leave room for the sampling error of 4 000.
  @Test("tables fitted to the cells as they were read bring an aged chip's samples back to the software's")
  func agedChip() async throws {
    let model = try ModelLibrary.scoreModel("ring")
    let data = try EvaluationData("ring")
    try await withChip(model, profile: "cmo-hfox") { board, home, record in
      try await board.wait(.seconds(600))
      var program = try SamplingProgram(model, equation: .ode, seed: 5)
      let (before, _) = try await SamplingSession(program, on: board, home: home).draw(4000)
      let back = try await board.readBack(record.plan, reads: 8)
      let error = try #require(back.standardError)
      #expect(error > 0.01 && error < 0.1, "standard error \(error) µS")
      var settings = ScheduleFit.Settings()
      settings.batches = 10
      let result = ScheduleFit(
        weights: zip(record.plan.layers, back.conductances).map { $0.weights(of: $1) }, model: model,
        process: program.process, equation: .ode, labels: [nil], target: .software,
        loop: try #require(board.boardDescription.closedLoop), settings: settings
      ).run()
      #expect(result.lastLoss < result.firstLoss / 2, "\(result.firstLoss) to \(result.lastLoss)")
      program.correction = result.corrections[0]
      let (after, _) = try await SamplingSession(program, on: board, home: home).draw(4000)
      let ratios = try [before, after].map { file in
        try #require(EvaluationReport(file, against: data, model: model).ratio?.kl2d)
      }
      #expect(ratios[1] < 1.25, "KL2d \(ratios) times the software's")
      #expect(ratios[1] < 0.8 * ratios[0], "KL2d \(ratios) times the software's")
    }
  }

  @Test("a correction of zeros changes no code, and one beyond a converter's range is counted")
  func corrections() throws {
    let model = try ModelLibrary.scoreModel("ring")
    let board = try BoardDescription.named("parallel")
    let none = [Double](repeating: 0, count: ScheduleCorrection.terms)
    var program = try SamplingProgram(model)
    let plain = try program.schedule(on: board)
    program.correction = ScheduleCorrection(state: none, score: none, embedding: [], offset: [])
    let same = try program.schedule(on: board)
    #expect(same.codes == plain.codes && same.clipped == 0)
    var large = none
    large[0] = 100
    program.correction = ScheduleCorrection(state: none, score: none, embedding: [large], offset: [])
    let clipped = try program.schedule(on: board)
    // The first channel of the embedding, in every row of the tables.
    #expect(clipped.clipped >= program.ticks && clipped.codes != plain.codes)
    let copy = try JSONDecoder().decode(
      ScheduleCorrection.self, from: JSONEncoder().encode(try #require(program.correction)))
    #expect(copy == program.correction)
  }
}
