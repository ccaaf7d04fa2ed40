import Foundation
import RRAMKit

/// The arrays, events and figures of a characterization in the forms that other programs read.
struct RunExport {
  let folder: URL
  let manifest: RunManifest
  let report: CharacterizationReport
  /// Finished steps: number and name (`03-switching`), with what they measured.
  let steps: [(name: String, measurement: RRAMCharacterization.Measurement)]
  let events: EventTable

  enum Format: String, CaseIterable {
    /// All arrays in one file, by `STEP/ARRAY`.
    case npz
    /// Tables: the figures, the events, and each step's arrays of one shape as lines.
    case csv
    /// The layout of arc2control.
    case hdf5
    /// Fitted coefficients as JSON, in the form that simulators of analog networks take.
    case coefficients
  }

  /// - Throws: what is not there or cannot be read; the run need not have ended.
  init(folder: URL) throws {
    self.folder = folder
    manifest = try RunManifest.read(from: folder)
    report = try CharacterizationReport(of: folder)
    steps = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter {
      $0.hasSuffix(".npz") && $0.prefix(2).allSatisfy(\.isNumber) && $0.dropFirst(2).first == "-"
    }.sorted().map {
      ($0.replacing(".npz", with: ""), try RRAMCharacterization.Measurement(file: folder.appending(path: $0).path))
    }
    events = try EventTable(file: folder.appending(path: "events.csv"))
  }

  /// Writes the files of one format into a folder; returns their names.
  func write(_ format: Format, to target: URL) throws -> [String] {
    switch format {
    case .npz: try writeNPZ(target)
    case .csv: try writeTables(target)
    case .hdf5: try writeHDF5(target)
    case .coefficients: try writeCoefficients(target)
    }
  }

  // MARK: npz

  private func writeNPZ(_ target: URL) throws -> [String] {
    var writer = NPZWriter()
    for step in steps {
      for (name, array) in step.measurement.arrays { writer.add(array, as: "\(step.name)/\(name)") }
    }
    writer.add(
      String(
        decoding: try JSONEncoder().encode(["run": folder.lastPathComponent, "plan": report.plan]), as: UTF8.self),
      as: "meta")
    try writer.write(to: target.appending(path: "run.npz").path)
    return ["run.npz"]
  }

  // MARK: csv

