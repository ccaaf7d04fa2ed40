internal import RRAMTransport
internal import RRAMWire

/// What a board sent and nobody has looked at yet. One reader at a time.
actor Inbox {
  enum Item: Sendable {
    case finding(FrameDecoder.Finding)
    /// The link ended; the last item.
    case ended(TransportError)
  }

  private var items: [Item] = []
  private var waiting: (turn: Int, continuation: CheckedContinuation<Item?, Never>)?
  private var turn = 0

  func put(_ item: Item) {
    guard let (_, continuation) = waiting else {
      items.append(item)
      return
    }
    waiting = nil
    continuation.resume(returning: item)
  }

  /// The next item; `nil` if none came until the deadline.
  func take(until deadline: ContinuousClock.Instant) async -> Item? {
    if let first = items.first {
      if case .ended = first { return first }
      return items.removeFirst()
    }
    turn += 1
    let mine = turn
    let alarm = Task {
      try? await Task.sleep(until: deadline, clock: .continuous)
      expire(mine)
    }
    defer { alarm.cancel() }
    return await withCheckedContinuation { waiting = (mine, $0) }
  }

  private func expire(_ turn: Int) {
    guard let (current, continuation) = waiting, current == turn else { return }
    waiting = nil
    continuation.resume(returning: nil)
  }
}
