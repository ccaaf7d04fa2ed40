import Foundation
import RRAMTransport
import Testing

@testable import RRAMTransport

/// A directory of its own for sockets and files, removed at the end.
final class ScratchDirectory {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString.prefix(8))").path
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }
}

@Suite struct UnixSocketTests {
  let scratch = try! ScratchDirectory()

  @Test func bytesOfEverySizeComeBack() async throws {
    let server = try UnixSocketServer(path: scratch.file("s"), endpoint: EchoDevice())
    let host = try await UnixSocketTransport.open(path: scratch.file("s"))
    for size in [1, 7, 8, 9, 65535, 65536, 65537, SocketPacket.maximumLength + 1] {
      async let echo = receive(size, from: host)
      try await host.send(pattern(size))
      #expect(try await echo == pattern(size), "\(size) bytes")
    }
    await host.close()
    await server.close()
  }

  @Test func theSocketHasMode0600AndIsRemoved() async throws {
    let path = scratch.file("s")
    let server = try UnixSocketServer(path: path, endpoint: EchoDevice())
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    await server.close()
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test func aSecondHostIsToldThatTheBoardIsBusyAndTheFirstGoesOn() async throws {
    let path = scratch.file("s")
    let device = EchoDevice()
    let server = try UnixSocketServer(path: path, endpoint: device)
    let first = try await UnixSocketTransport.open(path: path)
    let error = await #expect(throws: TransportError.self) { try await UnixSocketTransport.open(path: path) }
    #expect(error?.code == .busy)
    #expect(error?.description == "sock:\(path): another host is attached to the board")
    try await first.send([1, 2, 3])
    #expect(try await receive(3, from: first) == [1, 2, 3])
    await first.close()
    // The server notices the end on its own thread; an attach after that succeeds.
    let third = try await openWhenFree(path)
    await third.close()
    await server.close()
    #expect(device.trace == [.up, .down, .up, .down])
  }

  private func openWhenFree(_ path: String) async throws -> UnixSocketTransport {
    while true {
      let attempt = await Result { try await UnixSocketTransport.open(path: path) }
      if case .failure(let error as TransportError) = attempt, error.code == .busy { continue }
      return try attempt.get()
    }
  }

  @Test func controlWorksWhileTheBytesAreStuckAndFromOtherProcesses() async throws {
    let path = scratch.file("s")
    let device = EchoDevice(echoes: false)
    let server = try UnixSocketServer(path: path, endpoint: device, capacity: 1000)
    let host = try await UnixSocketTransport.open(path: path, capacity: 1000)
    // More than both queues and the kernel hold: the last send waits.
    let stuck = Task { for _ in 0..<100 { try await host.send(pattern(100_000)) } }
    #expect(try await host.control(.safe, data: [1, 2]) == [1, 2, 1])
    #expect(try await UnixSocketTransport.control(path: path, .status) == [3])
    let error = await #expect(throws: TransportError.self) { try await host.control(.resync) }
    #expect(error?.code == .refused)
    #expect(error?.message == "no resync here")
    stuck.cancel()
    _ = await stuck.result
    await server.close()
    await host.close()
    #expect(device.trace == [.up, .control(.safe, [1, 2]), .control(.status, []), .control(.resync, []), .down])
  }

  @Test func doorbellsAndTheEndOfTheServerReachTheHost() async throws {
    let path = scratch.file("s")
    let device = EchoDevice()
    let server = try UnixSocketServer(path: path, endpoint: device)
    let host = try await UnixSocketTransport.open(path: path)
    let bell = Doorbell(eventCount: 1, faults: 2, boardTimeMicroseconds: 3)
    var events = host.events.makeAsyncIterator()
    device.link?.ring(bell)
    #expect(await events.next() == .doorbell(bell))
    await server.close()
    let expected = TransportError(.closed, "the board closed the connection", address: "sock:\(path)")
    #expect(await events.next() == .linkLost(expected))
    #expect(await events.next() == nil)
    await #expect(throws: expected) { try await host.receive() }
    await host.close()
  }

  @Test func aStaleSocketIsReplacedAndALiveOneRefused() async throws {
    let path = scratch.file("s")
    let (listener, lock) = try SocketFile.listen(path: path, address: "test")
    close(listener)
    close(lock)
    #expect(FileManager.default.fileExists(atPath: path))
    let server = try UnixSocketServer(path: path, endpoint: EchoDevice())
    let error = #expect(throws: TransportError.self) { try UnixSocketServer(path: path, endpoint: EchoDevice()) }
    #expect(error?.code == .busy)
    await server.close()
  }

  @Test func filesAndSymbolicLinksAtThePathAreRefused() async throws {
    let file = scratch.file("file")
    let link = scratch.file("link")
    try Data("precious".utf8).write(to: URL(filePath: file))
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: file)
    for path in [file, link] {
      let error = #expect(throws: TransportError.self) { try UnixSocketServer(path: path, endpoint: EchoDevice()) }
      #expect(error?.code == .permission)
      let host = await #expect(throws: TransportError.self) { try await UnixSocketTransport.open(path: path) }
      #expect(host?.code == .badAddress)
    }
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "precious")
    // A link to a live socket is refused as well: the name must be the socket.
    let server = try UnixSocketServer(path: scratch.file("s"), endpoint: EchoDevice())
    let alias = scratch.file("alias")
    try FileManager.default.createSymbolicLink(atPath: alias, withDestinationPath: scratch.file("s"))
    await #expect(throws: TransportError.self) { try await UnixSocketTransport.open(path: alias) }
    await server.close()
  }

  @Test func aDirectoryOthersCanWriteIsRefused() throws {
    let open = scratch.file("open")
    try FileManager.default.createDirectory(atPath: open, withIntermediateDirectories: false)
    try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: open)
    let error = #expect(throws: TransportError.self) {
      try UnixSocketServer(path: open + "/s", endpoint: EchoDevice())
    }
    #expect(error?.code == .permission)
  }

  @Test func pathsThatCannotBeSocketsAreRefused() async throws {
    let long = "/" + String(repeating: "x", count: 107)
    let error = #expect(throws: TransportError.self) { try UnixSocketServer(path: long, endpoint: EchoDevice()) }
    #expect(error?.message == "the socket path has 108 bytes, at most 107 are possible")
    for path in [long, ""] {
      let error = await #expect(throws: TransportError.self) { try await UnixSocketTransport.open(path: path) }
      #expect(error?.code == .badAddress)
    }
    let missing = await #expect(throws: TransportError.self) {
      try await UnixSocketTransport.open(path: scratch.file("none"))
    }
    #expect(missing?.code == .notFound)
    #expect(missing?.errno == ENOENT)
  }

  @Test func bytesThatAreNoPacketsEndTheConnection() async throws {
    let path = scratch.file("s")
    let device = EchoDevice()
    let server = try UnixSocketServer(path: path, endpoint: device)
    let descriptor = try SocketFile.connect(path: path, address: "test")
    var garbage: [UInt8] = [9, 0, 0, 0, 1, 0, 0, 0, 1]
    let written = write(descriptor, &garbage, garbage.count)
    #expect(written == garbage.count)
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    _ = poll(&entry, 1, 10_000)
    let received = read(descriptor, &garbage, 1)
    #expect(received == 0)
    close(descriptor)
    await server.close()
    #expect(device.trace.isEmpty)
  }
}

