public import RRAMModel
internal import RRAMUnits

/// The fewest Heun steps whose samples are as good as those of 1 000.
public struct FewestSteps: Sendable, Hashable, Encodable {
  /// Steps of the ODE, ticks of two steps each of the SDE.
  public var steps: Int
  public var kl2d: Double
  public var slicedWasserstein: Double
  /// The same of ``referenceSteps``.
  public var referenceKL2d: Double
  public var referenceSlicedWasserstein: Double

  public static let referenceSteps = 1000
  /// Metrics may be this many times the reference's.
  public static let largestRatio = 1.02
  /// Divisors of ``referenceSteps``: a coarse step of the SDE takes the sum of the fine steps' noise.
  static let candidates = [4, 5, 8, 10, 20, 25, 40, 50, 100, 125, 200, 250, 500, 1000]
}

extension SampleFile {
  /// Finds the fewest steps of the software reference with which KL2d and sliced Wasserstein distance are at most
  /// ``FewestSteps/largestRatio`` times those of ``FewestSteps/referenceSteps``, from the same start points and, for the SDE, along the
  /// same Brownian paths.
  ///
  /// Candidates are tried from the fewest on.
  public func fewestSteps(for model: ScoreModel, data: EvaluationData, threads: Int? = nil) throws -> FewestSteps {
    let known = data.labels == nil ? nil : labels
    func quality(_ steps: Int) throws -> SampleQuality {
      try SampleMetrics.quality(
        of: try brownianReference(for: model, steps: steps, threads: threads), labels: known, against: data,
        threads: threads
      ).overall
    }
    let reference = try quality(FewestSteps.referenceSteps)
    var (steps, found) = (FewestSteps.referenceSteps, reference)
    for candidate in FewestSteps.candidates.dropLast() {
      let tried = try quality(candidate)
      guard tried.kl2d <= FewestSteps.largestRatio * reference.kl2d,
        tried.slicedWasserstein <= FewestSteps.largestRatio * reference.slicedWasserstein
      else { continue }
      (steps, found) = (candidate, tried)
      break
    }
    return FewestSteps(
      steps: steps, kl2d: found.kl2d, slicedWasserstein: found.slicedWasserstein, referenceKL2d: reference.kl2d,
      referenceSlicedWasserstein: reference.slicedWasserstein)
  }

  /// The run in software with any divisor of 1 000 steps; the noise of a coarse tick is the mean of the fine ticks', times √k.
  private func brownianReference(for model: ScoreModel, steps: Int, threads: Int?) throws -> [Float] {
    let fine = FewestSteps.referenceSteps / steps
    let seed = metadata.seeds.noise
    return try softwareReference(for: model, steps: steps, threads: threads, ticks: steps) { numbers in
      let source = HeldNoise.philox(seed: seed, numbers: numbers)
      return HeldNoise { tick, channel, first, output in
        var part = [Float](repeating: 0, count: output.count)
        output.update(repeating: 0)
        part.withUnsafeMutableBufferPointer { part in
          for index in 0..<fine {
            source.draw(tick: tick * fine + index, channel: channel, firstSample: first, into: part)
            for i in 0..<output.count { output[i] += part[i] }
          }
        }
        let factor = 1 / Float(fine).squareRoot()
        for i in 0..<output.count { output[i] *= factor }
      }
    }
  }

  /// The first sample alone.
  public var first: SampleFile {
    get throws {
      guard count > 0 else { throw SessionError(.malformedFile, "no samples") }
      var one = SampleFile(metadata: metadata)
      one.append(
        x: Array(x[..<2]), xT: Array(xT[..<2]), label: labels[0] == Self.noLabel ? nil : labels[0],
        firstSample: numbers[0])
      return one
    }
  }
}
