import Foundation
import RRAMKit
import Testing

/// `rram` with the published board's twin, in this process and behind a pseudo-terminal.
@Suite struct PublishedBoardTests {
  @Test(arguments: [
    BadInputTests.Case(
      arguments: ["hdpm", "schedule", "2", "--bias", "0.1"], status: 1,
      says: ["preset 2", "channel 2B", "t = 0.000 s", "the largest v_bias that fits is 50 mV", "--allow-overflow"]),
    BadInputTests.Case(arguments: ["hdpm", "schedule", "z"], status: 64, says: ["'z'", "0 1 2 3 4 a b"]),
    BadInputTests.Case(
      arguments: ["hdpm", "schedule", "0", "--bias", "0.07"], status: 64, says: ["70 mV", "0.05, 0.1 and 0.2 V"]),
    BadInputTests.Case(
      arguments: ["hdpm", "schedule", "0", "--coefficient", "12"], status: 64, says: ["12.0", "0.01 to 9.99"]),
    BadInputTests.Case(arguments: ["hdpm", "schedule", "0", "--offsets", "1"], status: 64, says: ["A,B"]),
    BadInputTests.Case(
      arguments: ["hdpm", "schedule", "0", "--coefficients", "none.csv"], status: 65, says: ["none.csv"]),
    BadInputTests.Case(
      arguments: ["sample", "--preset", "G", "--board", "hdpm-emu:"], status: 1, says: ["preset G", "50 mV"]),
    BadInputTests.Case(
      arguments: ["sample", "letters", "--board", "hdpm-emu:"], status: 64, says: ["carries 'ring'", "model=letters"]),
    BadInputTests.Case(
      arguments: ["sample", "--scale", "2", "--board", "hdpm-emu:"], status: 64, says: ["--scale"]),
    BadInputTests.Case(
      arguments: ["sample", "--board", "hdpm-emu:colour=red"], status: 64, says: ["colour", "model"]),
    BadInputTests.Case(arguments: ["sample", "--board", "hdpm:"], status: 64, says: ["/dev/ttyUSB0"]),
    BadInputTests.Case(
      arguments: ["sample", "--board", "hdpm:/dev/ttyRRAM-none"], status: 69, says: ["/dev/ttyRRAM-none"]),
    BadInputTests.Case(
      arguments: ["sample", "--board", "hdpm:/dev/null"], status: 64, says: ["/dev/null", "not a serial port"]),
    BadInputTests.Case(
      arguments: ["info", "--board", "hdpm-emu:"], status: 1, says: ["draws samples and nothing else"]),
    BadInputTests.Case(arguments: ["sample", "--board", "emu:"], status: 64, says: ["no model"]),
    BadInputTests.Case(arguments: ["emulate"], status: 64, says: ["--socket", "--hdpm-pty"]),
    BadInputTests.Case(
      arguments: ["emulate", "--hdpm-pty", "--scope", "none"], status: 65, says: ["none"]),
  ])
  func refusal(_ input: BadInputTests.Case) async throws {
    let bench = try Workbench()
    let result = try await bench.rram(input.arguments)
    #expect(result.status == input.status, "\(result.stderr)")
    for word in input.says { #expect(result.stderr.contains(word), "\(result.stderr)") }
    #expect(result.stdout.isEmpty)
  }

  @Test func aScheduleIsPredictedWithItsStrayWords() async throws {
    let bench = try Workbench()
    let json = try await bench.rram("hdpm", "schedule", "2", "--allow-overflow", "--json", "--words", "w.csv").json()
    let words = try #require(json["words"] as? [[Int]])
    #expect(words.count == 242)
    #expect(words.allSatisfy { $0.count == 18 })
    #expect(json["overflowed"] as? Int == 54)
    #expect(json["glitches"] as? Int == 1)
    #expect(json["largestBias_V"] as? Double == 0.05)
    let lines = try String(contentsOfFile: bench.path("w.csv"), encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 242 * 18 + 1)
  }

  @Test func importedCapturesAreSamples() async throws {
    let bench = try Workbench()
    let capture = try ScopeCapture(
      time: (0..<242).map { Double($0) * 0.005 }, v1: (0..<242).map { 0.05 - Double($0) * 1e-4 },
      v2: (0..<242).map { _ in 0.07 }, file: "a")
    try Data(capture.csv.utf8).write(to: bench.folder.appending(path: "a.csv"))
    var npz = NPZWriter()
    npz.add(NPYArray(capture.time), as: "time")
    npz.add(NPYArray(capture.v1), as: "v1")
    npz.add(NPYArray(capture.v2), as: "v2")
    try npz.write(to: bench.path("b.npz"))
    let result = try await bench.rram("hdpm", "import", "a.csv", "b.npz", "--bias", "0.1", "-o", "s.npz", "--json")
    #expect(result.status == 0, "\(result.stderr)")
    let samples = try SampleFile(path: bench.path("s.npz"))
    #expect(samples.count == 2)
    #expect(samples.xT[0...1] == [0.5, 0.7])
    #expect(samples.x[0...1] == samples.x[2...3])
    #expect(try await bench.rram("evaluate", "s.npz", "--json").status == 0)

    try Data("a,b\n1,2\n".utf8).write(to: bench.folder.appending(path: "c.csv"))
    let refused = try await bench.rram("hdpm", "import", "c.csv")
    #expect(refused.status == 65)
    #expect(refused.stderr == "error: c.csv, line 1: columns 'a,b', 'time,v1,v2' expected\n")
  }

  /// Runs in real time over a pseudo-terminal, so it is left out unless asked for: it depends on what else the machine does.
  @Test(
    .enabled(if: ProcessInfo.processInfo.environment["RRAM_TEST_REALTIME"] != nil, "RRAM_TEST_REALTIME is not set"),
    .timeLimit(.minutes(2)))
  func theTwinAndItsPseudoTerminalGiveTheSameSamples() async throws {
    let bench = try Workbench()
    let direct = try await bench.rram("sample", "--preset", "0", "-n", "2", "-o", "direct.npz", "--board", "hdpm-emu:")
    #expect(direct.status == 0, "\(direct.stderr)")

    try FileManager.default.createDirectory(atPath: bench.path("scope"), withIntermediateDirectories: true)
    let server = Process()
    server.executableURL = URL(filePath: Workbench.executable)
    server.arguments = ["emulate", "--hdpm-pty", "--scope", bench.path("scope"), "--board", "hdpm-emu:"]
    let output = Pipe()
    server.standardOutput = output
    server.standardError = FileHandle.nullDevice
    try server.run()
    defer { server.terminate() }
    let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
    let address = try #require(line.split(whereSeparator: \.isWhitespace).last { $0.hasPrefix("hdpm:") })

    let measured = try await bench.rram(
      "sample", "--preset", "0", "-n", "2", "-o", "pty.npz", "--scope", "scope", "--board", String(address))
    #expect(measured.status == 0, "\(measured.stderr)")
    let (a, b) = (try SampleFile(path: bench.path("direct.npz")), try SampleFile(path: bench.path("pty.npz")))
    #expect(a.count == 2)
    #expect(a.x == b.x)
    #expect(a.xT == b.xT)
  }
}
