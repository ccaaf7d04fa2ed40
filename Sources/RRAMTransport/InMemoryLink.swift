/// Joins a host and a device endpoint in one process.
///
/// The endpoint hears of the link in the initialiser and of its loss in ``close()`` or ``unplug()``.
public final class InMemoryLink: Transport {
  public let address: String
  public let events: AsyncStream<TransportEvent>
  private let eventSink: AsyncStream<TransportEvent>.Continuation
  private let endpoint: any DeviceEndpoint
  private let link: DeviceLink
  private let isOpen = Monitor(true)

  /// - Parameters:
  ///   - endpoint: the board; must not have another link up.
  ///   - address: the name errors give.
  ///   - capacity: bytes each direction holds before its writer waits.
  public init(to endpoint: any DeviceEndpoint, address: String = "emu:", capacity: Int = DeviceLink.defaultCapacity) {
    self.address = address
    self.endpoint = endpoint
    // Doorbells merge; the loss of the link comes last and is never dropped.
    let (events, sink) = AsyncStream.makeStream(of: TransportEvent.self, bufferingPolicy: .bufferingNewest(8))
    self.events = events
    eventSink = sink
    link = DeviceLink(
      endpoint: endpoint, capacity: capacity, address: address, doorbell: { sink.yield(.doorbell($0)) })
    endpoint.linkUp(link)
  }

  deinit { end(TransportError(.closed, "the link was released", address: address), lost: false) }

  public func send(_ bytes: [UInt8]) async throws(TransportError) { try await link.inbound.put(bytes) }

  public func receive() async throws(TransportError) -> [UInt8] { try await link.outbound.take() }

  public func control(_ request: ControlRequest, data: [UInt8]) async throws(TransportError) -> [UInt8] {
    guard isOpen.withLock({ $0 }) else { throw TransportError(.closed, "the link is closed", address: address) }
    return try endpoint.control(request, data: data)
  }

  public func close() async { end(TransportError(.closed, "the link was closed", address: address), lost: false) }

  /// Breaks the link as a pulled cable would: bytes under way are lost, and the host is told.
  public func unplug() { end(TransportError(.closed, "the link was lost", address: address), lost: true) }

  private func end(_ reason: TransportError, lost: Bool) {
    let wasOpen = isOpen.withLock { open in
      defer { open = false }
      return open
    }
    guard wasOpen else { return }
    link.inbound.finish(reason, discarding: lost)
    link.outbound.finish(reason, discarding: true)
    endpoint.linkLost()
    if lost { eventSink.yield(.linkLost(reason)) }
    eventSink.finish()
  }
}
