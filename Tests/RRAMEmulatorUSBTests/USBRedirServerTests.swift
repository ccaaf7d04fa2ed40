import RRAMTransport
import RRAMUnits
import Testing

@testable import RRAMEmulatorUSB

/// A virtual machine monitor that knows the packets by itself: usbredir-protocol.md, all numbers little-endian.
private final class Monitor {
  struct Packet {
    var type: UInt32
    var id: UInt64
    var body: [UInt8]

    func u16(_ offset: Int) -> Int { Int(body[offset]) | Int(body[offset + 1]) << 8 }
  }

  enum Kind {
    static let hello: UInt32 = 0
    static let connect: UInt32 = 1
    static let disconnect: UInt32 = 2
    static let reset: UInt32 = 3
    static let interfaceInfo: UInt32 = 4
    static let endpointInfo: UInt32 = 5
    static let setConfiguration: UInt32 = 6
    static let configurationStatus: UInt32 = 8
    static let startInterrupt: UInt32 = 15
    static let interruptStatus: UInt32 = 17
    static let cancel: UInt32 = 21
    static let control: UInt32 = 100
    static let disconnectAcknowledgement: UInt32 = 24
    static let bulk: UInt32 = 101
    static let interrupt: UInt32 = 103
  }

  private let client: TestClient

  init(_ address: ListenAddress) throws {
    client = try TestClient(address)
    // The hello of either side has a short id, what follows a long one if both say so: bits 1, 3, 4, 5 and 6.
    let hello = Array("test".utf8) + Array(repeating: 0, count: 60) + UInt32(0b111_1010).bytes
    client.send(Kind.hello.bytes + UInt32(hello.count).bytes + UInt32(0).bytes + hello)
    let header = client.receive(12)
    #expect(header.prefix(8) == (Kind.hello.bytes + UInt32(68).bytes)[...])
    _ = client.receive(68)
  }

  func send(_ type: UInt32, id: UInt64 = 0, _ body: [UInt8] = []) {
    client.send(type.bytes + UInt32(body.count).bytes + id.bytes + body)
  }

  func receive() throws -> Packet {
    let header = client.receive(16)
    try #require(header.count == 16, "the server has hung up")
    func number(_ range: Range<Int>) -> UInt64 { header[range].reversed().reduce(0) { $0 << 8 | UInt64($1) } }
    return Packet(type: UInt32(number(0..<4)), id: number(8..<16), body: client.receive(Int(number(4..<8))))
  }

  var isAtEnd: Bool { client.isAtEnd }
  func sendRaw(_ bytes: [UInt8]) { client.send(bytes) }

  /// Reads the three packets that announce a device.
  func announced() throws -> [Packet] { try (0..<3).map { _ in try receive() } }

  func configure() throws {
    send(Kind.setConfiguration, id: 1, [1])
    let status = try receive()
    try #require(status.type == Kind.configurationStatus && status.id == 1 && status.body == [0, 1])
  }

  func control(_ id: UInt64, type: UInt8, request: UInt8, length: Int = 0, data: [UInt8] = []) {
    let header: [UInt8] = [type & 0x80, request, type, 0, 0, 0, 0, 0, UInt8(length & 0xff), UInt8(length >> 8)]
    send(Kind.control, id: id, header + data)
  }

  func bulk(_ id: UInt64, endpoint: UInt8, length: Int, data: [UInt8] = []) {
    send(
      Kind.bulk, id: id,
      [endpoint, 0] + UInt16(length & 0xffff).bytes + UInt32(0).bytes + UInt16(length >> 16).bytes + data)
  }
}

@Suite struct USBRedirServerTests {
  private func serving(
    _ board: ScriptedBoard, speed: USBDescription.Speed = .high, _ body: (USBRedirServer) throws -> Void
  ) async throws {
    let server = try USBRedirServer(
      .tcp(host: "127.0.0.1", port: 0), endpoint: board, description: USBDescription(serial: "RR-1", speed: speed),
      allowsFaults: true)
    do {
      try body(server)
    } catch {
      await server.close()
      throw error
    }
    await server.close()
  }

