import Foundation
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
    #expect(try resumed.json()["samples"] as? Int == 140)

    let other = try await bench.rram("sample", "--resume", bench.path("nothing"), "--board", board)
    #expect(other.status == 65, "\(other.stderr)")
    let model = try await bench.rram("sample", "ring", "--resume", bench.path("cut"), "--board", board)
    #expect(model.status == 64, "\(model.stderr)")
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

  @Test func guidanceIsRefusedWhereItCannotBePlayed() async throws {
    let bench = try Workbench()
    for (arguments, status, message) in [
      (["sample", "ring", "--guidance", "1"], 64, "guidance 1.0: 'ring' has no classes to guide to"),
      (["sample", "letters", "--class", "none", "--guidance", "1"], 64, "guidance 1.0 needs a class"),
      (["sample", "letters", "--guidance", "-1"], 64, "--guidance -1.0: a number of at least 0 is needed"),
      (["schedule", "letters", "--class", "K", "--guidance", "3"], 1, "the largest w that fits is 1.673, asked 3.0"),
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
