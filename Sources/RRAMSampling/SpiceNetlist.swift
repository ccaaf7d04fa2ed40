public import RRAMMapping
internal import RRAMModel
public import RRAMProfiles
internal import RRAMUnits

/// One run of the programmed loop as a netlist for ngspice: another program's word on what the board integrates.
///
/// Cells are resistors between clamped row drivers and columns at virtual ground, or sources of V₀·sinh(V/V₀) each where the chip's
/// profile is known and not ohmic; a column pair's transimpedance, rectifier, multipliers and integrator currents are behavioural
/// sources, with one R and C for the pole of each amplifier and multiplier; converters are piecewise linear sources that play the
/// schedule's codes, with edges of a thousandth of a tick. Voltages are those on the board, times those of the run. It begins at the
/// operating point with x held at the start.
///
/// It holds what a host knows: placement and gains of the record, conductances read back (or targets), the schedule, and the
/// board description. Noise of the cells is left out, and so are wires: what a single row's read loses in them is in the
/// conductances that were read.
public struct SpiceNetlist: Sendable {
  /// Which conductances the cells get.
  public enum Conductances: String, Sendable, Hashable, CaseIterable, Codable {
    /// The latest read of each cell, its target where it was not read.
    case readBack
    case targets
  }

  /// The netlist; `ngspice -b FILE` runs it and prints x and y at the start and at the end of every tick.
  public let text: String
  /// Resistors in it.
  public let cells: Int
  /// Cells of them that stand at their target because they were never read.
  public let unread: Int
  /// Cells left out because they do not conduct.
  public let open: Int
  /// Start point in units as the preset converter realises it.
  public let start: [Float]

  /// Width of a converter's edge as a fraction of a tick.
  static let edge = 1e-3

  /// - Parameters:
  ///   - record: what is on the chip.
  ///   - board: the description of the board it is on.
  ///   - start: start point in units; that of the program's seed and first sample if nil. The held noise of an SDE is that of
  ///     the first sample, too.
  /// - Throws: ``ScheduleError`` if the board cannot play the program, ``SessionError`` for a start point out of range.
  public init(
    _ program: SamplingProgram, record: ProgramRecord, board: BoardDescription,
    conductances source: Conductances = .readBack, start: [Float]? = nil
  ) throws {
    let program = program.rescaled(as: record.plan)
    let schedule = try program.schedule(on: board)
    guard let loop = board.closedLoop else {
      throw ScheduleError(.noClosedLoop, "board '\(board.name)' has no closed loop")
    }
    if let start, start.count != Schedule.dimensions || !start.allSatisfy(\.isFinite) {
      throw SessionError(.invalidArgument, "start point \(start): \(Schedule.dimensions) finite numbers are needed")
    }
    let preset = PresetCodes(start ?? program.startPoints(from: program.firstSample, count: 1), loop: loop, lines: nil)
    guard start == nil || preset.clamped == 0 else {
      let reach = loop.preset.reachable
      throw SessionError(
        .presetOutOfRange,
        "start point \(start ?? []) lies outside the preset converter's \(Float(reach.lowerBound / loop.unitVoltage)) "
          + "to \(Float(reach.upperBound / loop.unitVoltage)) units")
    }
    self.start = preset.realised
    let known = try? ChipProfile.named(record.profile).cells
    var writer = Writer(
      program, schedule: schedule, record: record, board: board, loop: loop, source: source,
      cellLaw: known.flatMap { $0.curvature == 0 && $0.polarity == 1 ? nil : $0 })
    writer.writeHeader(start: preset.realised)
    writer.writeConverters(program)
    writer.writeIntegrators(start: preset.realised)
    for (index, layer) in record.plan.first.enumerated() {
      let read = index < record.conductances.count ? record.conductances[index] : []
      let values = layer.targets.indices.map { cell -> Double in
        if source == .readBack, cell < read.count, let value = read[cell] { return Double(value) }
        if source == .readBack { writer.unread += 1 }
        return Double(layer.targets[cell])
      }
      writer.writeLayer(index, layer, values, isLast: index + 1 == record.plan.first.count)
    }
    writer.writeAnalysis()
    text = writer.lines.joined(separator: "\n") + "\n"
    cells = writer.cells
    unread = writer.unread
    open = writer.open
  }
}

/// Writes the parts in turn. Nodes: x, y the state; rL_I the driven rows of layer L; cL_J its columns; uL_O the inputs of its
/// amplifiers, vL_O what their poles leave of them, hL_O their outputs; ux, uy and mx, my the same of the multipliers; a, b, eN, ox,
/// oy, nx, ny the converters.
private struct Writer {
  var lines: [String] = []
  var cells = 0
  var unread = 0
  var open = 0

  let program: SamplingProgram
  let schedule: Schedule
  let record: ProgramRecord
  let board: BoardDescription
  let loop: BoardDescription.ClosedLoop
  let source: SpiceNetlist.Conductances
  /// How cells conduct; nil: ohmic.
  let cellLaw: ChipProfile.Cells?
  let axes = ["x", "y"]

