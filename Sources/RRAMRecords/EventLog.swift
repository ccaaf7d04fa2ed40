internal import Foundation
internal import Glibc
public import RRAMUnits
internal import Synchronization

/// The append-only `events.csv` of a run (RFC 4180): one line a completed measurement.
///
/// Lines reach the kernel when ``flush()`` is called or at the first event 100 ms after the last hand-over, so that what was measured
/// before a `kill -9` is readable after it; ``sync()`` forces them to the disk at the end of a step.
public final class EventLog: Sendable {
  /// One line. Quantities are SI; a `nil` is an empty field.
  public struct Event: Sendable {
    /// What happened: `read`, `form`, `verify`, `wait`, `sample`, …
    public var name: String
    /// The board's clock.
    public var boardTime: Duration?
    public var cell: CellAddress?
    public var target: Siemens?
    public var conductance: Siemens?
    public var voltage: Volts?
    public var pulses: Int?
    public var reads: Int?
    /// Free text: a reason, a file name.
    public var detail: String?

    public init(
      _ name: String, boardTime: Duration? = nil, cell: CellAddress? = nil, target: Siemens? = nil,
      conductance: Siemens? = nil, voltage: Volts? = nil, pulses: Int? = nil, reads: Int? = nil, detail: String? = nil
    ) {
      self.name = name
      self.boardTime = boardTime
      self.cell = cell
      self.target = target
      self.conductance = conductance
      self.voltage = voltage
      self.pulses = pulses
      self.reads = reads
      self.detail = detail
    }
  }

  /// The first line of every `events.csv`.
  public static let header =
    "time_s,board_time_s,temperature_C,event,macro,row,column,target_S,conductance_S,voltage_V,pulses,reads,detail"

  private struct State {
    var descriptor: Int32
    var pending: [UInt8] = []
    var handedOver: ContinuousClock.Instant
    /// As it is written, with the commas around it.
    var temperature = ",,"
    /// Lines that the kernel has, and those that wait.
    var keptLines = 0
    var pendingLines = 0
  }

  private let path: String
  private let start: ContinuousClock.Instant
  private let state: Mutex<State>

  /// - Parameter continued: the file is there already; its last line may have been cut off.
  init(path: String, start: ContinuousClock.Instant, continued: Bool = false) throws {
    // A link in a run's folder would lead out of it.
    let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard descriptor >= 0 else {
      throw RecordsError(.io, path: path, reason: "cannot be opened: \(String(cString: strerror(errno)))")
    }
    self.path = path
    self.start = start
    state = Mutex(State(descriptor: descriptor, handedOver: start))
    try state.withLock { state in
      // An empty line ends what a crash cut off.
      state.pending += Array((continued ? "\r\n" : Self.header + "\r\n").utf8)
      try handOver(&state)
    }
  }

  deinit {
    state.withLock { state in
      if state.descriptor >= 0 { close(state.descriptor) }
    }
  }

  /// The temperature written with every following event, in degrees Celsius.
  public func setTemperature(celsius: Double?) {
    state.withLock { $0.temperature = celsius.map { ",\($0)," } ?? ",," }
  }

