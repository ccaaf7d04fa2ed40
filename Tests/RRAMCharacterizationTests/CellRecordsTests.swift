import Foundation
import RRAMFiles
import RRAMRecords
import RRAMUnits
import Testing

@testable import RRAMCharacterization

/// Cells that were measured elsewhere.
@Suite struct CellRecordsTests {
  private func table(_ text: String, _ options: CellRecords.Options = .init()) throws -> CellRecords {
    try CellRecords(bytes: Array(text.utf8), file: "cells.csv", options: options)
  }

  private func archive(_ arrays: [(String, NPYArray)], _ options: CellRecords.Options = .init()) throws -> CellRecords {
    var writer = NPZWriter()
    for (name, array) in arrays { writer.add(array, as: name) }
    let file = FileManager.default.temporaryDirectory.appending(path: "rram-import-\(UUID().uuidString.prefix(8)).npz")
    defer { try? FileManager.default.removeItem(at: file) }
    try writer.write(to: file.path)
    return try CellRecords(bytes: FileContents.read(file.path), file: "die.npz", options: options)
  }

  private func refusal(_ body: () throws -> CellRecords) -> String {
    do {
      _ = try body()
      return "taken"
    } catch {
      #expect((error as? CharacterizationError)?.code == .malformedRecord)
      return "\(error)"
    }
  }

  @Test func aTableOfCellsIsReadInItsUnits() throws {
    let records = try table(
      "row,column,target_uS,verify_kOhm,conductance_S,time_min,pulses,accepted\r\n"
        + "1,0,10,100,1.1e-5,1,3,true\r\n0,2,20,50,2.1e-5,1,4,0\r\n1,0,10,100,1.3e-5,60,3,true\r\n0,2,20,50,1.9e-5,61,4,0\r\n"
    )
    #expect(records.format == .csv && records.cells.map { [$0.row, $0.column] } == [[0, 2], [1, 0]])
    #expect(try #require(records.target).map { ($0 * 1e6).rounded() } == [20, 10])
    #expect(try #require(records.verify).map { ($0 * 1e6).rounded() } == [20, 10])
    #expect(records.accepted == [false, true] && records.pulses == [4, 3] && records.reads == nil)
    #expect(records.ages == [60, 3660] && records.later == [[2.1e-5, 1.1e-5], [1.9e-5, 1.3e-5]])
    #expect(records.measurements().map { $0.step.name } == ["programming", "relaxation", "arrayMap"])
  }

  @Test(arguments: [
    ("row,column\n1,1\n", "cells.csv: holds no conductance"),
    ("row,conductance_uS\n1,1\n", "cells.csv:1: has no column 'column'"),
    ("row,column,conductance\n1,1,1\n", "cells.csv: 'conductance' has no unit that fits: conductance_S (or _mS, "),
    ("row,column,conductance_V\n1,1,1\n", "cells.csv: 'conductance_V' has no unit that fits"),
    ("row,column,conductance_uS,note\n1,1,1,x\n", "cells.csv:1: unknown column 'note'; columns are macro, row,"),
    ("row,column,verify_S,verify_uS\n1,1,1,1\n", "cells.csv:1: 'verify_S' and 'verify_uS' are both taken as verify"),
    ("row,column,conductance_uS\n1,1,12\n1,2,nan\n", "cells.csv:3: conductance_uS: nan is no value"),
    ("row,column,conductance_uS\n1,1,12\n1,2,\n", "cells.csv:3: conductance_uS: is empty"),
    ("row,column,conductance_uS\n1,1,12 µS\n", "cells.csv:2: conductance_uS: '12 µS' is not a number"),
    ("row,column,conductance_uS\n1,1\n", "cells.csv:2: has 2 fields, and the head has 3"),
    ("row,column,conductance_S\n1,1,12\n", "12 S is no conductance of a cell (at most 0.1 S): is its unit right?"),
    ("row,column,conductance_uS\n1,1,1e-5\n", "the largest conductance is 1e-11 S: is its unit right?"),
    ("row,column,resistance_kOhm\n1,1,0\n", "cells.csv:2: resistance_kOhm: 0.0 is no resistance"),
    ("row,column,conductance_uS\n-1,1,5\n", "cells.csv:2: row: -1.0 is not a whole number from 0 to 65535"),
    ("row,column,conductance_uS,pulses\n1,1,5,1.5\n", "cells.csv:2: pulses: 1.5 is not a whole number from 0"),
    ("row,column,conductance_uS\n1,1,5\n1,1,6\n", "cells.csv:3: row 1 column 1 comes again (line 2)"),
    (
      "row,column,target_uS,conductance_uS,time_s\n1,1,5,5,1\n1,1,6,5,2\n",
      "cells.csv:3: says otherwise of row 1 column 1 than line 2"
    ),
    ("row,column,conductance_uS,time_s\n1,1,5,1\n1,1,5,2\n1,2,5,1\n", "has 1 reads of row 1 column 2, and 2 of row 1"),
    ("row,column,conductance_uS,time_s\n1,1,5,1\n1,1,5,2\n1,2,5,3\n1,2,5,4\n", "times count from each cell's write"),
    ("macro,row,column,conductance_uS\n0,1,1,5\n1,1,1,5\n", "has lines of 2 macros (0, 1): name one"),
    ("", "cells.csv: is empty"),
    ("row,column,conductance_uS\n1,1,5\n1,2,\"6\n1,3,7\n", "cells.csv:3: a quote begins that never ends"),
    ("row,column,conductance_uS\nTRUE,1,5\n", "cells.csv:2: row: 'TRUE' is not a number"),
    (
      "row,column,conductance_kOhm\n1,1,5\n",
      "'conductance_kOhm' has no unit that fits: conductance_S (or _mS, _uS, _nS), resistance_Ohm (or _kOhm, _MOhm) says"
    ),
    ("row,column,resistance_uS\n1,1,5\n", "cells.csv: 'resistance_uS' has no unit that fits"),
    ("row,column,verify_uS,time_s\n1,1,5,1\n", "cells.csv:1: there are times, and no conductance_S (or"),
    (
      "row,column,conductance_uS\n1,2000,5\n",
      "cells.csv: holds nothing that can be reported: no map: a row or column is beyond 1023"
    ),
  ])
  func aTableThatIsNoneIsRefusedWithItsPlace(text: String, words: String) {
    let said = refusal { try table(text) }
    #expect(said.contains(words), "\(said)")
  }

