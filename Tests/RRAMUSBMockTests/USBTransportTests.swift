import RRAMTransport
import RRAMUSB
import Testing

extension MockedKernel {
  @Suite struct USBTransportTests {
    private func withTransport(
      _ board: MockBoard, _ body: (USBTransport) async throws -> Void
    ) async throws {
      try await withBoards(board) { context in
        let transport = try await USBTransport.open(context: context)
        do {
          try await body(transport)
        } catch {
          await transport.close()
          throw error
        }
        await transport.close()
      }
    }

    /// Around one packet, one transfer in, one transfer out; the board answers only what has ended by a short packet.
    @Test(
      .timeLimit(.minutes(1)),
      arguments: [
        1, 511, 512, 513, 1024, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 64 * 1024 + 512, 128 * 1024, 200_000,
      ])
    func burstsOfEveryLengthArriveAndComeBack(count: Int) async throws {
      let board = MockBoard(serial: "RR-1", endpoint: EchoEndpoint())
      try await withTransport(board) { transport in
        let bytes = pattern(count)
        try await transport.send(bytes)
        #expect(try await receive(count, from: transport) == bytes)
        // The last packet is short, or an empty one follows.
        #expect(board.traffic.bursts == [count])
        #expect(board.traffic.out.reduce(0, +) == count)
        let last = try #require(board.traffic.out.last)
        #expect(last % 512 != 0 || last == 0)
      }
    }

    @Test(.timeLimit(.minutes(1))) func manyBurstsKeepTheirOrder() async throws {
      try await withTransport(MockBoard(serial: "RR-1", endpoint: EchoEndpoint())) { transport in
        let bytes = pattern(1 << 20)
        async let sent: Void = {
          var rest = bytes[...]
          // Lengths that meet packet borders now and then.
          for index in 0... where !rest.isEmpty {
            let piece = Array(rest.prefix(index % 5 == 0 ? 512 : 1 + index * 37 % 3000))
            rest = rest.dropFirst(piece.count)
            try await transport.send(piece)
            if rest.isEmpty { break }
          }
        }()
        #expect(try await receive(bytes.count, from: transport) == bytes)
        try await sent
      }
    }

    @Test(.timeLimit(.minutes(1)), arguments: [0x01, 0x81] as [UInt8])
    func aStallIsClearedAndNothingIsLost(endpoint: UInt8) async throws {
      let board = MockBoard(serial: "RR-1", endpoint: EchoEndpoint())
      try await withTransport(board) { transport in
        try await transport.send([1, 2, 3])
        #expect(try await receive(3, from: transport) == [1, 2, 3])
        board.change { $0.stalls[endpoint] = 2 }
        let bytes = pattern(5000)
        try await transport.send(bytes)
        #expect(try await receive(5000, from: transport) == bytes)
        #expect(board.traffic.halts == [endpoint, endpoint])
      }
    }

    @Test(.timeLimit(.minutes(1)), arguments: [0x01, 0x81] as [UInt8])
    func anEndpointThatNeverStopsStallingLosesTheLink(endpoint: UInt8) async throws {
      let board = MockBoard(serial: "RR-1", endpoint: EchoEndpoint())
      try await withTransport(board) { transport in
        board.change { $0.stalls[endpoint] = 1000 }
        try await transport.send([1, 2, 3])
        let error = await failure { _ = try await transport.receive() }
        #expect(error?.library?.number == -9)
        #expect(board.traffic.halts.count == 3)
        board.change { $0.stalls = [:] }
      }
    }

