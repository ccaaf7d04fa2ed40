import CUSBMock
import RRAMEmulator
import RRAMProfiles
import RRAMTransport
import RRAMUSB
import RRAMWire
import Synchronization

/// A kernel with USB that exists for this process only; `nil` where the library that pretends it is not active.
enum MockKernel {
  static let isActive = usb_mock_start()
  /// Set by tests that look at unknown boards only; every board needs a port of its own.
  private static let lastPort = Atomic<Int32>(0)

  static func nextPort() -> Int32 { lastPort.add(1, ordering: .relaxed).newValue }
}

/// The emulated board's firmware, or any other endpoint, behind the descriptors of a USB device.
///
/// Lives as long as the process: the kernel it is plugged into keeps a pointer to it.
final class MockBoard: Sendable {
  struct Faults {
    /// Endpoints that stall at their next transfer, with how often.
    var stalls: [UInt8: Int] = [:]
    /// The next transfer in is longer than what was asked for.
    var babbles = false
    /// Control requests are refused, or never answered.
    var refusesControl = false
    var ignoresControl = false
    /// The endpoint out takes nothing.
    var takesNothing = false
    /// The endpoint in says nothing, whatever there is to say.
    var saysNothing = false
    /// Transfers in end after so many bytes, in the middle of what there is to say; 0: when it is all said.
    var shortens = 0
  }

  /// What went over the bus.
  struct Traffic {
    /// Bytes of each transfer out.
    var out: [Int] = []
    /// Bytes of each completed burst out.
    var bursts: [Int] = []
    var halts: [UInt8] = []
    var resets = 0
    var controls: [ControlRequest] = []
  }

  private struct State {
    var link: DeviceLink?
    var faults = Faults()
    var traffic = Traffic()
    var halted: Set<UInt8> = []
    var burstOut: [UInt8] = []
    var burstIn: ArraySlice<UInt8> = []
    var owesEmptyPacket = false
    var bells: [Doorbell] = []
    var isPlugged = false
  }

  static let packetBytes = 512

  let serial: String
  let port: Int32
  private let endpoint: any DeviceEndpoint
  private let state = Monitor(State())
  // The C side locks; written once before anyone else knows of it.
  nonisolated(unsafe) private var device: OpaquePointer?

  init(
    serial: String, endpoint: any DeviceEndpoint, identity: USBIdentity = .testBoard, bcdDevice: UInt16 = 0x0100
  ) {
    self.serial = serial
    self.endpoint = endpoint
    port = MockKernel.nextPort()
    var functions = usb_mock_functions()
    // Retained for ever: see above.
    functions.context = Unmanaged.passRetained(self).toOpaque()
    functions.control = { context, setup, data, length in
      guard let setup, let data else { return Int32(USB_MOCK_STALL) }
      return MockBoard.of(context).control(setup, data, Int(length))
    }
    functions.out = { context, endpoint, bytes, count in
      MockBoard.of(context).out(endpoint, UnsafeBufferPointer(start: bytes, count: Int(count)))
    }
    functions.in = { context, endpoint, bytes, capacity in
      MockBoard.of(context).in(endpoint, UnsafeMutableBufferPointer(start: bytes, count: Int(capacity)))
    }
    functions.clear_halt = { context, endpoint in
      MockBoard.of(context).state.withLock { s in
        s.halted.remove(endpoint)
        s.traffic.halts.append(endpoint)
      }
    }
    functions.reset = { context in MockBoard.of(context).reset() }
    device = identity.manufacturer.withCString { manufacturer in
      identity.product.withCString { product in
        serial.withCString { serial in
          usb_mock_device_new(
            usb_mock_description(
              port: port, vendor: identity.vendorID, product: identity.productID, bcd_device: bcdDevice,
              manufacturer: manufacturer, name: product, serial: serial), functions)
        }
      }
    }
  }

  /// The virtual firmware of an ideal chip.
  static func emulated(serial: String, bcdDevice: UInt16 = 0x0100) throws -> MockBoard {
    MockBoard(
      serial: serial,
      endpoint: try EmulatedBoard(profile: ChipProfile.named("ideal"), board: BoardDescription.named("parallel")),
      bcdDevice: bcdDevice)
  }

