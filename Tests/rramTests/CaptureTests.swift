import Foundation
import Subprocess
import SystemPackage
import Testing

/// Where tshark is, if it is.
private let tshark: String? = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map {
  "\($0)/tshark"
}
.first { FileManager.default.isExecutableFile(atPath: $0) }

/// Captures and recordings of real runs.
@Suite struct CaptureTests {
  private static var dissector: String {
    URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../protocols/wireshark/rram.lua")
      .standardized
      .path
  }

  /// Values of fields of every packet that the filter lets through; several values of one field are joined by commas.
  private func dissect(_ file: String, filter: String, fields: [String]) async throws -> [[String]] {
    let arguments =
      ["-X", "lua_script:\(Self.dissector)", "-r", file, "-Y", filter, "-T", "fields"] + fields.flatMap { ["-e", $0] }
    let result = try await Subprocess.run(
      .path(FilePath(#require(tshark))), arguments: .init(arguments), output: .string(limit: 1 << 24),
      error: .string(limit: 1 << 20))
    #expect(result.terminationStatus == .exited(0), "\(result.standardError)")
    return result.standardOutput.split(separator: "\n").map {
      $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    }
  }

  @Test(.enabled(if: tshark != nil, "tshark is missing"), .timeLimit(.minutes(3)))
  func everyPacketOfARunIsDissected() async throws {
    let bench = try Workbench()
    let board = "emu:profile=ideal,seed=1,state=\(bench.path("die.npz"))"
    var seen: Set<String> = []
    let runs: [[String]] = [
      ["info"], ["form", "--for", "ring"], ["program", "ring"], ["verify"], ["wait", "1s"],
      ["sample", "ring", "-n", "300"], ["read"], ["safe"],
    ]
    for run in runs {
      let file = bench.path("\(run[0]).pcapng")
      let result = try await bench.rram(run + ["--board", board, "--capture", file])
      #expect(result.status == 0, "\(result.stderr)")
      let damaged = "_ws.expert || _ws.malformed || rram.frame.skipped"
      #expect(try await dissect(file, filter: damaged, fields: ["frame.number"]).isEmpty, "\(run)")
      // Whatever went over the bulk endpoints is ours.
      let raw = "usb.transfer_type == 3 && usb.data_len > 0 && !rram"
      #expect(try await dissect(file, filter: raw, fields: ["frame.number"]).isEmpty, "\(run)")
      let rows = try await dissect(
        file, filter: "rram.frame", fields: ["rram.frame.sequence", "rram.frame.flags.more", "_ws.col.Info"])
      #expect(!rows.isEmpty)
      for row in rows { seen.formUnion(row[2].split(separator: ", ").map(String.init)) }
      // Every request but Credit has its answer, whose last frame says that it is the last.
      let asked = try await dissect(
        file, filter: "rram.request && !rram.request.credit", fields: ["rram.frame.sequence"])
      let ended = try await dissect(
        file, filter: "rram.response && rram.frame.flags.more == 0",
        fields: ["rram.frame.sequence", "rram.frame.flags.more"])
      let sequences = Set(asked.flatMap { $0[0].split(separator: ",") })
      var answered: Set<Substring> = []
      for row in ended {
        // Sequence 0 is an event; a packet may hold several frames.
        for (sequence, more) in zip(row[0].split(separator: ","), row[1].split(separator: ","))
        where sequence != "0" && (more == "0" || more == "False") {
          answered.insert(sequence)
        }
      }
      #expect(sequences == answered, "\(run)")
    }
    #expect(
      seen.isSuperset(of: [
        "Request hello", "Response hello", "Request form", "Request write_verify", "Response cell_results",
        "Request credit", "Request set_label", "Request upload_schedule", "Request run_loop", "Response run_results",
        "Request advance_time", "Request read_cells", "Response conductances", "Response counters", "Request safe",
      ]), "\(seen.sorted())")
  }

  @Test(.enabled(if: tshark != nil, "tshark is missing"), .timeLimit(.minutes(1)))
  func valuesInACaptureAreThoseOfTheCommand() async throws {
    let bench = try Workbench()
    let file = bench.path("info.pcapng")
    let info = try await bench.rram("info", "--board", "emu:profile=ideal", "--json", "--capture", file).json()
    let hello = try await dissect(
      file, filter: "rram.response.hello", fields: ["rram.hello_result.serial", "rram.hello_result.firmware_version"])
    #expect(try hello == [[#require(info["serial"] as? String), #require(info["firmware"] as? String)]])
    let limits = try await dissect(
      file, filter: "rram.response.limits", fields: ["rram.limits.word_line_v", "rram.limits.pulses_per_request"])
    let said = try #require(info["limits"] as? [String: Any])
    let shown = try #require(limits.first)
    #expect(try abs(#require(Double(shown[0])) - #require(said["wordLine_V"] as? Double)) < 1e-5)
    #expect(Int(shown[1]) == said["pulsesPerRequest"] as? Int)
  }

  /// What `--record` keeps, `replay:` plays: the same answer, without the board.
  @Test(.timeLimit(.minutes(1)), arguments: [["info"], ["read", "--macro", "1"]])
  func aRecordedSessionReplays(verb: [String]) async throws {
    let bench = try Workbench()
    let recording = bench.path("session.jsonl")
    let first = try await bench.rram(
      verb + ["--json", "--board", "emu:profile=cmo-hfox,seed=7", "--record", recording])
    #expect(first.status == 0, "\(first.stderr)")
    let again = try await bench.rram(verb + ["--json", "--board", "replay:\(recording)"])
    #expect(again.status == 0, "\(again.stderr)")
    #expect(again.stderr.isEmpty)
    var (a, b) = (try first.json(), try again.json())
    a["address"] = nil
    b["address"] = nil
    #expect(a as NSDictionary == b as NSDictionary)
    // Another command asks for something else.
    let other = try await bench.rram("read", "--macro", "2", "--board", "replay:\(recording)")
    #expect(other.status == 76, "\(other.stderr)")
  }

  @Test(arguments: [
    (["info", "--board", "usb:", "--capture", "/nonexistent/x.pcapng"], 65),
    (["info", "--board", "usb:", "--capture", "/tmp"], 65),
    (["read", "--board", "usb:", "--record", "/nonexistent/x.jsonl"], 65),
    (["sample", "--preset", "0", "--board", "hdpm-emu:", "--capture", "x.pcapng"], 64),
  ])
  func filesAreCheckedBeforeTheBoard(arguments: [String], status: Int) async throws {
    let bench = try Workbench()
    let result = try await bench.rram(arguments)
    #expect(result.status == status, "\(result.stderr)")
    #expect(result.stdout.isEmpty)
  }
}
