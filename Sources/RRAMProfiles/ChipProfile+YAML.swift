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
      of: yaml,
      required: [
        "name", "summary", "cells", "programming", "relaxation", "readNoise", "retention", "disturb", "wear",
      ], optional: ["limits", Wires.key])
    name = try root.text("name")
    summary = try root.text("summary")
    cells = try Cells(root)
    programming = try Programming(root)
    relaxation = try Relaxation(root)
    readNoise = try ReadNoise(root)
    wires = try Wires(root)
    retention = try Retention(root)
    disturb = try Disturb(root)
    wear = try Wear(root)
    limits =
      root.has("limits")
      ? try ChipLimits(
        try root.section("limits", required: ChipLimits.keys, optional: ChipLimits.optionalKeys)) : nil
    provenance = reader.provenance
    documentedValues = reader.documentedValues
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
    try reader.require(
      relaxation.components == nil || readNoise.flicker == .zero, "readNoise.flicker",
      "is not 0, but the stationary part of relaxation.components is the 1/f noise")
    try reader.require(
      disturb.rate == 0 || disturb.voltage > cells.readVoltage, "disturb.voltage", "is not above cells.readVoltage")
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
        "conductance", "asymptotes", "pristine", "selector", "transport", "forming", "formed", "fractions", "leak",
      ])
    conductance = try section.siemensRange("conductance")
    asymptotes = try section.siemensRange("asymptotes")
    pristine = try section.siemens("pristine")
    let selector = try section.section("selector", required: ["threshold", "resistance", "readGate"])
    selectorThreshold = try selector.volts("threshold")
    selectorResistance = try selector.ohms("resistance")
    readGate = try selector.volts("readGate")
    let transport = try section.section("transport", required: ["readVoltage", "curvature", "polarity"])
    readVoltage = try transport.volts("readVoltage")
    curvature = try transport.number("curvature", .perVolt)
    polarity = try transport.ratio("polarity")
    let forming = try section.section("forming", required: ["mean", "sigma", "quantile1", "quantile99"])
    formingMean = try forming.volts("mean")
    formingSigma = try forming.volts("sigma")
    formingQuantile1 = try forming.volts("quantile1")
    formingQuantile99 = try forming.volts("quantile99")
    let formed = try section.section("formed", required: ["conductance", "spread", "overshoot"])
    formedConductance = try formed.siemens("conductance")
    formedSpread = try formed.ratio("spread")
    formedOvershoot = try formed.number("overshoot", .conductancePerVolt)
    let fractions = try section.section(
      "fractions", required: ["stuckLow", "stuckHigh", "unformable", "leaky", "badRows", "badRowShare"])
    stuckLowFraction = try fractions.ratio("stuckLow")
    stuckHighFraction = try fractions.ratio("stuckHigh")
    unformableFraction = try fractions.ratio("unformable")
    leakyFraction = try fractions.ratio("leaky")
    badRows = try fractions.ratio("badRows")
    badRowShare = try fractions.ratio("badRowShare")
    leak = try section.siemens("leak")

    let reader = section.reader
    try reader.require(
      conductance.lowerBound > .zero && conductance.lowerBound < conductance.upperBound, "cells.conductance",
      "is empty or reaches 0 S")
    try reader.require(
      asymptotes.lowerBound > .zero && asymptotes.lowerBound < conductance.lowerBound
        && asymptotes.upperBound > conductance.upperBound,
      "cells.asymptotes", "does not enclose cells.conductance")
    try section.requireNotNegative(pristine, "pristine")
    try selector.requireNotNegative(selectorThreshold, "threshold")
    try selector.requireNotNegative(selectorResistance, "resistance")
    try reader.require(
      readGate > selectorThreshold, "cells.selector.readGate", "\(readGate) does not open the selector")
    try reader.require(
      selectorResistance.rawValue * asymptotes.upperBound.rawValue < 0.9, "cells.selector.resistance",
      "leaves next to nothing for the cell at the upper asymptote of \(asymptotes.upperBound)")
    try transport.requirePositive(readVoltage, "readVoltage")
    try reader.require((0...20).contains(curvature), "cells.transport.curvature", "is not between 0 and 20 1/V")
    try reader.require((0.1...10).contains(polarity), "cells.transport.polarity", "is not between 0.1 and 10")
    try section.requireNotNegative(leak, "leak")
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
    try fractions.requireFraction(leakyFraction, "leaky")
    try fractions.requireFraction(badRows, "badRows")
    try fractions.requireFraction(badRowShare, "badRowShare")
    try fractions.reader.require(
      badRowShare == 0 || badRows > 0, "cells.fractions.badRowShare", "is not 0, but there are no badRows")
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
        "referenceWidth", "cycleSpread", "deviceSpread", "endpoints", "tolerance", "maximumPulses",
        "maximumReversals",
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
    endpoints = try Endpoints(section)
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