  /// A table of RFC 4180.
  private func write(_ rows: [[String]], to file: URL) throws {
    var text = ""
    for row in rows {
      text +=
        row.map { field in
          field.contains { $0 == "," || $0 == "\"" || $0.isNewline }
            ? "\"\(field.replacing("\"", with: "\"\""))\"" : field
        }.joined(separator: ",") + "\r\n"
    }
    try AtomicFile.write(Array(text.utf8), to: file.path)
  }

  private func writeTables(_ target: URL) throws -> [String] {
    var names = ["figures.csv"]
    func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
    try write(
      [["section", "figure", "value", "low", "high", "unit", "n", "interval"]]
        + report.sections.flatMap { section in
          section.estimates.map {
            [
              section.name, $0.name, number($0.value), number($0.low), number($0.high), $0.unit, "\($0.n)", $0.method,
            ]
          }
        }, to: target.appending(path: "figures.csv"))
    for step in steps {
      let rows = step.measurement.arrays.first { $0.name == "row" }?.array.integers
      let columns = step.measurement.arrays.first { $0.name == "column" }?.array.integers
      let groups = Dictionary(
        grouping: step.measurement.arrays.filter { $0.name != "row" && $0.name != "column" && $0.array.doubles != nil }
      ) { $0.array.shape }
      for (shape, arrays) in groups.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
        let name = step.name + "." + (shape.isEmpty ? "scalar" : shape.map { "\($0)" }.joined(separator: "x")) + ".csv"
        // The last axis counts the step's cells, where it has that length.
        let hasCells = shape.last != nil && shape.last == rows?.count
        var table = [shape.indices.map { "index\($0)" } + (hasCells ? ["row", "column"] : []) + arrays.map(\.name)]
        let values = arrays.compactMap(\.array.doubles)
        for place in 0..<shape.reduce(1, *) {
          var (line, rest): ([String], Int) = ([], place)
          for length in shape.reversed() {
            line.insert("\(rest % length)", at: 0)
            rest /= length
          }
          if hasCells, let rows, let columns, let count = shape.last {
            line += ["\(rows[place % count])", "\(columns[place % count])"]
          }
          table.append(line + values.map { $0[place].isFinite ? "\($0[place])" : "" })
        }
        try write(table, to: target.appending(path: name))
        names.append(name)
      }
    }
    let events = target.appending(path: "events.csv")
    if events.standardizedFileURL != folder.appending(path: "events.csv").standardizedFileURL {
      guard let log = FileManager.default.contents(atPath: folder.appending(path: "events.csv").path) else {
        throw CommandError(message: "\(folder.path): has no events.csv", exitCode: ExitStatus.badInput)
      }
      try AtomicFile.write(Array(log), to: events.path)
      names.append("events.csv")
    }
    return names
  }

  // MARK: Coefficients

  private func writeCoefficients(_ target: URL) throws -> [String] {
    guard let named = manifest.chip?.profile, !named.isEmpty else { return [] }
    let fit = try ChipFit(of: folder, base: ChipProfile.load(nameOrPath: named))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try AtomicFile.write(Array(try encoder.encode(fit)), to: target.appending(path: "coefficients.json").path)
    return ["coefficients.json"]
  }

  // MARK: HDF5

  /// The layout of arc2control, version 0.2 of its data store: `crossbar` holds the last state of the macro, `crosspoints/WxxByy` every
  /// cell's history, `synthetics` what was measured on many cells. Word lines are rows here, bit lines columns: W03B10 is row 3, column 10.
  private func writeHDF5(_ target: URL) throws -> [String] {
    let macro = report.macro ?? 0
    let points = Dictionary(grouping: events.rows.filter { $0.cell?.macro == macro }) {
      $0.cell ?? CellAddress(macro: 0, row: 0, column: 0)
    }
    let shape = shape(points.keys)
    // libhdf5 cannot write and rename: the file gets its name when it is whole.
    let file = target.appending(path: "run.h5")
    let scratch = target.appending(path: ".run.h5.\(ProcessInfo.processInfo.processIdentifier)").path
    do {
      try fill(HDF5File(creating: scratch), points, shape)
    } catch {
      try? FileManager.default.removeItem(atPath: scratch)
      throw error
    }
    _ = try? FileManager.default.removeItem(at: file)
    try FileManager.default.moveItem(atPath: scratch, toPath: file.path)
    return ["run.h5"]
  }

  /// The macro's shape, as a step that read all of it or the largest address says.
  private func shape(_ cells: some Collection<CellAddress>) -> MacroShape {
    for step in steps {
      if let map = step.measurement.arrays.first(where: { $0.name == "excluded" })?.array.shape, map.count == 2 {
        return MacroShape(rows: map[0], columns: map[1])
      }
    }
    return MacroShape(
      rows: (cells.map(\.row).max() ?? 0) + 1, columns: (cells.map(\.column).max() ?? 0) + 1)
  }

  private func fill(
    _ file: consuming HDF5File, _ points: [CellAddress: [EventTable.Row]], _ shape: MacroShape
  ) throws {
    try file.attribute("CLASS", of: "/", "GROUP")
    try file.attribute("PYTABLES_FORMAT_VERSION", of: "/", "2.1")
    try file.attribute("H5DS_VERSION_MAJOR", of: "/", 0)
    try file.attribute("H5DS_VERSION_MINOR", of: "/", 2)
    try file.attribute("TITLE", of: "/", report.title)
    try file.attribute("words", of: "/", shape.rows)
    try file.attribute("bits", of: "/", shape.columns)
    for group in ["crossbar", "crosspoints", "synthetics"] {
      try file.makeGroup(group)
      try file.attribute("CLASS", of: group, "GROUP")
    }
    let readVoltage = manifest.settings["readVoltage_V"].flatMap { Float($0) } ?? .nan
    func width(_ event: String) -> Float { manifest.settings["\(event)Width_s"].flatMap { Float($0) } ?? 0 }
    let (setWidth, resetWidth) = (width("set"), width("reset"))
    var voltages = [Float](repeating: .nan, count: shape.cellCount)
    var currents = voltages
    for (cell, rows) in points.sorted(by: { ($0.key.row, $0.key.column) < ($1.key.row, $1.key.column) }) {
      let name = Self.name(cell)
      try file.makeGroup("crosspoints/\(name)")
      var table: [UInt8] = []
      var count = 0
      func append(_ value: Float) { withUnsafeBytes(of: value.bitPattern.littleEndian) { table += $0 } }
      for row in rows {
        guard let conductance = row.conductance else { continue }
        let current = Float(conductance.rawValue) * readVoltage
        let pulse = row.voltage.map { Float($0.rawValue) }
        append(current)
        append(pulse ?? readVoltage)
        append(pulse.map { $0 < 0 ? resetWidth : setWidth } ?? 0)
        append(readVoltage)
        // arc2control's operations: 1 a read, 3 a pulse and a read.
        withUnsafeBytes(of: (pulse == nil ? UInt32(1) : 3).littleEndian) { table += $0 }
        count += 1
        let place = cell.column * shape.rows + cell.row
        (voltages[place], currents[place]) = (readVoltage, current)
      }
      let series = "crosspoints/\(name)/timeseries"
      try file.write(
        table: [
          .float32("current"), .float32("voltage"), .float32("pulse_width"), .float32("read_voltage"),
          .uint32("op_type"),
        ], rows: table, as: series)
      try file.attribute("NROWS", of: series, count)
      try file.attribute("BASE_SIZE", of: series, count)
      try file.attribute("TITLE", of: series, name)
      try file.attribute("CLASS", of: series, "TABLE")
    }
    try file.write(voltages, shape: [shape.columns, shape.rows], as: "crossbar/voltage")
    try file.write(currents, shape: [shape.columns, shape.rows], as: "crossbar/current")
    try file.attribute("words", of: "crossbar", shape.rows)
    try file.attribute("bits", of: "crossbar", shape.columns)
    let stamp = Int(manifest.startedUTC.timeIntervalSince1970 * 1e9)
    for step in steps {
      let group = "synthetics/\(step.name)"
      try file.makeGroup(group)
      try file.attribute("CLASS", of: group, "GROUP")
      try file.attribute("TSTAMP", of: group, stamp)
      try file.attribute("crosspoints", of: group, crosspoints(step.measurement, shape))
      for (name, array) in step.measurement.arrays {
        let target = "\(group)/\(name)"
        if array.elementType == .float32, let values = array.floats {
          try file.write(values, shape: array.shape, as: target)
        } else if array.elementType == .float64, let values = array.doubles {
          try file.write(values, shape: array.shape, as: target)
        } else if let values = array.integers {
          try file.write(values.map { Int64($0) }, shape: array.shape, as: target)
        } else {
          continue
        }
        if let unit = name.split(separator: "_").last, name.contains("_") {
          try file.attribute("unit", of: target, String(unit))
        }
      }
    }
    try file.flush()
  }

  /// (word, bit) of the cells that a step worked on; a step that does not list them took the block that its arrays show.
  private func crosspoints(_ measurement: RRAMCharacterization.Measurement, _ shape: MacroShape) -> [(Int, Int)] {
    func integers(_ name: String) -> [Int]? { measurement.arrays.first { $0.name == name }?.array.integers }
    if let rows = integers("row"), let columns = integers("column") { return Array(zip(rows, columns)) }
    let block = measurement.arrays.first { $0.name == "conductance_S" }?.array.shape ?? []
    let (rows, columns) = block.count == 2 ? (block[0], block[1]) : (shape.rows, shape.columns)
    return (0..<rows).flatMap { row in (0..<columns).map { (row, $0) } }
  }

  private static func name(_ cell: CellAddress) -> String {
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "W\(two(cell.row))B\(two(cell.column))"
  }
}
