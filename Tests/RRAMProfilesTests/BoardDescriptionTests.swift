import RRAMProfiles
import RRAMUnits
import Testing

@Suite struct BoardDescriptionTests {
  @Test(arguments: ["parallel", "multiplexed"])
  func shippedDescriptionsLoadAndNameThemselves(name: String) throws {
    let board = try BoardDescription.load(nameOrPath: name)
    #expect(board.name == name)
    #expect(board.macros.shape == MacroShape(rows: 64, columns: 64))
    #expect(try BoardDescription(yaml: board.document, file: "sent").hash == board.hash)
    let numbers = board.document.split(separator: "\n").count { $0.contains("value:") || $0.contains("values:") }
    #expect(board.provenance.count == numbers)
  }

  @Test func onlyTheParallelBoardClosesTheLoop() throws {
    #expect(try BoardDescription.named("multiplexed").closedLoop == nil)
    #expect(try BoardDescription.named("hdpm").closedLoop?.imperfections.skew == .microseconds(1200))
    let loop = try #require(try BoardDescription.named("parallel").closedLoop)
    #expect(loop.layerMacros == [0, 1, 2])
    #expect(loop.rowClamp / loop.unitVoltage >= 8)
    #expect(loop.integratorRail / loop.unitVoltage >= 6)
    #expect(loop.embedding.range.upperBound / loop.unitVoltage >= 2.5)
    #expect(loop.coefficient.range.upperBound / loop.coefficientUnit >= 4)
    #expect(loop.offset != nil)
    // ±4 σ of g/√Δτ at g = 1, 200 ticks: 57 units at the integrator.
    let fullScale = loop.noise.range.upperBound * loop.noiseGain / loop.unitVoltage
    #expect(fullScale > 4 * 200.0.squareRoot())
    // Gains for 1 µS … 2 mS a unit.
    #expect(loop.columnGainCode(nearest: Ohms(1 / 1e-6)) == 65_535)
    #expect(loop.columnGainCode(nearest: Ohms(1 / 2e-3)) == 0)
    #expect(loop.columnGainCode(nearest: Ohms(490)) == nil)
  }

  /// The published board's converters and timing: 12 bit, 5 ms ticks, 241 of them, 9600 baud.
  @Test func theBoardLikeThePublishedOneHasItsTiming() throws {
    let board = try BoardDescription.named("hdpm")
    let loop = try #require(board.closedLoop)
    #expect(loop.tick == .milliseconds(5) ... .milliseconds(5) && loop.maximumTicks == 241)
    #expect(loop.embedding.bits == 12 && loop.embeddingChannels == 14 && loop.offset != nil)
    #expect(loop.presetTime + loop.runTime + loop.readOutTime == .milliseconds(5025))
    #expect(board.link.bytesPerSecond == 960)
    #expect(!loop.imperfections.isIdeal)
    let numbers = board.document.split(separator: "\n").count { $0.contains("value:") || $0.contains("values:") }
    #expect(board.provenance.count == numbers)
  }

  /// The two boards differ in their macros alone.
  @Test func thePairedBoardIsTheParallelOneWithASecondNetwork() throws {
    let (paired, parallel) = (try BoardDescription.named("paired"), try BoardDescription.named("parallel"))
    var loop = try #require(paired.closedLoop)
    #expect(loop.layerMacros == [0, 1, 2] && loop.secondLayerMacros == [3, 4, 5] && paired.macros.count == 8)
    loop.secondLayerMacros = []
    #expect(loop == parallel.closedLoop)
    #expect(paired.drivers == parallel.drivers && paired.sensing == parallel.sensing && paired.link == parallel.link)
  }

  /// What a second network's macros must be: others, and as many.
  @Test(arguments: ["[3, 4]", "[2, 4, 5]", "[3, 4, 8]"])
  func refusesASecondNetworkThatDoesNotFit(macros: String) throws {
    let document = try BoardDescription.named("paired").document.replacing(
      "{values: [3, 4, 5]", with: "{values: \(macros)")
    let error = #expect(throws: ProfileError.self) { try BoardDescription(yaml: document, file: "b.yaml") }
    #expect(error?.description.contains("closedLoop.secondLayerMacros") == true)
  }