  init(
    _ program: SamplingProgram, schedule: Schedule, record: ProgramRecord, board: BoardDescription,
    loop: BoardDescription.ClosedLoop, source: SpiceNetlist.Conductances, cellLaw: ChipProfile.Cells?
  ) {
    self.cellLaw = cellLaw
    self.program = program
    self.schedule = schedule
    self.record = record
    self.board = board
    self.loop = loop
    self.source = source
  }

  private var runTime: Double { Self.seconds(loop.runTime) }
  private var tick: Double { Self.seconds(schedule.tick) }
  private var duration: Double { Self.seconds(schedule.tick * schedule.ticks) }
  /// Divided, not multiplied by 1e-18: 20 µs shall stand as 2e-05.
  private static func seconds(_ duration: Duration) -> Double {
    let (seconds, attoseconds) = duration.components
    return Double(seconds) + Double(attoseconds) / 1e18
  }
  private var last: Int { record.plan.first.count - 1 }

  // MARK: Parts

  mutating func writeHeader(start: [Float]) {
    let label = program.classLabel.map { ", class \($0)" } ?? ""
    lines += [
      "* '\(record.model)' on board '\(board.name)', chip \(record.chip), label \(record.label)",
      "* \(program.equation.rawValue.uppercased())\(label), beta scale \(program.process.scale), \(schedule.ticks) ticks of "
        + "\(schedule.tick), from (\(start.map { "\($0)" }.joined(separator: ", "))) units",
      "* cells: \(source == .readBack ? "latest read-back" : "targets"), without noise and without wires",
      "* 1 unit = \(loop.unitVoltage); C dv/dt = (C/runTime)*(m + offset + noise), m = a*v + b*gain*net(v, e) behind a pole",
      "* ngspice -b THISFILE prints v(x) and v(y) at the start and at the end of every tick",
      "",
      ".param unit=\(loop.unitVoltage.rawValue)",
      ".param coefficient=\(loop.coefficientUnit.rawValue)",
      ".param clamp=\(loop.rowClamp.rawValue)",
      ".param rail=\(loop.amplifierRail.rawValue)",
      ".param xrail=\(loop.integratorRail.rawValue)",
      ".param gain=\(loop.outputAmplifier)",
      ".param runtime=\(runTime)",
      ".param cap=1n",
      ".param ramplifier=1k camplifier=\(1e-3 / (2 * Double.pi * loop.amplifierBandwidth))",
      ".param rmultiplier=1k cmultiplier=\(1e-3 / (2 * Double.pi * loop.multiplierBandwidth))",
    ]
    if let law = cellLaw {
      let (c, read) = (law.curvature, law.readVoltage.rawValue)
      lines += [
        "* current of a cell, in volts times its conductance at \(law.readVoltage)",
        c == 0
          ? ".func cell(v) {v*((v<0) ? \(law.polarity) : 1)}"
          : ".func cell(v) {\(read)*sinh(\(c)*(v))/sinh(\(c * read))*((v<0) ? \(law.polarity) : 1)}",
      ]
    }
    lines.append("")
  }

  mutating func writeConverters(_ program: SamplingProgram) {
    lines.append("* converters")
    writeSource("a", channel: 0, loop.coefficient)
    writeSource("b", channel: 1, loop.coefficient)
    let embedded = record.plan.first.dropLast().map(\.outputs).max() ?? 0
    for channel in 0..<min(embedded, loop.embeddingChannels) {
      writeSource("e\(channel)", channel: 2 + channel, loop.embedding)
    }
    if let offset = loop.offset {
      for (axis, name) in axes.enumerated() {
        writeSource("o\(name)", channel: 2 + loop.embeddingChannels + axis, offset)
      }
    }
    if !schedule.noise.isEmpty {
      lines.append("* held noise of sample \(program.firstSample), seed \(program.seed), at the noise converter")
      for (axis, name) in axes.enumerated() { writePieces("n\(name)", heldNoise(program, axis)) }
    }
    lines.append("")
  }

  /// Volts at the noise converter, one a tick: none in the last.
  private func heldNoise(_ program: SamplingProgram, _ axis: Int) -> [Double] {
    let converter = loop.noise
    let limit = Double(DigitalSolver.noiseLimit)
    return schedule.noise.enumerated().map { index, sigma in
      guard sigma > 0, index + 1 < schedule.ticks else { return 0 }
      let drawn = SamplingNoise.wiener(
        seed: program.seed, sample: program.firstSample, tick: UInt32(index), channel: UInt32(axis))
      let asked = Volts(Double(sigma) * min(max(Double(drawn), -limit), limit))
      let reach = converter.reachable
      let code = converter.code(nearest: min(max(asked, reach.lowerBound), reach.upperBound))
      return code.map { converter.volts($0).rawValue } ?? 0
    }
  }

  private mutating func writeSource(_ node: String, channel: Int, _ converter: BoardDescription.Converter) {
    let values = (0..<schedule.ticks).map {
      converter.volts(DACCode(rawValue: UInt32(schedule.codes[$0 * schedule.channels + channel]))).rawValue
    }
    writePieces(node, values)
  }

