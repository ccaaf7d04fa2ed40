import Foundation
import RRAMKit

/// Opens the board, makes the run's record, and runs `body`; writes its end, good or bad, into the record.
///
/// The record comes after the board: a mistyped address leaves no empty run behind.
func withRecordedBoard<Result: CommandOutput & Sendable>(
  _ options: BoardOptions, _ runOptions: RunOptions, trigger: SetTrigger? = nil,
  allowance: LimitAllowance = LimitAllowance(),
  settings: [String: String],
  _ body: (Board, RunDirectory) async throws -> Result
) async throws -> Result {
  try await withRecordedBoard(
    options, runOptions.link, trigger: trigger, allowance: allowance,
    open: { try runOptions.open(settings: settings) }, body)
}

/// The same with a record that `open` makes or finds.
func withRecordedBoard<Result: CommandOutput & Sendable>(
  _ options: BoardOptions, _ link: LinkOptions, trigger: SetTrigger?, allowance: LimitAllowance = LimitAllowance(),
  journal: CellJournal? = nil, open: () throws -> RunDirectory,
  _ body: (Board, RunDirectory) async throws -> Result
) async throws -> Result {
  let address = try options.address()
  var configuration = BoardConfiguration()
  configuration.allowance = allowance
  configuration.trigger = trigger
  if let journal {
    configuration.cellsWritten = { try journal.append($0) }
    configuration.writtenBefore = { journal.known($0, target: $1) }
  }
  return try await RRAM.withBoard(
    at: address, configuration: configuration, files: link.files(for: address), logger: options.common.logger
  ) { board in
    let record = try open()
    journal?.attach(record)
    do {
      try record.note(board)
      for doubt in try await board.calibrationDoubts() where !options.common.quiet { note("warning: \(doubt)") }
      let result = try await body(board, record)
      try record.finish(exitStatus: Int(result.exitStatus))
      return result
    } catch {
      // What is known of the failure goes into the record; the failure itself is what the user hears of.
      if let partial = (error as? BoardError)?.partial { try? record.events.append(partial.events) }
      try? record.events.append([.init("error", detail: diagnose(error).message)])
      try? record.finish(exitStatus: Int(diagnose(error).exitCode))
      throw error
    }
  }
}

extension CellReport {
  /// What an operation that ended early had found out of each cell.
  fileprivate var events: [EventLog.Event] {
    addresses.indices.filter { reads[$0] > 0 || pulses[$0] > 0 }.map { index in
      .init(
        "partial", cell: addresses[index],
        conductance: conductance[index].isFinite ? Siemens(Double(conductance[index])) : nil,
        pulses: Int(pulses[index]), reads: Int(reads[index]), detail: reasons[index].description)
    }
  }
}

extension RunDirectory {
  /// Notes who the board and the chip are, and what they permit.
  fileprivate func note(_ board: Board) throws {
    let info = board.info
    try note(
      board: .init(
        address: info.address, serial: info.serial, name: info.board, firmware: info.firmwareVersion,
        protocolLevel: info.protocolLevel, emulated: info.isEmulated),
      chip: .init(id: info.chipID, profile: info.chipProfile), limits: board.limits)
    if let calibration = board.calibration { try note(setting: "readCalibration", calibration.id) }
    if let calibration = board.loopCalibration { try note(setting: "loopCalibration", calibration.id) }
    if let calibration = board.lineCalibration { try note(setting: "lineCalibration", calibration.id) }
  }
}