  @Test func unknownNameListsTheValidOnes() {
    let error = #expect(throws: ProfileError.self) { try BoardDescription.named("serial") }
    #expect(error?.validChoices == ["hdpm", "multiplexed", "paired", "parallel"])
  }

  /// One replacement in the text of the parallel board, and what must be said about it.
  @Test(arguments: [
    ("layerMacros: {values: [0, 1, 2]", "layerMacros: {values: [0, 1, 4]", "closedLoop.layerMacros"),
    ("amplifier: {value: 5, unit: mW", "amplifier: {value: -5, unit: mW", "closedLoop.power.amplifier"),
    ("conversion: {value: 10, unit: nJ", "conversion: {value: -10, unit: nJ", "closedLoop.power.conversion"),
    ("columnsPerAmplifier: {value: 1,", "columnsPerAmplifier: {value: 8,", "closedLoop"),
    ("    min: {value: -0.3, unit: V", "    min: {value: -0.2, unit: V", "closedLoop.embedding"),
    ("rowClamp: {value: 1.0,", "rowClamp: {value: 6,", "closedLoop.rowClamp"),
    (
      "maximumRequestBytes: {value: 64, unit: KiB", "maximumRequestBytes: {value: 512, unit: B",
      "link.maximumRequestBytes"
    ),
    ("  readVoltage: {value: 0.2,", "  readVoltage: {value: 5.2,", "sensing.readVoltage"),
    ("ranges: {values: [10, 30, 100, 300]", "ranges: {values: [30, 10]", "sensing.ranges"),
    ("outputResistance: {value: 0,", "outputResistance: {value: -1,", "drivers.outputResistance"),
    ("inputResistance: {value: 0,", "inputResistance: {value: -1,", "sensing.inputResistance"),
    ("wordLines: parallelToBitLines", "wordLines: diagonal", "macros.wordLines"),
  ])
  func refusesWhatDoesNotFitTogether(original: String, replacement: String, key: String) throws {
    let good = try BoardDescription.named("parallel").document
    let parts = good.split(separator: original, maxSplits: 1, omittingEmptySubsequences: false)
    try #require(parts.count == 2)
    let error = #expect(throws: ProfileError.self) {
      try BoardDescription(yaml: parts[0] + replacement + parts[1], file: "my.yaml")
    }
    #expect(error?.code == .invalidValue)
    #expect(error?.key == key)
    #expect(error?.line != nil)
  }

  @Test func middleCodeOfASymmetricConverterIsZeroVolts() throws {
    let converter = BoardDescription.Converter(bits: 14, range: Volts(-0.3)...Volts(0.3))
    #expect(converter.code(nearest: .zero) == DACCode(rawValue: 8192))
    #expect(converter.volts(DACCode(rawValue: 8192)).rawValue.magnitude < 1e-16)
    #expect(converter.volts(DACCode(rawValue: 0)) == Volts(-0.3))
  }

  @Test func codesOutsideTheConverterDoNotExist() {
    let converter = BoardDescription.Converter(bits: 8, range: Volts(0)...Volts(2.56))
    #expect(converter.code(nearest: Volts(2.55))?.rawValue == 255)
    #expect(converter.code(nearest: Volts(2.554))?.rawValue == 255)
    #expect(converter.code(nearest: Volts(2.556)) == nil)
    #expect(converter.code(nearest: Volts(-0.006)) == nil)
    #expect(converter.code(nearest: Volts(.nan)) == nil)
    #expect(converter.code(nearest: Volts(.infinity)) == nil)
    for code in 0..<UInt32(256) {
      #expect(converter.code(nearest: converter.volts(DACCode(rawValue: code)))?.rawValue == code)
    }
  }
}
