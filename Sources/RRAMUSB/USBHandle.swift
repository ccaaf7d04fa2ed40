internal import CLibUSB
public import RRAMTransport

/// An open device. Its calls that block run on threads of their own; ``close()`` ends what is under way first.
public final class USBHandle: Sendable {
  let core: HandleCore

  public var address: String { core.address }

  /// Opens a device; no interface is claimed.
  ///
  /// - Throws: `permission`, or `notFound` if it has just left.
  public static func open(_ device: USBDevice) async throws(TransportError) -> USBHandle {
    USBHandle(try await onThread(address: device.address) { () throws(TransportError) in try HandleCore(device) })
  }

  init(_ core: HandleCore) { self.core = core }

  deinit { core.abandon() }

  /// Takes an interface; a kernel driver on it is put aside until ``release(interface:)`` or ``close()``.
  ///
  /// - Throws: `busy` if somebody else holds it.
  public func claim(interface: Int) async throws(TransportError) {
    let core = core
    try await onThread(address: address) { () throws(TransportError) in try core.claim(Int32(interface)) }
  }

  public func release(interface: Int) async throws(TransportError) {
    let core = core
    try await onThread(address: address) { () throws(TransportError) in try core.release(Int32(interface)) }
  }

  /// Ends the halt of an endpoint that has stalled. No transfer may be under way on it.
  public func clearHalt(endpoint: UInt8) async throws(TransportError) {
    let core = core
    try await onThread(address: address) { () throws(TransportError) in try core.clearHalt(endpoint) }
  }

  /// Resets the port; a board answers that by its safe state.
  ///
  /// - Throws: `notFound` if the device came back as another one and has to be opened anew.
  public func reset() async throws(TransportError) {
    let core = core
    try await onThread(address: address) { () throws(TransportError) in
      try core.check(libusb_reset_device(core.raw), "cannot reset the device")
    }
  }

  /// Waits for one transfer in, which ends when `count` bytes have come or a packet was short.
  ///
  /// If the task is cancelled, the transfer is ended and `cancelled` thrown once libusb has let go of the buffer.
  public func read(
    endpoint: UInt8, count: Int, limit: Duration?, interrupt: Bool = false
  ) async throws(TransportError) -> [UInt8] {
    let transfer = try USBTransfer(
      core, endpoint: endpoint,
      type: interrupt ? LIBUSB_TRANSFER_TYPE_INTERRUPT : LIBUSB_TRANSFER_TYPE_BULK, capacity: count)
    let completion = try await run(transfer, limit: limit, "read from endpoint \(endpoint & 0x7f)") { completed in
      transfer.submit(length: count, limit: limit, completed: completed)
    }
    return completion.bytes
  }

  /// Sends one bulk transfer and returns the bytes that were taken. No zero-length packet is added.
  public func write(endpoint: UInt8, _ bytes: [UInt8], limit: Duration?) async throws(TransportError) -> Int {
    let transfer = try USBTransfer(
      core, endpoint: endpoint, type: LIBUSB_TRANSFER_TYPE_BULK, capacity: bytes.count)
    let completion = try await run(transfer, limit: limit, "write to endpoint \(endpoint)") { completed in
      transfer.submit(output: bytes[...], length: bytes.count, limit: limit, completed: completed)
    }
    return completion.count
  }

  /// Sends a vendor request to the device on endpoint 0; needs no claim.
  ///
  /// - Parameter answerBytes: what is asked for; 0 sends `data` instead.
  public func control(
    request: UInt8, data: [UInt8] = [], answerBytes: Int = 0, limit: Duration = .seconds(2)
  ) async throws(TransportError) -> [UInt8] {
    let length = answerBytes > 0 ? answerBytes : data.count
    let setup: [UInt8] = [
      answerBytes > 0 ? 0xc0 : 0x40, request, 0, 0, 0, 0, UInt8(length & 0xff), UInt8(length >> 8 & 0xff),
    ]
    let transfer = try USBTransfer(core, endpoint: 0, type: LIBUSB_TRANSFER_TYPE_CONTROL, capacity: length)
    let completion = try await run(transfer, limit: limit, "control request \(request)") { completed in
      transfer.submit(output: data[...], setup: setup, length: length, limit: limit, completed: completed)
    }
    return answerBytes > 0 ? completion.bytes : []
  }

