internal import FoundationEssentials

/// Answers a host from a recording: the recorded bytes, in order, as long as the host sends what was sent then.
///
/// How the bytes are split into bursts does not matter, and times are ignored. A piece that was received is handed out as soon
/// as everything that was sent before it has been sent again.
public final class ReplayingTransport: Transport {
  public let address: String
  public let events: AsyncStream<TransportEvent>
  private let eventSink: AsyncStream<TransportEvent>.Continuation

  private struct Control {
    var line: Int
    var request: UInt8
    var data: [UInt8]
    var result: Result<[UInt8], TransportError>
  }

  private struct Received {
    var bytes: [UInt8]
    /// Sent bytes and control requests that came before it.
    var sentBefore: Int
    var controlsBefore: Int
  }

  private struct State {
    var sent = 0
    var controlled = 0
    var handedOut = 0
    var failure: TransportError?
  }

  /// All bytes that the recorded host sent.
  public let sends: [UInt8]
  /// First byte of each recorded burst, with its line in the file.
  private let sendLines: [(offset: Int, line: Int)]
  private let received: [Received]
  private let controls: [Control]
  private let state = Monitor(State())
  /// Pieces that may be handed out.
  private let released: BytePipe

  /// Loads the recording at `path`; its address becomes `replay:FILE`.
  ///
  /// - Throws: `notFound`, or `protocolViolation` naming the line that is no recording.
  public convenience init(path: String) throws(TransportError) {
    let address = "replay:\(path)"
    let data: Data
    do {
      data = try Data(contentsOf: URL(filePath: path))
    } catch let error as CocoaError where error.code == .fileReadNoSuchFile {
      throw TransportError(.notFound, "no such recording", address: address)
    } catch {
      throw TransportError(.io, "cannot read the recording: \(error)", address: address)
    }
    try self.init(recording: Array(data), address: address)
  }

  /// Replays the lines of `recording`.
  public init(recording: [UInt8], address: String) throws(TransportError) {
    self.address = address
    var sends: [UInt8] = []
    var sendLines: [(offset: Int, line: Int)] = []
    var received: [Received] = []
    var controls: [Control] = []
    var hasHead = false
    for (index, text) in recording.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated()
    where !text.isEmpty {
      let number = index + 1
      func malformed(_ why: String) -> TransportError {
        TransportError(.protocolViolation, "line \(number) of the recording \(why)", address: address)
      }
      guard let line = try? RecordingLine(line: text) else { throw malformed("cannot be read") }
      if !hasHead {
        guard line.kind == .head, let version = line.version else { throw malformed("should be its head") }
        guard version == RecordingLine.formatVersion else {
          throw malformed("has version \(version), known is \(RecordingLine.formatVersion)")
        }
        hasHead = true
        continue
      }
      guard let bytes = RecordingLine.bytes(hex: line.bytes ?? "") else { throw malformed("has bytes that are no hex") }
      switch line.kind {
      case .head: throw malformed("is a second head")
      case .send:
        sendLines.append((sends.count, number))
        sends += bytes
      case .receive:
        received.append(Received(bytes: bytes, sentBefore: sends.count, controlsBefore: controls.count))
      case .control:
        guard let request = line.request else { throw malformed("has no request") }
        let result: Result<[UInt8], TransportError>
        if let reply = line.reply {
          guard let bytes = RecordingLine.bytes(hex: reply) else { throw malformed("has bytes that are no hex") }
          result = .success(bytes)
        } else {
          result = .failure(TransportError(.refused, line.text ?? "refused", address: address))
        }
        controls.append(Control(line: number, request: request, data: bytes, result: result))
      case .event:
        break
      }
    }
    guard hasHead else { throw TransportError(.protocolViolation, "the recording is empty", address: address) }
    self.sends = sends
    self.sendLines = sendLines
    self.received = received
    self.controls = controls
    let (events, sink) = AsyncStream.makeStream(of: TransportEvent.self, bufferingPolicy: .bufferingNewest(8))
    self.events = events
    eventSink = sink
    released = BytePipe(capacity: .max, address: address)
    release()
  }

  /// Hands out all pieces whose turn has come.
  private func release() {
    state.withLock { s in
      while s.handedOut < received.count, received[s.handedOut].sentBefore <= s.sent,
        received[s.handedOut].controlsBefore <= s.controlled
      {
        _ = released.tryPut(received[s.handedOut].bytes)
        s.handedOut += 1
      }
      if s.handedOut == received.count, s.sent == sends.count, s.controlled == controls.count {
        released.finish(TransportError(.closed, "the recording ends here", address: address))
      }
    }
  }

  public func send(_ bytes: [UInt8]) async throws(TransportError) {
    let failure = state.withLock { s -> TransportError? in
      if let failure = s.failure { return failure }
      let expected = sends[s.sent...].prefix(bytes.count)
      if expected.elementsEqual(bytes) {
        s.sent += bytes.count
        return nil
      }
      let position = s.sent + zip(expected, bytes).prefix { $0 == $1 }.count
      let failure = mismatch(at: position, got: bytes[position - s.sent])
      s.failure = failure
      return failure
    }
    if let failure {
      released.finish(failure, discarding: true)
      throw failure
    }
    release()
  }

  private func mismatch(at position: Int, got byte: UInt8) -> TransportError {
    let got = RecordingLine.hex([byte])
    guard position < sends.count else {
      return TransportError(
        .protocolViolation, "the host sent byte \(got) after the \(sends.count) bytes of the recording",
        address: address)
    }
    let line = sendLines.last { $0.offset <= position }?.line ?? 0
    return TransportError(
      .protocolViolation,
      "the host sent byte \(got) where line \(line) of the recording has \(RecordingLine.hex([sends[position]])) "
        + "(byte \(position) of all sent)", address: address)
  }

  public func receive() async throws(TransportError) -> [UInt8] { try await released.take() }

  public func control(_ request: ControlRequest, data: [UInt8]) async throws(TransportError) -> [UInt8] {
    let result = state.withLock { s -> Result<[UInt8], TransportError> in
      guard s.controlled < controls.count else {
        return .failure(
          TransportError(.protocolViolation, "the recording has no further control request", address: address))
      }
      let next = controls[s.controlled]
      guard next.request == request.rawValue, next.data == data else {
        return .failure(
          TransportError(
            .protocolViolation,
            "the host asked \(request) where line \(next.line) of the recording has another request",
            address: address))
      }
      s.controlled += 1
      return next.result
    }
    release()
    return try result.get()
  }

  public func close() async {
    released.finish(TransportError(.closed, "the link was closed", address: address), discarding: true)
    eventSink.finish()
  }
}
