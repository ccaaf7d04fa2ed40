import Foundation
import RRAMUSB
import Testing

@testable import RRAMKit

/// The machine's part of a checkup, on made-up machines.
@Suite struct CheckupTests {
  private let folder = FileManager.default.temporaryDirectory.appending(path: "rram-places-\(UUID().uuidString)").path

  private func places(rule: String? = nil, memory: String? = nil, udev: Bool = true) throws -> Checkup.Places {
    var places = Checkup.Places()
    try FileManager.default.createDirectory(atPath: folder + "/late", withIntermediateDirectories: true)
    places.ruleFolders = [folder, folder + "/late"]
    places.memoryLimit = folder + "/memory"
    places.udevControl = folder + (udev ? "" : "/none")
    try rule?.write(toFile: folder + "/late/70-rram.rules", atomically: true, encoding: .utf8)
    try memory?.write(toFile: places.memoryLimit, atomically: true, encoding: .utf8)
    return places
  }

  private func removeFolder() { try? FileManager.default.removeItem(atPath: folder) }

  private var shippedRule: String {
    get throws {
      let url = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../udev/70-rram.rules")
      return try String(contentsOf: url.standardized, encoding: .utf8)
    }
  }

  @Test func aMachineWithoutUSBSaysSo() {
    var places = Checkup.Places()
    places.usbDevices = "/nonexistent"
    #expect(Checkup.machine(places).problem == .noUSB)
    places.usbDevices = "/"
    places.deviceNodes = "/nonexistent"
    #expect(Checkup.machine(places).problem == .noDeviceNodes)
    places.deviceNodes = "/"
    #expect(Checkup.machine(places).state == .ok)
  }

  /// A board keeps 576 KiB of transfers under way.
  @Test(
    arguments: [
      ("16\n", 1, nil, Checkup.State.ok), ("0\n", 100, nil, .ok),
      ("4\n", 1, Checkup.Problem.memory(needed: 16), .warning),
      ("1\n", 4, .memory(needed: 16), .problem), ("16\n", 100, .memory(needed: 113), .problem),
    ] as [(String, Int, Checkup.Problem?, Checkup.State)])
  func theMemoryLimitIsHeldAgainstTheBoards(
    text: String, boards: Int, problem: Checkup.Problem?, state: Checkup.State
  ) throws {
    defer { removeFolder() }
    let finding = try #require(Checkup.memory(places(memory: text), boards: boards))
    #expect(finding.problem == problem)
    #expect(finding.state == state)
  }

  @Test func whereTheKernelHasNoLimitNothingIsSaid() throws {
    defer { removeFolder() }
    #expect(try Checkup.memory(places(), boards: 1) == nil)
  }

  @Test(arguments: [false, true]) func aMissingRuleStopsEverybodyButRoot(isRoot: Bool) throws {
    defer { removeFolder() }
    func state(_ places: Checkup.Places) -> (Checkup.State?, Checkup.Problem?) {
      let finding = Checkup.rule(places, identity: .testBoard, isRoot: isRoot).first
      return (finding?.state, finding?.problem)
    }
    let severity = isRoot ? Checkup.State.warning : .problem
    #expect(try state(places()) == (severity, .noRule))
    #expect(try state(places(rule: "# for other boards\n")) == (severity, .noRule))
    #expect(try state(places(rule: shippedRule)) == (.ok, nil))
    #expect(try state(places(rule: shippedRule, udev: false)) == (.warning, .udevNotRunning))
    // A file in an earlier folder hides the rule; an empty one switches it off.
    let places = try places(rule: shippedRule)
    try "".write(toFile: folder + "/70-rram.rules", atomically: true, encoding: .utf8)
    #expect(state(places) == (severity, .noRule))
  }

  @Test func onOtherAddressesTheSessionAloneIsTried() async {
    let healthy = await RRAM.checkup(.emulated(.init(profile: "ideal")))
    #expect(healthy.findings.map(\.subject) == ["session"])
    #expect(healthy.isHealthy)
    let missing = await RRAM.checkup(.socket(path: "/nonexistent/board"))
    #expect(missing.findings.map(\.problem) == [.noBoard(attached: [])])
  }
}
