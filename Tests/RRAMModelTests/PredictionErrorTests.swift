import Testing

@testable import RRAMModel

@Suite struct PredictionErrorTests {
  /// Two trajectories of two frames, each coordinate ±1 about 0: standard deviation 1.
  private let reference = ReferenceTrajectories(
    name: "hand", time: [0, 1, 2], start: [1, -1, -1, 1], x: [1, -1, 1, -1, 1, -1, -1, 1, -1, 1, -1, 1])

  @Test func countsInStandardDeviationsOfTheReference() {
    #expect(reference.deviation == [1, 1] && reference.count == 2 && reference.frames == 2)
    // The first trajectory is off by 0.3 and 0.4 at its last point, the second by 1 in x throughout.
    let error = PredictionError([1, -1, 1.3, -0.6, 0, 1, 0, 1], points: 2, against: reference, threshold: 0.5)
    #expect(abs(error.overTime[0] - 0.5) < 1e-6)
    #expect(abs(error.overTime[1] - (1.25 / 4).squareRoot()) < 1e-6)
    #expect(abs(error.rms - (2.25 / 8).squareRoot()) < 1e-6)
    #expect(error.validThroughout == 1)
    // The first is valid to the end, 2 s, the second until 1 s: the median of two is their mean.
    #expect(error.validTime == 1.5)
  }

  @Test func notFiniteIsNotValid() {
    let error = PredictionError([.nan, 0, 0, 0], points: 2, against: reference, threshold: 10)
    #expect(error.validThroughout == 0 && error.validTime == 1)
  }

  /// All 64 measured start points of the reference: the shipped network misses the circuit by 0.09 standard deviations; with the
  /// start points' axes swapped by 0.63, from start points of 0 by 0.45.
  @Test func shippedTwinPredictsItsCircuit() throws {
    let model = try ModelLibrary.scoreModel("twin")
    #expect(model.metadata.process == .neuralODE && model.metadata.equation == .ode && model.warning == nil)
    let reference = try ReferenceTrajectories(model.metadata.data)
    #expect(reference.count == 64 && reference.frames == 200)
    let run = model.network.trajectories(from: reference.start, points: 50, steps: 800)
    let error = PredictionError(run, points: 50, against: reference, threshold: 0.3)
    #expect(error.rms < 0.11, "rms \(error.rms)")
    // Half as many steps change little: the error is the network's, not the solver's.
    let coarse = model.network.trajectories(from: reference.start, points: 50, steps: 400)
    #expect(SampleMetrics.rootMeanSquareDifference(run, coarse) < 0.01)
  }
}
