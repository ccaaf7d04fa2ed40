import Foundation
import Subprocess
import SystemPackage
import Testing

/// The chain a user runs, as separate commands on one emulated chip.
@Suite struct MainPathTests {
  /// Seed 11 of `ideal`, 20 000 samples: rms to software ≤ 1e-3, KL2d and SWD within 1 %.
  @Test func ringOnAnIdealChipEqualsSoftware() async throws {
    let bench = try Workbench()
    let board = "emu:profile=ideal,seed=11,state=\(bench.path("die.npz"))"
    let forming = try await bench.rram("form", "--for", "ring", "--board", board, "--json")
    #expect(forming.status == 0, "\(forming.stderr)")
    let programming = try await bench.rram("program", "ring", "--board", board, "--json")
    #expect(programming.status == 0, "\(programming.stderr)")
    let waiting = try await bench.rram("wait", "60s", "--board", board, "--json")
    #expect(waiting.status == 0, "\(waiting.stderr)")
    let samples = bench.path("s.npz")
    let sampling = try await bench.rram("sample", "ring", "-n", "20000", "-o", samples, "--board", board, "--json")
    #expect(sampling.status == 0, "\(sampling.stderr)")
    let evaluation = try await bench.rram("evaluate", samples, "--model", "ring", "--json")
    #expect(evaluation.status == 0, "\(evaluation.stderr)")

    let program = try programming.json()
    for key in [
      "schema", "cells", "inTolerance", "tolerance_uS", "pulses", "reads", "error_uS", "weightErrorPercent", "requests",
      "chipSeconds", "hostSeconds", "busSeconds", "failures",
    ] {
      #expect(program[key] != nil, "program --json lacks \(key)")
    }
    #expect(program["cells"] as? Int == 564)
    let sample = try sampling.json()
    for key in [
      "schema", "samples", "solver", "classLabel", "chipSecondsPerSample", "hostSeconds", "dutyCycle", "busSeconds",
      "energyPerSample_J", "file",
    ] {
      #expect(sample[key] != nil, "sample --json lacks \(key)")
    }
    let quality = try evaluation.json()
    for key in [
      "schema", "n", "kl1d", "kl2d", "slicedWasserstein", "energyDistance", "radiusMean", "radiusStd", "nData",
      "dataSHA256", "nonFinite", "software", "ratio", "ratioToRing",
    ] {
      #expect(quality[key] != nil, "evaluate --json lacks \(key)")
    }
    #expect(quality["n"] as? Int == 20_000)
    let ratio = try #require(quality["ratio"] as? [String: Any])
    for metric in ["kl2d", "slicedWasserstein"] {
      let value = try #require(ratio[metric] as? Double)
      #expect(abs(value - 1) <= 0.01, "\(metric) ratio \(value)")
    }
    #expect(try #require(quality["rmsToSoftware"] as? Double) <= 1e-3)
  }

  /// Seed 12 of `ideal`, ODE, 20 000 samples over the classes: rms to software ≤ 1e-3, KL2d and SWD within 1 %.
  @Test func lettersOnAnIdealChipEqualSoftware() async throws {
    let bench = try Workbench()
    let board = "emu:profile=ideal,seed=12,state=\(bench.path("die.npz"))"
    for command in [
      ["form", "--for", "letters"], ["program", "letters"],
      ["sample", "letters", "--solver", "ode", "-n", "20000", "-o", bench.path("l.npz")],
    ] {
      let result = try await bench.rram(command + ["--board", board])
      #expect(result.status == 0, "\(result.stderr)")
    }
    let quality = try await bench.rram("evaluate", bench.path("l.npz"), "--model", "letters", "--json").json()
    let ratio = try #require(quality["ratio"] as? [String: Any])
    for metric in ["kl2d", "slicedWasserstein"] {
      let value = try #require(ratio[metric] as? Double)
      #expect(abs(value - 1) <= 0.01, "\(metric) ratio \(value)")
    }
    #expect(try #require(quality["rmsToSoftware"] as? Double) <= 1e-3)
  }

  /// Seed 136 of `cmo-hfox` has a cell where the ring goes that forms and then stays low, so only programming finds it; remembered, it
  /// is avoided the next time.
  @Test func theNetworkMovesOffCellsThatAreFoundBad() async throws {
    let bench = try Workbench()
    let board = "emu:profile=cmo-hfox,seed=136,state=\(bench.path("die.npz"))"
    #expect(try await bench.rram("form", "--for", "ring", "--board", board).status == 0)
    let first = try await bench.rram("program", "ring", "--board", board, "--json")
    #expect((try first.json()["failures"] as? [Any])?.count == 1)
    #expect(first.stderr.contains("remembered"))
    #expect(try await bench.rram("form", "--for", "ring", "--board", board).status == 0)
    let second = try await bench.rram("program", "ring", "--board", board, "--json")
    #expect((try second.json()["failures"] as? [Any])?.isEmpty == true, "\(second.stdout)")
  }

