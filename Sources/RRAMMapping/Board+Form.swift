public import RRAMBoard
public import RRAMModel
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
  /// Cells are read first, and those that the board knows to be formed or that conduct are left alone: they are formed, or stuck
  /// high where they conduct more than any target asks for. A cell that does not form is a result, not an error.
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
    var outcome = FormOutcome()
    try await form(
      blocks.map { CellSelection(block: $0) }, options: options, excluding: excluding, into: &outcome,
      progress: progress)
    return outcome.report(try await tally.passed())
  }

  /// Forms the cells that a network needs, and moves its placement off cells that do not form, until it stands on good ones.
  ///
  /// - Parameters:
  ///   - window: conductances the network's targets may have.
  ///   - mapping: how weights become conductances; of sparse pairs only the cells that conduct are formed.
  ///   - screening: reads the cells again and again, and moves weights off noisy ones to others, of sparse pairs to pristine ones, which
  ///     are formed and screened in their turn; nil: does not.
  ///   - known: the chip's unusable cells and their noise; those found now are entered.
  /// - Returns: the placement, whose cells are all formed unless no better one was left, and what forming and screening took.
  /// - Throws: ``MappingError`` if the network does not fit; `BoardError`.
  public func form(
    for network: ScoreNetwork, window: ClosedRange<Siemens>, mapping: MappingOptions = MappingOptions(),
    options: FormOptions, screening: Screening? = nil, known: inout KnownCells,
    progress: (@Sendable (MappingEvent) -> Void)? = nil
  ) async throws -> (plan: MappingPlan, report: FormReport, screened: ScreenReport?) {
    let tally = await Tally(self)
    var outcome = FormOutcome()
    var plan = try MappingPlan(
      network, on: boardDescription, window: window, options: mapping, known: known, amplifiers: loopCalibration)
    try await form(&plan, network, options: options, known: &known, into: &outcome, progress: progress)
    var screened: ScreenReport?
    for _ in 0..<(screening?.passes ?? 0) {
      guard let screening else { break }
      let found = try await screen(plan, screening, options: options, known: &known, progress: progress)
      screened = screened.map { $0.adding(found) } ?? found
      let next = try MappingPlan(
        network, on: boardDescription, window: window, options: mapping, known: known, amplifiers: loopCalibration)
      if next == plan { break }
      plan = next
      try await form(&plan, network, options: options, known: &known, into: &outcome, progress: progress)
    }
    return (plan, outcome.report(try await tally.passed()), screened)
  }

  /// Usable cells of a plan that are written and have not been formed.
  ///
  /// - Throws: `BoardError`.
  public func unformedCount(_ plan: MappingPlan, options: FormOptions) async throws -> Int {
    var count = 0
    let bias = defaultReadBias(averages: options.averages)
    for layer in plan.layers {
      let readings = try await readings(CellSelection(block: layer.block), bias: bias)
      for (cell, isWritten) in layer.written.enumerated()
      where isWritten && !readings.isFormed(cell, above: options.formedAbove) { count += 1 }
    }
    return count
  }

  /// The cells of a set that have not been formed.
  ///
  /// - Throws: `BoardError`.
  public func unformed(_ cells: Set<CellAddress>, options: FormOptions) async throws -> Set<CellAddress> {
    var found: Set<CellAddress> = []
    let bias = defaultReadBias(averages: options.averages)
    for macro in Set(cells.map(\.macro)).sorted() {
      let block = CellBlock(macro: macro, shape: boardDescription.macros.shape)
      let readings = try await readings(CellSelection(block: block), bias: bias)
      for index in 0..<block.cellCount {
        let cell = block.address(at: index)
        if cells.contains(cell), !readings.isFormed(index, above: options.formedAbove) { found.insert(cell) }
      }
    }
    return found
  }

  /// Forms a plan's cells, and those of the plans that follow from what is found, until nothing new is.
  private func form(
    _ plan: inout MappingPlan, _ network: ScoreNetwork, options: FormOptions, known: inout KnownCells,
    into outcome: inout FormOutcome, progress: (@Sendable (MappingEvent) -> Void)?
  ) async throws {
    while true {
      let before = known
      let cells = plan.layers.map { layer in
        CellSelection(block: layer.block, mask: layer.candidates(all: plan.options.pairs != .sparse))
      }
      try await form(cells, options: options, excluding: before.unusable, into: &outcome, progress: progress)
      known.enter(outcome.failures, forming: true)
      for (cell, value) in outcome.conducting where before.conducting[cell] == nil {
        known.enter(conducting: value, of: cell)
      }
      let next = try MappingPlan(
        network, on: boardDescription, window: plan.window, options: plan.options, known: known,
        amplifiers: loopCalibration)
      // Each round either finds new bad cells or ends, and a chip has a finite number of cells.
      if known == before || next == plan {
        plan = next
        return
      }
      outcome.moves += 1
      plan = next
    }
  }

  private func form(
    _ selections: [CellSelection], options: FormOptions, excluding: Set<CellAddress>, into outcome: inout FormOutcome,
    progress: (@Sendable (MappingEvent) -> Void)?
  ) async throws {
    let bias = defaultReadBias(averages: options.averages)
    for (index, selection) in selections.enumerated() {
      let block = selection.block
      let readings = try await readings(CellSelection(block: block), bias: bias)
      outcome.reads += block.cellCount
      var mask = CellMask(cellCount: block.cellCount)
      if !readings.formed.isEmpty {
        for (cell, conductance) in readings.conductance.enumerated()
        where !readings.formed[cell] && Double(conductance) >= options.formedAbove.rawValue {
          outcome.conducting[block.address(at: cell)] = Siemens(Double(conductance))
        }
      }
      for cell in selection.indices {
        let address = block.address(at: cell)
        // A placement that moved covers cells of the one before.
        if excluding.contains(address) || !outcome.visited.insert(address).inserted { continue }
        let conductance = Double(readings.conductance[cell])
        if conductance >= options.stuckAbove.rawValue {
          outcome.failures.append(CellFailure(address, reason: CellReason.stuckHigh.description))
        } else if readings.isFormed(cell, above: options.formedAbove) {
          outcome.alreadyFormed += 1
          if !(conductance >= options.formedAbove.rawValue) { outcome.deeplyReset += 1 }
        } else {
          mask[cell] = true
        }
      }
      guard mask.selectedCount > 0 else { continue }
      let request = Form(
        cells: CellSelection(block: block, mask: mask), ramp: options.ramp, read: bias,
        stopConductance: options.stopConductance, credit: 0)
      let report = try await form(request, permissions: .forming) {
        progress?(.forming(block, index: index, count: selections.count, $0))
      }
      outcome.formed += report.convergedCount
      outcome.reads += report.totalReads
      outcome.pulses += report.pulses.map { Int($0) }
      outcome.voltages += report.formingVoltage.map { Double($0) }
      outcome.failures += report.failures.map { CellFailure($0.cell, reason: $0.reason.description) }
    }
  }
}

