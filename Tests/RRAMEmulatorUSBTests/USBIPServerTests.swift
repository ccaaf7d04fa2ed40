import Glibc
import RRAMEmulator
import RRAMProfiles
import RRAMTransport
import RRAMUnits
import RRAMWire
import Testing

@testable import RRAMEmulatorUSB

extension TestClient {
  /// Attaches the board and returns its record.
  fileprivate func attach(_ busID: String = "1-1") -> (status: UInt32, record: [UInt8]) {
    send([0x01, 0x11, 0x80, 0x03, 0, 0, 0, 0] + Array(busID.utf8) + Array(repeating: 0, count: 32 - busID.utf8.count))
    let header = receive(8)
    guard header.count == 8 else { return (.max, []) }
    let status = header[4...].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    return (status, status == 0 ? receive(312) : [])
  }

  fileprivate func submit(
    _ sequence: UInt32, endpoint: UInt32, isIn: Bool, length: Int, setup: [UInt8] = Array(repeating: 0, count: 8),
    data: [UInt8] = []
  ) {
    let numbers: [UInt32] = [1, sequence, 0x0001_0002, isIn ? 1 : 0, endpoint, 0, UInt32(length), 0, .max, 0]
    send(numbers.flatMap(\.bigEndianBytes) + setup + data)
  }

  fileprivate func unlink(_ sequence: UInt32, victim: UInt32) {
    let numbers: [UInt32] = [2, sequence, 0x0001_0002, 0, 0, victim, 0, 0, 0, 0, 0, 0]
    send(numbers.flatMap(\.bigEndianBytes))
  }

  /// The next answer: its code, sequence, status and count.
  fileprivate func answer() -> (code: UInt32, sequence: UInt32, status: Int32, count: Int)? {
    let header = receive(48)
    guard header.count == 48 else { return nil }
    func number(_ index: Int) -> UInt32 {
      header[4 * index..<4 * index + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    }
    return (number(0), number(1), Int32(bitPattern: number(5)), Int(number(6)))
  }

  fileprivate func control(_ sequence: UInt32, _ setup: [UInt8]) -> [UInt8]? {
    submit(sequence, endpoint: 0, isIn: setup[0] & 0x80 != 0, length: Int(setup[6]), setup: setup)
    guard let answer = answer(), answer.status == 0 else { return nil }
    return setup[0] & 0x80 != 0 ? receive(answer.count) : []
  }
}

private let configure: [UInt8] = [0x00, 9, 1, 0, 0, 0, 0, 0]

@Suite struct USBIPServerTests {
  private func serving(_ board: ScriptedBoard, _ body: (USBIPServer) throws -> Void) async throws {
    let server = try USBIPServer(
      .tcp(host: "127.0.0.1", port: 0), endpoint: board, description: USBDescription(serial: "RR-1"), allowsFaults: true
    )
    do {
      try body(server)
    } catch {
      await server.close()
      throw error
    }
    await server.close()
  }

  @Test func theBoardIsListedToAnyone() async throws {
    try await serving(ScriptedBoard()) { server in
      #expect(server.isLocal)
      let client = try TestClient(server.address)
      client.send([0x01, 0x11, 0x80, 0x05, 0, 0, 0, 0])
      let reply = client.receive(12 + 312 + 4)
      #expect(client.isAtEnd, "and then the server hangs up")
      #expect(Array(reply[..<12]) == [0x01, 0x11, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1])
      #expect(String(decoding: reply[(12 + 256)...].prefix { $0 != 0 }, as: UTF8.self) == server.busID)
      #expect(Array(reply[(12 + 300)..<(12 + 306)]) == [0x12, 0x09, 0x00, 0x01, 0x01, 0x00])
    }
  }

  @Test func bytesGoBothWaysAndTheBoardHearsOfTheEnd() async throws {
    let board = ScriptedBoard()
    try await serving(board) { server in
      let client = try TestClient(server.address)
      #expect(client.attach().status == 0)
      #expect(client.control(1, [0x80, 6, 0, 1, 0, 0, 18, 0])?.count == 18)
      #expect(client.control(2, configure) == [])
      #expect(board.events == [.up])
      client.submit(3, endpoint: 1, isIn: false, length: 5, data: [1, 2, 3, 4, 5])
      #expect(client.answer().map { $0.sequence == 3 && $0.count == 5 } == true)
      #expect(board.link?.read() == [1, 2, 3, 4, 5])
      // Asked for before there is anything.
      client.submit(4, endpoint: 1, isIn: true, length: 512)
      board.link?.write([9, 8, 7])
      let answer = try #require(client.answer())
      #expect(answer.sequence == 4 && answer.status == 0 && answer.count == 3)
      #expect(client.receive(3) == [9, 8, 7])
      #expect(client.control(5, [0xc0, 3, 0, 0, 0, 0, 16, 0]) == ScriptedBoard.status)
    }
    #expect(board.waitForEvents(3))
    #expect(board.events == [.up, .control(.status), .lost])
  }

