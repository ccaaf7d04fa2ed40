import ArgumentParser
import Foundation
import RRAMKit

struct WriteCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "write", abstract: "Write levels to a macro: several bits a cell.",
    discussion: """
      Every usable cell of a macro gets one of the levels by write-verify, neighbours different ones; then it is read again, many times. \
      Reported are pulses, reads and time, and beside what the procedure accepted the shares of cells that lie in the window by a mean of \
      64 conversions right after the write (what the cell itself conducts then) and by the mean of the later reads: one read is noisy, and \
      cells drift. What the strategy 'response' learns of the cells is kept with the chip and used \
      from then on.
      """)

  @Option(help: "Which macro, from 0.")
  var macro = 0

  @Option(
    help: """
      Windows of the levels in µS, as 0..33.3,67.9..72.1: writing aims at their middles, or at the nearest conductance that the chip \
      permits. Default: two bits a cell as published for 1T1R HfOx test chips.
      """)
  var levels: String?

  @Option(help: "How often the cells are written: what has left its window since is written again.")
  var passes = 1

  @Option(help: "Chip time between two passes: 10ms, 1s.", transform: parseDuration)
  var between: Duration = .milliseconds(10)

  @Option(help: "Reads of every cell afterwards, 10 ms apart.")
  var later = 64

  @OptionGroup var writing: WriteArguments
  @OptionGroup var chip: ChipOptions
  @OptionGroup var options: BoardOptions
  @OptionGroup var runOptions: RunOptions
  @OptionGroup var trigger: TriggerOptions

  func validate() throws {
    guard macro >= 0 else { throw ValidationError("--macro \(macro): macros count from 0") }
    guard (0...100_000).contains(later) else { throw ValidationError("--later \(later): 0 to 100000 are possible") }
    guard (1...1000).contains(passes) else { throw ValidationError("--passes \(passes): 1 to 1000 are possible") }
    if writing.strategy == .pairAware {
      throw ValidationError(
        "--strategy pair-aware: levels are of single cells, the differences of pairs are written by 'rram program MODEL --strategy pair-aware'"
      )
    }
    _ = try windows()
  }

  /// The windows of `--levels`.
  private func windows() throws -> [ClosedRange<Siemens>]? {
    try levels?.split(separator: ",", omittingEmptySubsequences: false).map { text in
      let ends = text.split(separator: "..").map { Double($0) }
      guard ends.count == 2, let low = ends[0], let high = ends[1], low >= 0, high > low, high.isFinite else {
        throw ValidationError("--levels: '\(text)' is no window LOW..HIGH in µS")
      }
      return .microsiemens(low)...(.microsiemens(high))
    }
  }

  func run() async throws {
    let address = try options.address()
    let named = try chip.namedProfile(at: address)
    let progress = ProgressLine(quiet: options.common.quiet)
    let windows = try windows()
    let settings = [
      "macro": "\(macro)", "levels": levels ?? "two bits", "later": "\(later)",
      "passes": "\(passes)", "between_s": "\(between.seconds)",
    ]
    let output = try await withRecordedBoard(options, runOptions, trigger: trigger.request, settings: settings) {
      board, record in
      let profile = try named ?? ChipOptions.profile(of: board)
      let home = RecordsHome()
      let unusable = try KnownCells.load(chip: board.info.chipID, home: home).unusable
      var history = try ResponseHistory.load(chip: board.info.chipID, home: home)
      let method = try writing.method(profile)
      for (name, value) in writing.settings(method) { try record.note(setting: name, value) }
      let pattern = try Self.pattern(windows, limits: board.limits)
      let report = try await board.write(
        pattern, macro: macro, method: method, unusable: unusable, history: &history, passes: passes, between: between,
        laterReads: later
      ) {
        progress.show(
          "writing", finished: $0.finished, total: $0.total, detail: "\($0.pulses) pulses, round \($0.rounds)")
      }
      progress.clear()
      if history.count > 0 { try history.save(chip: board.info.chipID, home: home) }
      try record.events.append(
        report.failures.map { .init("write", cell: $0.address, detail: $0.reason) }
          + [
            .init(
              "write", pulses: Int((report.all.pulses.mean * Double(report.all.cells)).rounded()),
              reads: Int((report.all.reads.mean * Double(report.all.cells)).rounded()),
              detail: "\(report.all.cells) cells by \(report.strategy.rawValue)")
          ])
      return WriteOutput(report: report)
    }
    try answer(output, json: options.common.json)
  }

  private static func pattern(_ windows: [ClosedRange<Siemens>]?, limits: ChipLimits) throws -> LevelPattern {
    guard let windows else { return .twoBits(limits) }
    return LevelPattern(
      try windows.map { window in
        let permitted = limits.conductance
        let middle = (window.lowerBound + window.upperBound) / 2
        let target = min(max(middle, permitted.lowerBound), permitted.upperBound)
        guard window.contains(target) else {
          throw CommandError(
            message:
              "--levels: the window \(window.lowerBound) to \(window.upperBound) holds no conductance that the chip permits, "
              + "\(permitted.lowerBound) to \(permitted.upperBound)", exitCode: ExitStatus.failure)
        }
        return .init(target: target, window: window)
      })
  }
}

struct WriteOutput: CommandOutput {
  var report: LevelReport

  func encode(to encoder: any Encoder) throws { try report.encode(to: encoder) }

  var exitStatus: Int32 { report.all.accepted < 99 ? ExitStatus.outOfTolerance : 0 }

  var text: String {
    func row(_ outcome: LevelReport.Outcome) -> [String] {
      [
        outcome.level, "\(outcome.cells)", outcome.accepted.formatted(digits: 4),
        outcome.inWindowAtOnce?.formatted(digits: 4) ?? "", outcome.inWindowLater?.formatted(digits: 4) ?? "",
        outcome.pulses.mean.formatted(digits: 3),
        outcome.pulses.median.formatted(digits: 3), outcome.pulses.p95.formatted(digits: 3), "\(outcome.pulses.max)",
        outcome.reads.mean.formatted(digits: 3),
      ]
    }
    let head = [
      "level", "cells", "accepted %", "at once %", "later %", "pulses mean", "median", "95 %", "max", "reads mean",
    ]
    let count = Double(max(1, report.all.cells))
    return table([head] + report.levels.map(row) + [row(report.all)])
      + "\n\(report.strategy.rawValue)\(report.passes > 1 ? ", \(report.passes) passes" : ""), chosen by the \(report.runner.rawValue): \(report.requests) requests, \(report.rounds) rounds; chip and bus \((report.chipSeconds / count * 1e6).formatted(digits: 3)) µs a cell"
      + ", processor \((report.processorSeconds / count * 1e6).formatted(digits: 3)) µs a cell"
      + (report.knownCells > 0 ? "; \(report.knownCells) cells known from earlier writes" : "")
      + failureList(report.failures)
  }
}
