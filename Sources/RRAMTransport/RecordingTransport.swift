internal import FoundationEssentials
internal import Glibc
internal import Synchronization

/// Writes everything that crosses another transport to a file of JSON Lines, for ``ReplayingTransport``.
///
/// The file grows as `FILE.new`; ``finish()`` gives it its name. A session that failed leaves only the `.new` file.
public final class RecordingTransport: Transport {
  public let address: String
  public let events: AsyncStream<TransportEvent>
  private let wrapped: any Transport
  private let path: String
  private let lines: BytePipe
  private let written: BytePipe
  private let start = ContinuousClock.now
  private let eventSink: AsyncStream<TransportEvent>.Continuation
  private let forwarding: Task<Void, Never>
  private let order = Mutex(())

  /// - Parameters:
  ///   - wrapped: the transport to record.
  ///   - path: the recording's final name.
  public init(_ wrapped: any Transport, path: String) throws(TransportError) {
    self.wrapped = wrapped
    self.path = path
    address = wrapped.address
    let descriptor = open(path + ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard descriptor >= 0 else {
      throw TransportError(errno: errno, "cannot write \(path).new", address: wrapped.address)
    }
    let lines = BytePipe(capacity: 4 << 20, address: wrapped.address)
    let written = BytePipe(capacity: 1, address: wrapped.address)
    self.lines = lines
    self.written = written
    let (events, sink) = AsyncStream.makeStream(of: TransportEvent.self, bufferingPolicy: .bufferingNewest(8))
    self.events = events
    eventSink = sink
    let address = wrapped.address
    let start = start
    // The disk may be slow; it gets a thread of its own.
    let rc = startThread { written.finish(Self.write(lines, to: descriptor, address: address)) }
    guard rc == 0 else {
      Glibc.close(descriptor)
      throw TransportError(errno: rc, "cannot start a thread", address: wrapped.address)
    }
    forwarding = Task {
      for await event in wrapped.events {
        let text =
          switch event {
          case .doorbell(let bell): "doorbell " + RecordingLine.hex(bell.bytes)
          case .linkLost(let error): "link lost: \(error.message)"
          }
        let line = RecordingLine(.event, time: Self.nanoseconds(since: start), text: text)
        if let bytes = try? line.encoded() { _ = try? await lines.put(bytes) }
        sink.yield(event)
      }
      sink.finish()
    }
    record(RecordingLine(.head, time: 0, version: RecordingLine.formatVersion, address: wrapped.address))
  }

  /// Writes until the pipe ends, then to the disk; blocks its thread. The reason's code is `closed` when all went well.
  private static func write(_ lines: BytePipe, to descriptor: Int32, address: String) -> TransportError {
    defer { Glibc.close(descriptor) }
    while case .bytes(let bytes) = lines.takeBlocking(atMost: nil) {
      var offset = 0
      while offset < bytes.count {
        let count = bytes.withUnsafeBytes {
          Glibc.write(descriptor, $0.baseAddress.map { $0 + offset }, $0.count - offset)
        }
        if count < 0 {
          if errno == EINTR { continue }
          let error = TransportError(errno: errno, "cannot write the recording", address: address)
          lines.finish(error, discarding: true)
          return error
        }
        offset += count
      }
    }
    guard fsync(descriptor) == 0 else {
      return TransportError(errno: errno, "cannot write the recording", address: address)
    }
    return TransportError(.closed, "the recording has ended", address: address)
  }

  private static func nanoseconds(since start: ContinuousClock.Instant) -> UInt64 {
    let (seconds, attoseconds) = start.duration(to: .now).components
    return UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds / 1_000_000_000))
  }

  /// Records past the bound rather than wait: order matters more than a few kilobytes.
  private func record(_ line: RecordingLine) {
    // Strings and integers always encode.
    guard let bytes = try? line.encoded() else { return }
    order.withLock { _ in _ = lines.tryPut(bytes, force: true) }
  }

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
    lines.finish(TransportError(.closed, "the recording has ended", address: address))
    _ = try? await written.take()
  }

  /// Writes out the recording and gives the file its name; call it when the session went well, before or after ``close()``.
  ///
  /// What crosses the transport afterwards is not recorded.
  public func finish() async throws(TransportError) {
    lines.finish(TransportError(.closed, "the recording has ended", address: address))
    do throws(TransportError) {
      _ = try await written.take()
    } catch {
      if error.code != .closed { throw error }
    }
    guard rename(path + ".new", path) == 0 else {
      throw TransportError(errno: errno, "cannot rename \(path).new", address: address)
    }
  }
}
