import Foundation
import RRAMKit
import Testing

/// `rram sample` beyond the main path: other processes, guidance, runs that were cut short.
@Suite struct SampleCommandTests {
  /// Forms and programs a model on an ideal chip; returns the board's address.
  private func chip(_ model: String, seed: Int, _ bench: borrowing Workbench) async throws -> String {
    let board = "emu:profile=ideal,seed=\(seed),state=\(bench.path("die.npz"))"
    for command in [["form", "--for", model], ["program", model]] {
      let result = try await bench.rram(command + ["--board", board, "--json"])
      #expect(result.status == 0, "\(result.stderr)")
    }
    return board
  }

  /// Seed 21 of `ideal`: a run whose host died after 100 samples and a half, resumed, gives the bytes of one that was not.
  @Test func resumedRunEqualsAnUninterruptedOne() async throws {
    let bench = try Workbench()
    let board = try await chip("letters", seed: 21, bench)
    let whole = try await bench.rram(
      "sample", "letters", "-n", "240", "--seed", "5", "-o", bench.path("a.npz"), "--run-dir", bench.path("whole"),
      "--board", board, "--json")
    #expect(whole.status == 0, "\(whole.stderr)")
    let journal = try Data(contentsOf: URL(filePath: bench.path("whole/samples.journal")))
    #expect(journal.count == 240 * 24)

    try FileManager.default.createDirectory(atPath: bench.path("cut"), withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      atPath: bench.path("whole/manifest.json"), toPath: bench.path("cut/manifest.json"))
    try journal.prefix(100 * 24 + 11).write(to: URL(filePath: bench.path("cut/samples.journal")))
    let resumed = try await bench.rram(
      "sample", "--resume", bench.path("cut"), "-o", bench.path("b.npz"), "--board", board, "--json")
    #expect(resumed.status == 0, "\(resumed.stderr)")
    #expect(
      try Data(contentsOf: URL(filePath: bench.path("a.npz")))
        == Data(contentsOf: URL(filePath: bench.path("b.npz"))))
    // The samples that were there already are not drawn again.
    #expect(try resumed.json()["samples"] as? Int == 140 && resumed.json()["keptSamples"] as? Int == 100)

