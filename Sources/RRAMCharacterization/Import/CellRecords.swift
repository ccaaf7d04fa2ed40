internal import RRAMFiles
internal import RRAMProfiles
public import RRAMUnits

/// What was measured of the cells of a chip elsewhere: a table of cells (CSV), or an archive of arrays (npz) as NeuRRAM's host code has them.
///
/// A name says what its column or array holds and in which unit; names in an archive are keys and nothing else. Every value is looked at:
/// one that is no number, not finite or not possible is refused with its place.
public struct CellRecords: Sendable {
  public enum Format: String, Sendable, Codable {
    case csv, npz
  }

  public internal(set) var format: Format
  public internal(set) var macro = 0
  public internal(set) var cells: [CellAddress] = []
  /// What was asked for, siemens.
  public internal(set) var target: [Double]?
  /// The read that ended the write, siemens.
  public internal(set) var verify: [Double]?
  public internal(set) var accepted: [Bool]?
  public internal(set) var pulses: [Int]?
  public internal(set) var reads: [Int]?
  /// Later reads by time, then by cell, siemens.
  public internal(set) var later: [[Double]] = []
  /// Seconds since the write, one a later read; empty where the file tells no times, and then `later` has at most one read.
  public internal(set) var ages: [Double] = []
  /// Half the width of the window in which a write was accepted, siemens.
  public internal(set) var tolerance: Double?
  /// Numbers beside the cells' arrays, as the archive names them.
  public internal(set) var notes: [(name: String, value: Double)] = []
  /// What arrays of other names were taken as: `G as target`.
  public internal(set) var taken: [String] = []
  /// What may be wrong with the file, though it can be read.
  public internal(set) var remarks: [String] = []

  /// What a file calls otherwise, and what of it is asked for.
  public struct Options: Sendable {
    /// Names in the file, and what they stand for: `["G_later": "conductance_S"]`.
    public var names: [String: String] = [:]
    /// Columns and arrays to leave out.
    public var ignored: Set<String> = []
    /// The only macro to take, needed where a table has several.
    public var macro: Int?

    public init(names: [String: String] = [:], ignored: Set<String> = [], macro: Int? = nil) {
      self.names = names
      self.ignored = ignored
      self.macro = macro
    }
  }

  /// Reads a file; what begins like a zip archive is one.
  ///
  /// - Throws: `FileError` for a file that cannot be read or a broken archive; ``CharacterizationError`` `malformedRecord` with file, line or
  ///   array, and value.
  public init(file: String, options: Options = Options()) throws {
    try self.init(bytes: FileContents.read(file), file: file, options: options)
  }

  /// Reads the bytes of a file, which `file` names in errors.
  public init(bytes: [UInt8], file: String, options: Options = Options()) throws {
    format = bytes.starts(with: [0x50, 0x4B]) ? .npz : .csv
    let reader = Reader(file: file, options: options)
    switch format {
    case .csv: try read(table: bytes, reader)
    case .npz: try read(archive: bytes, reader)
    }
    guard verify != nil || !later.isEmpty else {
      throw reader.refusal(file, "holds no conductance: one of \(Reader.examples(.verify, .conductance)) is needed")
    }
    // A read in the moment of the write is the one that ended it.
    if ages.first == 0 {
      guard verify == nil else {
        throw reader.refusal(
          file, "has a read at time 0 beside the read that ended the write: times count from the write")
      }
      verify = later.removeFirst()
      ages.removeFirst()
    }
    let largest = ((verify ?? []) + later.joined()).map(abs).max() ?? 0
    guard largest >= 1e-9 else {
      throw reader.refusal(file, "the largest conductance is \(text(largest)) S: is its unit right?")
    }
    guard isReportable else {
      throw reader.refusal(file, "holds nothing that can be reported: " + unused.joined(separator: "; "))
    }
  }
}

extension CellRecords {
  /// What columns and arrays can be.
  enum Column: String, CaseIterable {
    case macro, row, column, target, verify, conductance, time, pulses, reads, accepted

