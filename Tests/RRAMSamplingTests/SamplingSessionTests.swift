import Foundation
import RRAMBoard
import RRAMEmulator
import RRAMMapping
import RRAMModel
import RRAMProfiles
import RRAMRecords
import RRAMSampling
import RRAMTransport
import RRAMUnits
import RRAMWire
import Testing

@Suite("SamplingSession", .serialized) struct SamplingSessionTests {
  @Test(
    "an ideal chip gives the software's samples", arguments: [("ring", Int?.none, 512), ("letters", 1, 512)])
  func idealODE(name: String, label: Int?, count: Int) async throws {
    let model = try ModelLibrary.scoreModel(name)
    try await withChip(model) { board, home, _ in
      let program = try SamplingProgram(model, equation: .ode, classLabel: label, seed: 5)
      let session = try await SamplingSession(program, on: board, home: home)
      let (file, statistics) = try await session.draw(count)
      let software = try file.softwareReference(for: model)
      let rms = SampleMetrics.rootMeanSquareDifference(file.x, software)
      #expect(rms <= 1e-3, "rms \(rms)")
      #expect(statistics.samples == count && statistics.overRange.readOutSaturated == 0)
    }
  }

  @Test("the SDE's noise is the same on the chip and in software")
  func idealSDE() async throws {
    let model = try ModelLibrary.scoreModel("letters")
    try await withChip(model) { board, home, _ in
      let program = try SamplingProgram(model, equation: .sde, classLabel: 2, seed: 9, firstSample: 1000)
      let session = try await SamplingSession(program, on: board, home: home)
      let (file, _) = try await session.draw(256)
      #expect(file.numbers.first == 1000)
      let rms = SampleMetrics.rootMeanSquareDifference(file.x, try file.softwareReference(for: model))
      // Noise of another sample would give about the samples' own spread, 0.1 or more.
      #expect(rms <= 1e-3, "rms \(rms)")
    }
  }

  /// w = 1, 200 slots, 256 samples of seed 6. The SDE in the ODE's order of slots misses by 2.5e-3.
  @Test(
    "guidance in slots gives the samples of guidance at once", arguments: [ReverseEquation.ode, .sde])
  func guidance(equation: ReverseEquation) async throws {
    let model = try ModelLibrary.scoreModel("letters")
    try await withChip(model) { board, home, _ in
      let program = try SamplingProgram(model, equation: equation, classLabel: 1, guidance: 1, seed: 6)
      let session = try await SamplingSession(program, on: board, home: home)
      let (file, _) = try await session.draw(256)
      #expect(file.metadata.w == 1)
      let guided = SampleMetrics.rootMeanSquareDifference(file.x, try file.softwareReference(for: model))
      #expect(guided <= 1e-3, "rms \(guided)")
      // Guidance changes the samples by far more than that.
      var plain = file
      plain.metadata.w = 0
      let difference = SampleMetrics.rootMeanSquareDifference(file.x, try plain.softwareReference(for: model))
      #expect(difference > 0.02, "rms to no guidance \(difference)")
    }
  }

  @Test("batches come in order, samples depend on seed and number only")
  func order() async throws {
    let model = try ModelLibrary.scoreModel("ring")
    try await withChip(model) { board, home, _ in
      let whole = try await SamplingSession(SamplingProgram(model, seed: 3), on: board, home: home)
      let (all, statistics) = try await whole.draw(300)
      #expect(all.numbers == (0..<300).map { UInt32($0) })
      let tail = try await SamplingSession(
        SamplingProgram(model, seed: 3, firstSample: 200), on: board, home: home)
      let (last, _) = try await tail.draw(100)
      #expect(last.x == Array(all.x[400...]) && last.xT == Array(all.xT[400...]))
      let report = SampleReport(
        whole.program, statistics, energy: whole.modelledEnergy(trajectories: 20), file: "s.npz")
      #expect(report.dutyCycle > 0 && report.dutyCycle <= 1 && report.loopShare < report.dutyCycle)
      // Preset 0.5 µs, loop 20 µs, read-out 1 µs.
      #expect(report.chipSecondsPerSample >= 21.4e-6)
      let object = try #require(
        try JSONSerialization.jsonObject(with: JSONEncoder().encode(report)) as? [String: Any])
      for key in [
        "samples", "solver", "classLabel", "chipSecondsPerSample", "hostSeconds", "dutyCycle", "busSeconds",
        "energyPerSample_J", "file",
      ] {
        #expect(object[key] != nil, "\(key)")
      }
      let energy = try #require(object["energyPerSample_J"] as? [String: Any])
      #expect(energy["amplifiers"] is NSNull && energy["board"] is NSNull)
      // Rows at 0.1 V with some milliseconds of conductance for 20 µs: around a nanojoule.
      let array = try #require(energy["array"] as? Double)
      #expect(array > 1e-11 && array < 1e-7, "\(array) J")
    }
  }

  @Test("a chip that was changed or carries another model is refused")
  func refusesOtherChip() async throws {
    let ring = try ModelLibrary.scoreModel("ring")
    try await withChip(ring) { board, home, _ in
      let letters = try SamplingProgram(ModelLibrary.scoreModel("letters"), classLabel: 0)
      let other = try await #require(throws: MappingError.self) {
        try await SamplingSession(letters, on: board, home: home)
      }
      #expect(other.code == .otherModel)
      try await board.setLabel([UInt8](repeating: 1, count: 16), macro: 0)
      let unknown = try await #require(throws: MappingError.self) {
        try await SamplingSession(SamplingProgram(ring), on: board, home: home)
      }
      #expect(unknown.code == .unknownLabel)
    }
  }

  @Test("start points given by the caller are realised by the preset converter, or refused outside its range")
  func startPoints() async throws {
    let ring = try ModelLibrary.scoreModel("ring")
    try await withChip(ring) { board, home, _ in
      let session = try await SamplingSession(SamplingProgram(ring), on: board, home: home)
      let (file, _) = try await session.draw(2, startPoints: [1, -1, 0.25, 2])
      for (realised, given) in zip(file.xT, [1, -1, 0.25, 2] as [Float]) {
        // 16 bits over the integrator's range.
        #expect(abs(realised - given) <= 1.1e-4)
      }
      let error = try await #require(throws: SessionError.self) {
        try await session.draw(1, startPoints: [50, 0])
      }
      #expect(error.code == .presetOutOfRange)
      await #expect(throws: SessionError.self) { try await session.draw(0) }
      await #expect(throws: SessionError.self) { try await session.draw(2, startPoints: [1, 1]) }
    }
  }
}
