internal import Dispatch
internal import Glibc
internal import Synchronization

/// Runs `body` for every index below `count`, on up to `threads` threads.
///
/// Indices are handed out as threads get free; `body` must not depend on which thread it runs on.
func concurrently(_ count: Int, threads: Int, _ body: @Sendable (Int) -> Void) {
  let workers = min(count, max(1, threads))
  guard workers > 1 else {
    for index in 0..<count { body(index) }
    return
  }
  let next = Atomic<Int>(0)
  DispatchQueue.concurrentPerform(iterations: workers) { _ in
    while true {
      let index = next.add(1, ordering: .relaxed).oldValue
      guard index < count else { return }
      body(index)
    }
  }
}

/// The processors this process may use.
var processorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