  private static func of(_ context: UnsafeMutableRawPointer?) -> MockBoard {
    guard let context else { preconditionFailure("the mock lost its board") }
    return Unmanaged<MockBoard>.fromOpaque(context).takeUnretainedValue()
  }

  // MARK: the cable

  var isPlugged: Bool { state.withLock { $0.isPlugged } }

  func plug() {
    state.withLock { $0.isPlugged = true }
    attach()
    usb_mock_plug(device)
  }

  func unplug() {
    let link = state.withLock { s in
      defer { s.link = nil }
      s.isPlugged = false
      return s.link
    }
    usb_mock_unplug(device)
    let reason = TransportError(.closed, "the cable is out", address: "usb:\(serial)")
    link?.inbound.finish(reason, discarding: true)
    link?.outbound.finish(reason, discarding: true)
    endpoint.linkLost()
  }

  /// From now until it is plugged in again nobody may open it.
  func forbid() { usb_mock_forbid(device) }

  private func attach() {
    let link = DeviceLink(
      endpoint: endpoint, capacity: 1 << 21, address: "usb:\(serial)", outboundArrived: { [self] in pump() },
      inboundFreed: { [self] in pump() },
      doorbell: { [self] bell in
        state.withLock { $0.bells.append(bell) }
        pump()
      })
    state.withLock { s in
      s.link = link
      s.burstIn = []
      s.burstOut = []
      s.owesEmptyPacket = false
      s.halted = []
      s.bells = []
    }
    endpoint.linkUp(link)
  }

  private func pump() { usb_mock_pump(device) }

  // MARK: what tests ask for

  func change(_ body: (inout Faults) -> Void) {
    state.withLock { body(&$0.faults) }
    pump()
  }

  var traffic: Traffic { state.withLock { $0.traffic } }
  var claims: Int { Int(usb_mock_claims(device)) }
  var transfers: Int { Int(usb_mock_transfers(device)) }

  /// A burst from the board, as its firmware would send it.
  func say(_ bytes: [UInt8]) { state.withLock { $0.link }?.write(bytes) }

  /// Signals beside the bytes.
  func ring(_ bell: Doorbell) { state.withLock { $0.link }?.ring(bell) }

  // MARK: the device's side; called under the mock's lock

  private func control(
    _ setup: UnsafePointer<UInt8>, _ data: UnsafeMutablePointer<UInt8>, _ length: Int
  ) -> Int32 {
    let faults = state.withLock { $0.faults }
    if faults.ignoresControl { return Int32(USB_MOCK_NAK) }
    let isIn = setup[0] == 0xc0
    guard !faults.refusesControl, isIn || setup[0] == 0x40, let request = ControlRequest(rawValue: setup[1]),
      isIn == (request == .status)
    else { return Int32(USB_MOCK_STALL) }
    let link = state.withLock { s in
      s.traffic.controls.append(request)
      if request == .resync {
        s.burstIn = []
        s.burstOut = []
        s.owesEmptyPacket = false
      }
      return s.link
    }
    guard let answer = try? endpoint.control(request, data: []) else { return Int32(USB_MOCK_STALL) }
    if request == .resync { while link?.hostTake() != nil {} }
    for (index, byte) in answer.prefix(length).enumerated() { data[index] = byte }
    return isIn ? Int32(min(answer.count, length)) : Int32(length)
  }

  /// True if the endpoint is halted now.
  private static func stalls(_ endpoint: UInt8, _ s: inout State) -> Bool {
    if s.halted.contains(endpoint) { return true }
    guard let left = s.faults.stalls[endpoint], left > 0 else { return false }
    s.faults.stalls[endpoint] = left - 1
    s.halted.insert(endpoint)
    return true
  }