  @Test func oneHostAtATimeAndTheNextOneAfterIt() async throws {
    let board = ScriptedBoard()
    try await serving(board) { server in
      var first: TestClient? = try TestClient(server.address)
      #expect(first?.attach().status == 0)
      _ = first?.control(1, configure)
      let second = try TestClient(server.address)
      #expect(second.attach().status == 2)
      #expect(try TestClient(server.address).attach("9-9").status == 4)
      first = nil
      #expect(board.waitForEvents(2))
      #expect(board.events == [.up, .lost])
      let third = try TestClient(server.address)
      #expect(third.attach().status == 0)
    }
  }

  /// The kernel's buffers of both directions hold some megabytes, the server's queue one.
  @Test(.timeLimit(.minutes(1))) func aHostThatDoesNotReadIsNotReadFromForEver() async throws {
    try await serving(ScriptedBoard()) { server in
      let client = try TestClient(server.address)
      #expect(client.attach().status == 0)
      let numbers: [UInt32] = [1, 2, 0x0001_0002, 1, 0, 0, 18, 0, .max, 0]
      let requests = numbers.flatMap(\.bigEndianBytes) + [0x80, 6, 0, 1, 0, 0, 18, 0]
      let most = 32 << 20
      #expect(client.flood(Array(repeating: requests, count: 1000).flatMap(\.self), most: most) < most)
      // It goes on once the host reads.
      #expect(client.answer().map { $0.sequence == 2 && $0.count == 18 } == true)
    }
  }

  @Test func unlinkedTransfersAreAnsweredOnce() async throws {
    try await serving(ScriptedBoard()) { server in
      let client = try TestClient(server.address)
      #expect(client.attach().status == 0)
      _ = client.control(1, configure)
      client.submit(2, endpoint: 1, isIn: true, length: 512)
      client.unlink(3, victim: 2)
      #expect(client.answer().map { $0.code == 4 && $0.sequence == 3 && $0.status == -104 } == true)
      client.unlink(4, victim: 2)
      #expect(client.answer().map { $0.code == 4 && $0.sequence == 4 && $0.status == 0 } == true)
    }
  }

  @Test func aBoardThatLeavesEndsTheSessionAndCanBeAttachedAgain() async throws {
    try await serving(ScriptedBoard()) { server in
      let client = try TestClient(server.address)
      #expect(client.attach().status == 0)
      _ = client.control(1, configure)
      client.submit(2, endpoint: 1, isIn: true, length: 512)
      client.submit(
        3, endpoint: 0, isIn: false, length: 4, setup: [0x40, USBFault.request, 0, 0, 0, 0, 4, 0],
        data: USBFault.leave.bytes(1))
      #expect(client.answer()?.sequence == 3)
      #expect(client.isAtEnd)
      // Back after another millisecond; until then the answer is that it is not available.
      var status: UInt32 = 1
      var again: TestClient?
      while status == 1 {
        again = try TestClient(server.address)
        status = again?.attach().status ?? .max
      }
      #expect(status == 0)
    }
  }

  /// Servers, connections and sessions come and go without leaving a descriptor or a thread.
  @Test func nothingIsLeftOver() async throws {
    func count(_ folder: String) -> Int {
      guard let directory = opendir(folder) else { return -1 }
      defer { closedir(directory) }
      var count = 0
      while readdir(directory) != nil { count += 1 }
      return count
    }
    let (files, threads) = (count("/proc/self/fd"), count("/proc/self/task"))
    for _ in 0..<10 {
      try await serving(ScriptedBoard()) { server in
        for _ in 0..<20 {
          let client = try TestClient(server.address)
          // The one before may not have been seen to leave yet.
          _ = client.attach()
          client.submit(1, endpoint: 0, isIn: false, length: 0, setup: configure)
          client.submit(2, endpoint: 1, isIn: true, length: 512)
        }
      }
    }
    #expect(count("/proc/self/fd") <= files)
    // A detached thread may be counted for a moment after it has ended.
    var left = 1000
    while count("/proc/self/task") > threads, left > 0 {
      sched_yield()
      left -= 1
    }
    #expect(count("/proc/self/task") <= threads + 2, "the pool of the runtime may have grown")
  }