  @Test(arguments: USBDescription.Speed.allCases) func theBoardIsAnnounced(speed: USBDescription.Speed) async throws {
    try await serving(ScriptedBoard(), speed: speed) { server in
      let packets = try Monitor(server.address).announced()
      #expect(packets.map(\.type) == [Monitor.Kind.interfaceInfo, Monitor.Kind.endpointInfo, Monitor.Kind.connect])
      #expect(packets[0].body.prefix(4) == [1, 0, 0, 0])
      #expect(packets[0].body[36] == 0xff, "class of the only interface")
      // Types and packet sizes of 16 endpoints out and 16 in.
      let types = packets[1].body
      #expect([types[0], types[16], types[1], types[17], types[18], types[2]] == [0, 0, 2, 2, 3, 255])
      let sizes = 32 * 3
      #expect(packets[1].u16(sizes + 2 * 1) == speed.bulkPacketBytes)
      #expect(packets[1].u16(sizes + 2 * 17) == speed.bulkPacketBytes)
      #expect(packets[1].u16(sizes + 2 * 18) == 16)
      #expect(packets[2].body == [speed == .high ? 2 : 1, 0, 0, 0, 0x09, 0x12, 0x01, 0x00, 0x00, 0x01])
    }
  }

  @Test func bytesGoBothWaysAndTheBoardHearsOfTheEnd() async throws {
    let board = ScriptedBoard()
    try await serving(board) { server in
      let host = try Monitor(server.address)
      _ = try host.announced()
      try host.configure()
      #expect(board.events == [.up])
      // Longer than 16 bits can say: the upper half stands elsewhere.
      let long = [UInt8](repeating: 5, count: 70_000)
      host.bulk(2, endpoint: 0x01, length: long.count, data: long)
      let sent = try host.receive()
      #expect(sent.id == 2 && sent.body[1] == 0)
      #expect(sent.u16(2) | sent.u16(8) << 16 == long.count)
      #expect(board.link?.read() == long)
      host.bulk(3, endpoint: 0x81, length: 512)
      board.link?.write([9, 8, 7])
      let answer = try host.receive()
      #expect(answer.type == Monitor.Kind.bulk && answer.id == 3 && answer.u16(2) == 3)
      #expect(answer.body.suffix(3) == [9, 8, 7])
      host.control(4, type: 0xc0, request: 3, length: 16)
      #expect(try host.receive().body.suffix(16) == ScriptedBoard.status[...])
      // Without data either way: the answer must not be lost.
      host.control(5, type: 0x40, request: 1)
      let safe = try host.receive()
      #expect(safe.id == 5 && safe.body[3] == 0)
      host.control(6, type: 0x40, request: 77)
      #expect(try host.receive().body[3] == 4, "stalled")
    }
    #expect(board.waitForEvents(4))
    #expect(board.events == [.up, .control(.status), .control(.safe), .lost])
  }

  @Test func doorbellsComeWithoutBeingAskedForEach() async throws {
    let board = ScriptedBoard()
    try await serving(board) { server in
      let host = try Monitor(server.address)
      _ = try host.announced()
      try host.configure()
      host.send(Monitor.Kind.startInterrupt, id: 2, [0x82])
      #expect(try host.receive().body == [0, 0x82])
      for count in 1...3 {
        let bell = Doorbell(eventCount: UInt32(count), faults: 0, boardTimeMicroseconds: 1)
        board.link?.ring(bell)
        let packet = try host.receive()
        #expect(packet.type == Monitor.Kind.interrupt && packet.body.suffix(16) == bell.bytes[...])
      }
    }
  }

