import RRAMBoard
import RRAMKit
import RRAMTransport
import RRAMUSB
import RRAMUnits
import RRAMWire
import Testing

@testable import rram

extension MockedKernel {
  /// What a session with a board makes of everything that can go wrong on the bus. After each fault the same address works again,
  /// and nothing is left over (``withBoards``).
  @Suite struct FaultTests {
    enum Fault: String, Sendable, CaseIterable, CustomTestStringConvertible {
      case stallOut, stallIn, shortPackets, slowDevice
      case silence, takesNothing, babble, endlessStall, disconnect, reset
      var testDescription: String { rawValue }

      /// The session goes on as if nothing had been.
      var isSurvived: Bool {
        switch self {
        case .stallOut, .stallIn, .shortPackets, .slowDevice: true
        default: false
        }
      }

      var exitCode: Int32 {
        switch self {
        case .silence, .takesNothing: ExitStatus.busy
        case .babble: ExitStatus.protocolMismatch
        default: ExitStatus.failure
        }
      }
    }

    private static let block = CellBlock(macro: 0, shape: MacroShape(rows: 32, columns: 32))

    private var configuration: BoardConfiguration {
      var configuration = BoardConfiguration()
      configuration.responseLimit = .milliseconds(300)
      configuration.safeLimit = .milliseconds(100)
      return configuration
    }

