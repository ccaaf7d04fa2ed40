internal import Glibc
internal import RRAMFiles
internal import RRAMPhysics
internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

/// The file that keeps an emulated chip between runs: an npz of all cell state, labels, write counters and chip time.
///
/// Held by flock on `PATH.lock`. Written by temporary file and rename, so that it is always the state of one moment.
final class StateFile {
  /// Version of the layout written here. Newer files are refused, and so are older ones: format 1 knew neither a cell's strength
  /// of noise nor what its last write left, and nothing in it says what they were.
  static let version = 2

  /// What the file says besides what it is checked against.
  struct State {
    var nanoseconds: UInt64
    var labels: [[UInt8]]
    var writeCounters: [UInt64]
    /// Cells the board knows to be formed, one byte a cell; empty in files written before boards kept them.
    var formedCells: [[UInt8]]
    /// Arrays of each macro.
    var macros: [[StateArray]]
    /// Where the last run began, on chips whose cells age.
    var run: Run?
  }

  /// A run and the macros as they stood when it began.
  struct Run {
    var id: UInt64
    var firstSample: UInt32
    var nanoseconds: UInt64
    var macros: [Int: [StateArray]]
  }

  private let path: String
  private let profile: ChipProfile
  private let board: BoardDescription
  private let seed: UInt64
  private var lock: Int32
  /// Serialised macros and the revision each was made of: clean ones are not made anew.
  private var serialised: [(revision: UInt64, arrays: [(name: String, array: NPYArray)])?]
  /// The same of a run's beginning, which never changes.
  private var serialisedRun: (id: UInt64, arrays: [(name: String, array: NPYArray)])?

  /// Locks the file; it need not exist.
  init(path: String, profile: ChipProfile, board: BoardDescription, seed: UInt64) throws(EmulatorError) {
    self.path = path
    self.profile = profile
    self.board = board
    self.seed = seed
    serialised = Array(repeating: nil, count: board.macros.count)
    let lockPath = path + ".lock"
    lock = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard lock >= 0 else { throw Self.systemError("cannot open its lock \(lockPath)", path) }
    while flock(lock, LOCK_EX | LOCK_NB) != 0 {
      if errno == EINTR { continue }
      let number = errno
      Glibc.close(lock)
      lock = -1
      if number == EWOULDBLOCK {
        throw EmulatorError(.busy, "another process holds its lock \(lockPath)", file: path)
      }
      throw Self.systemError("cannot lock \(lockPath)", path)
    }
  }

  deinit { unlock() }

  func unlock() {
    guard lock >= 0 else { return }
    // The lock file stays: removing it would let two processes lock two files of one name.
    Glibc.close(lock)
    lock = -1
  }

  private static func systemError(_ action: String, _ path: String) -> EmulatorError {
    let text = strerror(errno).map { String(cString: $0) } ?? "unknown error"
    return EmulatorError(.file, "\(action): \(text)", file: path)
  }

  // MARK: Reading

  /// The state in the file; `nil` if there is none yet.
  func load() throws(EmulatorError) -> State? {
    do {
      return try read()
    } catch let error as EmulatorError {
      throw error
    } catch let error as FileError {
      if error.systemError == ENOENT { return nil }
      let code: EmulatorError.Code = error.code == .unreadable ? .file : .damaged
      throw EmulatorError(code, error.description, file: path, underlying: error)
    } catch {
      throw EmulatorError(.file, "\(error)", file: path, underlying: error)
    }
  }

  private func read() throws -> State {
    let archive = try NPZArchive(file: path)
    let version = try integer(archive, "format")
    guard version <= Self.version else {
      throw EmulatorError(
        .newerVersion, "format \(version), this version reads up to \(Self.version)", file: path)
    }
    guard version >= 1 else { throw damaged("format \(version)") }
    guard version == Self.version else {
      throw EmulatorError(
        .olderVersion,
        "format \(version) of an earlier version cannot be continued, this one reads format \(Self.version): "
          + "its chip has to be made, formed and programmed anew", file: path)
    }
    try require(archive, "profile", is: profile.name)
    try require(archive, "profile_hash", is: profile.hash)
    try require(archive, "board", is: board.name)
    let words = try archive.integers("seed", shape: [2])
    let fileSeed = UInt64(truncatingIfNeeded: words[0]) & 0xFFFF_FFFF | UInt64(truncatingIfNeeded: words[1]) << 32
    guard fileSeed == seed else { throw mismatch("seed", "\(fileSeed)", "\(seed)") }
    let macros = board.macros.count
    let shape = board.macros.shape
    let fileShape = try archive.integers("macros", shape: [3])
    guard fileShape == [macros, shape.rows, shape.columns] else {
      throw mismatch("macros", "\(fileShape)", "\([macros, shape.rows, shape.columns])")
    }
    let time = try integer(archive, "chip_time_ns")
    guard time >= 0 else { throw damaged("chip time of \(time) ns") }
    let labels = try archive.integers("labels", shape: [macros, MacroLabel.byteCount])
    let counters = try archive.integers("write_counters", shape: [macros])
    guard labels.allSatisfy({ (0...255).contains($0) }), counters.allSatisfy({ $0 >= 0 }) else {
      throw damaged("a label or write counter is out of range")
    }
    var state = State(
      nanoseconds: UInt64(time), labels: [], writeCounters: counters.map { UInt64($0) }, formedCells: [], macros: [])
    if archive.keys.contains("formed_cells") {
      let cells = try archive.integers("formed_cells", shape: [macros, shape.cellCount])
      guard cells.allSatisfy({ (0...1).contains($0) }) else { throw damaged("formed_cells holds more than 0 and 1") }
      state.formedCells = (0..<macros).map { macro in
        cells[macro * shape.cellCount..<(macro + 1) * shape.cellCount].map { UInt8($0) }
      }
    }
    if archive.keys.contains(Self.runKey) { state.run = try run(archive, macros: macros) }
    for macro in 0..<macros {
      state.labels.append(
        labels[macro * MacroLabel.byteCount..<(macro + 1) * MacroLabel.byteCount].map { UInt8($0) })
      state.macros.append(try arrays(archive, Self.prefix(macro)))
    }
    return state
  }

