import Foundation
import Testing

/// The emulated loop is integrated finely enough: what a chip draws does not depend on the step.
@Suite struct SolverStepTests {
  /// Seed 31 of `cmo-hfox` with all its noise, 50 000 samples from the same starting points and held noise, the chip as it was
  /// left by programming for each run: halving and quartering the step, and noise of each cell instead of one process an
  /// output, change KL2d by less than 1 %. The SDE takes two steps in each of its 200 ticks by itself, so it is halved from there,
  /// and with noise of each cell not quartered, which would take half a minute.
  @Test(arguments: [
    ("ode", ["outputs": [200, 400, 800], "cells": [200, 400, 800]]),
    ("sde", ["outputs": [400, 800, 1600], "cells": [400, 800]]),
  ])
  func stepAndPlaceOfTheNoiseKeepTheQuality(solver: String, steps: [String: [Int]]) async throws {
    let bench = try Workbench()
    let die = bench.path("die.npz")
    let chip = "emu:profile=cmo-hfox,seed=31"
    for command in [["form", "--for", "ring"], ["program", "ring"]] {
      let result = try await bench.rram(command + ["--board", "\(chip),state=\(die)", "--json"])
      #expect(result.status == 0, "\(result.stderr)")
    }
    var quality: [Double] = []
    for noise in ["outputs", "cells"] {
      for steps in try #require(steps[noise]) {
        let state = bench.path("die-\(noise)-\(steps).npz")
        try FileManager.default.copyItem(atPath: die, toPath: state)
        let samples = bench.path("s-\(noise)-\(steps).npz")
        let sampling = try await bench.rram([
          "sample", "ring", "-n", "50000", "--solver", solver, "-o", samples, "--board",
          "\(chip),steps=\(steps),noise=\(noise),state=\(state)", "--json",
        ])
        #expect(sampling.status == 0, "\(sampling.stderr)")
        let evaluation = try await bench.rram(["evaluate", samples, "--json"])
        quality.append(try #require(try evaluation.json()["kl2d"] as? Double))
      }
    }
    for other in quality.dropFirst() { #expect(abs(other / quality[0] - 1) < 0.01, "\(quality)") }
    // Each run was another one: what the address asks for is done.
    #expect(Set(quality).count == quality.count, "\(quality)")
  }
}
