internal import Foundation
public import RRAMRecords
public import RRAMUnits

/// The cells of a chip that were found unusable: `cells.json` in the chip's folder of the records.
public struct KnownCells: Sendable, Hashable, Codable {
  var schema = 1
  /// Unusable cells with what was wrong with them.
  public var failures: [CellFailure]

  public init(failures: [CellFailure] = []) {
    self.failures = failures
  }

  /// Cells that a plan should avoid.
  public var unusable: Set<CellAddress> { Set(failures.map(\.address)) }

  /// Reasons that a further attempt does not change.
  private static let lastingReasons: Set<String> = ["stuck low", "stuck high", "not formed"]

  /// True for a reason that a further attempt does not change.
  public static func isLasting(_ reason: String) -> Bool { lastingReasons.contains(reason) }

  /// Enters failures that last, and forgets cells that were found good since.
  public mutating func enter(_ found: [CellFailure], good: [CellAddress] = []) {
    let good = Set(good)
    let lasting = found.filter { Self.isLasting($0.reason) }
    let replaced = Set(lasting.map(\.address))
    failures.removeAll { good.contains($0.address) || replaced.contains($0.address) }
    failures += lasting
    failures.sort { ($0.macro, $0.row, $0.column) < ($1.macro, $1.row, $1.column) }
  }

  private static func file(_ home: RecordsHome, _ chip: String) -> URL { home.chip(chip).appending(path: "cells.json") }

  /// What is known of a chip; nothing if there is no record.
  public static func load(chip: String, home: RecordsHome) throws -> KnownCells {
    let file = file(home, chip)
    guard FileManager.default.fileExists(atPath: file.path) else { return KnownCells() }
    do {
      return try JSONDecoder().decode(KnownCells.self, from: Data(contentsOf: file))
    } catch {
      throw MappingError(.malformedRecord, "\(file.path): is no record of a chip's cells", underlying: error)
    }
  }

  public func save(chip: String, home: RecordsHome) throws {
    let file = Self.file(home, chip)
    do {
      try FileManager.default.createDirectory(at: home.chip(chip), withIntermediateDirectories: true)
      try JSONEncoder.records.encode(self).write(to: file, options: .atomic)
    } catch {
      throw MappingError(.malformedRecord, "\(file.path): cannot be written", underlying: error)
    }
  }
}

extension JSONEncoder {
  /// Records are read by people too.
  static var records: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return encoder
  }
}
