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

  /// Board `paired`: w = 1, 200 ticks, 256 samples of seed 6. Software does the same, so the bound is that of a plain run; in slots the
  /// same chip keeps 1e-3.
  @Test("guidance on two networks at once gives the software's samples", arguments: [ReverseEquation.ode, .sde])
  func guidanceAtOnce(equation: ReverseEquation) async throws {
    let model = try ModelLibrary.scoreModel("letters")
    try await withChip(model, board: "paired") { board, home, record in
      #expect(record.plan.layers.map(\.block.macro) == [0, 1, 2, 3, 4, 5] && record.plan.secondNetwork == 3)
      var program = try SamplingProgram(model, equation: equation, classLabel: 1, guidance: 1, seed: 6)
      let session = try await SamplingSession(program, on: board, home: home)
      let (atOnce, _) = try await session.draw(256)
      let software = try atOnce.softwareReference(for: model)
      let rms = SampleMetrics.rootMeanSquareDifference(atOnce.x, software)
      #expect(rms <= 4e-4, "rms \(rms)")
      program.guidancePlay = .slots
      let slots = try await SamplingSession(program, on: board, home: home).draw(256).file
      #expect(slots.xT == atOnce.xT)
      #expect(SampleMetrics.rootMeanSquareDifference(slots.x, software) <= 1e-3)
      #expect(slots.x != atOnce.x)
      // Both networks are driven, so the arrays take more.
      let energy = session.modelledEnergy(trajectories: 20)
      let plain = try await SamplingSession(
        SamplingProgram(model, equation: equation, classLabel: 1, seed: 6), on: board, home: home
      ).modelledEnergy(trajectories: 20)
      #expect(try #require(energy.array) > 1.5 * #require(plain.array))
      #expect(try #require(energy.amplifiers) > 1.5 * #require(plain.amplifiers))
      // Without guidance the second network is not connected, and the samples are those of a board that has none.
      let unguided = try await SamplingSession(
        SamplingProgram(model, equation: equation, classLabel: 1, seed: 6), on: board, home: home
      ).draw(64).file
      let alone = SampleMetrics.rootMeanSquareDifference(
        unguided.x, try unguided.softwareReference(for: model))
      #expect(alone <= 1e-3, "rms \(alone)")
    }
  }

  @Test("guidance at once is refused where the network is on the chip once")
  func refusesOneNetwork() async throws {
    let model = try ModelLibrary.scoreModel("letters")
    try await withChip(model) { board, home, _ in
      var program = try SamplingProgram(model, classLabel: 1, guidance: 1)
      program.guidancePlay = .atOnce
      let error = try await #require(throws: ScheduleError.self) {
        try await SamplingSession(program, on: board, home: home)
      }
      #expect(error.description == "guidance at once needs two networks, board 'parallel' has one: it can play slots")
    }
  }

  /// `cmo-hfox`, seed 2, on which cells drift while a run lasts. One command of 1 000 samples; a day and a read of the cells later, commands
  /// of the same run give its last 300 again, and others from its middle, bit for bit. A run of its own after the day does not.
  @Test("a run's samples do not depend on how it was cut, nor on when it went on")
  func runs() async throws {
    let model = try ModelLibrary.scoreModel("ring")
    func draw(_ board: Board, _ home: RecordsHome, _ range: Range<Int>, run: UInt64) async throws -> [Float] {
      let program = try SamplingProgram(model, seed: 4, firstSample: UInt32(range.lowerBound))
      let session = try await SamplingSession(program, on: board, home: home, checkingCells: false)
      var x: [Float] = []
      _ = try await session.draw(range.count, runID: run) { x += $0.x }
      return x
    }
    try await withChip(model, profile: "cmo-hfox") { board, home, record in
      let whole = try await draw(board, home, 0..<1000, run: 77)
      try await board.wait(.seconds(86_400))
      _ = try await board.read(record.plan)
      let rest = try await draw(board, home, 700..<1000, run: 77)
      #expect(rest.elementsEqual(whole[1400...]), "the run's end")
      let middle = try await draw(board, home, 100..<400, run: 77)
      #expect(middle.elementsEqual(whole[200..<800]), "its middle")
      let later = try await draw(board, home, 0..<1000, run: 78)
      let moved = SampleMetrics.rootMeanSquareDifference(later, whole)
      #expect(moved > 1e-3, "a day moves samples by \(moved) rms")
    }
  }

  @Test("start points of the board's own noise source are the host's, and one command takes all samples")
  func startOnBoard() async throws {
    let ring = try ModelLibrary.scoreModel("ring")
    try await withChip(ring) { board, home, _ in
      let session = try await SamplingSession(SamplingProgram(ring, seed: 8, firstSample: 40), on: board, home: home)
      // Heartbeats keep the time of the clock on the wall.
      func runs() async -> Int { await board.statistics.requests - board.statistics.heartbeats }
      let before = await runs()
      let host = try await session.draw(20_000)
      let between = await runs()
      let own = try await session.draw(20_000, startOnBoard: true)
      let after = await runs()
      // The deviation travels in single precision, which moves a start point across the border between two codes now and then.
      let step: Float = 13.0 / 65_536
      #expect(zip(own.file.xT, host.file.xT).allSatisfy { abs($0 - $1) < 1.01 * step })
      let same = host.file.numbers.indices.filter { index in
        (2 * index...2 * index + 1).allSatisfy { own.file.xT[$0] == host.file.xT[$0] }
      }
      #expect(same.count > 19_900)
      #expect(same.allSatisfy { index in (2 * index...2 * index + 1).allSatisfy { own.file.x[$0] == host.file.x[$0] } })
      // More than one command is needed to send 20 000 start points; and nothing lies beyond the converter at 6.5 units.
      #expect(after - between < between - before, "\(between - before) requests, then \(after - between)")
      #expect(own.statistics.overRange.presetClamped == 0)
      #expect(Set(own.file.xT).count > 10_000)
    }
  }

  @Test("a chip with the label of a network, but not its cells, is refused with what was found")
  func refusesOtherCells() async throws {
    let ring = try ModelLibrary.scoreModel("ring")
    try await withChip(ring, profile: "cmo-hfox") { board, home, record in
      let found = try await record.spotChecks(on: board)
      #expect(found.map(\.layer) == [0, 1, 2] && found.allSatisfy { $0.cells == 32 && !$0.isOther })
      #expect(found.allSatisfy { $0.difference.microsiemens < 3 && $0.spread.microsiemens > 5 })
      // A week later they are still the same network.
      try await board.wait(.seconds(7 * 86_400))
      try await record.requireCells(on: board)
      // The record of a network one layer of which has its cells in another order.
      var other = record
      other.conductances[1].reverse()
      let error = try await #require(throws: MappingError.self) { try await other.requireCells(on: board) }
      #expect(error.code == .changedSince)
      #expect(error.description.contains("carries the label of 'ring', but not its cells: 32 of layer 1 read"))
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
      // 21.5 µs of 30 columns at 5 mW, 4 multipliers at 20, 2 integrators at 5; of 20 channels at 8 mW and 2 conversions of 10 nJ; of 1.5 W.
      #expect(abs(try #require(energy["amplifiers"] as? Double) - 21.5e-6 * 0.24) < 1e-12)
      #expect(abs(try #require(energy["converters"] as? Double) - (21.5e-6 * 0.16 + 20e-9)) < 1e-12)
      #expect(abs(try #require(energy["board"] as? Double) - 21.5e-6 * 1.5) < 1e-12)
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
