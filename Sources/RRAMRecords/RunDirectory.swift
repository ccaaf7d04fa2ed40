public import Foundation
internal import Glibc
public import RRAMProfiles
internal import Synchronization

/// One run: a folder with `manifest.json`, `events.csv` and whatever files the command adds.
public final class RunDirectory: Sendable {
  public let folder: URL
  public let events: EventLog
  private let ledger: ChipLedger
  private let start: ContinuousClock.Instant
  private let manifest: Mutex<RunManifest>

  /// Makes the folder and writes the manifest of a run that begins now.
  ///
  /// - Parameters:
  ///   - folder: where; must not exist or be empty. `nil` makes `runs/UTC-verb-suffix` in `home`.
  ///   - settings: every option with its value in force.
  public init(
    home: RecordsHome, folder: URL? = nil, toolkit: String, command: [String], settings: [String: String]
  ) throws {
    let now = Date()
    start = ContinuousClock.now
    let verb = command.dropFirst().first { !$0.hasPrefix("-") } ?? "run"
    self.folder = folder ?? home.runs.appending(path: Self.name(verb: verb, at: now))
    if let entries = try? FileManager.default.contentsOfDirectory(atPath: self.folder.path), !entries.isEmpty {
      throw RecordsError(
        .occupied, path: self.folder.path, reason: "already holds \(entries.count) files; a run needs its own folder")
    }
    ledger = try ChipLedger(home: home)
    try makeFolder(self.folder)
    manifest = Mutex(
      RunManifest(
        toolkit: toolkit, command: command, settings: settings, startedUTC: now,
        startedMonotonic: Self.monotonicSeconds()))
    events = try EventLog(path: self.folder.appending(path: "events.csv").path, start: start)
    try save()
    try ledger.enter(currentManifest, folder: self.folder)
  }

  /// Opens the folder of a run that was cut off, to go on with it; its events stay and the new ones follow.
  ///
  /// Times of new events count from now; the manifest's `resumed` setting says how often that happened.
  ///
  /// - Throws: ``RecordsError`` `malformed` for a folder in which a symbolic link lies: what is written there would land elsewhere.
  public init(continuing folder: URL, home: RecordsHome) throws {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [] {
      let path = folder.appending(path: name).path
      guard (try? FileManager.default.destinationOfSymbolicLink(atPath: path)) == nil else {
        throw RecordsError(
          .malformed, path: path, reason: "is a symbolic link, and a run's files lie in its own folder")
      }
    }
    ledger = try ChipLedger(home: home)
    var manifest = try RunManifest.read(from: folder)
    start = ContinuousClock.now
    self.folder = folder
    manifest.settings["resumed"] = "\((Int(manifest.settings["resumed"] ?? "") ?? 0) + 1)"
    manifest.exitStatus = nil
    manifest.stoppedUTC = nil
    manifest.stoppedMonotonic = nil
    self.manifest = Mutex(manifest)
    events = try EventLog(path: folder.appending(path: "events.csv").path, start: start, continued: true)
    try save()
    try ledger.enter(currentManifest, folder: folder)
  }

  /// Notes the board and chip that the run works on.
  public func note(board: RunManifest.Board, chip: RunManifest.Chip, limits: ChipLimits?) throws {
    manifest.withLock {
      $0.board = board
      $0.chip = chip
      $0.limits = limits
    }
    try save()
    try ledger.enter(currentManifest, folder: folder)
  }

  /// Notes the chip alone, of a run whose values were measured without a board of ours.
  public func note(chip: RunManifest.Chip) throws {
    manifest.withLock { $0.chip = chip }
    try save()
    try ledger.enter(currentManifest, folder: folder)
  }

  /// Notes a setting that became known on the way.
  public func note(setting: String, _ value: String) throws {
    manifest.withLock { $0.settings[setting] = value }
    try save()
  }

  /// Ends the run: events on disk, stop times and exit status in the manifest.
  public func finish(exitStatus: Int) throws {
    try events.sync()
    manifest.withLock {
      $0.stoppedUTC = Date()
      $0.stoppedMonotonic = Self.monotonicSeconds()
      $0.exitStatus = exitStatus
    }
    try save()
    try ledger.enter(currentManifest, folder: folder)
  }

  /// A file of this run; `name` must not leave the folder.
  public func file(_ name: String) -> URL {
    precondition(!name.contains("/") && name != ".." && !name.isEmpty, "a run's files lie in its own folder")
    return folder.appending(path: name)
  }

  /// The manifest as it stands.
  public var currentManifest: RunManifest { manifest.withLock { $0 } }

  private func save() throws {
    let data = try RunManifest.encoder.encode(currentManifest)
    try write(data, to: folder.appending(path: "manifest.json"))
  }

  private static func name(verb: String, at date: Date) -> String {
    let stamp = date.formatted(.iso8601.dateSeparator(.omitted).timeSeparator(.omitted))
    let safe = verb.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
    return "\(stamp)-\(String(safe))-\(String(UInt32.random(in: 0...0xFFFF), radix: 16))"
  }

  private static func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
