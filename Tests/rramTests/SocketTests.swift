import Foundation
import Glibc
import RRAMKit
import Subprocess
import SystemPackage
import Testing

/// A board in another process: what a crash of the host must not do.
@Suite struct SocketTests {
  /// SIGKILL of the host in the middle of a write: the board grounds the array by itself, and the chip's file stays whole.
  @Test(.timeLimit(.minutes(2))) func aKilledHostLeavesTheArrayGroundedAndTheChipWhole() async throws {
    let bench = try Workbench()
    let socket = bench.path("b")
    let chip = "emu:profile=cmo-hfox,seed=9,state=\(bench.path("die.npz"))"
    try await serving(chip, on: socket, bench) { board in
      #expect(try await bench.rram("form", "--for", "ring", "--board", board).status == 0)
      // A window that no cell can keep makes the write long; the first event of the run shows that it is under way.
      let run = try await Subprocess.run(
        .path(FilePath(Workbench.executable)),
        arguments: [
          "program", "ring", "--tolerance", "0.0001", "--maximum-pulses", "10000", "--maximum-reversals", "10000",
          "--board", board, "--run-dir",
          bench.path("killed"),
        ],
        environment: bench.environment, input: .none, output: .string(limit: 1 << 20), error: .string(limit: 1 << 20)
      ) { execution in
        try await waitForStatus(at: socket) { $0.isEnergised && $0.operations > 0 }
        try execution.send(signal: .kill)
      }
      #expect(run.terminationStatus == .signaled(SIGKILL))
      // Nobody asks the board to: it grounds the array because its host is gone.
      let status = try await waitForStatus(at: socket) { !$0.isEnergised }
      #expect(status.operations == 0)
      #expect([SafeCause.linkLost, .watchdog].contains(status.lastSafeCause))
      let manifest = try #require(FileManager.default.contents(atPath: bench.path("killed/manifest.json")))
      let record = try #require(try JSONSerialization.jsonObject(with: manifest) as? [String: Any])
      #expect(record["exitStatus"] == nil, "a killed run has no end")
    }
    // The file opens and still holds a formed chip; what was half written is not taken for a network.
    let reading = try await bench.rram("read", "--macro", "0", "--board", chip, "--json")
    #expect(reading.status == 0, "\(reading.stderr)")
    #expect(try #require(try reading.json()["maximum_uS"] as? Double) > 5)
    #expect(try await bench.rram("sample", "ring", "-n", "8", "--board", chip).status == 1)
  }

  /// `cmo-hfox`, seed 9, whose cells drift: SIGKILL of the host while it samples, then of the board. The run goes on at a new board process
  /// of the same chip file with the samples it would have had: drawn again from sample 100 on, those that the first host had seen before it
  /// died come out bit for bit, and so does all that came after.
  @Test(.timeLimit(.minutes(2))) func aRunOutlivesItsHostAndItsBoard() async throws {
    let bench = try Workbench()
    let (socket, count) = (bench.path("b"), 120_000)
    let chip = "emu:profile=cmo-hfox,seed=9,state=\(bench.path("die.npz"))"
    let (cut, early) = (bench.path("cut"), bench.path("early"))
    try await serving(chip, on: socket, bench, endedBy: .kill) { board in
      for command in [["form", "--for", "ring"], ["program", "ring"]] {
        #expect(try await bench.rram(command + ["--board", board]).status == 0)
      }
      let run = try await Subprocess.run(
        .path(FilePath(Workbench.executable)),
        arguments: ["sample", "ring", "-n", "\(count)", "--board", board, "--run-dir", bench.path("cut")],
        environment: bench.environment, input: .none, output: .string(limit: 1 << 20), error: .string(limit: 1 << 20)
      ) { execution in
        while journal(cut).count < 24 * 8192 { try await Task.sleep(for: .milliseconds(2)) }
        try execution.send(signal: .kill)
      }
      #expect(run.terminationStatus == .signaled(SIGKILL))
    }
    let seen = journal(cut).count / 24
    try #require(seen >= 8192 && seen < count)
    let original = journal(cut).prefix(24 * seen)
    try FileManager.default.createDirectory(atPath: early, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: cut + "/manifest.json", toPath: early + "/manifest.json")
    try original.prefix(24 * 100).write(to: URL(filePath: early + "/samples.journal"))

    try await serving(chip, on: socket, bench) { board in
      for (run, file) in [("cut", "a.npz"), ("early", "b.npz")] {
        let resumed = try await bench.rram(
          "sample", "--resume", bench.path(run), "-o", bench.path(file), "--run-dir", bench.path("\(run)-resumed"),
          "--board", board)
        #expect(resumed.status == 0, "\(resumed.stderr)")
      }
    }
    let (a, b) = (try SampleFile(path: bench.path("a.npz")), try SampleFile(path: bench.path("b.npz")))
    #expect(a.count == count && a.x == b.x && a.xT == b.xT)
    #expect(journal(early + "-resumed").prefix(24 * seen) == original)
  }

