import Foundation
import RRAMKit
import Testing

@testable import rram

@Suite struct DoctorTests {
  @Test(
    arguments: [
      (.noUSB, 69, "emu:"), (.noBoard(attached: []), 69, "plug"), (.noRule, 77, "tools/setup usb"),
      (.notPermitted(node: "/dev/bus/usb/001/002"), 77, "udevadm trigger"),
      (.notInGroup("plugdev", user: "ada"), 77, "adduser ada plugdev"),
      (.loginOlderThanGroup("plugdev"), 77, "newgrp plugdev"), (.firmwareTooOld, 76, "firmware"),
      (.busy([USBHolder(processID: 42, name: "rram")]), 75, "kill 42"),
      (
        .busy([USBHolder(processID: 42, name: "rram"), USBHolder(processID: 43, name: "lsusb")]), 75,
        "end the one that works on it: rram (process 42), lsusb (process 43)"
      ), (.busy([]), 75, "sudo rram doctor"),
      (.silent, 75, "plug"), (.garbled, 76, "firmware"), (.memory(needed: 16), 1, "echo 16 | sudo tee"),
    ] as [(Checkup.Problem, Int32, String)])
  func everyProblemHasACodeAndACommand(problem: Checkup.Problem, code: Int32, command: String) {
    let output = DoctorOutput(Checkup(findings: [.init("USB", nil, "fine"), .init("it", "usb:A", "why", problem)]))
    #expect(output.exitStatus == code)
    #expect(output.findings[1].command?.contains(command) == true)
    let lines = output.text.split(separator: "\n")
    #expect(lines.count == 2)
    #expect(lines[0] == "ok       USB  fine")
    #expect(lines[1].hasPrefix("problem  it   usb:A: why; mend it: "))
  }

  @Test func warningsAloneAreHealthyAndAMissingBoardOutweighsTheRest() {
    let warning = Checkup.Finding("udev rule", nil, "none", .noRule, state: .warning)
    #expect(DoctorOutput(Checkup(findings: [warning])).exitStatus == 0)
    #expect(DoctorOutput(Checkup(findings: [warning])).healthy)
    let both = Checkup(findings: [.init("udev rule", nil, "none", .noRule), .init("board", nil, "none", .noUSB)])
    #expect(DoctorOutput(both).exitStatus == 69)
  }

  @Test func doctorPrintsOneDocumentAndEndsWithTheCode() async throws {
    let bench = try Workbench()
    let sound = try await bench.rram("doctor", "--board", "emu:profile=ideal", "--json")
    #expect(sound.status == 0)
    #expect(try sound.json()["healthy"] as? Bool == true)
    let missing = try await bench.rram("--json", "doctor", "--board", "usb:no such serial")
    #expect(missing.status == 69)
    let document = try missing.json()
    #expect(document["schema"] as? Int == 1)
    #expect(document["healthy"] as? Bool == false)
    let findings = try #require(document["findings"] as? [[String: Any]])
    #expect(findings.contains { $0["subject"] as? String == "board" && $0["state"] as? String == "problem" })
  }
}