  /// Inches in a note cost no cell, and a file without a last line end is taken with a remark.
  @Test func aTableWithInchesKeepsItsCells() throws {
    let text = "row,column,verify_uS,note\n1,1,5,3\" die\n1,2,6,4\" die\n"
    let records = try table(text, .init(ignored: ["note"]))
    #expect(records.cells.map(\.column) == [1, 2] && records.remarks.isEmpty && records.unused.isEmpty)
    let cut = try table(String(text.dropLast()), .init(ignored: ["note"]))
    #expect(cut.remarks.count == 1 && cut.remarks[0].hasPrefix("line 3, the last one, has no line end"))
  }

  /// Reads in even steps are a series of noise; others are none, and what is not shown is told.
  @Test func onlyEvenStepsGiveASpectrum() throws {
    func reads(_ times: [Double], _ more: String = "") throws -> CellRecords {
      var text = "row,column,conductance_uS,time_s" + (more.isEmpty ? "" : ",pulses") + "\n"
      for (index, time) in times.enumerated() { text += "1,1,\(5 + index % 3),\(time)\(more)\n" }
      return try table(text)
    }
    func steps(_ records: CellRecords) -> [String] { records.measurements().map { $0.step.name } }
    let even = try reads((1...16).map { (index: Int) in Double(index) + 0.02 * Double(index % 2) })
    #expect(steps(even) == ["readNoise", "arrayMap"] && even.unused.isEmpty)
    let uneven = try reads((0..<20).map { (index: Int) in pow(10, Double(index) / 5) }, ",3")
    #expect(steps(uneven) == ["arrayMap"] && uneven.unused.count == 2, "\(uneven.unused)")
    #expect(uneven.unused.first?.hasPrefix("no relaxation of the reads at 20 times, for there are no targets") == true)
    #expect(uneven.unused.last == "no programming, for there are no targets: pulses not reported")
    let few = try reads([1, 2, 3])
    #expect(steps(few) == ["arrayMap"] && few.unused.count == 1 && few.unused[0].contains("16 times or more"))
  }

