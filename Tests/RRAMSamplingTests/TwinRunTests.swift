import Foundation
import RRAMMapping
import RRAMModel
import RRAMProfiles
import RRAMSampling
import Testing

@Suite struct TwinRunTests {
  @Test func scheduleIsAConstantOnTheNetworkAlone() throws {
    let program = try SamplingProgram(try ModelLibrary.scoreModel("twin"), ticks: 400)
    let tables = try program.schedule(on: try BoardDescription.named("parallel")).tables
    #expect(tables[0].values.allSatisfy { $0 == 0 })
    // Amplitude 15 over the board's amplifier of 5, over a run of 1 − 1e-4, in 400 ticks of 995 ns instead of 50 ns.
    #expect(tables[1].values.allSatisfy { abs($0 - 3 * 0.9999 * 50 / 995) < 1e-6 })
  }

  /// 8 measured start points of the reference.
  @Test func idealChipFollowsTheSoftware() async throws {
    let model = try ModelLibrary.scoreModel("twin")
    let reference = try ReferenceTrajectories(model.metadata.data)
    let run = try await withChip(model) { board, home, _ in
      let program = try SamplingProgram(model, ticks: 400)
      let session = try await SamplingSession(program, on: board, home: home)
      var samples = SampleFile(metadata: session.metadata)
      var trajectory: [Float] = []
      _ = try await session.draw(8, startPoints: Array(reference.start.prefix(16)), trajectoryEvery: 8) { batch in
        samples.append(x: batch.x, xT: batch.xT, label: nil, firstSample: batch.firstSample)
        for first in stride(from: 0, to: batch.trajectory.count, by: 102) {
          trajectory += batch.trajectory[first + 2..<first + 102]
        }
      }
      return TwinRun(samples: samples, time: (1...50).map { reference.time[4 * $0] }, trajectory: trajectory)
    }
    // The last point of a trajectory is the end point.
    #expect(Array(run.trajectory[98..<100]) == Array(run.samples.x[0..<2]))
    // Software with the emulator's own Heun steps, two in each of 400 ticks: what is left is that the chip holds its embedding for a
    // tick, and the poles.
    let equal = model.network.trajectories(from: run.samples.xT, points: 50, steps: 800)
    let rms = SampleMetrics.rootMeanSquareDifference(run.trajectory, equal)
    #expect(rms < 2e-3, "rms \(rms)")
    let report = TwinReport(run, model: model, reference: reference)
    let (chip, software) = (try #require(report.chip), try #require(report.software))
    #expect(abs(chip.rms - software.rms) < 0.01)

    let path = FileManager.default.temporaryDirectory.appending(path: "twin-\(UUID().uuidString).npz").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try run.write(to: path)
    #expect(try TwinRun(path: path) == run)
  }
}
