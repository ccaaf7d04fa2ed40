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
    #expect(page.contains("nothing here was measured by this toolkit") && page.contains("a laboratory"))
    let report = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: bench.path("run/report.json"))))
    #expect((report as? [String: Any])?["provenance"] as? String == "imported")
    let chip = try await bench.rram("chip", "show", "die7")
    #expect(chip.status == 0 && chip.stdout.contains("1 run, the last run"), "\(chip.stdout)")
    #expect(try await bench.rram("export", "--run", "run", "-o", "out").status == 0)
    let exported = try String(contentsOfFile: bench.path("out/01-programming.240.csv"), encoding: .utf8)
    #expect(exported.hasPrefix("index0,row,column,target_S,verify_S,pulses,accepted\r\n0,0,20,"))
  }
}
