import ArgumentParser
import Foundation
import Glibc
import RRAMKit

struct KillCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kill",
    abstract:
      "Kill the host over sock:, or let its disk be full, at drawn moments of program, sample and characterize.",
    discussion: """
      Drives the built rram against 'rram emulate'. After each: the board is grounded within its watchdog, and --resume completes. \
      Programs are compared with the same program undisturbed: share in tolerance, and pulses as the cells have counted them.
      """)

  @Option(help: "How often each operation is struck by each.") var repetitions = 4
  @Option(help: "Only this operation: program, sample or characterize.") var operation: Host.Operation?
  @Option(help: "Only this fault: kill or diskFull.") var fault: Host.Fault?
  @Option(help: "Draws the moments.") var seed: UInt64 = 1
  @Option(help: "The program that is killed.") var executable = ".build/release/rram"

  func run() async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "rram-kill-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    var generator = PhiloxStream(seed: seed, stream: (0x4B49_4C4C, 0, 0))
    let host = Host(executable: executable, folder: folder)
    try host.prepare()
    var rows = [
      ["operation", "fault", "times", "struck", "grounded after, ms (most)", "resumed", "pulses, % more (most)"]
    ]
    var breaches: [String] = []
    for operation in operation.map({ [$0] }) ?? Host.Operation.allCases {
      let duration = try await host.undisturbed(operation)
      for fault in fault.map({ [$0] }) ?? Host.Fault.allCases {
        var (struck, grounded, resumed, extra) = (0, 0.0, 0, 0.0)
        for turn in 0..<repetitions {
          let moment = duration * (0.1 + 0.85 * generator.uniform())
          let blocks = Int(8 + 300 * generator.uniform())
          do {
            let end = try await host.strike(operation, fault, after: moment, blocks: blocks)
            struck += end.hasStruck ? 1 : 0
            resumed += end.hasStruck ? 1 : 0
            grounded = max(grounded, end.groundedAfter.seconds)
            extra = max(extra, end.extraPulses)
          } catch {
            let place = fault == .kill ? "after \(moment) s" : "at \(blocks) KiB a file"
            breaches.append("\(operation.rawValue), \(fault.name) \(turn) \(place): \(error)")
          }
        }
        rows.append([
          operation.rawValue, fault.name, "\(repetitions)", "\(struck)", String(format: "%.0f", grounded * 1e3),
          "\(resumed)", operation == .program ? String(format: "%.1f", extra) : "",
        ])
      }
    }
    print(table(rows))
    for breach in breaches { print("breach: \(breach)") }
    print("seed \(seed), \(breaches.count) breaches")
    if !breaches.isEmpty { throw ExitCode(1) }
  }
}

/// The built command line, an emulated board in another process, and what they leave behind.
struct Host {
  enum Operation: String, CaseIterable, ExpressibleByArgument { case program, sample, characterize }
  enum Fault: String, CaseIterable, ExpressibleByArgument {
    case kill, diskFull
    var name: String { self == .kill ? "SIGKILL" : "disk full" }
  }
  struct End {
    var hasStruck: Bool
    var groundedAfter: Duration
    var extraPulses: Double
  }

  let executable: String
  let folder: URL
  private static let chip = "emu:profile=cmo-hfox,seed=9,state="
  private static let watchdog = Duration.seconds(2)

  private func path(_ name: String) -> String { folder.appending(path: name).path }
  private var home: String { path("home") }

  private func process(_ arguments: [String], blocks: Int? = nil) -> Process {
    let process = Process()
    process.environment = ProcessInfo.processInfo.environment.merging(["RRAM_HOME": home]) { $1 }
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    if let blocks {
      // A file that cannot grow answers as a full disk does, with an error of the write.
      process.executableURL = URL(filePath: "/bin/bash")
      process.arguments =
        ["-c", "trap '' XFSZ; ulimit -f \(blocks); exec \"$0\" \"$@\"", URL(filePath: executable).path] + arguments
    } else {
      process.executableURL = URL(filePath: executable)
      process.arguments = arguments
    }
    return process
  }

