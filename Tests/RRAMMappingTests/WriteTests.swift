import Foundation
import RRAMBoard
import RRAMMapping
import RRAMModel
import RRAMProfiles
import RRAMRecords
import RRAMUnits
import RRAMWire
import RRAMWriting
import Synchronization
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

  /// A strategy of one's own is one type: amplitudes climb by every other step of the ramps, and begin again when the direction changes.
  private struct DoubleSteps: WriteStrategy {
    struct Cell: Sendable {
      var kind: PulseKind?
      var index = 0
    }
    final class Calls: Sendable { let count = Mutex(0) }
    let set: PulseRamp
    let reset: PulseRamp
    let calls = Calls()

    func begin(_ index: Int) -> Cell { Cell() }

    func pulse(_ cell: inout Cell, at reading: CellReading, to goal: WriteGoal) -> WritePulse {
      calls.count.withLock { $0 += 1 }
      let kind: PulseKind = reading.conductance < goal.target ? .set : .reset
      cell.index = cell.kind == kind ? cell.index + 2 : 0
      cell.kind = kind
      let ramp = kind == .set ? set : reset
      return WritePulse(
        kind: kind, wordLine: ramp.wordLine, amplitude: ramp.amplitude(cell.index), width: ramp.width,
        isStrongest: false)
    }
  }

  @Test func aStrategyOfOnesOwnWritesCells() async throws {
    try await EmulatedChip.with { chip in
      try await Self.form(chip)
      var method = WriteMethod(chip.profile, .ispp)
      (method.maximumPulses, method.maximumReversals) = (400, 100)
      let request = try method.request(
        CellSelection(block: Self.block), targets: Self.targets(chip), tolerance: .microsiemens(8),
        verify: chip.board.defaultReadBias())
      let strategy = DoubleSteps(set: method.set, reset: method.reset)
      let report = try await chip.board.write(request, by: strategy)
      #expect(strategy.calls.count.withLock { $0 } >= report.totalPulses && report.totalPulses > 128)
      #expect(report.convergedCount == 128, "\(report.reasons.filter { $0 != .converged })")
      #expect(zip(report.conductance, Self.targets(chip)).allSatisfy { abs($0 - $1) <= 8.01e-6 })
    }
  }

  /// cmo-hfox, seed 5: of every pair the difference is written, with fewer pulses than both cells take by the same pulses, to the same error
  /// of the weights; the record's targets lie where the pairs were left and differ as the plan's do.
  @Test func pairAwareWritingWritesDifferences() async throws {
    func run(
      _ strategy: WriteStrategyName
    ) async throws -> (ProgramRecord, (report: VerifyReport, conductances: [[Float]]), MappingPlan) {
      try await EmulatedChip.with(profile: "cmo-hfox", seed: 5) { chip in
        let model = try ModelLibrary.scoreModel("ring")
        let plan = try chip.plan(model)
        _ = try await chip.board.form(plan.layers.map(\.block), options: FormOptions(chip.profile))
        var options = ProgramOptions(chip.profile)
        options.method = WriteMethod(chip.profile, strategy)
        options.tolerance = chip.profile.tolerance(strategy)
        options.followUp = .oneSecond
        let record = try await chip.board.program(plan, model: model, options: options, home: chip.home)
        return (record, try await chip.board.verify(record), plan)
      }
    }
    let (cells, _, _) = try await run(.response)
    let (pairs, verify, plan) = try await run(.pairAware)
    #expect(pairs.report.inTolerance >= 558 && pairs.report.cells == 564, "\(pairs.report.failures)")
    #expect(abs(pairs.report.tolerance - 2.0.squareRoot() * cells.report.tolerance) < 1e-9)
    #expect(pairs.report.pulses.mean < 0.8 * cells.report.pulses.mean, "\(pairs.report.pulses), \(cells.report.pulses)")
    let difference = try #require(pairs.report.difference?.verify)
    // Confirmed by the mean of two reads; the last of them alone is what is reported.
    #expect(try #require(difference.p99) < 1.5 * pairs.report.tolerance, "\(difference)")
    let alone = try #require(cells.report.difference?.verify?.std)
    #expect(try #require(difference.std) < 1.25 * alone, "\(difference), \(alone)")
    for (written, planned) in zip(pairs.plan.layers, plan.layers) {
      #expect(written.targets != planned.targets)
      for plus in stride(from: 0, to: planned.targets.count, by: 2) {
        let (now, then) = (
          written.targets[plus] - written.targets[plus + 1], planned.targets[plus] - planned.targets[plus + 1]
        )
        #expect(abs(now - then) < 1e-10)
      }
    }
    #expect(pairs.report.difference?.after1s != nil && verify.report.strategy == .pairAware)
    // A cell by itself has half of the difference's error at verify, and the tolerance is that of the difference.
    let single = try #require(pairs.report.error.verify?.std)
    #expect(abs(2 * single - (difference.std ?? 0)) < 0.05, "\(single), \(difference)")
    let within = zip(pairs.plan.layers, verify.conductances).reduce(0) { sum, layer in
      sum + layer.0.differenceErrors(of: layer.1).count { abs($0) <= pairs.report.tolerance }
    }
    #expect(verify.report.inTolerance == 2 * within && within < 282 && verify.report.difference != nil)
  }

  @Test func sparsePairsHaveNoPairs() async throws {
    try await EmulatedChip.with { chip in
      let model = try ModelLibrary.scoreModel("ring")
      var mapping = MappingOptions()
      mapping.pairs = .sparse
      let plan = try MappingPlan(
        model.network, on: chip.board.boardDescription, window: chip.board.limits.conductance, options: mapping)
      var options = ProgramOptions(chip.profile)
      options.method = WriteMethod(chip.profile, .pairAware)
      let error = try await #require(throws: MappingError.self) {
        try await chip.board.program(plan, model: model, options: options, home: nil)
      }
      #expect(
        error.code == .unsupported && error.reason.hasPrefix("strategy pair-aware: of sparse pairs one cell conducts"))
      #expect(try await chip.board.counters().pulses == 0)
    }
  }

  /// No pulse of any strategy exceeds the cap: the ramps of every request end there.
  @Test(arguments: WriteStrategyName.allCases) func amplitudesAreCapped(_ strategy: WriteStrategyName) throws {
    let profile = try ChipProfile.named("hfox-mlc")
    var method = WriteMethod(profile, strategy)
    method.limitAmplitude(to: Volts(1.5))
    let request = try method.request(
      CellSelection(block: Self.block), targets: [Float](repeating: 80e-6, count: 128), tolerance: .microsiemens(2),
      verify: ReadBias(wordLine: Volts(1.1), bitLine: Volts(0.1)))
    for ramp in [request.set, request.reset] {
      #expect(ramp.stop <= Volts(1.5) && ramp.start <= ramp.stop)
      #expect((0..<100).allSatisfy { ramp.amplitude($0) <= Volts(1.5) })
    }
    method.limitAmplitude(to: Volts(9))
    #expect(method.set.stop == Volts(1.5))
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
