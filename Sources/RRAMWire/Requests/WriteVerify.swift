internal import FoundationEssentials
public import RRAMUnits

/// Board-run write-verify by incremental step pulse programming.
///
/// Read, pulse towards the target, repeat until |G − target| ≤ tolerance. Every round pulses all open cells of the selection,
/// then reads them; cells that pass drop out.
public struct WriteVerify: StreamingRequest {
  public typealias Response = CellResults

  public var cells: CellSelection
  /// S, one a selected cell.
  public var targets: [Float]
  /// Half width of the window.
  public var tolerance: Siemens
  public var set: PulseRamp
  public var reset: PulseRamp
  public var verify: ReadBias
  /// Further reads that must all pass before a cell is accepted.
  public var confirmReads: Int
  /// Per cell.
  public var maximumPulses: Int
  /// Changes of direction per cell.
  public var maximumReversals: Int
  public var credit: Int

  public init(
    cells: CellSelection, targets: [Float], tolerance: Siemens, set: PulseRamp, reset: PulseRamp, verify: ReadBias,
    confirmReads: Int = 0, maximumPulses: Int, maximumReversals: Int, credit: Int
  ) {
    self.cells = cells
    self.targets = targets
    self.tolerance = tolerance
    self.set = set
    self.reset = reset
    self.verify = verify
    self.confirmReads = confirmReads
    self.maximumPulses = maximumPulses
    self.maximumReversals = maximumReversals
    self.credit = credit
  }

  public var body: RequestBody { .writeVerify(self) }
}

extension WriteVerify {
  init(_ message: Rram_Board_V1_WriteVerify) throws(WireError) {
    cells = try CellSelection(try required(message.hasCells, message.cells, "write_verify.cells"), "write_verify.cells")
    targets = try unpack(message.targets, count: cells.count, "write_verify.targets")
    try checkFinite(targets, "write_verify.targets")
    tolerance = try quantity(message.toleranceS, "write_verify.tolerance_s")
    set = try PulseRamp(try required(message.hasSet, message.set, "write_verify.set"), "write_verify.set")
    reset = try PulseRamp(try required(message.hasReset, message.reset, "write_verify.reset"), "write_verify.reset")
    verify = try ReadBias(try required(message.hasVerify, message.verify, "write_verify.verify"), "write_verify.verify")
    confirmReads = Int(message.confirmReads)
    maximumPulses = Int(message.maxPulses)
    maximumReversals = Int(message.maxReversals)
    credit = Int(message.credit)
  }

  func message() throws(WireError) -> Rram_Board_V1_WriteVerify {
    var message = Rram_Board_V1_WriteVerify()
    message.cells = try cells.message("write_verify.cells")
    try check(targets, count: cells.count, "write_verify.targets")
    try checkFinite(targets, "write_verify.targets")
    message.targets = pack(targets)
    message.toleranceS = try wireFloat(tolerance, "write_verify.tolerance_s")
    message.set = try set.message("write_verify.set")
    message.reset = try reset.message("write_verify.reset")
    message.verify = try verify.message("write_verify.verify")
    message.confirmReads = try wire32(confirmReads, "write_verify.confirm_reads")
    message.maxPulses = try wire32(maximumPulses, "write_verify.max_pulses")
    message.maxReversals = try wire32(maximumReversals, "write_verify.max_reversals")
    message.credit = try wire32(credit, "write_verify.credit")
    return message
  }
}
