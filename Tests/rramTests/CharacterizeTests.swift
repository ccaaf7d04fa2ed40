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

    // Everything that is exported opens where it is meant to be opened.
    let exported = try await bench.rram("export", "--run", "report", "-o", "out", "--json")
    #expect(exported.status == 0, "\(exported.stderr)")
    let reader = """
      import csv, glob, sys, h5py, numpy, pandas
      folder = sys.argv[1]
      archive = numpy.load(folder + "/run.npz")
      noise = archive["03-readNoise/conductance_S"]
      print(noise.shape, archive["02-forming/row"].dtype, all(archive[k].size >= 0 for k in archive.files))
      figures = pandas.read_csv(folder + "/figures.csv")
      print(list(figures.columns), figures["section"].nunique())
      events = pandas.read_csv(folder + "/events.csv")
      print(len(events[events.event == "readNoise"]), events["conductance_S"].dtype)
      for table in glob.glob(folder + "/*.csv"):
          assert len(pandas.read_csv(table)) > 0, table
      long = pandas.read_csv(folder + "/03-readNoise.32x8.csv")
      print(list(long.columns), numpy.allclose(long["conductance_S"].to_numpy().reshape(32, 8), noise))
      with h5py.File(folder + "/run.h5") as store:
          print(sorted(store), int(store.attrs["words"]), int(store.attrs["bits"]), store.attrs["PYTABLES_FORMAT_VERSION"])
          row, column = int(archive["03-readNoise/row"][3]), int(archive["03-readNoise/column"][3])
          series = store["crosspoints/W%02dB%02d/timeseries" % (row, column)]
          print(series.dtype.names, series.attrs["NROWS"] == len(series), series.attrs["CLASS"], series.maxshape)
          last = series[-1]
          print(abs(last["current"] / last["read_voltage"] / noise[-1, 3] - 1) < 1e-5, last["op_type"])
          print(abs(store["crossbar/current"][column, row] - last["current"]) == 0, store["crossbar/current"].shape)
          step = store["synthetics/03-readNoise"]
          print(step["conductance_S"].shape, step["conductance_S"].attrs["unit"], [row, column] in step.attrs["crosspoints"].tolist())
      """
    let read = try await Subprocess.run(
      .path("/usr/bin/python3"), arguments: ["-c", reader, bench.path("out")], output: .string(limit: 1 << 16),
      error: .string(limit: 1 << 16))
    #expect(
      read.standardOutput == """
        (32, 8) int64 True
        ['section', 'figure', 'value', 'low', 'high', 'unit', 'n', 'interval'] 3
        256 float64
        ['index0', 'index1', 'row', 'column', 'conductance_S'] True
        ['crossbar', 'crosspoints', 'synthetics'] 64 64 b'2.1'
        ('current', 'voltage', 'pulse_width', 'read_voltage', 'op_type') True b'TABLE' (None,)
        True 1
        True (64, 64)
        (32, 8) b'S' True

        """, "\(read.standardError)")
    #expect(try await bench.rram("export", "--run", "report").status == 64)
    #expect(try await bench.rram("export", "--run", "nothing", "-o", "out").status == 65)

    let occupied = try await bench.rram("--board", Self.chip, "characterize", "./short.yaml", "-o", "report")
    #expect(occupied.status == 64 && occupied.stderr.contains("a run needs its own folder"), "\(occupied.stderr)")

    // Nothing is left to do: the report is drawn again from what is there.
    let again = try await bench.rram("--board", Self.chip, "characterize", "--resume", "report")
    #expect(again.status == 0 && again.stderr.contains("3/3 Read noise: done before"), "\(again.stderr)")
    let other = try await bench.rram("--board", "emu:profile=hfox-analog,seed=4", "characterize", "--resume", "report")
    #expect(other.status == 1 && other.stderr.contains("belongs to chip EMU-hfox-analog-3"), "\(other.stderr)")
  }

  /// A finished run that is resumed measures nothing: it makes no second calibration and claims none of its own for its values.
  @Test func aFinishedRunIsNotCalibratedByItself() async throws {
    let bench = try Workbench()
    let made = try await bench.rram("--board", Self.chip, "characterize", "converters", "-o", "report")
    #expect(made.status == 0 && made.stdout.contains("absoluteScale: uncalibrated"), "\(made.stderr)\(made.stdout)")
    let before = try await bench.rram("chip", "show", "EMU-hfox-analog-3")
    #expect(before.stdout.contains("1 calibrations"), "\(before.stdout)")
    // A calibration is called by its second: one made in the same would take the place of the first unseen.
    try await Task.sleep(for: .milliseconds(1100))
    let again = try await bench.rram("--board", Self.chip, "characterize", "--resume", "report")
    #expect(again.status == 0 && again.stdout.contains("absoluteScale: uncalibrated"), "\(again.stderr)\(again.stdout)")
    #expect(try await bench.rram("chip", "show", "EMU-hfox-analog-3").stdout == before.stdout)
  }

  /// The page as a browser shows it: every picture has something drawn in it, and nothing is fetched. Chromium is a package of
  /// 'tools/setup test'; without it the test says so and ends.
  @Test(.enabled(if: Browser.isInstalled, "chromium is not installed"))
  func aBrowserShowsEveryPicture() async throws {
    let bench = try Workbench()
    try """
    name: short
    steps:
      - converters: {averages: 1}
      - contact:
      - forming: {cells: 64}
      - ivSweep: {cells: 4, cycles: 2, compliance: 60 µA}
      - pulseResponse: {cells: 4, pulses: 5}
      - endurance: {cells: 4, cycles: 30}
      - arrayMap:
    """.write(toFile: bench.path("short.yaml"), atomically: true, encoding: .utf8)
    let made = try await bench.rram("--board", Self.chip, "characterize", "./short.yaml", "-o", "report")
    #expect(made.status == 0, "\(made.stderr)")
    #expect(made.stderr.contains("absoluteScale: uncalibrated"))
    let page = try String(contentsOfFile: bench.path("report/report.html"), encoding: .utf8)
    #expect(Browser.isSelfContained(page))
    let counts = try await Browser.drawn(in: page, folder: bench.path("browser"))
    #expect(counts.count == page.components(separatedBy: "<figure>").count - 1 && counts.count >= 11, "\(counts)")
    #expect(counts.allSatisfy { $0 > 12 }, "\(counts)")

    // What the known inputs showed is used from now on, and every later session says so.
    let chip = try await bench.rram("chip", "show", "EMU-hfox-analog-3", "--json").json()
    #expect((chip["calibrations"] as? [String])?.count == 1)
    let pulse = try await bench.rram("--board", Self.chip, "pulse", "set", "0:0", "--amplitude", "1.6", "--json")
    #expect(
      try #require(try pulse.json()["absoluteScale"] as? String).hasPrefix("reference resistors of ±0.1 %"),
      "\(pulse.stderr)")
  }

  /// A chip whose cells may get 100 pulses: what a plan may spend is counted before its first pulse.
  @Test func theLedgersLifetimeLimitHolds() async throws {
    let bench = try Workbench()
    #expect(
      try await bench.rram("--board", Self.chip, "characterize", "forming", "--set", "cells=4", "-o", "form").status
        == 0)
    let told = try await bench.rram("chip", "describe", "EMU-hfox-analog-3", "--lifetime-pulses", "100")
    #expect(told.stdout.contains("a cell may get 100 SET and RESET pulses in its life"))
    let plan = try await bench.rram(
      "--board", Self.chip, "characterize", "endurance", "--set", "cycles=60", "cells=4", "-o", "wear")
    #expect(
      plan.status == 1 && plan.stderr.contains("endurance:3: steps[1].endurance: emu:")
        && plan.stderr.contains(": pulses per life limit: 137 asked, 0 to 100 allowed"),
      "\(plan.stderr)")
    #expect(!FileManager.default.fileExists(atPath: bench.path("wear/01-endurance.npz")))
    for (count, status) in [("70", 0), ("31", 1), ("2", 0)] {
      let pulse = try await bench.rram(
        "--board", Self.chip, "pulse", "set", "0:0", "--amplitude", "1.2", "--count", count)
      #expect(pulse.status == status, "\(count): \(pulse.stderr)")
    }
    let excluded = try await bench.rram(
      "chip", "exclude", "EMU-hfox-analog-3", "1:2", "--note", "probe scratch", "--json"
    ).json()
    #expect((excluded["exclusions"] as? [[String: Any]])?.first?["note"] as? String == "probe scratch")
    #expect(try await bench.rram("chip", "exclude", "EMU-hfox-analog-3", "1:2").status == 64)
  }

  /// 256 KiB for records: the disk is full in mid-run. The run stops with the board safe, says what is kept, and goes on with more room.
  @Test func aFullDiskEndsTheRunAndKeepsWhatWasMeasured() async throws {
    let bench = try Workbench()
    try FileManager.default.createDirectory(atPath: bench.path("small"), withIntermediateDirectories: true)
    let mounted = try await Subprocess.run(
      .path("/bin/mount"), arguments: ["-t", "tmpfs", "-o", "size=256k", "tmpfs", bench.path("small")],
      output: .discarded, error: .discarded)
    // Only root mounts; everybody else is not shown this.
    guard mounted.terminationStatus == .exited(0) else { return }
    try "name: long\nsteps:\n  - forming: {cells: 64}\n  - readNoise: {cells: 64, reads: 200}\n".write(
      toFile: bench.path("long.yaml"), atomically: true, encoding: .utf8)
    let full = try await bench.rram("--board", Self.chip, "characterize", "./long.yaml", "-o", "small/run")
    #expect(full.status == 1 && full.stderr.contains("No space left on device"), "\(full.stderr)")
    #expect(full.stderr.contains("kept: 1 of 2 steps are finished in"))
    let kept = try await Subprocess.run(
      .path("/bin/mount"), arguments: ["-o", "remount,size=16m", bench.path("small")], output: .discarded,
      error: .discarded)
    #expect(kept.terminationStatus == .exited(0))
    let resumed = try await bench.rram("--board", Self.chip, "characterize", "--resume", "small/run")
    #expect(resumed.status == 0 && resumed.stderr.contains("1/2 Forming: done before"), "\(resumed.stderr)")
    _ = try await Subprocess.run(
      .path("/bin/umount"), arguments: [bench.path("small")], output: .discarded, error: .discarded)
  }

  @Test func sweepDrawsCurvesOfNamedCells() async throws {
    let bench = try Workbench()
    #expect(
      try await bench.rram("--board", Self.chip, "characterize", "forming", "--set", "cells=64", "-o", "form").status
        == 0)
    let sweep = try await bench.rram(
      "--board", Self.chip, "sweep", "--cells", "0:0", "1:0", "--cycles", "2", "--compliance", "50 µA", "-o", "sweep",
      "--json")
    #expect(sweep.status == 0, "\(sweep.stderr)")
    let step = try #require((try sweep.json()["steps"] as? [[String: Any]])?.first)
    #expect(step["title"] as? String == "I–V sweeps" && (step["estimates"] as? [Any])?.count == 2)
    #expect(
      try await bench.rram("--board", Self.chip, "sweep", "--compliance", "50", "-o", "x").stderr.contains(
        "'50' has no unit"))
    let refused = try await bench.rram("--board", Self.chip, "pulse", "set", "0:0", "--amplitude", "4")
    #expect(refused.status == 1 && refused.stderr.contains("bit line limit"), "\(refused.stderr)")
  }

  @Test func whatMakesNoSenseIsRefused() async throws {
    let bench = try Workbench()
    try "name: bad\nsteps:\n  - forming: {cels: 64}\n".write(
      toFile: bench.path("bad.yaml"), atomically: true, encoding: .utf8)
    for (arguments, status, message) in [
      (["characterize"], 64, "name a plan (full, quick or a file) or a run"),
      (["characterize", "quickly"], 64, "there is no 'quickly' (valid: full, quick, converters, bringUp, contact"),
      (["characterize", "./bad.yaml"], 65, "./bad.yaml:3: steps[1].forming: unknown key 'cels' (valid: cells)"),
      (["characterize", "--resume", "nowhere"], 65, "no run is called 'nowhere'"),
      (["characterize", "quick", "--macro", "9"], 64, "there is no macro 9; the board has 4, from 0"),
      (["read", "--macro", "7"], 64, "no macro 7 on a board with 4"),
      (["read", "-o", "a.csv"], 64, "-o a.csv: this file is written as .npy"),
      (["sample", "ring", "-o", "a.csv"], 64, "-o a.csv: this file is written as .npz"),
      (["characterize", "nothing", "--steps"], 64, "'nothing' is no step: converters, "),
      (["characterize", "quick", "--exclude", "3"], 64, "--exclude 3: expected ROW:COLUMN, ROW: or :COLUMN"),
    ] {
      let result = try await bench.rram(["--board", Self.chip] + arguments)
      #expect(result.status == status && result.stderr.contains(message), "\(arguments): \(result.stderr)")
    }
  }
}