  private func journal(_ run: String) -> Data {
    (try? Data(contentsOf: URL(filePath: run + "/samples.journal"))) ?? Data()
  }

  /// Ctrl-C once: what is under way is aborted, the array grounded, and only then the process ends.
  @Test(.timeLimit(.minutes(1)), arguments: [Signal.interrupt, .terminate, .terminalClosed]) func aSignalMakesSafe(
    signal: Signal
  )
    async throws
  {
    let bench = try Workbench()
    let socket = bench.path("b")
    try await serving("emu:profile=cmo-hfox,seed=9", on: socket, bench) { board in
      #expect(try await bench.rram("form", "--for", "ring", "--board", board).status == 0)
      let run = try await Subprocess.run(
        .path(FilePath(Workbench.executable)),
        arguments: [
          "program", "ring", "--tolerance", "0.0001", "--maximum-pulses", "10000", "--maximum-reversals", "10000",
          "--board", board,
        ],
        environment: bench.environment, input: .none, output: .string(limit: 1 << 20), error: .string(limit: 1 << 20)
      ) { execution in
        try await waitForStatus(at: socket) { $0.isEnergised && $0.operations > 0 }
        try execution.send(signal: signal)
      }
      #expect(run.terminationStatus == .exited(130), "\(run.standardError)")
      let status = try await waitForStatus(at: socket) { _ in true }
      #expect(!status.isEnergised && status.operations == 0)
      #expect([SafeCause.requested, .linkLost].contains(status.lastSafeCause))
    }
  }

  /// A second Ctrl-C ends the process at once; the board grounds the array because its host is gone.
  @Test(.timeLimit(.minutes(1))) func aSecondSignalStopsAtOnce() async throws {
    let bench = try Workbench()
    let socket = bench.path("b")
    try await serving("emu:profile=cmo-hfox,seed=9", on: socket, bench) { board in
      #expect(try await bench.rram("form", "--for", "ring", "--board", board).status == 0)
      let run = try await Subprocess.run(
        .path(FilePath(Workbench.executable)),
        arguments: [
          "program", "ring", "--tolerance", "0.0001", "--maximum-pulses", "10000", "--maximum-reversals", "10000",
          "--board", board,
        ],
        environment: bench.environment, input: .none, output: .string(limit: 1 << 20), error: .string(limit: 1 << 20)
      ) { execution in
        try await waitForStatus(at: socket) { $0.isEnergised && $0.operations > 0 }
        try execution.send(signal: .interrupt)
        try execution.send(signal: .interrupt)
      }
      #expect(run.terminationStatus == .exited(130), "\(run.standardError)")
      try await waitForStatus(at: socket) { !$0.isEnergised && $0.operations == 0 }
    }
  }

  /// `rram … | head` whose reader leaves while the run is under way: the run ends as it would have, on disk and on the chip.
  @Test(.timeLimit(.minutes(1))) func aReaderThatLeavesStopsNothing() async throws {
    let bench = try Workbench()
    let socket = bench.path("b")
    try await serving("emu:profile=cmo-hfox,seed=9", on: socket, bench) { board in
      #expect(try await bench.rram("form", "--for", "ring", "--board", board).status == 0)
      let events = bench.path("run/events.csv")
      // head leaves at once, with stderr as well as stdout; what follows the pipe tells how rram ended.
      let script = """
        "$0" program ring --board "$1" --run-dir "$2" -v 2>&1 | head -c 0
        exit ${PIPESTATUS[0]}
        """
      let run = try await Subprocess.run(
        .path("/bin/bash"), arguments: ["-c", script, Workbench.executable, board, bench.path("run")],
        environment: bench.environment, input: .none, output: .string(limit: 1 << 20), error: .string(limit: 1 << 20))
      #expect(run.terminationStatus == .exited(0), "\(run.standardError)")
      let status = try await waitForStatus(at: socket) { !$0.isEnergised }
      #expect(status.operations == 0)
      let manifest = try #require(FileManager.default.contents(atPath: bench.path("run/manifest.json")))
      let record = try #require(try JSONSerialization.jsonObject(with: manifest) as? [String: Any])
      #expect(record["exitStatus"] as? Int == 0)
      let lines = try String(contentsOfFile: events, encoding: .utf8).split(separator: "\r\n")
      // Every cell of the three layers, 2→14→14→2 in pairs with a bias row each, once when it was written and once at the end.
      let cells = 2 * (3 * 14 + 15 * 14 + 15 * 2)
      #expect(lines.count { $0.contains(",program,") } == cells)
      #expect(lines.count { $0.contains(",cell,") } >= cells)
      #expect(try await bench.rram("sample", "ring", "-n", "8", "--board", board).status == 0)
    }
  }

