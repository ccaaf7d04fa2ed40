import Foundation
import Testing

/// `rram profile`.
@Suite struct ProfileTests {
  @Test func whatIsShippedIsListed() async throws {
    let bench = try Workbench()
    let list = try await bench.rram("profile", "list", "--json").json()
    let chips = try #require(list["chips"] as? [[String: Any]])
    #expect(chips.compactMap { $0["name"] as? String } == ["cmo-hfox", "hfox-analog", "hfox-mlc", "ideal"])
    #expect(chips.allSatisfy { ($0["assumed"] as? Int ?? 0) > 0 })
    let text = try await bench.rram("profile", "list")
    #expect(text.status == 0 && text.stdout.contains("parallel"))
  }

  @Test func everyValueIsShownWithItsOrigin() async throws {
    let bench = try Workbench()
    let document = try await bench.rram("profile", "show", "hfox-analog", "--json").json()
    let values = try #require(document["values"] as? [[String: Any]])
    let onset = try #require(values.first { $0["key"] as? String == "relaxation.components.onset" })
    #expect(onset["numbers"] as? [String] == ["5"])
    #expect(onset["unit"] as? String == "ms")
    #expect((onset["source"] as? String)?.contains("RRAM-Relaxation-Master-Model") == true)
    let formed = try #require(values.first { $0["key"] as? String == "cells.formed.conductance" })
    #expect(formed["assumed"] != nil && formed["source"] == nil)
    let text = try await bench.rram("profile", "show", "parallel")
    #expect(text.stdout.hasPrefix("board parallel: "))
    #expect(text.stdout.contains("closedLoop.runTime"))
  }

  /// A key that is not known is refused with file and line, a name that is not known with the names that are.
  @Test func whatIsNotKnownIsRefused() async throws {
    let bench = try Workbench()
    let missing = try await bench.rram("profile", "show", "perfect")
    #expect(missing.status == 64)
    #expect(missing.stderr.contains("there is no 'perfect' (valid: cmo-hfox, hfox-analog, hfox-mlc, ideal, "))
    let file = bench.path("mine.yaml")
    try Data("name: mine\nsummary: a chip\ncolour: red\n".utf8).write(to: URL(filePath: file))
    for verb in ["show", "check"] {
      let refused = try await bench.rram("profile", verb, file)
      #expect(refused.status == 65)
      #expect(refused.stderr.contains("mine.yaml:3: unknown key 'colour'"), "\(refused.stderr)")
      #expect(refused.stdout.isEmpty)
    }
  }

  @Test func aCheckPrintsBothColumnsAndWritesItsReport() async throws {
    let bench = try Workbench()
    let result = try await bench.rram(
      "profile", "check", "cmo-hfox", "--cells", "1024", "--seed", "3", "--report", "--run-dir", bench.path("run"),
      "--json")
    #expect(result.status == 0, "\(result.stderr)")
    let document = try result.json()
    let fitted = try #require(document["fitted"] as? [[String: Any]])
    let others = try #require(document["notFitted"] as? [[String: Any]])
    #expect(fitted.contains { ($0["quantity"] as? String)?.contains("10 years") == true })
    #expect(others.contains { ($0["section"] as? String) == "read noise" })
    #expect((fitted + others).allSatisfy { $0["cells"] != nil && $0["model"] is Double && $0["source"] is String })
    let page = try String(contentsOfFile: bench.path("run/report.html"), encoding: .utf8)
    #expect(page.contains("<svg") && page.contains("Not fitted") && !page.contains("src="))
    #expect(document["report"] as? String == bench.path("run/report.html"))
    let text = try await bench.rram("profile", "check", "ideal", "--cells", "1024")
    #expect(text.stdout.contains("fitted: ") && text.stdout.contains("not fitted: "))
    let usage = try await bench.rram("profile", "check", "ideal", "--cells", "3")
    #expect(usage.status == 64)
  }
}
