import Foundation
import RRAMKit
import Synchronization

/// The cells of a write as they are finished, in the run's `events.csv`: a run that was cut off goes on without writing them again.
final class CellJournal: Sendable {
  private let record = Mutex<RunDirectory?>(nil)
  private let before: [CellAddress: WrittenCell]

  /// - Parameter folder: of the run that goes on; `nil` for a new one.
  init(resuming folder: URL?) throws {
    before = try folder.map { try Self.read($0.appending(path: "events.csv")) } ?? [:]
  }

  /// How many cells the run had finished.
  var knownCount: Int { before.count }

  /// Where further cells are kept.
  func attach(_ record: RunDirectory) { self.record.withLock { $0 = record } }

  /// Cells that are kept already; a cell that is to have another target now is written anew.
  func known(_ cell: CellAddress, target: Float) -> WrittenCell? {
    before[cell].flatMap { $0.target == target && $0.reason == .converged ? $0 : nil }
  }

  /// In the kernel's hands before the next frame is taken: `kill -9` loses no cell that the host has heard of.
  func append(_ cells: [WrittenCell]) throws {
    guard let events = record.withLock({ $0?.events }) else { return }
    try events.append(
      cells.map { written in
        .init(
          "cell", cell: written.cell, target: Siemens(Double(written.target)),
          conductance: Siemens(Double(written.conductance)), pulses: Int(written.pulses), reads: Int(written.reads),
          detail: written.reason.description)
      })
    try events.flush()
  }

  private static func read(_ file: URL) throws -> [CellAddress: WrittenCell] {
    let reasons = Dictionary(
      uniqueKeysWithValues: (1...9).map { (CellReason(rawValue: $0).description, CellReason(rawValue: $0)) })
    guard let text = try? String(contentsOf: file, encoding: .utf8) else {
      throw CommandError(message: "\(file.path) cannot be read: it is no run's record", exitCode: ExitStatus.badInput)
    }
    var cells: [CellAddress: WrittenCell] = [:]
    // A line that a crash cut short has too few fields or no end, and none of a cell's holds a comma.
    for line in text.split(separator: "\r\n") {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      guard fields.count == 13, fields[3] == "cell", let macro = Int(fields[4]), let row = Int(fields[5]),
        let column = Int(fields[6]), let target = Double(fields[7]), let conductance = Double(fields[8]),
        let pulses = UInt32(fields[10]), let reads = UInt32(fields[11]), let reason = reasons[String(fields[12])]
      else { continue }
      let cell = CellAddress(macro: macro, row: row, column: column)
      cells[cell] = WrittenCell(
        cell: cell, target: Float(target), conductance: Float(conductance), pulses: pulses, reads: reads,
        reason: reason)
    }
    return cells
  }
}
