import Testing

@Suite struct BenchTests {
  @Test func rowsHaveTheDocumentedKeysAndSayWhichPathServed() async throws {
    let bench = try Workbench()
    let loops = try await bench.rram("bench", "--only", "closedLoopCells", "--rounds", "1", "--json")
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

  @Test(arguments: ["writeVerify", "readOneCell", "safe", "unplug", "interrupt", "ledgerOpenAndList"])
  func latenciesAndCostsHaveTheirKeysAndCanBeAskedForAlone(name: String) async throws {
    let bench = try Workbench()
    let result = try await bench.rram("bench", "--only", name, "--rounds", "1", "--json")
    #expect(result.status == 0 && result.stderr.isEmpty, "\(result.stderr)")
    let document = try result.json()
    let latencies = try #require(document["latencies"] as? [[String: Any]])
    let costs = try #require(document["costs"] as? [[String: Any]])
    #expect((latencies + costs).map { $0["name"] as? String } == [name])
    for row in latencies {
      for key in ["p50_s", "p99_s"] { #expect(try #require(row[key] as? Double) > 0, "\(key)") }
    }
  }

  @Test func samplingShowsItsDutyCycleAndWhatIsNotKernel() async throws {
    let result = try await Workbench().rram("bench", "--only", "sampling512", "--rounds", "1", "--json")
    #expect(result.status == 0, "\(result.stderr)")
    let row = try #require((try result.json()["sampling"] as? [[String: Any]])?.first)
    #expect(row["samplesPerCommand"] as? Int == 512)
    // Modelled, so it does not depend on the machine: asked are 90 %.
    #expect(try #require(row["dutyCycle"] as? Double) >= 0.9)
    for key in ["cpuSecondsPerSample", "kernelCPUSecondsPerSample", "overhead"] {
      #expect(row[key] is Double, "\(key)")
    }
  }

  @Test func framesAreMeasuredInBytes() async throws {
    let result = try await Workbench().rram("bench", "--only", "frame", "--rounds", "1", "--json")
    let rows = try #require(try result.json()["codec"] as? [[String: Any]])
    #expect(rows.map { $0["name"] as? String } == ["frameEncode", "frameDecode"])
    for row in rows {
      // 4096 values of 4 bytes, a bit each, and what is around them.
      #expect(try #require(row["frameBytes"] as? Int) > 4096 * 4 + 512)
      #expect(try #require(row["bytesPerCPUSecond"] as? Double) > 0)
    }
  }

  @Test func aNameThatNoRowHasIsAUsageErrorThatListsThem() async throws {
    let result = try await Workbench().rram("bench", "--only", "flogiston")
    #expect(result.status == 64 && result.stdout.isEmpty)
    for name in ["closedLoopIdeal", "ageing", "frameDecode", "safe"] { #expect(result.stderr.contains(name)) }
  }
}