  private func run(
    _ transfer: USBTransfer, limit: Duration?, _ action: String,
    submit: (@escaping @Sendable (USBTransfer.Completion) -> Void) -> Int32
  ) async throws(TransportError) -> USBTransfer.Completion {
    let completion = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let rc = submit { continuation.resume(returning: $0) }
        if rc != 0 { continuation.resume(returning: .init(number: rc, bytes: [], count: 0)) }
      }
    } onCancel: {
      transfer.cancel()
    }
    guard completion.number == 0 else {
      let within = completion.number == LIBUSB_ERROR_TIMEOUT.rawValue ? limit.map { " within \($0)" } ?? "" : ""
      throw TransportError(libusb: completion.number, "\(action) failed\(within)", address: address)
    }
    return completion
  }

  /// Ends all transfers, gives the interfaces back and closes the device. Further calls do nothing.
  public func close() async {
    let core = core
    _ = try? await onThread(address: address) { () throws(TransportError) in core.shutDown() }
  }
}

/// The part of a handle that its transfers keep alive.
final class HandleCore: Sendable {
  private struct State {
    var isClosing = false
    var isClosed = false
    var claimed: Set<Int32> = []
    /// Transfers under way and how often each was submitted: a callback may submit its own again before it ends.
    var flying: [ObjectIdentifier: (transfer: USBTransfer, count: Int)] = [:]
  }

  let context: ContextCore
  let address: String
  private let device: USBDeviceReference
  // libusb locks inside; the pointer never changes, and is used until shutDown closes it.
  nonisolated(unsafe) let raw: OpaquePointer
  private let state = Monitor(State())

  /// The kernel ends a cancelled transfer at once; a device that it lost, within a reset.
  private static let drainLimit = Duration.seconds(10)

  init(_ device: USBDevice) throws(TransportError) {
    context = device.reference.context
    self.device = device.reference
    address = device.address
    try context.retainEvents()
    var handle: OpaquePointer?
    let rc = libusb_open(device.reference.raw, &handle)
    guard rc == 0, let handle else {
      context.releaseEvents()
      let node = device.node.map { " (\($0))" } ?? ""
      var error = TransportError(libusb: rc, "cannot open the board at port \(device.port)\(node)", address: address)
      if error.code == .closed { error.code = .notFound }
      throw error
    }
    raw = handle
    context.state.withLock { $0.openHandles += 1 }
    // Where the system knows no kernel drivers there is nothing to put aside.
    libusb_set_auto_detach_kernel_driver(handle, 1)
  }

  func check(_ rc: Int32, _ action: String) throws(TransportError) {
    guard rc == 0 else { throw TransportError(libusb: rc, action, address: address) }
  }

  func claim(_ interface: Int32) throws(TransportError) {
    try check(libusb_claim_interface(raw, interface), "cannot claim interface \(interface)")
    state.withLock { _ = $0.claimed.insert(interface) }
  }

  func release(_ interface: Int32) throws(TransportError) {
    state.withLock { _ = $0.claimed.remove(interface) }
    try check(libusb_release_interface(raw, interface), "cannot release interface \(interface)")
  }

  func clearHalt(_ endpoint: UInt8) throws(TransportError) {
    try check(libusb_clear_halt(raw, endpoint), "cannot end the halt of endpoint \(endpoint & 0x7f)")
  }

  // MARK: transfers under way

  func begin(_ transfer: USBTransfer) -> Bool {
    let begins = state.withLock { s in
      guard !s.isClosing else { return false }
      s.flying[ObjectIdentifier(transfer), default: (transfer, 0)].count += 1
      return true
    }
    if begins { context.state.withLock { $0.transfers += 1 } }
    return begins
  }

  func end(_ transfer: USBTransfer) {
    context.state.withLock { $0.transfers -= 1 }
    state.withLock { s in
      let id = ObjectIdentifier(transfer)
      let left = (s.flying[id]?.count ?? 1) - 1
      if left == 0 { s.flying[id] = nil } else { s.flying[id]?.count = left }
    }
  }

  // MARK: the end

  /// Blocks; returns when the device is closed, whoever closed it.
  func shutDown() {
    let (isFirst, transfers) = state.withLock { s in
      defer { s.isClosing = true }
      return (!s.isClosing, s.flying.values.map(\.transfer))
    }
    guard isFirst else {
      _ = state.wait(atMost: Self.drainLimit) { $0.isClosed ? true : nil }
      return
    }
    for transfer in transfers { transfer.cancel() }
    let isDrained = state.wait(atMost: Self.drainLimit) { $0.flying.isEmpty ? true : nil } ?? false
    // A handle that libusb still works with must stay open: better a leak than memory that is written after it was freed.
    guard isDrained else { return }
    let claimed = state.withLock { s in
      defer { s.claimed = [] }
      return s.claimed
    }
    for interface in claimed { libusb_release_interface(raw, interface) }
    libusb_close(raw)
    context.state.withLock { $0.openHandles -= 1 }
    context.releaseEvents()
    state.withLock { $0.isClosed = true }
  }

  /// As ``shutDown()``, for owners that cannot wait.
  func abandon() {
    guard !state.withLock({ $0.isClosing }) else { return }
    // Without a thread the device stays open until the process ends.
    _ = startThread { [self] in shutDown() }
  }
}
