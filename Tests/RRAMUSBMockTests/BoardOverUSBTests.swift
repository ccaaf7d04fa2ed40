import Foundation
import RRAMBoard
import RRAMKit
import RRAMTransport
import RRAMUSB
import RRAMUnits
import RRAMWire
import Testing

@testable import rram

extension MockedKernel {
  /// The device layer against virtual firmware, over the real libusb.
  @Suite struct BoardOverUSBTests {
    @Test(.timeLimit(.minutes(1))) func aWholeMacroIsRead() async throws {
      let device = try MockBoard.emulated(serial: "RR-1")
      try await withBoards(device) { context in
        try await RRAMBoard.withBoard(try await USBTransport.open(context: context)) { board in
          #expect(board.address == "usb:RR-1")
          let values = try await board.read(CellBlock(macro: 0, shape: MacroShape(rows: 64, columns: 64)))
          #expect(values.count == 4096)
          #expect(values.allSatisfy { $0.isFinite })
        }
      }
      #expect(device.traffic.controls == [.resync])
    }

    /// A capture names the board that was there: its number on the bus, and its serial in the descriptors.
    @Test(.timeLimit(.minutes(1))) func aCaptureIsAttributedToTheBoard() async throws {
      let device = try MockBoard.emulated(serial: "RR-CAPTURED")
      let path = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString).pcapng").path
      defer { try? FileManager.default.removeItem(atPath: path) }
      try await withBoards(device) { context in
        let number = try #require(context.devices().first).number
        try await RRAM.withBoard("usb:", files: LinkFiles(capture: path)) { _ = try await $0.heartbeat() }
        try await RRAM.makeSafe(.usb(serial: nil), files: LinkFiles(capture: path + ".safe"))
        for file in [path, path + ".safe"] {
          let bytes = try Array(Data(contentsOf: URL(filePath: file)))
          // The first packet: 28 bytes of its block and then the header, in which byte 11 is the number and bytes 12 and 13 the bus.
          let first = try #require(bytes.indices.first { bytes[$0...].starts(with: [6, 0, 0, 0, 96, 0, 0, 0]) })
          #expect(Array(bytes[first + 28 + 11..<first + 28 + 14]) == [number, 1, 0])
          let serial = "RR-CAPTURED".utf16.flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] }
          #expect(bytes.indices.contains { bytes[$0...].starts(with: serial) })
        }
        try? FileManager.default.removeItem(atPath: path + ".safe")
      }
    }

    @Test(.timeLimit(.minutes(1))) func safeWorksWhileTheBoardIsHeld() async throws {
      let device = try MockBoard.emulated(serial: "RR-1")
      try await withBoards(device) { context in
        try await RRAMBoard.withBoard(try await USBTransport.open(context: context)) { board in
          _ = try await board.read(CellBlock(macro: 0, shape: MacroShape(rows: 8, columns: 8)))
          let held = await failure { try await RRAM.withBoard("usb:") { _ in } }
          #expect(held?.code == .busy)
          #expect(held.map { diagnose($0).exitCode } == ExitStatus.busy)
          try await RRAM.makeSafe(.usb(serial: nil))
          let bytes = try await USBTransport.control(context: context, .status)
          let status = try BoardStatus(bytes: bytes)
          #expect(status.isGrounded)
          #expect(status.hasSession, "who holds the board keeps the session")
          #expect(status.lastSafeCause == .requested)
          #expect(status.bootID == board.info.bootID)
          // The session goes on.
          _ = try await board.read(CellBlock(macro: 0, shape: MacroShape(rows: 8, columns: 8)))
        }
      }
      #expect(device.traffic.controls == [.resync, .safe, .status])
    }

    /// The suite for firmware over the real libusb: a reset of the bus is one of its checks there, a sleeping bus is not the host's to make.
    @Test(.timeLimit(.minutes(2))) func theFirmwareConforms() async throws {
      let device = try MockBoard.emulated(serial: "RR-1")
      device.plug()
      let report = try await Conformance.run(
        options: .init(spareRow: CellRow(macro: 0, row: 63), limit: .seconds(20))
      ) { try await USBTransport.open(serial: "RR-1") }
      device.unplug()
      #expect(report.failures.isEmpty, "\(report.findings.filter { $0.outcome == .failed })")
      let skipped = report.findings.filter { $0.outcome == .skipped }.map(\.check)
      #expect(
        Set(skipped) == ["loop.stream", "loop.abort", "safe.bus-suspend"],
        "\(report.findings.filter { $0.outcome == .skipped })")
      #expect(device.traffic.resets == 1)
    }

    @Test(.timeLimit(.minutes(1))) func aPulledCableEndsTheSessionAndTheNextOneWorks() async throws {
      let device = try MockBoard.emulated(serial: "RR-1")
      device.plug()
      let failed = await #expect(throws: BoardError.self) {
        try await RRAM.withBoard("usb:RR-1") { board in
          device.unplug()
          _ = try await board.read(CellBlock(macro: 0, shape: MacroShape(rows: 8, columns: 8)))
        }
      }
      #expect(failed?.code == .linkLost)
      device.plug()
      try await RRAM.withBoard("usb:RR-1") { board in
        let heartbeat = try await board.heartbeat()
        #expect(heartbeat.lastSafeCause == .newSession)
      }
      device.unplug()
    }

    @Test(.timeLimit(.minutes(1))) func addressesAndTheirExitCodes() async throws {
      func code(_ address: String) async -> Int32? {
        do {
          try await RRAM.withBoard(address) { _ in }
          return nil
        } catch {
          return diagnose(error).exitCode
        }
      }
      #expect(await code("usb:") == ExitStatus.noBoard)
      #expect(try RRAM.attachedBoards().isEmpty)
      let (first, second) = (try MockBoard.emulated(serial: "RR-1"), try MockBoard.emulated(serial: "RR-2"))
      try await withBoards(first, second) { _ in
        let attached = try RRAM.attachedBoards()
        #expect(attached.map(\.address) == ["usb:RR-1", "usb:RR-2"])
        #expect(await code("usb:") == ExitStatus.usage)
        #expect(await code("usb:RR-2") == nil)
        #expect(await code("usb:RR-3") == ExitStatus.noBoard)
      }
    }

    @Test(.timeLimit(.minutes(1))) func firmwareBelowTheLowestLevelIsRefusedUnopened() async throws {
      let device = try MockBoard.emulated(serial: "RR-1", bcdDevice: 0x0000)
      try await withBoards(device) { _ in
        let error = await #expect(throws: BoardError.self) { try await RRAM.withBoard("usb:") { _ in } }
        #expect(error?.code == .versionMismatch)
        #expect(error.map { diagnose($0).exitCode } == ExitStatus.protocolMismatch)
        #expect(error?.message == "the firmware speaks protocol level 0 at most, this host 1 to 1")
        #expect(device.traffic.controls.isEmpty)
      }
    }
  }
}
