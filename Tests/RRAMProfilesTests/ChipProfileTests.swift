import RRAMProfiles
import RRAMUnits
import Testing

@Suite struct ChipProfileTests {
  @Test(arguments: ["ideal", "cmo-hfox", "hfox-analog", "hfox-mlc"])
  func shippedProfilesLoadAndNameThemselves(name: String) throws {
    #expect(ChipProfile.shippedNames.contains(name))
    let profile = try ChipProfile.load(nameOrPath: name)
    #expect(profile.name == name)
    #expect(profile.limits != nil)
    #expect(profile.hash.count == 64)
    #expect(profile.provenance["cells.conductance.min"] != nil)
  }

  @Test func publishedNumbersOfCMOHfOx() throws {
    let profile = try ChipProfile.named("cmo-hfox")
    #expect(profile.cells.conductance == .microsiemens(10) ... .microsiemens(90))
    #expect(profile.relaxation.meanSlope == .microsiemens(-0.089))
    #expect(profile.relaxation.sigmaSlope == .microsiemens(0.042))
    #expect(profile.relaxation.sigmaOffset == .microsiemens(0.412))
    #expect(profile.readNoise.flicker == .microsiemens(0.0277))
    #expect(profile.readNoise.correlationTimes.lowerBound == .microseconds(1))
    #expect(profile.limits?.bitLine == Volts(1.5))
    #expect(profile.provenance["relaxation.sigmaSlope"] == .published("arXiv 2502.04524"))
    guard case .assumed = profile.provenance["cells.forming.mean"] else {
      Issue.record("the borrowed forming voltage is not marked assumed")
      return
    }
  }

  @Test func everyNumberOfAShippedProfileHasAnOrigin() throws {
    for name in ChipProfile.shippedNames {
      let profile = try ChipProfile.named(name)
      let numbers = profile.document.split(separator: "\n").count { $0.contains("value:") || $0.contains("values:") }
      #expect(profile.provenance.count == numbers, "\(name)")
    }
  }