  private func arrays(_ archive: NPZArchive, _ prefix: String) throws -> [StateArray] {
    var arrays: [StateArray] = []
    for key in archive.keys where key.hasPrefix(prefix) {
      let array = try archive.array(key)
      guard let values = Self.values(array) else {
        throw damaged("array \(key) holds \(array.elementType)")
      }
      arrays.append(StateArray(name: String(key.dropFirst(prefix.count)), shape: array.shape, values: values))
    }
    return arrays
  }

  private static let runKey = "run"

  private func run(_ archive: NPZArchive, macros: Int) throws -> Run {
    // Id as two words, first sample, chip time as two words.
    let words = try archive.integers(Self.runKey, shape: [5])
    guard words.allSatisfy({ (0...Int(UInt32.max)).contains($0) }) else {
      throw damaged("the run's numbers are out of range")
    }
    var run = Run(
      id: UInt64(words[0]) | UInt64(words[1]) << 32, firstSample: UInt32(words[2]),
      nanoseconds: UInt64(words[3]) | UInt64(words[4]) << 32, macros: [:])
    for macro in 0..<macros {
      let found = try arrays(archive, Self.runKey + "." + Self.prefix(macro))
      if !found.isEmpty { run.macros[macro] = found }
    }
    return run
  }

  private static func prefix(_ macro: Int) -> String { "macro\(macro)." }

  private static func values(_ array: NPYArray) -> StateArray.Values? {
    switch array.elementType {
    case .uint8: array.integers.map { .uint8($0.map { UInt8(truncatingIfNeeded: $0) }) }
    case .uint32: array.integers.map { .uint32($0.map { UInt32(truncatingIfNeeded: $0) }) }
    case .float32: array.floats.map { .float32($0) }
    case .float64: array.doubles.map { .float64($0) }
    default: nil
    }
  }

  private func integer(_ archive: NPZArchive, _ key: String) throws -> Int {
    try archive.integers(key, shape: [1])[0]
  }

  private func require(_ archive: NPZArchive, _ key: String, is expected: String) throws {
    let found = try archive.string(key)
    guard found == expected else { throw mismatch(key, found, expected) }
  }

  private func mismatch(_ what: String, _ found: String, _ expected: String) -> EmulatorError {
    EmulatorError(.mismatch, "\(what) is \(found), this chip has \(expected)", file: path)
  }

  private func damaged(_ reason: String) -> EmulatorError { EmulatorError(.damaged, reason, file: path) }

  // MARK: Writing

  /// Writes the state of all macros; only those that changed are serialised anew.
  func write(_ crossbars: [Crossbar], _ state: State, _ run: RunCells?) throws(EmulatorError) {
    var writer = NPZWriter()
    writer.add(NPYArray([UInt32(Self.version)]), as: "format")
    writer.add(profile.name, as: "profile")
    writer.add(profile.hash, as: "profile_hash")
    writer.add(board.name, as: "board")
    writer.add(
      NPYArray([UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)]), as: "seed")
    let shape = board.macros.shape
    writer.add(NPYArray([UInt32(crossbars.count), UInt32(shape.rows), UInt32(shape.columns)]), as: "macros")
    writer.add(NPYArray([state.nanoseconds]), as: "chip_time_ns")
    writer.add(
      NPYArray(state.labels.flatMap { $0 }, shape: [crossbars.count, MacroLabel.byteCount]), as: "labels")
    writer.add(NPYArray(state.writeCounters), as: "write_counters")
    writer.add(
      NPYArray(state.formedCells.flatMap { $0 }, shape: [crossbars.count, shape.cellCount]), as: "formed_cells")
    for (macro, crossbar) in crossbars.enumerated() {
      if serialised[macro]?.revision != crossbar.revision {
        serialised[macro] = (
          crossbar.revision,
          crossbar.exportState().map { (Self.prefix(macro) + $0.name, Self.array($0)) }
        )
      }
      for (name, array) in serialised[macro]?.arrays ?? [] { writer.add(array, as: name) }
    }
    if let run {
      let words = [run.id, run.id >> 32, UInt64(run.firstSample), run.nanoseconds, run.nanoseconds >> 32]
      writer.add(NPYArray(words.map { UInt32(truncatingIfNeeded: $0) }), as: Self.runKey)
      if serialisedRun?.id != run.id {
        serialisedRun = (
          run.id,
          run.macros.flatMap { macro in
            (run.before[macro]?.exportState() ?? []).map {
              (Self.runKey + "." + Self.prefix(macro) + $0.name, Self.array($0))
            }
          }
        )
      }
      for (name, array) in serialisedRun?.arrays ?? [] { writer.add(array, as: name) }
    }
    do {
      try writer.write(to: path, permissions: 0o600)
    } catch {
      throw EmulatorError(.file, error.description, file: path, underlying: error)
    }
  }

  private static func array(_ state: StateArray) -> NPYArray {
    switch state.values {
    case .uint8(let values): NPYArray(values, shape: state.shape)
    case .uint32(let values): NPYArray(values, shape: state.shape)
    case .float32(let values): NPYArray(values, shape: state.shape)
    case .float64(let values): NPYArray(values, shape: state.shape)
    }
  }
}