  /// Anybody on the network can send anything: the connection ends, and the next host is served.
  @Test(arguments: [
    "another version", "an unknown operation", "a transfer that is too long", "an isochronous transfer",
    "an endpoint that cannot be", "no command", "random bytes",
  ])
  func hostileBytesEndTheConnection(kind: String) async throws {
    let board = ScriptedBoard()
    try await serving(board) { server in
      let client = try TestClient(server.address)
      var random = PhiloxStream(seed: 11, stream: (0, 0, 0))
      switch kind {
      case "another version": client.send([0x01, 0x06, 0x80, 0x05, 0, 0, 0, 0])
      case "an unknown operation": client.send([0x01, 0x11, 0x80, 0x07, 0, 0, 0, 0])
      default:
        #expect(client.attach().status == 0)
        switch kind {
        case "a transfer that is too long": client.submit(1, endpoint: 1, isIn: false, length: 0x7fff_ffff)
        case "an endpoint that cannot be": client.submit(1, endpoint: 0x4000_0001, isIn: true, length: 1)
        case "an isochronous transfer":
          let numbers: [UInt32] = [1, 1, 0, 1, 1, 0, 512, 0, 4, 1, 0, 0]
          client.send(numbers.flatMap(\.bigEndianBytes))
        case "no command": client.send(Array(repeating: 0, count: 48))
        default: client.send((0..<4096).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        }
      }
      #expect(client.isAtEnd)
      #expect(try TestClient(server.address).attach().status == 0)
    }
  }

  /// The header of every command, with random fields: read or refused, never a trap.
  @Test func randomHeadersAreReadOrRefused() {
    var random = PhiloxStream(seed: 12, stream: (0, 0, 0))
    var read = 0
    for _ in 0..<100_000 {
      var header = (0..<48).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      for index in [0, 4, 12, 16, 24, 32] {
        // Mostly small numbers, which are the meaningful ones.
        if random.next() & 7 != 0 { header.replaceSubrange(index..<index + 3, with: [0, 0, 0]) }
        header[index + 3] &= 0x0f
      }
      switch USBIP.command(header[...]) {
      case .submit(_, let endpoint, let isIn, let length, _, let dataBytes):
        read += 1
        #expect(length <= USBIP.maximumTransferBytes && dataBytes == (isIn ? 0 : length))
        #expect(endpoint & 0x7f <= 15)
      case .unlink: read += 1
      case nil: break
      }
    }
    #expect(read > 1000)
  }

  /// The virtual firmware behind the server: a whole exchange of frames, as a kernel would carry it.
  @Test(arguments: USBDescription.Speed.allCases) func theFirmwareAnswersOverUSBIP(speed: USBDescription.Speed)
    async throws
  {
    let board = try EmulatedBoard(profile: ChipProfile.named("ideal"), board: BoardDescription.named("parallel"))
    let server = try USBIPServer(
      .tcp(host: "127.0.0.1", port: 0), endpoint: board, description: USBDescription(serial: board.serial, speed: speed)
    )
    do {
      let client = try TestClient(server.address)
      let attached = client.attach()
      #expect(attached.status == 0)
      #expect(Array(attached.record[296..<300]) == [0, 0, 0, speed == .high ? 3 : 2])
      #expect(client.control(1, configure) == [])
      let request = try RequestMessage(body: .heartbeat(Heartbeat())).payload()
      let frame = try FrameEncoder(maximumPayloadBytes: 1024).encode(Frame(flags: [], sequence: 7, payload: request))
      client.submit(2, endpoint: 1, isIn: false, length: frame.count, data: frame)
      client.submit(3, endpoint: 1, isIn: true, length: 16384)
      #expect(client.answer()?.sequence == 2)
      let answer = try #require(client.answer())
      #expect(answer.sequence == 3 && answer.status == 0)
      var decoder = FrameDecoder(maximumPayloadBytes: 4096)
      guard case .frame(let reply) = decoder.decode(client.receive(answer.count)).first else {
        Issue.record("the answer is no frame")
        return
      }
      #expect(reply.sequence == 7)
      let status = try BoardStatus(bytes: try #require(client.control(4, [0xc0, 3, 0, 0, 0, 0, 16, 0])))
      #expect(status.bootID == board.bootID)
    }
    await server.close()
    await board.close()
  }
}
