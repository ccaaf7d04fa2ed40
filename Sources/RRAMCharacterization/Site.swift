public import RRAMBoard
internal import RRAMMapping
public import RRAMProfiles
internal import RRAMRecords
public import RRAMUnits
internal import RRAMWire

/// Where a characterization works: one macro of a board, with the voltages of the chip's profile.
///
/// Procedures ask the board through it: every answer is logged and kept, and a step that was cut off goes on behind the last one.
public struct Site: Sendable {
  public let board: Board
  public let profile: ChipProfile
  /// The whole macro.
  public let block: CellBlock
  public let surroundings: Surroundings
  /// Cells that are left alone: known to be bad, or named by the operator.
  public var excluded: Set<CellAddress>
  /// nil: nothing is measured, only planned.
  let log: EventLog?
  var journal: StepJournal?
  let progress: @Sendable (_ finished: Int, _ total: Int) -> Void

  /// Chip time of one read of one cell and of one pulse, by the board's description.
  var readSeconds: Double {
    let sensing = board.boardDescription.sensing
    return sensing.conversionTime.seconds + sensing.integrationTime.seconds
  }
  var pulseSeconds: Double {
    profile.programming.set.width.seconds + board.boardDescription.drivers.settling.seconds
  }

  /// What tells a formed cell from a pristine one, and a stuck one from both.
  var formedAbove: Siemens { profile.formedAbove }
  var stuckAbove: Siemens { profile.stuckAbove }

  // MARK: Questions to the board

  /// The answer to a question: from the journal where the step has asked it before, else from the board.
  ///
  /// - Parameter live: asks the board, and writes what it answered into the log.
  func ask(
    _ name: String, _ live: () async throws -> StepJournal.Outcome
  ) async throws -> StepJournal.Outcome {
    if let kept = try journal?.replay(name) { return kept }
    try Task.checkCancellation()
    var outcome = try await live()
    outcome.time = await now()
    // Measured is what a kill -9 leaves.
    try log?.flush()
    try journal?.append(name, outcome)
    return outcome
  }

  /// The step's clock, seconds: the board's, which goes on where a run that was cut off stood.
  private func now() async -> Double {
    let time = await board.boardTime.seconds
    return journal?.time(time) ?? time
  }

  /// The step's clock, as the board's latest answer shows it, after asking the board for one.
  func time() async throws -> Double {
    try await ask("time") {
      try await board.heartbeat()
      return .init()
    }.time
  }

  /// Lets chip time pass until the step's clock shows `time`.
  func wait(until time: Double) async throws {
    _ = try await ask("wait") {
      let missing = time - (await now())
      if missing > 0 { try await board.wait(.seconds(missing)) }
      return .init()
    }
  }

  /// Brings the chip to a temperature; nil: only asks for it.
  func temperature(_ celsius: Double? = nil) async throws -> Double? {
    let found = try await ask("temperature") {
      if let celsius { try await surroundings.bring?(board, celsius) }
      return .init(numbers: (try await surroundings.temperature(board)).map { [$0] } ?? [])
    }.numbers.first
    log?.setTemperature(celsius: found)
    return found
  }

  /// Reads cells and writes what was read into the run's log.
  ///
  /// - Parameters:
  ///   - bias: nil: the board's own.
  ///   - voltage: of the pulse just before, RESET negative; for the log.
  func read(
    _ cells: CellSelection, averages: Int = 1, bias: ReadBias? = nil, after voltage: Volts? = nil, as event: String
  ) async throws -> [Float] {
    try await timedRead(cells, averages: averages, bias: bias, after: voltage, as: event).values
  }

  /// The same with the step's clock after it, seconds.
  func timedRead(
    _ cells: CellSelection, averages: Int = 1, bias: ReadBias? = nil, after voltage: Volts? = nil, as event: String
  ) async throws -> (values: [Float], time: Double) {
    let outcome = try await ask("read \(event)") {
      let values = try await board.read(cells, bias: bias ?? board.defaultReadBias(averages: averages))
      try await record(cells, values, voltage: voltage, as: event)
      return .init(values: values)
    }
    return (outcome.values, outcome.time)
  }

  /// Conductances with what the board knows of forming: 1 formed, 0 not, nothing where it does not keep it.
  func readings(_ cells: CellSelection) async throws -> (conductance: [Float], formed: [Bool]) {
    let outcome = try await ask("readings") {
      let readings = try await board.readings(cells)
      return .init(numbers: readings.formed.map { $0 ? 1 : 0 }, values: readings.conductance)
    }
    return (conductance: outcome.values, formed: outcome.numbers.map { $0 == 1 })
  }