    let other = try await bench.rram("sample", "--resume", bench.path("nothing"), "--board", board)
    #expect(other.status == 65, "\(other.stderr)")
    let model = try await bench.rram("sample", "ring", "--resume", bench.path("cut"), "--board", board)
    #expect(model.status == 64, "\(model.stderr)")
  }

  /// Seed 23 of `ideal`: paths lead from start to sample, change no sample, and outlive an interruption.
  @Test func pathsAreKeptAndResumed() async throws {
    let bench = try Workbench()
    let board = try await chip("ring", seed: 23, bench)
    func sample(_ arguments: String...) async throws {
      let result = try await bench.rram(["sample"] + arguments + ["--board", board, "--json"])
      #expect(result.status == 0, "\(result.stderr)")
    }
    try await sample("ring", "-n", "40", "-o", "plain.npz")
    try await sample("ring", "-n", "40", "--trajectories", "40", "-o", "a.npz", "--run-dir", "whole")
    let (plain, whole) = (try SampleFile(path: bench.path("plain.npz")), try SampleFile(path: bench.path("a.npz")))
    #expect(whole.x == plain.x && plain.times.isEmpty)
    #expect(whole.times.count == 6 && whole.times.first == 1)
    let end = try #require(whole.times.last)
    #expect(abs(end - 1e-4) < 1e-6)
    for index in 0..<40 {
      let path = whole.trajectory[12 * index..<12 * (index + 1)]
      #expect(Array(path.prefix(2)) == Array(whole.xT[2 * index..<2 * index + 2]))
      #expect(Array(path.suffix(2)) == Array(whole.x[2 * index..<2 * index + 2]))
    }
    #expect(FileManager.default.fileExists(atPath: bench.path("whole/trajectories.svg")))

    let journal = try Data(contentsOf: URL(filePath: bench.path("whole/samples.journal")))
    #expect(journal.count == 2880)
    try FileManager.default.createDirectory(atPath: bench.path("cut"), withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      atPath: bench.path("whole/manifest.json"), toPath: bench.path("cut/manifest.json"))
    try journal.prefix(17 * 72 + 30).write(to: URL(filePath: bench.path("cut/samples.journal")))
    try await sample("--resume", "cut", "-o", "b.npz")
    #expect(
      try Data(contentsOf: URL(filePath: bench.path("a.npz"))) == Data(contentsOf: URL(filePath: bench.path("b.npz"))))
  }

  @Test func pathsThatDoNotFitAreRefused() async throws {
    let bench = try Workbench()
    for (arguments, message) in [
      (["--trajectories", "0"], "--trajectories 0: 1 to 200 ticks between points are possible"),
      (["--trajectories", "201"], "1 to 200 ticks"),
      (
        ["--trajectories", "1", "-n", "1000000"],
        "1000000 paths of 201 points take 1533 MiB, 256 MiB are kept at most: -n 166937"
      ),
    ] {
      let result = try await bench.rram(["sample", "ring", "--board", "emu:"] + arguments)
      #expect(result.status == 64 && result.stderr.contains(message), "\(arguments): \(result.stderr)")
    }
  }

  @Test func startPointsAndClassesThatCannotBeAreRefusedWithWhatWasFound() async throws {
    let bench = try Workbench()
    try NPYArray([Float(0), 1, 2, 3], shape: [2, 2]).write(to: bench.path("two.npy"))
    try NPYArray([Float(0), 1, 2, .nan], shape: [2, 2]).write(to: bench.path("nan.npy"))
    try NPYArray([Float.infinity, 1, 2, 3], shape: [2, 2]).write(to: bench.path("inf.npy"))
    for (arguments, status, message) in [
      (["ring", "-n", "3", "--start", "two.npy"], 65, "shape [2, 2] of <f4, numbers of shape (3, 2) are needed"),
      (["ring", "-n", "2", "--start", "nan.npy"], 65, "point 1 is nan"),
      (["ring", "-n", "2", "--start", "inf.npy"], 65, "point 0 is inf"),
      (["ring", "-n", "2", "--start", "none.npy"], 65, "none.npy"),
      (["letters", "--class", "Q"], 64, "has the classes 0 (H), 1 (K), 2 (U), and none"),
      (["letters", "--class", "7"], 64, "has the classes 0 (H), 1 (K), 2 (U), and none"),
      (["ring", "--ticks", "0"], 64, "--ticks 0: at least 1 is needed"),
    ] {
      let result = try await bench.rram(["sample"] + arguments + ["--board", "emu:"])
      #expect(result.status == status && result.stderr.contains(message), "\(arguments): \(result.stderr)")
    }
  }

  /// Seed 22 of `ideal`, 2 000 samples: a flow runs through the same commands, rms to software ≤ 2e-3.
  @Test(arguments: [("ring-flow", "2000"), ("letters-flow", "1500")])
  func flowsRunThroughTheSameCommands(model: String, count: String) async throws {
    let bench = try Workbench()
    let board = try await chip(model, seed: 22, bench)
    let samples = bench.path("s.npz")
    let sampling = try await bench.rram("sample", model, "-n", count, "-o", samples, "--board", board, "--json")
    #expect(sampling.status == 0, "\(sampling.stderr)")
    let evaluation = try await bench.rram("evaluate", samples, "--model", model, "--json")
    #expect(evaluation.status == 0, "\(evaluation.stderr)")
    let quality = try evaluation.json()
    #expect(try #require(quality["rmsToSoftware"] as? Double) <= 2e-3)
    // A wrong sign or a network that learnt nothing is off by 0.1 and more.
    #expect(try #require(quality["slicedWasserstein"] as? Double) < 0.05)
    if model == "letters-flow" {
      let letters = try #require(quality["letters"] as? [String: Any])
      // n = 500 a class; the share is above 0.95, its standard error 0.01.
      #expect(try #require(letters["mean"] as? Double) > 0.95)
      #expect((letters["classes"] as? [String: Double])?.keys.sorted() == ["H", "K", "U"])
    }
    let sde = try await bench.rram("sample", model, "-n", "10", "--solver", "sde", "--board", board)
    #expect(sde.status == 64 && sde.stderr.contains("is a flow, which has no SDE"), "\(sde.stderr)")
  }

  /// 4 000 and 2 000 samples in software: no board is needed.
  @Test func anyTwoSetsAreCompared() async throws {
    let bench = try Workbench()
    let (n, sample) = (300, bench.path("a.npy"))
    // A ring of radius 0.7, evenly spaced; float32, as samples are kept.
    let points = (0..<n).flatMap { [0.7 * cos(Float($0) * 0.021), 0.7 * sin(Float($0) * 0.021)] }
    try NPYArray(points, shape: [n, 2]).write(to: sample)
    func quality(_ arguments: String...) async throws -> [String: Any] {
      let result = try await bench.rram(["evaluate"] + arguments + ["--json"])
      #expect(result.status == 0, "\(arguments): \(result.stderr)")
      return try result.json()
    }
    // A set is at no distance from itself.
    let same = try await quality(sample, sample)
    #expect(same["n"] as? Int == n && same["nData"] as? Int == n)
    for key in ["kl1d", "kl2d", "slicedWasserstein", "energyDistance"] {
      #expect(abs(try #require(same[key] as? Double)) < 1e-12, "\(key)")
    }
    #expect(try #require(try await quality(sample, "ring")["slicedWasserstein"] as? Double) < 0.05)
    let software = try await quality("software:ring", "-n", "4000")
    #expect(software["n"] as? Int == 4000 && software["data"] as? String == "ring")
    // KL2d of 4 000 samples of 'ring' is 0.16 ± 0.01; of another start noise the network is as near to itself as that allows.
    #expect(try #require(software["kl2d"] as? Double) < 0.25)
    let twice = try await quality("software:ring", "software:ring", "-n", "2000")
    let distance = try #require(twice["slicedWasserstein"] as? Double)
    #expect(distance > 0 && distance < 0.05)
    let letters = try await quality("software:letters-flow", "-n", "1500")
    #expect((letters["classes"] as? [String: Any])?.count == 3)
    #expect(
      (try await quality("software:letters-flow", sample, "-n", "600")["classes"] as? [String: Any])?.isEmpty == true)
  }

  @Test func setsThatCannotBeComparedAreRefused() async throws {
    let bench = try Workbench()
    try NPYArray([Float(0), 1, 2, 3, 4, 5], shape: [2, 3]).write(to: bench.path("wide.npy"))
    try NPYArray([Float(0), 1, .nan, 3], shape: [2, 2]).write(to: bench.path("nan.npy"))
    try NPYArray([Float(0), 1, 2, 3], shape: [2, 2]).write(to: bench.path("good.npy"))
    for (arguments, status, message) in [
      (["wide.npy", "ring"], 65, "shape [2, 3]"),
      (["nan.npy", "good.npy"], 65, "point 1 is nan"),
      (["good.npy", "nan.npy"], 65, "point 1 is nan"),
      (["good.npy"], 64, "do not say what they are samples of"),
      (["good.npy", "letters"], 65, "cannot be compared class by class"),
      (["good.npy", "ring", "--model", "ring"], 65, "do not say what they started from"),
      (["good.npy", "ring", "--against", "ring"], 64, "one of them is possible"),
      (["software:rings"], 64, "model 'rings': unknown"),
      (["rings", "ring"], 64, "data 'rings': unknown"),
    ] {
      let result = try await bench.rram(["evaluate"] + arguments)
      #expect(result.status == status && result.stderr.contains(message), "\(arguments): \(result.stderr)")
    }
    #expect(try await bench.rram("evaluate", "good.npy", "letters", "--pooled").status == 0)
  }

  @Test func guidanceIsRefusedWhereItCannotBePlayed() async throws {
    let bench = try Workbench()
    for (arguments, status, message) in [
      (["sample", "ring", "--guidance", "1"], 64, "guidance 1.0: 'ring' has no classes to guide to"),
      (["sample", "letters", "--class", "none", "--guidance", "1"], 64, "guidance 1.0 needs a class"),
      (["sample", "letters", "--guidance", "-1"], 64, "--guidance -1.0: a number of at least 0 is needed"),
      (["schedule", "letters", "--class", "K", "--guidance", "30"], 1, "the largest w that fits is 25.60"),
      (["schedule", "letters", "--class", "Q"], 64, "has the classes 0 (H), 1 (K), 2 (U), and none"),
      (["schedule", "ring", "--board", "emu:board=multiplexed"], 1, "board 'multiplexed' has no closed loop"),
      (["schedule", "ring-flow", "--scale", "2"], 64, "only vp has a scale"),
    ] {
      let result = try await bench.rram(arguments.contains("--board") ? arguments : arguments + ["--board", "emu:"])
      #expect(result.status == status && result.stderr.contains(message), "\(arguments): \(result.stderr)")
    }
  }

  @Test func scheduleShowsItsTables() async throws {
    let bench = try Workbench()
    let result = try await bench.rram(
      "schedule", "letters", "--class", "U", "--plot", bench.path("s.svg"), "--json")
    #expect(result.status == 0, "\(result.stderr)")
    let schedule = try result.json()
    #expect(schedule["ticks"] as? Int == 200 && schedule["classLabel"] as? Int == 2)
    let channels = try #require(schedule["channels"] as? [[String: Any]])
    #expect(channels.first?["name"] as? String == "a" && channels.last?["name"] as? String == "noise (4 σ)")
    #expect(channels.allSatisfy { ($0["values"] as? [Double])?.count == 200 })
    let picture = try String(contentsOfFile: bench.path("s.svg"), encoding: .utf8)
    #expect(picture.contains("<svg"))
  }
}
