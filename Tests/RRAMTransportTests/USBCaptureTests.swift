import Foundation
import RRAMTransport
import Testing

/// Blocks of a pcapng file, read back by its description and nothing of the writer.
private struct Packets {
  struct Packet: Equatable {
    var id: UInt64
    var event: Character
    var kind: UInt8
    var endpoint: UInt8
    var nanoseconds: UInt64
    var status: Int32
    var length: Int
    var setup: [UInt8]
    var data: [UInt8]
  }

  var blockTypes: [UInt32] = []
  var linkType: Int?
  var packets: [Packet] = []

  init(_ bytes: [UInt8]) throws {
    func number(_ at: Int, _ count: Int) -> UInt64 {
      bytes[at..<at + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    var at = 0
    while at < bytes.count {
      let type = UInt32(number(at, 4))
      let length = Int(number(at + 4, 4))
      try #require(length % 4 == 0 && length >= 12 && at + length <= bytes.count)
      try #require(number(at + length - 4, 4) == UInt64(length))
      blockTypes.append(type)
      if type == 1 { linkType = Int(number(at + 8, 2)) }
      if type == 6 {
        let captured = Int(number(at + 20, 4))
        let u = at + 28
        let count = Int(number(u + 36, 4))
        try #require(captured == 64 + count)
        packets.append(
          Packet(
            id: number(u, 8), event: Character(Unicode.Scalar(bytes[u + 8])), kind: bytes[u + 9],
            endpoint: bytes[u + 10], nanoseconds: number(at + 12, 4) << 32 | number(at + 16, 4),
            status: Int32(truncatingIfNeeded: number(u + 28, 4)), length: Int(number(u + 32, 4)),
            setup: Array(bytes[u + 40..<u + 48]), data: Array(bytes[u + 64..<u + 64 + count])))
      }
      at += length
    }
  }
}

@Suite struct USBCaptureTests {
  let scratch = try! ScratchDirectory()
  private let device = USBDescription(
    vendorID: 0x1209, productID: 1, bcdDevice: 0x0100, manufacturer: "M", product: "P", serial: "RR-1")

  private func packets(_ path: String) throws -> Packets {
    try Packets(Array(Data(contentsOf: URL(filePath: path))))
  }

  @Test func aFileBeginsWithTheDescriptorsOfTheBoard() async throws {
    let path = scratch.file("a.pcapng")
    let capture = try USBCapture(path: path, device: device, address: "emu:", now: { 1_700_000_000_123_456_789 })
    try await capture.finish()
    let found = try packets(path)
    #expect(found.linkType == 220)
    #expect(found.blockTypes.prefix(2) == [0x0a0d_0d0a, 1])
    // Device, configuration, four strings: a request and an answer each.
    #expect(found.packets.map(\.event) == Array("SCSCSCSCSCSC"))
    #expect(found.packets.allSatisfy { $0.nanoseconds == 1_700_000_000_123_456_789 })
    #expect(found.packets[1].data.count == 18)
    #expect(found.packets[1].data[8...13] == [0x09, 0x12, 1, 0, 0, 1])
    // The vendor interface.
    #expect(found.packets[3].data[9...14] == [9, 4, 0, 0, 3, 0xff])
    #expect(found.packets[9].data == [10, 3, 0x52, 0, 0x52, 0, 0x2d, 0, 0x31, 0])
  }

  @Test func whatCrossesALinkIsWrittenInOrder() async throws {
    let path = scratch.file("b.pcapng")
    let capture = try USBCapture(path: path, device: device, address: "emu:")
    let link = CapturingTransport(InMemoryLink(to: EchoDevice()), capture: capture)
    try await link.send(pattern(40))
    #expect(try await receive(40, from: link) == pattern(40))
    #expect(try await link.control(.status, data: [9]) == [3, 9])
    await link.close()
    try await capture.finish()
    let found = try packets(path)
    let ids = Dictionary(grouping: found.packets, by: \.id)
    #expect(ids.values.allSatisfy { $0.map(\.event) == ["S", "C"] }, "each transfer is submitted and completes")
    let bulk = found.packets.filter { $0.kind == 3 }
    let out = bulk.filter { $0.endpoint == 1 }
    #expect(out.first?.data == pattern(40))
    #expect(out.map(\.length) == [40, 40])
    #expect(out.map(\.status) == [-115, 0])
    #expect(bulk.filter { $0.endpoint == 0x81 && $0.event == "C" }.flatMap(\.data) == pattern(40))
    let control = found.packets.suffix(2)
    #expect(control.first?.setup == [0xc0, 3, 0, 0, 0, 0, 16, 0])
    #expect(control.last?.data == [3, 9])
    let times = found.packets.map(\.nanoseconds)
    #expect(times == times.sorted())
  }

  /// Wireshark takes no packet of more than 256 KiB.
  @Test func longBurstsAreCut() async throws {
    let path = scratch.file("c.pcapng")
    let capture = try USBCapture(path: path, device: device, address: "emu:")
    let link = CapturingTransport(InMemoryLink(to: EchoDevice(), capacity: 1 << 20), capture: capture)
    let bytes = pattern(400_001)
    try await link.send(bytes)
    #expect(try await receive(bytes.count, from: link) == bytes)
    await link.close()
    try await capture.finish()
    let bulk = try packets(path).packets.filter { $0.kind == 3 }
    #expect(bulk.allSatisfy { $0.data.count <= 128 * 1024 })
    for (endpoint, event) in [(UInt8(1), Character("S")), (0x81, "C")] {
      #expect(bulk.filter { $0.endpoint == endpoint && $0.event == event }.flatMap(\.data) == bytes)
    }
  }

  @Test func whatFailsIsWrittenWithItsNumber() async throws {
    let path = scratch.file("d.pcapng")
    let capture = try USBCapture(path: path, device: device, address: "emu:")
    let device = InMemoryLink(to: EchoDevice())
    let link = CapturingTransport(device, capture: capture)
    device.unplug()
    await #expect(throws: TransportError.self) { try await link.send([1]) }
    await #expect(throws: TransportError.self) { try await link.control(.safe, data: []) }
    for await event in link.events { if case .linkLost = event { break } }
    await link.close()
    try await capture.finish()
    let found = try packets(path).packets
    // The send, the request, and the loss itself: ESHUTDOWN.
    #expect(found.filter { $0.status == -108 }.map(\.kind).sorted() == [2, 3, 3])
  }

  /// Nothing is closed here: what a process that dies would leave behind.
  @Test(.timeLimit(.minutes(1))) func packetsReachTheFileWithoutAnEnd() async throws {
    let path = scratch.file("e.pcapng")
    let capture = try USBCapture(path: path, device: device, address: "emu:")
    let link = CapturingTransport(InMemoryLink(to: EchoDevice()), capture: capture)
    try await link.send(pattern(10))
    while (try? packets(path).packets.contains { $0.data == pattern(10) }) != true { await Task.yield() }
    await link.close()
    try await capture.finish()
  }

  @Test func aPathThatCannotBeWrittenIsNoFaultOfTheBoard() {
    let error = #expect(throws: TransportError.self) {
      try USBCapture(path: scratch.file("none/x.pcapng"), device: device, address: "emu:")
    }
    #expect(error?.code == .io)
    #expect(error?.message.contains("none/x.pcapng") == true)
  }
}