    /// Beginnings of its names with what their units measure, and none where a name is the column's own.
    var quantities: [(name: String, dimension: Dimension, examples: [String])] {
      let siemens = ["S", "mS", "uS", "nS"]
      let ohms = ["Ohm", "kOhm", "MOhm"]
      return switch self {
      case .target, .verify: [(rawValue, .conductance, siemens), (rawValue, .resistance, ohms)]
      // People who keep resistances call them so.
      case .conductance: [(rawValue, .conductance, siemens), ("resistance", .resistance, ohms)]
      case .time: [(rawValue, .time, ["s", "ms", "us", "min", "h"])]
      default: []
      }
    }
  }

  /// A name that was understood.
  struct Meaning {
    var column: Column
    /// To the SI unit.
    var factor: Double
    /// The file has resistances.
    var isResistance: Bool
  }

  /// Looks at names and values of one file.
  struct Reader {
    var file: String
    var options: Options

    /// Above this no cell conducts: a value beyond is in another unit than its name says.
    static let largestConductance = 0.1
    static let largestAddress = 65_535

    func refusal(_ place: String, _ reason: String) -> CharacterizationError {
      CharacterizationError(.malformedRecord, "\(place): \(reason)")
    }

    static let timesAlone = "there are times, and no \(examples(.conductance)) that was read at them"

    static func examples(_ columns: Column...) -> String {
      columns.flatMap { column in
        let names = Dictionary(grouping: column.quantities, by: \.name).sorted { $0.key < $1.key }
        return names.map { name, quantities in
          let units = quantities.flatMap(\.examples)
          return "\(name)_\(units[0]) (or \(units.dropFirst().map { "_\($0)" }.joined(separator: ", ")))"
        }
      }.joined(separator: ", ")
    }

    /// What a name says; nil for one that is unknown.
    func meaning(of name: String) throws -> Meaning? {
      let parts = name.split(separator: "_", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard
        let column = Column.allCases.first(where: { column in
          column.rawValue == parts[0] || column.quantities.contains { $0.name == parts[0] }
        })
      else { return nil }
      guard !column.quantities.isEmpty else {
        return parts.count == 1 ? Meaning(column: column, factor: 1, isResistance: false) : nil
      }
      for (name, dimension, _) in column.quantities where name == parts[0] && parts.count == 2 {
        guard let factor = dimension.factor(of: parts[1]) else { continue }
        if case .resistance = dimension { return Meaning(column: column, factor: factor, isResistance: true) }
        return Meaning(column: column, factor: factor, isResistance: false)
      }
      throw refusal(
        file, "'\(name)' has no unit that fits: \(Self.examples(column)) says what it holds")
    }

    /// The value in SI units, if it is possible.
    func value(_ raw: Double, _ meaning: Meaning, at place: @autoclosure () -> String) throws -> Double {
      guard raw.isFinite else {
        throw refusal(place(), "\(raw) is no value; leave cells that were not measured out")
      }
      switch meaning.column {
      case .macro, .row, .column:
        guard let whole = Int(exactly: raw), (0...Self.largestAddress).contains(whole) else {
          throw refusal(place(), "\(raw) is not a whole number from 0 to \(Self.largestAddress)")
        }
      case .pulses, .reads:
        guard let whole = Int(exactly: raw), whole >= 0 else {
          throw refusal(place(), "\(raw) is not a whole number from 0")
        }
      case .accepted:
        guard raw == 0 || raw == 1 else { throw refusal(place(), "\(raw) is neither 0 nor 1") }
      case .time:
        guard raw >= 0 else { throw refusal(place(), "\(raw) is before the write, from which times count") }
        return raw * meaning.factor
      case .target, .verify, .conductance:
        if meaning.isResistance, raw <= 0 { throw refusal(place(), "\(raw) is no resistance of a cell") }
        let siemens = meaning.isResistance ? 1 / (raw * meaning.factor) : raw * meaning.factor
        guard abs(siemens) <= Self.largestConductance else {
          throw refusal(
            place(),
            "\(text(siemens)) S is no conductance of a cell (at most \(Self.largestConductance) S): is its unit right?")
        }
        if meaning.column == .target, siemens < 0 {
          throw refusal(place(), "\(text(siemens)) S cannot be asked of a cell")
        }
        return siemens
      }
      return raw
    }
  }
}
