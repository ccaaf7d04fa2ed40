internal import RRAMFiles
internal import RRAMUnits

extension CellRecords {
  /// A table with a line a cell, or one a cell and time.
  mutating func read(table bytes: [UInt8], _ reader: Reader) throws {
    let file = reader.file
    var records = CSVRecords(bytes)
    func closed(_ record: CSVRecords.Record) throws {
      if let line = record.unclosedQuote { throw reader.refusal("\(file):\(line)", "a quote begins that never ends") }
    }
    guard let head = records.next() else { throw reader.refusal(file, "is empty") }
    try closed(head)
    let meanings = try meanings(of: head.fields, reader)
    var lines: [Int] = []
    var values = [Column: [Double]]()
    for record in records where !record.isEmpty {
      try closed(record)
      if !record.isEnded {
        remarks.append("line \(record.line), the last one, has no line end: a file that was cut off ends so")
      }
      guard record.fields.count == head.fields.count else {
        throw reader.refusal(
          "\(file):\(record.line)", "has \(record.fields.count) fields, and the head has \(head.fields.count)")
      }
      lines.append(record.line)
      for (place, meaning) in meanings.enumerated() {
        guard let meaning else { continue }
        let text = record.fields[place]
        func at() -> String { "\(file):\(record.line): \(head.fields[place])" }
        guard let raw = Self.number(text, meaning.column) else {
          throw reader.refusal(at(), text.isEmpty ? "is empty" : "'\(text.prefix(40))' is not a number")
        }
        values[meaning.column, default: []].append(try reader.value(raw, meaning, at: at()))
      }
    }
    guard !lines.isEmpty else { throw reader.refusal(file, "has no line behind its head") }
    try assemble(values, lines, reader)
  }

  private static func number(_ text: String, _ column: Column) -> Double? {
    switch text.lowercased() {
    case "true" where column == .accepted: 1
    case "false" where column == .accepted: 0
    // Swift reads hexadecimal too, which no table means.
    case let text where text.contains("x"): nil
    default: Double(text)
    }
  }

  private func meanings(of head: [String], _ reader: Reader) throws -> [Meaning?] {
    var seen: [Column: String] = [:]
    let meanings = try head.map { name -> Meaning? in
      if reader.options.ignored.contains(name) { return nil }
      guard let meaning = try reader.meaning(of: reader.options.names[name] ?? name) else {
        throw reader.refusal(
          "\(reader.file):1",
          "unknown column '\(name.prefix(40))'\(name.contains(";") ? " (columns are separated by commas)" : ""); columns are macro, row, column, pulses, reads, accepted, "
            + Reader.examples(.target, .verify, .conductance, .time))
      }
      if let other = seen.updateValue(name, forKey: meaning.column) {
        throw reader.refusal(
          "\(reader.file):1",
          "'\(other)' and '\(name)' are both taken as \(meaning.column.rawValue): --name says what one holds, --ignore leaves it out"
        )
      }
      return meaning
    }
    for column in [Column.row, .column] where seen[column] == nil {
      throw reader.refusal("\(reader.file):1", "has no column '\(column.rawValue)'")
    }
    return meanings
  }

  /// Lines of the same cell become its reads, in the order of their times.
  private mutating func assemble(_ values: [Column: [Double]], _ lines: [Int], _ reader: Reader) throws {
    let (rows, columns) = (values[.row] ?? [], values[.column] ?? [])
    var chosen = Array(lines.indices)
    if let macros = values[.macro] {
      let found = Set(macros).sorted().map { Int($0) }
      if let asked = reader.options.macro {
        chosen = chosen.filter { Int(macros[$0]) == asked }
        guard !chosen.isEmpty else {
          throw reader.refusal(
            reader.file, "has no line of macro \(asked), but of \(found.map { "\($0)" }.joined(separator: ", "))")
        }
        macro = asked
      } else {
        guard found.count == 1 else {
          throw reader.refusal(
            reader.file,
            "has lines of \(found.count) macros (\(found.prefix(8).map { "\($0)" }.joined(separator: ", "))): name one")
        }
        macro = found[0]
      }
    } else {
      macro = reader.options.macro ?? 0
    }
    let groups = Dictionary(grouping: chosen) {
      CellAddress(macro: macro, row: Int(rows[$0]), column: Int(columns[$0]))
    }
    let sorted = groups.sorted { ($0.key.row, $0.key.column) < ($1.key.row, $1.key.column) }
    cells = sorted.map(\.key)
    /// What holds for a cell, not for one of its reads.
    func once(_ column: Column) throws -> [Double]? {
      guard let column = values[column] else { return nil }
      return try sorted.map { cell, places in
        if let other = places.first(where: { column[$0] != column[places[0]] }) {
          throw reader.refusal(
            "\(reader.file):\(lines[other])",
            "says otherwise of row \(cell.row) column \(cell.column) than line \(lines[places[0]])")
        }
        return column[places[0]]
      }
    }
    target = try once(.target)
    verify = try once(.verify)
    accepted = try once(.accepted)?.map { $0 == 1 }
    pulses = try once(.pulses)?.map { Int($0) }
    reads = try once(.reads)?.map { Int($0) }
    let conductances = values[.conductance]
    guard values[.time] == nil || conductances != nil else {
      throw reader.refusal("\(reader.file):1", Reader.timesAlone)
    }
    guard let times = values[.time], let conductances else {
      for (cell, places) in sorted where places.count > 1 {
        throw reader.refusal(
          "\(reader.file):\(lines[places[1]])",
          "row \(cell.row) column \(cell.column) comes again (line \(lines[places[0]])): a column \(Reader.examples(.time)) tells reads apart"
        )
      }
      if let conductances { later = [sorted.map { conductances[$0.value[0]] }] }
      return
    }
    let count = sorted[0].value.count
    let ordered = try sorted.map { cell, places in
      guard places.count == count else {
        throw reader.refusal(
          reader.file,
          "has \(places.count) reads of row \(cell.row) column \(cell.column), and \(count) of row \(cells[0].row) column \(cells[0].column)"
        )
      }
      let ordered = places.sorted { times[$0] < times[$1] }
      for (one, other) in zip(ordered, ordered.dropFirst()) where times[one] == times[other] {
        throw reader.refusal(
          "\(reader.file):\(lines[max(one, other)])",
          "is a second read of row \(cell.row) column \(cell.column) at \(times[one]) s (line \(lines[min(one, other)]))"
        )
      }
      return ordered
    }
    // Cells are read one after the other: a read's age is the middle one of its cells', and no cell may be ahead by a whole read.
    var last = -Double.infinity
    for read in 0..<count {
      let these = ordered.map { times[$0[read]] }.sorted()
      guard these[0] > last else {
        throw reader.refusal(
          reader.file,
          "read \(read + 1) of some cell (\(these[0]) s) is not later than read \(read) of another (\(last) s): times count from each cell's write"
        )
      }
      last = these[these.count - 1]
      ages.append(these[these.count / 2])
      later.append(ordered.map { conductances[$0[read]] })
    }
  }
}
