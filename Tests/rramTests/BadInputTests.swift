import Foundation
import Testing

/// One clear line and the documented exit code for whatever a user gets wrong; nothing half done.
@Suite struct BadInputTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var arguments: [String]
    var status: Int
    var says: [String]
    var testDescription: String { arguments.joined(separator: " ") }
  }

  @Test(arguments: [
    Case(arguments: ["frobnicate"], status: 64, says: ["frobnicate"]),
    Case(arguments: ["info", "--board", "emu:profile=nope"], status: 64, says: ["nope", "cmo-hfox", "ideal"]),
    Case(arguments: ["info", "--board", "emu:board=nope"], status: 64, says: ["nope", "parallel", "multiplexed"]),
    Case(
      arguments: ["info", "--board", "emu:colour=red"], status: 64,
      says: ["colour", "profile, board, seed, steps, noise, temperature, state"]),
    Case(arguments: ["info", "--board", "emu:seed=-1"], status: 64, says: ["seed", "-1"]),
    Case(arguments: ["info", "--board", "gpib:7"], status: 64, says: ["gpib", "usb:"]),
    Case(arguments: ["info", "--board", "usb:"], status: 69, says: ["usb:"]),
    Case(arguments: ["info", "--board", "sock:/nonexistent/board"], status: 69, says: ["/nonexistent/board"]),
    Case(arguments: ["sample", "ring", "-n", "0", "--board", "emu:"], status: 64, says: ["-n", "0"]),
    Case(arguments: ["sample", "ring", "-n", "-5", "--board", "emu:"], status: 64, says: ["-5"]),
    Case(arguments: ["sample", "ring", "-n", "10", "--board", "emu:"], status: 1, says: ["no network was programmed"]),
    Case(arguments: ["program", "ring", "--board", "emu:"], status: 1, says: ["form"]),
    Case(arguments: ["program", "nosuch", "--board", "emu:"], status: 64, says: ["nosuch", "ring", "letters"]),
    Case(
      arguments: ["program", "./missing.safetensors", "--board", "emu:"], status: 65, says: ["missing.safetensors"]),
    Case(arguments: ["evaluate", "missing.npz"], status: 65, says: ["missing.npz"]),
    Case(arguments: ["form", "--profile", "nope", "--board", "usb:"], status: 64, says: ["nope", "cmo-hfox"]),
    Case(
      arguments: ["sample", "ring", "-n", "8", "-o", "/nonexistent/s.npz", "--board", "usb:"], status: 65,
      says: ["/nonexistent"]),
    Case(arguments: ["verify", "--min-in-tolerance", "nan", "--board", "emu:"], status: 64, says: ["nan"]),
    Case(arguments: ["wait", "soon", "--board", "emu:"], status: 64, says: ["soon"]),
    Case(
      arguments: ["sample", "ring", "-n", "10", "--board", "emu:board=multiplexed"], status: 1, says: ["closed loop"]),
  ])
  func refusal(_ input: Case) async throws {
    let bench = try Workbench()
    let result = try await bench.rram(input.arguments)
    #expect(result.status == input.status, "\(result.stderr)")
    for word in input.says { #expect(result.stderr.contains(word), "\(result.stderr)") }
    #expect(result.stdout.isEmpty)
  }

  @Test func argumentsAreCheckedBeforeFilesAndFilesBeforeTheBoard() async throws {
    let bench = try Workbench()
    #expect(try await bench.rram("sample", "./missing.safetensors", "-n", "0", "--board", "usb:").status == 64)
    #expect(try await bench.rram("program", "./missing.safetensors", "--board", "usb:").status == 65)
    #expect(try await bench.rram("program", "ring", "--board", "usb:").status == 69)
  }

  @Test func boardMayStandBeforeTheVerb() async throws {
    let bench = try Workbench()
    let result = try await bench.rram("--board", "emu:profile=ideal,seed=3", "--json", "info")
    #expect(result.status == 0, "\(result.stderr)")
    #expect(try result.json()["schema"] as? Int == 1)
  }

  @Test func aHugeClaimInAHeaderIsRefusedByName() async throws {
    let bench = try Workbench()
    var bytes = withUnsafeBytes(of: UInt64(10_000_000_000).littleEndian) { [UInt8]($0) }
    bytes += Array("{}".utf8)
    try Data(bytes).write(to: bench.folder.appending(path: "big.safetensors"))
    let result = try await bench.rram("program", "./big.safetensors", "--board", "emu:")
    #expect(result.status == 65)
    #expect(result.stderr.contains("big.safetensors"))
  }

  @Test func anNPZThatIsNoZipIsRefusedByName() async throws {
    let bench = try Workbench()
    try Data("not a zip".utf8).write(to: bench.folder.appending(path: "fake.npz"))
    for verb in [["evaluate", "fake.npz"], ["program", "./fake.npz", "--board", "emu:"]] {
      let result = try await bench.rram(verb)
      #expect(result.status == 65)
      #expect(result.stderr.contains("fake.npz"))
    }
  }
}
