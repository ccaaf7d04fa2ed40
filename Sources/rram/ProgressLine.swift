import Foundation
import Glibc
import Synchronization

/// One line on stderr that shows how far a long command is; drawn only on a terminal.
final class ProgressLine: Sendable {
  private struct State {
    var drawn: ContinuousClock.Instant?
    var visible = false
  }

  private let enabled: Bool
  private let begin = ContinuousClock.now
  private let state = Mutex(State())

  init(quiet: Bool) {
    enabled = !quiet && isatty(STDERR_FILENO) == 1
  }

  /// Draws `label` with a bar, at most ten times a second.
  func show(_ label: String, finished: Int, total: Int, detail: String = "") {
    guard enabled, total > 0 else { return }
    let now = ContinuousClock.now
    let due = state.withLock { state in
      if let drawn = state.drawn, now - drawn < .milliseconds(100), finished < total { return false }
      state.drawn = now
      state.visible = true
      return true
    }
    guard due else { return }
    let share = min(1, Double(finished) / Double(total))
    let filled = Int(share * 24)
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 24 - filled)
    let elapsed = (now - begin).components.seconds
    let text = "\r\u{1B}[2K\(label) \(bar) \(finished)/\(total) \(detail) \(elapsed) s"
    try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
  }

  /// Removes the line before other output.
  func clear() {
    let visible = state.withLock { state in
      defer { state.visible = false }
      return state.visible
    }
    if visible { try? FileHandle.standardError.write(contentsOf: Data("\r\u{1B}[2K".utf8)) }
  }
}