  /// Share of the chip's resistance ceiling above which a cell gets no further RESET: the board, which refuses the pulse of all for one
  /// cell above it, reads without the host's calibration.
  static let ceilingShare = 0.5

  /// Gives every cell one pulse of the kind's own word line and width; a RESET leaves out those that were last read near the chip's
  /// resistance ceiling.
  ///
  /// - Returns: places in the selection of the cells that were left out.
  @discardableResult func pulse(
    _ cells: CellSelection, _ kind: PulseKind, amplitude: Volts, count: Int = 1
  ) async throws -> [Int] {
    try await leavingOut("pulse", cells, kind == .reset) { open in
      var request = request(open, kind, amplitude: amplitude)
      request.count = count
      _ = try await board.pulse(request)
    }
  }

  /// - Returns: places in the selection of the cells that were left out, as of a RESET.
  @discardableResult func cycle(_ request: CycleCells) async throws -> [Int] {
    try await leavingOut("cycle", request.cells, true) { open in
      var request = request
      request.cells = open
      _ = try await board.cycle(request)
    }
  }

  /// Pulses the cells of a selection that may be pulsed, and keeps which were not.
  private func leavingOut(
    _ name: String, _ cells: CellSelection, _ isReset: Bool, _ live: (CellSelection) async throws -> Void
  ) async throws -> [Int] {
    let outcome = try await ask(name) {
      let open = isReset ? await board.resettable(cells, share: Self.ceilingShare) : cells
      if open.count > 0 { try await live(open) }
      let pulsed = Set(open.indices)
      return .init(numbers: cells.indices.enumerated().filter { !pulsed.contains($1) }.map { Double($0.offset) })
    }
    return outcome.numbers.map { Int($0) }
  }

  /// Above this resistance, ohms, a cell gets no further RESET; 0 where the chip states no ceiling.
  var resetEnds: Double { (board.limits.resistance?.rawValue ?? 0) * Self.ceilingShare }

  /// Cells of a part: of these alone a run that is cut off does not know all.
  static let cellsUnderWay = 64

  /// An operation with a report of every cell, in parts.
  ///
  /// - Parameter partSize: cells of a part.
  ///
  /// - Returns: the report, and the places in it of cells that were under way when the run was cut off before: they count only the
  ///   pulses and reads since then.
  func report(
    _ name: String, _ cells: CellSelection, partSize: Int = Site.cellsUnderWay,
    _ live: (CellSelection, @escaping @Sendable (OperationProgress) -> Void) async throws -> CellReport
  ) async throws -> (report: CellReport, cutOff: Set<Int>) {
    precondition(cells.block == block, "a selection of \(cells.block) at a site of \(block)")
    let indices = cells.indices
    var whole = CellReport(selection: cells)
    (whole.conductance, whole.formingVoltage, whole.pulses, whole.reads, whole.reasons) = ([], [], [], [], [])
    var cutOff: Set<Int> = []
    for first in stride(from: 0, to: indices.count, by: partSize) {
      let part = selection(indices[first..<min(first + partSize, indices.count)])
      let count = part.count
      // A beginning without an end in the journal: this part was under way.
      let wasBegun = journal?.hasAnswers ?? false
      _ = try await ask("\(name) begins") { .init() }
      let outcome = try await ask(name) {
        let report = try await live(part) { progress(first + $0.finished, indices.count) }
        try await record(part, report.conductance, pulses: report.pulses, as: name)
        return .init(
          numbers: report.pulses.map(Double.init) + report.reads.map(Double.init)
            + report.reasons.map { Double($0.rawValue) } + [wasBegun ? 1 : 0],
          values: report.conductance + report.formingVoltage)
      }
      guard outcome.values.count == 2 * count, outcome.numbers.count == 3 * count + 1 else {
        throw CharacterizationError(.malformedRecord, "the journal's answer to '\(name)' is not for \(count) cells")
      }
      whole.conductance += outcome.values[..<count]
      whole.formingVoltage += outcome.values[count...]
      whole.pulses += outcome.numbers[..<count].map { UInt32($0) }
      whole.reads += outcome.numbers[count..<2 * count].map { UInt32($0) }
      whole.reasons += outcome.numbers[2 * count..<3 * count].map { CellReason(rawValue: UInt8($0)) }
      if outcome.numbers[3 * count] == 1 { cutOff.formUnion(first..<first + count) }
    }
    return (whole, cutOff)
  }

  /// Currents of a block's columns, amperes.
  func product(_ request: MatrixProduct) async throws -> [Float] {
    try await ask("product") { .init(values: try await board.matrixProduct(request)) }.values
  }