extension ChipProfile.Programming.Endpoints {
  init(_ parent: ProfileSection) throws(ProfileError) {
    let section = try parent.section(
      "endpoints",
      required: ["pulse", "cycle", "device", "resetCycle", "resetDevice", "resetDepth", "resetReference"])
    pulse = try section.ratio("pulse")
    cycle = try section.ratio("cycle")
    device = try section.ratio("device")
    resetCycle = try section.ratio("resetCycle")
    resetDevice = try section.ratio("resetDevice")
    resetDepth = try section.number("resetDepth", .perVolt)
    resetReference = try section.volts("resetReference")
    for (key, value) in [
      ("pulse", pulse), ("cycle", cycle), ("device", device), ("resetCycle", resetCycle), ("resetDevice", resetDevice),
    ] {
      try section.reader.require((0...2).contains(value), section.childPath(key), "\(value) is not between 0 and 2")
    }
    try section.reader.require(resetDepth >= 0, section.childPath("resetDepth"), "is negative")
    try section.requireNotNegative(resetReference, "resetReference")
  }
}

extension ChipProfile.Relaxation {
  init(_ root: ProfileSection) throws(ProfileError) {
    let section = try root.section(
      "relaxation", required: [], optional: ["components", "meanSlope", "sigmaSlope", "sigmaOffset", "firstTime"])
    if section.has("components") {
      components = try Components(
        try root.section("relaxation", required: ["components"]))
      meanSlope = .zero
      sigmaSlope = .zero
      sigmaOffset = .zero
      firstTime = .seconds(1)
      return
    }
    components = nil
    meanSlope = try section.siemens("meanSlope")
    sigmaSlope = try section.siemens("sigmaSlope")
    sigmaOffset = try section.siemens("sigmaOffset")
    firstTime = try section.duration("firstTime")
    try section.requireNotNegative(sigmaSlope, "sigmaSlope")
    try section.requireNotNegative(sigmaOffset, "sigmaOffset")
    try section.requirePositive(firstTime, "firstTime")
  }
}

extension ChipProfile.Relaxation.Components {
  init(_ parent: ProfileSection) throws(ProfileError) {
    let section = try parent.section(
      "components",
      required: [
        "onset", "conductances", "stationary", "accumulating", "fast", "fastTime", "mean", "meanOnset", "asymmetry",
        "stationarySpread", "accumulatingSpread",
      ])
    onset = try section.duration("onset")
    conductances = try section.numbers("conductances", .conductance).map { Siemens($0) }
    stationary = try section.numbers("stationary", .conductanceSquared)
    accumulating = try section.numbers("accumulating", .conductanceSquared)
    fast = try section.numbers("fast", .conductanceSquared)
    fastTime = try section.duration("fastTime")
    mean = try section.numbers("mean", .conductance).map { Siemens($0) }
    meanOnset = try section.duration("meanOnset")
    asymmetry = try section.numbers("asymmetry", .ratio)
    stationarySpread = try section.ratio("stationarySpread")
    accumulatingSpread = try section.ratio("accumulatingSpread")

    let reader = section.reader
    try reader.require(
      zip(conductances, conductances.dropFirst()).allSatisfy { $0 < $1 }, section.childPath("conductances"),
      "do not increase")
    for (key, list) in [
      ("stationary", stationary), ("accumulating", accumulating), ("fast", fast), ("mean", mean.map(\.rawValue)),
      ("asymmetry", asymmetry),
    ] {
      try reader.require(
        list.count == conductances.count, section.childPath(key),
        "has \(list.count) values for \(conductances.count) conductances")
    }
    for (key, list) in [("stationary", stationary), ("accumulating", accumulating), ("fast", fast)] {
      try reader.require(list.allSatisfy { $0 >= 0 }, section.childPath(key), "holds a negative variance")
    }
    try reader.require(
      asymmetry.allSatisfy { abs($0) < 1 }, section.childPath("asymmetry"), "is not between −1 and 1")
    for (key, value) in [("onset", onset), ("fastTime", fastTime), ("meanOnset", meanOnset)] {
      try section.requirePositive(value, key)
    }
    for (key, value) in [("stationarySpread", stationarySpread), ("accumulatingSpread", accumulatingSpread)] {
      try reader.require((0...3).contains(value), section.childPath(key), "\(value) is not between 0 and 3")
    }
  }
}

