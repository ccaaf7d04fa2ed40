import Foundation
import RRAMBoard
import RRAMKit
import RRAMTransport
import RRAMUSB
import Testing

@testable import rram

extension MockedKernel {
  /// What `rram doctor` finds on a machine with USB; the machine's own part is tested in RRAMKitTests.
  @Suite struct CheckupTests {
    /// A machine on which nothing but the board can be wrong.
    private func places() throws -> Checkup.Places {
      let folder = FileManager.default.temporaryDirectory.appending(path: "rram-checkup-\(UUID().uuidString)").path
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      let rule = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../udev/70-rram.rules")
      try FileManager.default.copyItem(atPath: rule.standardized.path, toPath: folder + "/70-rram.rules")
      var places = Checkup.Places()
      places.ruleFolders = [folder]
      places.udevControl = folder
      places.memoryLimit = folder + "/none"
      return places
    }

    private func checkup(_ address: BoardAddress = .usb(serial: nil)) async throws -> Checkup {
      var configuration = BoardConfiguration()
      configuration.openLimit = .milliseconds(100)
      configuration.safeLimit = .milliseconds(50)
      let places = try places()
      defer { try? FileManager.default.removeItem(atPath: places.udevControl) }
      return await RRAM.checkup(address, configuration: configuration, places: places)
    }

    private func subjects(_ checkup: Checkup) -> [String] { checkup.findings.map(\.subject) }

    private func problems(_ checkup: Checkup) -> [Checkup.Problem] {
      checkup.findings.filter { $0.state == .problem }.compactMap(\.problem)
    }

    @Test(.timeLimit(.minutes(1))) func aSoundBoardIsFollowedUpToASession() async throws {
      let board = try MockBoard.emulated(serial: "RR-1")
      try await withBoards(board) { _ in
        let checkup = try await checkup()
        #expect(checkup.isHealthy, "\(checkup.findings)")
        #expect(
          subjects(checkup) == [
            "USB", "udev rule", "board", "firmware", "permission", "status", "interface", "session",
          ])
        #expect(DoctorOutput(checkup).exitStatus == 0)
      }
      #expect(board.traffic.controls.contains(.resync), "a session was tried")
    }

    @Test(.timeLimit(.minutes(1))) func aBoardInUseIsNotDisturbedAndItsHolderIsNamed() async throws {
      let board = try MockBoard.emulated(serial: "RR-1")
      try await withBoards(board) { context in
        let transport = try await USBTransport.open(context: context)
        let checkup = try await checkup()
        let finding = try #require(checkup.findings.last)
        guard case .busy(let holders) = finding.problem else {
          Issue.record("\(checkup.findings)")
          return
        }
        #expect(holders.map(\.processID) == [ProcessInfo.processInfo.processIdentifier])
        #expect(finding.message.contains("process \(ProcessInfo.processInfo.processIdentifier)"))
        #expect(DoctorOutput(checkup).exitStatus == ExitStatus.busy)
        #expect(board.traffic.controls == [.resync, .status], "the resync is the holder's own")
        // Other commands name the holder as well.
        let refused = await failure { _ = try await USBTransport.open(context: context) }
        #expect(refused?.code == .busy)
        #expect(refused?.message.contains("process \(ProcessInfo.processInfo.processIdentifier)") == true)
        await transport.close()
      }
    }

    @Test(.timeLimit(.minutes(1))) func aNodeThatMayNotBeOpenedIsDescribed() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: MuteEndpoint())
      try await withBoards(board, refusedOpens: 2) { _ in
        board.forbid()
        let checkup = try await checkup()
        #expect(subjects(checkup).last == "permission")
        #expect(checkup.findings.last?.message.contains("root:root 0444") == true)
        #expect(DoctorOutput(checkup).exitStatus == ExitStatus.noPermission)
        #expect(DoctorOutput(checkup).findings.last?.command?.contains("udevadm trigger") == true)
        let refused = await failure { try await RRAM.withBoard("usb:") { _ in } }
        #expect(refused.map { diagnose($0).exitCode } == ExitStatus.noPermission)
        #expect(refused.map { diagnose($0).hint?.contains("tools/setup usb") } == true)
      }
    }

    @Test(.timeLimit(.minutes(1))) func firmwareBelowTheLowestLevelIsNamedWithBothLevels() async throws {
      try await withBoards(MockBoard.emulated(serial: "RR-1", bcdDevice: 0x0000)) { _ in
        let checkup = try await checkup()
        #expect(problems(checkup) == [.firmwareTooOld])
        let finding = try #require(checkup.findings.first { $0.problem == .firmwareTooOld })
        #expect(finding.message == "the firmware speaks protocol level 0 at most, this host 1 to 1")
        #expect(DoctorOutput(checkup).exitStatus == ExitStatus.protocolMismatch)
      }
    }

    @Test(.timeLimit(.minutes(1))) func aDeviceThatAnswersNonsenseOrNothingIsFound() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: MuteEndpoint())
      try await withBoards(board) { _ in
        // STATUS of sevens.
        let nonsense = try await checkup()
        #expect(problems(nonsense) == [.garbled])
        #expect(DoctorOutput(nonsense).exitStatus == ExitStatus.protocolMismatch)
        board.change { $0.refusesControl = true }
        let refusing = try await problems(checkup())
        #expect(refusing == [.garbled])
        board.change { $0.refusesControl = false }
      }
      // Control requests work, frames do not.
      let silent = try MockBoard.emulated(serial: "RR-1")
      try await withBoards(silent) { _ in
        silent.change { $0.takesNothing = true }
        let unheard = try await problems(checkup())
        #expect(unheard == [.silent])
        silent.change { $0.takesNothing = false }
      }
      try await withBoards(MockBoard(serial: "RR-1", endpoint: BabblingEndpoint())) { _ in
        let checkup = try await checkup()
        #expect(subjects(checkup).last == "session")
        #expect(problems(checkup) == [.silent])
        #expect(DoctorOutput(checkup).exitStatus == ExitStatus.busy)
      }
    }

    @Test(.timeLimit(.minutes(1))) func allBoardsOrOneAreLookedAt() async throws {
      let none = try await checkup()
      #expect(problems(none) == [.noBoard(attached: [])] || problems(none).first == .noUSB)
      #expect(DoctorOutput(none).exitStatus == ExitStatus.noBoard)
      let stranger = USBIdentity(vendorID: 0x1209, productID: 0x0001, manufacturer: "Somebody", product: "A lamp")
      let boards = (try MockBoard.emulated(serial: "RR-1"), try MockBoard.emulated(serial: "RR-2"))
      let lamp = MockBoard(serial: "L", endpoint: MuteEndpoint(), identity: stranger)
      try await withBoards(boards.0, boards.1, lamp) { _ in
        let all = try await checkup()
        #expect(all.isHealthy, "\(all.findings)")
        #expect(all.findings.filter { $0.subject == "session" }.map(\.address) == ["usb:RR-1", "usb:RR-2"])
        #expect(all.findings.contains { $0.problem == .notABoard && $0.message.contains("A lamp") })
        let one = try await checkup(.usb(serial: "RR-2"))
        #expect(one.findings.compactMap(\.address).allSatisfy { $0 == "usb:RR-2" })
        let missing = try await checkup(.usb(serial: "RR-9"))
        #expect(problems(missing) == [.noBoard(attached: ["RR-1", "RR-2"])])
        #expect(missing.findings.last?.message.contains("RR-1, RR-2") == true)
      }
    }
  }
}
