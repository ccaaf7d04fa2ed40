import Foundation
import RRAMEmulator
import RRAMFaults
import RRAMProfiles
import RRAMTransport
import RRAMUnits
import RRAMWire
import Testing

@testable import RRAMBoard

/// What the host does after an answer was lost: it asks, and goes on; it repeats nothing that changes a cell.
@Suite struct RecoveryTests {
  private static let block = CellBlock(macro: 0, shape: MacroShape(rows: 4, columns: 4))

  /// A formed block behind a link that can be struck; the chip is kept in a file, so that the firmware can start anew.
  ///
  /// - Parameter pulsed: hears of the pulses that the ledger would enter.
  private func withFormedBlock(
    pulsed: (@Sendable (PulsesGiven) -> Void)? = nil, _ body: (Board, FaultyLink) async throws -> Void
  ) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "rram-recovery-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let profile = try ChipProfile.named("ideal")
    let device = try ResettableBoard {
      try EmulatedBoard(
        profile: profile, board: .named("parallel"),
        configuration: .init(seed: 1, stateFile: folder.appending(path: "die.npz").path, clock: LinkClock { .zero }))
    }
    let link = FaultyLink(to: device, striking: nil, delay: .milliseconds(20))
    var configuration = BoardConfiguration()
    configuration.responseLimit = .seconds(1)
    configuration.safeLimit = .seconds(1)
    configuration.retries = 3
    configuration.pulsed = pulsed
    try await withBoard(link, configuration: configuration) { board in
      let programming = profile.programming.forming
      let ramp = PulseRamp(
        wordLine: programming.wordLine, start: programming.start, step: programming.step, stop: programming.stop,
        width: programming.width)
      _ = try await board.form(
        Form(
          cells: CellSelection(block: Self.block), ramp: ramp, read: board.defaultReadBias(),
          stopConductance: .microsiemens(1), credit: 4), permissions: .forming)
      try await body(board, link)
    }
    await device.close()
  }

  private func write(_ board: Board) throws -> WriteVerify {
    let programming = try ChipProfile.named("ideal").programming
    func ramp(_ bias: ChipProfile.Programming.Bias) -> PulseRamp {
      PulseRamp(wordLine: bias.wordLine, start: bias.start, step: bias.step, stop: bias.stop, width: bias.width)
    }
    return WriteVerify(
      cells: CellSelection(block: Self.block), targets: (0..<16).map { 20e-6 + 5e-6 * Float($0) },
      tolerance: programming.tolerance, set: ramp(programming.set), reset: ramp(programming.reset),
      verify: board.defaultReadBias(), maximumPulses: 400, maximumReversals: 40, credit: 4)
  }

  @Test(
    arguments: [MessageFault.drop, .corrupt, .short, .duplicate, .reorder, .firmwareReset],
    [
      FaultPoint.Direction.toBoard, .toHost,
    ]) func aReadIsAskedForAgain(fault: MessageFault, direction: FaultPoint.Direction) async throws
  {
    try await withFormedBlock { board, link in
      let before = try await board.read(Self.block)
      link.strikeNext(fault, direction)
      let after = try await board.read(Self.block)
      #expect(link.hasStruck)
      #expect(zip(before, after).allSatisfy { abs($0 - $1) < 1e-6 })
    }
  }

  /// The answer is given up, and before the read is asked for again a heartbeat finds that the board has started anew meanwhile: its new boot
  /// is then known to the link, and no answer to the second question tells of it.
  @Test func aReadIsAskedForAgainInANewSessionWhoeverFoundTheRestart() async throws {
    try await withFormedBlock { board, link in
      let before = try await board.read(Self.block)
      let asked = Monitor(0)
      let read: @Sendable (isolated Board) async throws -> ReadCells.Response = { board in
        guard
          asked.withLock({
            $0 += 1
            return $0
          }) == 1
        else {
          return try await board.exchange(
            ReadCells(cells: CellSelection(block: Self.block), bias: board.defaultReadBias()))
        }
        link.strikeNext(.firmwareReset, .toBoard)
        let found = await #expect(throws: BoardError.self) {
          for try await _ in try await board.responses(Heartbeat()) {}
        }
        #expect(found?.code == .rebooted, "\(String(describing: found))")
        throw BoardError(.timedOut, "no answer", address: board.address)
      }
      let after = try await board.asking(read)
      #expect(asked.withLock { $0 } == 2)
      #expect(zip(before, after.conductance).allSatisfy { abs($0 - $1) < 1e-6 })
    }
  }

  @Test(arguments: [MessageFault.drop, .corrupt, .duplicate, .firmwareReset], [FaultPoint.Direction.toBoard, .toHost])
  func aWriteGoesOnWithTheCellsThatWereNotHeardOf(fault: MessageFault, direction: FaultPoint.Direction) async throws {
    let given = PulseCount()
    try await withFormedBlock(pulsed: given.add) { board, link in
      link.strikeNext(fault, direction, seed: 300)
      let report: CellReport
      do {
        report = try await board.writeVerify(try write(board))
      } catch let error as BoardError
        where fault == .firmwareReset && error.code == .aborted || fault == .duplicate && direction == .toHost
      {
        // The reset's own last words: whoever aborted may have had a reason, so the host does not go on by itself. Doubled answers use
        // up the credit of the write and of those that follow it: the error says what the board did.
        report = try await board.writeVerify(try write(board))
      }
      #expect(link.hasStruck)
      #expect(report.convergedCount == 16, "\(report.failures)")
      let read = try await board.read(Self.block)
      #expect(zip(read, report.conductance).allSatisfy { abs($0 - $1) < 0.5e-6 })
      // The books have every pulse that the board has counted, heard of or not; who starts anew counts from 0.
      if fault != .firmwareReset { #expect(given.total == (try await board.counters().pulses)) }
    }
  }

  /// The board did it, the answer was lost: it is not done again, and the error says what the board says.
  @Test func aPulseIsNeverRepeated() async throws {
    let given = PulseCount()
    try await withFormedBlock(pulsed: given.add) { board, link in
      let before = try await board.counters().pulses
      link.strikeNext(.drop, .toHost)
      let pulse = Pulse(
        cells: CellSelection(block: Self.block), kind: .set, wordLine: Volts(1.5), bitLine: Volts(0.5),
        sourceLine: .zero, width: .microseconds(1), count: 3)
      let error = await #expect(throws: BoardError.self) { try await board.pulse(pulse) }
      #expect(error?.code == .timedOut)
      #expect(error?.outcome?.state == .done && error?.outcome?.pulses == 48)
      #expect(try await board.counters().pulses == before + 48)
      #expect(given.total == before + 48)
    }
  }

  /// Cells that a run has finished before are not written again.
  @Test func whatWasWrittenBeforeIsLeftAlone() async throws {
    let device = try EmulatedBoard(
      profile: .named("ideal"), board: .named("parallel"), configuration: .init(seed: 1, clock: LinkClock { .zero }))
    var configuration = BoardConfiguration()
    configuration.writtenBefore = { cell, target in
      WrittenCell(cell: cell, target: target, conductance: target, pulses: 3, reads: 4, reason: .converged)
    }
    try await withBoard(InMemoryLink(to: device), configuration: configuration) { board in
      let report = try await board.writeVerify(try write(board))
      #expect(report.convergedCount == 16 && report.totalPulses == 48 && report.operationIDs.isEmpty)
      #expect(try await board.counters().pulses == 0)
    }
    await device.close()
  }
}

/// Sums what the ledger would enter.
private final class PulseCount: Sendable {
  private let sum = Monitor(0)
  var total: Int { sum.withLock { $0 } }

  func add(_ given: PulsesGiven) {
    let more = given.pulses.reduce(0) { $0 + Int($1) }
    sum.withLock { $0 += more }
  }
}
