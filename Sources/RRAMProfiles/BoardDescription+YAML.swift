import RRAMUnits

extension BoardDescription {
  /// Names of the board descriptions in the package, in alphabetical order.
  public static var shippedNames: [String] { ProfileDocument.shippedNames(in: .boards) }

  /// A board description of the package by its short name.
  ///
  /// - Throws: ``ProfileError``, listing the valid names if there is none of this name.
  public static func named(_ name: String) throws(ProfileError) -> BoardDescription {
    try BoardDescription(yaml: try ProfileDocument.shipped(name, in: .boards), file: "\(name).yaml")
  }

  /// A board description by its short name, or from a file if the argument contains `/` or ends in `.yaml`.
  public static func load(nameOrPath: String) throws(ProfileError) -> BoardDescription {
    guard ProfileDocument.isPath(nameOrPath) else { return try named(nameOrPath) }
    return try BoardDescription(yaml: try ProfileDocument.read(path: nameOrPath), file: nameOrPath)
  }

  /// Decodes and validates a board description.
  ///
  /// - Parameters:
  ///   - yaml: the document, as shipped or as sent by a board.
  ///   - file: how error messages call it.
  public init(yaml: String, file: String) throws(ProfileError) {
    let reader = ProfileReader(file: file)
    let root = try reader.root(
      of: yaml, required: ["name", "summary", "macros", "drivers", "sensing", "closedLoop", "link"])
    name = try root.text("name")
    summary = try root.text("summary")
    macros = try Macros(root)
    drivers = try Drivers(root)
    sensing = try Sensing(root)
    closedLoop = root.isText("closedLoop", "none") ? nil : try ClosedLoop(root, readWordLine: sensing.readWordLine)
    link = try Link(root)
    provenance = reader.provenance
    documentedValues = reader.documentedValues
    document = yaml
    hash = ProfileDocument.hash(of: yaml)

    try reader.require(
      sensing.columnsPerAmplifier <= macros.shape.columns, "sensing.columnsPerAmplifier",
      "\(sensing.columnsPerAmplifier) is more than the \(macros.shape.columns) columns of a macro")
    try reader.require(
      drivers.simultaneousColumns <= macros.shape.columns, "drivers.simultaneousColumns",
      "\(drivers.simultaneousColumns) is more than the \(macros.shape.columns) columns of a macro")
    try reader.require(
      drivers.bitLine.reachable.contains(sensing.readVoltage), "sensing.readVoltage",
      "\(sensing.readVoltage) is outside drivers.bitLine")
    try reader.require(
      drivers.wordLine.reachable.contains(sensing.readWordLine), "sensing.readWordLine",
      "\(sensing.readWordLine) is outside drivers.wordLine")
    if let loop = closedLoop {
      try reader.require(
        sensing.columnsPerAmplifier == 1, "closedLoop", "needs one amplifier a column, sensing has fewer")
      try reader.require(
        loop.layerMacros.allSatisfy { (0..<macros.count).contains($0) }, "closedLoop.layerMacros",
        "names a macro that macros.count does not have")
      let second = loop.secondLayerMacros
      try reader.require(
        second.allSatisfy { (0..<macros.count).contains($0) && !loop.layerMacros.contains($0) }
          && [0, loop.layerMacros.count].contains(second.count), "closedLoop.secondLayerMacros",
        "is no list of other macros, as many as layerMacros")
    }
  }
}

extension BoardDescription.Macros {
  init(_ root: ProfileSection) throws(ProfileError) {
    let section = try root.section(
      "macros", required: ["count", "rows", "columns", "pairOrientation"], optional: ["wordLines"])
    count = try section.count("count")
    shape = MacroShape(rows: try section.count("rows"), columns: try section.count("columns"))
    pairOrientation = try section.choice("pairOrientation", BoardDescription.Macros.PairOrientation.self)
    wordLines =
      section.has("wordLines") ? try section.choice("wordLines", WordLines.self) : .parallelToBitLines
    try section.require(count, in: 1...64, "count")
    try section.require(shape.rows, in: 1...1024, "rows")
    try section.require(shape.columns, in: 2...1024, "columns")
    try section.reader.require(
      shape.columns % 2 == 0, "macros.columns", "\(shape.columns) is odd: columns come in pairs")
  }
}

