import RRAMTransport
import RRAMUSB
import Testing

extension MockedKernel {
  @Suite struct LeakTests {
    private static let repetitions = 1000

    /// The smallest thing that could stay behind each time, a transfer, takes 16 KiB.
    @Test(.timeLimit(.minutes(3))) func openingAndClosingLeavesNothingBehind() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: EchoEndpoint())
      board.plug()
      func cycle() async throws {
        let context = try USBContext()
        let transport = try await USBTransport.open(context: context)
        try await transport.send([1])
        _ = try await transport.receive()
        await transport.close()
        #expect(await context.waitUntilIdle())
      }
      for _ in 0..<20 { try await cycle() }
      let before = Holdings()
      for _ in 0..<Self.repetitions { try await cycle() }
      Holdings().expectNoGrowth(since: before, repetitions: Self.repetitions, bytesEach: 2048)
      #expect(board.transfers == 0)
      board.unplug()
    }

    /// 1000 events, the board open at each departure.
    @Test(.timeLimit(.minutes(3))) func comingAndGoingLeavesNothingBehind() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: MuteEndpoint())
      let context = try USBContext()
      let changes = Changes(stream: try context.changes())
      func cycle() async throws {
        board.plug()
        #expect(await changes.next() == "+RR-1")
        let transport = try await USBTransport.open(context: context)
        board.unplug()
        #expect(await changes.next() == "-RR-1")
        await transport.close()
      }
      for _ in 0..<20 { try await cycle() }
      let before = Holdings()
      for _ in 0..<Self.repetitions / 2 { try await cycle() }
      Holdings().expectNoGrowth(since: before, repetitions: Self.repetitions / 2, bytesEach: 4096)
      #expect(context.usage == USBContext.Usage(threads: 1), "the listener alone")
    }
  }
}
