/// Which requests are in flight, until when, and with how much credit: decisions only, no input or output.
///
/// Time is handed in with every event.
struct RequestTracker: Sendable {
  /// One request that is not answered yet.
  struct Entry: Sendable, Hashable {
    let sequence: UInt32
    let name: String
    /// 0 if the request touches no cells.
    let operationID: UInt64
    /// Silence after which it counts as lost.
    let limit: Duration
    /// Takes one of the board's places; what the board handles at once does not.
    let takesPlace: Bool
    /// `nil` while a stream is paused for want of credit: the board owes nothing then.
    fileprivate(set) var deadline: Duration?
    fileprivate(set) var credit: Credit?
  }

  /// Response frames of a stream.
  struct Credit: Sendable, Hashable {
    /// Frames under way or with the consumer at most.
    let window: Int
    /// Granted and not received.
    fileprivate(set) var outstanding: Int
    /// Taken by the consumer and not granted anew.
    fileprivate(set) var owed = 0
  }

  /// What a response frame means.
  enum Arrival: Sendable, Hashable {
    case deliver(isLast: Bool)
    /// It belongs to a request that was given up.
    case late
    /// No such request.
    case unasked
    /// The board sent more frames than were granted; the request has failed.
    case overrun(window: Int)
  }

  /// The number of requests the board queues.
  var maximumInFlight = 1
  /// Of the board's present boot; `nil` before its first word.
  private(set) var bootID: UInt64?
  /// In the order of sending.
  private(set) var entries: [Entry] = []
  private var lastSequence: UInt32 = 0
  /// Given up, oldest first; bounded, since a board may never answer.
  private var abandoned: [UInt32] = []
  private static let abandonedLimit = 1024

  var isFull: Bool { entries.count(where: \.takesPlace) >= maximumInFlight }
  var isIdle: Bool { entries.isEmpty }
  var nextDeadline: Duration? { entries.compactMap(\.deadline).min() }

  /// Takes up a request and numbers it.
  ///
  /// - Parameter window: for streams, the frames granted with the request.
  mutating func begin(
    name: String, operationID: UInt64 = 0, limit: Duration, takesPlace: Bool = true, window: Int? = nil, now: Duration
  ) -> Entry {
    let entry = Entry(
      sequence: makeSequence(), name: name, operationID: operationID, limit: limit, takesPlace: takesPlace,
      deadline: now + limit, credit: window.map { Credit(window: $0, outstanding: $0) })
    entries.append(entry)
    return entry
  }

  /// A number that no request in flight has; Credit, which is not answered, takes one as well.
  mutating func makeSequence() -> UInt32 {
    repeat { lastSequence &+= 1 } while lastSequence == 0 || entries.contains { $0.sequence == lastSequence }
    return lastSequence
  }

  /// A response frame has arrived.
  mutating func arrived(_ sequence: UInt32, isLast: Bool, endsEarly: Bool = false, now: Duration) -> Arrival {
    guard let index = entries.firstIndex(where: { $0.sequence == sequence }) else {
      guard let known = abandoned.firstIndex(of: sequence) else { return .unasked }
      if isLast { abandoned.remove(at: known) }
      return .late
    }
    if let credit = entries[index].credit {
      // The frame that says an operation was ended needs no grant.
      guard credit.outstanding > 0 || endsEarly else {
        giveUp(at: index)
        return .overrun(window: credit.window)
      }
      entries[index].credit?.outstanding -= 1
    }
    // The board works in order: what was sent after this request could not be answered before it.
    for i in index..<entries.count {
      entries[i].deadline = entries[i].credit?.outstanding == 0 ? nil : now + entries[i].limit
    }
    if isLast { entries.remove(at: index) }
    return .deliver(isLast: isLast)
  }

  /// The consumer of a stream has taken a frame; returns how many frames to grant now, if any.
  ///
  /// Grants come in halves of the window, so that a grant costs one small frame for several large ones.
  mutating func consumed(_ sequence: UInt32, now: Duration) -> Int? {
    guard let index = entries.firstIndex(where: { $0.sequence == sequence }), var credit = entries[index].credit else {
      return nil
    }
    credit.owed += 1
    let isDue = credit.owed * 2 >= credit.window
    let grant = credit.owed
    if isDue {
      credit.outstanding += credit.owed
      credit.owed = 0
      entries[index].deadline = now + entries[index].limit
    }
    entries[index].credit = credit
    return isDue ? grant : nil
  }

  /// Gives a request up: what still comes for it is late.
  mutating func abandon(_ sequence: UInt32) -> Entry? {
    guard let index = entries.firstIndex(where: { $0.sequence == sequence }) else { return nil }
    return giveUp(at: index)
  }

  /// Gives up what is overdue.
  mutating func expire(now: Duration) -> [Entry] {
    let overdue = entries.filter { $0.deadline.map { $0 <= now } ?? false }
    for entry in overdue { _ = abandon(entry.sequence) }
    return overdue
  }

  /// Gives up everything.
  mutating func abandonAll() -> [Entry] {
    let all = entries
    for entry in all { _ = abandon(entry.sequence) }
    return all
  }

  /// The boot id of any message; returns the requests that are unknown now if the board has started anew.
  mutating func saw(bootID: UInt64) -> [Entry]? {
    defer { self.bootID = bootID }
    guard let known = self.bootID, known != bootID else { return nil }
    return abandonAll()
  }

  @discardableResult
  private mutating func giveUp(at index: Int) -> Entry {
    let entry = entries.remove(at: index)
    abandoned.append(entry.sequence)
    if abandoned.count > Self.abandonedLimit { abandoned.removeFirst() }
    return entry
  }
}