    @Test(.timeLimit(.minutes(1))) func aBoardThatSaysMoreThanAskedLosesTheLink() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: MuteEndpoint())
      try await withTransport(board) { transport in
        board.change { $0.babbles = true }
        // What came before the packet that was too long is delivered first.
        let error = await failure { while true { _ = try await transport.receive() } }
        #expect(error?.library?.number == -8)
      }
    }

    @Test(.timeLimit(.minutes(1))) func theLossOfTheLinkIsTheLastEvent() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: MuteEndpoint())
      board.plug()
      let context = try USBContext()
      let transport = try await USBTransport.open(context: context)
      // A transfer out that waits, and eight in.
      board.change { $0.takesNothing = true }
      try await transport.send(pattern(100_000))
      while board.transfers < 9 { await Task.yield() }
      board.unplug()
      #expect(await failure { _ = try await transport.receive() }?.library?.number == -4)
      #expect(await failure { try await transport.send([1]) }?.library?.number == -4)
      var last: TransportEvent?
      for await event in transport.events { last = event }
      guard case .linkLost(let error)? = last else {
        Issue.record("no event of the loss")
        return
      }
      #expect(error.address == "usb:RR-1")
      #expect(await failure { _ = try await transport.control(.status) } != nil)
      await transport.close()
      #expect(await context.waitUntilIdle())
      #expect(context.usage == USBContext.Usage())
    }

    @Test(.timeLimit(.minutes(1))) func doorbellsRingBesideTheBytesAndAfterAStall() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: MuteEndpoint())
      try await withTransport(board) { transport in
        for count in 1...3 as ClosedRange<UInt32> {
          if count == 3 { board.change { $0.stalls[0x82] = 1 } }
          let bell = Doorbell(eventCount: count, faults: 4, boardTimeMicroseconds: 1 << 40)
          board.ring(bell)
          for await event in transport.events {
            #expect(event == .doorbell(bell))
            break
          }
        }
        #expect(board.traffic.halts == [0x82])
      }
    }

    @Test(.timeLimit(.minutes(1))) func aTransportThatIsDroppedClosesItself() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: MuteEndpoint())
      try await withBoards(board) { context in
        _ = try await USBTransport.open(context: context)
      }
    }

    @Test(.timeLimit(.minutes(1))) func aSlowReaderHoldsTheBoardBack() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: EchoEndpoint())
      try await withTransport(board) { transport in
        let bytes = pattern(1_200_000)
        let sending = Task { try await transport.send(bytes) }
        // The host takes nothing: its transfers run dry while the board still has bytes.
        while board.traffic.bursts.isEmpty { await Task.yield() }
        while board.transfers > 2 { await Task.yield() }
        #expect(try await receive(bytes.count, from: transport) == bytes)
        try await sending.value
      }
    }

    // MARK: addresses

    @Test(.timeLimit(.minutes(1))) func twoBoardsNeedASerial() async throws {
      let boards = [
        MockBoard(serial: "RR-1", endpoint: EchoEndpoint()), MockBoard(serial: "RR-2", endpoint: EchoEndpoint()),
      ]
      try await withBoards(boards[0], boards[1]) { context in
        let error = await failure { _ = try await USBTransport.open(context: context) }
        #expect(error?.code == .ambiguous)
        #expect(
          error?.message
            == "2 boards fit this address: RR-1 (port 1-\(boards[0].port)), RR-2 (port 1-\(boards[1].port))")
        let transport = try await USBTransport.open(serial: "RR-2", context: context)
        #expect(transport.address == "usb:RR-2")
        try await transport.send([9])
        #expect(try await transport.receive() == [9])
        #expect(boards[0].traffic.bursts.isEmpty)
        await transport.close()
        let missing = await failure { _ = try await USBTransport.open(serial: "RR-9", context: context) }
        #expect(missing?.code == .notFound)
        #expect(missing?.message.contains("RR-1 (port") == true)
      }
    }

    @Test(.timeLimit(.minutes(1))) func theSameAddressWorksAgainAfterABoardCameBack() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: EchoEndpoint())
      let context = try USBContext()
      for _ in 0..<3 {
        board.plug()
        let changes = Changes(stream: try context.changes())
        #expect(await changes.next() == "+RR-1")
        let transport = try await USBTransport.open(serial: "RR-1", context: context)
        try await transport.send([5, 6])
        #expect(try await receive(2, from: transport) == [5, 6])
        board.unplug()
        #expect(await failure { _ = try await transport.receive() } != nil)
        #expect(await changes.next() == "-RR-1")
        await transport.close()
      }
      #expect(await failure { _ = try await USBTransport.open(context: context) }?.code == .notFound)
    }

    // MARK: devices that only look like boards

    @Test(.timeLimit(.minutes(1))) func aDeviceThatRefusesOrIgnoresResyncIsNoBoard() async throws {
      let board = MockBoard(serial: "RR-1", endpoint: MuteEndpoint())
      try await withBoards(board) { context in
        board.change { $0.refusesControl = true }
        let refused = await failure { _ = try await USBTransport.open(context: context) }
        #expect(refused?.code == .protocolViolation)
        #expect(refused?.library?.number == -9)
        board.change {
          $0.refusesControl = false
          $0.ignoresControl = true
        }
        #expect(await failure { _ = try await USBTransport.open(context: context) }?.code == .timedOut)
        board.change { $0.ignoresControl = false }
      }
    }
  }
}