extension MappingPlan {
  /// The cells that must be formed for it: of sparse pairs those that are written, of others all in rows that take part.
  public var cellsToForm: Set<CellAddress> {
    Set(
      layers.flatMap { layer in
        CellSelection(block: layer.block, mask: layer.candidates(all: options.pairs != .sparse)).indices.map {
          layer.block.address(at: $0)
        }
      })
  }
}

extension MappingPlan.LayerPlacement {
  /// The cells that must be formed: those in rows that take part, all of them or only those that are written.
  fileprivate func candidates(all: Bool) -> CellMask {
    var mask = CellMask(cellCount: block.cellCount)
    let written = written
    for cell in written.indices {
      mask[cell] = written[cell] || all && rows[cell / block.shape.columns].input != nil
    }
    return mask
  }
}

/// What became of cells so far.
private struct FormOutcome {
  var visited: Set<CellAddress> = []
  var alreadyFormed = 0
  var deeplyReset = 0
  var moves = 0
  var formed = 0
  var reads = 0
  var pulses: [Int] = []
  var voltages: [Double] = []
  var failures: [CellFailure] = []
  /// Cells that conduct without having been formed.
  var conducting: [CellAddress: Siemens] = [:]

  func report(_ passed: Tally.Passed) -> FormReport {
    FormReport(
      cells: visited.count, alreadyFormed: alreadyFormed, deeplyReset: deeplyReset, formed: formed, moves: moves,
      formingVoltage: .init(voltages), pulses: CountStatistics(pulses), reads: reads, requests: passed.requests,
      chipSeconds: passed.chipSeconds,
      busSeconds: passed.busSeconds, hostSeconds: passed.hostSeconds, failures: failures)
  }
}
