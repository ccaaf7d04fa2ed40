internal import CLibUSB
internal import Glibc
public import Logging
public import RRAMTransport
internal import Synchronization

/// Reaches a board over USB: bulk transfers carry the frames, an interrupt endpoint the doorbell, endpoint 0 control requests.
public final class USBTransport: InterruptibleTransport {
  public let address: String
  public let events: AsyncStream<TransportEvent>
  /// The board as it was found.
  public let device: USBDevice
  private let link: USBLink

  /// Bytes of transfers that an open link keeps in the kernel; it counts them against `usbfs_memory_mb`.
  public static let kernelBytes = USBLink.bulkTransfers * USBLink.bulkBytes + OutboundPump.transferBytes

  /// Time within which a board has to answer a control request.
  public static let controlLimit = Duration.seconds(2)

  /// Opens a board and takes its interface. What an earlier host left half said is forgotten (RESYNC).
  ///
  /// - Parameters:
  ///   - serial: `nil` for the only board there is.
  ///   - context: `nil` makes one for this transport alone.
  /// - Throws: `notFound`, `ambiguous`, `permission`, `busy`, `timedOut`, or `protocolViolation` for a device that is not
  ///   built like a board.
  public static func open(
    serial: String? = nil, identity: USBIdentity = .testBoard, context: USBContext? = nil,
    logger: Logger = Logger(label: "rram.usb")
  ) async throws(TransportError) -> USBTransport {
    let device = try await find(serial: serial, identity: identity, context: context)
    return try await open(device, logger: logger)
  }

  /// Opens a board that was found before.
  public static func open(
    _ device: USBDevice, logger: Logger = Logger(label: "rram.usb")
  ) async throws(TransportError) -> USBTransport {
    let handle = try await USBHandle.open(device)
    do throws(TransportError) {
      let interface = try BoardInterface(device)
      try await handle.claim(interface: interface.number)
      try await resynchronise(handle)
      return try USBTransport(device, handle, interface, logger)
    } catch {
      await handle.close()
      guard error.code == .busy else { throw error }
      throw try await naming(holdersOf: device, in: error)
    }
  }

  /// The same error, saying who has the device open.
  private static func naming(
    holdersOf device: USBDevice, in error: TransportError
  ) async throws(TransportError) -> TransportError {
    let holders = try await onThread(address: device.address) { () throws(TransportError) in device.holders }
    var error = error
    if !holders.isEmpty { error.message += ", held by " + holders.map(\.description).joined(separator: ", ") }
    return error
  }

  /// Looks whether the interface of a board is free, by taking it for a moment; nothing is said to the board.
  ///
  /// - Throws: `busy`, `permission`, `notFound`, or `protocolViolation` for a device that is not built like a board.
  public static func checkInterface(of device: USBDevice) async throws(TransportError) {
    let handle = try await USBHandle.open(device)
    do throws(TransportError) {
      try await handle.claim(interface: BoardInterface(device).number)
      await handle.close()
    } catch {
      await handle.close()
      throw error
    }
  }

  /// Asks a board out of band without taking its interface; works while another process holds it.
  public static func control(
    serial: String? = nil, identity: USBIdentity = .testBoard, context: USBContext? = nil, _ request: ControlRequest,
    data: [UInt8] = []
  ) async throws(TransportError) -> [UInt8] {
    let device = try await find(serial: serial, identity: identity, context: context)
    return try await control(device, request, data: data)
  }

  /// The same for a board that was found before.
  public static func control(
    _ device: USBDevice, _ request: ControlRequest, data: [UInt8] = []
  ) async throws(TransportError) -> [UInt8] {
    let handle = try await USBHandle.open(device)
    do throws(TransportError) {
      let answer = try await control(handle, request, data)
      await handle.close()
      return answer
    } catch {
      await handle.close()
      throw error
    }
  }

  /// The board that `serial` names, or the only one.
  ///
  /// - Throws: `notFound` or `ambiguous`, naming the boards there are.
  public static func find(
    serial: String? = nil, identity: USBIdentity = .testBoard, context: USBContext? = nil
  ) async throws(TransportError) -> USBDevice {
    let address = "usb:\(serial ?? "")"
    let found = try await onThread(address: address) { () throws(TransportError) in
      var context = context
      if context == nil { context = try USBContext() }
      return try context?.devices(matching: identity) ?? []
    }
    let fitting = serial.map { serial in found.filter { $0.serial == serial } } ?? found
    let names = found.map(\.description).joined(separator: ", ")
    guard let device = fitting.first else {
      throw TransportError(
        .notFound, found.isEmpty ? "no board found on USB" : "no board with this serial; attached: \(names)",
        address: address)
    }
    guard fitting.count == 1 else {
      throw TransportError(.ambiguous, "\(fitting.count) boards fit this address: \(names)", address: address)
    }
    return device
  }

  /// A device that refuses this is no board of ours, whatever its strings say.
  private static func resynchronise(_ handle: USBHandle) async throws(TransportError) {
    do throws(TransportError) {
      _ = try await control(handle, .resync, [])
    } catch {
      var error = error
      if error.code == .refused { error.code = .protocolViolation }
      throw error
    }
  }

