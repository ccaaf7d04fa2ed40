internal import Foundation
public import RRAMRecords
public import RRAMUnits
internal import RRAMWire

/// What is known of a chip's cells: those found unusable, and what was measured of others. `cells.json` in the chip's folder of the records.
public struct KnownCells: Sendable, Hashable, Codable {
  /// A conductance that belongs to a cell.
  struct Measured: Sendable, Hashable, Codable {
    var row: Int
    var column: Int
    /// µS.
    var value: Double

    enum CodingKeys: String, CodingKey {
      case row, column
      case value = "value_uS"
    }
  }

  var schema = 1
  /// Unusable cells with what was wrong with them.
  public var failures: [CellFailure]
  /// Standard deviations of the reads of screened cells, by macro; nil in records older than screening.
  var fluctuations: [Int: [Measured]]?
  /// What cells that were never formed conduct, by macro, where that is more than a pristine cell can.
  var leaks: [Int: [Measured]]?

  public init(failures: [CellFailure] = []) {
    self.failures = failures
  }

  /// Standard deviation of the reads of every cell that was screened.
  public var noise: [CellAddress: Siemens] { Self.values(fluctuations) }

  /// Cells that conduct without having been formed: shorted ones, and those with a leak beside them.
  public var conducting: [CellAddress: Siemens] { Self.values(leaks) }

  /// Enters what a screening found of a cell.
  public mutating func enter(noise deviation: Siemens, of cell: CellAddress) {
    Self.enter(deviation, of: cell, into: &fluctuations)
  }

  /// Enters what a cell conducts that was never formed.
  public mutating func enter(conducting value: Siemens, of cell: CellAddress) {
    Self.enter(value, of: cell, into: &leaks)
  }

  private static func values(_ list: [Int: [Measured]]?) -> [CellAddress: Siemens] {
    var values: [CellAddress: Siemens] = [:]
    for (macro, cells) in list ?? [:] {
      for cell in cells {
        values[CellAddress(macro: macro, row: cell.row, column: cell.column)] = .microsiemens(cell.value)
      }
    }
    return values
  }

  private static func enter(_ value: Siemens, of cell: CellAddress, into list: inout [Int: [Measured]]?) {
    var cells = list?[cell.macro] ?? []
    cells.removeAll { $0.row == cell.row && $0.column == cell.column }
    cells.append(Measured(row: cell.row, column: cell.column, value: value.microsiemens))
    list = list ?? [:]
    list?[cell.macro] = cells
  }

  /// Cells that a plan should avoid.
  public var unusable: Set<CellAddress> { Set(failures.map(\.address)) }

  /// Reasons that a further attempt does not change.
  static let lastingReasons: Set<String> = ["stuck low", "stuck high"]

  /// True if a write found the cell to be beyond writing.
  ///
  /// A write also meets cells that nobody has formed yet; only forming tells whether they can be.
  public static func isLasting(_ reason: String) -> Bool { lastingReasons.contains(reason) }

  /// Enters the failures that last; others are left out.
  ///
  /// - Parameter forming: true if they come from forming, where a cell that did not form stays so.
  public mutating func enter(_ found: [CellFailure], forming: Bool = false) {
    let lasting = found.filter { Self.isLasting($0.reason) || forming && $0.reason == CellReason.notFormed.description }
    let replaced = Set(lasting.map(\.address))
    failures.removeAll { replaced.contains($0.address) }
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

extension [CellAddress: Siemens] {
  /// Mean of the squares, µS²; 1 where nothing was measured, because only ratios to it count then. Summed in the order of size, so that
  /// equal chips give equal plans whatever order a dictionary has.
  package var meanSquare: Double {
    guard !isEmpty else { return 1 }
    return values.map { $0.microsiemens * $0.microsiemens }.sorted().reduce(0, +) / Double(count)
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