    private func inject(_ fault: Fault, into device: MockBoard) async throws {
      switch fault {
      case .stallOut: device.change { $0.stalls[0x01] = 1 }
      case .stallIn: device.change { $0.stalls[0x81] = 1 }
      case .shortPackets: device.change { $0.shortens = 100 }
      case .slowDevice, .silence: device.change { $0.saysNothing = true }
      case .takesNothing: device.change { $0.takesNothing = true }
      case .babble: device.change { $0.babbles = true }
      case .endlessStall: device.change { $0.stalls[0x81] = 1000 }
      case .disconnect: device.unplug()
      case .reset:
        // Another process resets the port.
        let context = try USBContext()
        let other = try await USBHandle.open(try #require(context.devices().first))
        try await other.reset()
        await other.close()
      }
    }

    @Test(.timeLimit(.minutes(1)), arguments: Fault.allCases)
    func aSessionMeets(fault: Fault) async throws {
      let device = try MockBoard.emulated(serial: "RR-1")
      try await withBoards(device) { context in
        let transport = try await USBTransport.open(context: context)
        var outcome: (any Error)?
        do {
          try await RRAMBoard.withBoard(transport, configuration: configuration) { board in
            let before = try await board.read(Self.block)
            try await inject(fault, into: device)
            async let values = board.read(Self.block)
            if fault == .slowDevice {
              // The answer waits in the device; it comes late, and within the limit.
              while device.traffic.bursts.count < 5 { await Task.yield() }
              device.change { $0.saysNothing = false }
            }
            #expect(try await values.count == before.count)
          }
        } catch {
          outcome = error
        }
        if fault.isSurvived {
          #expect(outcome == nil, "\(String(describing: outcome))")
        } else {
          let error = try #require(outcome as? BoardError, "\(String(describing: outcome))")
          #expect([.timedOut, .linkLost, .replyLost, .wrongState].contains(error.code), "\(error)")
          #expect(diagnose(error).exitCode == fault.exitCode, "\(error)")
        }
        device.change { $0 = MockBoard.Faults() }
        if !device.isPlugged { device.plug() }
        // The same address, a new session: the board is where a session begins, and answers.
        try await RRAMBoard.withBoard(try await USBTransport.open(serial: "RR-1", context: context)) { board in
          let values = try await board.read(Self.block)
          #expect(values.count == Self.block.shape.cellCount)
        }
        #expect(try BoardStatus(bytes: await USBTransport.control(context: context, .status)).isGrounded)
      }
    }

    /// A transfer under way when the cable is pulled: it ends, and the departure is reported.
    @Test(.timeLimit(.minutes(1))) func aCablePulledInMidTransferEndsItAndIsReported() async throws {
      let device = MockBoard(serial: "RR-1", endpoint: MuteEndpoint())
      try await withBoards(device) { context in
        let changes = Changes(stream: try context.changes())
        #expect(await changes.next() == "+RR-1")
        let handle = try await USBHandle.open(try #require(context.devices().first))
        try await handle.claim(interface: 0)
        device.change { $0.takesNothing = true }
        let read = Task { try await handle.read(endpoint: 0x81, count: 512, limit: nil) }
        let written = Task { try await handle.write(endpoint: 1, pattern(5000), limit: nil) }
        while device.transfers < 2 { await Task.yield() }
        device.unplug()
        let readError = await failure { _ = try await read.value }
        let writeError = await failure { _ = try await written.value }
        #expect(readError?.library?.number == -4)
        #expect(writeError?.library?.number == -4)
        #expect(await changes.next() == "-RR-1")
        await handle.close()
        // It comes back under another number, and the old handle does not matter.
        device.change { $0.takesNothing = false }
        device.plug()
        #expect(await changes.next() == "+RR-1")
        let transport = try await USBTransport.open(serial: "RR-1", context: context)
        await transport.close()
      }
    }

    @Test(.timeLimit(.minutes(1))) func aShortPacketEndsATransferWithWhatCame() async throws {
      let device = MockBoard(serial: "RR-1", endpoint: EchoEndpoint())
      try await withBoards(device) { context in
        let handle = try await USBHandle.open(try #require(context.devices().first))
        try await handle.claim(interface: 0)
        device.change { $0.shortens = 700 }
        _ = try await handle.write(endpoint: 1, pattern(1000), limit: .seconds(10))
        #expect(try await handle.read(endpoint: 0x81, count: 4096, limit: .seconds(10)) == Array(pattern(1000)[..<700]))
        #expect(try await handle.read(endpoint: 0x81, count: 4096, limit: .seconds(10)) == Array(pattern(1000)[700...]))
        await handle.close()
      }
    }

    /// What comes after a transfer has timed out belongs to the next one.
    @Test(.timeLimit(.minutes(1))) func aSlowAnswerIsNotLostWhenItsTransferTimedOut() async throws {
      let device = MockBoard(serial: "RR-1", endpoint: EchoEndpoint())
      try await withBoards(device) { context in
        let handle = try await USBHandle.open(try #require(context.devices().first))
        try await handle.claim(interface: 0)
        device.change { $0.saysNothing = true }
        _ = try await handle.write(endpoint: 1, [7, 8, 9], limit: .seconds(10))
        let late = await failure { _ = try await handle.read(endpoint: 0x81, count: 512, limit: .milliseconds(20)) }
        #expect(late?.code == .timedOut)
        device.change { $0.saysNothing = false }
        #expect(try await handle.read(endpoint: 0x81, count: 512, limit: .seconds(10)) == [7, 8, 9])
        await handle.close()
      }
    }

    /// A reset through one's own handle: the board is told, and the interface is still held.
    @Test(.timeLimit(.minutes(1))) func aResetMakesTheBoardSafeAndTheHandleGoesOn() async throws {
      let device = try MockBoard.emulated(serial: "RR-1")
      try await withBoards(device) { context in
        let handle = try await USBHandle.open(try #require(context.devices().first))
        try await handle.claim(interface: 0)
        try await handle.reset()
        #expect(device.traffic.resets == 1)
        // The firmware hears of it on a thread of its own.
        while try await BoardStatus(bytes: handle.control(request: 3, answerBytes: 16)).lastSafeCause != .linkLost {
          await Task.yield()
        }
        #expect(device.claims == 1)
        await handle.close()
      }
    }

    // MARK: devices that enumerate, and that is all

    @Test(.timeLimit(.minutes(1))) func aDeviceThatAnswersNothingOrNonsenseIsGivenUpInTime() async throws {
      var configuration = configuration
      configuration.openLimit = .milliseconds(200)
      for endpoint in [MuteEndpoint(), BabblingEndpoint()] as [any DeviceEndpoint] {
        try await withBoards(MockBoard(serial: "RR-1", endpoint: endpoint)) { _ in
          let error = await #expect(throws: BoardError.self) {
            try await RRAM.withBoard("usb:", configuration: configuration) { _ in }
          }
          #expect(error?.code == .timedOut)
          #expect(error.map { diagnose($0).exitCode } == ExitStatus.busy)
        }
      }
    }
  }
}
