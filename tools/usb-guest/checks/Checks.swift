import Glibc
import RRAMEmulatorUSB
import RRAMTransport
import RRAMUSB
import RRAMWire

/// What must hold for a board that a real kernel has enumerated, over libusb: transfers, faults, coming and going.
///
/// Usage: `usb-guest-checks [--no-reset]` runs all of them against the only board, which must be served with `--faults`;
/// `--fault mute` and the like only asks the board for a fault, `--await energised` waits until it works on something.
/// Prints a line a check; exits with 1 if one failed. A check that hangs is ended by a signal.
@main
struct Checks {
  static func main() async {
    let arguments = CommandLine.arguments.dropFirst()
    do {
      if let index = arguments.firstIndex(of: "--fault"), let name = arguments.dropFirst(index).first {
        alarm(Self.watchdogSeconds)
        try await ask(named: name)
      } else if arguments.contains("--await") {
        alarm(Self.watchdogSeconds)
        try await awaitEnergised()
      } else {
        let isDone = await Checks(resets: !arguments.contains("--no-reset")).run()
        exit(isDone ? 0 : 1)
      }
    } catch {
      say("FAIL \(error)")
      exit(1)
    }
  }

  /// A check takes a second or two on an emulated processor.
  private static let watchdogSeconds: UInt32 = 60

  let resets: Bool
  private let context: USBContext?

  init(resets: Bool) {
    self.resets = resets
    context = try? USBContext()
  }

  private func run() async -> Bool {
    guard let context else {
      Self.say("FAIL no USB on this machine")
      return false
    }
    let suite = Suite(context: context)
    var failures = 0
    // What libraries and the runtime open once and keep is open before anything is counted.
    _ = try? context.devices()
    try? await Task.sleep(for: .milliseconds(1))
    _ = await context.waitUntilIdle()
    func check(_ name: String, _ body: () async throws -> Void) async {
      alarm(Self.watchdogSeconds)
      do {
        var before = openFiles()
        try await body()
        // What a check leaves open or under way is its failure.
        let usage = context.usage
        guard usage.openHandles == 0, usage.transfers == 0 else { throw Unexpected("left over: \(usage)") }
        guard await context.waitUntilIdle() else { throw Unexpected("the event thread is left over") }
        // The runtime opens timers and event queues when it first needs them, and keeps them: a check that leaks opens
        // another one each time.
        if openFiles().count > before.count {
          before = openFiles()
          try await body()
          guard await context.waitUntilIdle() else { throw Unexpected("the event thread is left over") }
          let after = openFiles()
          guard after.count <= before.count else { throw Unexpected("open files: \(before) before, \(after) after") }
        }
        Self.say("ok   \(name)")
      } catch {
        Self.say("FAIL \(name): \(error)")
        failures += 1
      }
    }
    await check("enumerated: ids, strings, level, port", suite.isEnumerated)
    await check("a second claim is busy, a control request beside it is answered", suite.claimIsExclusive)
    await check("frames go both ways", suite.framesGoBothWays)
    await check("bursts around packet boundaries arrive whole", suite.burstsArriveWhole)
    await check("an event rings the doorbell", suite.anEventRings)
    await check("timeout", suite.timeout)
    await check("cancelled transfers end", suite.cancellation)
    await check("slow device", suite.slowDevice)
    await check("short packet", suite.shortPacket)
    await check("stall in lasts until its halt is cleared", suite.stallIn)
    await check("stall out lasts until its halt is cleared", suite.stallOut)
    await check("babble is an overflow", suite.babble)
    await check("transport mends stalls by itself", suite.transportMendsStalls)
    if resets { await check("a reset ends the session and grounds the board", suite.reset) }
    await check("disconnect in mid-transfer, and back at the same address", suite.leaveAndReturn)
    await check("frames go both ways afterwards", suite.framesGoBothWays)
    Self.say("\(failures) checks failed")
    return failures == 0
  }

  // MARK: single acts

  private static func ask(named name: String) async throws {
    guard let fault = USBFault.allCases.first(where: { "\($0)" == name }) else {
      throw Unexpected("no fault '\(name)'; there are \(USBFault.allCases.map { "\($0)" }.joined(separator: ", "))")
    }
    let context = try USBContext()
    let handle = try await USBHandle.open(try theBoard(context))
    try await handle.ask(fault, 200)
    await handle.close()
  }

  private static func awaitEnergised() async throws {
    let context = try USBContext()
    let handle = try await USBHandle.open(try theBoard(context))
    while true {
      let status = try BoardStatus(
        bytes: try await handle.control(request: ControlRequest.status.rawValue, answerBytes: 16))
      if status.isEnergised, status.operations > 0 { break }
      try await Task.sleep(for: .milliseconds(20))
    }
    await handle.close()
  }

  static func theBoard(_ context: USBContext) throws -> USBDevice {
    let found = try context.devices()
    guard let device = found.first, found.count == 1 else { throw Unexpected("\(found.count) boards: \(found)") }
    return device
  }

  static func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
  }
}

/// What was not as it should be.
struct Unexpected: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

func require(_ condition: Bool, _ what: @autoclosure () -> String) throws {
  guard condition else { throw Unexpected(what()) }
}

/// What the descriptors of this process lead to, sorted.
private func openFiles() -> [String] {
  guard let directory = opendir("/proc/self/fd") else { return [] }
  defer { closedir(directory) }
  var files: [String] = []
  while let entry = readdir(directory) {
    let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    var target = [UInt8](repeating: 0, count: 256)
    let length = readlink("/proc/self/fd/\(name)", &target, target.count)
    if length > 0 { files.append(String(decoding: target.prefix(length), as: UTF8.self)) }
  }
  return files.sorted()
}

extension USBHandle {
  /// Asks an emulated board for a fault.
  func ask(_ fault: USBFault, _ parameter: UInt16 = 0) async throws {
    _ = try await control(request: USBFault.request, data: fault.bytes(parameter))
  }
}
