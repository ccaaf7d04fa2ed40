import Foundation
import Testing

@Suite struct CalibrateTests {
  /// Seed 601 of `cmo-hfox`.
  @Test func samplesTakeTheNewestCalibrationThatFitsAndSayWhich() async throws {
    let bench = try Workbench()
    let board = "emu:profile=cmo-hfox,seed=601,state=\(bench.path("die.npz"))"
    for command in [["form", "--for", "ring"], ["program", "ring"], ["wait", "600s"]] {
      let result = try await bench.rram(command + ["--board", board])
      #expect(result.status == 0, "\(result.stderr)")
    }
    let calibrating = try await bench.rram(
      "calibrate", "schedule", "ring", "--iterations", "20", "--predict", "500", "--board", board,
      "--run-dir", bench.path("calibrated"), "--json")
    #expect(calibrating.status == 0, "\(calibrating.stderr)")
    let calibration = try calibrating.json()
    for key in [
      "schema", "id", "file", "model", "solver", "scale", "classes", "target", "dataSHA256", "age_s",
      "standardError_uS",
      "loss", "predicted", "chipSeconds", "hostSeconds",
    ] {
      #expect(calibration[key] != nil, "calibrate schedule --json lacks \(key)")
    }
    // Every command boots the board anew: the chip's clock goes on, and the host's knows nothing of the wait.
    let age = try #require(calibration["age_s"] as? Double)
    #expect(age > 600 && age < 605 && calibration["ageByBoard"] as? Bool == true)
    let id = try #require(calibration["id"] as? String)
    let file = try #require(calibration["file"] as? String)
    #expect(FileManager.default.fileExists(atPath: file))
    // Pictures of three clouds and of the tables, and what they were fitted to.
    let page = try String(contentsOfFile: bench.path("calibrated/report.html"), encoding: .utf8)
    for words in [
      "<figure>", "software", "model's tables", "calibrated", "sliced Wasserstein", "loss, first and last",
      "after the last write",
      "Tables: the model's own (grey)", "embedding 13",
    ] {
      #expect(page.contains(words), "the report lacks '\(words)'")
    }

    func sample(_ arguments: String...) async throws -> CommandResult {
      try await bench.rram(["sample", "ring", "-n", "50", "--board", board, "--json"] + arguments)
    }
    let calibrated = try await sample()
    #expect(calibrated.stderr.contains("calibration \(id) (target software)"))
    #expect((try calibrated.json()["calibration"] as? [String: Any])?["id"] as? String == id)
    #expect(try await sample("--calibration", "none").json()["calibration"] is NSNull)
    let tracked = try await sample("--track", "--track-every", "30", "-o", bench.path("t.npz"))
    let updates = try #require(try tracked.json()["tracking"] as? [[String: Any]], "\(tracked.stderr)")
    #expect(updates.map { $0["firstSample"] as? Int } == [0, 30] && updates.map { $0["count"] as? Int } == [30, 20])
    let untracked = try await sample("--track", "--calibration", "none")
    #expect(untracked.status == 1 && untracked.stderr.contains("--track updates a calibration, and none is used"))
    // What does not fit is skipped unless it was asked for.
    let skipped = try await sample("--solver", "sde")
    #expect(skipped.status == 0 && skipped.stderr.contains("no calibration is used: calibration \(id) is for the ode"))
    let wrongSolver = try await sample("--solver", "sde", "--calibration", file)
    #expect(wrongSolver.status == 1 && wrongSolver.stderr.contains("is for the ode, the run is of the sde"))
    let foreign = bench.path("foreign.json")
    try String(contentsOfFile: file, encoding: .utf8).replacing("\"chip\":\"EMU", with: "\"chip\":\"OTHER")
      .write(toFile: foreign, atomically: true, encoding: .utf8)
    let wrongChip = try await sample("--calibration", foreign)
    #expect(wrongChip.status == 1 && wrongChip.stderr.contains("is of chip OTHER-cmo-hfox-601"), "\(wrongChip.stderr)")
    #expect(wrongChip.stdout.isEmpty)
    let unknown = try await sample("--calibration", "nothing")
    #expect(unknown.status == 1 && unknown.stderr.contains("the newest are \(id)"), "\(unknown.stderr)")
  }

  @Test func wrongTargetsAreRefusedBeforeABoardIsAsked() async throws {
    let bench = try Workbench()
    let letters = try await bench.rram("calibrate", "schedule", "letters", "--target", "ring", "--board", "usb:none")
    #expect(letters.status == 65 && letters.stderr.contains("no classes"), "\(letters.stderr)")
    let none = try await bench.rram("calibrate", "schedule", "ring", "--target", "nowhere.npy", "--board", "usb:none")
    #expect(none.status == 65, "\(none.stderr)")
    let label = try await bench.rram("calibrate", "schedule", "ring", "--class", "K", "--board", "usb:none")
    #expect(label.status == 64, "\(label.stderr)")
    #expect(!FileManager.default.fileExists(atPath: bench.path("home")))
  }
}
