/// A bounded queue of bytes between two sides, each of which may be a task or a thread.
///
/// Keeps the pieces as they were put in. Once ended, what is inside can still be taken; then the reason is thrown.
package final class BytePipe: Sendable {
  package enum Taken: Sendable {
    case bytes([UInt8])
    case empty
    case ended(TransportError)
  }

  package enum Put: Sendable {
    case accepted
    case full
    case ended(TransportError)
  }

  private struct State {
    var pieces: [[UInt8]] = []
    var first = 0
    var buffered = 0
    var end: TransportError?
    var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    var nextWaiter: UInt64 = 0

    mutating func take() -> Taken {
      guard first < pieces.count else {
        if let end { return .ended(end) }
        return .empty
      }
      let piece = pieces[first]
      pieces[first] = []
      first += 1
      buffered -= piece.count
      if first == pieces.count {
        pieces.removeAll(keepingCapacity: true)
        first = 0
      } else if first >= 64, first * 2 >= pieces.count {
        pieces.removeFirst(first)
        first = 0
      }
      return .bytes(piece)
    }

    mutating func put(_ bytes: [UInt8], capacity: Int) -> Put {
      if let end { return .ended(end) }
      guard buffered == 0 || bytes.count <= capacity - buffered else { return .full }
      guard !bytes.isEmpty else { return .accepted }
      pieces.append(bytes)
      buffered += bytes.count
      return .accepted
    }

    mutating func takeWaiters() -> [CheckedContinuation<Void, Never>] {
      guard !waiters.isEmpty else { return [] }
      defer { waiters.removeAll(keepingCapacity: true) }
      return waiters.sorted { $0.key < $1.key }.map(\.value)
    }
  }

  private let capacity: Int
  private let state = Monitor(State())
  private let address: String
  private let bytesArrived: @Sendable () -> Void
  private let roomFreed: @Sendable () -> Void

  /// - Parameters:
  ///   - capacity: bytes held at most; a single larger piece is taken when the pipe is empty.
  ///   - address: named in errors.
  ///   - bytesArrived: called after each accepted piece and at the end, outside the lock, on the putting side.
  ///   - roomFreed: called after each taken piece, outside the lock, on the taking side.
  package init(
    capacity: Int, address: String, bytesArrived: @escaping @Sendable () -> Void = {},
    roomFreed: @escaping @Sendable () -> Void = {}
  ) {
    self.capacity = capacity
    self.address = address
    self.bytesArrived = bytesArrived
    self.roomFreed = roomFreed
  }

  deinit { precondition(state.withLock { $0.waiters.isEmpty }, "a pipe died under a waiting task") }

  package var end: TransportError? { state.withLock { $0.end } }
  package var hasRoom: Bool { state.withLock { $0.end == nil && $0.buffered < capacity } }
  package var isEmpty: Bool { state.withLock { $0.buffered == 0 } }

  // MARK: without waiting

  package func tryTake() -> Taken {
    let (taken, waiters) = state.withLock { s in
      let taken = s.take()
      if case .bytes = taken { return (taken, s.takeWaiters()) }
      return (taken, [])
    }
    finishTake(taken, waiters)
    return taken
  }

  /// Puts `bytes` in if there is room; `force` ignores the bound (the caller has checked ``hasRoom``).
  package func tryPut(_ bytes: [UInt8], force: Bool = false) -> Put {
    let capacity = force ? Int.max : capacity
    let (put, waiters) = state.withLock { s in
      let put = s.put(bytes, capacity: capacity)
      if case .accepted = put { return (put, s.takeWaiters()) }
      return (put, [])
    }
    finishPut(put, waiters)
    return put
  }

  /// Ends the pipe with a reason; only the first one counts. `discarding` drops what is inside.
  package func finish(_ reason: TransportError, discarding: Bool = false) {
    let waiters = state.withLock { s in
      if s.end == nil { s.end = reason }
      if discarding {
        s.pieces = []
        s.first = 0
        s.buffered = 0
      }
      return s.takeWaiters()
    }
    for waiter in waiters { waiter.resume() }
    bytesArrived()
  }

  // MARK: waiting as a task

  package func take() async throws(TransportError) -> [UInt8] {
    while true {
      switch tryTake() {
      case .bytes(let bytes): return bytes
      case .ended(let error): throw error
      case .empty: try await waitForChange { s in s.first == s.pieces.count && s.end == nil }
      }
    }
  }

  package func put(_ bytes: [UInt8]) async throws(TransportError) {
    while true {
      switch tryPut(bytes) {
      case .accepted: return
      case .ended(let error): throw error
      case .full:
        let capacity = capacity
        try await waitForChange { s in s.end == nil && s.buffered > 0 && bytes.count > capacity - s.buffered }
      }
    }
  }

  private func waitForChange(while blocked: @Sendable (borrowing State) -> Bool) async throws(TransportError) {
    let id = state.withLock { s in
      s.nextWaiter += 1
      return s.nextWaiter
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        // The task's flag is set before its handlers run, and the handler takes this lock: either we see the flag here, or
        // the handler finds the waiter.
        let waits = state.withLock { s in
          guard !Task.isCancelled, blocked(s) else { return false }
          s.waiters[id] = continuation
          return true
        }
        if !waits { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
    }
    if Task.isCancelled { throw TransportError(.cancelled, "the wait was cancelled", address: address) }
  }

  // MARK: waiting as a thread

  /// Blocks the calling thread, at most for `limit`; `.empty` if nothing came.
  package func takeBlocking(atMost limit: Duration?) -> Taken {
    let result = state.wait(atMost: limit) { s -> (Taken, [CheckedContinuation<Void, Never>])? in
      let taken = s.take()
      if case .empty = taken { return nil }
      return (taken, s.takeWaiters())
    }
    guard let (taken, waiters) = result else { return .empty }
    finishTake(taken, waiters)
    return taken
  }

  /// Blocks the calling thread, at most for `limit`; `.full` if no room came.
  package func putBlocking(_ bytes: [UInt8], atMost limit: Duration?) -> Put {
    let capacity = capacity
    let result = state.wait(atMost: limit) { s -> (Put, [CheckedContinuation<Void, Never>])? in
      let put = s.put(bytes, capacity: capacity)
      if case .full = put { return nil }
      return (put, s.takeWaiters())
    }
    guard let (put, waiters) = result else { return .full }
    finishPut(put, waiters)
    return put
  }

  private func finishTake(_ taken: Taken, _ waiters: [CheckedContinuation<Void, Never>]) {
    for waiter in waiters { waiter.resume() }
    if case .bytes = taken { roomFreed() }
  }

  private func finishPut(_ put: Put, _ waiters: [CheckedContinuation<Void, Never>]) {
    for waiter in waiters { waiter.resume() }
    if case .accepted = put { bytesArrived() }
  }
}
