/// Writes everything that crosses another transport into a ``USBCapture``.
public final class CapturingTransport: Transport {
  public let address: String
  public let events: AsyncStream<TransportEvent>
  private let wrapped: any Transport
  private let capture: USBCapture
  private let eventSink: AsyncStream<TransportEvent>.Continuation
  private let forwarding: Task<Void, Never>

  /// - Parameter capture: ended by whoever made it, after the transport was closed.
  public init(_ wrapped: any Transport, capture: USBCapture) {
    self.wrapped = wrapped
    self.capture = capture
    address = wrapped.address
    let (events, sink) = AsyncStream.makeStream(of: TransportEvent.self, bufferingPolicy: .bufferingNewest(8))
    self.events = events
    eventSink = sink
    forwarding = Task {
      for await event in wrapped.events {
        capture.event(event)
        sink.yield(event)
      }
      sink.finish()
    }
  }

  public func send(_ bytes: [UInt8]) async throws(TransportError) {
    // Before the sending: the answer must not be written first.
    let submissions = capture.send(bytes)
    do throws(TransportError) {
      try await wrapped.send(bytes)
    } catch {
      for submission in submissions { capture.complete(submission, error: error) }
      throw error
    }
    for submission in submissions { capture.complete(submission) }
  }

  public func receive() async throws(TransportError) -> [UInt8] {
    let bytes = try await wrapped.receive()
    capture.receive(bytes)
    return bytes
  }

  public func control(_ request: ControlRequest, data: [UInt8]) async throws(TransportError) -> [UInt8] {
    let wrapped = wrapped
    return try await capture.control(request, data: data) { () throws(TransportError) in
      try await wrapped.control(request, data: data)
    }
  }

  public func close() async {
    await wrapped.close()
    eventSink.finish()
    forwarding.cancel()
  }
}