  /// Appends events that were completed together.
  public func append(_ events: [Event]) throws {
    let now = ContinuousClock.now
    try state.withLock { state in
      var time: [UInt8] = []
      time.append(micro: (now - start).seconds)
      time.append(UInt8(ascii: ","))
      // Events of one operation share the board's time and their name: each is written out once.
      var (boardTime, boardText): (Duration?, [UInt8]) = (nil, Array(state.temperature.utf8))
      var (name, nameText): (String, [UInt8]) = ("", [])
      for event in events {
        if event.boardTime != boardTime {
          boardTime = event.boardTime
          boardText.removeAll(keepingCapacity: true)
          if let boardTime { boardText.append(micro: boardTime.seconds) }
          boardText += Array(state.temperature.utf8)
        }
        if event.name != name {
          name = event.name
          nameText = Array(quoted(name).utf8)
        }
        state.pending += time
        state.pending += boardText
        state.pending += nameText
        state.pending.append(comma)
        if let cell = event.cell {
          state.pending.append(decimal: cell.macro)
          state.pending.append(comma)
          state.pending.append(decimal: cell.row)
          state.pending.append(comma)
          state.pending.append(decimal: cell.column)
        } else {
          state.pending.append(comma)
          state.pending.append(comma)
        }
        for value in [event.target?.rawValue, event.conductance?.rawValue, event.voltage?.rawValue] {
          state.pending.append(comma)
          if let value { state.pending.append(number: value) }
        }
        for value in [event.pulses, event.reads] {
          state.pending.append(comma)
          if let value { state.pending.append(decimal: value) }
        }
        state.pending.append(comma)
        if let detail = event.detail { state.pending += quoted(detail).utf8 }
        state.pending.append(13)
        state.pending.append(10)
      }
      state.pendingLines += events.count
      if now - state.handedOver >= .milliseconds(100) || state.pending.count > 1 << 16 { try handOver(&state) }
    }
  }

  /// Hands all lines to the kernel.
  public func flush() throws {
    try state.withLock { try handOver(&$0) }
  }

  /// Hands all lines to the kernel and forces them to the disk.
  public func sync() throws {
    try state.withLock { state in
      try handOver(&state)
      guard fsync(state.descriptor) == 0 else {
        throw RecordsError(.io, path: path, reason: "cannot be forced to disk: \(String(cString: strerror(errno)))")
      }
    }
  }

  private func handOver(_ state: inout State) throws {
    var offset = 0
    while offset < state.pending.count {
      let written = state.pending[offset...].withUnsafeBytes { Glibc.write(state.descriptor, $0.baseAddress, $0.count) }
      if written < 0 {
        if errno == EINTR { continue }
        let reason = String(cString: strerror(errno))
        // What did get through is no longer pending; the line that was cut is ended when the run goes on.
        state.keptLines += state.pending[..<offset].count { $0 == 10 }
        state.pending.removeFirst(offset)
        throw RecordsError(
          .io, path: path, reason: "cannot be written: \(reason); \(state.keptLines) events before it are kept")
      }
      offset += written
    }
    state.keptLines += state.pendingLines
    state.pendingLines = 0
    state.pending.removeAll(keepingCapacity: true)
    state.handedOver = ContinuousClock.now
  }
}

private let comma = UInt8(ascii: ",")

extension [UInt8] {
  /// Seconds with microsecond resolution, never in exponent form.
  fileprivate mutating func append(micro seconds: Double) {
    let micro = Int64((seconds * 1e6).rounded())
    if micro < 0 { append(UInt8(ascii: "-")) }
    append(decimal: Int(abs(micro) / 1_000_000))
    append(UInt8(ascii: "."))
    var (rest, divisor) = (abs(micro) % 1_000_000, Int64(100_000))
    while divisor > 0 {
      append(48 + UInt8(rest / divisor))
      rest %= divisor
      divisor /= 10
    }
  }

  fileprivate mutating func append(decimal value: Int) {
    guard value >= 0 else {
      self += "\(value)".utf8
      return
    }
    var divisor = 1
    while value / divisor >= 10 { divisor *= 10 }
    var rest = value
    while divisor > 0 {
      append(48 + UInt8(rest / divisor))
      rest %= divisor
      divisor /= 10
    }
  }

  /// The shortest text that reads back as the same number; boards send float32, whose shortest text has half the digits.
  fileprivate mutating func append(number value: Double) {
    let single = Float(value)
    self += (Double(single) == value ? single.description : value.description).utf8
  }
}

/// A field in quotes where RFC 4180 wants them.
private func quoted(_ field: String) -> String {
  guard field.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return field }
  return "\"" + field.replacing("\"", with: "\"\"") + "\""
}
