public import Foundation
internal import GRDB
public import RRAMBoard
public import RRAMUnits
internal import RRAMWire

/// What is known of chips and of the runs on them: `ledger.sqlite` in the home of the records.
///
/// Several processes may use it at once; each waits for the other at most ten seconds.
public final class ChipLedger: Sendable {
  private let database: DatabasePool
  private let path: String

  /// A chip, and where it comes from as far as somebody has said.
  public struct Chip: Sendable, Hashable, Codable {
    public var id: String
    public var profile: String?
    public var wafer: String?
    public var die: String?
    public var package: String?
    public var note: String?
    /// SET and RESET pulses that a cell may get in its life; `nil`: no limit.
    public var lifetimePulses: Int?
    public var firstSeen: Date
  }

  /// A run, as its folder's manifest says.
  public struct Run: Sendable, Hashable, Codable {
    /// Name of its folder.
    public var name: String
    public var folder: String
    public var verb: String
    public var chip: String?
    public var board: String?
    public var toolkit: String
    public var started: Date
    public var stopped: Date?
    /// `nil` while it is under way, and for ever if its process was killed.
    public var exitStatus: Int?
  }

  /// Opens the ledger of a home, and makes it if there is none: runs that lie in the home already are entered then.
  ///
  /// - Throws: ``RecordsError`` `newerVersion` for a ledger that a newer toolkit has written, `io`.
  public init(home: RecordsHome) throws {
    try makeFolder(home.root)
    path = home.root.appending(path: "ledger.sqlite").path
    let isNew = !FileManager.default.fileExists(atPath: path)
    do {
      database = try Self.open(path)
    } catch let error as RecordsError {
      throw error
    } catch {
      throw RecordsError(.io, path: path, reason: "cannot be opened as a ledger", underlying: error)
    }
    if isNew { try enterEarlierRuns(in: home.runs) }
  }

  /// True if the home has a ledger already.
  public static func exists(in home: RecordsHome) -> Bool {
    FileManager.default.fileExists(atPath: home.root.appending(path: "ledger.sqlite").path)
  }

  /// Longest wait for other processes.
  private static let patience = Duration.seconds(10)

  /// Opens the file, and makes it or brings it up to date where that is needed.
  ///
  /// SQLite does not wait where a file becomes one with a write-ahead log, or where another process is closing it: it says that the file is
  /// busy, and opening is tried again.
  private static func open(_ path: String) throws -> DatabasePool {
    var configuration = Configuration()
    configuration.busyMode = .timeout(Double(patience.components.seconds))
    configuration.label = "ledger"
    let deadline = ContinuousClock.now + patience
    while true {
      do {
        let database = try DatabasePool(path: path, configuration: configuration)
        if try database.read({ try migrator.hasBeenSuperseded($0) }) {
          throw RecordsError(.newerVersion, path: path, reason: "was written by a newer toolkit than this")
        }
        try migrate(database)
        return database
      } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY && ContinuousClock.now < deadline {
        Thread.sleep(forTimeInterval: 0.01)
      }
    }
  }

  /// Brings a ledger up to date beside other processes that may be doing the same: the slower one fails on what the faster one has just
  /// done, and goes on from there.
  private static func migrate(_ database: DatabasePool) throws {
    while true {
      let before = try database.read { try migrator.appliedIdentifiers($0) }
      do {
        return try migrator.migrate(database)
      } catch {
        guard try database.read({ try migrator.appliedIdentifiers($0) }) != before else { throw error }
      }
    }
  }

