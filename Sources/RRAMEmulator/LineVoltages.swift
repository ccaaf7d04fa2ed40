internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

/// The bias converters as SetDac leaves them.
///
/// Bit-line channel = macro · rows + row, source-line and column channel = macro · columns + column; a word line counts like
/// the lines it runs along. The loop's
/// converters count from 0: embedding; coefficient 0 = a, 1 = b; offset and preset 0 = x, 1 = y.
struct LineVoltages {
  struct Output: Hashable {
    var kind: DACKind
    var channel: Int
  }

  private let board: BoardDescription
  private var volts: [Output: Double] = [:]

  init(_ board: BoardDescription) { self.board = board }

  /// The voltage at an output; 0 V where nothing was set.
  subscript(output: Output) -> Double {
    get { volts[output] ?? 0 }
    set { volts[output] = newValue }
  }

  mutating func ground() { volts.removeAll() }

  /// Checks a SetDac and makes the operation that does it; `set` is called with the output and its voltage.
  func setOperation(
    _ request: SetDAC, _ chip: Chip, _ set: @escaping (Output, Double) -> Void
  ) throws(RequestFailure) -> any Operation {
    let (converter, channels) = try converter(request.kind)
    guard request.channel < channels else {
      throw RequestFailure(.badArgument, "channel \(request.channel) of \(channels): set_dac.channel")
    }
    guard Int(request.code.rawValue) < converter.codeCount else {
      throw RequestFailure(
        .badArgument, "code \(request.code.rawValue) of a converter with \(converter.bits) bits: set_dac.code")
    }
    let voltage = converter.volts(request.code)
    var macros = MacroSet.all
    switch request.kind {
    case .wordLine:
      try chip.check.wordLine(voltage)
      let lines = board.macros.wordLines == .parallelToBitLines ? chip.shape.rows : chip.shape.columns
      macros = MacroSet(CollectionOfOne(request.channel / lines))
    case .bitLine:
      try chip.check.standing(voltage)
      macros = MacroSet(CollectionOfOne(request.channel / chip.shape.rows))
    case .sourceLine:
      try chip.check.standing(voltage)
      macros = MacroSet(CollectionOfOne(request.channel / chip.shape.columns))
    case .embedding, .coefficient, .offset, .preset: break
    }
    let settling = board.drivers.settling
    return ImmediateOperation(macros: macros, energises: true) { chip throws(RequestFailure) in
      set(Output(kind: request.kind, channel: request.channel), voltage.rawValue)
      chip.advance(settling)
      return .setDAC(SetDACResult(voltage: voltage))
    }
  }

  /// Checks a ReadAdc and makes the operation that does it.
  func readOperation(
    _ request: ReadADC, _ chip: Chip, integrators: [Double]?, _ lines: @escaping () -> LineVoltages
  ) throws(RequestFailure) -> any Operation {
    let columns = chip.shape.columns
    let channels =
      switch request.kind {
      case .column: chip.macroCount * columns
      case .integrator: integrators?.count ?? 0
      case .temperature: 1
      case .reference: (1 + board.sensing.ranges.count) * chip.referenceCount * chip.macroCount * columns
      }
    guard request.channel < channels else {
      throw RequestFailure(.badArgument, "channel \(request.channel) of \(channels): read_adc.channel")
    }
    let macro = request.channel / columns % chip.macroCount
    let macros = request.kind == .column || request.kind == .reference ? MacroSet(CollectionOfOne(macro)) : .all
    let readOut = board.closedLoop?.readOut
    let readOutTime = board.closedLoop?.readOutTime ?? .zero
    return ImmediateOperation(macros: macros) { chip throws(RequestFailure) in
      switch request.kind {
      case .column:
        let result = try chip.columnVoltage(macro: macro, column: request.channel % columns, lines())
        return .adc(result)
      case .reference:
        let reference = request.channel / columns / chip.macroCount
        let range = reference / chip.referenceCount
        return .adc(
          chip.referenceReading(
            reference % chip.referenceCount, macro: macro, column: request.channel % columns,
            range: range == 0 ? nil : range - 1))
      case .integrator:
        chip.advance(readOutTime)
        guard let readOut, let integrators else { return .adc(ADCResult(code: ADCCode(rawValue: 0), value: 0)) }
        let scale = ConverterScale(readOut)
        let (code, saturated) = scale.code(integrators[request.channel])
        return .adc(
          ADCResult(code: ADCCode(rawValue: UInt32(code)), value: scale.volts(code), isSaturated: saturated))
      case .temperature:
        // A sensor with 1/16 °C a code.
        let code = (max(0, chip.celsius) * 16).rounded()
        return .adc(ADCResult(code: ADCCode(rawValue: UInt32(code)), value: code / 16))
      }
    }
  }

  private func converter(
    _ kind: DACKind
  ) throws(RequestFailure) -> (converter: BoardDescription.Converter, channels: Int) {
    let shape = board.macros.shape
    switch kind {
    case .wordLine:
      let lines = board.macros.wordLines == .parallelToBitLines ? shape.rows : shape.columns
      return (board.drivers.wordLine, board.macros.count * lines)
    case .bitLine: return (board.drivers.bitLine, board.macros.count * shape.rows)
    case .sourceLine: return (board.drivers.sourceLine, board.macros.count * shape.columns)
    case .embedding, .coefficient, .offset, .preset:
      guard let loop = board.closedLoop else {
        throw RequestFailure(.unsupported, "board \(board.name) has no closed loop and no such converter")
      }
      switch kind {
      case .embedding: return (loop.embedding, loop.embeddingChannels)
      case .coefficient: return (loop.coefficient, 2)
      case .offset:
        guard let offset = loop.offset else {
          throw RequestFailure(.unsupported, "board \(board.name) has no offset channels")
        }
        return (offset, 2)
      default: return (loop.preset, 2)
      }
    }
  }
}
