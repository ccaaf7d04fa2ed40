public import RRAMProfiles
public import RRAMUnits
public import RRAMWire

/// Refuses what exceeds the limits of chip, board and drivers, before anything is sent.
///
/// The firmware checks the same again; neither trusts the other.
public struct LimitCheck: Sendable {
  /// The strictest of the board's and the host's records.
  public let limits: ChipLimits
  public let macros: BoardDescription.Macros
  public let drivers: BoardDescription.Drivers
  let address: String

  public init(
    limits: ChipLimits, macros: BoardDescription.Macros, drivers: BoardDescription.Drivers, address: String
  ) {
    self.limits = limits
    self.macros = macros
    self.drivers = drivers
    self.address = address
  }

  /// The block lies in a macro of the board and the mask fits it.
  public func check(_ cells: CellSelection) throws(BoardError) {
    try check(cells.block)
    if let mask = cells.mask, mask.cellCount != cells.block.cellCount {
      throw BoardError(
        .badArgument, "a mask of \(mask.cellCount) cells for \(cells.block.cellCount) cells of \(cells.block)",
        address: address)
    }
  }

  public func check(_ block: CellBlock) throws(BoardError) {
    try checkMacro(block.macro)
    guard block.fits(in: macros.shape) else {
      throw BoardError(
        .badArgument,
        "\(block.shape) cells from row \(block.firstRow) column \(block.firstColumn) do not lie in a macro of \(macros.shape)",
        address: address)
    }
  }

  public func checkMacro(_ macro: Int) throws(BoardError) {
    guard macro >= 0, macro < macros.count else {
      throw BoardError(.badArgument, "no macro \(macro) on a board with \(macros.count)", address: address)
    }
  }

  public func check(_ request: ReadCells) throws(BoardError) {
    try check(request.cells)
    try check(request.bias, request.cells.block)
  }

  public func check(_ request: Pulse) throws(BoardError) {
    try check(request.cells)
    let block = request.cells.block
    try check(request.wordLine, .wordLine, limits.wordLine, drivers.wordLine, block)
    switch request.kind {
    case .forming: try check(request.bitLine, .forming, limits.forming, drivers.bitLine, block)
    case .set, .reset: try check(request.bitLine, .bitLine, limits.bitLine, drivers.bitLine, block)
    }
    try check(request.sourceLine, .sourceLine, limits.sourceLine, drivers.sourceLine, block)
    try check(width: request.width, block)
    try check(count: request.count, block)
    try checkDrive(
      max(request.bitLine.magnitude, request.sourceLine.magnitude), request.width, block,
      columns: block.shape.columns)
  }

  public func check(_ request: CycleCells) throws(BoardError) {
    try check(request.cells)
    let block = request.cells.block
    for (shape, kind) in [(request.reset, PulseKind.reset), (request.set, .set)] {
      try check(
        Pulse(
          cells: request.cells, kind: kind, wordLine: shape.wordLine, bitLine: kind == .set ? shape.amplitude : .zero,
          sourceLine: kind == .reset ? shape.amplitude : .zero, width: shape.width))
    }
    try check(count: 2 * request.count, block)
  }

  public func check(_ request: Form) throws(BoardError) {
    try check(request.cells)
    let block = request.cells.block
    try check(request.ramp, of: .forming, block)
    try check(request.read, block)
    guard request.stopConductance.isFinite, request.stopConductance > .zero else {
      throw BoardError(
        .badArgument, "forming \(block): stop conductance \(request.stopConductance) is not above 0", address: address)
    }
    guard request.stopConductance <= limits.conductance.upperBound else {
      throw refused(
        .conductance, request.stopConductance.rawValue, 0, limits.conductance.upperBound.rawValue, block)
    }
    // Every step of the ramp is a pulse to the cell.
    let steps = ((request.ramp.stop - request.ramp.start) / request.ramp.step).rounded(.down)
    try check(count: steps.isFinite ? max(0, Int(min(steps, 1e9))) + 1 : 1, block)
  }