@Suite struct SocketPacketTests {
  @Test func everySplitOfAStreamGivesTheSamePackets() throws {
    let packets = [
      SocketPacket(kind: .data, bytes: []), SocketPacket(kind: .controlRequest, bytes: [1]),
      SocketPacket(kind: .data, bytes: pattern(20)), SocketPacket(kind: .event, bytes: pattern(17)),
    ]
    var stream: [UInt8] = []
    for packet in packets { packet.append(to: &stream) }
    for cut in 0...stream.count {
      var parser = SocketPacketParser()
      var found: [SocketPacket] = []
      for part in [stream[..<cut], stream[cut...]] {
        parser.append(part)
        while let packet = try parser.next(address: "test") { found.append(packet) }
      }
      #expect(found == packets, "cut at \(cut)")
    }
  }

  @Test func aHugeLengthIsRefusedBeforeAnythingIsKept() {
    var parser = SocketPacketParser()
    parser.append([0, 0, 0, 0, 1, 0, 0x10, 0])
    let error = #expect(throws: TransportError.self) { try parser.next(address: "test") }
    #expect(error?.message == "packet of 1048577 bytes, at most 1048576")
  }
}

extension Result where Failure == any Error {
  /// The outcome of an asynchronous body.
  init(_ body: () async throws -> Success) async {
    do {
      self = .success(try await body())
    } catch {
      self = .failure(error)
    }
  }
}