  /// What the amplifier of every column shows of a known input, siemens; `number` as in ``ReadADC/reference(_:macro:column:of:)``.
  ///
  /// - Parameter range: of the description's ranges; nil: that of reads.
  /// - Returns: nothing if the board does not know that range.
  func reference(_ number: Int, range: Int? = nil, averages: Int) async throws -> [Double] {
    let macros = (count: board.boardDescription.macros.count, shape: block.shape)
    let inputs = 1 + (board.boardDescription.sensing.references?.resistors.count ?? 0)
    return try await ask("reference") {
      var shown: [Double] = []
      for column in 0..<block.shape.columns {
        let request = ReadADC.reference(
          number, macro: block.macro, column: column, of: macros, range: range.map { ($0, inputs) })
        var sum = 0.0
        for _ in 0..<averages {
          do {
            let answer = try await board.exchange(request)
            guard !answer.isSaturated else {
              throw CharacterizationError(
                .instrument,
                "column \(column) of macro \(block.macro): the converter is saturated by reference \(number)")
            }
            sum += answer.value
          } catch let error as BoardError where error.code == .badArgument && range != nil && shown.isEmpty {
            return .init()
          }
        }
        shown.append(sum / Double(averages))
      }
      return .init(numbers: shown)
    }.numbers
  }

  private func record(
    _ cells: CellSelection, _ conductances: [Float], pulses: [UInt32]? = nil, voltage: Volts? = nil, as event: String
  ) async throws {
    let time = await board.boardTime
    try log?.append(
      cells.indices.enumerated().map { place, index in
        .init(
          event, boardTime: time, cell: cells.block.address(at: index),
          conductance: conductances[place].isFinite ? Siemens(Double(conductances[place])) : nil, voltage: voltage,
          pulses: pulses.map { Int($0[place]) }, reads: 1)
      })
  }

  // MARK: Cells

  /// Cells of the macro that the board does not know to be formed and that do not conduct as formed ones do.
  func unformed() async throws -> [CellAddress] {
    let readings = try await readings(CellSelection(block: block))
    return (0..<block.cellCount).filter {
      !(!readings.formed.isEmpty && readings.formed[$0]) && Double(readings.conductance[$0]) < formedAbove.rawValue
    }.map { block.address(at: $0) }
  }

  /// Cells of the macro that may be used, at most `count`, spread evenly over it.
  func cells(_ count: Int) throws -> CellSelection {
    let usable = (0..<block.cellCount).filter { !excluded.contains(block.address(at: $0)) }
    guard !usable.isEmpty else {
      throw CharacterizationError(
        .place, "macro \(block.macro): none of its \(block.cellCount) cells is formed and can be used")
    }
    let taken = min(count, usable.count)
    var mask = CellMask(cellCount: block.cellCount)
    for index in 0..<taken { mask[usable[index * usable.count / taken]] = true }
    return CellSelection(block: block, mask: mask)
  }

  /// A selection of single cells of the macro.
  func selection(_ indices: some Sequence<Int>) -> CellSelection {
    var mask = CellMask(cellCount: block.cellCount)
    for index in indices { mask[index] = true }
    return CellSelection(block: block, mask: mask)
  }

  // MARK: Pulses

  func request(_ cells: CellSelection, _ kind: PulseKind, amplitude: Volts) -> Pulse {
    let bias = kind == .set ? profile.programming.set : profile.programming.reset
    return Pulse(
      cells: cells, kind: kind, wordLine: bias.wordLine, bitLine: kind == .set ? amplitude : .zero,
      sourceLine: kind == .reset ? amplitude : .zero, width: bias.width)
  }

  /// Amplitudes of the profile's ramp of a kind, in volts.
  func ramp(_ kind: PulseKind) -> [Double] {
    let bias = kind == .set ? profile.programming.set : profile.programming.reset
    let steps = Int(((bias.stop - bias.start) / bias.step + 1e-6).rounded(.down))
    return (0...max(0, steps)).map { bias.start.rawValue + Double($0) * bias.step.rawValue }
  }

  /// Cycles across the whole window: the last amplitudes of the profile's ramps.
  func fullCycles(_ cells: CellSelection, count: Int) -> CycleCells {
    func shape(_ bias: ChipProfile.Programming.Bias) -> CycleCells.Shape {
      .init(wordLine: bias.wordLine, amplitude: bias.stop, width: bias.width)
    }
    return CycleCells(
      cells: cells, set: shape(profile.programming.set), reset: shape(profile.programming.reset), count: count)
  }
}
