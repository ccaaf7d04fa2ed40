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

  /// The differences of pairs, from the plan to the report: map says what to expect, program and verify what was found.
  @Test func pairsAreWrittenByTheirDifference() async throws {
    let bench = try Workbench()
    let board = "emu:profile=cmo-hfox,seed=46,state=\(bench.path("die.npz"))"
    #expect(try await bench.rram("form", "--for", "ring", "--board", board).status == 0)
    let map = try await bench.rram("map", "ring", "--strategy", "pair-aware", "--draws", "0", "--board", board)
    #expect(
      map.stdout.contains("written pair-aware: G+ − G− of every pair within ±0.424 µS of its target"), "\(map.stdout)")
    let program = try await bench.rram("program", "ring", "--strategy", "pair-aware", "--board", board, "--json")
    #expect(program.status == 0, "\(program.stderr)")
    let report = try program.json()
    #expect(report["strategy"] as? String == "pair-aware")
    let difference = try #require(report["differenceError_uS"] as? [String: Any])
    #expect(difference["verify"] is [String: Any] && difference["after1s"] is [String: Any])
    let verify = try await bench.rram("verify", "--board", board)
    #expect(verify.stdout.contains("in pairs whose difference is within ±0.424 µS"), "\(verify.stdout)")
    #expect(verify.stdout.contains("error of G+ − G−"))
    #expect(try await bench.rram("sample", "ring", "-n", "10", "--board", board).status == 0)
    let levels = try await bench.rram("write", "--strategy", "pair-aware", "--board", board)
    #expect(levels.status == 64 && levels.stderr.contains("levels are of single cells"), "\(levels.stderr)")
    let capped = try await bench.rram("program", "ring", "--maximum-voltage", "0.4", "--board", board, "--json")
    #expect(try capped.status == 3 && (capped.json()["inTolerance"] as? Int ?? 564) < 500, "\(capped.stderr)")
  }

  /// Hidden units times factors: chosen, kept with the program, sampled with the embeddings that go with them; refused with numbers.
  @Test func hiddenUnitsAreRescaled() async throws {
    let bench = try Workbench()
    let board = "emu:profile=ideal,seed=47,state=\(bench.path("die.npz"))"
    let mapping = ["--scale", "column", "--rescale", "diagonal", "--board", board]
    let map = try await bench.rram(["map", "ring", "--draws", "0", "--json"] + mapping)
    #expect((try map.json()["hiddenScale"] as? [Double])?.count == 14, "\(map.stderr)")
    for verb in [["form", "--for", "ring"], ["program", "ring"]] {
      let result = try await bench.rram(verb + mapping)
      #expect(result.status == 0, "\(result.stderr)")
    }
    let file = bench.path("s.npz")
    #expect(try await bench.rram("sample", "ring", "-n", "400", "-o", file, "--board", board).status == 0)
    let ratio = try await bench.rram("evaluate", file, "--model", "ring", "--json").json()["ratio"] as? [String: Any]
    #expect(abs(try #require(ratio?["kl2d"] as? Double) - 1) < 0.02, "\(String(describing: ratio))")
    let factors = ([4] + [Int](repeating: 1, count: 13)).map(String.init).joined(separator: ",")
    let refused = try await bench.rram("map", "ring", "--rescale", factors, "--board", board)
    #expect(refused.status == 1 && refused.stderr.contains("is outside the converter's -3.0 to"), "\(refused.stderr)")
    #expect(try await bench.rram("map", "ring", "--rescale", "1,2", "--board", board).status == 64)
    #expect(try await bench.rram("map", "ring", "--rescale", "0,x", "--board", board).status == 64)
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