  /// A killed write goes on where it was: as many cells in tolerance, and hardly more pulses than undisturbed.
  @Test(.timeLimit(.minutes(2))) func aKilledProgramIsResumed() async throws {
    let bench = try Workbench()
    func pulses(_ file: String) throws -> Int {
      let archive = try NPZArchive(file: bench.path(file))
      // Not those of the snapshot that a sampling run keeps.
      return try archive.keys.filter { $0.hasPrefix("macro") && $0.hasSuffix(".pulses") }.reduce(0) {
        try $0 + archive.integers($1).reduce(0, +)
      }
    }
    let chip = "emu:profile=cmo-hfox,seed=9,state="
    #expect(try await bench.rram("form", "--for", "ring", "--board", chip + bench.path("clean.npz")).status == 0)
    let formed = try pulses("clean.npz")
    try FileManager.default.copyItem(atPath: bench.path("clean.npz"), toPath: bench.path("killed.npz"))
    let clean = try await bench.rram("program", "ring", "--json", "--board", chip + bench.path("clean.npz")).json()
    let socket = bench.path("b")
    try await serving(chip + bench.path("killed.npz"), on: socket, bench) { board in
      let events = bench.path("run/events.csv")
      let run = try await Subprocess.run(
        .path(FilePath(Workbench.executable)),
        arguments: ["program", "ring", "--board", board, "--run-dir", bench.path("run")],
        environment: bench.environment, input: .none, output: .string(limit: 1 << 20), error: .string(limit: 1 << 20)
      ) { execution in
        // Some cells are finished, others are not.
        while (FileManager.default.contents(atPath: events)?.count ?? 0) < 6000 { await Task.yield() }
        try execution.send(signal: .kill)
      }
      #expect(run.terminationStatus == .signaled(SIGKILL))
      let resumed = try await bench.rram("program", "--resume", bench.path("run"), "--json", "--board", board)
      #expect(resumed.status == 0, "\(resumed.stderr)")
      #expect(resumed.stderr.contains("cells were written before"))
      #expect(try resumed.json()["inTolerance"] as? Int == clean["inTolerance"] as? Int)
      #expect(try await bench.rram("sample", "ring", "-n", "8", "--board", board).status == 0)
      #expect(try await bench.rram("program", "ring", "--resume", bench.path("run"), "--board", board).status == 64)
      #expect(try await bench.rram("program", "--resume", bench.path("nowhere"), "--board", board).status == 65)
    }
    let (undisturbed, spent) = (try pulses("clean.npz") - formed, try pulses("killed.npz") - formed)
    #expect(Double(spent) <= 1.1 * Double(undisturbed), "\(spent) pulses, undisturbed \(undisturbed)")
  }

  @Test(.timeLimit(.minutes(1))) func safeWorksWhileAnotherProcessHoldsTheBoard() async throws {
    let bench = try Workbench()
    let socket = bench.path("b")
    try await serving("emu:profile=cmo-hfox,seed=9", on: socket, bench) { board in
      #expect(try await bench.rram("form", "--for", "ring", "--board", board).status == 0)
      let run = try await Subprocess.run(
        .path(FilePath(Workbench.executable)),
        arguments: [
          "program", "ring", "--tolerance", "0.0001", "--maximum-pulses", "10000", "--maximum-reversals", "10000",
          "--board", board,
        ],
        environment: bench.environment, input: .none, output: .string(limit: 1 << 20), error: .string(limit: 1 << 20)
      ) { _ in
        try await waitForStatus(at: socket) { $0.isEnergised && $0.operations > 0 }
        let safe = try await bench.rram("safe", "--board", board)
        #expect(safe.status == 0, "\(safe.stderr)")
      }
      #expect(run.terminationStatus == .exited(1), "\(run.standardError)")
      #expect(run.standardError.contains("abort"), "\(run.standardError)")
    }
  }

  /// Asks the board beside its frames until its state is as wanted; the test's time limit bounds the wait.
  @discardableResult
  private func waitForStatus(at socket: String, _ wanted: (BoardStatus) -> Bool) async throws -> BoardStatus {
    while true {
      let status = try BoardStatus(bytes: try await UnixSocketTransport.control(path: socket, .status))
      if wanted(status) { return status }
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// Serves `chip` at `socket` by `rram emulate` while `body` runs.
  private func serving(
    _ chip: String, on socket: String, _ bench: borrowing Workbench, endedBy signal: Signal = .terminate,
    _ body: (_ board: String) async throws -> Void
  ) async throws {
    _ = try await Subprocess.run(
      .path(FilePath(Workbench.executable)), arguments: ["emulate", "--socket", socket, "--board", chip],
      environment: bench.environment, input: .none, output: .sequence, error: .discarded
    ) { server in
      // Its first line says that it serves.
      for try await _ in server.standardOutput.strings() { break }
      do {
        try await body("sock:\(socket)")
      } catch {
        try? server.send(signal: .terminate)
        throw error
      }
      try server.send(signal: signal)
    }
  }
}