  /// Repeated steps keep their number where one was not finished; figures pair by what they are, not by how they are told.
  @Test func runsCompareStepByStep() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "rram-import-\(UUID().uuidString.prefix(8))")
    defer { try? FileManager.default.removeItem(at: folder) }
    let home = RecordsHome(root: folder.appending(path: "home"))
    let table =
      "row,column,target_uS,verify_uS,accepted,pulses\n" + (0..<8).map { "0,\($0),10,10.\($0),1,3\n" }.joined()
    func run(_ name: String, _ change: (inout CellRecords) -> Void = { _ in }) throws -> URL {
      var records = try self.table(table)
      change(&records)
      let run = try RunDirectory(
        home: home, folder: folder.appending(path: name), toolkit: "1", command: ["rram"],
        settings: ["importedFrom": name])
      try records.write(to: run)
      try run.finish(exitStatus: 0)
      return run.folder
    }
    let windowed = try run("a") { $0.tolerance = 1e-6 }
    let plain = try run("b") { $0.pulses = nil }
    let both = try Comparison(windowed, plain)
    let accepted = try #require(both.figures.first)
    #expect(accepted.first.name == "accepted within ±1 µS" && accepted.second.name == "accepted")
    #expect(both.onlySecond.isEmpty && both.onlyFirst.contains("Multi-level programming: pulses a cell, mean"))
    #expect(
      both.onlyFirst.contains("Multi-level programming: picture 'Pulses a cell, cumulative'"), "\(both.onlyFirst)")
    var manifest = try RunManifest.read(from: plain)
    #expect(CharacterizationReport.Provenance(of: manifest) == .imported)
    manifest.settings = [:]
    #expect(CharacterizationReport.Provenance(of: manifest) == .unknown)
    let plan = windowed.appending(path: "plan.yaml")
    try "name: imported\nsummary: x\nsteps:\n  - programming:\n  - programming:\n".write(
      to: plan, atomically: true, encoding: .utf8)
    try FileManager.default.moveItem(
      at: windowed.appending(path: "01-programming.npz"), to: windowed.appending(path: "02-programming.npz"))
    let second = try Comparison(windowed, plain)
    #expect(second.figures.isEmpty, "\(second.figures)")
    #expect(second.onlyFirst.contains("Multi-level programming (2): accepted within ±1 µS"), "\(second.onlyFirst)")
    #expect(second.onlySecond.contains("Multi-level programming: accepted"))
  }

  /// Targets that are all different come in ranges with enough cells for figures, and levels stay levels.
  @Test func fewCellsWithTargetsOfTheirOwnComeInRanges() {
    let own = TargetGroup.groups(of: (0..<50).map { 1 + Double($0) * 0.8 })
    #expect(own.count <= 10 && own.count { $0.cells.count > 3 } >= 4, "\(own.map(\.label))")
    #expect(own.map(\.cells.count).reduce(0, +) == 50)
    #expect(TargetGroup.groups(of: [1, 1, 1, 1, 2, 3]).map(\.label) == ["1", "2", "3"])
    #expect(TargetGroup.groups(of: [5, 7]).map(\.label) == ["5", "7"] && TargetGroup.groups(of: []).isEmpty)
  }

  /// Shape and names as in the notebook of NeuRRAM's repository.
  @Test func anArchiveOfNeuRRAMIsRead() throws {
    let target = [10e-6, 20e-6, 0, 30e-6, 15e-6, 5e-6]
    let arrays: [(String, NPYArray)] = [
      ("G", NPYArray(target, shape: [2, 3])), ("G_program", NPYArray(target.map { $0 + 1e-6 }, shape: [2, 3])),
      ("num_pulses", NPYArray([1.0, 2, 3, 4, 5, 6], shape: [2, 3])),
      ("program_sucess", NPYArray([true, true, false, true, true, true], shape: [2, 3])),
      ("rows", NPYArray([Int64(4), 7])), ("cols", NPYArray([Int64(0), 1, 9])), ("core_row", NPYArray([Int64(2)])),
      ("g_tol", NPYArray([1e-6])), ("G_later", NPYArray(target.map { $0 + 2e-6 }, shape: [2, 3])),
    ]
    let said = refusal { try archive(arrays) }
    #expect(said.hasPrefix("die.npz: array 'G_later': is unknown (shape [2, 3] of <f8)"), "\(said)")
    let records = try archive(arrays, .init(names: ["G_later": "conductance_S"]))
    #expect(records.format == .npz && records.cells.map(\.row) == [4, 4, 4, 7, 7, 7])
    #expect(records.taken.contains("G as target") && records.taken.contains("G_program as verify"), "\(records.taken)")
    #expect(records.cells.map(\.column) == [0, 1, 9, 0, 1, 9] && records.target == target)
    #expect(records.accepted?.count { $0 } == 5 && records.pulses == [1, 2, 3, 4, 5, 6] && records.tolerance == 1e-6)
    #expect(records.later.count == 1 && records.ages.isEmpty && records.notes.map(\.name) == ["core_row", "g_tol"])
    #expect(try archive(arrays, .init(ignored: ["G_later"])).later.isEmpty)
    let programming = try #require(records.measurements().first)
    let findings = try programming.step.findings(from: programming.measurement)
    // Five accepted cells, each written 1 µS and later 2 µS above its target.
    #expect(findings.estimates.map(\.name).prefix(2) == ["accepted within ±1 µS", "of these still within, later read"])
    #expect(findings.estimates[0].value == 5.0 / 6 && findings.estimates[1].value == 0)
    #expect(abs(try #require(findings.estimates.first { $0.name == "error later, mean" }?.value) - 2) < 1e-9)
  }

  @Test func anArchiveOfOtherShapesIsRefusedWithItsArray() {
    let square = NPYArray([1e-6, 2e-6, 3e-6, 4e-6], shape: [2, 2])
    let cases: [([(String, NPYArray)], String)] = [
      (
        [("G", square), ("G_program", NPYArray([1e-6, 2e-6]))],
        "die.npz: array 'G_program': has shape [2], and the cells' arrays have [2, 2]"
      ),
      (
        [("G_program", NPYArray([1e-6, 2e-6]))],
        "has shape [2]: (rows, columns) is needed, or arrays 'row' and 'column'"
      ),
      (
        [("G_program", square), ("rows", NPYArray([Int64(1)]))],
        "array 'rows': holds 1 numbers, and the cells' arrays have 2 rows"
      ),
      ([("G_program", square), ("rows", NPYArray([Int64(1), 1]))], "row 1 column 0 comes twice"),
      (
        [("G_program", NPYArray([1e-6, .nan, 3e-6, 4e-6], shape: [2, 2]))],
        "die.npz: array 'G_program'[0, 1]: nan is no value"
      ),
      (
        [("G_program", NPYArray([1, 2.0], shape: [1, 2]))], "array 'G_program'[0, 0]: 1 S is no conductance of a cell"
      ),
      (
        [("G_program", square), ("num_pulses", NPYArray([1, 2, 3, 0.5], shape: [2, 2]))],
        "'num_pulses'[1, 1]: 0.5 is not a whole number"
      ),
      (
        [("G_program", square), ("conductance_S", square), ("time_s", NPYArray([1.0, 2]))],
        "has shape [2, 2], and 'time_s' of shape [2] asks for [2, 2, 2]"
      ),
      ([("verify_S", square), ("G_program", square)], "arrays 'verify_S' and 'G_program' are both taken as verify"),
      ([("G_program", NPYArray("text"))], "die.npz: array 'G_program': holds <U4, not numbers"),
      ([("G", square)], "die.npz: holds no conductance"),
      ([("row", NPYArray([Int64(1)])), ("verify_S", NPYArray([1e-6]))], "needs both arrays 'row' and 'column'"),
      ([("G_program", square), ("g_tol", NPYArray([5.0]))], "array 'g_tol': 5.0 S is no width of a window"),
      (
        [("verify_S", NPYArray([Double](), shape: [1 << 40, 0]))],
        "die.npz: holds no cell: its arrays have shape [1099511627776, 0]"
      ),
      (
        [("verify_S", NPYArray([Double](repeating: 1e-6, count: 65_537), shape: [65_537, 1]))],
        "die.npz: has 65537 rows (shape [65537, 1]): rows and columns go from 0 to 65535"
      ),
      (
        [("verify_S", square), ("time_s", NPYArray([1.0, 2]))],
        "array 'time_s': there are times, and no conductance_S"
      ),
      (
        [
          ("conductance_S", NPYArray([1e-6, 2e-6], shape: [2, 1, 1])), ("time_s", NPYArray([1.0, 1])),
        ], "array 'time_s': has 1.0 s after 1.0 s: times must rise"
      ),
    ]
    let other = refusal {
      try archive([("verify_S", square), ("macro", NPYArray([Int64(0)]))], .init(macro: 3))
    }
    #expect(other.contains("die.npz: has no cell of macro 3, but of 0"), "\(other)")
    for (arrays, words) in cases {
      let said = refusal { try archive(arrays) }
      #expect(said.contains(words), "\(said)")
    }
  }

  /// Relaxation by ranges of the target where every cell has its own, and of a table without the read that ended the write.
  @Test func readsAtSeveralTimesBecomeARelaxation() throws {
    var text = "row,column,target_uS,conductance_uS,time_s\n"
    for cell in 0..<200 {
      let target = 1 + 39 * Double(cell) / 199
      for (age, shift) in [(1.0, 0.0), (10, -1), (100, -2)] {
        let wobble = cell.isMultiple(of: 2) ? 0.5 : -0.5
        text += "\(cell / 20),\(cell % 20),\(target),\(target + shift * (1 + wobble)),\(age)\n"
      }
    }
    let records = try table(text)
    let relaxation = try #require(records.measurements().first { $0.step is RelaxationSeries.Type })
    let findings = try relaxation.step.findings(from: relaxation.measurement)
    let names = findings.estimates.map(\.name)
    #expect(names.contains("10 to 15 µS: mean shift a decade") && names.count == 3 * 8, "\(names)")
    let shift = try #require(findings.estimates.first { $0.name == "10 to 15 µS: mean shift a decade" }?.value)
    #expect(abs(shift + 1) < 0.05)
    #expect(findings.tables[0].title == "Change since the first read, 1 s after the write, by target: mean, σ (µS)")
    #expect(findings.tables[0].rows.count == 3 && findings.tables[0].rows[1][0] == "10")
  }
}