  private func out(_ endpoint: UInt8, _ bytes: UnsafeBufferPointer<UInt8>) -> Int32 {
    state.withLock { s in
      guard !s.faults.takesNothing, let link = s.link else { return Int32(USB_MOCK_NAK) }
      if Self.stalls(endpoint, &s) { return Int32(USB_MOCK_STALL) }
      // The firmware sees a burst when its short packet has come, and not before.
      let burst = s.burstOut + bytes
      let isComplete = bytes.count % Self.packetBytes != 0 || bytes.isEmpty
      if isComplete, !burst.isEmpty, !link.hostPut(burst) { return Int32(USB_MOCK_NAK) }
      s.burstOut = isComplete ? [] : burst
      s.traffic.out.append(bytes.count)
      if isComplete { s.traffic.bursts.append(burst.count) }
      return Int32(bytes.count)
    }
  }

  private func `in`(_ endpoint: UInt8, _ bytes: UnsafeMutableBufferPointer<UInt8>) -> Int32 {
    state.withLock { s in
      if Self.stalls(endpoint, &s) { return Int32(USB_MOCK_STALL) }
      if endpoint == 0x82 {
        guard !s.bells.isEmpty else { return Int32(USB_MOCK_NAK) }
        let bell = s.bells.removeFirst().bytes
        for (index, byte) in bell.enumerated() { bytes[index] = byte }
        return Int32(bell.count)
      }
      if s.faults.babbles {
        s.faults.babbles = false
        return Int32(USB_MOCK_BABBLE)
      }
      if s.faults.saysNothing { return Int32(USB_MOCK_NAK) }
      if s.owesEmptyPacket {
        s.owesEmptyPacket = false
        return 0
      }
      if s.burstIn.isEmpty {
        guard let burst = s.link?.hostTake() else { return Int32(USB_MOCK_NAK) }
        s.burstIn = burst[...]
      }
      let most = s.faults.shortens > 0 ? min(s.faults.shortens, bytes.count) : bytes.count
      let count = min(most, s.burstIn.count)
      for (index, byte) in s.burstIn.prefix(count).enumerated() { bytes[index] = byte }
      s.burstIn = s.burstIn.dropFirst(count)
      // A burst that fills the transfer has not ended yet: an empty packet says that it has.
      s.owesEmptyPacket = count == bytes.count && s.burstIn.isEmpty
      return Int32(count)
    }
  }

  private func reset() {
    state.withLock { $0.traffic.resets += 1 }
    endpoint.linkLost()
    attach()
  }
}

/// Answers every burst with itself.
final class EchoEndpoint: DeviceEndpoint {
  func linkUp(_ link: DeviceLink) {
    _ = startThread {
      while link.isUp { if let bytes = link.read(atMost: .seconds(1)) { link.write(bytes) } }
    }
  }

  func linkLost() {}

  func control(_ request: ControlRequest, data: [UInt8]) throws(TransportError) -> [UInt8] {
    request == .status ? Array(repeating: 7, count: 16) : []
  }
}

/// Answers every burst with bytes that are no frame.
final class BabblingEndpoint: DeviceEndpoint {
  func linkUp(_ link: DeviceLink) {
    _ = startThread {
      while link.isUp { if link.read(atMost: .seconds(1)) != nil { link.write(pattern(1000)) } }
    }
  }

  func linkLost() {}

  func control(_ request: ControlRequest, data: [UInt8]) throws(TransportError) -> [UInt8] {
    request == .status
      ? BoardStatus(
        isEnergised: false, isGrounded: true, hasSession: false, lastSafeCause: .powerOn, operations: 0, bootID: 1
      ).bytes : []
  }
}

/// Takes what comes and says nothing of its own accord.
final class MuteEndpoint: DeviceEndpoint {
  private let received = Monitor<(link: DeviceLink?, bytes: Int)>((nil, 0))
  func linkUp(_ link: DeviceLink) { received.withLock { $0.link = link } }
  func linkLost() { received.withLock { $0.link = nil } }
  func control(_ request: ControlRequest, data: [UInt8]) throws(TransportError) -> [UInt8] {
    request == .status ? Array(repeating: 7, count: 16) : []
  }
}
