import CUSBMock
import Foundation
import RRAMTransport
import RRAMUSB
import Testing

/// What a process holds; compared after many repetitions, so that a leak of one a time stands out.
private struct Holdings: CustomStringConvertible {
  var descriptors: Int
  var threads: Int
  var heapBytes: Int

  init() throws {
    descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count
    heapBytes = Int(usb_mock_heap_bytes())
  }

  var description: String { "\(descriptors) descriptors, \(threads) threads, \(heapBytes) bytes" }

  /// Far below one a repetition: the last context may still be on its way out, and the pool may have taken a thread more.
  func expectNoGrowth(since before: Holdings, repetitions: Int, bytesEach: Int) {
    #expect(descriptors - before.descriptors < repetitions / 50, "\(before), then \(self)")
    #expect(threads - before.threads < repetitions / 50, "\(before), then \(self)")
    #expect(heapBytes - before.heapBytes < repetitions * bytesEach, "\(before), then \(self)")
  }
}

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
      let before = try Holdings()
      for _ in 0..<Self.repetitions { try await cycle() }
      try Holdings().expectNoGrowth(since: before, repetitions: Self.repetitions, bytesEach: 2048)
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
      let before = try Holdings()
      for _ in 0..<Self.repetitions / 2 { try await cycle() }
      try Holdings().expectNoGrowth(since: before, repetitions: Self.repetitions / 2, bytesEach: 4096)
      #expect(context.usage == USBContext.Usage(threads: 1), "the listener alone")
    }
  }
}
