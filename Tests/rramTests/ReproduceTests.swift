import Foundation
import Testing

/// `rram reproduce`.
@Suite struct ReproduceTests {
  /// Chips of seeds 1 and 2, 300 samples: what is drawn here is not looked at, only what is said of it.
  @Test func everyNumberOfTheTableSaysWhereItComesFrom() async throws {
    let bench = try Workbench()
    let folder = bench.path("report")
    let result = try await bench.rram(
      "reproduce", "--quick", "-n", "300", "--json", "--report", "--run-dir", folder)
    #expect(result.status == 0, "\(result.stderr)")
    let document = try result.json()
    #expect(document["report"] as? String == folder + "/report.html")
    let page = try String(contentsOfFile: folder + "/report.html", encoding: .utf8)
    // Two pictures of points and one of letters, each with something in it.
    let pictures = page.components(separatedBy: "<svg").dropFirst()
    #expect(pictures.count == 3)
    for picture in pictures { #expect(picture.count > 10_000) }
    let kept = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: folder + "/report.json")))
    #expect((kept as? [String: Any])?.keys.contains("rows") == true)
    #expect(document["schema"] as? Int == 1)
    #expect((document["networks"] as? [String: Any])?.keys.sorted() == ["letters", "ring"])
    let rows = try #require(document["rows"] as? [[String: Any]])
    for row in rows {
      let cells = try #require(row["cells"] as? [String])
      #expect(cells.count == 5, "\(row)")
      for cell in cells { #expect(cell == "–" || ["m", "M", "p"].contains(String(cell.suffix(1))), "\(cell)") }
      // Nothing about a chip that is emulated was measured.
      if (row["name"] as? String)?.contains("chip") == true { #expect(!cells.prefix(2).contains { $0.hasSuffix("m") }) }
    }
    #expect(
      rows.contains { $0["cells"] as? [String] == ["–", "–", "64.8× / 156.5× p", "– / 150× p", "69.0× / 116.5× p"] })
  }

  @Test func whatCannotBeMeasuredIsRefused() async throws {
    let bench = try Workbench()
    for (board, message) in [
      ("emu:board=multiplexed", "board 'multiplexed' has no closed loop"),
      ("emu:state=\(bench.path("die.npz"))", "no network was programmed"),
    ] {
      let result = try await bench.rram("reproduce", "--quick", "-n", "300", "--board", board)
      #expect(result.status == 1 && result.stderr.contains(message) && result.stdout.isEmpty, "\(result.stderr)")
    }
    #expect(try await bench.rram("reproduce", "-n", "3").status == 64)
  }
}