  private static func control(
    _ handle: USBHandle, _ request: ControlRequest, _ data: [UInt8]
  ) async throws(TransportError) -> [UInt8] {
    do throws(TransportError) {
      return try await handle.control(
        request: request.rawValue, data: data, answerBytes: request.answerBytes, limit: controlLimit)
    } catch {
      var error = error
      error.message = "no answer to control request \(request)"
      throw error
    }
  }

  private init(
    _ device: USBDevice, _ handle: USBHandle, _ interface: BoardInterface, _ logger: Logger
  ) throws(TransportError) {
    self.device = device
    address = handle.address
    // Doorbells merge; the loss of the link comes last and is never dropped.
    let (events, sink) = AsyncStream.makeStream(of: TransportEvent.self, bufferingPolicy: .bufferingNewest(8))
    self.events = events
    link = try USBLink(handle, interface, sink, logger)
    link.start()
  }

  deinit { link.abandon() }

  public func send(_ bytes: [UInt8]) async throws(TransportError) { try await link.outbound.put(bytes) }

  public func receive() async throws(TransportError) -> [UInt8] { try await link.inbound.take() }

  public func control(_ request: ControlRequest, data: [UInt8]) async throws(TransportError) -> [UInt8] {
    guard !link.isClosed else { throw TransportError(.closed, "the link is closed", address: address) }
    return try await Self.control(link.handle, request, data)
  }

  /// A host puts a device to sleep by the system's power settings, which are not this process's to change.
  public var interruptions: Set<BusInterruption> { [.reset] }

  public func interrupt(_ interruption: BusInterruption) async throws(TransportError) -> [UInt8] {
    guard interruption == .reset else {
      throw TransportError(.refused, "the bus cannot be put to sleep from here", address: address)
    }
    try await link.handle.reset()
    return try await Self.control(link.handle, .status, [])
  }

  public func close() async {
    let link = link
    _ = try? await onThread(address: address) { () throws(TransportError) in link.close() }
  }
}

extension ControlRequest {
  /// Bytes of the answer, as the protocol fixes them.
  fileprivate var answerBytes: Int { self == .status ? 16 : 0 }
}

/// What a board's interface looks like.
struct BoardInterface: Sendable {
  var number: Int
  var out: UInt8
  var outPacketBytes: Int
  var `in`: UInt8
  var interrupt: UInt8?
  var interruptPacketBytes = 0

  /// Finds the vendor interface with bulk endpoints in both directions.
  init(_ device: USBDevice) throws(TransportError) {
    var configuration: UnsafeMutablePointer<libusb_config_descriptor>?
    let rc = libusb_get_active_config_descriptor(device.reference.raw, &configuration)
    guard rc == 0, let configuration else {
      throw TransportError(libusb: rc, "cannot read the configuration", address: device.address)
    }
    defer { libusb_free_config_descriptor(configuration) }
    let interfaces = UnsafeBufferPointer(
      start: configuration.pointee.interface, count: Int(configuration.pointee.bNumInterfaces))
    for interface in interfaces where interface.num_altsetting > 0 {
      guard let setting = interface.altsetting?.pointee, setting.bInterfaceClass == 0xff else { continue }
      let endpoints = UnsafeBufferPointer(start: setting.endpoint, count: Int(setting.bNumEndpoints))
      // The two lowest bits of bmAttributes are the type; bits 11 and 12 of the packet size concern other types only.
      func first(_ type: UInt8, isIn: Bool) -> libusb_endpoint_descriptor? {
        endpoints.first { $0.bmAttributes & 3 == type && ($0.bEndpointAddress & 0x80 != 0) == isIn }
      }
      guard let out = first(2, isIn: false), let inbound = first(2, isIn: true), out.wMaxPacketSize & 0x7ff > 0 else {
        continue
      }
      number = Int(setting.bInterfaceNumber)
      self.out = out.bEndpointAddress
      outPacketBytes = Int(out.wMaxPacketSize & 0x7ff)
      self.in = inbound.bEndpointAddress
      if let bell = first(3, isIn: true), bell.wMaxPacketSize & 0x7ff > 0 {
        interrupt = bell.bEndpointAddress
        interruptPacketBytes = Int(bell.wMaxPacketSize & 0x7ff)
      }
      return
    }
    throw TransportError(
      .protocolViolation, "the device has no vendor interface with bulk endpoints both ways", address: device.address)
  }
}

/// The moving parts of an open link; outlives the transport by as long as closing takes.
private final class USBLink: Sendable {
  private struct Pumps {
    var bulkIn: InboundPump?
    var doorbell: InboundPump?
    var bulkOut: OutboundPump?
  }

  let handle: USBHandle
  let inbound: BytePipe
  let outbound: BytePipe
  private let interface: BoardInterface
  private let events: AsyncStream<TransportEvent>.Continuation
  private let logger: Logger
  private let pumps = Monitor(Pumps())
  private let hasEnded = Atomic(false)
  private let closing = Atomic(false)

