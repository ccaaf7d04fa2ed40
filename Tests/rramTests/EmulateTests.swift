import Foundation
import Subprocess
import SystemPackage
import Testing

/// `rram emulate` over USB/IP and usbredir: what it says, and what it refuses.
@Suite struct EmulateTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var arguments: [String]
    var says: String
    var testDescription: String { arguments.joined(separator: " ") }
  }

  @Test(arguments: [
    Case(arguments: [], says: "only one"),
    Case(arguments: ["--socket", "b", "--usbip", "127.0.0.1:0"], says: "only one"),
    Case(arguments: ["--usbip", "3240"], says: "HOST:PORT"),
    Case(arguments: ["--usbip", "127.0.0.1:99999"], says: "HOST:PORT"),
    Case(arguments: ["--usbredir", "127.0.0.1:1"], says: "tcp:HOST:PORT"),
    Case(arguments: ["--socket", "b", "--speed", "full"], says: "--speed"),
    Case(arguments: ["--hdpm-pty", "--faults"], says: "--faults"),
    Case(arguments: ["--usbip", "127.0.0.1:0", "--board", "sock:b"], says: "only emu:"),
    Case(arguments: ["--usbip", "no.such.host.invalid:0"], says: "no.such.host.invalid"),
  ])
  func refusal(_ input: Case) async throws {
    let bench = try Workbench()
    let result = try await bench.rram(["emulate"] + input.arguments)
    #expect(result.status == 64, "\(result.stderr)")
    #expect(result.stderr.contains(input.says), "\(result.stderr)")
    #expect(result.stdout.isEmpty)
  }

  /// One document that names the port in force; a warning beside it; a port that is taken is busy.
  @Test(.timeLimit(.minutes(1))) func usbipSaysWhereItServes() async throws {
    let bench = try Workbench()
    try await serving(bench, "--usbip", "127.0.0.1:0") { address, document in
      #expect(document["busID"] as? String == "1-1")
      let taken = try await bench.rram("emulate", "--usbip", address.replacing("usbip:", with: ""), "--board", "emu:")
      #expect(taken.status == 75, "\(taken.stderr)")
      #expect(taken.stderr.contains("name another one"), "\(taken.stderr)")
    }
  }

  @Test(.timeLimit(.minutes(1))) func usbredirServesAPrivateSocket() async throws {
    let bench = try Workbench()
    let path = bench.path("board")
    try await serving(bench, "--usbredir", "unix:\(path)") { address, document in
      #expect(address == "usbredir:unix:\(path)")
      #expect(document["busID"] == nil)
      let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
      #expect(mode == 0o600)
    }
    #expect(!FileManager.default.fileExists(atPath: path), "the socket goes with the server")
  }

  /// Runs `rram emulate` while `body` runs, and ends it by a signal, which is its proper end.
  private func serving(
    _ bench: borrowing Workbench, _ arguments: String...,
    body: (_ address: String, _ document: [String: Any]) async throws -> Void
  ) async throws {
    let run = try await Subprocess.run(
      .path(FilePath(Workbench.executable)),
      arguments: .init(["emulate", "--board", "emu:profile=ideal", "--json"] + arguments),
      environment: bench.environment, input: .none, output: .sequence, error: .string(limit: 1 << 16)
    ) { server in
      var text = ""
      var document: [String: Any]?
      for try await line in server.standardOutput.strings() {
        text += line
        document = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        if document != nil { break }
      }
      do {
        let document = try #require(document)
        try await body(try #require(document["address"] as? String), document)
      } catch {
        try? server.send(signal: .terminate)
        throw error
      }
      try server.send(signal: .terminate)
    }
    #expect(run.terminationStatus == .exited(0), "\(run.standardError)")
    if arguments.contains(where: { $0.contains("127.0.0.1") }) {
      #expect(run.standardError.contains("no authentication"))
    }
  }
}
