public import RRAMBoard
internal import Synchronization

/// Collects the pulses of a session and hands them to the ledger, at the first operation 100 ms after the last hand-over and at the end.
public final class WearBook: Sendable {
  private struct State {
    var ledger: ChipLedger?
    var pending: [PulsesGiven] = []
    var handedOver = ContinuousClock.now
    var failure: (any Error)?
  }

  private let home: RecordsHome
  private let state = Mutex(State())

  /// The ledger is opened when there is something to write.
  public init(home: RecordsHome) { self.home = home }

  public func enter(_ given: PulsesGiven) {
    let now = ContinuousClock.now
    state.withLock { state in
      state.pending.append(given)
      if now - state.handedOver >= .milliseconds(100) { handOver(&state, now: now) }
    }
  }

  /// Pulses, forming included, that each cell of a macro has got in its life by what was handed over; `nil` where none were counted.
  public func lifetimePulses(chip: String, macro: Int) throws -> [UInt32]? {
    try state.withLock { state in
      if state.ledger == nil { state.ledger = try ChipLedger(home: home) }
      guard let ledger = state.ledger else { return nil }
      let (writes, forming) = (
        try ledger.pulses(chip: chip, macro: macro), try ledger.pulses(chip: chip, macro: macro, forming: true)
      )
      guard let writes, let forming else { return writes ?? forming }
      return zip(writes, forming).map { $0.addingReportingOverflow($1).overflow ? .max : $0 + $1 }
    }
  }

  /// Hands over what is left.
  ///
  /// - Throws: the first failure of any hand-over; counts that could not be written are tried again until then.
  public func close() throws {
    try state.withLock { state in
      handOver(&state, now: .now)
      if let failure = state.failure { throw failure }
    }
  }

  private func handOver(_ state: inout State, now: ContinuousClock.Instant) {
    state.handedOver = now
    guard !state.pending.isEmpty else { return }
    do {
      if state.ledger == nil { state.ledger = try ChipLedger(home: home) }
      try state.ledger?.add(state.pending)
      state.pending = []
      state.failure = nil
    } catch {
      state.failure = error
    }
  }
}
