internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire
internal import RRAMWriting

/// Forms cells one by one: a ramp, a read after each pulse, stop at a conductance.
final class FormOperation: Operation {
  /// Cells between two frames, so that the host sees progress.
  private static let progressCells = 512
  /// Cells of one step: a ramp has some tens of pulses and reads.
  private static let stepCells = 32

  private let cells: CellList
  private let request: Form
  private let cellsPerFrame: Int
  private(set) var account: OperationAccount
  private var part = CellResults(firstIndex: 0, count: 0)

  init(_ request: Form, _ chip: Chip, frameBytes: Int) throws(RequestFailure) {
    cells = try CellList(request.cells, chip)
    let cell = cells.cell(0)
    let check = chip.check
    try check.ramp(request.ramp, .forming, name: "form.ramp", columns: 1, celsius: chip.celsius, cell: cell)
    guard request.ramp.step.rawValue > 0 else {
      throw RequestFailure(.badArgument, "a forming ramp must rise: form.ramp.step_v")
    }
    try check.pulses(request.ramp.count, cell: cell)
    try check.read(request.read, cell: cell)
    guard request.stopConductance.rawValue > 0 else {
      throw RequestFailure(.badArgument, "forming stops at a conductance above 0: form.stop_conductance_s")
    }
    guard request.stopConductance <= chip.limits.conductance.upperBound else {
      throw RequestFailure(
        refusal: Refusal(
          limit: .conductance, asked: request.stopConductance.rawValue, minimum: 0,
          maximum: chip.limits.conductance.upperBound.rawValue, cell: cell))
    }
    self.request = request
    cellsPerFrame = min(
      CellResultPages(
        frameBytes: frameBytes, bytesPerCell: CellResultPages.bytesPerCell + CellResultPages.formingVoltageBytes
      ).cellsPerPage, Self.progressCells)
    account = OperationAccount(total: cells.count)
  }

  var macros: MacroSet { MacroSet(CollectionOfOne(cells.macro)) }

  func step(_ chip: Chip) throws(RequestFailure) -> OperationStep {
    let count = min(cells.count - account.finished, Self.stepCells, cellsPerFrame - part.count)
    for k in account.finished..<account.finished + count { try form(k, chip) }
    if account.finished == cells.count { return .finished(takePart()) }
    return part.count == cellsPerFrame ? .part(takePart()) : .working
  }

  func partialResults() -> [ResponseBody] { part.count > 0 ? [takePart()] : [] }

  private func form(_ k: Int, _ chip: Chip) throws(RequestFailure) {
    let stop = Float(request.stopConductance.rawValue)
    let cell = cells.indices[k..<k + 1]
    var conductance = try chip.read(macro: cells.macro, cell, request.read).conductance[0]
    var reads: UInt32 = 1
    var pulses: UInt32 = 0
    var voltage = Float.nan
    // A cell that conducts already is formed: another pulse could only harm it.
    for pulse in 0..<request.ramp.count where !(conductance >= stop) {
      let amplitude = request.ramp.amplitude(pulse).rawValue
      if account.pulses == 0 { chip.willWrite(macro: cells.macro) }
      try chip.pulse(
        macro: cells.macro, cell,
        CellPulse(
          kind: .forming, amplitude: amplitude, wordLine: request.ramp.wordLine.rawValue, width: request.ramp.width))
      account.pulses += 1
      pulses += 1
      conductance = try chip.read(macro: cells.macro, cell, request.read).conductance[0]
      reads += 1
      if conductance >= stop { voltage = Float(amplitude) }
    }
    account.reads += Int(reads)
    account.rounds = max(account.rounds, Int(pulses))
    account.finished += 1
    part.count += 1
    part.conductance.append(conductance)
    part.pulses.append(pulses)
    part.reads.append(reads)
    if conductance >= stop { chip.noteFormed(macro: cells.macro, cell) }
    part.reasons.append(conductance >= stop ? .converged : .notFormed)
    part.formingVoltage.append(voltage)
  }

  private func takePart() -> ResponseBody {
    defer { part = CellResults(firstIndex: account.finished, count: 0) }
    part.progress = account.progress
    return .cellResults(part)
  }
}
