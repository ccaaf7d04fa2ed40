public import RRAMBoard
internal import RRAMProfiles
internal import RRAMUnits
public import RRAMWire
public import RRAMWriting

extension Board {
  /// Writes targets by write-verify, decided upon by the board or by the host.
  ///
  /// Cells that do not converge are results, not errors.
  public func write(
    _ request: WriteVerify, runner: WriteRunner, progress: (@Sendable (OperationProgress) -> Void)? = nil
  ) async throws -> CellReport {
    switch runner {
    case .board: return try await writeVerify(request, progress: progress)
    case .host:
      func run<Strategy: WriteStrategy>(_ strategy: Strategy) async throws -> CellReport {
        try await writeFromHost(request, strategy, progress: progress)
      }
      return try await run(request.makeStrategy())
    }
  }

  /// Writes targets by a strategy of the caller's own, decided upon by the host: a type that conforms to `WriteStrategy` is all it takes.
  ///
  /// - Parameter request: targets, windows and caps; the strategy that it names is not used.
  public func write<Strategy: WriteStrategy>(
    _ request: WriteVerify, by strategy: Strategy, progress: (@Sendable (OperationProgress) -> Void)? = nil
  ) async throws -> CellReport {
    try await writeFromHost(request, strategy, progress: progress)
  }

  /// The state machine that the firmware runs, fed with reads from here: for boards without the strategy, and for new ones.
  ///
  /// A round takes one read of all open cells, and one pulse request for every set of cells that get the very same pulse; these travel
  /// side by side.
  private func writeFromHost<Strategy: WriteStrategy>(
    _ request: WriteVerify, _ strategy: Strategy, progress: (@Sendable (OperationProgress) -> Void)?
  ) async throws -> CellReport {
    try LimitCheck(
      limits: limits, macros: boardDescription.macros, drivers: boardDescription.drivers, address: address
    ).check(request)
    let block = request.cells.block
    let indices = request.cells.indices
    var process = WriteProcess(
      request, strategy, permitted: limits.conductance, notFormedBelow: limits.conductance.lowerBound / 8)
    func selection(_ cells: [Int]) -> CellSelection {
      var mask = CellMask(cellCount: block.cellCount)
      for cell in cells { mask[indices[cell]] = true }
      return CellSelection(block: block, mask: mask)
    }
    var rounds = 0
    while !process.open.isEmpty {
      try Task.checkCancellation()
      let open = process.open
      let readings = try await readings(selection(open), bias: request.verify)
      for (position, cell) in open.enumerated() {
        process.note(
          cell, readings.conductance[position], isFormed: !readings.formed.isEmpty && readings.formed[position])
      }
      let groups = process.endRound()
      if !groups.isEmpty { rounds += 1 }
      try await withThrowingTaskGroup(of: Void.self) { tasks in
        for pulse in groups.flatMap({ $0.pulses(selection) }) {
          tasks.addTask { _ = try await self.pulse(pulse) }
        }
        try await tasks.waitForAll()
      }
      progress?(
        OperationProgress(
          finished: process.finished, total: process.count, pulses: process.pulses, reads: process.reads, rounds: rounds
        ))
    }
    var report = CellReport(selection: request.cells)
    report.conductance = (0..<process.count).map(process.conductance)
    report.pulses = (0..<process.count).map(process.pulses)
    report.reads = (0..<process.count).map(process.reads)
    report.reasons = (0..<process.count).map(process.reason)
    report.offsets = (0..<process.count).flatMap(process.offsets)
    report.rounds = rounds
    return report
  }
}

extension WriteProcess.Group {
  /// One request for each amplitude.
  fileprivate func pulses(_ selection: ([Int]) -> CellSelection) -> [Pulse] {
    Dictionary(grouping: cells.indices) { amplitudes[$0] }.sorted { $0.key < $1.key }.map { amplitude, positions in
      Pulse(
        cells: selection(positions.map { cells[$0] }), kind: kind, wordLine: wordLine,
        bitLine: kind == .reset ? .zero : amplitude, sourceLine: kind == .reset ? amplitude : .zero, width: width,
        count: 1)
    }
  }
}
