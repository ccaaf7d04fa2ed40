import Foundation
import Testing

@Suite struct WriteCommandTests {
  @Test func levelsAreWrittenAndTheHistoryIsKept() async throws {
    let bench = try Workbench()
    let board = "emu:profile=hfox-mlc,seed=41,state=\(bench.path("die.npz"))"
    #expect(try await bench.rram("form", "--board", board).status == 0)
    let first = try await bench.rram(
      "write", "--strategy", "response", "--later", "2", "--passes", "2", "--board", board, "--json")
    #expect(first.status == 0, "\(first.stderr)")
    let report = try first.json()
    for key in [
      "schema", "strategy", "runner", "passes", "between_s", "all", "levels", "knownCells", "laterReads", "requests",
      "rounds", "chipSeconds", "busSeconds", "hostSeconds", "processorSeconds", "masked", "failures",
    ] { #expect(report[key] != nil, "write --json lacks \(key)") }
    let all = try #require(report["all"] as? [String: Any])
    #expect(try #require(all["accepted_percent"] as? Double) > 99.5)
    #expect((report["levels"] as? [Any])?.count == 4)
    #expect(report["knownCells"] as? Int == 0)
    let again = try await bench.rram(
      "write", "--strategy", "response", "--levels", "40..44,120..130", "--later", "0", "--board", board, "--json")
    #expect(try #require(try again.json()["knownCells"] as? Int) > 3000, "\(again.stderr)")
    let gate = try await bench.rram("write", "--strategy", "gate-ramp", "--board", "emu:profile=cmo-hfox")
    #expect(gate.status == 1 && gate.stderr.contains("the gate does not control the SET"), "\(gate.stderr)")
    let outside = try await bench.rram("write", "--levels", "400..500", "--board", board)
    #expect(outside.status == 1 && outside.stderr.contains("holds no conductance that the chip permits"))
    for wrong in ["5..3", "1", "a..b", "1..2,"] {
      #expect(try await bench.rram("write", "--levels", wrong).status == 64)
    }
  }

  @Test func qualityIsChosenForecastAndChecked() async throws {
    let bench = try Workbench()
    let board = "emu:profile=cmo-hfox,seed=43,state=\(bench.path("die.npz"))"
    #expect(try await bench.rram("form", "--for", "ring", "--board", board).status == 0)
    let dry = try await bench.rram(
      "program", "ring", "--quality", "equivalent", "--dry-run", "--board", board, "--json")
    #expect(dry.status == 0, "\(dry.stderr)")
    let recipe = try dry.json()
    #expect(recipe["goal"] as? String == "equivalent" && recipe["meetsGoal"] as? Bool == true)
    #expect((recipe["choice"] as? [String: Any])?["calibration"] as? String == "once")
    // Nothing was written.
    let sample = try await bench.rram("sample", "ring", "-n", "10", "--board", board)
    #expect(sample.status == 1 && sample.stderr.contains("no network was programmed"), "\(sample.stderr)")
    let program = try await bench.rram("program", "ring", "--quality", "equivalent", "--board", board, "--json")
    #expect(program.status == 0, "\(program.stderr)")
    let check = try #require(try program.json()["check"] as? [String: Any])
    #expect(try #require(check["kl2d"] as? Double) < 1.3)
    #expect(check["calibration"] is String)
    for wrong in [["--dry-run"], ["--quality", "fast", "--strategy", "ispp"], ["--quality", "fast", "--retry", "1"]] {
      #expect(try await bench.rram(["program", "ring"] + wrong).status == 64)
    }
  }

  /// What 'form' chose and formed is what 'program' finds and writes; without it there is one mapping, and a hint.
  @Test func formAndProgramChooseTheSameMapping() async throws {
    let bench = try Workbench()
    let board = "emu:profile=hfox-analog,seed=44,state=\(bench.path("die.npz"))"
    let formed = try await bench.rram("form", "--for", "ring", "--quality", "equivalent", "--board", board, "--json")
    #expect(formed.status == 0, "\(formed.stderr)")
    let document = try formed.json()
    let recipe = try #require(document["recipe"] as? [String: Any])
    let choice = try #require(recipe["choice"] as? [String: Any])
    #expect(recipe["meetsGoal"] as? Bool == true && choice["screened"] as? Bool == true)
    #expect((choice["mapping"] as? [String: Any])?["pairs"] as? String == "sparse")
    #expect(document["screened"] is [String: Any])
    let dry = try await bench.rram(
      "program", "ring", "--quality", "fast", "--dry-run", "--board", board, "--json")
    let found = try #require(try dry.json()["choice"] as? [String: Any])
    #expect((found["mapping"] as? [String: Any])?["pairs"] as? String == "sparse" && found["screened"] as? Bool == true)
    for wrong in [["--quality", "fast"], ["--for", "ring", "--quality", "fast", "--screen"]] {
      #expect(try await bench.rram(["form"] + wrong).status == 64)
    }
  }
}
