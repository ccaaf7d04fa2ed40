import RRAMTransport

/// A board that does what a test says, and notes what happened to its link.
final class ScriptedBoard: DeviceEndpoint {
  enum Event: Equatable {
    case up
    case lost
    case control(ControlRequest)
  }

  private struct State {
    var link: DeviceLink?
    var events: [Event] = []
  }
  private let state = Monitor(State())

  /// Answer to STATUS.
  static let status = [UInt8](1...16)

  var link: DeviceLink? { state.withLock { $0.link } }
  var events: [Event] { state.withLock { $0.events } }

  func linkUp(_ link: DeviceLink) {
    state.withLock {
      $0.link = link
      $0.events.append(.up)
    }
  }

  func linkLost() {
    state.withLock {
      $0.link = nil
      $0.events.append(.lost)
    }
  }

  func control(_ request: ControlRequest, data: [UInt8]) throws(TransportError) -> [UInt8] {
    state.withLock { $0.events.append(.control(request)) }
    return request == .status ? Self.status : []
  }

  /// Blocks until the board has seen so many events; false if that takes longer than a test may.
  func waitForEvents(_ count: Int) -> Bool {
    state.wait(atMost: .seconds(20)) { $0.events.count >= count ? true : nil } ?? false
  }
}