  /// A host record stricter than the chip's own: nothing that exceeds it leaves the host, the closed loop included.
  @Test func aChipsOwnLimitsRecordBindsEveryVerb() async throws {
    let bench = try Workbench()
    let board = "emu:profile=ideal,seed=4,state=\(bench.path("die.npz"))"
    for command in [["form", "--for", "ring"], ["program", "ring"]] {
      #expect(try await bench.rram(command + ["--board", board]).status == 0)
    }
    let folder = bench.folder.appending(path: "home/chips/EMU-ideal-4")
    try Data(
      """
      wordLine: {value: 3.3, unit: V, assumed: test}
      bitLine: {value: 0.2, unit: V, assumed: test}
      sourceLine: {value: 0.2, unit: V, assumed: test}
      forming: {value: 0, unit: V, assumed: test}
      read: {value: 0.2, unit: V, assumed: test}
      pulseWidth:
        min: {value: 20, unit: ns, assumed: test}
        max: {value: 100, unit: µs, assumed: test}
      pulsesPerRequest: {value: 10, unit: "1", assumed: test}
      conductance:
        min: {value: 2, unit: µS, assumed: test}
        max: {value: 150, unit: µS, assumed: test}
      """.utf8
    ).write(to: folder.appending(path: "limits.yaml"))
    #expect(try await bench.rram("read", "--board", board).status == 0)
    for command in [["sample", "ring", "-n", "8"], ["program", "ring"], ["form"]] {
      let result = try await bench.rram(command + ["--board", board])
      #expect(result.status == 1)
      #expect(result.stderr.contains("limit"), "\(command): \(result.stderr)")
    }
  }

  /// Seed 5 of `cmo-hfox`, straight after programming, ages as they are: KL2d within 3×.
  @Test func ringOnACMOHfOxChipStaysARing() async throws {
    let bench = try Workbench()
    let board = "emu:profile=cmo-hfox,seed=5,state=\(bench.path("die.npz"))"
    for command in [
      ["form", "--for", "ring"], ["program", "ring"], ["sample", "ring", "-n", "20000", "-o", bench.path("s.npz")],
    ] {
      let result = try await bench.rram(command + ["--board", board, "--json"])
      #expect(result.status == 0, "\(result.stderr)")
    }
    let quality = try await bench.rram("evaluate", bench.path("s.npz"), "--model", "ring", "--json").json()
    let ratio = try #require((quality["ratio"] as? [String: Any])?["kl2d"] as? Double)
    #expect(ratio <= 3)
    #expect(ratio > 0.5)
  }

  @Test func numpyReadsTheSampleFile() async throws {
    let bench = try Workbench()
    let board = "emu:profile=ideal,seed=2,state=\(bench.path("die.npz"))"
    for command in [
      ["form", "--for", "letters"], ["program", "letters"],
      ["sample", "letters", "--class", "K", "-n", "64", "-o", bench.path("k.npz")],
    ] {
      let result = try await bench.rram(command + ["--board", board])
      #expect(result.status == 0, "\(result.stderr)")
    }
    let script = """
      import json, sys, numpy
      f = numpy.load(sys.argv[1])
      m = json.loads(str(f["meta"]))
      print(f["x"].shape, f["x"].dtype, f["xT"].shape, sorted(set(f["label"].tolist())), m["solver"], m["class"])
      """
    let result = try await Subprocess.run(
      .path("/usr/bin/python3"), arguments: ["-c", script, bench.path("k.npz")], output: .string(limit: 4096),
      error: .string(limit: 4096))
    #expect(result.standardOutput == "(64, 2) float32 (64, 2) [1] sde 1\n", "\(result.standardError)")
  }

  @Test func aWholeMacroIsReadWithAtMostThreeRequests() async throws {
    let bench = try Workbench()
    let result = try await bench.rram("read", "--macro", "0", "--board", "emu:profile=ideal", "--json")
    let document = try result.json()
    #expect(document["cells"] as? Int == 4096)
    #expect(try #require(document["requests"] as? Int) <= 3)
  }

  @Test func sampleRefusesAChipThatWasChangedSince() async throws {
    let bench = try Workbench()
    let board = "emu:profile=ideal,seed=4,state=\(bench.path("die.npz"))"
    for command in [["form", "--for", "ring"], ["program", "ring"]] {
      #expect(try await bench.rram(command + ["--board", board]).status == 0)
    }
    let other = try await bench.rram("sample", "letters", "-n", "8", "--board", board)
    #expect(other.status == 1)
    #expect(other.stderr.contains("ring"), "\(other.stderr)")
    // Forming other cells of the same macros loads the network's columns: its counter tells.
    #expect(try await bench.rram("form", "--board", board).status == 0)
    let changed = try await bench.rram("sample", "ring", "-n", "8", "--board", board)
    #expect(changed.status == 1)
    #expect(changed.stderr.contains("write counter"), "\(changed.stderr)")
    // A host that does not know what it put there must not guess.
    try FileManager.default.removeItem(atPath: bench.path("home"))
    let unknown = try await bench.rram("sample", "ring", "-n", "8", "--board", board)
    #expect(unknown.status == 1, "\(unknown.stderr)")
  }

  @Test func aSecondOpenerOfAStateFileIsToldSo() async throws {
    let bench = try Workbench()
    let state = bench.path("die.npz")
    let board = "emu:profile=ideal,state=\(state)"
    #expect(try await bench.rram("form", "--for", "ring", "--board", board).status == 0)
    let lock = open(state + ".lock", O_RDWR | O_CREAT, 0o600)
    defer { close(lock) }
    #expect(flock(lock, LOCK_EX | LOCK_NB) == 0)
    let result = try await bench.rram("info", "--board", board)
    #expect(result.status == 75)
    #expect(result.stderr.contains("die.npz"))
  }
}