  /// In the closed loop no voltage is asked for, so none can be refused: what rows can reach is their clamp. It must lie within the
  /// limits and below what cells bear for long, and the board must end a run that stays at it.
  ///
  /// - Parameter cells: cells in the loop; all of them at the clamp and at the window's upper end is the most power there can be.
  public func checkLoop(
    _ loop: BoardDescription.ClosedLoop?, _ block: CellBlock?, cells: Int = 0
  ) throws(BoardError) {
    guard let loop else { return }
    if !(loop.rowClamp <= limits.bitLine) {
      throw refused(.bitLine, loop.rowClamp.rawValue, 0, limits.bitLine.rawValue, block)
    }
    guard let disturb = limits.disturb else {
      throw BoardError(
        .limitRefused,
        "disturb limit: the limits state no voltage that cells bear for long, and rows of the loop reach \(loop.rowClamp)",
        address: address)
    }
    if !(loop.rowClamp < disturb) {
      throw refused(.disturb, loop.rowClamp.rawValue, 0, disturb.rawValue, block)
    }
    guard loop.overRangeAbort != nil else {
      throw BoardError(
        .limitRefused, "over range limit: the board does not end a run that stays at its row clamps", address: address)
    }
    if let power = limits.power {
      let clamp = loop.rowClamp.rawValue
      let most = Double(cells) * clamp * clamp * limits.conductance.upperBound.rawValue
      guard Float(most) <= Float(power.rawValue) else { throw refused(.power, most, 0, power.rawValue, block) }
    }
  }

  /// What a pulse can do to a cell whatever that conducts: the line's speed, and current, energy and power at the drivers' compliance.
  ///
  /// - Parameter columns: how many are pulsed side by side at most.
  private func checkDrive(
    _ amplitude: Volts, _ width: Duration, _ block: CellBlock, columns: Int
  ) throws(BoardError) {
    if let slew = limits.slew {
      guard let fastest = drivers.slew else { throw unstated("how fast its lines change", .slew, "\(slew)") }
      guard Float(fastest.rawValue) <= Float(slew.rawValue) else {
        throw refused(.slew, fastest.rawValue, 0, slew.rawValue, block)
      }
    }
    guard limits.current != nil || limits.pulseEnergy != nil || limits.power != nil else { return }
    guard let compliance = drivers.compliance else {
      throw unstated(
        "the compliance of its drivers", .current, limits.current?.description ?? "energy and power of pulses")
    }
    if let current = limits.current, !(Float(compliance.rawValue) <= Float(current.rawValue)) {
      throw refused(.current, compliance.rawValue, 0, current.rawValue, block)
    }
    let power = amplitude.rawValue * compliance.rawValue
    if let energy = limits.pulseEnergy, !(Float(power * width.seconds) <= Float(energy.rawValue)) {
      throw refused(.pulseEnergy, power * width.seconds, 0, energy.rawValue, block)
    }
    let atOnce = Double(min(drivers.simultaneousColumns, columns))
    if let limit = limits.power, !(Float(power * atOnce) <= Float(limit.rawValue)) {
      throw refused(.power, power * atOnce, 0, limit.rawValue, block)
    }
  }

  private func unstated(_ what: String, _ limit: Refusal.Limit, _ value: String) -> BoardError {
    BoardError(
      .limitRefused, "\(limit) limit: the board does not state \(what), and the chip's record limits it (\(value))",
      address: address)
  }

  /// Pulses that the selected cells have got and may get at most by one more request.
  func check(_ cells: CellSelection, pulses count: Int, given book: PulseBook) throws(BoardError) {
    for (limit, allowed, had) in [
      (Refusal.Limit.pulsesPerRun, limits.pulsesPerRun, book.inRun(cells)),
      (.pulsesPerLife, limits.pulsesPerLife, book.inLife(cells)),
    ] {
      guard let allowed, let worst = had.max(by: { $0.pulses < $1.pulses }) else { continue }
      guard worst.pulses + count <= allowed else {
        throw refused(
          limit, Double(worst.pulses + count), 0, Double(allowed),
          CellBlock(
            macro: cells.block.macro, firstRow: worst.cell.row, firstColumn: worst.cell.column,
            shape: MacroShape(rows: 1, columns: 1)))
      }
    }
  }

  /// A cell above the resistance ceiling gets no RESET pulse; cells that were not read since the session began pass.
  func check(resetOf cells: CellSelection, lastRead: (CellAddress) -> Float) throws(BoardError) {
    guard let resistance = limits.resistance else { return }
    for index in cells.indices {
      let cell = cells.block.address(at: index)
      guard !mayReset(lastRead: lastRead(cell)) else { continue }
      let conductance = Double(lastRead(cell))
      throw refused(
        .resistance, 1 / max(conductance, 1e-12), 0, resistance.rawValue,
        CellBlock(
          macro: cell.macro, firstRow: cell.row, firstColumn: cell.column, shape: MacroShape(rows: 1, columns: 1)))
    }
  }

  /// False for a cell last read above `share` of the resistance ceiling; NaN: not read since its last pulse.
  func mayReset(lastRead conductance: Float, share: Double = 1) -> Bool {
    guard let resistance = limits.resistance, !conductance.isNaN else { return true }
    return Double(conductance) * resistance.rawValue * share >= 1
  }

