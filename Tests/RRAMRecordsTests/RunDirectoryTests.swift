import Foundation
import RRAMRecords
import RRAMUnits
import Testing

@Suite struct RunDirectoryTests {
  private let home = RecordsHome(
    root: FileManager.default.temporaryDirectory.appending(path: "rram-records-\(UUID().uuidString.prefix(8))"))

  private func run(_ command: [String] = ["rram", "program", "ring"], folder: URL? = nil) throws -> RunDirectory {
    try RunDirectory(home: home, folder: folder, toolkit: "0.0.0", command: command, settings: ["tolerance_uS": "0.3"])
  }

  @Test func manifestTellsSettingsStartAndEnd() throws {
    defer { try? FileManager.default.removeItem(at: home.root) }
    let record = try run()
    #expect(record.folder.path.hasPrefix(home.runs.path))
    #expect(record.folder.lastPathComponent.contains("-program-"))
    let begun = try RunManifest.read(from: record.folder)
    #expect(begun.settings == ["tolerance_uS": "0.3"])
    #expect(begun.exitStatus == nil && begun.stoppedUTC == nil)
    try record.note(setting: "label", "00ff")
    try record.finish(exitStatus: 3)
    let ended = try RunManifest.read(from: record.folder)
    #expect(ended.exitStatus == 3)
    #expect(ended.settings["label"] == "00ff")
    #expect(try #require(ended.stoppedMonotonic) >= ended.startedMonotonic)
  }

  @Test func aFolderThatHoldsSomethingIsLeftAlone() throws {
    defer { try? FileManager.default.removeItem(at: home.root) }
    let first = try run()
    #expect { try run(folder: first.folder) } throws: { error in
      "\(error)".contains(first.folder.path) && (error as? RecordsError)?.code == .occupied
    }
    #expect(try RunManifest.read(from: first.folder).exitStatus == nil)
  }

  @Test func aManifestOfANewerLayoutIsRefused() throws {
    defer { try? FileManager.default.removeItem(at: home.root) }
    let record = try run()
    try Data(#"{"schema": 2}"#.utf8).write(to: record.folder.appending(path: "manifest.json"))
    #expect { try RunManifest.read(from: record.folder) } throws: { ($0 as? RecordsError)?.code == .newerVersion }
  }

  @Test func eventsReadBackAsTheyWereWritten() throws {
    defer { try? FileManager.default.removeItem(at: home.root) }
    let record = try run()
    record.events.setTemperature(celsius: -4.25)
    let cell = CellAddress(macro: 1, row: 20, column: 300)
    try record.events.append([
      .init(
        "read", boardTime: .microseconds(1_000_001), cell: cell, conductance: Siemens(Double(Float(1.2e-5))), reads: 1),
      .init("set, twice", boardTime: .microseconds(1_000_001), cell: cell, voltage: Volts(-1.35), pulses: 10),
      .init("note", detail: "two\r\nlines and a \"quote\""),
    ])
    try record.events.sync()
    // A crash cuts the last line off.
    let file = record.folder.appending(path: "events.csv")
    let handle = try FileHandle(forWritingTo: file)
    try handle.seekToEnd()
    try handle.write(contentsOf: Data("1.0,2.0,,rea".utf8))
    try handle.close()
    let table = try EventTable(file: file)
    #expect(table.damagedLines == 1 && table.rows.map(\.name) == ["read", "set, twice", "note"])
    #expect(table.rows[0].boardTime == 1.000001 && table.rows[0].temperature == -4.25 && table.rows[0].cell == cell)
    #expect(table.rows[0].conductance.map { Float($0.rawValue) } == 1.2e-5 && table.rows[0].reads == 1)
    #expect(table.rows[1].voltage == Volts(-1.35) && table.rows[1].pulses == 10 && table.rows[1].conductance == nil)
    #expect(table.rows[2].detail == "two\r\nlines and a \"quote\"" && table.rows[2].cell == nil)
  }

  @Test func eventsAreReadableBeforeTheRunEnds() throws {
    defer { try? FileManager.default.removeItem(at: home.root) }
    let record = try run()
    record.events.setTemperature(celsius: 24.5)
    try record.events.append([
      .init(
        "verify", boardTime: .milliseconds(1500), cell: CellAddress(macro: 1, row: 2, column: 3),
        target: .microsiemens(50), conductance: .microsiemens(49.5), pulses: 7, reads: 8, detail: "a, \"quoted\" reason"
      )
    ])
    try record.events.flush()
    let text = try String(contentsOf: record.folder.appending(path: "events.csv"), encoding: .utf8)
    let lines = text.components(separatedBy: "\r\n")
    #expect(lines[0] == EventLog.header)
    let fields = lines[1].split(separator: ",", maxSplits: 12, omittingEmptySubsequences: false).map(String.init)
    #expect(fields.count == EventLog.header.split(separator: ",").count)
    #expect(Array(fields[1...6]) == ["1.500000", "24.5", "verify", "1", "2", "3"])
    #expect(Double(fields[8]) == Siemens.microsiemens(49.5).rawValue)
    #expect(fields[12] == #""a, ""quoted"" reason""#)
  }

  @Test(arguments: [
    ("EMU-cmo-hfox-1", "EMU-cmo-hfox-1"), ("../../etc", ".._.._etc"), ("..", "unnamed"), ("a/b c", "a_b_c"),
    ("", "unnamed"),
  ])
  func noChipIDLeadsOutOfTheHome(id: String, folder: String) {
    #expect(home.chip(id).deletingLastPathComponent().path == home.root.appending(path: "chips").path)
    #expect(home.chip(id).lastPathComponent == folder)
  }

  @Test func programsAreFoundByTheirLabelOnly() throws {
    defer { try? FileManager.default.removeItem(at: home.root) }
    let label = [UInt8](0..<16)
    try home.saveProgram(Data("{}".utf8), label: label, chip: "die")
    #expect(try home.program(label: label, chip: "die") == Data("{}".utf8))
    #expect(try home.program(label: [UInt8](1...16), chip: "die") == nil)
    #expect(try home.program(label: label, chip: "other") == nil)
  }

  /// The picture of a ramp is not empty, and a script that gnuplot refuses is an error with its words.
  @Test func gnuplotDrawsOrSaysWhyNot() throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString.prefix(8)).svg")
    defer { try? FileManager.default.removeItem(at: file) }
    let gnuplot = Gnuplot(width: 200, height: 100, format: .svg)
    try gnuplot.draw(
      "plot $ramp using 1:2 with lines", tables: [.init("ramp", rows: [[0, 0], [1, .nan], [2, 4]])], to: file)
    #expect(try String(contentsOf: file, encoding: .utf8).contains("<path"))
    try gnuplot.draw("plot $one using 1:2", tables: [.init("one", rows: [[10, 1], [10, 1]])], to: file)
    #expect { try gnuplot.draw("plot nonsense(", tables: [], to: file) } throws: { error in
      (error as? RecordsError)?.code == .tool && "\(error)".contains("gnuplot")
    }
  }
}
