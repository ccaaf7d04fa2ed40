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
}
