import RRAMModel
import RRAMProfiles
import RRAMSampling
import RRAMUnits
import Testing

@Suite("LoopFit") struct LoopFitTests {
  private func fit(
    _ name: String = "ring", label: Int? = nil, change: (inout BoardDescription.ClosedLoop) -> Void = { _ in }
  ) throws -> LoopFit {
    var board = try BoardDescription.named("parallel")
    if var loop = board.closedLoop {
      change(&loop)
      board.closedLoop = loop
    }
    return try LoopFit(SamplingProgram(ModelLibrary.scoreModel(name), classLabel: label), on: board)
  }

  @Test("the shipped models fit the shipped board", arguments: [("ring", Int?.none), ("letters", 0)])
  func shipped(name: String, label: Int?) throws {
    let fit = try fit(name, label: label)
    #expect(fit.rows.count == 3 && fit.rows.allSatisfy { $0 > 1 && $0 < 10 }, "\(fit.rows)")
    #expect(fit.clamp == 10)
    // 1/(2π·160 MHz) of 20 µs.
    #expect(abs(fit.pole - 4.97e-5) < 1e-7)
  }

  @Test("a unit voltage whose rows would be clamped is refused with the largest that fits")
  func refusesUnitVoltage() throws {
    let error = try #require(throws: ScheduleError.self) { try fit { $0.unitVoltage = Volts(0.4) } }
    #expect(error.code == .rowClamp)
    #expect(error.description.contains("are clamped at 2.5 units"))
    let value = try #require(error.value)
    #expect(value > 2.5)
    #expect(error.description.contains("the largest unit voltage that fits is "))
    // The scarcest layer sets it: 1 V over the largest row value of 99 % of the runs.
    let largest = 1 / (try fit().rows.max().map(Double.init) ?? 0)
    #expect(throws: Never.self) { try fit { $0.unitVoltage = Volts(largest * 0.999) } }
  }

  @Test("an amplifier too slow for the run is warned of")
  func warnsOfPole() throws {
    let slow = try fit { $0.amplifierBandwidth = 1e6 }
    #expect(abs(slow.pole - 0.00796) < 1e-4)
    #expect(slow.warnings.contains { $0.hasPrefix("the column amplifiers' pole of 159.") && $0.contains("0.79") })
    #expect(try !fit().warnings.contains { $0.contains("pole") })
  }
}
