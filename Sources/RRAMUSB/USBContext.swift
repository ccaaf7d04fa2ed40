internal import CLibUSB
internal import Glibc
public import RRAMTransport

/// A board that came or went.
public enum USBChange: Sendable, Hashable {
  case arrived(USBDevice)
  case left(USBDevice)
}

/// One session with libusb: enumeration, hotplug, and the thread that ends transfers.
///
/// The thread runs while a handle is open or somebody listens for changes, and only then.
public final class USBContext: Sendable {
  let core: ContextCore

  /// What is in use now; all zero once everything is closed.
  public struct Usage: Sendable, Hashable {
    public var openHandles = 0
    public var transfers = 0
    public var threads = 0

    public init(openHandles: Int = 0, transfers: Int = 0, threads: Int = 0) {
      self.openHandles = openHandles
      self.transfers = transfers
      self.threads = threads
    }
  }

  /// - Throws: `notFound` where the machine has no USB.
  public init() throws(TransportError) { core = try ContextCore() }

  /// The boards that are plugged in now, ordered by port; none of them is opened.
  public func devices(matching identity: USBIdentity = .testBoard) throws(TransportError) -> [USBDevice] {
    try core.devices(identity)
  }

  /// Devices that bear the ids of a board, whatever their strings say: the public test ids are anybody's.
  public func devices(withIDsOf identity: USBIdentity) throws(TransportError) -> [USBDevice] {
    try core.devices(identity, strings: false)
  }

  /// Boards that are there, then those that come and go, in order. For one consumer; ends when nobody listens.
  public func changes(matching identity: USBIdentity = .testBoard) throws(TransportError) -> AsyncStream<USBChange> {
    try core.changes(identity)
  }

  public var usage: Usage { core.usage }

  /// Waits until the event thread has ended; false if something still uses it after `limit`.
  public func waitUntilIdle(atMost limit: Duration = .seconds(5)) async -> Bool {
    let core = core
    let isIdle = try? await onThread(address: "usb:") { () throws(TransportError) in
      core.state.wait(atMost: limit) { $0.isRunning ? nil : true } ?? false
    }
    return isIdle ?? false
  }
}

/// The part of a context that handles, devices and the event thread keep alive.
final class ContextCore: Sendable {
  fileprivate struct Listener {
    var identity: USBIdentity
    var sink: AsyncStream<USBChange>.Continuation
    var known: [Key: USBDevice] = [:]
  }

  /// Names a device from arrival to departure; sysfs is gone by then.
  fileprivate struct Key: Hashable {
    var bus: UInt8
    var number: UInt8
  }

  struct State {
    /// Open handles and listeners.
    var users = 0
    var isRunning = false
    var openHandles = 0
    var transfers = 0
    fileprivate var listeners: [UInt64: Listener] = [:]
    fileprivate var nextListener: UInt64 = 0
    fileprivate var hotplug: libusb_hotplug_callback_handle?
  }

  // libusb locks inside; the pointer never changes.
  nonisolated(unsafe) let raw: OpaquePointer
  let state = Monitor(State())

  /// Boards come and go at the speed of hands.
  private static let changesKept = 256

  init() throws(TransportError) {
    var context: OpaquePointer?
    let rc = libusb_init(&context)
    guard rc == 0, let context else {
      var error = TransportError(libusb: rc, "USB cannot be used on this machine", address: "usb:")
      error.code = .notFound
      throw error
    }
    raw = context
  }

  /// Runs on whatever thread drops the last user, which may be the event thread after its loop: nothing is joined here.
  deinit { libusb_exit(raw) }

  var usage: USBContext.Usage {
    state.withLock { .init(openHandles: $0.openHandles, transfers: $0.transfers, threads: $0.isRunning ? 1 : 0) }
  }

  // MARK: enumeration

  func devices(_ identity: USBIdentity, strings: Bool = true) throws(TransportError) -> [USBDevice] {
    var list: UnsafeMutablePointer<OpaquePointer?>?
    let count = libusb_get_device_list(raw, &list)
    guard count >= 0, let list else {
      throw TransportError(libusb: Int32(count), "cannot list the devices", address: "usb:")
    }
    defer { libusb_free_device_list(list, 1) }
    return (0..<count).compactMap { index in
      list[index].flatMap { USBDevice($0, identity: identity, context: self) }
    }
    .filter { !strings || $0.matches(identity) }
    .sorted { $0.precedes($1) }
  }

  // MARK: the event thread

  func retainEvents() throws(TransportError) {
    let starts = state.withLock { s in
      s.users += 1
      guard !s.isRunning else { return false }
      s.isRunning = true
      return true
    }
    guard starts else { return }
    let rc = startThread { [self] in handleEvents() }
    guard rc == 0 else {
      state.withLock { s in
        s.users -= 1
        s.isRunning = false
      }
      throw TransportError(errno: rc, "cannot start the event thread", address: "usb:")
    }
  }

