package import RRAMEmulator
package import RRAMTransport

/// An emulated board whose firmware can be started anew while its link stays up, as a microcontroller's watchdog does.
///
/// The chip is kept in its state file meanwhile.
package final class ResettableBoard: DeviceEndpoint {
  private let make: @Sendable () throws -> EmulatedBoard
  private struct State {
    var board: EmulatedBoard
    var link: DeviceLink?
  }
  private let state: Monitor<State>

  package init(_ make: @escaping @Sendable () throws -> EmulatedBoard) throws {
    self.make = make
    state = Monitor(State(board: try make()))
  }

  package var current: EmulatedBoard { state.withLock { $0.board } }

  /// Ends the firmware and boots it again; what was in its queues is gone.
  package func reset() async {
    await current.close()
    guard let board = try? make() else { return }
    let link = state.withLock { state in
      state.board = board
      return state.link
    }
    if let link { board.linkUp(link) }
  }

  package func close() async { await current.close() }

  package func linkUp(_ link: DeviceLink) {
    let board = state.withLock { state in
      state.link = link
      return state.board
    }
    board.linkUp(link)
  }

  package func linkLost() {
    let board = state.withLock { state in
      state.link = nil
      return state.board
    }
    board.linkLost()
  }

  package func control(_ request: ControlRequest, data: [UInt8]) throws(TransportError) -> [UInt8] {
    try current.control(request, data: data)
  }

  package func bytesWaiting() { current.bytesWaiting() }
  package func roomAvailable() { current.roomAvailable() }
}
