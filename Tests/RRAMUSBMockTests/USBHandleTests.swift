import RRAMTransport
import RRAMUSB
import Testing

extension MockedKernel {
  @Suite struct USBHandleTests {
    private func withHandle(
      _ board: MockBoard, _ body: @escaping (USBHandle) async throws -> Void
    ) async throws {
      try await withBoards(board) { context in
        let handle = try await USBHandle.open(try #require(context.devices().first))
        try await handle.claim(interface: 0)
        do {
          try await body(handle)
        } catch {
          await handle.close()
          throw error
        }
        await handle.close()
      }
    }

    @Test(.timeLimit(.minutes(1))) func severalTransfersInFlightKeepTheirOrder() async throws {
      try await withHandle(MockBoard(serial: "RR-1", endpoint: EchoEndpoint())) { handle in
        // Reads wait before anything is there, so that all of them are under way.
        let reads = try await withThrowingTaskGroup(of: [UInt8].self) { group in
          for _ in 0..<4 { group.addTask { try await handle.read(endpoint: 0x81, count: 1024, limit: .seconds(10)) } }
          for value in 1...4 {
            _ = try await handle.write(endpoint: 1, [UInt8](repeating: UInt8(value), count: 100), limit: .seconds(10))
          }
          var all: [[UInt8]] = []
          for try await bytes in group { all.append(bytes) }
          return all
        }
        #expect(reads.map(\.count) == [100, 100, 100, 100])
        #expect(Set(reads.compactMap(\.first)) == [1, 2, 3, 4])
      }
    }

    @Test(.timeLimit(.minutes(1))) func aDeviceThatSaysNothingTimesOut() async throws {
      try await withHandle(MockBoard(serial: "RR-1", endpoint: MuteEndpoint())) { handle in
        let error = await failure { _ = try await handle.read(endpoint: 0x81, count: 512, limit: .milliseconds(20)) }
        #expect(error?.code == .timedOut)
        #expect(error?.library?.number == -7)
        // The endpoint still works afterwards.
        let again = await failure { _ = try await handle.read(endpoint: 0x81, count: 512, limit: .milliseconds(20)) }
        #expect(again?.code == .timedOut)
      }
    }

    @Test(.timeLimit(.minutes(1))) func aCancelledReadEndsAndGivesItsBufferBack() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: MuteEndpoint())
      try await withHandle(board) { handle in
        let read = Task { try await handle.read(endpoint: 0x81, count: 512, limit: nil) }
        while board.transfers == 0 { await Task.yield() }
        read.cancel()
        let error = await failure { _ = try await read.value }
        #expect(error?.code == .cancelled)
        #expect(board.transfers == 0)
        // Cancelled before it was submitted: nothing is sent.
        let early = Task {
          while !Task.isCancelled { await Task.yield() }
          return try await handle.read(endpoint: 0x81, count: 512, limit: nil)
        }
        early.cancel()
        #expect(await failure { _ = try await early.value }?.code == .cancelled)
      }
    }

    @Test(.timeLimit(.minutes(1))) func closingEndsWhatIsUnderWay() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: MuteEndpoint())
      try await withHandle(board) { handle in
        let reads = (0..<8).map { _ in Task { try await handle.read(endpoint: 0x81, count: 512, limit: nil) } }
        while board.transfers < 8 { await Task.yield() }
        await handle.close()
        for read in reads { #expect(await failure { _ = try await read.value }?.code == .cancelled) }
        #expect(await failure { _ = try await handle.read(endpoint: 0x81, count: 8, limit: nil) }?.code == .closed)
      }
    }

    @Test(.timeLimit(.minutes(1))) func aStallLastsUntilTheHaltIsCleared() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: EchoEndpoint())
      try await withHandle(board) { handle in
        board.change { $0.stalls[1] = 1 }
        for _ in 0..<2 {
          let error = await failure { _ = try await handle.write(endpoint: 1, [1, 2, 3], limit: .seconds(10)) }
          #expect(error?.library?.number == -9)
        }
        try await handle.clearHalt(endpoint: 1)
        #expect(try await handle.write(endpoint: 1, [1, 2, 3], limit: .seconds(10)) == 3)
        #expect(try await handle.read(endpoint: 0x81, count: 512, limit: .seconds(10)) == [1, 2, 3])
      }
    }

    @Test(.timeLimit(.minutes(1))) func babbleAndResetAreReported() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: MuteEndpoint())
      try await withHandle(board) { handle in
        board.change { $0.babbles = true }
        let error = await failure { _ = try await handle.read(endpoint: 0x81, count: 512, limit: .seconds(10)) }
        #expect(error?.code == .protocolViolation)
        #expect(error?.library?.number == -8)
        try await handle.reset()
        #expect(board.traffic.resets == 1)
      }
    }

    @Test(.timeLimit(.minutes(1))) func aSecondClaimIsRefusedAsBusy() async throws {
      try await withHandle(MockBoard(serial: "RR-1", endpoint: MuteEndpoint())) { handle in
        // Another context stands for another process.
        let other = try await USBHandle.open(try #require(try USBContext().devices().first))
        let error = await failure { try await other.claim(interface: 0) }
        #expect(error?.code == .busy)
        #expect(error.map { "\($0)" } == "usb:RR-1: cannot claim interface 0: resource busy (libusb -6)")
        #expect(try await other.control(request: 3, answerBytes: 16).count == 16)
        await other.close()
      }
    }
  }
}
