/// Time of the link: a clock behind two closures, counted from when the board was opened.
struct LinkClock: Sendable {
  let now: @Sendable () -> Duration
  /// Sleeps until ``now`` has reached the argument.
  let sleep: @Sendable (Duration) async throws -> Void

  init<C: Clock>(_ clock: C) where C.Duration == Duration {
    let origin = clock.now
    now = { origin.duration(to: clock.now) }
    // A deadline, not a duration: what passes between the decision and the sleep counts.
    sleep = { try await clock.sleep(until: origin.advanced(by: $0), tolerance: nil) }
  }
}
