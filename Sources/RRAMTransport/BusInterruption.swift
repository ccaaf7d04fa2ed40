/// What may happen to a bus while a board is attached; both end the link for the board.
public enum BusInterruption: String, Sendable, Hashable, CaseIterable {
  /// The port resets the device.
  case reset
  /// The bus sleeps, and wakes up again.
  case suspend
}

/// A transport whose bus the host can interrupt on purpose.
public protocol InterruptibleTransport: Transport {
  var interruptions: Set<BusInterruption> { get }

  /// Interrupts the bus. The link is lost by it; ``Transport/close()`` belongs behind it.
  ///
  /// - Returns: the board's answer to ``ControlRequest/status`` before anything else is said to it.
  func interrupt(_ interruption: BusInterruption) async throws(TransportError) -> [UInt8]
}
