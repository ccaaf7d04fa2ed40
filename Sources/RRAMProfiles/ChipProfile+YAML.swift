import RRAMUnits

extension ChipProfile {
  /// Names of the profiles in the package, in alphabetical order.
  public static var shippedNames: [String] { ProfileDocument.shippedNames(in: .chips) }

  /// A profile of the package by its short name.
  ///
  /// - Throws: ``ProfileError``, listing the valid names if there is none of this name.
  public static func named(_ name: String) throws(ProfileError) -> ChipProfile {
    try ChipProfile(yaml: try ProfileDocument.shipped(name, in: .chips), file: "\(name).yaml")
  }

  /// A profile by its short name, or from a file if the argument contains `/` or ends in `.yaml`.
  public static func load(nameOrPath: String) throws(ProfileError) -> ChipProfile {
    guard ProfileDocument.isPath(nameOrPath) else { return try named(nameOrPath) }
    return try ChipProfile(yaml: try ProfileDocument.read(path: nameOrPath), file: nameOrPath)
  }

  /// Decodes and validates a profile.
  ///
  /// - Parameters:
  ///   - yaml: the document.
  ///   - file: how error messages call it.
  public init(yaml: String, file: String) throws(ProfileError) {
    let reader = ProfileReader(file: file)
    let root = try reader.root(
      of: yaml, required: ["name", "summary", "cells", "programming", "relaxation", "readNoise"],
      optional: ["limits", Wires.key])
    name = try root.text("name")
    summary = try root.text("summary")
    cells = try Cells(root)
    programming = try Programming(root)
    relaxation = try Relaxation(root)
    readNoise = try ReadNoise(root)
    wires = try Wires(root)
    limits =
      root.has("limits") ? try ChipLimits(try root.section("limits", required: ChipLimits.keys)) : nil
    provenance = reader.provenance
    document = yaml
    hash = ProfileDocument.hash(of: yaml)
    try validateAcrossSections(reader)
  }

  /// Checks that need more than one section: limits must allow what the defaults ask for.
  private func validateAcrossSections(_ reader: ProfileReader) throws(ProfileError) {
    let window = cells.conductance
    try reader.require(
      programming.tolerance <= window.upperBound - window.lowerBound, "programming.tolerance",
      "\(programming.tolerance) is wider than the window of cells.conductance")
    guard let limits else { return }
    try reader.require(
      window.lowerBound <= limits.conductance.lowerBound && limits.conductance.upperBound <= window.upperBound,
      "limits.conductance", "reaches beyond cells.conductance")
    let kinds: [(name: String, bias: Programming.Bias, driven: Volts, limit: String)] = [
      ("forming", programming.forming, limits.forming, "limits.forming"),
      ("set", programming.set, limits.bitLine, "limits.bitLine"),
      ("reset", programming.reset, limits.sourceLine, "limits.sourceLine"),
    ]
    for kind in kinds {
      try reader.require(
        kind.bias.stop <= kind.driven, "programming.\(kind.name).stop",
        "\(kind.bias.stop) is above \(kind.limit) of \(kind.driven)")
      try reader.require(
        kind.bias.wordLine <= limits.wordLine, "programming.\(kind.name).wordLine",
        "\(kind.bias.wordLine) is above limits.wordLine of \(limits.wordLine)")
      try reader.require(
        limits.pulseWidth.contains(kind.bias.width), "programming.\(kind.name).width",
        "\(kind.bias.width) is outside limits.pulseWidth")
    }
  }
}

extension ChipProfile.Cells {
  init(_ root: ProfileSection) throws(ProfileError) {
    let section = try root.section(
      "cells",
      required: [
        "conductance", "asymptotes", "pristine", "selectorThreshold", "forming", "formed", "fractions",
      ])
    conductance = try section.siemensRange("conductance")
    asymptotes = try section.siemensRange("asymptotes")
    pristine = try section.siemens("pristine")
    selectorThreshold = try section.volts("selectorThreshold")
    let forming = try section.section("forming", required: ["mean", "sigma", "quantile1", "quantile99"])
    formingMean = try forming.volts("mean")
    formingSigma = try forming.volts("sigma")
    formingQuantile1 = try forming.volts("quantile1")
    formingQuantile99 = try forming.volts("quantile99")
    let formed = try section.section("formed", required: ["conductance", "spread", "overshoot"])
    formedConductance = try formed.siemens("conductance")
    formedSpread = try formed.ratio("spread")
    formedOvershoot = try formed.number("overshoot", .conductancePerVolt)
    let fractions = try section.section("fractions", required: ["stuckLow", "stuckHigh", "unformable"])
    stuckLowFraction = try fractions.ratio("stuckLow")
    stuckHighFraction = try fractions.ratio("stuckHigh")
    unformableFraction = try fractions.ratio("unformable")

    let reader = section.reader
    try reader.require(
      conductance.lowerBound > .zero && conductance.lowerBound < conductance.upperBound, "cells.conductance",
      "is empty or reaches 0 S")
    try reader.require(
      asymptotes.lowerBound > .zero && asymptotes.lowerBound < conductance.lowerBound
        && asymptotes.upperBound > conductance.upperBound,
      "cells.asymptotes", "does not enclose cells.conductance")
    try section.requireNotNegative(pristine, "pristine")
    try section.requireNotNegative(selectorThreshold, "selectorThreshold")
    try forming.requirePositive(formingSigma, "sigma")
    try reader.require(
      formingQuantile1 > .zero && formingQuantile1 < formingMean && formingMean < formingQuantile99,
      "cells.forming", "0 < quantile1 < mean < quantile99 does not hold")
    try reader.require(
      FormingDistribution(self) != nil, "cells.forming",
      "no monotone cubic of a normal number has this mean, σ and these quantiles")
    try reader.require(
      formedConductance > pristine && asymptotes.contains(formedConductance), "cells.formed.conductance",
      "\(formedConductance) is not between cells.asymptotes")
    try formed.requireFraction(formedSpread, "spread")
    try reader.require(formedOvershoot >= 0, "cells.formed.overshoot", "is negative")
    try fractions.requireFraction(stuckLowFraction, "stuckLow")
    try fractions.requireFraction(stuckHighFraction, "stuckHigh")
    try fractions.requireFraction(unformableFraction, "unformable")
    try fractions.reader.require(
      stuckLowFraction + stuckHighFraction + unformableFraction <= 1, "cells.fractions", "add up to more than 1")
  }
}

