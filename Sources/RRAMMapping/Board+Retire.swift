public import RRAMBoard
internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

/// What became of formed cells that a plan does not use.
public struct RetireReport: Sendable, Hashable, Codable {
  public var cells: Int
  /// Of these, still above the threshold at the last read.
  public var left: Int
  /// Pulses of all of them.
  public var pulses: Int
  public var reads: Int
  public var chipSeconds: Double
}

/// How cells that shall not conduct are kept from it.
public struct Retirement: Sendable, Hashable, Codable {
  /// Pauses before the reads that follow the first, seconds of chip time.
  public var pauses: [Double] = [0, 0.3, 1, 3, 10, 30]
  /// RESET pulses at the ramp's end a cell and read.
  public var pulses = 3

  public init() {}
}

extension Board {
  /// Resets the formed cells that a plan does not use as far as they go, again and again while they come back.
  ///
  /// Each read is followed by pulses on the cells that conduct more than the lowest target: a noisy cell is reset when it is seen high, so it
  /// ends with its filament open in most states of its traps. A pristine cell gets no pulse.
  ///
  /// - Throws: `BoardError`.
  public func retire(
    _ plan: MappingPlan, _ retirement: Retirement = Retirement(), options: ProgramOptions,
    progress: (@Sendable (MappingEvent) -> Void)? = nil
  ) async throws -> RetireReport {
    let tally = await Tally(self)
    let bias = defaultReadBias(averages: options.method.averages)
    var selections: [CellSelection] = []
    var reads = 0
    for layer in plan.layers {
      var mask = CellMask(cellCount: layer.block.cellCount)
      let bare = layer.bare
      if !bare.isEmpty {
        let readings = try await readings(CellSelection(block: layer.block), bias: bias)
        reads += layer.block.cellCount
        for cell in bare { mask[cell] = readings.isFormed(cell, above: options.formedAbove) }
      }
      selections.append(CellSelection(block: layer.block, mask: mask))
    }
    let count = selections.reduce(0) { $0 + $1.count }
    var report = RetireReport(cells: count, left: 0, pulses: 0, reads: reads, chipSeconds: 0)
    guard count > 0 else { return report }
    for (round, pause) in ([0] + retirement.pauses).enumerated() {
      if pause > 0 { try await wait(.seconds(pause)) }
      report.left = 0
      for cells in selections where cells.count > 0 {
        let values = try await read(cells, bias: bias)
        report.reads += values.count
        var mask = CellMask(cellCount: cells.block.cellCount)
        for (cell, value) in zip(cells.indices, values) where Double(value) > plan.window.lowerBound.rawValue {
          mask[cell] = true
        }
        let high = CellSelection(block: cells.block, mask: mask)
        report.left += high.count
        guard high.count > 0, round < retirement.pauses.count else { continue }
        let ramp = options.method.reset
        let given = try await pulse(
          Pulse(
            cells: high, kind: .reset, wordLine: ramp.wordLine, sourceLine: ramp.stop, width: ramp.width,
            count: retirement.pulses))
        report.pulses += given.totalPulses
      }
      progress?(.retiring(left: report.left, of: count))
    }
    report.chipSeconds = try await tally.passed().chipSeconds
    return report
  }
}
