import RRAMTransport
import RRAMUSB
import RRAMUnits
import Synchronization
import Testing

@testable import RRAMEmulatorUSB

/// A device with a scripted board behind it and time that a test moves.
private final class Port {
  let board = ScriptedBoard()
  let device: VirtualUSBDevice
  private let clock: Clock
  private var lastID: UInt64 = 0

  private final class Clock { var now = Duration.zero }

  init(speed: USBDescription.Speed = .high, allowsFaults: Bool = true, configured: Bool = true) {
    let clock = Clock()
    self.clock = clock
    device = VirtualUSBDevice(
      USBDescription(serial: "RR-1", speed: speed), endpoint: board, allowsFaults: allowsFaults,
      now: { clock.now }, wake: {})
    device.plug()
    if configured { _ = control(0x00, 9, value: 1) }
  }

  func advance(_ duration: Duration) { clock.now += duration }

  /// The bytes of a control transfer, `nil` if it was refused or not answered.
  func control(
    _ type: UInt8, _ request: UInt8, value: UInt16 = 0, index: UInt16 = 0, length: UInt16 = 0, data: [UInt8] = []
  ) -> [UInt8]? {
    let id = nextID()
    device.submit(
      control: id,
      USBSetup(requestType: type, request: request, value: value, index: index, length: length), data: data)
    let result = device.takeResults().first { $0.id == id }
    return result?.status == .completed ? result?.bytes : nil
  }

  func descriptor(_ type: UInt8, _ index: UInt8 = 0, length: UInt16 = 255) -> [UInt8]? {
    control(0x80, 6, value: UInt16(type) << 8 | UInt16(index), length: length)
  }

  func fault(_ fault: USBFault, _ value: UInt16 = 0) -> Bool {
    control(0x40, USBFault.request, length: 4, data: fault.bytes(value)) != nil
  }

  func start(_ endpoint: UInt8, length: Int = 0, data: [UInt8] = []) -> UInt64 {
    let id = nextID()
    device.submit(
      USBTransfer(id: id, endpoint: endpoint, length: endpoint & 0x80 == 0 ? data.count : length, data: data))
    return id
  }

  /// Starts one transfer and returns its end; `nil` while it waits.
  func transfer(_ endpoint: UInt8, length: Int = 0, data: [UInt8] = []) -> USBResult? {
    let id = start(endpoint, length: length, data: data)
    return device.takeResults().first { $0.id == id }
  }

  private func nextID() -> UInt64 {
    lastID += 1
    return lastID
  }
}

@Suite struct VirtualUSBDeviceTests {
  // MARK: enumeration

  @Test(arguments: USBDescription.Speed.allCases) func everyDescriptorHasTheLengthItSays(speed: USBDescription.Speed)
    throws
  {
    let port = Port(speed: speed, configured: false)
    let device = try #require(port.descriptor(1))
    #expect(device.count == 18 && device[0] == 18)
    #expect(Array(device[8..<14]) == [0x09, 0x12, 0x01, 0x00, 0x00, 0x01])
    let configuration = try #require(port.descriptor(2))
    #expect(configuration.count == Int(configuration[2]) | Int(configuration[3]) << 8)
    // The chain of descriptors ends exactly at the end, and names three endpoints.
    var (offset, endpoints) = (0, [[UInt8]]())
    while offset < configuration.count {
      let length = Int(configuration[offset])
      try #require(length > 0 && offset + length <= configuration.count)
      if configuration[offset + 1] == 5 { endpoints.append(Array(configuration[offset..<offset + length])) }
      offset += length
    }
    #expect(endpoints.map { $0[2] } == [0x01, 0x81, 0x82])
    let packet: UInt8 = speed == .high ? 2 : 0
    #expect(endpoints[0][5] == packet && endpoints[0][4] == (speed == .high ? 0 : 64))
    let bos = try #require(port.descriptor(15))
    #expect(bos.count == Int(bos[2]) | Int(bos[3]) << 8)
    #expect((port.descriptor(6) != nil) == (speed == .high), "only a device of two speeds has a qualifier")
  }