  /// A source that holds one value a tick.
  private mutating func writePieces(_ node: String, _ values: [Double]) {
    guard let first = values.first, values.contains(where: { $0 != first }) else {
      lines.append("V\(node) \(node) 0 \(values.first ?? 0)")
      return
    }
    let half = SpiceNetlist.edge * tick / 2
    var points = ["0 \(first)"]
    for index in 1..<values.count where values[index] != values[index - 1] {
      let time = Double(index) * tick
      points.append("\(time - half) \(values[index - 1]) \(time + half) \(values[index])")
    }
    lines.append("V\(node) \(node) 0 PWL(")
    lines += points.map { "+ \($0)" }
    lines.append("+ )")
  }

  mutating func writeIntegrators(start: [Float]) {
    lines.append("* integrators: beyond their rail the current turns round within a thousandth of the run")
    for (axis, name) in axes.enumerated() {
      let initial = Double(start[axis]) * loop.unitVoltage.rawValue
      let offset = loop.offset == nil ? "" : " + v(o\(name))"
      let noise = schedule.noise.isEmpty ? "" : " + \(loop.noiseGain)*v(n\(name))"
      lines += [
        "Bu\(name) u\(name) 0 V=v(a)/{coefficient}*v(\(name)) + v(b)/{coefficient}*{gain}*v(h\(last)_\(axis))",
        "Rm\(name) u\(name) m\(name) {rmultiplier}",
        "Cm\(name) m\(name) 0 {cmultiplier}",
        "C\(name) \(name) 0 {cap}",
        ".ic v(\(name))=\(initial)",
        "B\(name) 0 \(name) I={cap/runtime}*(v(m\(name))\(offset)\(noise) - 1000*(max(v(\(name))-{xrail},0) - max(-v(\(name))-{xrail},0)))",
      ]
    }
    lines.append("")
  }

  mutating func writeLayer(
    _ index: Int, _ layer: MappingPlan.LayerPlacement, _ values: [Double], isLast: Bool
  ) {
    let columns = layer.block.shape.columns
    lines.append("* layer \(index): \(layer.inputs) inputs and bias, \(layer.outputs) outputs, at \(layer.block)")
    for (row, drive) in layer.rows.enumerated() {
      let node = "r\(index)_\(row)"
      let factor = drive.factor == 1 ? "" : "\(drive.factor)*"
      switch drive.input {
      case nil: lines.append("V\(node) \(node) 0 0")
      case layer.inputs: lines.append("V\(node) \(node) 0 \(drive.factor == 1 ? "{unit}" : "{\(factor)unit}")")
      case .some(let input):
        let from = index == 0 ? axes[input] : "h\(index - 1)_\(input)"
        lines.append("B\(node) \(node) 0 V=\(factor)max(min(v(\(from)),{clamp}),-{clamp})")
      }
    }
    for column in 0..<columns { lines.append("Vc\(index)_\(column) c\(index)_\(column) 0 0") }
    for (cell, conductance) in values.enumerated() {
      let (row, column) = (cell / columns, cell % columns)
      guard conductance > 0 else {
        open += 1
        lines.append("* cell \(row),\(column) does not conduct")
        continue
      }
      cells += 1
      let ends = "r\(index)_\(row) c\(index)_\(column)"
      lines.append(
        cellLaw == nil
          ? "Rg\(index)_\(row)_\(column) \(ends) \(1 / conductance)"
          : "Bg\(index)_\(row)_\(column) \(ends) I=\(conductance)*cell(v(r\(index)_\(row),c\(index)_\(column)))")
    }
    for output in 0..<layer.outputs {
      let gain = layer.columnGain[output]
      let sum = "\(gain)*(i(Vc\(index)_\(2 * output)) - i(Vc\(index)_\(2 * output + 1)))"
      var input = sum
      if !isLast, output < loop.embeddingChannels {
        switch loop.embeddingInjection {
        case .afterGain: input += " + v(e\(output))"
        // The current is that of the embedding voltage behind the largest transimpedance.
        case .current: input += " + \(gain / loop.columnGain.upperBound.rawValue)*v(e\(output))"
        }
      }
      let node = "\(index)_\(output)"
      lines += [
        "Bu\(node) u\(node) 0 V=\(input)",
        "Rv\(node) u\(node) v\(node) {ramplifier}",
        "Cv\(node) v\(node) 0 {camplifier}",
        "Bh\(node) h\(node) 0 V=max(min(v(v\(node)),{rail}),\(isLast ? "-{rail}" : "0"))",
      ]
    }
    lines.append("")
  }

  mutating func writeAnalysis() {
    lines += [
      ".options reltol=1e-5 abstol=1e-15 vntol=1e-9 chgtol=1e-18 interp",
      ".tran \(tick) \(duration) 0 \(tick / 2)",
      ".save v(x) v(y)",
      ".print tran v(x) v(y)",
      ".end",
    ]
  }
}