  @Test func unknownNameListsTheValidOnes() {
    let error = #expect(throws: ProfileError.self) { try ChipProfile.named("perfect") }
    #expect(error?.code == .unknownName)
    #expect(error?.validChoices == ["cmo-hfox", "hfox-analog", "hfox-mlc", "ideal"])
    #expect(
      error?.description
        == "chip profile: there is no 'perfect' (valid: cmo-hfox, hfox-analog, hfox-mlc, ideal)")
  }

  @Test func aPathThatDoesNotExistIsNamed() {
    let error = #expect(throws: ProfileError.self) { try ChipProfile.load(nameOrPath: "./nowhere.yaml") }
    #expect(error?.code == .unreadable)
    #expect(error?.file == "./nowhere.yaml")
  }

  /// One replacement in the text of a good profile, and what must be said about it.
  struct Refusal: Sendable, CustomTestStringConvertible {
    var original: String
    var replacement: String
    var code: ProfileError.Code
    var key: String
    var words: String
    var testDescription: String { "\(key): \(words)" }
  }

  @Test(arguments: [
    Refusal(
      original: "  pristine:", replacement: "  prestine:", code: .unknownKey, key: "cells",
      words: "unknown key 'prestine'"),
    Refusal(
      original: "  tolerance: {value: 0.3, unit: µS", replacement: "  tolerance: {value: 0.3, unit: V",
      code: .wrongUnit, key: "programming.tolerance", words: "unit 'V' does not fit (valid: µS, S, mS, nS)"),
    Refusal(
      original: "meanSlope: {value: -0.089, unit: µS,", replacement: "meanSlope: {value: -0.089,", code: .wrongUnit,
      key: "relaxation.meanSlope", words: "has no unit"),
    Refusal(
      original: "meanSlope: {value: -0.089, unit: µS, source: arXiv 2502.04524}",
      replacement: "meanSlope: {value: -0.089, unit: µS}", code: .missingSource, key: "relaxation.meanSlope",
      words: "names no source and is not marked assumed"),
    Refusal(
      original: "sigmaSlope: {value: 0.042, unit: µS,",
      replacement: "sigmaSlope: {value: 0.042, unit: µS, assumed: too,",
      code: .missingSource, key: "relaxation.sigmaSlope", words: "has both a source and an assumption"),
    Refusal(
      original: "flicker: {value: 0.0277,", replacement: "flicker: {value: nan,", code: .invalidValue,
      key: "readNoise.flicker", words: "'nan' is not a finite number"),
    Refusal(
      original: "maximumPulses: {value: 200,", replacement: "maximumPulses: {value: 2.5,", code: .invalidValue,
      key: "programming.maximumPulses", words: "'2.5' is not a whole number"),
    Refusal(
      original: "setControl: amplitude", replacement: "setControl: current", code: .invalidValue,
      key: "programming.setControl", words: "'current' is not one of the choices (valid: gate, amplitude)"),
    Refusal(
      original: "setControl: amplitude", replacement: "setControl: gate", code: .invalidValue, key: "programming",
      words: "setControl is gate, but key 'gate' is missing"),
    Refusal(
      original: "    stuckLow: {value: 0.0001,", replacement: "    stuckLow: {value: 1.5,", code: .invalidValue,
      key: "cells.fractions.stuckLow", words: "1.5 is not between 0 and 1"),
    Refusal(
      original: "    max: {value: 90, unit: µS, source: arXiv 2502.04524}\n  asymptotes",
      replacement: "    max: {value: 9, unit: µS, source: arXiv 2502.04524}\n  asymptotes", code: .invalidValue,
      key: "cells.conductance", words: "min 10 µS is greater than max 9 µS"),
    Refusal(
      original: "bitLine: {value: 1.5,", replacement: "bitLine: {value: 1.2,", code: .invalidValue,
      key: "programming.set.stop", words: "1.48 V is above limits.bitLine of 1.2 V"),
    Refusal(
      original: "  quantile1: {value: 1.7625,", replacement: "  quantile1: {value: 2.3,", code: .invalidValue,
      key: "cells.forming", words: "no monotone cubic"),
    Refusal(
      original: "bitLineSegment: {value: 0,", replacement: "bitLineSegment: {value: -1,", code: .invalidValue,
      key: "wires.bitLineSegment", words: "is negative"),
    Refusal(
      original: "  sourceLineSegment:", replacement: "  wordLineSegment:", code: .unknownKey, key: "wires",
      words: "unknown key 'wordLineSegment'"),
  ])
  func refusesAndNamesFileLineAndKey(_ refusal: Refusal) throws {
    let good = try ChipProfile.named("cmo-hfox").document
    let parts = good.split(separator: refusal.original, maxSplits: 1, omittingEmptySubsequences: false)
    try #require(parts.count == 2, "the text to replace is not in the profile")
    let bad = parts[0] + refusal.replacement + parts[1]
    let error = #expect(throws: ProfileError.self) { try ChipProfile(yaml: String(bad), file: "my.yaml") }
    #expect(error?.code == refusal.code)
    #expect(error?.key == refusal.key)
    #expect(error?.description.contains(refusal.words) == true, "\(error?.description ?? "")")
    #expect(error?.description.hasPrefix("my.yaml:\(error?.line ?? -1): \(refusal.key): ") == true)
  }

  @Test func theLineIsThatOfTheKey() throws {
    let good = try ChipProfile.named("cmo-hfox").document
    var lines = good.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    let index = try #require(lines.firstIndex { $0.hasPrefix("  referenceWidth:") })
    lines[index] = "  referenceWidht: {value: 1, unit: µs, assumed: common}"
    let error = #expect(throws: ProfileError.self) {
      try ChipProfile(yaml: lines.joined(separator: "\n"), file: "my.yaml")
    }
    #expect(error?.line == index + 1)
    #expect(error?.validChoices.contains("referenceWidth") == true)
  }

  @Test func aMissingKeyIsNamed() throws {
    let lines = try ChipProfile.named("ideal").document.split(separator: "\n", omittingEmptySubsequences: false)
    let text = lines.filter { !$0.hasPrefix("  cycleSpread:") }.joined(separator: "\n")
    let error = #expect(throws: ProfileError.self) { try ChipProfile(yaml: text, file: "my.yaml") }
    #expect(error?.code == .missingKey)
    #expect(error?.key == "programming")
    #expect(error?.reason == "key 'cycleSpread' is missing")
  }

  @Test(arguments: ["", "- 1\n- 2\n", "a: [1,\n", "name: a\nname: b\n", "just words"])
  func whatIsNotAMappingIsRefused(text: String) {
    let error = #expect(throws: ProfileError.self) { try ChipProfile(yaml: text, file: "my.yaml") }
    #expect(error?.code == .malformed)
  }

  @Test(arguments: ["uS", "µS", "\u{3BC}S"])
  func microIsUnderstoodInEverySpelling(unit: String) throws {
    let good = try ChipProfile.named("cmo-hfox").document
    let parts = good.split(separator: "flicker: {value: 0.0277, unit: µS,", maxSplits: 1)
    let text = parts[0] + "flicker: {value: 0.0277, unit: \(unit)," + parts[1]
    #expect(try ChipProfile(yaml: String(text), file: "my.yaml").readNoise.flicker == .microsiemens(0.0277))
  }

  @Test func aProfileWithoutWiresHasLinesWithoutResistance() throws {
    let good = try ChipProfile.named("cmo-hfox").document
    let lines = good.split(separator: "\n", omittingEmptySubsequences: false)
    let start = try #require(lines.firstIndex(of: "wires:"))
    let bare = (lines[..<start] + lines[(start + 3)...]).joined(separator: "\n")
    #expect(try ChipProfile(yaml: bare, file: "bare.yaml").wires == .none)
    let wired = good.replacing("bitLineSegment: {value: 0, unit: Ω", with: "bitLineSegment: {value: 1.5, unit: Ω")
    #expect(try ChipProfile(yaml: wired, file: "wired.yaml").wires.bitLineSegment == Ohms(1.5))
  }
}