  func releaseEvents() {
    let isLast = state.withLock { s in
      s.users -= 1
      return s.users == 0
    }
    // Not lost if the thread is not waiting yet: libusb keeps it for the next round.
    if isLast { libusb_interrupt_event_handler(raw) }
  }

  private func handleEvents() {
    while true {
      let ends = state.withLock { s in
        if s.users == 0 { s.isRunning = false }
        return s.users == 0
      }
      if ends { return }
      // Nobody waits for this time: every change interrupts the call.
      var limit = timeval(tv_sec: 60, tv_usec: 0)
      let rc = libusb_handle_events_timeout_completed(raw, &limit, nil)
      // A failure that lasts must not take the processor.
      if rc != 0, rc != LIBUSB_ERROR_INTERRUPTED.rawValue { usleep(10_000) }
    }
  }

  // MARK: hotplug

  func changes(_ identity: USBIdentity) throws(TransportError) -> AsyncStream<USBChange> {
    let (stream, sink) = AsyncStream.makeStream(
      of: USBChange.self, bufferingPolicy: .bufferingNewest(Self.changesKept))
    try listenToHotplug()
    try retainEvents()
    let id = state.withLock { s in
      s.nextListener += 1
      s.listeners[s.nextListener] = Listener(identity: identity, sink: sink)
      return s.nextListener
    }
    sink.onTermination = { [weak self] _ in self?.stopListening(id) }
    // Whoever arrives in between is seen twice and reported once.
    for device in try devices(identity) { arrived(device, only: id) }
    return stream
  }

  private func stopListening(_ id: UInt64) {
    let listener = state.withLock { $0.listeners.removeValue(forKey: id) }
    if listener != nil { releaseEvents() }
  }

  /// One callback a context, from the first listener on; libusb_exit drops it.
  private func listenToHotplug() throws(TransportError) {
    guard state.withLock({ $0.hotplug == nil }) else { return }
    guard libusb_has_capability(LIBUSB_CAP_HAS_HOTPLUG.rawValue) != 0 else {
      throw TransportError(.io, "this libusb cannot report changes", address: "usb:")
    }
    var handle: libusb_hotplug_callback_handle = 0
    // Unretained: callbacks come from the event thread, which keeps this object.
    let rc = libusb_hotplug_register_callback(
      raw, Int32(LIBUSB_HOTPLUG_EVENT_DEVICE_ARRIVED.rawValue | LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT.rawValue), 0,
      LIBUSB_HOTPLUG_MATCH_ANY, LIBUSB_HOTPLUG_MATCH_ANY, LIBUSB_HOTPLUG_MATCH_ANY,
      { _, device, event, core in
        guard let device, let core else { return 0 }
        Unmanaged<ContextCore>.fromOpaque(core).takeUnretainedValue().changed(device, event)
        return 0
      }, Unmanaged.passUnretained(self).toOpaque(), &handle)
    guard rc == 0 else { throw TransportError(libusb: rc, "cannot listen for changes", address: "usb:") }
    let isExtra = state.withLock { s in
      guard s.hotplug == nil else { return true }
      s.hotplug = handle
      return false
    }
    if isExtra { libusb_hotplug_deregister_callback(raw, handle) }
  }

  private func changed(_ device: OpaquePointer, _ event: libusb_hotplug_event) {
    if event == LIBUSB_HOTPLUG_EVENT_DEVICE_ARRIVED {
      let identities = Set(state.withLock { $0.listeners.values.map(\.identity) })
      for identity in identities {
        if let device = USBDevice(device, identity: identity, context: self) { arrived(device, only: nil) }
      }
    } else {
      let key = Key(bus: libusb_get_bus_number(device), number: libusb_get_device_address(device))
      // The devices die outside the lock: their last reference may be the one taken out here.
      let gone = state.withLock { s in
        s.listeners.keys.compactMap { id -> (AsyncStream<USBChange>.Continuation, USBDevice)? in
          guard let sink = s.listeners[id]?.sink, let known = s.listeners[id]?.known.removeValue(forKey: key) else {
            return nil
          }
          return (sink, known)
        }
      }
      for (sink, device) in gone { sink.yield(.left(device)) }
    }
  }

  private func arrived(_ device: USBDevice, only id: UInt64?) {
    let key = Key(bus: device.bus, number: device.number)
    let sinks = state.withLock { s in
      s.listeners.keys.compactMap { listener -> AsyncStream<USBChange>.Continuation? in
        guard id == nil || id == listener, let entry = s.listeners[listener], device.matches(entry.identity),
          entry.known[key] == nil
        else { return nil }
        s.listeners[listener]?.known[key] = device
        return entry.sink
      }
    }
    for sink in sinks { sink.yield(.arrived(device)) }
  }
}
