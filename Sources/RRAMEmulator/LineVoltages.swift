internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

/// The bias converters as SetDac leaves them.
///
/// Bit-line channel = macro · rows + row, source-line and column channel = macro · columns + column; a word line counts like
/// the lines it runs along. The loop's converters count from 0, see ``ConverterLines``.
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
    _ request: SetDAC, _ chip: Chip, _ loop: LoopSequencer?, _ set: @escaping (Output, Double) -> Void
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
    case .embedding, .coefficient, .offset, .preset, .noise: break
    }
    let settling = board.drivers.settling
    return ImmediateOperation(macros: macros, energises: true) { chip throws(RequestFailure) in
      let output = Output(kind: request.kind, channel: request.channel)
      if let kind = request.kind.loopConverter, let loop {
        let code = Int(request.code.rawValue)
        set(output, loop.output(kind, request.channel, code, ConverterScale(converter)))
        if kind == .preset { loop.preset(request.channel, code: code) }
      } else {
        set(output, voltage.rawValue)
      }
      chip.advance(settling)
      return .setDAC(SetDACResult(voltage: voltage))
    }
  }

  /// Checks a ReadAdc and makes the operation that does it.
  func readOperation(
    _ request: ReadADC, _ chip: Chip, _ loop: LoopSequencer?, _ lines: @escaping () -> LineVoltages
  ) throws(RequestFailure) -> any Operation {
    let columns = chip.shape.columns
    let channels =
      switch request.kind {
      case .column: chip.macroCount * columns
      case .integrator: loop == nil ? 0 : LoopSequencer.dimensions
      case .temperature: 1
      case .reference: (1 + board.sensing.ranges.count) * chip.referenceCount * chip.macroCount * columns
      case .loopback: try loopbackChannels(request.source)
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
        guard let readOut, let loop else { return .adc(ADCResult(code: ADCCode(rawValue: 0), value: 0)) }
        let scale = ConverterScale(readOut)
        let (code, saturated) = scale.code(chip.integratorVoltage(loop, request.channel, scale))
        return .adc(
          ADCResult(code: ADCCode(rawValue: UInt32(code)), value: scale.volts(code), isSaturated: saturated))
      case .loopback:
        guard let loop, let loopback = loop.description.loopback else {
          throw RequestFailure(.unsupported, "no converter of the board can be read back")
        }
        let voltage =
          if let source = request.source {
            lines()[.init(kind: source, channel: request.channel)]
          } else {
            request.channel == 0 ? 0 : chip.voltageReference(loopback)
          }
        return .adc(chip.loopbackReading(voltage, loop, loopback))
      case .temperature:
        // A sensor with 1/16 °C a code.
        let code = (max(0, chip.celsius) * 16).rounded()
        return .adc(ADCResult(code: ADCCode(rawValue: UInt32(code)), value: code / 16))
      }
    }
  }

  /// Outputs that can be read back; `source` nil: known voltages.
  private func loopbackChannels(_ source: DACKind?) throws(RequestFailure) -> Int {
    guard let loopback = board.closedLoop?.loopback else {
      throw RequestFailure(.unsupported, "no converter of board \(board.name) can be read back: read_adc.kind")
    }
    guard let source else { return loopback.reference == nil ? 1 : 2 }
    guard source.loopConverter != nil else {
      throw RequestFailure(.badArgument, "a line's driver cannot be read back: read_adc.dac_kind")
    }
    return try converter(source).channels
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
    case .embedding, .coefficient, .offset, .preset, .noise:
      guard let loop = board.closedLoop, let own = kind.loopConverter else {
        throw RequestFailure(.unsupported, "board \(board.name) has no closed loop and no such converter")
      }
      guard let converter = loop.converter(of: own) else {
        throw RequestFailure(.unsupported, "board \(board.name) has no offset channels")
      }
      return (converter, loop.channels(of: own))
    }
  }
}

extension DACKind {
  /// The loop's converters among them; nil for lines.
  var loopConverter: LoopConverter? {
    switch self {
    case .embedding: .embedding
    case .coefficient: .coefficient
    case .offset: .offset
    case .preset: .preset
    case .noise: .noise
    case .wordLine, .bitLine, .sourceLine: nil
    }
  }
}
