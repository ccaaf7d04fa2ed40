import RRAMTransport
import Testing

@Suite struct FaultInjectingTransportTests {
  /// 200 bursts of 8 bytes through the faults, and what came back.
  private func run(seed: UInt64, _ edit: (inout FaultInjectingTransport.Faults) -> Void) async throws -> [UInt8] {
    var faults = FaultInjectingTransport.Faults()
    edit(&faults)
    let link = InMemoryLink(to: EchoDevice())
    let transport = FaultInjectingTransport(link, seed: seed, sending: faults)
    for i in 0..<200 { try await transport.send([UInt8](repeating: UInt8(i), count: 8)) }
    // The mark goes around the faults.
    try await link.send([255, 255])
    var bytes: [UInt8] = []
    while !bytes.suffix(2).elementsEqual([255, 255]) { bytes += try await link.receive() }
    await transport.close()
    return bytes
  }

  @Test func theSameSeedGivesTheSameFaults() async throws {
    let edit: (inout FaultInjectingTransport.Faults) -> Void = {
      $0.drop = 0.1
      $0.corrupt = 0.1
      $0.duplicate = 0.1
      $0.split = 0.5
    }
    let first = try await run(seed: 1, edit)
    #expect(try await run(seed: 1, edit) == first)
    #expect(try await run(seed: 2, edit) != first)
  }

  @Test func dropsLoseWholeBursts() async throws {
    let bytes = try await run(seed: 3) { $0.drop = 0.25 }
    let bursts = (bytes.count - 2) / 8
    // 200 draws of p = 0.75: 150 ± 6.1; the bound is four σ.
    #expect((125...175).contains(bursts))
    #expect(bytes.count == bursts * 8 + 2)
  }

  @Test func corruptionInvertsOneBit() async throws {
    let clean = (0..<200).flatMap { [UInt8](repeating: UInt8($0), count: 8) }
    let bytes = try await run(seed: 4) { $0.corrupt = 1 }
    let flips = zip(bytes, clean).map { ($0 ^ $1).nonzeroBitCount }
    for burst in 0..<200 { #expect(flips[burst * 8..<burst * 8 + 8].reduce(0, +) == 1) }
  }

  @Test func splitsLoseNothing() async throws {
    let bytes = try await run(seed: 5) { $0.split = 1 }
    #expect(bytes.dropLast(2).elementsEqual((0..<200).flatMap { [UInt8](repeating: UInt8($0), count: 8) }))
  }

  @Test func theLinkBreaksAfterSoManyBursts() async throws {
    var faults = FaultInjectingTransport.Faults()
    faults.disconnectAfter = 2
    let device = EchoDevice()
    let transport = FaultInjectingTransport(InMemoryLink(to: device), seed: 0, sending: faults)
    try await transport.send([1])
    try await transport.send([2])
    await #expect(throws: TransportError.self) { try await transport.send([3]) }
    await #expect(throws: TransportError.self) { try await transport.control(.safe) }
    #expect(device.trace == [.up, .down])
    var events: [TransportEvent] = []
    for await event in transport.events { events.append(event) }
    #expect(events == [.linkLost(TransportError(.closed, "the link was lost", address: "emu:"))])
  }
}