  @Test func aShortRequestGetsTheBeginning() throws {
    let port = Port(configured: false)
    #expect(port.descriptor(1, length: 8)?.count == 8)
    #expect(port.descriptor(2, length: 9)?.count == 9)
    #expect(port.descriptor(1, length: 0) == [])
  }

  /// The strings by which hosts and the udev rule know a board.
  @Test func theStringsAreThoseThatHostsLookFor() throws {
    let port = Port(configured: false)
    func string(_ index: UInt8) throws -> String {
      let bytes = try #require(port.descriptor(3, index))
      try #require(bytes.count == Int(bytes[0]) && bytes[1] == 3)
      let units = stride(from: 2, to: bytes.count, by: 2).map { UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8 }
      return String(decoding: units, as: UTF16.self)
    }
    #expect(try string(1) == USBIdentity.testBoard.manufacturer)
    #expect(try string(2) == USBIdentity.testBoard.product)
    #expect(try string(3) == "RR-1")
    #expect(port.descriptor(3, 0) == [4, 3, 9, 4])
    #expect(port.descriptor(3, 9) == nil)
  }

  // MARK: bursts

  /// Every burst arrives whole, in transfers of any length that is whole packets, and its end shows.
  @Test(arguments: USBDescription.Speed.allCases, [1, 63, 64, 65, 128, 511, 512, 513, 1024, 5000, 16384])
  func aBurstEndsByAShortOrAnEmptyPacket(speed: USBDescription.Speed, count: Int) throws {
    let packet = speed.bulkPacketBytes
    for length in [packet, 4 * packet, 64 * packet] {
      let port = Port(speed: speed)
      let burst = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7) }
      try #require(port.board.link?.tryWrite(burst) == true)
      var received: [UInt8] = []
      var last = length
      // Read until a transfer ends before it is full: that is the end of the burst.
      while last == length {
        let result = try #require(port.transfer(0x81, length: length))
        try #require(result.status == .completed)
        last = result.bytes.count
        received += result.bytes
      }
      #expect(received == burst)
      #expect(port.transfer(0x81, length: length) == nil, "nothing follows")
    }
  }

  @Test func aTransferThatIsNoWholePacketBabbles() throws {
    let port = Port()
    try #require(port.board.link?.tryWrite(Array(repeating: 7, count: 600)) == true)
    let result = try #require(port.transfer(0x81, length: 100))
    #expect(result.status == .babbled)
    #expect(result.bytes.count == 100)
  }

  @Test func bytesOutReachTheBoardInOrder() throws {
    let port = Port()
    for i in 0..<4 { #expect(port.transfer(0x01, data: [UInt8](repeating: UInt8(i), count: 512))?.count == 512) }
    #expect(port.transfer(0x01)?.status == .completed, "the empty packet that ends the burst")
    var received: [UInt8] = []
    while let bytes = port.board.link?.read() { received += bytes }
    #expect(received == (0..<4).flatMap { [UInt8](repeating: $0, count: 512) })
  }

  @Test func aFullBoardLetsTransfersWaitAndStillAnswersControlRequests() throws {
    let port = Port()
    let block = [UInt8](repeating: 1, count: 64 * 1024)
    var waiting: UInt64?
    while waiting == nil {
      let id = port.start(0x01, data: block)
      if !port.device.takeResults().contains(where: { $0.id == id }) { waiting = id }
    }
    #expect(port.device.bytesWaiting == block.count)
    #expect(port.control(0xc0, 3, length: 16) == ScriptedBoard.status)
    #expect(port.control(0x40, 1) == [])
    _ = port.board.link?.read()
    #expect(port.device.takeResults().map(\.id) == [waiting])
  }

  @Test func doorbellsMerge() throws {
    let port = Port()
    let bells = (1...3).map { Doorbell(eventCount: $0, faults: 0, boardTimeMicroseconds: 5) }
    for bell in bells { port.board.link?.ring(bell) }
    #expect(port.transfer(0x82, length: 16)?.bytes == bells[2].bytes)
    #expect(port.transfer(0x82, length: 16) == nil)
  }

  // MARK: requests

  @Test func vendorRequestsReachTheBoardOnlyAsTheProtocolHasThem() {
    let port = Port(configured: false)
    #expect(port.control(0x40, 1) == [])
    #expect(port.control(0x40, 2) == [])
    #expect(port.control(0xc0, 3, length: 16) == ScriptedBoard.status)
    #expect(port.control(0xc0, 3, length: 4) == Array(ScriptedBoard.status.prefix(4)))
    #expect(port.board.events == [.control(.safe), .control(.resync), .control(.status), .control(.status)])
    #expect(port.control(0xc0, 1, length: 16) == nil, "SAFE has no answer")
    #expect(port.control(0x40, 3) == nil, "STATUS has one")
    #expect(port.control(0x40, 1, value: 1) == nil)
    #expect(port.control(0x40, 1, length: 1, data: [0]) == nil)
    #expect(port.control(0x41, 1) == nil, "to the interface, not to the device")
    #expect(port.control(0x40, 4) == nil)
    #expect(port.board.events.count == 4)
  }

  @Test func resyncForgetsWhatWasUnderWay() throws {
    let port = Port()
    try #require(port.board.link?.tryWrite(Array(repeating: 1, count: 2000)) == true)
    #expect(port.transfer(0x81, length: 512)?.bytes.count == 512)
    #expect(port.control(0x40, 2) == [])
    #expect(port.transfer(0x81, length: 512) == nil, "the rest of the burst is gone")
  }

  @Test func aHaltLastsUntilItIsCleared() {
    let port = Port()
    #expect(port.control(0x02, 3, index: 0x81) == [])
    #expect(port.control(0x82, 0, index: 0x81, length: 2) == [1, 0])
    for _ in 0..<2 { #expect(port.transfer(0x81, length: 512)?.status == .stalled) }
    #expect(port.transfer(0x01, data: [1])?.status == .completed, "the other endpoint goes on")
    #expect(port.control(0x02, 1, index: 0x81) == [])
    #expect(port.transfer(0x81, length: 512) == nil)
  }

  @Test func anUnconfiguredDeviceHasNoEndpoints() {
    let port = Port(configured: false)
    #expect(port.transfer(0x81, length: 512)?.status == .stalled)
    #expect(port.control(0x81, 10, length: 1) == nil)
    #expect(port.control(0x80, 8, length: 1) == [0])
    #expect(port.control(0x00, 9, value: 2) == nil, "there is one configuration")
  }

  @Test func cancelledTransfersHaveNoResult() {
    let port = Port()
    let first = port.start(0x81, length: 512)
    let second = port.start(0x81, length: 512)
    #expect(port.device.cancel(first))
    #expect(!port.device.cancel(first))
    _ = port.board.link?.tryWrite([1, 2, 3])
    #expect(port.device.takeResults().map(\.id) == [second])
  }

  /// Whatever a host sends: an answer or none, never a trap, and always within the length asked for.
  @Test func randomRequestsAreAnswered() {
    var random = PhiloxStream(seed: 5, stream: (0, 0, 0))
    let port = Port()
    for _ in 0..<20_000 {
      let b = (0..<8).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      // Half of them near what means something.
      let setup = USBSetup(
        requestType: b[0] & 1 == 0 ? b[1] : [0x00, 0x80, 0x81, 0x82, 0x40, 0xc0, 0x01, 0x02][Int(b[1] & 7)],
        request: b[2] & 0x0f, value: UInt16(b[3] & 0x0f) << 8 | UInt16(b[4] & 1), index: UInt16(b[5] & 0x83),
        length: UInt16(b[6]))
      port.device.submit(control: 1, setup, data: setup.isIn ? [] : Array(repeating: 0, count: Int(setup.length)))
      for result in port.device.takeResults() where result.id == 1 { #expect(result.bytes.count <= Int(setup.length)) }
    }
  }

  // MARK: liveness

  @Test(arguments: ["reset", "suspend", "deconfigure", "unplug", "configure again"])
  func whateverEndsTheLinkTellsTheBoard(cause: String) {
    let port = Port()
    let waiting = port.start(0x81, length: 512)
    #expect(port.board.events == [.up])
    switch cause {
    case "reset": port.device.reset()
    case "suspend": port.device.suspend()
    case "deconfigure": #expect(port.control(0x00, 9, value: 0) == [])
    case "configure again": #expect(port.control(0x00, 9, value: 1) == [])
    default: port.device.unplug()
    }
    #expect(port.board.events.prefix(2) == [.up, .lost])
    if cause == "configure again" { #expect(port.board.events == [.up, .lost, .up]) }
    if cause == "reset" { #expect(port.device.takeResults().map(\.id) == [waiting]) }
    // The way back is the same as the way in.
    port.device.resume()
    port.device.plug()
    _ = port.control(0x00, 9, value: 1)
    #expect(port.board.link != nil)
    _ = port.board.link?.tryWrite([9])
    #expect(port.device.isPresent)
    #expect(!port.device.isSuspended)
  }

  @Test func whatWasHalfSaidDoesNotOutliveTheLink() throws {
    let port = Port()
    try #require(port.board.link?.tryWrite(Array(repeating: 1, count: 2000)) == true)
    #expect(port.transfer(0x81, length: 512)?.bytes.count == 512)
    port.device.reset()
    _ = port.control(0x00, 9, value: 1)
    #expect(port.transfer(0x81, length: 512) == nil)
  }

  // MARK: faults

  @Test func faultsAreRefusedUnlessAllowed() {
    let port = Port(allowsFaults: false)
    for fault in USBFault.allCases { #expect(!port.fault(fault)) }
  }

  @Test(arguments: [(USBFault.stallIn, UInt8(0x81)), (.stallOut, 0x01)])
  func aStallLastsUntilClearHalt(fault: USBFault, endpoint: UInt8) {
    let port = Port()
    #expect(port.fault(fault))
    for _ in 0..<2 { #expect(port.transfer(endpoint, length: 512, data: [1])?.status == .stalled) }
    #expect(port.control(0x02, 1, index: UInt16(endpoint)) == [])
    _ = port.board.link?.tryWrite([1])
    #expect(port.transfer(endpoint, length: 512, data: [1])?.status == .completed)
  }

  @Test func aDelayHoldsEverythingButControlRequests() {
    let port = Port()
    #expect(port.fault(.delay, 100))
    _ = port.board.link?.tryWrite([1])
    let read = port.start(0x81, length: 512)
    #expect(port.transfer(0x01, data: [1]) == nil)
    #expect(port.control(0xc0, 3, length: 16) != nil)
    #expect(port.device.nextDeadline == .milliseconds(100))
    port.advance(.milliseconds(100))
    #expect(port.device.takeResults().contains { $0.id == read })
    #expect(port.device.nextDeadline == nil)
  }

  @Test func aBoardThatLeavesIsAwayBeforeItIsBack() {
    let port = Port()
    #expect(port.fault(.leave, 50))
    #expect(port.device.isPresent)
    // However late the carrier looks.
    port.advance(.seconds(5))
    _ = port.device.takeResults()
    #expect(!port.device.isPresent)
    #expect(port.board.events == [.up, .lost])
    _ = port.device.takeResults()
    #expect(port.device.isPresent)
    #expect(port.device.configuration == 0)
  }

  @Test func aShortPacketLosesTheRest() throws {
    let port = Port()
    #expect(port.fault(.shortPacket))
    try #require(port.board.link?.tryWrite(Array(repeating: 1, count: 100)) == true)
    #expect(port.transfer(0x81, length: 512)?.bytes.count == 51)
    #expect(port.transfer(0x81, length: 512) == nil)
  }

  @Test func aMuteBoardAnswersNoVendorRequestUntilItIsPluggedInAgain() {
    let port = Port()
    #expect(port.fault(.mute))
    #expect(port.control(0xc0, 3, length: 16) == nil)
    #expect(port.descriptor(1) != nil)
    port.device.unplug()
    port.device.plug()
    #expect(port.control(0xc0, 3, length: 16) != nil)
  }
}
