internal import FoundationEssentials
internal import Glibc

/// Writes everything that crosses another transport to a file of JSON Lines, for ``ReplayingTransport``.
///
/// The file grows as `FILE.new`; ``finish()`` gives it its name. A session that failed leaves only the `.new` file.
public final class RecordingTransport: Transport {
  public let address: String
  public let events: AsyncStream<TransportEvent>
  private let wrapped: any Transport
  private let path: String
  private let file: AppendedFile
  private let start = ContinuousClock.now
  private let eventSink: AsyncStream<TransportEvent>.Continuation
  private let forwarding: Task<Void, Never>

  /// - Parameters:
  ///   - wrapped: the transport to record.
  ///   - path: the recording's final name.
  public init(_ wrapped: any Transport, path: String) throws(TransportError) {
    self.wrapped = wrapped
    self.path = path
    address = wrapped.address
    let file = try AppendedFile(path: path + ".new", address: wrapped.address, followsLinks: false)
    self.file = file
    let (events, sink) = AsyncStream.makeStream(of: TransportEvent.self, bufferingPolicy: .bufferingNewest(8))
    self.events = events
    eventSink = sink
    let start = start
    forwarding = Task {
      for await event in wrapped.events {
        let text =
          switch event {
          case .doorbell(let bell): "doorbell " + RecordingLine.hex(bell.bytes)
          case .linkLost(let error): "link lost: \(error.message)"
          }
        let line = RecordingLine(.event, time: Self.nanoseconds(since: start), text: text)
        Self.write(line, to: file)
        sink.yield(event)
      }
      sink.finish()
    }
    record(RecordingLine(.head, time: 0, version: RecordingLine.formatVersion, address: wrapped.address))
  }

  private static func nanoseconds(since start: ContinuousClock.Instant) -> UInt64 {
    let (seconds, attoseconds) = start.duration(to: .now).components
    return UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds / 1_000_000_000))
  }

  private static func write(_ line: RecordingLine, to file: AppendedFile) {
    // Strings and integers always encode.
    guard let bytes = try? line.encoded() else { return }
    file.append { bytes }
  }

  private func record(_ line: RecordingLine) { Self.write(line, to: file) }

  private var time: UInt64 { Self.nanoseconds(since: start) }

  public func send(_ bytes: [UInt8]) async throws(TransportError) {
    // Before the sending: the answer must not be recorded first.
    record(RecordingLine(.send, time: time, bytes: RecordingLine.hex(bytes)))
    try await wrapped.send(bytes)
  }

  public func receive() async throws(TransportError) -> [UInt8] {
    let bytes = try await wrapped.receive()
    record(RecordingLine(.receive, time: time, bytes: RecordingLine.hex(bytes)))
    return bytes
  }

  public func control(_ request: ControlRequest, data: [UInt8]) async throws(TransportError) -> [UInt8] {
    let begin = time
    let dataText = RecordingLine.hex(data)
    do throws(TransportError) {
      let reply = try await wrapped.control(request, data: data)
      record(
        RecordingLine(
          .control, time: begin, bytes: dataText, request: request.rawValue, reply: RecordingLine.hex(reply)))
      return reply
    } catch {
      record(RecordingLine(.control, time: begin, bytes: dataText, request: request.rawValue, text: error.message))
      throw error
    }
  }

  /// Ends the recorded link. The recording stays `FILE.new` until ``finish()``.
  public func close() async {
    await wrapped.close()
    eventSink.finish()
    forwarding.cancel()
    try? await file.finish()
  }

  /// Writes out the recording and gives the file its name; call it when the session went well, before or after ``close()``.
  ///
  /// What crosses the transport afterwards is not recorded.
  public func finish() async throws(TransportError) {
    try await file.finish()
    guard rename(path + ".new", path) == 0 else {
      throw TransportError(errno: errno, "cannot rename \(path).new", address: address)
    }
  }
}
