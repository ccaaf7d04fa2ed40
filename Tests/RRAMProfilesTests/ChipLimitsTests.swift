import RRAMProfiles
import RRAMUnits
import Testing

@Suite struct ChipLimitsTests {
  private static let record = """
    wordLine: {value: 3, unit: V, assumed: bench}
    bitLine: {value: 2, unit: V, assumed: bench}
    sourceLine: {value: 2, unit: V, assumed: bench}
    forming: {value: 0, unit: V, assumed: already formed}
    read: {value: 100, unit: mV, assumed: bench}
    pulseWidth:
      min: {value: 100, unit: ns, assumed: bench}
      max: {value: 10, unit: µs, assumed: bench}
    pulsesPerRequest: {value: 50, unit: "1", assumed: bench}
    conductance:
      min: {value: 20, unit: µS, assumed: bench}
      max: {value: 60, unit: µS, assumed: bench}
    """

  @Test func aRecordIsReadFromYAML() throws {
    let limits = try ChipLimits(yaml: Self.record, file: "limits.yaml")
    #expect(limits.read == Volts(0.1))
    #expect(limits.pulseWidth == .nanoseconds(100) ... .microseconds(10))
    #expect(limits.conductance == .microsiemens(20) ... .microsiemens(60))
  }

  @Test func anImpossibleVoltageIsRefused() {
    let text = "wordLine: {value: 300, unit: V, assumed: bench}" + Self.record.drop { $0 != "\n" }
    let error = #expect(throws: ProfileError.self) { try ChipLimits(yaml: text, file: "limits.yaml") }
    #expect(error?.description == "limits.yaml:1: wordLine: 300 V is above 20 V")
  }

  @Test func theStrictestOfEveryLimitWins() throws {
    let profile = try #require(try ChipProfile.named("cmo-hfox").limits)
    let both = ChipLimits.strictest(of: [profile, try ChipLimits(yaml: Self.record, file: "limits.yaml")])
    #expect(both.wordLine == Volts(3))
    #expect(both.bitLine == Volts(1.5))
    #expect(both.forming == .zero)
    #expect(both.read == Volts(0.1))
    #expect(both.pulseWidth == .nanoseconds(100) ... .microseconds(10))
    #expect(both.pulsesPerRequest == 50)
    #expect(both.conductance == .microsiemens(20) ... .microsiemens(60))
  }

  @Test func withoutARecordOnlyReadsRemain() throws {
    let limits = ChipLimits.strictest(of: [])
    #expect(limits == .readOnly)
    #expect(limits.pulsesPerRequest == 0)
    #expect(limits.forming == .zero)
    #expect(limits.read == Volts(0.2))
  }

  @Test func rangesThatDoNotOverlapForbidPulses() throws {
    var short = try #require(try ChipProfile.named("ideal").limits)
    short.pulseWidth = .nanoseconds(1) ... .nanoseconds(2)
    let both = ChipLimits.strictest(of: [short, try ChipLimits(yaml: Self.record, file: "limits.yaml")])
    #expect(both.pulsesPerRequest == 0)
  }

  /// What a record need not state is read where it stands, and the strictest still wins.
  @Test func theLimitsThatNeedNotBeStatedAreMergedAsWell() throws {
    let more =
      Self.record + """

        current: {value: 300, unit: µA, assumed: bench}
        pulseEnergy: {value: 2, unit: nJ, assumed: bench}
        power: {value: 20, unit: mW, assumed: bench}
        slew: {value: 5, unit: V/µs, assumed: bench}
        resistance: {value: 200, unit: kΩ, assumed: bench}
        disturb: {value: 0.9, unit: V, assumed: bench}
        pulsesPerRun: {value: 500, unit: "1", assumed: bench}
        pulsesPerLife: {value: 100000, unit: "1", assumed: bench}
        temperature:
          min: {value: 10, unit: °C, assumed: bench}
          max: {value: 60, unit: °C, assumed: bench}
        """
    let own = try ChipLimits(yaml: more, file: "limits.yaml")
    let profile = try #require(try ChipProfile.named("cmo-hfox").limits)
    let both = ChipLimits.strictest(of: [profile, own])
    #expect(both.current == .microamperes(300) && both.pulseEnergy == Joules(2e-9) && both.power == Watts(0.02))
    #expect(both.slew == VoltsPerSecond(5e6) && both.resistance == .kiloohms(200) && both.disturb == Volts(0.9))
    #expect(both.pulsesPerRun == 500 && both.pulsesPerLife == 100_000)
    #expect(both.temperature == Celsius(10)...Celsius(60))
    // A record without a disturb voltage permits no loop, whatever the other says.
    #expect(ChipLimits.strictest(of: [profile, try ChipLimits(yaml: Self.record, file: "limits.yaml")]).disturb == nil)
  }

  @Test func aCeilingBelowTheWindowIsRefused() {
    let text = Self.record + "\nresistance: {value: 40, unit: kΩ, assumed: bench}"
    let error = #expect(throws: ProfileError.self) { try ChipLimits(yaml: text, file: "limits.yaml") }
    #expect(
      error?.description.hasSuffix(
        "resistance: 40 kΩ is below the resistance of the window's low end, 20 µS") == true,
      "\(error?.description ?? "")")
  }

  /// `--allow` opens voltages and wear; nothing else, and no line that may not be driven at all.
  @Test func anAllowanceOpensVoltagesAndWearOnly() throws {
    var limits = try ChipLimits(yaml: Self.record, file: "limits.yaml")
    limits.pulsesPerLife = 10
    let opened = limits.opened(by: LimitAllowance(overVoltage: Volts(2.5), wear: true))
    #expect(opened.wordLine == Volts(3) && opened.bitLine == Volts(2.5) && opened.sourceLine == Volts(2.5))
    #expect(opened.forming == .zero && opened.pulsesPerLife == nil)
    var rest = opened
    (rest.bitLine, rest.sourceLine, rest.pulsesPerLife) = (limits.bitLine, limits.sourceLine, 10)
    #expect(rest == limits)
  }
}