  @Test func aHaltedDoorbellIsSaidToBeAndCanBeStartedAgain() async throws {
    let board = ScriptedBoard()
    try await serving(board) { server in
      let host = try Monitor(server.address)
      _ = try host.announced()
      try host.configure()
      host.send(Monitor.Kind.startInterrupt, id: 2, [0x82])
      #expect(try host.receive().body == [0, 0x82])
      // SET_FEATURE and CLEAR_FEATURE of the endpoint's halt.
      for (id, request) in [(UInt64(3), UInt8(3)), (4, 1)] {
        host.send(Monitor.Kind.control, id: id, [0, request, 0x02, 0, 0, 0, 0x82, 0, 0, 0])
        let packets = try (0..<(request == 3 ? 2 : 1)).map { _ in try host.receive() }
        #expect(packets.contains { $0.type == Monitor.Kind.control && $0.id == id && $0.body[3] == 0 })
        if request == 3 {
          #expect(packets.contains { $0.type == Monitor.Kind.interruptStatus && $0.body == [4, 0x82] })
        }
      }
      host.send(Monitor.Kind.startInterrupt, id: 5, [0x82])
      #expect(try host.receive().body == [0, 0x82])
      board.link?.ring(Doorbell(eventCount: 1, faults: 0, boardTimeMicroseconds: 1))
      #expect(try host.receive().type == Monitor.Kind.interrupt)
    }
  }

  @Test func cancelledTransfersAreSaidToBe() async throws {
    try await serving(ScriptedBoard()) { server in
      let host = try Monitor(server.address)
      _ = try host.announced()
      try host.configure()
      host.bulk(2, endpoint: 0x81, length: 512)
      host.send(Monitor.Kind.cancel, id: 2)
      let packet = try host.receive()
      #expect(packet.id == 2 && packet.body[1] == 1)
    }
  }

  @Test func aResetReachesTheBoard() async throws {
    let board = ScriptedBoard()
    try await serving(board) { server in
      let host = try Monitor(server.address)
      _ = try host.announced()
      try host.configure()
      host.send(Monitor.Kind.reset)
      try host.configure()
      #expect(board.events == [.up, .lost, .up])
    }
  }

  @Test func aBoardThatLeavesIsAnnouncedAgain() async throws {
    try await serving(ScriptedBoard()) { server in
      let host = try Monitor(server.address)
      _ = try host.announced()
      try host.configure()
      host.control(2, type: 0x40, request: USBFault.request, length: 4, data: USBFault.leave.bytes(1))
      #expect(try host.receive().id == 2)
      #expect(try host.receive().type == Monitor.Kind.disconnect)
      // What was sent before the host knew is for the board that left: no answer, and no board before the host says it knows.
      host.control(3, type: 0x80, request: 8, length: 1)
      host.send(Monitor.Kind.disconnectAcknowledgement)
      #expect(try host.announced()[2].type == Monitor.Kind.connect)
      try host.configure()
    }
  }

  @Test func theNextHostIsServedAfterTheFirst() async throws {
    let board = ScriptedBoard()
    try await serving(board) { server in
      var first: Monitor? = try Monitor(server.address)
      _ = try first?.announced()
      try first?.configure()
      first = nil
      let second = try Monitor(server.address)
      _ = try second.announced()
      #expect(board.events == [.up, .lost])
    }
  }

  /// Whatever comes after the hello: the connection may end, the server goes on.
  @Test(arguments: 0..<8) func hostileBytesEndAtMostTheConnection(seed: UInt64) async throws {
    var random = PhiloxStream(seed: seed, stream: (0, 0, 0))
    try await serving(ScriptedBoard()) { server in
      var host: Monitor? = try Monitor(server.address)
      _ = try host?.announced()
      try host?.configure()
      for _ in 0..<200 {
        // Every kind of packet there is and some that are none, with bodies of any short length.
        let type = UInt32(random.next() & 1 == 0 ? random.next() % 32 : 98 + random.next() % 8)
        let body = (0..<Int(random.next() % 24)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        host?.send(type, id: random.next() % 4, body)
      }
      host?.sendRaw((0..<512).map { _ in UInt8(truncatingIfNeeded: random.next()) })
      host = nil
      let next = try Monitor(server.address)
      #expect(try next.announced().last?.type == Monitor.Kind.connect)
    }
  }
}
