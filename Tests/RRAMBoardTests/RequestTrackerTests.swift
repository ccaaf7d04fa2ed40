import Testing

@testable import RRAMBoard

@Suite struct RequestTrackerTests {
  private func tracker(_ places: Int = 4) -> RequestTracker {
    var tracker = RequestTracker()
    tracker.maximumInFlight = places
    return tracker
  }

  @Test func numbersAreNeverZeroAndNotReusedWhileInFlight() {
    var tracker = tracker()
    let first = tracker.begin(name: "a", limit: .seconds(1), now: .zero)
    let second = tracker.begin(name: "b", limit: .seconds(1), now: .zero)
    #expect(first.sequence == 1)
    #expect(second.sequence == 2)
  }

  @Test func urgentRequestsTakeNoPlace() {
    var tracker = tracker(1)
    _ = tracker.begin(name: "safe", limit: .seconds(1), takesPlace: false, now: .zero)
    #expect(!tracker.isFull)
    _ = tracker.begin(name: "pulse", limit: .seconds(1), now: .zero)
    #expect(tracker.isFull)
  }

  @Test func aFrameRenewsItsOwnAndLaterDeadlinesOnly() {
    var tracker = tracker()
    let a = tracker.begin(name: "a", limit: .seconds(10), now: .zero)
    let b = tracker.begin(name: "b", limit: .seconds(10), now: .zero)
    let c = tracker.begin(name: "c", limit: .seconds(10), now: .zero)
    #expect(tracker.arrived(b.sequence, isLast: false, now: .seconds(9)) == .deliver(isLast: false))
    #expect(tracker.expire(now: .seconds(10)).map(\.sequence) == [a.sequence])
    #expect(tracker.expire(now: .seconds(18)).isEmpty)
    #expect(tracker.expire(now: .seconds(19)).map(\.sequence) == [b.sequence, c.sequence])
    #expect(tracker.isIdle)
  }

  @Test func whatWasGivenUpIsLateUntilItsLastFrame() {
    var tracker = tracker()
    let a = tracker.begin(name: "a", limit: .seconds(1), now: .zero)
    _ = tracker.expire(now: .seconds(1))
    #expect(tracker.arrived(a.sequence, isLast: false, now: .seconds(2)) == .late)
    #expect(tracker.arrived(a.sequence, isLast: true, now: .seconds(2)) == .late)
    #expect(tracker.arrived(a.sequence, isLast: true, now: .seconds(2)) == .unasked)
  }

  @Test func onlyTheFrameThatEndsAnOperationNeedsNoGrant() {
    var tracker = tracker()
    for (isLast, endsEarly, arrival) in [
      (true, true, RequestTracker.Arrival.deliver(isLast: true)), (true, false, .overrun(window: 1)),
      (false, false, .overrun(window: 1)),
    ] {
      let a = tracker.begin(name: "a", limit: .seconds(1), window: 1, now: .zero)
      #expect(tracker.arrived(a.sequence, isLast: false, now: .zero) == .deliver(isLast: false))
      #expect(tracker.arrived(a.sequence, isLast: isLast, endsEarly: endsEarly, now: .zero) == arrival)
    }
  }

  @Test func aStreamWithoutCreditHasNoDeadline() {
    var tracker = tracker()
    let a = tracker.begin(name: "a", limit: .seconds(1), window: 2, now: .zero)
    #expect(tracker.nextDeadline == .seconds(1))
    #expect(tracker.arrived(a.sequence, isLast: false, now: .zero) == .deliver(isLast: false))
    #expect(tracker.nextDeadline == .seconds(1))
    #expect(tracker.arrived(a.sequence, isLast: false, now: .zero) == .deliver(isLast: false))
    #expect(tracker.nextDeadline == nil)
    #expect(tracker.consumed(a.sequence, now: .seconds(5)) == 1)
    #expect(tracker.nextDeadline == .seconds(6))
    #expect(tracker.arrived(a.sequence, isLast: false, now: .seconds(5)) == .deliver(isLast: false))
    #expect(tracker.arrived(a.sequence, isLast: false, now: .seconds(5)) == .overrun(window: 2))
    #expect(tracker.isIdle)
  }

  @Test func creditIsGrantedInHalvesOfTheWindow() {
    var tracker = tracker()
    let a = tracker.begin(name: "a", limit: .seconds(1), window: 8, now: .zero)
    for _ in 0..<8 { _ = tracker.arrived(a.sequence, isLast: false, now: .zero) }
    #expect((0..<8).map { _ in tracker.consumed(a.sequence, now: .zero) } == [nil, nil, nil, 4, nil, nil, nil, 4])
  }

  @Test func aNewBootGivesUpEverything() {
    var tracker = tracker()
    #expect(tracker.saw(bootID: 1) == nil)
    let a = tracker.begin(name: "a", operationID: 5, limit: .seconds(1), now: .zero)
    #expect(tracker.saw(bootID: 1) == nil)
    #expect(tracker.saw(bootID: 2)?.map(\.operationID) == [5])
    #expect(tracker.arrived(a.sequence, isLast: true, now: .zero) == .late)
  }
}
