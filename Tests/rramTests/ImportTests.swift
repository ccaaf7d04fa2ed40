import Foundation
import Subprocess
import SystemPackage
import Testing

/// `rram import` and `rram runs compare`.
@Suite struct ImportTests {
  /// What numpy writes is taken, with the names and shapes of NeuRRAM's notebook; the run is like others from then on.
  @Test func anArchiveThatNumpyWroteBecomesARun() async throws {
    let bench = try Workbench()
    let script = """
      import sys, numpy as np
      rng = np.random.default_rng(1)
      G = rng.uniform(0, 4e-5, (24, 10))
      np.savez_compressed(sys.argv[1], G=G, G_program=G + rng.uniform(-1e-6, 1e-6, G.shape), num_pulses=rng.poisson(9, G.shape) * 1.0,
        program_sucess=rng.random(G.shape) > 0.1, rows=np.arange(24) * 2, cols=np.arange(20, 30), core_row=4, core_col=5, g_tol=1e-6,
        pulses=np.array([[1], [2, 3]], dtype=object))
      """
    let made = try await Subprocess.run(
      .path("/usr/bin/python3"), arguments: ["-c", script, bench.path("die7.npz")], output: .string(limit: 4096),
      error: .string(limit: 4096))
    #expect(made.terminationStatus == .exited(0), "\(made.standardError)")
    // A pickled list is no array.
    let refused = try await bench.rram("import", "die7.npz", "-o", "run")
    #expect(refused.status == 65 && refused.stderr.contains("'pulses'"), "\(refused.stderr)")
    #expect(!FileManager.default.fileExists(atPath: bench.path("run")))
    let result = try await bench.rram(
      "import", "die7.npz", "--ignore", "pulses", "--source", "a laboratory", "-o", "run", "--json")
    #expect(result.status == 0, "\(result.stderr)")
    let document = try result.json()
    #expect(document["cells"] as? Int == 240 && document["chip"] as? String == "die7")
    #expect(document["steps"] as? [String] == ["Multi-level programming", "Array"])
    let page = try String(contentsOfFile: bench.path("run/report.html"), encoding: .utf8)
    #expect(page.contains("nothing here was measured by this toolkit") && page.contains(">a laboratory<"))
    let report = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: bench.path("run/report.json"))))
    #expect((report as? [String: Any])?["provenance"] as? String == "imported")
    let chip = try await bench.rram("chip", "show", "die7")
    #expect(chip.status == 0 && chip.stdout.contains("1 run, the last run"), "\(chip.stdout)")
    #expect(try await bench.rram("export", "--run", "run", "-o", "out").status == 0)
    let exported = try String(contentsOfFile: bench.path("out/01-programming.240.csv"), encoding: .utf8)
    #expect(exported.hasPrefix("index0,row,column,target_S,verify_S,pulses,accepted\r\n0,0,20,"))
    // A single row has no image in gnuplot, and one cell no range of colours.
    for (name, text) in [("row", "0,0,5\n0,1,6\n"), ("cell", "0,0,5\n")] {
      try ("row,column,verify_uS\n" + text).write(
        toFile: bench.path("\(name).csv"), atomically: true, encoding: .utf8)
      let small = try await bench.rram("import", "\(name).csv", "-o", name)
      #expect(small.status == 0, "\(small.stderr)")
    }
  }

  /// Files of one name are of two chips until somebody says otherwise; what cannot be reported leaves no run.
  @Test func aFilesNameIsNoChipTwice() async throws {
    let bench = try Workbench()
    for (folder, value) in [("lab1", 5), ("lab2", 6)] {
      try FileManager.default.createDirectory(atPath: bench.path(folder), withIntermediateDirectories: true)
      let lines = [1, 2].flatMap { time in (0..<4).map { "\n\($0 / 2),\($0 % 2),\(value + $0),\(time)" } }
      try ("row,column,conductance_uS,time_s" + lines.joined()).write(
        toFile: bench.path("\(folder)/cells.csv"), atomically: true, encoding: .utf8)
    }
    try "row,column,conductance_uS\n1,2000,5\n".write(
      toFile: bench.path("far.csv"), atomically: true, encoding: .utf8)
    #expect(try await bench.rram("import", "far.csv", "-o", "far").status == 65)
    #expect(!FileManager.default.fileExists(atPath: bench.path("far")))
    let first = try await bench.rram("import", "lab1/cells.csv", "--json")
    #expect(first.status == 0, "\(first.stderr)")
    let document = try first.json()
    #expect((document["unused"] as? [String])?.first?.contains("reads at 2 times") == true, "\(first.stdout)")
    #expect((document["remarks"] as? [String])?.first?.hasPrefix("line 9, ") == true)
    let stranger = try await bench.rram("import", "lab2/cells.csv")
    #expect(stranger.status == 64 && stranger.stderr.contains("--chip"), "\(stranger.stderr)")
    let told = try await bench.rram("import", "lab2/cells.csv", "--chip", "cells")
    #expect(told.status == 0 && told.stdout.contains("not shown: no relaxation"), "\(told.stdout) \(told.stderr)")
    let chip = try await bench.rram("chip", "show", "cells")
    #expect(chip.stdout.contains("2 runs"), "\(chip.stdout)")
  }

  /// Two chips of our own and one from elsewhere, set beside each other: figures with their difference, pictures of both in one.
  /// What the pages show is looked at where there is a browser.
  @Test func aComparisonShowsBoth() async throws {
    let bench = try Workbench()
    try """
    name: short
    steps:
      - forming: {cells: 400}
      - programming: {cells: 64, levels: 4, laterReads: 4}
      - relaxation: {cells: 64, levels: 4, until: 10 s, perDecade: 2}
      - readNoise: {cells: 4, reads: 32}
      - matrixProduct: {rows: 8, columns: 8, vectors: 8}
      - arrayMap:
    """.write(toFile: bench.path("short.yaml"), atomically: true, encoding: .utf8)
    for seed in [3, 4] {
      let board = "emu:profile=hfox-analog,seed=\(seed),state=die\(seed).npz"
      let made = try await bench.rram("--board", board, "characterize", "./short.yaml", "-o", "\(seed)/report")
      #expect(made.status == 0, "\(made.stderr)")
    }
    // Relaxation at the same levels, far less than those chips have: the intervals cannot but exclude each other.
    var table = "row,column,target_uS,verify_uS,conductance_uS,time_s\n"
    for (level, target) in [1.0, 14, 27, 40].enumerated() {
      for cell in 0..<20 {
        for (age, change) in [(1.0, 0.001), (3.16227766, 0.0015), (10, 0.002)] {
          table += "\(cell),\(level),\(target),\(target),\(target + change * Double(cell % 5 - 2)),\(age)\n"
        }
      }
    }
    try table.write(toFile: bench.path("calm.csv"), atomically: true, encoding: .utf8)
    let imported = try await bench.rram("import", "calm.csv", "-o", "calm")
    #expect(imported.status == 0, "\(imported.stderr)")

    // Both folders are called 'report': the name alone does not say which.
    let which = try await bench.rram("runs", "show", "report")
    #expect(which.status == 64 && which.stderr.contains("2 runs are called 'report': "), "\(which.stderr)")
    #expect(try await bench.rram("runs", "list").stdout.contains("/4/report "))
    let chips = try await bench.rram(
      "chip", "compare", "EMU-hfox-analog-3", "EMU-hfox-analog-4", "--report", "chips", "--json")
    #expect(chips.status == 0, "\(chips.stderr)")
    let runs = try #require(try chips.json()["runs"] as? [String: Any])
    #expect((runs["second"] as? [String: Any])?["folder"] as? String == bench.path("4/report"))
    #expect((runs["figures"] as? [[String: Any]])?.count ?? 0 > 20 && (runs["onlyFirst"] as? [String]) == [])
    let page = try String(contentsOfFile: bench.path("chips/comparison.html"), encoding: .utf8)
    #expect(Browser.isSelfContained(page) && page.contains("it is modelled, not measured"))
    let pictures = page.components(separatedBy: "<figure>").count - 1
    #expect(pictures >= 13)
    if Browser.isInstalled {
      let counts = try await Browser.drawn(in: page, folder: bench.path("browser"))
      #expect(counts.count == pictures && counts.allSatisfy { $0 > 12 }, "\(counts)")
    }
    // The same figures as JSON, file and answer.
    let file = try JSONSerialization.jsonObject(
      with: Data(contentsOf: URL(filePath: bench.path("chips/comparison.json"))))
    #expect(
      NSDictionary(dictionary: try #require(file as? [String: Any])) == NSDictionary(dictionary: try chips.json()))

    let both = try await bench.rram("runs", "compare", "3/report", "calm", "--report", "one.html", "--json")
    #expect(both.status == 0, "\(both.stderr)")
    let figures = try #require(try both.json()["figures"] as? [[String: Any]])
    let spread = try #require(
      figures.first { $0["name"] as? String == "Relaxation: 27 µS: σ of the change after 10 s" }, "\(figures)")
    let difference = try #require(spread["difference"] as? Double)
    #expect(spread["differs"] as? Bool == true && difference < -0.5)
    let calm = try #require((spread["second"] as? [String: Any])?["value"] as? Double)
    #expect(abs(calm - 0.00290) < 1e-4)
    let one = try String(contentsOfFile: bench.path("one.html"), encoding: .utf8)
    #expect(one.contains("B: These values were measured elsewhere"))
    if Browser.isInstalled {
      #expect(try await Browser.drawn(in: one, folder: bench.path("browser")).allSatisfy { $0 > 12 })
    }
    let fit = try await bench.rram("profile", "fit", "calm")
    #expect(fit.status == 65 && fit.stderr.contains("was imported"), "\(fit.stderr)")
  }
}