extension BoardDescription.Converter {
  init(_ parent: ProfileSection, _ key: String) throws(ProfileError) {
    let section = try parent.section(key, required: ["bits", "min", "max"])
    let bits = Int(try section.number("bits", .bits))
    try section.require(bits, in: 1...24, "bits")
    let low = try section.volts("min")
    let high = try section.volts("max")
    try section.reader.require(low < high, section.path, "min \(low) is not below max \(high)")
    self.init(bits: bits, range: low...high)
  }

  /// The same for converters of quantities with a sign: 0 V must be a code.
  static func symmetric(_ parent: ProfileSection, _ key: String) throws(ProfileError) -> Self {
    let converter = try Self(parent, key)
    try parent.reader.require(
      converter.range.lowerBound == -converter.range.upperBound, parent.childPath(key), "is not symmetric around 0 V")
    return converter
  }
}

extension BoardDescription.Drivers {
  init(_ root: ProfileSection) throws(ProfileError) {
    let section = try root.section(
      "drivers",
      required: [
        "wordLine", "bitLine", "sourceLine", "settling", "pulseWidth", "pulseWidthStep", "simultaneousColumns",
      ], optional: ["outputResistance", "compliance", "slew"])
    wordLine = try BoardDescription.Converter(section, "wordLine")
    bitLine = try BoardDescription.Converter(section, "bitLine")
    sourceLine = try BoardDescription.Converter(section, "sourceLine")
    settling = try section.duration("settling")
    pulseWidth = try section.durationRange("pulseWidth")
    pulseWidthStep = try section.duration("pulseWidthStep")
    simultaneousColumns = try section.count("simultaneousColumns")
    outputResistance = section.has("outputResistance") ? try section.ohms("outputResistance") : .zero
    try section.requireNotNegative(outputResistance, "outputResistance")
    compliance = section.has("compliance") ? Amperes(try section.number("compliance", .current)) : nil
    slew = section.has("slew") ? VoltsPerSecond(try section.number("slew", .slew)) : nil
    if let compliance { try section.requirePositive(compliance, "compliance") }
    if let slew { try section.requirePositive(slew, "slew") }
    for (key, converter) in [("wordLine", wordLine), ("bitLine", bitLine), ("sourceLine", sourceLine)] {
      try section.reader.require(
        converter.reachable.contains(.zero), section.childPath(key), "cannot ground the line: 0 V is out of reach")
    }
    try section.reader.require(settling >= .zero, "drivers.settling", "is negative")
    try section.requirePositive(pulseWidth.lowerBound, "pulseWidth")
    try section.requirePositive(pulseWidthStep, "pulseWidthStep")
    try section.require(simultaneousColumns, in: 1...1024, "simultaneousColumns")
  }
}

extension BoardDescription.Sensing {
  init(_ root: ProfileSection) throws(ProfileError) {
    let section = try root.section(
      "sensing",
      required: [
        "readVoltage", "readWordLine", "ranges", "columnsPerAmplifier", "converter", "conversionTime",
        "integrationTime", "converterNoise", "imperfections",
      ], optional: ["inputResistance", "references"])
    readVoltage = try section.volts("readVoltage")
    readWordLine = try section.volts("readWordLine")
    ranges = try section.numbers("ranges", .resistance).map { Ohms($0) }
    columnsPerAmplifier = try section.count("columnsPerAmplifier")
    converter = try BoardDescription.Converter(section, "converter")
    conversionTime = try section.duration("conversionTime")
    integrationTime = try section.duration("integrationTime")
    converterNoise = try section.volts("converterNoise")
    let parts = try section.section(
      "imperfections", required: ["offset", "gain", "nonlinearity"], optional: ["rangeGain"])
    imperfections = Imperfections(
      offset: try parts.volts("offset"), gain: try parts.ratio("gain"),
      rangeGain: parts.has("rangeGain") ? try parts.ratio("rangeGain") : 0,
      nonlinearity: try parts.ratio("nonlinearity"))
    try parts.requireNotNegative(imperfections.offset, "offset")
    try parts.requireFraction(imperfections.gain, "gain")
    try parts.requireFraction(imperfections.rangeGain, "rangeGain")
    try parts.reader.require(imperfections.nonlinearity >= 0, parts.childPath("nonlinearity"), "is negative")
    inputResistance = section.has("inputResistance") ? try section.ohms("inputResistance") : .zero
    try section.requireNotNegative(inputResistance, "inputResistance")
    if section.has("references") {
      let known = try section.section("references", required: ["resistors", "tolerance"])
      references = References(
        resistors: try known.numbers("resistors", .resistance).map { Ohms($0) }, tolerance: try known.ratio("tolerance")
      )
      try known.requireFraction(references?.tolerance ?? 0, "tolerance")
      try known.reader.require(
        references?.resistors.allSatisfy { $0 > .zero } ?? true, known.childPath("resistors"), "are not greater than 0")
    }
    try section.requirePositive(readVoltage, "readVoltage")
    try section.requireNotNegative(readWordLine, "readWordLine")
    try section.reader.require(
      ranges.allSatisfy { $0 > .zero } && zip(ranges, ranges.dropFirst()).allSatisfy { $0 < $1 }, "sensing.ranges",
      "is not a list of positive, increasing transimpedances")
    try section.require(columnsPerAmplifier, in: 1...1024, "columnsPerAmplifier")
    try section.requirePositive(conversionTime, "conversionTime")
    try section.requirePositive(integrationTime, "integrationTime")
    try section.requireNotNegative(converterNoise, "converterNoise")
  }
}

extension BoardDescription.ClosedLoop {
  /// - Parameter readWordLine: gate voltage of reads, that of the loop where it states none.
  init(_ root: ProfileSection, readWordLine: Volts) throws(ProfileError) {
    let section = try root.section(
      "closedLoop",
      required: [
        "unitVoltage", "layerMacros", "rowClamp", "amplifierRail", "integratorRail", "columnGain", "columnGainBits",
        "amplifierBandwidth", "embeddingInjection", "embeddingChannels", "embedding", "coefficient", "coefficientUnit",
        "outputAmplifier", "noise", "noiseGain", "preset", "readOut", "runTime", "tick", "maximumTicks", "presetTime",
        "readOutTime", "imperfections",
      ],
      optional: [
        "offset", "multiplierBandwidth", "wordLine", "secondLayerMacros", "power", "overRangeAbort", "rowRouting",
        "rowAttenuation", "loopback",
      ])
    typealias Converter = BoardDescription.Converter
    unitVoltage = try section.volts("unitVoltage")
    layerMacros = try section.numbers("layerMacros", .count).map { Int($0) }
    secondLayerMacros =
      section.has("secondLayerMacros") ? try section.numbers("secondLayerMacros", .count).map { Int($0) } : []
    rowClamp = try section.volts("rowClamp")
    overRangeAbort = section.has("overRangeAbort") ? try section.count("overRangeAbort") : nil
    if let overRangeAbort { try section.require(overRangeAbort, in: 1...1_000_000, "overRangeAbort") }
    rowRouting = section.has("rowRouting") ? try section.choice("rowRouting", RowRouting.self) : .fixed
    rowAttenuation = section.has("rowAttenuation") ? try section.numbers("rowAttenuation", .ratio) : [1]
    amplifierRail = try section.volts("amplifierRail")
    integratorRail = try section.volts("integratorRail")
    columnGain = try section.ohmsRange("columnGain")
    columnGainBits = Int(try section.number("columnGainBits", .bits))
    amplifierBandwidth = try section.number("amplifierBandwidth", .frequency)
    multiplierBandwidth =
      section.has("multiplierBandwidth") ? try section.number("multiplierBandwidth", .frequency) : amplifierBandwidth
    wordLine = section.has("wordLine") ? try section.volts("wordLine") : readWordLine
    embeddingInjection = try section.choice("embeddingInjection", EmbeddingInjection.self)
    embeddingChannels = try section.count("embeddingChannels")
    embedding = try Converter.symmetric(section, "embedding")
    coefficient = try Converter.symmetric(section, "coefficient")
    coefficientUnit = try section.volts("coefficientUnit")
    outputAmplifier = try section.ratio("outputAmplifier")
    offset = section.has("offset") ? try Converter.symmetric(section, "offset") : nil
    noise = try Converter.symmetric(section, "noise")
    noiseGain = try section.ratio("noiseGain")
    preset = try Converter.symmetric(section, "preset")
    readOut = try Converter.symmetric(section, "readOut")
    runTime = try section.duration("runTime")
    tick = try section.durationRange("tick")
    maximumTicks = try section.count("maximumTicks")
    presetTime = try section.duration("presetTime")
    readOutTime = try section.duration("readOutTime")
    imperfections = try Imperfections(section)
    loopback = section.has("loopback") ? try Loopback(section) : nil
    power = section.has("power") ? try Power(section) : nil

    for (key, value) in [
      ("unitVoltage", unitVoltage), ("rowClamp", rowClamp), ("amplifierRail", amplifierRail),
      ("integratorRail", integratorRail), ("coefficientUnit", coefficientUnit),
    ] {
      try section.requirePositive(value, key)
    }
    try section.reader.require(
      rowClamp <= amplifierRail, "closedLoop.rowClamp", "\(rowClamp) is above amplifierRail \(amplifierRail)")
    try section.reader.require(
      rowAttenuation.first == 1 && rowAttenuation.allSatisfy { $0 > 0 && $0 <= 1 } && rowAttenuation.count <= 256,
      "closedLoop.rowAttenuation", "is not 1, then factors above 0 and up to 1")
    try section.reader.require(
      columnGain.lowerBound > .zero && columnGain.lowerBound < columnGain.upperBound, "closedLoop.columnGain",
      "is empty or reaches 0 Ω")
    try section.require(columnGainBits, in: 1...24, "columnGainBits")
    try section.reader.require(amplifierBandwidth > 0, "closedLoop.amplifierBandwidth", "is not greater than 0")
    try section.reader.require(multiplierBandwidth > 0, "closedLoop.multiplierBandwidth", "is not greater than 0")
    try section.requirePositive(wordLine, "wordLine")
    try section.require(embeddingChannels, in: 1...1024, "embeddingChannels")
    try section.reader.require(outputAmplifier > 0, "closedLoop.outputAmplifier", "is not greater than 0")
    try section.reader.require(noiseGain > 0, "closedLoop.noiseGain", "is not greater than 0")
    for (key, value) in [("runTime", runTime), ("presetTime", presetTime), ("readOutTime", readOutTime)] {
      try section.requirePositive(value, key)
    }
    try section.requirePositive(tick.lowerBound, "tick")
    try section.require(maximumTicks, in: 1...65_536, "maximumTicks")
  }
}

extension BoardDescription.ClosedLoop.Loopback {
  init(_ parent: ProfileSection) throws(ProfileError) {
    let section = try parent.section("loopback", required: ["settling"], optional: ["reference", "tolerance"])
    settling = try section.duration("settling")
    try section.reader.require(settling >= .zero, section.childPath("settling"), "is negative")
    guard section.has("reference") || section.has("tolerance") else { return }
    reference = Reference(voltage: try section.volts("reference"), tolerance: try section.ratio("tolerance"))
    try section.requirePositive(reference?.voltage ?? .zero, "reference")
    try section.requireFraction(reference?.tolerance ?? 0, "tolerance")
  }
}

extension BoardDescription.ClosedLoop.Power {
  init(_ parent: ProfileSection) throws(ProfileError) {
    let section = try parent.section(
      "power", required: ["amplifier", "multiplier", "integrator", "converterChannel", "conversion", "board"])
    func watts(_ key: String) throws(ProfileError) -> Watts { Watts(try section.number(key, .power)) }
    amplifier = try watts("amplifier")
    multiplier = try watts("multiplier")
    integrator = try watts("integrator")
    converterChannel = try watts("converterChannel")
    conversion = Joules(try section.number("conversion", .pulseEnergy))
    board = try watts("board")
    for (key, value) in [
      ("amplifier", amplifier), ("multiplier", multiplier), ("integrator", integrator),
      ("converterChannel", converterChannel), ("board", board),
    ] {
      try section.requireNotNegative(value, key)
    }
    try section.requireNotNegative(conversion, "conversion")
  }
}

extension BoardDescription.ClosedLoop.Imperfections {
  init(_ parent: ProfileSection) throws(ProfileError) {
    let section = try parent.section(
      "imperfections",
      required: [
        "amplifierOffset", "amplifierGain", "multiplierOffset", "multiplierGain", "feedThrough", "integratorOffset",
        "integratorLeak", "converterNonlinearity", "readOutNoise", "settling", "skew",
      ],
      optional: ["converterOffset", "converterGain"])
    amplifierOffset = try section.volts("amplifierOffset")
    amplifierGain = try section.ratio("amplifierGain")
    multiplierOffset = try section.volts("multiplierOffset")
    multiplierGain = try section.ratio("multiplierGain")
    feedThrough = try section.ratio("feedThrough")
    integratorOffset = try section.volts("integratorOffset")
    integratorLeak = try section.ratio("integratorLeak")
    converterNonlinearity = try section.ratio("converterNonlinearity")
    converterOffset = section.has("converterOffset") ? try section.volts("converterOffset") : .zero
    converterGain = section.has("converterGain") ? try section.ratio("converterGain") : 0
    readOutNoise = try section.volts("readOutNoise")
    settling = try section.duration("settling")
    skew = try section.duration("skew")
    for (key, value) in [
      ("amplifierOffset", amplifierOffset), ("multiplierOffset", multiplierOffset),
      ("integratorOffset", integratorOffset), ("converterOffset", converterOffset), ("readOutNoise", readOutNoise),
    ] {
      try section.requireNotNegative(value, key)
    }
    for (key, value) in [
      ("amplifierGain", amplifierGain), ("multiplierGain", multiplierGain), ("feedThrough", feedThrough),
      ("integratorLeak", integratorLeak), ("converterGain", converterGain),
    ] {
      try section.requireFraction(value, key)
    }
    try section.reader.require(
      converterNonlinearity >= 0, section.childPath("converterNonlinearity"), "is negative")
    try section.reader.require(settling >= .zero, section.childPath("settling"), "is negative")
    try section.reader.require(skew >= .zero, section.childPath("skew"), "is negative")
  }
}

extension BoardDescription.Link {
  init(_ root: ProfileSection) throws(ProfileError) {
    let section = try root.section(
      "link",
      required: [
        "maximumRequestBytes", "maximumResponseBytes", "maximumInFlight", "roundTrip", "bytesPerSecond", "watchdog",
      ])
    maximumRequestBytes = Int(try section.number("maximumRequestBytes", .bytes))
    maximumResponseBytes = Int(try section.number("maximumResponseBytes", .bytes))
    maximumInFlight = try section.count("maximumInFlight")
    roundTrip = try section.duration("roundTrip")
    bytesPerSecond = try section.number("bytesPerSecond", .byteRate)
    watchdog = try section.duration("watchdog")
    try section.require(maximumRequestBytes, in: 1024...(1 << 24), "maximumRequestBytes")
    try section.require(maximumResponseBytes, in: 4096...(1 << 24), "maximumResponseBytes")
    try section.require(maximumInFlight, in: 1...1024, "maximumInFlight")
    try section.reader.require(roundTrip >= .zero, "link.roundTrip", "is negative")
    try section.reader.require(bytesPerSecond > 0, "link.bytesPerSecond", "is not greater than 0")
    try section.requirePositive(watchdog, "watchdog")
  }
}
