internal import Foundation
internal import Glibc
internal import RRAMRecords
internal import Synchronization

/// What a board answered in the course of a step: kept as it comes, so that a step that was cut off goes on where it stood instead of
/// pulsing its cells again.
///
/// One file a step, `NN-name.journal`; it is removed when the step's arrays are on disk. A procedure asks the same questions in the same
/// order each time, so its first questions are answered from the file.
final class StepJournal: Sendable {
  /// Numbers and values of an answer; what they mean is the question's affair.
  struct Outcome: Sendable, Equatable {
    var numbers: [Double] = []
    var values: [Float] = []
    /// The site's clock after it, seconds.
    var time = 0.0
  }

  private struct State {
    var kept: ArraySlice<(name: String, outcome: Outcome)>
    var lastTime: Double?
    /// What the board's clock, which starts anew with each session, is behind the step's.
    var lag: Double?
  }

  private let path: String
  private let descriptor: Int32
  private let state: Mutex<State>
  /// Answers that were in the file when it was opened.
  let keptCount: Int

  /// Opens the journal of a step, or makes it.
  init(path: String) throws {
    self.path = path
    let bytes = [UInt8](FileManager.default.contents(atPath: path) ?? Data())
    let (entries, length) = Self.entries(bytes)
    descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
    // An answer that was cut off is asked for again.
    guard descriptor >= 0, ftruncate(descriptor, off_t(length)) == 0, lseek(descriptor, 0, SEEK_END) >= 0 else {
      let reason = String(cString: strerror(errno))
      if descriptor >= 0 { close(descriptor) }
      throw RecordsError(.io, path: path, reason: "cannot be opened: \(reason)")
    }
    keptCount = entries.count
    state = Mutex(State(kept: entries[...]))
  }

  deinit { close(descriptor) }

  func remove() { unlink(path) }

  /// The file holds answers to questions that have not been asked yet.
  var hasAnswers: Bool { state.withLock { !$0.kept.isEmpty } }

  /// The answer to the next question, if it is in the file.
  ///
  /// - Throws: `malformedRecord` if the file holds the answer to another question.
  func replay(_ name: String) throws -> Outcome? {
    try state.withLock { state in
      guard let next = state.kept.first else { return nil }
      guard next.name == name else {
        throw CharacterizationError(
          .malformedRecord,
          "\(path): the step asks for '\(name)' where its journal holds '\(next.name)'; remove the file to begin the step anew"
        )
      }
      state.kept.removeFirst()
      state.lastTime = next.outcome.time
      return next.outcome
    }
  }

  /// The step's clock for the board's: it goes on where the journal ends.
  func time(_ board: Double) -> Double {
    state.withLock { state in
      if state.lag == nil { state.lag = (state.lastTime ?? board) - board }
      return board + (state.lag ?? 0)
    }
  }

  func append(_ name: String, _ outcome: Outcome) throws {
    var bytes: [UInt8] = []
    func put<T: BitwiseCopyable>(_ value: T) { withUnsafeBytes(of: value) { bytes += $0 } }
    let text = Array(name.utf8)
    put(UInt32(text.count))
    put(UInt32(outcome.numbers.count))
    put(UInt32(outcome.values.count))
    put(outcome.time)
    bytes += text
    for number in outcome.numbers { put(number) }
    for value in outcome.values { put(value) }
    var offset = 0
    while offset < bytes.count {
      let written = bytes[offset...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if written < 0 {
        if errno == EINTR { continue }
        throw RecordsError(.io, path: path, reason: "cannot be written: \(String(cString: strerror(errno)))")
      }
      offset += written
    }
  }

  /// The whole entries at the beginning of a file, and where they end.
  private static func entries(_ bytes: [UInt8]) -> ([(name: String, outcome: Outcome)], Int) {
    var entries: [(name: String, outcome: Outcome)] = []
    var at = 0
    func take<T: BitwiseCopyable>(_: T.Type, _ offset: Int) -> T {
      bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) }
    }
    while at + 20 <= bytes.count {
      let (name, numbers, values) = (
        Int(take(UInt32.self, at)), Int(take(UInt32.self, at + 4)), Int(take(UInt32.self, at + 8))
      )
      let first = at + 20 + name
      let end = first + 8 * numbers + 4 * values
      guard end <= bytes.count else { break }
      entries.append(
        (
          String(decoding: bytes[at + 20..<first], as: UTF8.self),
          Outcome(
            numbers: (0..<numbers).map { take(Double.self, first + 8 * $0) },
            values: (0..<values).map { take(Float.self, first + 8 * numbers + 4 * $0) },
            time: take(Double.self, at + 12))
        ))
      at = end
    }
    return (entries, at)
  }
}
