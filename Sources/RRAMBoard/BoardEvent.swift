public import RRAMTransport
public import RRAMWire

/// What a board says unasked.
public enum BoardEvent: Sendable, Hashable {
  case enteredSafe(SafeCause)
  case faultRaised(Faults)
  /// Operations in flight before are unknown.
  case rebooted
  /// The last event of a link that was not closed.
  case linkLost(TransportError)
}