  /// The die's temperature while cells are pulsed.
  func check(temperature: Celsius) throws(BoardError) {
    guard let range = limits.temperature, !range.contains(temperature) else { return }
    throw refused(.temperature, temperature.rawValue, range.lowerBound.rawValue, range.upperBound.rawValue, nil)
  }

  public func check(_ request: WriteVerify) throws(BoardError) {
    try check(request.cells)
    let block = request.cells.block
    try check(request.set, of: .set, block)
    try check(request.reset, of: .reset, block)
    try check(request.verify, block)
    try check(count: request.maximumPulses, block)
    guard request.targets.count == request.cells.count else {
      throw BoardError(
        .badArgument, "\(request.targets.count) targets for \(request.cells.count) cells of \(block)", address: address)
    }
    guard request.tolerance.isFinite, request.tolerance > .zero else {
      throw BoardError(
        .badArgument, "writing \(block): tolerance \(request.tolerance) is not above 0", address: address)
    }
    if case .gateRamp(let ramp) = request.strategy {
      try check(ramp.stop, .wordLine, limits.wordLine, drivers.wordLine, block)
      guard ramp.first.count == request.cells.count else {
        throw BoardError(
          .badArgument, "\(ramp.first.count) gate voltages for \(request.cells.count) cells of \(block)",
          address: address)
      }
    }
    guard request.windows.isEmpty || request.windows.count == request.cells.count else {
      throw BoardError(
        .badArgument, "\(request.windows.count) windows for \(request.cells.count) cells of \(block)", address: address)
    }
    if let index = request.windows.indices.first(where: { !request.windows[$0].contains(request.targets[$0]) }) {
      throw BoardError(
        .badArgument,
        "writing \(block.address(at: request.cells.indices[index])): its target \(Siemens(Double(request.targets[index]))) lies outside "
          + "of its window", address: address)
    }
    // Float is how targets travel: the ends of the window are rounded the same way.
    let low = Float(limits.conductance.lowerBound.rawValue)
    let high = Float(limits.conductance.upperBound.rawValue)
    if let index = request.targets.firstIndex(where: { !($0 >= low && $0 <= high) }) {
      let cell = block.address(at: request.cells.indices[index])
      throw refused(
        .conductance, Double(request.targets[index]), limits.conductance.lowerBound.rawValue,
        limits.conductance.upperBound.rawValue,
        CellBlock(
          macro: cell.macro, firstRow: cell.row, firstColumn: cell.column, shape: MacroShape(rows: 1, columns: 1)))
    }
  }

  public func check(_ request: MatrixProduct) throws(BoardError) {
    try check(request.block)
    guard request.inputs.count == request.block.shape.rows else {
      throw BoardError(
        .badArgument, "\(request.inputs.count) inputs for the \(request.block.shape.rows) rows of \(request.block)",
        address: address)
    }
    guard request.averages >= 1 else {
      throw BoardError(.badArgument, "\(request.averages) averages, at least 1", address: address)
    }
    try check(request.wordLine, .wordLine, limits.wordLine, drivers.wordLine, request.block)
    for input in request.inputs {
      let voltage = Volts(Double(input.description) ?? Double(input))
      try check(voltage, .read, limits.read, nil, request.block)
    }
  }

  /// Line drivers only: what other converters drive, their own range bounds.
  ///
  /// A voltage that stands on a bit or source line is no pulse: the limit of reads holds, which cells bear for long.
  public func check(_ request: SetDAC) throws(BoardError) {
    let (converter, limit, allowed): (BoardDescription.Converter, Refusal.Limit, Volts)
    switch request.kind {
    case .wordLine: (converter, limit, allowed) = (drivers.wordLine, .wordLine, limits.wordLine)
    case .bitLine: (converter, limit, allowed) = (drivers.bitLine, .read, limits.read)
    case .sourceLine: (converter, limit, allowed) = (drivers.sourceLine, .read, limits.read)
    case .embedding, .coefficient, .offset, .preset, .noise: return
    }
    guard request.code.rawValue < converter.codeCount else {
      throw BoardError(
        .badArgument, "code \(request.code.rawValue) for a converter of \(converter.bits) bits", address: address)
    }
    try check(converter.volts(request.code), limit, allowed, nil, nil)
  }

  // MARK: single values