  private static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1") { database in
      try database.execute(
        sql: """
          CREATE TABLE chip (
            id TEXT PRIMARY KEY, profile TEXT, wafer TEXT, die TEXT, package TEXT, note TEXT, firstSeen REAL NOT NULL);
          CREATE TABLE run (
            folder TEXT PRIMARY KEY, name TEXT NOT NULL, verb TEXT NOT NULL, chip TEXT REFERENCES chip(id), board TEXT,
            toolkit TEXT NOT NULL, started REAL NOT NULL, stopped REAL, exitStatus INTEGER);
          CREATE INDEX runByChip ON run(chip, started);
          CREATE INDEX runByName ON run(name);
          CREATE TABLE wear (
            chip TEXT NOT NULL REFERENCES chip(id), macro INTEGER NOT NULL, forming INTEGER NOT NULL, rows INTEGER NOT NULL,
            columns INTEGER NOT NULL, pulses BLOB NOT NULL,
            PRIMARY KEY (chip, macro, forming)) WITHOUT ROWID;
          """)
    }
    migrator.registerMigration("2") { database in
      try database.execute(
        sql: """
          ALTER TABLE chip ADD COLUMN lifetimePulses INTEGER;
          CREATE TABLE exclusion (
            chip TEXT NOT NULL REFERENCES chip(id), macro INTEGER NOT NULL, cellRow INTEGER NOT NULL,
            cellColumn INTEGER NOT NULL, note TEXT NOT NULL, made REAL NOT NULL,
            PRIMARY KEY (chip, macro, cellRow, cellColumn)) WITHOUT ROWID;
          CREATE TABLE readCalibration (
            id TEXT PRIMARY KEY, chip TEXT NOT NULL REFERENCES chip(id), board TEXT NOT NULL, made REAL NOT NULL,
            document TEXT NOT NULL);
          CREATE INDEX readCalibrationByChip ON readCalibration(chip, board, made);
          """)
    }
    migrator.registerMigration("loopCalibration") { database in
      try database.execute(
        sql: """
          CREATE TABLE loopCalibration (
            id TEXT PRIMARY KEY, chip TEXT NOT NULL REFERENCES chip(id), board TEXT NOT NULL, made REAL NOT NULL,
            document TEXT NOT NULL);
          CREATE INDEX loopCalibrationByChip ON loopCalibration(chip, board, made);
          """)
    }
    migrator.registerMigration("lineCalibration") { database in
      try database.execute(
        sql: """
          CREATE TABLE lineCalibration (
            id TEXT PRIMARY KEY, chip TEXT NOT NULL REFERENCES chip(id), board TEXT NOT NULL, made REAL NOT NULL,
            document TEXT NOT NULL);
          CREATE INDEX lineCalibrationByBoard ON lineCalibration(board, made);
          """)
    }
    return migrator
  }

  private func write<R>(_ body: (Database) throws -> R) throws -> R {
    do {
      return try database.write(body)
    } catch let error as RecordsError {
      throw error
    } catch {
      throw RecordsError(.io, path: path, reason: "cannot be written", underlying: error)
    }
  }

  private func read<R>(_ body: (Database) throws -> R) throws -> R {
    do {
      return try database.read(body)
    } catch {
      throw RecordsError(.io, path: path, reason: "cannot be read", underlying: error)
    }
  }

  // MARK: Runs

  private func enterEarlierRuns(in folder: URL) throws {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    for name in names.sorted() {
      let run = folder.appending(path: name)
      // A folder without a manifest that can be read is no run.
      if let manifest = try? RunManifest.read(from: run) { try enter(manifest, folder: run) }
    }
  }

  /// Enters a run, or what has become known of it since.
  public func enter(_ manifest: RunManifest, folder: URL) throws {
    let verb = manifest.command.dropFirst().first { !$0.hasPrefix("-") } ?? "run"
    try write { database in
      let chip = manifest.chip.flatMap { $0.id.isEmpty ? nil : $0 }
      if let chip {
        // A chip whose data were imported has no profile.
        try Self.enter(
          chip: chip.id, profile: chip.profile.isEmpty ? nil : chip.profile, at: manifest.startedUTC, database)
      }
      try database.execute(
        sql: """
          INSERT INTO run (folder, name, verb, chip, board, toolkit, started, stopped, exitStatus) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
          ON CONFLICT (folder) DO UPDATE SET chip = excluded.chip, board = excluded.board, stopped = excluded.stopped,
            exitStatus = excluded.exitStatus
          """,
        arguments: [
          folder.standardizedFileURL.path, folder.lastPathComponent, verb, chip?.id, manifest.board?.address,
          manifest.toolkit, manifest.startedUTC.timeIntervalSince1970, manifest.stoppedUTC?.timeIntervalSince1970,
          manifest.exitStatus,
        ])
    }
  }

  private static func enter(chip: String, profile: String?, at date: Date, _ database: Database) throws {
    try database.execute(
      sql: """
        INSERT INTO chip (id, profile, firstSeen) VALUES (?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET profile = coalesce(excluded.profile, profile), firstSeen = min(firstSeen, excluded.firstSeen)
        """, arguments: [chip, profile, date.timeIntervalSince1970])
  }

  /// Runs, the newest first.
  ///
  /// - Parameters:
  ///   - chip: only those on this chip.
  ///   - named: only those whose name begins so.
  public func runs(chip: String? = nil, named prefix: String? = nil, limit: Int? = nil) throws -> [Run] {
    try read { database in
      try Row.fetchAll(
        database,
        sql: """
          SELECT * FROM run WHERE (?1 IS NULL OR chip = ?1) AND (?2 IS NULL OR substr(name, 1, length(?2)) = ?2)
          ORDER BY started DESC, name DESC LIMIT ?3
          """, arguments: [chip, prefix, limit ?? -1]
      ).map { row in
        Run(
          name: row["name"], folder: row["folder"], verb: row["verb"], chip: row["chip"], board: row["board"],
          toolkit: row["toolkit"], started: Date(timeIntervalSince1970: row["started"]),
          stopped: (row["stopped"] as Double?).map { Date(timeIntervalSince1970: $0) }, exitStatus: row["exitStatus"])
      }
    }
  }

  // MARK: Chips

  public func chips() throws -> [Chip] {
    try read { try Row.fetchAll($0, sql: "SELECT * FROM chip ORDER BY id").map(Self.chip) }
  }

  public func chip(_ id: String) throws -> Chip? {
    try read { try Row.fetchOne($0, sql: "SELECT * FROM chip WHERE id = ?", arguments: [id]).map(Self.chip) }
  }

  private static func chip(_ row: Row) -> Chip {
    Chip(
      id: row["id"], profile: row["profile"], wafer: row["wafer"], die: row["die"], package: row["package"],
      note: row["note"], lifetimePulses: row["lifetimePulses"], firstSeen: Date(timeIntervalSince1970: row["firstSeen"])
    )
  }

  /// Says where a chip comes from; `nil` leaves what is there.
  public func describe(
    _ id: String, wafer: String? = nil, die: String? = nil, package: String? = nil, note: String? = nil,
    lifetimePulses: Int? = nil
  ) throws {
    try write { database in
      try Self.enter(chip: id, profile: nil, at: Date(), database)
      try database.execute(
        sql: """
          UPDATE chip SET wafer = coalesce(?, wafer), die = coalesce(?, die), package = coalesce(?, package),
            note = coalesce(?, note), lifetimePulses = coalesce(?, lifetimePulses) WHERE id = ?
          """, arguments: [wafer, die, package, note, lifetimePulses, id])
    }
  }

  // MARK: Exclusions

  /// A cell that an operator wants left alone, and why.
  public struct Exclusion: Sendable, Hashable, Codable {
    public var cell: CellAddress
    public var note: String
    public var made: Date
  }

  /// Leaves cells alone from now on; a cell that is excluded already gets the new note.
  public func exclude(_ cells: [CellAddress], of chip: String, note: String) throws {
    try write { database in
      try Self.enter(chip: chip, profile: nil, at: Date(), database)
      for cell in cells {
        try database.execute(
          sql:
            "INSERT OR REPLACE INTO exclusion (chip, macro, cellRow, cellColumn, note, made) VALUES (?, ?, ?, ?, ?, ?)",
          arguments: [chip, cell.macro, cell.row, cell.column, note, Date().timeIntervalSince1970])
      }
    }
  }

  /// Takes cells back into use; returns how many had been excluded.
  @discardableResult
  public func include(_ cells: [CellAddress], of chip: String) throws -> Int {
    try write { database in
      var count = 0
      for cell in cells {
        try database.execute(
          sql: "DELETE FROM exclusion WHERE chip = ? AND macro = ? AND cellRow = ? AND cellColumn = ?",
          arguments: [chip, cell.macro, cell.row, cell.column])
        count += database.changesCount
      }
      return count
    }
  }

  /// The excluded cells of a chip, by address.
  public func exclusions(chip: String) throws -> [Exclusion] {
    try read {
      try Row.fetchAll(
        $0, sql: "SELECT * FROM exclusion WHERE chip = ? ORDER BY macro, cellRow, cellColumn", arguments: [chip]
      ).map {
        Exclusion(
          cell: CellAddress(macro: $0["macro"], row: $0["cellRow"], column: $0["cellColumn"]), note: $0["note"],
          made: Date(timeIntervalSince1970: $0["made"]))
      }
    }
  }

  // MARK: Calibrations

  /// Keeps a calibration of the read chain; it holds for its chip on its board until a newer one comes.
  public func enter(_ calibration: ReadCalibration) throws {
    try enter(
      calibration, "readCalibration", id: calibration.id, chip: calibration.chip, board: calibration.board,
      at: calibration.madeAt)
  }

  /// Keeps a calibration of the loop's gains; it holds for its chip on its board until a newer one comes.
  public func enter(_ calibration: LoopCalibration) throws {
    try enter(
      calibration, "loopCalibration", id: calibration.id, chip: calibration.chip, board: calibration.board,
      at: calibration.madeAt)
  }

  /// Keeps a calibration of a board's loop converters; it holds for that board until a newer one comes.
  public func enter(_ calibration: ConverterLineCalibration) throws {
    try enter(
      calibration, "lineCalibration", id: calibration.id, chip: calibration.chip, board: calibration.board,
      at: calibration.madeAt)
  }

  private func enter(
    _ calibration: some Encodable, _ name: String, id: String, chip: String, board: String, at time: Double
  ) throws {
    let document: String
    do {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      document = String(decoding: try encoder.encode(calibration), as: UTF8.self)
    } catch {
      throw RecordsError(.malformed, path: path, reason: "calibration \(id) cannot be written", underlying: error)
    }
    try write { database in
      try Self.enter(chip: chip, profile: nil, at: Date(), database)
      try database.execute(
        sql: "INSERT OR REPLACE INTO \(name) (id, chip, board, made, document) VALUES (?, ?, ?, ?, ?)",
        arguments: [id, chip, board, time, document])
    }
  }

  /// Calibrations of the read chain of a chip, the newest first.
  ///
  /// - Parameter board: only those made with the board of this serial number.
  public func readCalibrations(chip: String, board: String? = nil) throws -> [ReadCalibration] {
    try calibrations("readCalibration", chip: chip, board: board)
  }

  /// Calibrations of the loop's gains with a chip, the newest first.
  ///
  /// - Parameter board: only those made with the board of this serial number.
  public func loopCalibrations(chip: String, board: String? = nil) throws -> [LoopCalibration] {
    try calibrations("loopCalibration", chip: chip, board: board)
  }

  private func calibrations<Calibration: Decodable>(
    _ name: String, chip: String, board: String?
  ) throws -> [Calibration] {
    let documents = try read {
      try String.fetchAll(
        $0,
        sql: """
          SELECT document FROM \(name) WHERE chip = ?1 AND (?2 IS NULL OR board = ?2) ORDER BY made DESC, id DESC
          """, arguments: [chip, board])
    }
    return try decode(documents, "chip \(chip)")
  }

  /// Calibrations of a board's loop converters, the newest first.
  public func lineCalibrations(board: String) throws -> [ConverterLineCalibration] {
    try decode(
      read {
        try String.fetchAll(
          $0, sql: "SELECT document FROM lineCalibration WHERE board = ? ORDER BY made DESC, id DESC",
          arguments: [board])
      }, "board \(board)")
  }

  /// Those that were made with a chip in the socket, the newest first.
  public func lineCalibrations(chip: String) throws -> [ConverterLineCalibration] {
    try calibrations("lineCalibration", chip: chip, board: nil)
  }

  private func decode<Calibration: Decodable>(_ documents: [String], _ owner: String) throws -> [Calibration] {
    try documents.map { document in
      do {
        return try JSONDecoder().decode(Calibration.self, from: Data(document.utf8))
      } catch {
        throw RecordsError(
          .malformed, path: path, reason: "holds a calibration of \(owner) that cannot be read", underlying: error)
      }
    }
  }

  // MARK: Wear

  /// Adds pulses to the cells' lifetime counts.
  ///
  /// - Throws: `malformed` if the ledger holds another number of cells for a macro.
  public func add(_ given: [PulsesGiven]) throws {
    guard !given.isEmpty else { return }
    try write { database in
      for (key, group) in Dictionary(grouping: given, by: { WearKey($0) }) {
        guard let shape = group.first?.macroShape else { continue }
        try Self.enter(chip: key.chip, profile: nil, at: Date(), database)
        var counts = try Self.counts(key, shape: shape, database)
        for given in group {
          for (index, pulses) in zip(given.cells.indices, given.pulses) {
            let cell = given.cells.block.address(at: index).index(in: shape)
            counts[cell] = counts[cell].addingReportingOverflow(pulses).overflow ? .max : counts[cell] + pulses
          }
        }
        try database.execute(
          sql: "INSERT OR REPLACE INTO wear (chip, macro, forming, rows, columns, pulses) VALUES (?, ?, ?, ?, ?, ?)",
          arguments: [
            key.chip, key.macro, key.isForming, shape.rows, shape.columns, counts.withUnsafeBytes { Data($0) },
          ])
      }
    }
  }

  private struct WearKey: Hashable {
    var chip: String
    var macro: Int
    var isForming: Bool

    init(chip: String, macro: Int, isForming: Bool) {
      (self.chip, self.macro, self.isForming) = (chip, macro, isForming)
    }

    init(_ given: PulsesGiven) {
      self.init(chip: given.chip, macro: given.cells.block.macro, isForming: given.isForming)
    }
  }

  private static func counts(_ key: WearKey, shape: MacroShape, _ database: Database) throws -> [UInt32] {
    guard
      let data = try Data.fetchOne(
        database, sql: "SELECT pulses FROM wear WHERE chip = ? AND macro = ? AND forming = ?",
        arguments: [key.chip, key.macro, key.isForming])
    else { return Array(repeating: 0, count: shape.cellCount) }
    guard data.count == 4 * shape.cellCount else {
      throw RecordsError(
        .malformed, path: "ledger, chip \(key.chip), macro \(key.macro)",
        reason: "holds \(data.count / 4) cells, and a macro has \(shape)")
    }
    return data.withUnsafeBytes { bytes in
      (0..<shape.cellCount).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self) }
    }
  }

  /// Pulses that every cell of a macro has got, forming apart; `nil` where none were counted.
  public func pulses(chip: String, macro: Int, forming: Bool = false) throws -> [UInt32]? {
    try read { database in
      try Data.fetchOne(
        database, sql: "SELECT pulses FROM wear WHERE chip = ? AND macro = ? AND forming = ?",
        arguments: [chip, macro, forming]
      ).map { data in
        data.withUnsafeBytes { bytes in
          (0..<data.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self) }
        }
      }
    }
  }

  /// Macros of a chip for which pulses were counted.
  public func macros(chip: String) throws -> [Int] {
    try read {
      try Int.fetchAll($0, sql: "SELECT DISTINCT macro FROM wear WHERE chip = ? ORDER BY macro", arguments: [chip])
    }
  }

  /// The shape of a macro for which pulses were counted.
  public func shape(chip: String, macro: Int) throws -> MacroShape? {
    try read {
      try Row.fetchOne(
        $0, sql: "SELECT rows, columns FROM wear WHERE chip = ? AND macro = ?", arguments: [chip, macro]
      )
      .map { MacroShape(rows: $0["rows"], columns: $0["columns"]) }
    }
  }
}
