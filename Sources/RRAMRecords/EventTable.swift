public import Foundation
internal import RRAMFiles
public import RRAMUnits

/// The lines of an `events.csv`, as they are read back: what a crash cut off is left out.
public struct EventTable: Sendable {
  /// One line; a field that was empty is `nil`.
  public struct Row: Sendable, Hashable {
    /// Since the run's start, seconds of the host.
    public var time: Double
    public var boardTime: Double?
    /// Degrees Celsius.
    public var temperature: Double?
    public var name: String
    public var cell: CellAddress?
    public var target: Siemens?
    public var conductance: Siemens?
    public var voltage: Volts?
    public var pulses: Int?
    public var reads: Int?
    public var detail: String?
  }

  public private(set) var rows: [Row] = []
  /// Lines that have not the fields of the head: at most one for every time that the run was cut off.
  public private(set) var damagedLines = 0

  /// - Throws: ``RecordsError`` `notFound`, or `malformed` where the first line is not the head of such a file.
  public init(file: URL) throws {
    guard let data = FileManager.default.contents(atPath: file.path) else {
      throw RecordsError(.notFound, path: file.path, reason: "no such event log")
    }
    var records = CSVRecords([UInt8](data))
    guard let head = records.next(), head.isEnded, head.fields.joined(separator: ",") == EventLog.header else {
      throw RecordsError(.malformed, path: file.path, reason: "does not begin with the head of an event log")
    }
    for record in records where !(record.isEmpty && record.isEnded) {
      guard record.isEnded, let row = Row(record.fields) else {
        damagedLines += 1
        continue
      }
      rows.append(row)
    }
  }
}

extension EventTable.Row {
  fileprivate init?(_ fields: [String]) {
    guard fields.count == 13, let time = Double(fields[0]), !fields[3].isEmpty else { return nil }
    self.time = time
    boardTime = Double(fields[1])
    temperature = Double(fields[2])
    name = fields[3]
    if let macro = Int(fields[4]), let row = Int(fields[5]), let column = Int(fields[6]) {
      cell = CellAddress(macro: macro, row: row, column: column)
    }
    target = Double(fields[7]).map { Siemens($0) }
    conductance = Double(fields[8]).map { Siemens($0) }
    voltage = Double(fields[9]).map { Volts($0) }
    pulses = Int(fields[10])
    reads = Int(fields[11])
    detail = fields[12].isEmpty ? nil : fields[12]
  }
}
