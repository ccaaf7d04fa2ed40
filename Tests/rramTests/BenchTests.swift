import Testing

@Suite struct BenchTests {
  @Test func rowsHaveTheDocumentedKeysAndSayWhichPathServed() async throws {
    let bench = try Workbench()
    let loops = try await bench.rram("bench", "--only", "closedLoopCells", "--json")
    #expect(loops.status == 0, "\(loops.stderr)")
    let document = try loops.json()
    #expect(document["threads"] as? Int == 1)
    #expect((document["isa"] as? String)?.isEmpty == false)
    let rows = try #require(document["rows"] as? [[String: Any]])
    let row = try #require(rows.first)
    #expect(rows.count == 1 && row["name"] as? String == "closedLoopCells" && row["batch"] as? Int == 1000)
    #expect(row["path"] as? String == "general")
    for key in ["evaluationsPerCPUSecond", "evaluationsPerSecond"] {
      #expect(try #require(row[key] as? Double) > 0, "\(key)")
    }
  }

  @Test func latenciesAndCostsHaveTheirKeys() async throws {
    let bench = try Workbench()
    let result = try await bench.rram("bench", "--only", "writeVerify", "--json")
    #expect(result.status == 0 && result.stderr.isEmpty, "\(result.stderr)")
    let document = try result.json()
    let latencies = try #require(document["latencies"] as? [[String: Any]])
    #expect(latencies.map { $0["name"] as? String } == ["readOneCell", "safe"])
    for row in latencies {
      for key in ["p50_s", "p99_s"] { #expect(try #require(row[key] as? Double) > 0, "\(key)") }
    }
    let costs = try #require(document["costs"] as? [[String: Any]])
    #expect(costs.map { $0["name"] as? String } == ["writeVerify"])
  }
}
