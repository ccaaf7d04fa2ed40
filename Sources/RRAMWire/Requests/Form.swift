public import RRAMUnits

/// Forms cells one by one: a ramp with a read after each pulse, which stops at a conductance.
public struct Form: StreamingRequest {
  public typealias Response = CellResults

  public var cells: CellSelection
  public var ramp: PulseRamp
  public var read: ReadBias
  /// A cell that conducts this much is formed.
  public var stopConductance: Siemens
  public var credit: Int

  public init(cells: CellSelection, ramp: PulseRamp, read: ReadBias, stopConductance: Siemens, credit: Int) {
    self.cells = cells
    self.ramp = ramp
    self.read = read
    self.stopConductance = stopConductance
    self.credit = credit
  }

  public var body: RequestBody { .form(self) }
}

extension Form {
  init(_ message: Rram_Board_V1_Form) throws(WireError) {
    cells = try CellSelection(try required(message.hasCells, message.cells, "form.cells"), "form.cells")
    ramp = try PulseRamp(try required(message.hasRamp, message.ramp, "form.ramp"), "form.ramp")
    read = try ReadBias(try required(message.hasRead, message.read, "form.read"), "form.read")
    stopConductance = try quantity(message.stopConductanceS, "form.stop_conductance_s")
    credit = Int(message.credit)
  }

  func message() throws(WireError) -> Rram_Board_V1_Form {
    var message = Rram_Board_V1_Form()
    message.cells = try cells.message("form.cells")
    message.ramp = try ramp.message("form.ramp")
    message.read = try read.message("form.read")
    message.stopConductanceS = try wireFloat(stopConductance, "form.stop_conductance_s")
    message.credit = try wire32(credit, "form.credit")
    return message
  }
}
