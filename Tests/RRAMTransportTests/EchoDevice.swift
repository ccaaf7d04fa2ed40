import RRAMTransport

/// A device that returns what it gets and keeps a trace of what happens to it.
final class EchoDevice: DeviceEndpoint {
  enum Trace: Hashable, Sendable {
    case up, down
    case control(ControlRequest, [UInt8])
  }

  private struct State {
    var link: DeviceLink?
    var trace: [Trace] = []
    var echoes = true
    var waiting: [UInt8] = []
  }

  private let state = Monitor(State())

  /// With `echoes` false the device reads nothing at all.
  init(echoes: Bool = true) { state.withLock { $0.echoes = echoes } }

  var trace: [Trace] { state.withLock { $0.trace } }
  var link: DeviceLink? { state.withLock { $0.link } }

  func linkUp(_ link: DeviceLink) {
    state.withLock {
      $0.link = link
      $0.trace.append(.up)
    }
  }

  func linkLost() {
    state.withLock {
      $0.link = nil
      $0.trace.append(.down)
    }
  }

  func control(_ request: ControlRequest, data: [UInt8]) throws(TransportError) -> [UInt8] {
    state.withLock { $0.trace.append(.control(request, data)) }
    if request == .resync { throw TransportError(.refused, "no resync here", address: "test") }
    return [request.rawValue] + data.reversed()
  }

  func bytesWaiting() { echo() }
  func roomAvailable() { echo() }

  private func echo() {
    guard let link = state.withLock({ $0.echoes ? $0.link : nil }) else { return }
    state.withLock { s in
      while true {
        if !s.waiting.isEmpty {
          guard link.tryWrite(s.waiting) else { return }
          s.waiting = []
        }
        guard let bytes = link.read() else { return }
        s.waiting = bytes
      }
    }
  }
}

/// Receives until `count` bytes are there.
func receive(_ count: Int, from transport: any Transport) async throws -> [UInt8] {
  var bytes: [UInt8] = []
  while bytes.count < count { bytes += try await transport.receive() }
  return bytes
}

/// Bytes that do not repeat soon.
func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }
