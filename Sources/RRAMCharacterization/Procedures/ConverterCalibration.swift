internal import Foundation
public import RRAMBoard
internal import RRAMFiles
internal import RRAMProfiles
internal import RRAMRecords
public import RRAMUnits
internal import RRAMWire

/// Known inputs through the amplifier of every column: its gain and offset, and what is left of a straight line.
///
/// An open input and the board's reference resistors are read, in the range of reads and in every other one as far as it carries them; what the
/// resistors are worth is the board's description with its tolerance, or what an instrument measured. Then the converters of the closed loop are
/// read back, see ``LoopConverters``.
public struct ConverterCalibration: PlanStep {
  public static let name = "converters"
  public static let title = "Converters and amplifiers"
  public static let needsFormedCells = false
  public static let wears = false
  static let settings: [Setting<Self>] = [
    .whole(
      "averages", \.averages, in: 1...4096, "conversions averaged per input and column, and per code of a channel"),
    .quantities(
      "measured", .resistance, "what an instrument measured of the board's resistors, in their order",
      none: "their nominal values", get: { $0.measured?.map(\.rawValue) }, set: { $0.measured = $1.map { Ohms($0) } }),
    .quantity(
      "measuredReference", .voltage, "what an instrument measured of the board's voltage reference",
      none: "its nominal value", get: { $0.measuredReference?.rawValue }, set: { $0.measuredReference = Volts($1) }),
    .other(
      "instrument", "which instrument that was", values: "text", none: "none",
      text: { $0.instrument.isEmpty ? nil : $0.instrument },
      read: { section, step throws(ProfileError) in step.instrument = try section.text("instrument") }),
    .other(
      "meter", "a source-meter that is asked for the resistors, and behind them for the voltage reference",
      values: "HOST:PORT", none: "none", text: { _ in nil },
      read: { section, step throws(ProfileError) in
        step.meter = SourceMeter.Address(try section.text("meter"))
        let isAddress = step.meter != nil
        try section.require(isAddress, "meter", "is not HOST:PORT of an instrument")
      }),
  ]

  /// Conversions averaged per input and column, and per code of a channel.
  public var averages = 16
  /// What an instrument measured of the board's resistors, in their order; nil: their nominal values hold.
  public var measured: [Ohms]?
  /// What an instrument measured of the board's voltage reference; nil: its nominal value holds.
  public var measuredReference: Volts?
  /// Which instrument that was.
  public var instrument = ""
  /// A source-meter that is asked for the resistors, and behind them for the voltage reference; nil: none.
  public var meter: SourceMeter.Address?

  public init() {}

  func require(_ section: ProfileSection) throws(ProfileError) {
    try section.require(
      (measured == nil && measuredReference == nil) == instrument.isEmpty,
      measuredReference == nil ? "measured" : "measuredReference",
      "needs 'instrument' beside it, and the other way round")
    try section.require(
      measuredReference.map { $0 > .zero } ?? true, "measuredReference", "is not greater than 0")
    try section.require(
      measured?.allSatisfy { $0 > .zero } ?? true, "measured", "holds a resistance that is not greater than 0")
    try section.require(
      meter == nil || (measured == nil && measuredReference == nil), "meter",
      "stands beside 'measured' or 'measuredReference': one of them says what resistors and reference are")
  }

  public func obstacle(at site: Site) -> String? {
    let loop = LoopConverters.obstacle(on: site.board)
    if measuredReference != nil {
      guard loop == nil, site.board.boardDescription.closedLoop?.loopback?.reference != nil else {
        return "a voltage reference was measured and the board has none that it can read back"
      }
    }
    guard let references = references(at: site) else {
      return loop.map { "the board has no known inputs, and \($0)" }
    }
    if let measured, measured.count != references.resistors.count {
      return "\(measured.count) values were measured and the board has \(references.resistors.count) resistors"
    }
    return nil
  }

  /// Known inputs of the amplifiers; nil where the board has none.
  private func references(at site: Site) -> BoardDescription.Sensing.References? {
    site.board.info.capabilities.contains(.rawConverters) ? site.board.boardDescription.sensing.references : nil
  }

  public func cost(at site: Site) -> Cost {
    let inputs =
      references(at: site).map { references in
        site.board.boardDescription.sensing.ranges.indices.reduce(references.resistors.count + 1) {
          $0 + Self.inputs(ofRange: $1, at: site).count
        }
      } ?? 0
    let reads = inputs * site.block.shape.columns * averages
    return Cost(reads: reads, chipSeconds: Double(reads) * (site.readSeconds + site.board.info.busRoundTrip.seconds))
      + LoopConverters.cost(at: site, averages: averages)
  }

  public func check(at site: Site) throws {
    try refuseImplausible(resistors: measured, reference: measuredReference, at: site)
  }

  /// What differs from the described value by more, and by more than twice its tolerance, is another resistor, another channel or another unit.
  private static let plausibleShare = 0.1

  /// What an instrument says of the references is taken only near what the board's description says.
  private func refuseImplausible(resistors: [Ohms]?, reference: Volts?, at site: Site) throws {
    func compare(_ name: String, _ measured: Double, _ described: Double, _ tolerance: Double, _ unit: String) throws {
      let share = max(Self.plausibleShare, 2 * tolerance)
      guard abs(measured / described - 1) <= share else {
        throw CharacterizationError(
          .instrument,
          "\(name): \(text(measured, digits: 5)) \(unit) were measured where \(text(described, digits: 5)) \(unit) are described, more than "
            + "\(text(share * 100)) % apart: another channel, or another unit?")
      }
    }
    let known = references(at: site)
    for (place, (own, described)) in zip(resistors ?? [], known?.resistors ?? []).enumerated() {
      try compare(
        "reference resistor \(place + 1)", own.rawValue / 1e3, described.rawValue / 1e3, known?.tolerance ?? 0, "kΩ")
    }
    if let reference, let known = site.board.boardDescription.closedLoop?.loopback?.reference {
      try compare("voltage reference", reference.rawValue, known.voltage.rawValue, known.tolerance, "V")
    }
  }

  /// The known inputs that a range carries at the read voltage, the open one included.
  private static func inputs(ofRange range: Int, at site: Site) -> [Int] {
    let sensing = site.board.boardDescription.sensing
    let voltage = site.board.defaultReadBias().bitLine
    let highest = sensing.converter.reachable.upperBound.rawValue * LoopConverters.share
    let resistors = sensing.references?.resistors ?? []
    return [0]
      + resistors.indices.filter {
        voltage.rawValue / resistors[$0].rawValue * sensing.ranges[range].rawValue <= highest
      }
      .map { $0 + 1 }
  }

  public func measure(at site: Site) async throws -> Measurement {
    var measurement = Measurement()
    let references = references(at: site)
    let resistors = references?.resistors ?? []
    var values = measured ?? resistors
    var tolerance = measured == nil ? references?.tolerance ?? 0 : 0
    var voltage = measuredReference
    var name = instrument
    let loop = site.board.boardDescription.closedLoop
    let hasVoltage = LoopConverters.obstacle(on: site.board) == nil && loop?.loopback?.reference != nil
    if let meter {
      let answer = try await site.ask("meter") {
        let instrument = try await SourceMeter.connect(to: meter)
        let identity = try await instrument.identity()
        var found: [Double] = []
        for index in resistors.indices {
          found.append(try await instrument.resistance(channel: index + 1).rawValue)
        }
        if hasVoltage { found.append(try await instrument.voltage(channel: resistors.count + 1).rawValue) }
        // Before the journal keeps them: a resumed step asks again for what was refused.
        try refuseImplausible(
          resistors: found.prefix(resistors.count).map { Ohms($0) },
          reference: hasVoltage ? Volts(found[resistors.count]) : nil, at: site)
        // The name travels as characters: a journal keeps numbers.
        return .init(numbers: found + identity.unicodeScalars.map { Double($0.value) })
      }.numbers
      let numbers = resistors.count + (hasVoltage ? 1 : 0)
      values = answer.prefix(resistors.count).map { Ohms($0) }
      if hasVoltage { voltage = Volts(answer[resistors.count]) }
      // A journal from before the check above may hold what it refuses.
      try refuseImplausible(resistors: values, reference: voltage, at: site)
      tolerance = 0
      name = String(
        String.UnicodeScalarView(answer.dropFirst(numbers).compactMap { Unicode.Scalar(UInt32($0)) }))
    }
    if references != nil {
      var shown: [Double] = []
      let ranges = site.board.boardDescription.sensing.ranges
      let parts = ranges.count + 1
      for number in 0...resistors.count { shown += try await site.reference(number, averages: averages) }
      site.progress(1, parts)
      // (range, input, column), NaN for what a range does not carry.
      var inRanges = [Double](repeating: .nan, count: ranges.count * shown.count)
      for range in ranges.indices {
        for number in Self.inputs(ofRange: range, at: site) {
          let row = try await site.reference(number, range: range, averages: averages)
          let first = (range * (resistors.count + 1) + number) * site.block.shape.columns
          inRanges.replaceSubrange(first..<first + row.count, with: row)
        }
        site.progress(2 + range, parts)
      }
      measurement.add(ranges.map(\.rawValue), as: "range_Ohm")
      measurement.add(
        inRanges, shape: [ranges.count * (values.count + 1), site.block.shape.columns], as: "rangeShown_S")
      measurement.add([0] + values.map { 1 / $0.rawValue }, as: "input_S")
      measurement.add(shown, shape: [values.count + 1, site.block.shape.columns], as: "shown_S")
      measurement.add([tolerance], as: "tolerance")
      // An instrument that measured the voltage reference alone says nothing of the resistors.
      measurement.add(measured == nil && meter == nil ? "" : name, as: "instrument")
    }
    try await LoopConverters.measure(at: site, averages: averages, reference: voltage, into: &measurement)
    if voltage != nil { measurement.add(name, as: "loopInstrument") }
    return measurement
  }

  /// Gain, offset in siemens, and how far the resistors disagree, a share.
  typealias Line = (gain: Double, offset: Double, rest: Double)

  /// The line of every column.
  ///
  /// An open input is 0 S exactly, so it gives the offset by itself; the gain is the mean over the resistors, each of which is known to its
  /// tolerance only.
  static func lines(_ measurement: Measurement) throws -> [Line] {
    try lines(measurement.values("input_S"), measurement.rows("shown_S"))
  }

  /// The same in every range; in one that carries none of the resistors, or that the board does not know, nil.
  static func rangeLines(_ measurement: Measurement) throws -> [[Line]?] {
    guard let ranges = try measurement.optionalValues("range_Ohm") else { return [] }
    let inputs = try measurement.values("input_S")
    let shown = try measurement.rows("rangeShown_S")
    return ranges.indices.map { range in
      let lines = lines(inputs, Array(shown[range * inputs.count..<(range + 1) * inputs.count]))
      return lines.allSatisfy { $0.gain.isFinite } ? lines : nil
    }
  }

  private static func lines(_ inputs: [Double], _ shown: [[Double]]) -> [Line] {
    (0..<(shown.first?.count ?? 0)).map { column in
      let offset = shown[0][column]
      let gains = zip(inputs, shown).dropFirst().map { ($1[column] - offset) / $0 }.filter(\.isFinite)
      let gain = mean(gains)
      return (gain, offset, mean(gains.map { abs($0 / gain - 1) }))
    }
  }

  /// True if a new calibration takes over what an earlier one holds of other macros: it must be surely of this board as it describes itself,
  /// and say what it measured.
  public static func taken(from before: ReadCalibration, on board: Board) -> Bool {
    before.isMeasured != nil && before.isOf(board.info, exactly: board.boardDescription)
  }

  /// The calibration of the amplifiers that a finished step gives for its macro; other macros keep what is known of them. Nil if it had no known
  /// inputs.
  public static func calibration(
    from measurement: Measurement, macro: Int, board: Board, id: String, at seconds: Double, before: ReadCalibration?
  ) throws -> ReadCalibration? {
    guard try measurement.optionalValues("input_S") != nil else { return nil }
    let macros = board.boardDescription.macros
    let lines = try lines(measurement)
    let instrument = try measurement.array("instrument").string ?? ""
    let earlier = before.flatMap { taken(from: $0, on: board) ? $0 : nil }
    let none = Array(repeating: Array(repeating: 0.0, count: macros.shape.columns), count: macros.count)
    var calibration = ReadCalibration(
      id: id, chip: board.info.chipID, board: board.info.serial,
      descriptionSHA256: board.boardDescription.hash, madeAt: seconds,
      celsius: try? measurement.value("step_temperature_C"),
      reference: instrument.isEmpty
        ? .resistors(tolerance: try measurement.value("tolerance")) : .measured(instrument: instrument),
      shape: macros.shape, gain: earlier?.gain ?? none.map { $0.map { _ in 1 } },
      offsetSiemens: earlier?.offsetSiemens ?? none, isMeasured: earlier?.isMeasured ?? none.map { _ in false })
    calibration.isMeasured?[macro] = true
    calibration.gain[macro] = lines.map(\.gain)
    calibration.offsetSiemens[macro] = lines.map(\.offset)
    let ranges = try rangeLines(measurement)
    if ranges.contains(where: { $0 != nil }) {
      calibration.ranges = ranges.enumerated().map { range, own in
        var line =
          earlier?.ranges.flatMap { $0.indices.contains(range) ? $0[range] : nil }
          ?? .init(gain: none.map { $0.map { _ in 1 } }, offsetSiemens: none, isMeasured: none.map { _ in false })
        line.isMeasured?[macro] = own != nil
        // A range that carries none of the resistors has at least the amplifier's own gain.
        line.gain[macro] = (own ?? lines).map(\.gain)
        line.offsetSiemens[macro] = own?.map(\.offset) ?? none[macro]
        return line
      }
    }
    guard calibration.fits(macros: macros.count, shape: macros.shape) else {
      throw CharacterizationError(
        .instrument,
        "the known inputs of macro \(macro) do not read as a rising straight line: the read chain is broken")
    }
    return calibration
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    var findings = Findings()
    if try measurement.optionalValues("input_S") != nil { findings = try amplifierFindings(from: measurement) }
    try LoopConverters.addFindings(from: measurement, to: &findings)
    return findings
  }

  private static func amplifierFindings(from measurement: Measurement) throws -> Findings {
    let lines = try lines(measurement)
    let instrument = try measurement.array("instrument").string ?? ""
    let tolerance = try measurement.value("tolerance")
    let resistors = try measurement.values("input_S").dropFirst().map { "\(text(1e-3 / $0, digits: 5)) kΩ" }
    var findings = Findings()
    findings.estimates = [
      Bootstrap.estimate("gain of a column, mean", of: lines.map(\.gain), unit: "1", mean),
      Bootstrap.estimate("gain of a column, σ", of: lines.map(\.gain), unit: "1", deviation),
      Bootstrap.estimate("offset of a column, mean", of: lines.map { $0.offset * 1e9 }, unit: "nS", mean),
      Bootstrap.estimate("offset of a column, σ", of: lines.map { $0.offset * 1e9 }, unit: "nS", deviation),
      Bootstrap.estimate(
        "resistors' gains differ from their mean by", of: lines.map { $0.rest * 100 }, unit: "%", mean),
    ].map {
      var estimate = $0
      if estimate.low != nil { estimate.method = "bootstrap over columns" }
      return estimate
    }
    for (ohms, own) in zip(try measurement.optionalValues("range_Ohm") ?? [], try rangeLines(measurement)) {
      guard let own else { continue }
      let ratios = zip(own, lines).map { ($0.gain / $1.gain - 1) * 100 }
      var estimate = Bootstrap.estimate(
        "gain of range \(text(ohms / 1e3)) kΩ against that of reads, σ", of: ratios, unit: "%", deviation)
      if estimate.low != nil { estimate.method = "bootstrap over columns" }
      findings.estimates.append(estimate)
    }
    findings.remarks = [
      "Inputs: open, \(resistors.joined(separator: ", ")) "
        + (instrument.isEmpty ? "(nominal, ±\(text(tolerance * 100)) %)." : "(as \(instrument) measured them).")
        + " From the next run on reads are corrected by these lines, and targets shifted, on this chip and board."
    ]
    findings.pictures = [
      .init(
        title: "Gain and offset of the columns",
        script: """
          set multiplot layout 1,2
          set key off
          set xlabel 'column'
          set ylabel 'gain − 1 (%)'
          plot $lines using 1:2 with impulses lw 2 lc rgb '#21518c', 0 lc rgb '#999999'
          set ylabel 'offset (nS)'
          plot $lines using 1:3 with impulses lw 2 lc rgb '#b2182b', 0 lc rgb '#999999'
          unset multiplot
          """,
        tables: [
          .init("lines", rows: lines.enumerated().map { [Double($0), ($1.gain - 1) * 100, $1.offset * 1e9] })
        ], width: 900, height: 320)
    ]
    return findings
  }
}
