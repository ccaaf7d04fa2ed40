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
    var temperature: Double?
  }

  private let path: String
  private let start: ContinuousClock.Instant
  private let state: Mutex<State>

  /// - Parameter continued: the file is there already; its last line may have been cut off.
  init(path: String, start: ContinuousClock.Instant, continued: Bool = false) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
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
    state.withLock { $0.temperature = celsius }
  }

  /// Appends events that were completed together.
  public func append(_ events: [Event]) throws {
    let now = ContinuousClock.now
    let time = decimal((now - start).seconds)
    try state.withLock { state in
      let temperature = state.temperature.map { "\($0)" } ?? ""
      for event in events {
        var line = time
        line += "," + (event.boardTime.map { decimal($0.seconds) } ?? "") + "," + temperature + "," + quoted(event.name)
        line += "," + (event.cell.map { "\($0.macro),\($0.row),\($0.column)" } ?? ",,")
        line +=
          "," + (event.target.map { "\($0.rawValue)" } ?? "") + "," + (event.conductance.map { "\($0.rawValue)" } ?? "")
        line += "," + (event.voltage.map { "\($0.rawValue)" } ?? "")
        line += "," + (event.pulses.map { "\($0)" } ?? "") + "," + (event.reads.map { "\($0)" } ?? "")
        line += "," + quoted(event.detail ?? "") + "\r\n"
        state.pending += Array(line.utf8)
      }
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
        state.pending.removeFirst(offset)
        throw RecordsError(.io, path: path, reason: "cannot be written: \(reason)")
      }
      offset += written
    }
    state.pending.removeAll(keepingCapacity: true)
    state.handedOver = ContinuousClock.now
  }
}

/// Microsecond resolution, never in exponent form.
private func decimal(_ seconds: Double) -> String {
  let micro = Int64((seconds * 1e6).rounded())
  let digits = String(abs(micro) % 1_000_000)
  return (micro < 0 ? "-" : "") + "\(abs(micro) / 1_000_000)." + String(repeating: "0", count: 6 - digits.count)
    + digits
}

/// A field in quotes where RFC 4180 wants them.
private func quoted(_ field: String) -> String {
  guard field.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return field }
  return "\"" + field.replacing("\"", with: "\"\"") + "\""
}