extension ChipProfile.Programming {
  init(_ root: ProfileSection) throws(ProfileError) {
    let section = try root.section(
      "programming",
      required: [
        "setControl", "forming", "set", "reset", "setVoltage", "resetVoltage", "threshold", "voltsPerDecade",
        "referenceWidth", "cycleSpread", "deviceSpread", "tolerance", "maximumPulses", "maximumReversals",
      ], optional: ["gate"])
    setControl = try section.choice("setControl", ChipProfile.SetControl.self)
    forming = try Bias(section, "forming")
    set = try Bias(section, "set")
    reset = try Bias(section, "reset")
    setVoltage = try section.volts("setVoltage")
    resetVoltage = try section.volts("resetVoltage")
    threshold = try section.volts("threshold")
    voltsPerDecade = try section.volts("voltsPerDecade")
    referenceWidth = try section.duration("referenceWidth")
    cycleSpread = try section.ratio("cycleSpread")
    deviceSpread = try section.volts("deviceSpread")
    tolerance = try section.siemens("tolerance")
    maximumPulses = try section.count("maximumPulses")
    maximumReversals = try section.count("maximumReversals")
    if section.has("gate") {
      let gate = try section.section("gate", required: ["threshold", "slope"])
      self.gate = Gate(threshold: try gate.volts("threshold"), slope: try gate.number("slope", .conductancePerVolt))
      try gate.reader.require(self.gate?.slope ?? 1 > 0, "programming.gate.slope", "is not greater than 0")
    } else {
      gate = nil
    }

    try section.reader.require(
      setControl == .amplitude || gate != nil, "programming", "setControl is gate, but key 'gate' is missing")
    try section.requirePositive(setVoltage, "setVoltage")
    try section.requirePositive(resetVoltage, "resetVoltage")
    try section.requireNotNegative(threshold, "threshold")
    try section.requirePositive(voltsPerDecade, "voltsPerDecade")
    try section.requirePositive(referenceWidth, "referenceWidth")
    try section.reader.require((0...2).contains(cycleSpread), "programming.cycleSpread", "is not between 0 and 2")
    try section.requireNotNegative(deviceSpread, "deviceSpread")
    try section.requirePositive(tolerance, "tolerance")
    try section.require(maximumPulses, in: 1...1_000_000, "maximumPulses")
    try section.require(maximumReversals, in: 0...1_000_000, "maximumReversals")
  }
}

extension ChipProfile.Programming.Bias {
  init(_ parent: ProfileSection, _ key: String) throws(ProfileError) {
    let section = try parent.section(key, required: ["wordLine", "start", "step", "stop", "width"])
    self.init(
      wordLine: try section.volts("wordLine"), start: try section.volts("start"), step: try section.volts("step"),
      stop: try section.volts("stop"), width: try section.duration("width"))
    try section.requirePositive(wordLine, "wordLine")
    try section.requirePositive(start, "start")
    try section.requirePositive(step, "step")
    try section.reader.require(start <= stop, section.path, "start \(start) is above stop \(stop)")
    try section.requirePositive(width, "width")
  }
}

extension ChipProfile.Relaxation {
  init(_ root: ProfileSection) throws(ProfileError) {
    let section = try root.section("relaxation", required: ["meanSlope", "sigmaSlope", "sigmaOffset", "firstTime"])
    meanSlope = try section.siemens("meanSlope")
    sigmaSlope = try section.siemens("sigmaSlope")
    sigmaOffset = try section.siemens("sigmaOffset")
    firstTime = try section.duration("firstTime")
    try section.requireNotNegative(sigmaSlope, "sigmaSlope")
    try section.requirePositive(firstTime, "firstTime")
  }
}

extension ChipProfile.ReadNoise {
  init(_ root: ProfileSection) throws(ProfileError) {
    let section = try root.section(
      "readNoise", required: ["flicker", "whiteDensity", "correlationTimes", "referenceTime"])
    flicker = try section.siemens("flicker")
    whiteDensity = try section.number("whiteDensity", .conductanceDensity)
    correlationTimes = try section.durationRange("correlationTimes")
    referenceTime = try section.duration("referenceTime")
    try section.requireNotNegative(flicker, "flicker")
    try section.reader.require(whiteDensity >= 0, "readNoise.whiteDensity", "is negative")
    try section.reader.require(
      correlationTimes.lowerBound >= .nanoseconds(1) && correlationTimes.upperBound <= .seconds(1e9),
      "readNoise.correlationTimes", "is not between 1 ns and 1e9 s")
    try section.reader.require(
      referenceTime > correlationTimes.lowerBound, "readNoise.referenceTime",
      "is not above the fastest correlation time")
  }
}
