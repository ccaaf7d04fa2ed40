internal import Glibc

/// State behind a lock on which threads can wait for a change.
///
/// `Synchronization.Mutex` has no condition variable, and a virtual board waits on threads of its own. The thread
/// sanitizer sees no contended `Mutex` either (it waits inside a library that is not instrumented) and reports what it
/// guards as a race, so what runs under that sanitizer (tools/sanitize base) locks with this. A `State` of no size would
/// have the address of the object itself, which it takes for a race as well.
/// `@unchecked Sendable`: `state` is touched only between lock and unlock of `mutex`.
package final class Monitor<State>: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var state: State
  /// Threads in ``wait(atMost:until:)``, under the lock as well.
  private var waiting = 0

  package init(_ state: sending State) {
    self.state = state
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
    condition = .allocate(capacity: 1)
    condition.initialize(to: pthread_cond_t())
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    // Deadlines are monotonic: a changed wall clock must not end or prolong a wait.
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(condition)
    condition.deinitialize(count: 1)
    condition.deallocate()
    pthread_mutex_destroy(mutex)
    mutex.deinitialize(count: 1)
    mutex.deallocate()
  }

  /// Runs `body` under the lock and wakes the waiting threads.
  package func withLock<R>(_ body: (inout State) -> R) -> R {
    pthread_mutex_lock(mutex)
    defer { unlock() }
    return body(&state)
  }

  /// Who is woken finds the lock free: woken under it, a thread would only go to sleep on it again.
  private func unlock() {
    let isAwaited = waiting > 0
    pthread_mutex_unlock(mutex)
    if isAwaited { pthread_cond_broadcast(condition) }
  }

  /// Blocks the calling thread until `body` gives a value, or `limit` has passed (`nil`: for ever).
  ///
  /// `body` runs under the lock after each change. Never called on the cooperative pool.
  package func wait<R>(atMost limit: Duration?, until body: (inout State) -> R?) -> R? {
    var deadline = timespec()
    if let limit {
      clock_gettime(CLOCK_MONOTONIC, &deadline)
      let (seconds, attoseconds) = limit.components
      let nanoseconds = deadline.tv_nsec + Int(attoseconds / 1_000_000_000)
      deadline.tv_sec += Int(seconds) + nanoseconds / 1_000_000_000
      deadline.tv_nsec = nanoseconds % 1_000_000_000
    }
    pthread_mutex_lock(mutex)
    waiting += 1
    defer {
      waiting -= 1
      unlock()
    }
    while true {
      if let result = body(&state) { return result }
      if limit == nil {
        pthread_cond_wait(condition, mutex)
      } else if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT {
        return body(&state)
      }
    }
  }
}

/// Runs `body` on a new, detached thread.
///
/// - Returns: 0, or the error number of `pthread_create`.
package func startThread(_ body: @escaping @Sendable () -> Void) -> Int32 {
  final class Start {
    let body: @Sendable () -> Void
    init(body: @escaping @Sendable () -> Void) { self.body = body }
  }
  let start = Unmanaged.passRetained(Start(body: body))
  var thread = pthread_t()
  let rc = pthread_create(
    &thread, nil,
    { argument in
      guard let argument else { return nil }
      Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
      return nil
    }, start.toOpaque())
  guard rc == 0 else {
    start.release()
    return rc
  }
  pthread_detach(thread)
  return 0
}