  static let bulkTransfers = 8
  /// Whole packets of any speed. What a transfer costs does not depend on its length, so long ones carry more; a burst ends them early.
  static let bulkBytes = 64 * 1024
  private static let doorbellTransfers = 2
  /// How long ``close()`` tries to send what is queued.
  private static let flushLimit = Duration.seconds(1)

  init(
    _ handle: USBHandle, _ interface: BoardInterface, _ events: AsyncStream<TransportEvent>.Continuation,
    _ logger: Logger
  ) throws(TransportError) {
    self.handle = handle
    self.interface = interface
    self.events = events
    self.logger = logger
    // The pipes know the pumps only through this box, which the end of the link empties.
    let pumpBox = PumpBox()
    inbound = BytePipe(
      capacity: DeviceLink.defaultCapacity, address: handle.address, roomFreed: { pumpBox.bulkIn?.fill() })
    outbound = BytePipe(
      capacity: DeviceLink.defaultCapacity, address: handle.address, bytesArrived: { pumpBox.bulkOut?.pump() })
    let (inbound, core) = (inbound, handle.core)
    let lost: @Sendable (TransportError) -> Void = { [weak self] in self?.lost($0) }
    let bulkIn = try InboundPump(
      core, endpoint: interface.in, type: LIBUSB_TRANSFER_TYPE_BULK, transfers: Self.bulkTransfers,
      bytes: Self.bulkBytes, hasRoom: { inbound.hasRoom }, deliver: { _ = inbound.tryPut($0, force: true) },
      lost: lost)
    var doorbell: InboundPump?
    if let endpoint = interface.interrupt {
      // Whole packets, at least a doorbell.
      let packet = interface.interruptPacketBytes
      doorbell = try InboundPump(
        core, endpoint: endpoint, type: LIBUSB_TRANSFER_TYPE_INTERRUPT, transfers: Self.doorbellTransfers,
        bytes: (16 + packet - 1) / packet * packet,
        deliver: { if let bell = Doorbell(bytes: $0) { events.yield(.doorbell(bell)) } }, lost: lost)
    }
    let bulkOut = try OutboundPump(
      core, endpoint: interface.out, packetBytes: interface.outPacketBytes, pipe: outbound, lost: lost)
    pumps.withLock { $0 = Pumps(bulkIn: bulkIn, doorbell: doorbell, bulkOut: bulkOut) }
    pumpBox.set(bulkIn, bulkOut)
  }

  var isClosed: Bool { hasEnded.load(ordering: .acquiring) }

  func start() {
    let pumps = pumps.withLock { $0 }
    pumps.bulkIn?.fill()
    pumps.doorbell?.fill()
    pumps.bulkOut?.pump()
  }

  /// The board is gone or broken; the handle stays until ``close()``.
  private func lost(_ error: TransportError) {
    guard end(error, discarding: false) else { return }
    // Closing ends all transfers by itself; that is no loss.
    guard !closing.load(ordering: .acquiring) else { return }
    logger.notice("the link was lost", metadata: ["board": "\(handle.address)", "error": "\(error)"])
    events.yield(.linkLost(error))
    events.finish()
  }

  private func end(_ reason: TransportError, discarding: Bool) -> Bool {
    guard !hasEnded.exchange(true, ordering: .acquiringAndReleasing) else { return false }
    let pumps = pumps.withLock { $0 }
    pumps.bulkIn?.end()
    pumps.doorbell?.end()
    pumps.bulkOut?.end()
    inbound.finish(reason, discarding: discarding)
    outbound.finish(reason, discarding: true)
    return true
  }

  /// Blocks until all is closed.
  func close() {
    closing.store(true, ordering: .releasing)
    let reason = TransportError(.closed, "the link was closed", address: handle.address)
    outbound.finish(reason)
    let bulkOut = pumps.withLock { $0.bulkOut }
    bulkOut?.flush(atMost: Self.flushLimit)
    _ = end(reason, discarding: true)
    handle.core.shutDown()
    events.finish()
  }

  func abandon() {
    guard !closing.load(ordering: .acquiring) else { return }
    closing.store(true, ordering: .releasing)
    _ = end(TransportError(.closed, "the link was released", address: handle.address), discarding: true)
    events.finish()
    handle.core.abandon()
  }
}

/// Breaks the circle between pipes, which call pumps, and pumps, which fill pipes.
private final class PumpBox: Sendable {
  private struct Pumps {
    weak var bulkIn: InboundPump?
    weak var bulkOut: OutboundPump?
  }
  private let pumps = Monitor(Pumps())

  var bulkIn: InboundPump? { pumps.withLock { $0.bulkIn } }
  var bulkOut: OutboundPump? { pumps.withLock { $0.bulkOut } }

  func set(_ bulkIn: InboundPump, _ bulkOut: OutboundPump) {
    pumps.withLock { $0 = Pumps(bulkIn: bulkIn, bulkOut: bulkOut) }
  }
}
