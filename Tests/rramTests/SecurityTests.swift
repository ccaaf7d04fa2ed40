import Foundation
import Subprocess
import SystemPackage
import Testing

/// Names and files that lead elsewhere, and files that claim more than they hold.
@Suite struct SecurityTests {
  /// A run that goes on writes into its own folder and nowhere else.
  @Test(arguments: ["events.csv", "manifest.json", "conductances.npz"]) func aLinkInARunsFolderIsRefused(
    name: String
  ) async throws {
    let bench = try Workbench()
    let chip = "emu:profile=cmo-hfox,seed=9,state=\(bench.path("die.npz"))"
    #expect(try await bench.rram("form", "--for", "ring", "--board", chip).status == 0)
    let run = bench.path("run")
    #expect(try await bench.rram("program", "ring", "--board", chip, "--run-dir", run).status == 0)
    let (elsewhere, file) = (bench.path("elsewhere"), run + "/" + name)
    try FileManager.default.moveItem(atPath: file, toPath: elsewhere)
    try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: elsewhere)
    let before = FileManager.default.contents(atPath: elsewhere)
    let resumed = try await bench.rram("program", "--resume", run, "--board", chip)
    #expect(resumed.status != 0)
    #expect(resumed.stderr.contains(name) && resumed.stderr.contains("symbolic link"), "\(resumed.stderr)")
    #expect(FileManager.default.contents(atPath: elsewhere) == before)
  }

  /// The lock beside a state file is not followed to a file of somebody else's choice.
  @Test func aLinkInPlaceOfALockIsRefused() async throws {
    let bench = try Workbench()
    try FileManager.default.createSymbolicLink(
      atPath: bench.path("die.npz.lock"), withDestinationPath: bench.path("elsewhere"))
    let result = try await bench.rram("info", "--board", "emu:seed=1,state=\(bench.path("die.npz"))")
    #expect(result.status != 0 && result.stderr.contains("die.npz.lock"), "\(result.stderr)")
    #expect(!FileManager.default.fileExists(atPath: bench.path("elsewhere")))
  }

  /// Names of runs and of what is in archives are looked up, never opened as paths.
  @Test func namesAreNoPaths() async throws {
    let bench = try Workbench()
    try Data("{}".utf8).write(to: bench.folder.appending(path: "manifest.json"))
    try FileManager.default.createDirectory(atPath: bench.path("home/runs"), withIntermediateDirectories: true)
    let shown = try await bench.rram("runs", "show", "../../../../etc")
    #expect(shown.status == 65 || shown.status == 1, "\(shown.status) \(shown.stderr)")
    #expect(try await bench.rram("program", "--resume", "../..", "--board", "emu:").status == 65)
  }

  /// A model's file whose header claims more than there is, a YAML document of aliases of aliases, a zip of which every size is a lie:
  /// each is refused in little memory, under a bound that the process cannot exceed.
  @Test(arguments: ["model", "profile", "samples", "keys"]) func hostileFilesTakeLittleMemory(kind: String) async throws
  {
    let bench = try Workbench()
    let (file, arguments): (String, [String])
    switch kind {
    case "model":
      file = bench.path("big.safetensors")
      let header = #"{"w":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,9223372036854775807]}}"#
      var length = UInt64(header.utf8.count).littleEndian
      try (Data(bytes: &length, count: 8) + Data(header.utf8)).write(to: URL(filePath: file))
      arguments = ["program", file, "--board", "emu:"]
    case "profile":
      file = bench.path("bomb.yaml")
      var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
      for level in 1...30 {
        text += "a\(level): &a\(level) [\((0..<10).map { _ in "*a\(level - 1)" }.joined(separator: ", "))]\n"
      }
      try Data(text.utf8).write(to: URL(filePath: file))
      arguments = ["profile", "show", file]
    case "keys":
      // As a key such a node would be hashed, all of it.
      file = bench.path("keys.yaml")
      var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
      for level in 1...30 {
        text += "a\(level): &a\(level) [\((0..<10).map { _ in "*a\(level - 1)" }.joined(separator: ", "))]\n"
      }
      try Data((text + "? *a30\n: 1\n").utf8).write(to: URL(filePath: file))
      arguments = ["profile", "show", file]
    default:
      file = bench.path("big.npz")
      // A stored entry whose npy header claims 256 GB.
      var npy = Data([0x93]) + Data("NUMPY".utf8) + Data([1, 0])
      let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (34359738368,), }\n"
      npy += Data([UInt8(header.utf8.count), 0]) + Data(header.utf8)
      try npy.write(to: URL(filePath: file))
      arguments = ["evaluate", file]
    }
    let script = "ulimit -v 4000000; exec timeout 20 \"$0\" \"$@\""
    let run = try await Subprocess.run(
      .path("/bin/bash"), arguments: .init(["-c", script, Workbench.executable] + arguments),
      environment: bench.environment, input: .none, output: .string(limit: 1 << 20), error: .string(limit: 1 << 20))
    #expect(run.terminationStatus == .exited(65), "\(run.terminationStatus) \(run.standardError)")
    #expect(run.standardError.contains(URL(filePath: file).lastPathComponent), "\(run.standardError)")
  }

  /// Everybody may read a board's node nowhere.
  @Test func theRuleOfUdevOpensNothingToEverybody() throws {
    let rules = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../udev/70-rram.rules")
    let text = try String(contentsOf: rules, encoding: .utf8)
    let modes = text.matches(of: /MODE="(0[0-7]+)"/).compactMap { Int($0.1, radix: 8) }
    #expect(!modes.isEmpty)
    #expect(modes.allSatisfy { $0 & 0o007 == 0 }, "\(modes.map { String($0, radix: 8) })")
  }
}