extension ChipProfile.ReadNoise {
  init(_ root: ProfileSection) throws(ProfileError) {
    let section = try root.section(
      "readNoise", required: ["flicker", "whiteDensity", "correlationTimes", "referenceTime", "telegraph"])
    flicker = try section.siemens("flicker")
    whiteDensity = try section.number("whiteDensity", .conductanceDensity)
    correlationTimes = try section.durationRange("correlationTimes")
    referenceTime = try section.duration("referenceTime")
    let traps = try section.section("telegraph", required: ["fraction", "step", "stepSpread", "times"])
    telegraph = Telegraph(
      fraction: try traps.ratio("fraction"), step: try traps.ratio("step"), stepSpread: try traps.ratio("stepSpread"),
      times: try traps.durationRange("times"))
    try section.requireNotNegative(flicker, "flicker")
    try section.reader.require(whiteDensity >= 0, "readNoise.whiteDensity", "is negative")
    try section.reader.require(
      correlationTimes.lowerBound >= .nanoseconds(1) && correlationTimes.upperBound <= .seconds(1e9),
      "readNoise.correlationTimes", "is not between 1 ns and 1e9 s")
    try section.reader.require(
      referenceTime > correlationTimes.lowerBound, "readNoise.referenceTime",
      "is not above the fastest correlation time")
    try traps.requireFraction(telegraph.fraction, "fraction")
    try traps.requireFraction(telegraph.step, "step")
    try traps.reader.require(
      (0...2).contains(telegraph.stepSpread), "readNoise.telegraph.stepSpread", "is not between 0 and 2")
    try traps.requirePositive(telegraph.times.lowerBound, "times")
  }
}

extension ChipProfile.Retention {
  init(_ root: ProfileSection) throws(ProfileError) {
    let section = try root.section("retention", required: ["activationEnergy", "referenceTemperature"])
    activationEnergy = try section.number("activationEnergy", .energy)
    referenceTemperature = try section.number("referenceTemperature", .temperature)
    try section.reader.require(
      (0...5).contains(activationEnergy), section.childPath("activationEnergy"), "is not between 0 and 5 eV")
    try section.reader.require(
      (200...500).contains(referenceTemperature), section.childPath("referenceTemperature"),
      "is not between 200 and 500 K")
  }
}

extension ChipProfile.Disturb {
  init(_ root: ProfileSection) throws(ProfileError) {
    let section = try root.section("disturb", required: ["rate", "voltage", "voltsPerDecade", "inhibit"])
    rate = try section.number("rate", .perSecond)
    voltage = try section.volts("voltage")
    voltsPerDecade = try section.volts("voltsPerDecade")
    inhibit = try section.ratio("inhibit")
    try section.reader.require(rate >= 0, section.childPath("rate"), "is negative")
    try section.requirePositive(voltage, "voltage")
    try section.requirePositive(voltsPerDecade, "voltsPerDecade")
    try section.requireFraction(inhibit, "inhibit")
  }
}

extension ChipProfile.Wear {
  init(_ root: ProfileSection) throws(ProfileError) {
    let section = try root.section(
      "wear",
      required: [
        "endurance", "enduranceSpread", "earlyShare", "earlyEndurance", "shortShare", "onset", "setLoss",
        "spreadGrowth",
      ])
    endurance = try section.number("endurance", .cycles)
    enduranceSpread = try section.ratio("enduranceSpread")
    earlyShare = try section.ratio("earlyShare")
    earlyEndurance = try section.number("earlyEndurance", .cycles)
    shortShare = try section.ratio("shortShare")
    onset = try section.number("onset", .cycles)
    setLoss = try section.ratio("setLoss")
    spreadGrowth = try section.ratio("spreadGrowth")
    try section.reader.require(endurance >= 0, section.childPath("endurance"), "is negative")
    try section.reader.require(
      (0...5).contains(enduranceSpread), section.childPath("enduranceSpread"), "is not between 0 and 5 decades")
    try section.requireFraction(earlyShare, "earlyShare")
    try section.reader.require(
      earlyEndurance > 0, section.childPath("earlyEndurance"), "is not greater than 0")
    try section.requireFraction(shortShare, "shortShare")
    try section.reader.require(onset > 0, section.childPath("onset"), "is not greater than 0")
    try section.reader.require(setLoss >= 0, section.childPath("setLoss"), "is negative")
    try section.reader.require(spreadGrowth >= 0, section.childPath("spreadGrowth"), "is negative")
  }
}
