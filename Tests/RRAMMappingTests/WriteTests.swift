import Foundation
import RRAMBoard
import RRAMMapping
import RRAMProfiles
import RRAMRecords
import RRAMUnits
import RRAMWire
import Testing

/// Write strategies on a board: who runs them, what a chip's history does, and what is refused.
@Suite struct WriteTests {
  private static let block = CellBlock(macro: 0, shape: MacroShape(rows: 8, columns: 16))

  private static func targets(_ chip: EmulatedChip) -> [Float] {
    let window = chip.profile.cells.conductance
    let span = (window.upperBound - window.lowerBound).rawValue
    return (0..<128).map { (cell: Int) -> Float in
      let share = 0.05 + 0.9 * Double(cell * 37 % 128) / 128
      return Float(window.lowerBound.rawValue + span * share)
    }
  }

  private static func form(_ chip: EmulatedChip) async throws {
    _ = try await chip.board.form([block], options: FormOptions(chip.profile))
  }

  /// On cells without noise the time between pulses does not matter: both runners must do the very same.
  @Test(arguments: [WriteStrategyName.ispp, .response]) func hostDoesWhatTheBoardDoes(_ strategy: WriteStrategyName)
    async throws
  {
    func run(_ runner: WriteRunner) async throws -> (report: CellReport, requests: Int) {
      try await EmulatedChip.with { chip in
        try await Self.form(chip)
        var method = WriteMethod(chip.profile, strategy)
        method.confirmReads = 1
        let request = try method.request(
          CellSelection(block: Self.block), targets: Self.targets(chip), tolerance: chip.profile.programming.tolerance,
          verify: chip.board.defaultReadBias())
        let before = await chip.board.statistics.requests
        let report = try await chip.board.write(request, runner: runner)
        return (report, await chip.board.statistics.requests - before)
      }
    }
    let board = try await run(.board)
    let host = try await run(.host)
    #expect(host.report.conductance == board.report.conductance)
    #expect(host.report.pulses == board.report.pulses)
    #expect(host.report.reads == board.report.reads)
    #expect(host.report.reasons == board.report.reasons)
    #expect(host.report.rounds == board.report.rounds)
    #expect(host.report.offsets.map { $0.isNaN ? -9 : $0 } == board.report.offsets.map { $0.isNaN ? -9 : $0 })
    #expect(board.report.convergedCount == 128)
    #expect(board.requests == 1)
    // A read a round, and less than one request for every pulse.
    #expect(host.requests > host.report.rounds && host.requests < host.report.rounds + 1 + board.report.totalPulses)
  }

  /// hfox-mlc, seed 3: the second write of a chip that is known takes fewer pulses than the same write of one that is not.
  @Test func aChipsHistorySavesPulses() async throws {
    try await EmulatedChip.with(profile: "hfox-mlc", seed: 3) { chip in
      try await Self.form(chip)
      let pattern = LevelPattern.twoBits(chip.board.limits)
      let other = LevelPattern(pattern.levels.reversed())
      let method = WriteMethod(chip.profile, .response)
      var unusable = Set(
        (0..<chip.board.boardDescription.macros.shape.cellCount).map {
          CellBlock(macro: 0, shape: chip.board.boardDescription.macros.shape).address(at: $0)
        })
      for cell in 0..<Self.block.cellCount { unusable.remove(Self.block.address(at: cell)) }
      var history = ResponseHistory()
      let first = try await chip.board.write(
        pattern, macro: 0, method: method, unusable: unusable, history: &history, laterReads: 0)
      #expect(first.knownCells == 0 && first.all.cells == 128)
      #expect(first.all.accepted > 98)
      #expect(history.count > 100)
      try history.save(chip: "c", home: chip.home)
      var kept = try ResponseHistory.load(chip: "c", home: chip.home)
      #expect(kept == history)
      var nothing = ResponseHistory()
      // Twice each, so that both see cells in the same states.
      let unknown = try await chip.board.write(
        other, macro: 0, method: method, unusable: unusable, history: &nothing, laterReads: 0)
      _ = try await chip.board.write(
        pattern, macro: 0, method: method, unusable: unusable, history: &nothing, laterReads: 0)
      let known = try await chip.board.write(
        other, macro: 0, method: method, unusable: unusable, history: &kept, laterReads: 4)
      #expect(known.knownCells > 100)
      #expect(known.all.pulses.mean < unknown.all.pulses.mean, "\(known.all.pulses) and \(unknown.all.pulses)")
      #expect(known.all.inWindowLater != nil && known.laterReads == 4)
      #expect(known.levels.map(\.cells) == [32, 32, 32, 32])
    }
  }

  @Test func aDamagedHistoryIsRefusedAndOneOfAnotherProfileIsNotUsed() async throws {
    try await EmulatedChip.with { chip in
      let folder = chip.home.chip("c")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      let file = folder.appending(path: "response.json")
      for (text, words) in [
        ("{", "is no record of a chip's response"),
        (#"{"schema": 2, "cells": []}"#, "layout 2 of"),
        (#"{"schema": 1, "cells": [{"macro": 0, "row": 0, "column": 0, "offsets": [1]}]}"#, "is no record"),
      ] {
        try Data(text.utf8).write(to: file)
        let error = #expect(throws: MappingError.self) { try ResponseHistory.load(chip: "c", home: chip.home) }
        #expect(error?.code == .malformedRecord)
        #expect("\(try #require(error))".contains(words.replacing("layout 2 of", with: "layout 2 is newer")))
      }
    }
  }

  @Test func refusals() async throws {
    try await EmulatedChip.with { chip in
      try await Self.form(chip)
      let targets = Self.targets(chip)
      var method = WriteMethod(chip.profile, .gateRamp)
      let error = #expect(throws: MappingError.self) {
        try method.request(
          CellSelection(block: Self.block), targets: targets, tolerance: .microsiemens(1),
          verify: chip.board.defaultReadBias())
      }
      #expect(error?.code == .unsupported)
      // A ramp beyond the limits is refused by the host before its first pulse, whoever would run it.
      method = WriteMethod(chip.profile, .response)
      method.set.stop = chip.board.limits.bitLine + Volts(0.1)
      let before = try await chip.board.read(Self.block)
      for runner in WriteRunner.allCases {
        let request = try method.request(
          CellSelection(block: Self.block), targets: targets, tolerance: .microsiemens(1),
          verify: chip.board.defaultReadBias())
        let refused = await #expect(throws: BoardError.self) { try await chip.board.write(request, runner: runner) }
        #expect(refused?.code == .limitRefused)
      }
      // Not even a pulse of the least amplitude was given: reads differ by the converter's noise alone.
      for (now, before) in zip(try await chip.board.read(Self.block), before) { #expect(abs(now - before) < 0.05e-6) }
    }
  }
}
