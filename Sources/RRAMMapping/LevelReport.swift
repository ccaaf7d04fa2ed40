public import RRAMBoard
internal import RRAMProfiles
public import RRAMUnits
public import RRAMWire

/// What writing a pattern of levels took and reached.
public struct LevelReport: Sendable, Hashable, Codable {
  /// One level, or all.
  public struct Outcome: Sendable, Hashable, Codable {
    public var level: String
    public var cells: Int
    /// Accepted by the procedure, %.
    public var accepted: Double
    /// Of all cells, those that lie in the window by a mean of 64 conversions right after the write, %: what the cell itself conducts then,
    /// with the noise of a read averaged away. nil if none was read later.
    public var inWindowAtOnce: Double?
    /// Of all cells, those whose mean of the later reads lies in the window, %; nil if none was read later.
    public var inWindowLater: Double?
    public var pulses: CountStatistics
    public var reads: CountStatistics

    enum CodingKeys: String, CodingKey {
      case level, cells
      case accepted = "accepted_percent"
      case inWindowAtOnce = "inWindowAtOnce_percent"
      case inWindowLater = "inWindowLater_percent"
      case pulses, reads
    }
  }

  public var strategy: WriteStrategyName
  public var runner: WriteRunner
  /// Writes of the cells, and chip time between two, seconds.
  public var passes: Int
  public var between: Double
  public var all: Outcome
  public var levels: [Outcome]
  /// Cells of which the chip's history knew something.
  public var knownCells: Int
  /// Reads of every cell after the write, and chip time from one to the next.
  public var laterReads: Int
  public var laterReadInterval: Double
  /// Requests, chip, bus and host time of the write alone.
  public var requests: Int
  public var rounds: Int
  public var chipSeconds: Double
  public var busSeconds: Double?
  public var hostSeconds: Double
  /// Processor time of the write, all threads of the process: on an emulated board the emulator's are among them.
  public var processorSeconds: Double
  public var masked: Int
  public var failures: [CellFailure]

  enum CodingKeys: String, CodingKey {
    case strategy, runner, passes
    case between = "between_s"
    case all, levels, knownCells, laterReads
    case laterReadInterval = "laterReadInterval_s"
    case requests, rounds, chipSeconds, busSeconds, hostSeconds, processorSeconds, masked, failures
  }
}

extension Board {
  /// Conversions that are averaged right after a write, to see where the cells themselves are.
  private static let atOnceConversions = 64

  /// Writes a pattern of levels to every usable cell of a macro, and reads it again afterwards.
  ///
  /// - Parameters:
  ///   - unusable: cells that are left out.
  ///   - history: what is known of the chip; it learns from the write.
  ///   - passes: how often the cells are written; `between` of chip time lies between two.
  ///   - laterReads: reads of every cell after the write, `interval` of chip time apart.
  public func write(
    _ pattern: LevelPattern, macro: Int, method: WriteMethod, unusable: Set<CellAddress> = [],
    history: inout ResponseHistory, passes: Int = 1, between: Duration = .milliseconds(10), laterReads: Int,
    interval: Duration = .milliseconds(10),
    progress: (@Sendable (OperationProgress) -> Void)? = nil
  ) async throws -> LevelReport {
    let block = CellBlock(macro: macro, shape: boardDescription.macros.shape)
    var mask = CellMask(repeating: true, cellCount: block.cellCount)
    for index in 0..<block.cellCount where unusable.contains(block.address(at: index)) { mask[index] = false }
    let selection = CellSelection(block: block, mask: mask.selectedCount == block.cellCount ? nil : mask)
    let addresses = selection.indices.map { block.address(at: $0) }
    let levels = addresses.map { pattern.level(row: $0.row, column: $0.column) }
    let window = limits.conductance
    let request = try method.request(
      selection,
      targets: levels.map { Float(min(max(pattern.levels[$0].target, window.lowerBound), window.upperBound).rawValue) },
      windows: levels.map {
        let window = pattern.levels[$0].window
        return Float(window.lowerBound.rawValue)...Float(window.upperBound.rawValue)
      }, tolerance: .microsiemens(1), verify: defaultReadBias(averages: method.averages), history: history)
    var known = 0
    if case .response(let response) = request.strategy {
      known = stride(from: 0, to: response.offsets.count, by: 3).count {
        response.offsets[$0..<$0 + 3].contains { $0.isFinite }
      }
    }
    let tally = await Tally(self)
    var report = try await write(request, runner: method.runner, progress: progress)
    learn(request, report)
    for _ in 1..<passes {
      // Cells move most right after a write: what has left its window is written again, what is stuck is not.
      let again = selection.indices.indices.filter { report.reasons[$0] == .converged }
      guard !again.isEmpty else { break }
      try await wait(between)
      var mask = CellMask(cellCount: block.cellCount)
      for k in again { mask[selection.indices[k]] = true }
      let request = try method.request(
        CellSelection(block: block, mask: mask), targets: again.map { request.targets[$0] },
        windows: again.map { request.windows[$0] }, tolerance: request.tolerance, verify: request.verify,
        history: history)
      let pass = try await write(request, runner: method.runner, progress: progress)
      learn(request, pass)
      for (k, position) in again.enumerated() {
        report.pulses[position] += pass.pulses[k]
        report.reads[position] += pass.reads[k]
        report.reasons[position] = pass.reasons[k]
        report.conductance[position] = pass.conductance[k]
      }
      report.rounds += pass.rounds
    }
    let passed = try await tally.passed()

    func learn(_ request: WriteVerify, _ report: CellReport) {
      guard case .response(let response) = request.strategy else { return }
      history.enter(report, sent: response, base: method.response)
    }

    let atOnce =
      try await laterReads == 0 ? [] : read(selection, bias: defaultReadBias(averages: Self.atOnceConversions))
    var sums = [Double](repeating: 0, count: addresses.count)
    for _ in 0..<laterReads {
      try await wait(interval)
      for (k, value) in try await read(selection).enumerated() { sums[k] += Double(value) }
    }
    func outcome(_ name: String, _ cells: [Int]) -> LevelReport.Outcome {
      let share = 100 / Double(max(1, cells.count))
      return LevelReport.Outcome(
        level: name, cells: cells.count, accepted: share * Double(cells.count { report.reasons[$0] == .converged }),
        inWindowAtOnce: laterReads == 0
          ? nil
          : share * Double(cells.count { pattern.levels[levels[$0]].window.contains(Siemens(Double(atOnce[$0]))) }),
        inWindowLater: laterReads == 0
          ? nil
          : share
            * Double(cells.count { pattern.levels[levels[$0]].window.contains(Siemens(sums[$0] / Double(laterReads))) }),
        pulses: CountStatistics(cells.map { Int(report.pulses[$0]) }),
        reads: CountStatistics(cells.map { Int(report.reads[$0]) }))
    }
    return LevelReport(
      strategy: method.strategy, runner: method.runner, passes: passes, between: between.seconds,
      all: outcome("all", Array(addresses.indices)),
      levels: pattern.levels.indices.map { level in
        outcome(pattern.levels[level].name, levels.indices.filter { levels[$0] == level })
      }, knownCells: known, laterReads: laterReads, laterReadInterval: interval.seconds, requests: passed.requests,
      rounds: report.rounds, chipSeconds: passed.chipSeconds, busSeconds: passed.busSeconds,
      hostSeconds: passed.hostSeconds, processorSeconds: passed.processorSeconds,
      masked: block.cellCount - selection.count,
      failures: report.failures.map { CellFailure($0.cell, reason: $0.reason.description) })
  }
}
