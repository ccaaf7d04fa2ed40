internal import Foundation
public import RRAMBoard
public import RRAMModel
public import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

extension Board {
  /// Writes a plan onto the chip, labels the macros, and reads the cells again as they age.
  ///
  /// Formed cells that shall not conduct are reset first. Each layer is one board-run write-verify. Cells that do not converge are results, not errors. The label is set as soon
  /// as all layers are written; if the write is cut short, no macro carries a label that a record knows with its counter.
  ///
  /// - Parameters:
  ///   - home: where the record is kept under its label; nil keeps it nowhere, and sampling will refuse the chip.
  ///   - willLabel: hears of the label, 32 hexadecimal digits, before a macro carries it. A run that is cut off right after that knows
  ///     the label as its own; if this throws, no label is set.
  /// - Returns: the record with its report.
  /// - Throws: ``MappingError`` before the first pulse: `notFormed` if more than 1 % of the cells are pristine, `unsupported` for a strategy
  ///   that the chip or the plan has nothing for; `BoardError`.
  public func program(
    _ plan: MappingPlan, model: ScoreModel, options: ProgramOptions, home: RecordsHome?,
    progress: (@Sendable (MappingEvent) -> Void)? = nil, willLabel: (@Sendable (String) throws -> Void)? = nil
  ) async throws -> ProgramRecord {
    try plan.check(options.method.strategy)
    let tally = await Tally(self)
    let bias = defaultReadBias(averages: options.method.averages)
    var history = try home.map { try ResponseHistory.load(chip: info.chipID, home: $0) } ?? ResponseHistory()
    var reads = try await checkFormed(plan, options: options, progress: progress)
    let retired = try await retire(plan, options: options, progress: progress)
    reads += retired.reads

    let begin = await boardTime
    let layerCount = plan.layers.count
    var plan = plan
    // What is not written does not conduct, or is read at the next age.
    var conductances = plan.layers.map { layer in layer.targets.map { $0 == 0 ? Float(0) : .nan } }
    var pulses: [Int] = []
    var inTolerance = 0
    var failures = plan.layers.flatMap { layer in
      layer.masked.map { CellFailure(layer.block.address(at: $0), reason: CellReason.masked.description) }
    }
    for factor in [1] + plan.options.residuals {
      if factor != 1 {
        plan.setResiduals(factor: factor, realised: try await readBack(plan, reads: Self.residualReads).conductances)
        reads += plan.cellCount * Self.residualReads
      }
      for (index, layer) in plan.layers.enumerated() {
        var mask = CellMask(cellCount: layer.block.cellCount)
        for (cell, isWritten) in layer.written.enumerated() {
          mask[cell] = isWritten && layer.rows[cell / layer.block.shape.columns].factor == factor
        }
        for (part, isPairs) in options.method.strategy == .pairAware ? mask.pairsAndSingles : [(mask, false)] {
          guard part.selectedCount > 0 else { continue }
          let selection = CellSelection(
            block: layer.block, mask: part.selectedCount == layer.block.cellCount ? nil : part)
          let request = try options.method.request(
            selection, targets: selection.indices.map { layer.targets[$0] }, tolerance: options.tolerance,
            verify: bias, history: history, pairs: isPairs)
          let report = try await write(request, runner: options.method.runner) {
            progress?(.writing(layer: index, count: layerCount, $0))
          }
          if case .response(let response) = request.strategy {
            history.enter(report, sent: response, base: options.method.response)
          }
          for (cell, value) in zip(selection.indices, report.conductance) { conductances[index][cell] = value }
          if isPairs { plan.layers[index].recentre(Array(selection.indices), on: report.conductance) }
          pulses += report.pulses.map { Int($0) }
          reads += report.totalReads
          inTolerance += report.convergedCount
          failures += report.failures.map { CellFailure($0.cell, reason: $0.reason.description) }
        }
      }
    }
    var retried: RetryReport?
    if let retry = options.retry, retry.epochs > 0 {
      retried = try await self.retry(
        plan, retry, options: options, conductances: &conductances, history: &history, end: await boardTime,
        progress: progress)
      reads += retried?.reads ?? 0
    }
    if let home, history.count > 0 { try history.save(chip: info.chipID, home: home) }
    let end = await boardTime
    let written = await BoardMoment(self)

    let label = try ProgramRecord.makeLabel(
      plan: plan, modelSHA256: model.sha256, chip: info.chipID, nonce: UInt64.random(in: 0...UInt64.max))
    try willLabel?(hexadecimal(label))
    var macros: [ProgramRecord.Macro] = []
    for macro in plan.macros {
      let state = try await setLabel(label, macro: macro)
      macros.append(ProgramRecord.Macro(macro: macro, writeCounter: state.writeCounter))
    }
    let passed = try await tally.passed()

    var report = ProgramReport(
      cells: pulses.count, inTolerance: inTolerance, strategy: options.method.strategy,
      tolerance: options.tolerance.microsiemens,
      pulses: CountStatistics(pulses), reads: reads, error: ByAge(), difference: ByAge(),
      age: ByAge(), weightErrorPercent: plan.weightErrorPercent(of: conductances), retry: retried,
      requests: passed.requests,
      chipSeconds: passed.chipSeconds, busSeconds: passed.busSeconds, hostSeconds: passed.hostSeconds,
      masked: plan.layers.reduce(0) { $0 + $1.masked.count }, retired: retired.cells > 0 ? retired : nil,
      failures: failures)
    report.error.verify = plan.errorStatistics(of: conductances)
    report.difference?.verify = plan.differenceStatistics(of: conductances)
    report.age.verify = (end - begin).seconds
    var record = ProgramRecord(
      label: hexadecimal(label), programmedUTC: Date(), chip: info.chipID, profile: info.chipProfile,
      serial: info.serial, board: info.board, model: model.name, modelSHA256: model.sha256, plan: plan, macros: macros,
      report: report, conductances: conductances.map(Self.readOnly), written: written)
    // Kept before the cells age, so that an interrupted wait leaves a chip that can be sampled.
    if let home { try record.save(home: home) }
    progress?(.labelled(record.label))

    for age in options.followUp?.upToHere ?? [] {
      progress?(.waiting(age))
      try await wait(until: end + age.age)
      let values = try await read(plan, averages: options.method.averages)
      record.report.reads += plan.cellCount
      record.report.error[age] = plan.errorStatistics(of: values)
      record.report.difference?[age] = plan.differenceStatistics(of: values)
      record.report.age[age] = (await boardTime - begin).seconds
      record.report.weightErrorPercent = plan.weightErrorPercent(of: values)
      record.conductances = values.map(Self.readOnly)
      if let statistics = record.report.error[age] { progress?(.followed(age, statistics)) }
    }
    if let home, options.followUp != nil { try record.save(home: home) }
    return record
  }

