package import RRAMTransport
import RRAMWire

/// An emulated board on a bus that can be interrupted: for the board a reset and a sleep are the end of its link.
package final class BusLink: InterruptibleTransport {
  private let link: InMemoryLink
  private let board: any DeviceEndpoint

  package let interruptions = Set(BusInterruption.allCases)
  package var address: String { link.address }
  package var events: AsyncStream<TransportEvent> { link.events }

  package init(to board: any DeviceEndpoint) {
    self.board = board
    link = InMemoryLink(to: board)
  }

  package func send(_ bytes: [UInt8]) async throws(TransportError) { try await link.send(bytes) }
  package func receive() async throws(TransportError) -> [UInt8] { try await link.receive() }
  package func control(_ request: ControlRequest, data: [UInt8]) async throws(TransportError) -> [UInt8] {
    try await link.control(request, data: data)
  }
  package func close() async { await link.close() }

  package func interrupt(_ interruption: BusInterruption) async throws(TransportError) -> [UInt8] {
    link.unplug()
    // The board hears of it on a thread of its own.
    let deadline = ContinuousClock.now + .seconds(1)
    var status = try board.control(.status, data: [])
    while ContinuousClock.now < deadline, (try? BoardStatus(bytes: status).hasSession) == true {
      try? await Task.sleep(for: .milliseconds(2))
      status = try board.control(.status, data: [])
    }
    return status
  }

  /// Asks the board without interrupting anything.
  func status() throws(TransportError) -> [UInt8] { try board.control(.status, data: []) }
}