  private func rram(_ arguments: [String]) throws {
    let process = process(arguments)
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    let said = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Breach("\(arguments.joined(separator: " ")) ends with \(process.terminationStatus): \(said)")
    }
  }

  /// Chips before the operations.
  func prepare() throws {
    try rram(["form", "--for", "ring", "-q", "--board", Self.chip + path("formed.npz")])
    try FileManager.default.copyItem(atPath: path("formed.npz"), toPath: path("programmed.npz"))
    try rram(["program", "ring", "-q", "--board", Self.chip + path("programmed.npz")])
    try FileManager.default.copyItem(atPath: home, toPath: path("prepared"))
  }

  private func arguments(_ operation: Operation, run: String, board: String) -> [String] {
    let options = ["-q", "--board", board]
    switch operation {
    case .program: return ["program", "ring", "--follow", "1s", "--run-dir", run] + options
    case .sample: return ["sample", "ring", "-n", "400000", "--calibration", "none", "--run-dir", run] + options
    case .characterize: return ["characterize", plan, "--output", run] + options
    }
  }

  private var plan: String {
    let file = path("plan.yaml")
    try? """
    name: kill
    summary: reads of formed cells
    steps:
      - readNoise: {cells: 64, reads: 1024}
      - relaxation: {cells: 60, levels: 5, from: 1 s, until: 100 s, perDecade: 4}
      - arrayMap:
    """.write(toFile: file, atomically: true, encoding: .utf8)
    return file
  }

  private func serving<R>(_ state: String, _ body: (String) async throws -> R) async throws -> R {
    let socket = path("s\(UInt32.random(in: 0...9999))")
    let server = process(["emulate", "--socket", socket, "--board", Self.chip + state])
    try server.run()
    defer {
      server.terminate()
      server.waitUntilExit()
    }
    let deadline = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < deadline {
      if let status = try? await UnixSocketTransport.control(path: socket, .status), !status.isEmpty {
        return try await body(socket)
      }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw Breach("the server does not answer")
  }

  private func pulses(_ state: String) throws -> Int {
    let archive = try NPZArchive(file: state)
    return try archive.keys.filter { $0.hasSuffix(".pulses") }.reduce(0) { try $0 + archive.integers($1).reduce(0, +) }
  }

  private func start(_ operation: Operation) throws -> String {
    let state = path("die.npz")
    try? FileManager.default.removeItem(atPath: state)
    // The chips' records as they were: a ledger that grew with every strike would meet the limit before the operation begins.
    try FileManager.default.removeItem(atPath: home)
    try FileManager.default.copyItem(atPath: path("prepared"), toPath: home)
    try FileManager.default.copyItem(
      atPath: path(operation == .program ? "formed.npz" : "programmed.npz"), toPath: state)
    return state
  }

  /// Pulses of an undisturbed program, and how long an operation takes.
  nonisolated(unsafe) private static var undisturbedPulses = 0

  func undisturbed(_ operation: Operation) async throws -> Double {
    let state = try start(operation)
    var seconds = 0.0
    try await serving(state) { socket in
      let begin = ContinuousClock.now
      try rram(arguments(operation, run: path("clean-\(operation.rawValue)"), board: "sock:\(socket)"))
      seconds = (ContinuousClock.now - begin).seconds
    }
    if operation == .program { Self.undisturbedPulses = try pulses(state) - pulses(path("formed.npz")) }
    return seconds
  }

  func strike(_ operation: Operation, _ fault: Fault, after seconds: Double, blocks: Int) async throws -> End {
    let state = try start(operation)
    let run = path("run-\(UInt32.random(in: 0 ... .max))")
    var end = End(hasStruck: false, groundedAfter: .zero, extraPulses: 0)
    try await serving(state) { socket in
      let process = process(
        arguments(operation, run: run, board: "sock:\(socket)"), blocks: fault == .diskFull ? blocks : nil)
      try process.run()
      if fault == .kill {
        try await Task.sleep(for: .seconds(seconds))
        if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
      }
      process.waitUntilExit()
      end.hasStruck = process.terminationReason == .uncaughtSignal || process.terminationStatus != 0
      guard end.hasStruck else { return }
      let struck = ContinuousClock.now
      while true {
        let status = try BoardStatus(bytes: try await UnixSocketTransport.control(path: socket, .status))
        if !status.isEnergised { break }
        guard ContinuousClock.now - struck < Self.watchdog else { throw Breach("energised \(Self.watchdog) later") }
        try await Task.sleep(for: .milliseconds(2))
      }
      end.groundedAfter = ContinuousClock.now - struck
      // Killed before the run's folder was there: there is nothing to go on with, and nothing was done.
      let hasRun = FileManager.default.fileExists(atPath: run + "/manifest.json")
      let again =
        hasRun
        ? [operation.rawValue, "--resume", run, "-q", "--board", "sock:\(socket)"]
        : arguments(operation, run: run + "b", board: "sock:\(socket)")
      try rram(again)
    }
    if operation == .program, end.hasStruck {
      let spent = try pulses(state) - pulses(path("formed.npz"))
      end.extraPulses = 100 * (Double(spent) / Double(Self.undisturbedPulses) - 1)
      guard end.extraPulses <= 10 else { throw Breach("\(spent) pulses, undisturbed \(Self.undisturbedPulses)") }
    }
    return end
  }
}