  /// Passes over all cells that are averaged before the next rows make good the error of those before.
  private static let residualReads = 16

  /// Reads every cell of a plan: siemens, one array a layer, row-major over its block.
  public func read(_ plan: MappingPlan, averages: Int = 1) async throws -> [[Float]] {
    let bias = defaultReadBias(averages: averages)
    var values: [[Float]] = []
    for layer in plan.layers { values.append(try await read(layer.block, bias: bias)) }
    return values
  }

  /// Lets chip time pass until the board's clock shows `time`: at once where the board can, by really waiting otherwise.
  public func wait(until time: Duration) async throws {
    let missing = time - (await boardTime)
    guard missing > .zero else { return }
    try await wait(missing)
  }

  /// Lets chip time pass: at once where the board can, by really waiting otherwise.
  public func wait(_ duration: Duration) async throws {
    if info.capabilities.contains(.advanceTime) {
      try await advanceTime(by: duration)
    } else {
      try await Task.sleep(for: duration)
      // The board's clock is known from its answers only.
      try await heartbeat()
    }
  }

  /// Lets an emulated chip age by what a computation of the host takes: its clock stands still meanwhile, and cells that do not move
  /// would flatter what was computed for them. A real chip has aged by itself.
  ///
  /// - Parameter nominal: a fixed time, so that a run does not depend on the machine.
  public func passComputingTime(_ nominal: Duration) async throws {
    if info.capabilities.contains(.advanceTime) { try await wait(nominal) }
  }

  /// Refuses a placement of which more than 1 % has not been formed; single pristine cells are left to the write's own report.
  private func checkFormed(
    _ plan: MappingPlan, options: ProgramOptions, progress: (@Sendable (MappingEvent) -> Void)?
  ) async throws -> Int {
    progress?(.checking(cells: plan.cellCount))
    var (pristine, needed) = (0, 0)
    let bias = defaultReadBias()
    for layer in plan.layers {
      let readings = try await readings(CellSelection(block: layer.block), bias: bias)
      let written = layer.written
      needed += written.count { $0 }
      pristine += written.indices.count { written[$0] && !readings.isFormed($0, above: options.formedAbove) }
    }
    guard pristine * 100 <= needed else {
      throw MappingError(
        .notFormed,
        "chip \(info.chipID) of \(address): \(pristine) of the \(needed) cells of the placement have not been "
          + "formed: they conduct less than \(options.formedAbove), and the board has no record of forming them")
    }
    return plan.cellCount
  }

  private static func readOnly(_ values: [Float]) -> [Float?] { values.map { $0.isFinite ? $0 : nil } }
}
