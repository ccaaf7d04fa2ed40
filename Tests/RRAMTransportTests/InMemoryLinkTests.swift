import RRAMTransport
import Testing

@Suite struct InMemoryLinkTests {
  @Test func bytesComeBackInOrder() async throws {
    let device = EchoDevice()
    let link = InMemoryLink(to: device)
    for i in 0..<100 { try await link.send([UInt8(i), UInt8(i)]) }
    #expect(try await receive(200, from: link) == (0..<100).flatMap { [UInt8($0), UInt8($0)] })
    await link.close()
    #expect(device.trace == [.up, .down])
  }

  @Test func aFullDeviceMakesTheHostWaitAndControlStillWorks() async throws {
    let device = EchoDevice(echoes: false)
    let link = InMemoryLink(to: device, capacity: 10)
    try await link.send(pattern(8))
    let stuck = Task { try await link.send(pattern(8)) }
    #expect(try await link.control(.safe, data: [1, 2]) == [1, 2, 1])
    // Reading makes room: the waiting send ends only now.
    let reader = Task.detached { [link = device.link] in
      (link?.read(atMost: nil) ?? []) + (link?.read(atMost: nil) ?? [])
    }
    try await stuck.value
    #expect(await reader.value == pattern(8) + pattern(8))
    await link.close()
  }

  @Test func cancellingEndsAWait() async throws {
    let link = InMemoryLink(to: EchoDevice())
    let waiting = Task { try await link.receive() }
    waiting.cancel()
    let error = await #expect(throws: TransportError.self) { try await waiting.value }
    #expect(error?.code == .cancelled)
    await link.close()
  }

  @Test func unpluggingTellsBothSides() async throws {
    let device = EchoDevice()
    let link = InMemoryLink(to: device, address: "emu:seed=1")
    let waiting = Task { try await link.receive() }
    link.unplug()
    let error = await #expect(throws: TransportError.self) { try await waiting.value }
    #expect(error?.description == "emu:seed=1: the link was lost")
    #expect(device.trace == [.up, .down])
    var events: [TransportEvent] = []
    for await event in link.events { events.append(event) }
    #expect(events == [.linkLost(TransportError(.closed, "the link was lost", address: "emu:seed=1"))])
    await #expect(throws: TransportError.self) { try await link.send([1]) }
    await #expect(throws: TransportError.self) { try await link.control(.status) }
  }

  @Test func doorbellsMergeAndArrive() async throws {
    let device = EchoDevice()
    let link = InMemoryLink(to: device)
    for i in 0..<100 as Range<UInt32> {
      device.link?.ring(Doorbell(eventCount: i, faults: 0, boardTimeMicroseconds: 7))
    }
    await link.close()
    var last: TransportEvent?
    for await event in link.events { last = event }
    #expect(last == .doorbell(Doorbell(eventCount: 99, faults: 0, boardTimeMicroseconds: 7)))
  }

  @Test func aDoorbellIsSixteenLittleEndianBytes() {
    let bell = Doorbell(eventCount: 0x0102_0304, faults: 5, boardTimeMicroseconds: 0x1122_3344_5566_7788)
    #expect(bell.bytes == [4, 3, 2, 1, 5, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11])
    #expect(Doorbell(bytes: bell.bytes) == bell)
    #expect(Doorbell(bytes: bell.bytes.dropLast()) == nil)
  }
}
