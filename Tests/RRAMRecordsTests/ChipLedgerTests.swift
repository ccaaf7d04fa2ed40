import Foundation
import GRDB
import RRAMBoard
import RRAMProfiles
import RRAMUnits
import RRAMWire
import Testing

@testable import RRAMRecords

@Suite struct ChipLedgerTests {
  private func withHome(_ body: (RecordsHome) throws -> Void) throws {
    let root = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: root) }
    try body(RecordsHome(root: root))
  }

  private func given(_ pulses: [UInt32], cells: [Int], macro: Int = 1, forming: Bool = false) -> PulsesGiven {
    var mask = CellMask(cellCount: 4)
    for cell in cells { mask[cell] = true }
    // Rows 1 and 2, columns 0 and 1 of a macro of 4 × 2.
    let block = CellBlock(macro: macro, firstRow: 1, shape: MacroShape(rows: 2, columns: 2))
    return PulsesGiven(
      chip: "C1", macroShape: MacroShape(rows: 4, columns: 2), cells: CellSelection(block: block, mask: mask),
      pulses: pulses, isForming: forming)
  }

  @Test func pulsesAddUpByCellAndKind() throws {
    try withHome { home in
      let ledger = try ChipLedger(home: home)
      try ledger.add([given([5, 7], cells: [0, 3]), given([1], cells: [3]), given([20], cells: [1], forming: true)])
      // A second process: another connection to the same file.
      try ChipLedger(home: home).add([given([UInt32.max], cells: [0]), given([2], cells: [2], macro: 3)])
      #expect(try ledger.pulses(chip: "C1", macro: 1) == [0, 0, .max, 0, 0, 8, 0, 0])
      #expect(try ledger.pulses(chip: "C1", macro: 1, forming: true) == [0, 0, 0, 20, 0, 0, 0, 0])
      #expect(try ledger.pulses(chip: "C1", macro: 0) == nil && ledger.macros(chip: "C1") == [1, 3])
      #expect(try ledger.shape(chip: "C1", macro: 1) == MacroShape(rows: 4, columns: 2))
      var other = given([1], cells: [0])
      other.macroShape = MacroShape(rows: 8, columns: 2)
      let error = #expect(throws: RecordsError.self) { try ledger.add([other]) }
      #expect(error?.reason == "holds 8 cells, and a macro has 8×2")
    }
  }

  @Test(arguments: 0..<20) func aLedgerIsMadeByManyAtOnce(_: Int) async throws {
    let root = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: root) }
    try await withThrowingTaskGroup(of: [String].self) { group in
      for _ in 0..<8 { group.addTask { try ChipLedger(home: RecordsHome(root: root)).chips().map(\.id) } }
      for try await chips in group { #expect(chips.isEmpty) }
    }
  }

  @Test func manyWritersLoseNothing() async throws {
    let root = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: root) }
    let home = RecordsHome(root: root)
    let given = given([1], cells: [0])
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          let book = WearBook(home: home)
          for _ in 0..<25 {
            book.enter(given)
            try book.close()
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try ChipLedger(home: home).pulses(chip: "C1", macro: 1)?[2] == 100)
  }

  @Test func runsAreFoundByChipAndName() throws {
    try withHome { home in
      let run = try RunDirectory(home: home, toolkit: "1.2", command: ["rram", "form"], settings: [:])
      try run.note(
        board: .init(address: "usb:A", serial: "A", name: "parallel", firmware: "f", protocolLevel: 1, emulated: false),
        chip: .init(id: "C1", profile: "ideal"), limits: nil)
      let ledger = try ChipLedger(home: home)
      let found = try #require(try ledger.runs(chip: "C1").first)
      #expect(found.verb == "form" && found.board == "usb:A" && found.exitStatus == nil && found.stopped == nil)
      try run.finish(exitStatus: 3)
      #expect(try ledger.runs(named: String(found.name.prefix(20))).first?.exitStatus == 3)
      #expect(try ledger.runs(chip: "C2").isEmpty && ledger.runs(named: "x").isEmpty)
      #expect(try ledger.chip("C1")?.profile == "ideal")
      try ledger.describe("C1", wafer: "W7", note: "bond 3 is loose")
      try ledger.describe("C1", die: "12,4")
      let chip = try ledger.chip("C1")
      #expect(chip?.wafer == "W7" && chip?.die == "12,4" && chip?.note == "bond 3 is loose" && chip?.profile == "ideal")
    }
  }

  @Test func aLedgerKeepsLifetimesExclusionsAndCalibrations() throws {
    try withHome { home in
      let ledger = try ChipLedger(home: home)
      try ledger.describe("C1", lifetimePulses: 1000)
      try ledger.describe("C1", note: "x")
      #expect(try ledger.chip("C1")?.lifetimePulses == 1000)
      let cells = [CellAddress(macro: 0, row: 3, column: 4), CellAddress(macro: 0, row: 1, column: 2)]
      try ledger.exclude(cells, of: "C1", note: "probe scratch")
      try ledger.exclude([cells[0]], of: "C1", note: "bond")
      #expect(try ledger.exclusions(chip: "C1").map(\.cell) == [cells[1], cells[0]])
      #expect(try ledger.exclusions(chip: "C1").map(\.note) == ["probe scratch", "bond"])
      #expect(try ledger.include(cells, of: "C1") == 2 && ledger.exclusions(chip: "C1").isEmpty)
      func calibration(_ id: String, at time: Double, board: String = "B") -> ReadCalibration {
        ReadCalibration(
          id: id, chip: "C1", board: board, madeAt: time, celsius: nil, reference: .measured(instrument: "DMM 7"),
          shape: MacroShape(rows: 1, columns: 2), gain: [[1, 1.5]], offsetSiemens: [[0, 1e-9]])
      }
      for (id, time) in [("old", 1.0), ("new", 3), ("middle", 2)] { try ledger.enter(calibration(id, at: time)) }
      try ledger.enter(calibration("other", at: 9, board: "A"))
      #expect(try ledger.readCalibrations(chip: "C1", board: "B").map(\.id) == ["new", "middle", "old"])
      #expect(try ledger.readCalibrations(chip: "C1").first == calibration("other", at: 9, board: "A"))
      let pair = LoopCalibration.Pair(gain: 1.01, standardError: 0.001, offset: -0.002)
      let loop = LoopCalibration(
        id: "loop", chip: "C1", board: "B", madeAt: 4, celsius: nil, readCalibration: "new",
        shape: MacroShape(rows: 1, columns: 4), pairs: [[pair, nil]])
      try ledger.enter(loop)
      #expect(try ledger.loopCalibrations(chip: "C1", board: "B") == [loop])
      #expect(try ledger.loopCalibrations(chip: "C1", board: "A").isEmpty)
      #expect(loop.fits(macros: 1, shape: loop.shape) && !loop.fits(macros: 2, shape: loop.shape))
    }
  }

  /// A ledger of the first layout is brought to the present one with what it holds.
  @Test func aLedgerOfTheFirstLayoutIsMigrated() throws {
    try withHome { home in
      do {
        let ledger = try ChipLedger(home: home)
        try ledger.describe("C1", wafer: "W7")
        try ledger.add([given([5], cells: [0])])
      }
      try DatabaseQueue(path: home.root.appending(path: "ledger.sqlite").path).write {
        try $0.execute(
          sql: """
            DELETE FROM grdb_migrations WHERE identifier <> '1';
            DROP TABLE exclusion; DROP TABLE readCalibration; DROP TABLE loopCalibration; DROP TABLE lineCalibration;
            ALTER TABLE chip DROP COLUMN lifetimePulses;
            """)
      }
      let ledger = try ChipLedger(home: home)
      #expect(try ledger.chip("C1")?.wafer == "W7" && ledger.pulses(chip: "C1", macro: 1)?[2] == 5)
      try ledger.describe("C1", lifetimePulses: 7)
      #expect(try ledger.chip("C1")?.lifetimePulses == 7)
    }
  }

  /// One of the second layout knows calibrations of amplifiers alone; they stay, and those of loop converters come beside them.
  @Test func calibrationsOfTheLoopsConvertersAreKeptByBoard() throws {
    try withHome { home in
      let amplifiers = ReadCalibration(
        id: "r", chip: "C1", board: "B", madeAt: 1, celsius: 25, reference: .resistors(tolerance: 0.001),
        shape: MacroShape(rows: 1, columns: 1), gain: [[1.5]], offsetSiemens: [[0]])
      try ChipLedger(home: home).enter(amplifiers)
      try DatabaseQueue(path: home.root.appending(path: "ledger.sqlite").path).write {
        try $0.execute(
          sql: "DELETE FROM grdb_migrations WHERE identifier = 'lineCalibration'; DROP TABLE lineCalibration;")
      }
      let ledger = try ChipLedger(home: home)
      #expect(try ledger.readCalibrations(chip: "C1") == [amplifiers])
      let loop = try #require(try BoardDescription.named("parallel").closedLoop)
      func calibration(_ id: String, at time: Double, chip: String = "C1", board: String = "B")
        -> ConverterLineCalibration
      {
        var lines = ConverterLines(loop)
        lines[.offset][1] = ConverterLine(gain: 1.01, offset: -1e-3)
        return ConverterLineCalibration(
          id: id, chip: chip, board: board, descriptionSHA256: "d", madeAt: time, celsius: 30,
          reference: .voltage(tolerance: 0.0005),
          lines: lines)
      }
      for (id, time) in [("old", 1.0), ("new", 3)] { try ledger.enter(calibration(id, at: time)) }
      try ledger.enter(calibration("elsewhere", at: 9, board: "A"))
      try ledger.enter(calibration("newest", at: 4, chip: "C2"))
      // Converters are the board's, whatever chip is in its socket.
      #expect(try ledger.lineCalibrations(board: "B").map(\.id) == ["newest", "new", "old"])
      #expect(try ledger.lineCalibrations(board: "B").first == calibration("newest", at: 4, chip: "C2"))
      #expect(try ledger.lineCalibrations(chip: "C1").map(\.id) == ["elsewhere", "new", "old"])
    }
  }

  @Test func runsOlderThanTheLedgerAreEntered() throws {
    try withHome { home in
      _ = try RunDirectory(home: home, toolkit: "1.2", command: ["rram", "wait"], settings: [:])
      for suffix in ["", "-wal", "-shm"] {
        try? FileManager.default.removeItem(at: home.root.appending(path: "ledger.sqlite" + suffix))
      }
      #expect(try ChipLedger(home: home).runs().map(\.verb) == ["wait"])
    }
  }

  @Test func aLedgerOfANewerToolkitIsRefused() throws {
    try withHome { home in
      _ = try ChipLedger(home: home)
      try DatabaseQueue(path: home.root.appending(path: "ledger.sqlite").path).write {
        try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('from the future')")
      }
      let error = #expect(throws: RecordsError.self) { try ChipLedger(home: home) }
      #expect(error?.code == .newerVersion && error?.reason == "was written by a newer toolkit than this")
    }
  }
}
