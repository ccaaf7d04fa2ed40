import Foundation
import Subprocess
import SystemPackage
import Testing

/// `rram characterize`.
@Suite struct CharacterizeTests {
  private static let chip = "emu:profile=hfox-analog,seed=3,state=die.npz"

  @Test func aPlanEndsInAReportThatNumpyAndABrowserRead() async throws {
    let bench = try Workbench()
    try """
    name: short
    steps:
      - contact:
      - forming: {cells: 64}
      - readNoise: {cells: 8, reads: 32}
    """.write(toFile: bench.path("short.yaml"), atomically: true, encoding: .utf8)
    let dry = try await bench.rram("--board", Self.chip, "characterize", "./short.yaml", "--dry-run", "--json")
    let steps = try #require(try dry.json()["steps"] as? [[String: Any]])
    #expect(steps.map { $0["title"] as? String } == ["Contact, shorts and opens", "Forming", "Read noise"])
    #expect((steps[1]["expected"] as? [String: Any])?["pulsesPerCell"] as? Int == 25)

    let result = try await bench.rram("--board", Self.chip, "characterize", "./short.yaml", "-o", "report", "--json")
    #expect(result.status == 0, "\(result.stderr)")
    #expect(result.stderr.contains("2/3 Forming: about 1600 pulses, at most 25 a cell"))
    #expect((try result.json()["steps"] as? [[String: Any]])?.count == 3)
    #expect(FileManager.default.fileExists(atPath: bench.path("report/report.html")))
    let script = "import sys, numpy; f = numpy.load(sys.argv[1]); print(f['conductance_S'].shape, f['row'].dtype)"
    let shapes = try await Subprocess.run(
      .path("/usr/bin/python3"), arguments: ["-c", script, bench.path("report/03-readNoise.npz")],
      output: .string(limit: 4096), error: .string(limit: 4096))
    #expect(shapes.standardOutput == "(32, 8) int64\n")

    // The ledger knows the run, the pulses that it spent, and the cells that did not form.
    let runs = try #require(try await bench.rram("runs", "--json").json()["runs"] as? [[String: Any]])
    #expect(runs.count == 1 && runs[0]["name"] as? String == "report" && runs[0]["exitStatus"] as? Int == 0)
    let chip = try await bench.rram("chip", "show", "EMU-hfox-analog-3", "--json").json()
    let wear = try #require((chip["wear"] as? [[String: Any]])?.first)
    #expect(try #require(wear["formingPulsesMax"] as? Int) > 5 && wear["pulsesMax"] as? Int == 0)
    let map = try await bench.rram("chip", "map", "EMU-hfox-analog-3", "-o", "map.svg")
    #expect(map.status == 0 && FileManager.default.fileExists(atPath: bench.path("map.svg")), "\(map.stderr)")
    #expect(try await bench.rram("runs", "compare", "report", "report").stdout.hasPrefix("no setting differs"))
    #expect(try await bench.rram("runs", "show", "nothing").status == 65)

    // Nothing is left to do: the report is drawn again from what is there.
    let again = try await bench.rram("--board", Self.chip, "characterize", "--resume", "report")
    #expect(again.status == 0 && again.stderr.contains("3/3 Read noise: done before"), "\(again.stderr)")
    let other = try await bench.rram("--board", "emu:profile=hfox-analog,seed=4", "characterize", "--resume", "report")
    #expect(other.status == 1 && other.stderr.contains("belongs to chip EMU-hfox-analog-3"), "\(other.stderr)")
  }

  @Test func whatMakesNoSenseIsRefused() async throws {
    let bench = try Workbench()
    try "name: bad\nsteps:\n  - forming: {cels: 64}\n".write(
      toFile: bench.path("bad.yaml"), atomically: true, encoding: .utf8)
    for (arguments, status, message) in [
      (["characterize"], 64, "name a plan (full, quick or a file) or a run"),
      (["characterize", "quickly"], 64, "there is no 'quickly' (valid: full, quick)"),
      (["characterize", "./bad.yaml"], 65, "./bad.yaml:3: steps[1].forming: unknown key 'cels' (valid: cells)"),
      (["characterize", "--resume", "nowhere"], 65, "no such run"),
      (["characterize", "quick", "--macro", "9"], 1, "there is no macro 9; the board has 4, from 0"),
      (["characterize", "quick", "--exclude", "3"], 64, "--exclude 3: expected ROW:COLUMN, ROW: or :COLUMN"),
    ] {
      let result = try await bench.rram(["--board", Self.chip] + arguments)
      #expect(result.status == status && result.stderr.contains(message), "\(arguments): \(result.stderr)")
    }
  }
}