  private func check(_ bias: ReadBias, _ block: CellBlock) throws(BoardError) {
    guard bias.averages >= 1 else {
      throw BoardError(.badArgument, "\(bias.averages) averages, at least 1", address: address)
    }
    try check(bias.wordLine, .wordLine, limits.wordLine, drivers.wordLine, block)
    try check(bias.bitLine, .read, limits.read, drivers.bitLine, block)
  }

  private func check(_ ramp: PulseRamp, of kind: PulseKind, _ block: CellBlock) throws(BoardError) {
    try check(ramp.wordLine, .wordLine, limits.wordLine, drivers.wordLine, block)
    for voltage in [ramp.start, ramp.stop] {
      switch kind {
      case .set: try check(voltage, .bitLine, limits.bitLine, drivers.bitLine, block)
      case .reset: try check(voltage, .sourceLine, limits.sourceLine, drivers.sourceLine, block)
      case .forming: try check(voltage, .forming, limits.forming, drivers.bitLine, block)
      }
    }
    guard ramp.step.isFinite, ramp.step >= .zero, ramp.stop >= ramp.start, ramp.step > .zero || ramp.stop == ramp.start
    else {
      throw BoardError(
        .badArgument, "a ramp from \(ramp.start) by \(ramp.step) to \(ramp.stop) does not rise", address: address)
    }
    try check(width: ramp.width, block)
    // Forming goes cell by cell.
    try checkDrive(ramp.stop, ramp.width, block, columns: kind == .forming ? 1 : block.shape.columns)
  }

  private func check(
    _ voltage: Volts, _ limit: Refusal.Limit, _ allowed: Volts, _ converter: BoardDescription.Converter?,
    _ block: CellBlock?
  ) throws(BoardError) {
    // As floats, as the firmware compares them: exactly the limit is allowed, however it was computed. NaN never is.
    guard Float(voltage.magnitude.rawValue) <= Float(allowed.rawValue) else {
      throw refused(limit, voltage.rawValue, -allowed.rawValue, allowed.rawValue, block)
    }
    if let converter, converter.code(nearest: voltage) == nil {
      throw refused(
        limit, voltage.rawValue, converter.reachable.lowerBound.rawValue, converter.reachable.upperBound.rawValue, block
      )
    }
  }

  private func check(width: Duration, _ block: CellBlock) throws(BoardError) {
    let shortest = max(limits.pulseWidth.lowerBound, drivers.pulseWidth.lowerBound)
    let longest = min(limits.pulseWidth.upperBound, drivers.pulseWidth.upperBound)
    guard width >= shortest, width <= longest else {
      throw refused(.pulseWidth, width.seconds * 1e9, shortest.seconds * 1e9, longest.seconds * 1e9, block)
    }
    let steps = width / drivers.pulseWidthStep
    guard abs(steps - steps.rounded()) < 1e-6 else {
      throw BoardError(
        .badArgument, "a pulse width of \(width) is no multiple of \(drivers.pulseWidthStep)", address: address)
    }
  }

  private func check(count: Int, _ block: CellBlock) throws(BoardError) {
    guard count >= 1, count <= limits.pulsesPerRequest else {
      throw refused(.pulseCount, Double(count), 1, Double(limits.pulsesPerRequest), block)
    }
  }

  private func refused(
    _ limit: Refusal.Limit, _ asked: Double, _ minimum: Double, _ maximum: Double, _ block: CellBlock?
  ) -> BoardError {
    func quantity(_ value: Double) -> String {
      switch limit.unit {
      case "V": Volts(value).description
      case "S": Siemens(value).description
      case "V/s": VoltsPerSecond(value).description
      case "A": Amperes(value).description
      case "J": Joules(value).description
      case "W": Watts(value).description
      case "Ω": Ohms(value).description
      case "°C": Celsius(value).description
      case "": value == value.rounded() && value.magnitude < 1e15 ? "\(Int(value))" : "\(value)"
      default: "\(value) \(limit.unit)"
      }
    }
    var message = "\(limit) limit: \(quantity(asked)) asked, "
    message +=
      minimum == maximum || maximum < minimum
      ? "\(quantity(maximum)) allowed" : "\(quantity(minimum)) to \(quantity(maximum)) allowed"
    var cell: CellBlock?
    if let block {
      message += block.cellCount == 1 ? ", at \(block.address(at: 0))" : ", for \(block)"
      cell = CellBlock(
        macro: block.macro, firstRow: block.firstRow, firstColumn: block.firstColumn,
        shape: MacroShape(rows: 1, columns: 1))
    }
    return BoardError(
      .limitRefused, message, address: address,
      refusal: Refusal(limit: limit, asked: asked, minimum: minimum, maximum: maximum, cell: cell))
  }
}
