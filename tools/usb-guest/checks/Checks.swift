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
      let files = openFiles()
      do {
        try await body()
        // What a check leaves open or under way is its failure.
        let usage = context.usage
        guard usage.openHandles == 0, usage.transfers == 0 else { throw Unexpected("left over: \(usage)") }
        let isIdle = await context.waitUntilIdle()
        guard isIdle else { throw Unexpected("the event thread is left over") }
        guard openFiles() <= files else { throw Unexpected("open files: \(files) before, \(openFiles()) after") }
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

/// Descriptors of this process.
private func openFiles() -> Int {
  guard let directory = opendir("/proc/self/fd") else { return -1 }
  defer { closedir(directory) }
  var count = 0
  while readdir(directory) != nil { count += 1 }
  return count
}

extension USBHandle {
  /// Asks an emulated board for a fault.
  func ask(_ fault: USBFault, _ parameter: UInt16 = 0) async throws {
    _ = try await control(request: USBFault.request, data: fault.bytes(parameter))
  }
}
