import Foundation
import Testing

/// `rram export` on an emulated chip.
@Suite struct ExportTests {
  @Test func theProgrammedLoopIsWrittenAsANetlist() async throws {
    let bench = try Workbench()
    let board = "emu:profile=ideal,seed=6,state=\(bench.path("die.npz"))"
    let early = try await bench.rram("export", "--spice", bench.path("e.cir"), "--board", board)
    #expect(early.status == 1 && early.stderr.contains("no network was programmed"), "\(early.stderr)")
    for command in [["form", "--for", "ring"], ["program", "ring"]] {
      #expect(try await bench.rram(command + ["--board", board]).status == 0)
    }
    let state = try Data(contentsOf: URL(filePath: bench.path("die.npz")))
    let result = try await bench.rram(
      "export", "--spice", bench.path("ring.cir"), "--start", "-1,0.5", "--board", board, "--json")
    #expect(result.status == 0, "\(result.stderr)")
    let document = try result.json()
    #expect(document["schema"] as? Int == 1 && document["cells"] as? Int == 564 && document["unread"] as? Int == 0)
    #expect(document["model"] as? String == "ring" && document["solver"] as? String == "ode")
    let start = try #require(document["start"] as? [Double])
    #expect(abs(start[0] + 1) < 1e-3 && abs(start[1] - 0.5) < 1e-3)
    let text = try String(contentsOfFile: bench.path("ring.cir"), encoding: .utf8)
    #expect(text.split(separator: "\n").count { $0.hasPrefix("Rg") } == 564)
    #expect(text.contains("\n.tran 1e-07 2e-05 ") && text.hasSuffix("\n.end\n"))
    // The chip is only looked at.
    #expect(try Data(contentsOf: URL(filePath: bench.path("die.npz"))) == state)
    // The same again, with the model named.
    let again = try await bench.rram(
      "export", "ring", "--spice", bench.path("again.cir"), "--start=-1,0.5", "--board", board)
    #expect(again.status == 0 && again.stdout.contains("564 cells"), "\(again.stderr)")
    #expect(try String(contentsOfFile: bench.path("again.cir"), encoding: .utf8) == text)
    let other = try await bench.rram(
      "export", "letters", "--class", "K", "--spice", bench.path("l.cir"), "--board", board)
    #expect(other.status == 1 && other.stderr.contains("carries 'ring'"), "\(other.stderr)")
  }

  @Test(arguments: [
    ([], "nothing to export"), (["--spice", "a.cir", "--start", "1"], "two numbers"),
    (["--spice", "a.cir", "--ticks", "0"], "at least 1"),
  ])
  func argumentsThatMakeNoSense(arguments: [String], words: String) async throws {
    let bench = try Workbench()
    let result = try await bench.rram(["export", "--board", "emu:profile=ideal"] + arguments)
    #expect(result.status == 64 && result.stderr.contains(words), "\(result.stderr)")
  }

  @Test func aFileThatCannotBeWrittenIsRefusedFirst() async throws {
    let bench = try Workbench()
    let result = try await bench.rram("export", "--spice", "/nowhere/a.cir", "--board", "emu:profile=ideal")
    #expect(result.status == 65 && result.stderr.contains("/nowhere"), "\(result.stderr)")
  }
}
