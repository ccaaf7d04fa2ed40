/// The board's side of a link: what a (virtual) board implements.
///
/// One link at a time: ``linkUp(_:)``, then bytes, then ``linkLost()``. All functions are called from threads of the transport
/// or from tasks of the host, possibly at the same time; none may block or take long. A board that runs on a thread of its own
/// keeps the link from ``linkUp(_:)`` and waits in ``DeviceLink/read(atMost:)``.
public protocol DeviceEndpoint: AnyObject, Sendable {
  /// A host has attached.
  func linkUp(_ link: DeviceLink)
  /// The host is gone: abort, ground, empty the queues, drop the link.
  func linkLost()
  /// Answers an out-of-band request at once, whatever the frames do. Also called while no link is up.
  func control(_ request: ControlRequest, data: [UInt8]) throws(TransportError) -> [UInt8]
  /// Bytes can be read from the link. Only boards that do not wait in ``DeviceLink/read(atMost:)`` need it.
  func bytesWaiting()
  /// The host took bytes: a write that was refused may fit now.
  func roomAvailable()
}

extension DeviceEndpoint {
  public func bytesWaiting() {}
  public func roomAvailable() {}
}

/// The board's end of a link: two bounded byte queues and a doorbell.
public final class DeviceLink: Sendable {
  package let inbound: BytePipe
  package let outbound: BytePipe
  private let doorbell: @Sendable (Doorbell) -> Void

  /// Bytes each direction holds before the writer has to wait.
  public static let defaultCapacity = 256 * 1024

  /// Makes a link that no transport carries, for tests of a board: see ``hostTake()`` and ``hostPut(_:)``.
  public convenience init(endpoint: any DeviceEndpoint, capacity: Int = DeviceLink.defaultCapacity) {
    self.init(endpoint: endpoint, capacity: capacity, address: "test")
  }

  /// For carriers: what to call when the board has written, has read, or rings.
  package init(
    endpoint: any DeviceEndpoint, capacity: Int, address: String, outboundArrived: @escaping @Sendable () -> Void = {},
    inboundFreed: @escaping @Sendable () -> Void = {}, doorbell: @escaping @Sendable (Doorbell) -> Void = { _ in }
  ) {
    // Weak: the endpoint keeps the link.
    inbound = BytePipe(
      capacity: capacity, address: address, bytesArrived: { [weak endpoint] in endpoint?.bytesWaiting() },
      roomFreed: inboundFreed)
    outbound = BytePipe(
      capacity: capacity, address: address, bytesArrived: outboundArrived,
      roomFreed: { [weak endpoint] in endpoint?.roomAvailable() })
    self.doorbell = doorbell
  }

  /// False once the host is gone.
  public var isUp: Bool { inbound.end == nil }

  /// Takes the next bytes from the host without waiting; `nil` if there are none.
  public func read() -> [UInt8]? {
    if case .bytes(let bytes) = inbound.tryTake() { return bytes }
    return nil
  }

  /// Blocks the calling thread until bytes come, at most for `limit`; `nil` if none came or the host is gone (``isUp``).
  public func read(atMost limit: Duration?) -> [UInt8]? {
    if case .bytes(let bytes) = inbound.takeBlocking(atMost: limit) { return bytes }
    return nil
  }

  /// Sends one burst if there is room for it; false if not, or if the host is gone.
  public func tryWrite(_ bytes: [UInt8]) -> Bool {
    if case .accepted = outbound.tryPut(bytes) { return true }
    return false
  }

  /// Blocks the calling thread until the burst is taken; false if that took longer than `limit` or the host is gone.
  @discardableResult
  public func write(_ bytes: [UInt8], atMost limit: Duration? = nil) -> Bool {
    if case .accepted = outbound.putBlocking(bytes, atMost: limit) { return true }
    return false
  }

  /// Signals the host beside the bytes.
  public func ring(_ doorbell: Doorbell) { self.doorbell(doorbell) }

  // MARK: the host's end, for tests of a board without a transport

  /// Bytes the board has written, without waiting.
  public func hostTake() -> [UInt8]? {
    if case .bytes(let bytes) = outbound.tryTake() { return bytes }
    return nil
  }

  /// Bytes the board has written; blocks the calling thread.
  public func hostTake(atMost limit: Duration?) -> [UInt8]? {
    if case .bytes(let bytes) = outbound.takeBlocking(atMost: limit) { return bytes }
    return nil
  }

  /// Gives bytes to the board as if a host had sent them; false if the queue is full.
  public func hostPut(_ bytes: [UInt8]) -> Bool {
    if case .accepted = inbound.tryPut(bytes) { return true }
    return false
  }
}
