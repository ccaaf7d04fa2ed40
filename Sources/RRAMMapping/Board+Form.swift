public import RRAMBoard
internal import RRAMProfiles
public import RRAMUnits
internal import RRAMWire

extension Board {
  /// Every macro of the board, whole.
  public nonisolated var allCells: [CellBlock] {
    (0..<boardDescription.macros.count).map { CellBlock(macro: $0, shape: boardDescription.macros.shape) }
  }

  /// Forms the cells of blocks that have not been formed: a ramp a cell, a read after each pulse.
  ///
  /// Cells are read first, and those that conduct are left alone. A cell that does not form is a result, not an error.
  ///
  /// - Parameters:
  ///   - blocks: whole macros (``allCells``) or the blocks of a plan.
  ///   - excluding: cells known to be unusable.
  /// - Throws: `BoardError` for a limit or a link; what was formed before stays formed.
  public func form(
    _ blocks: [CellBlock], options: FormOptions, excluding: Set<CellAddress> = [],
    progress: (@Sendable (MappingEvent) -> Void)? = nil
  ) async throws -> FormReport {
    let tally = await Tally(self)
    let bias = defaultReadBias(averages: options.averages)
    var (cells, alreadyFormed, formed, reads) = (0, 0, 0, 0)
    var pulses: [Int] = []
    var voltages: [Double] = []
    var failures: [CellFailure] = []
    for (index, block) in blocks.enumerated() {
      let conductance = try await read(block, bias: bias)
      reads += block.cellCount
      var mask = CellMask(cellCount: block.cellCount)
      for cell in 0..<block.cellCount {
        if excluding.contains(block.address(at: cell)) { continue }
        cells += 1
        if Double(conductance[cell]) >= options.formedAbove.rawValue {
          alreadyFormed += 1
        } else {
          mask[cell] = true
        }
      }
      guard mask.selectedCount > 0 else { continue }
      let request = Form(
        cells: CellSelection(block: block, mask: mask), ramp: options.ramp, read: bias,
        stopConductance: options.stopConductance, credit: 0)
      let report = try await form(request, permissions: .forming) {
        progress?(.forming(block, index: index, count: blocks.count, $0))
      }
      formed += report.convergedCount
      reads += report.totalReads
      pulses += report.pulses.map { Int($0) }
      voltages += report.formingVoltage.map { Double($0) }
      failures += report.failures.map { CellFailure($0.cell, reason: $0.reason.description) }
    }
    let passed = try await tally.passed()
    return FormReport(
      cells: cells, alreadyFormed: alreadyFormed, formed: formed, formingVoltage: .init(voltages),
      pulses: CountStatistics(pulses), reads: reads, requests: passed.requests, chipSeconds: passed.chipSeconds,
      busSeconds: passed.busSeconds, hostSeconds: passed.hostSeconds, failures: failures)
  }
}
