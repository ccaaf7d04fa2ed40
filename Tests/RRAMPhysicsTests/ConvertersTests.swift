import RRAMPhysics
import RRAMProfiles
import RRAMUnits
import Testing

@Suite struct ConvertersTests {
  private let converter = BoardDescription.Converter(bits: 12, range: Volts(-1)...Volts(1))

  @Test func anOutputOutsideTheRangeIsRefusedNotClamped() throws {
    #expect(try converter.output(nearest: Volts(0.5), of: "bitLine") == Volts(0.5))
    let error = #expect(throws: PhysicsError.self) { try converter.output(nearest: Volts(1.2), of: "bitLine") }
    #expect(error?.code == .converterRange)
    #expect(error?.description == "bitLine: 1.2 V is outside -1 V … 999.5 mV")
    #expect(throws: PhysicsError.self) { try converter.output(nearest: Volts(.nan), of: "bitLine") }
  }

  @Test func anInputOutsideTheRangeIsFlagged() {
    #expect(converter.convert(Volts(2)) == Conversion(code: ADCCode(rawValue: 4095), isSaturated: true))
    #expect(converter.convert(Volts(-2)) == Conversion(code: ADCCode(rawValue: 0), isSaturated: true))
    #expect(converter.convert(Volts(.nan)).isSaturated)
    #expect(converter.convert(Volts(0)) == Conversion(code: ADCCode(rawValue: 2048), isSaturated: false))
    #expect(!converter.convert(Volts(-1)).isSaturated)
  }

  @Test func quantisationIsHalfAnLSBAtMost() {
    for step in 0..<1000 {
      let voltage = Volts(-1 + Double(step) * 0.001999)
      let read = converter.volts(converter.convert(voltage).code)
      #expect((read - voltage).magnitude <= converter.leastSignificantBit / 2 + Volts(1e-12))
    }
  }

  @Test func theLargestRangeThatFitsIsChosen() throws {
    let sensing = try BoardDescription.named("parallel").sensing
    #expect(sensing.ranges[sensing.rangeIndex(for: .microsiemens(160), at: Volts(0.2))] == .kiloohms(30))
    #expect(sensing.ranges[sensing.rangeIndex(for: .microsiemens(10), at: Volts(0.2))] == .kiloohms(300))
    #expect(sensing.rangeIndex(for: .microsiemens(10_000), at: Volts(0.2)) == 0)
  }

  /// A read of a noiseless cell: converter noise 8 µV rms and quantisation, seed 1, n = 4 096 reads; σ within 10 %.
  @Test func readOutAddsTheConvertersNoiseAndAveragingReducesIt() throws {
    var crossbar = try Crossbar.formed("ideal", seed: 1)
    let sensing = try BoardDescription.named("parallel").sensing
    let cells = Array(0..<crossbar.cellCount)
    func sigma(_ averages: Int) throws -> Double {
      let readOut = Crossbar.ReadOut(
        sensing: sensing, wordLine: sensing.readWordLine, voltage: sensing.readVoltage, range: 1, averages: averages)
      let errors = try crossbar.read(cells, readOut, at: 1).conductances.map { ($0.microsiemens - 100) }
      return (errors.reduce(0) { $0 + $1 * $1 } / Double(errors.count)).squareRoot()
    }
    // 8 µV and 2 V/2¹⁸/√12 at 30 kΩ and 0.2 V.
    let lsb = 2 / 262_144.0
    let expected = (8e-6 * 8e-6 + lsb * lsb / 12).squareRoot() / (30e3 * 0.2) * 1e6
    #expect(abs(try sigma(1) / expected - 1) < 0.1)
    #expect(abs(try sigma(16) / (expected / 4) - 1) < 0.15)
  }

  @Test func aReadBeyondTheConverterIsFlagged() throws {
    var crossbar = try Crossbar.formed("ideal", shape: MacroShape(rows: 1, columns: 2), seed: 1)
    let sensing = try BoardDescription.named("parallel").sensing
    let readOut = Crossbar.ReadOut(
      sensing: sensing, wordLine: sensing.readWordLine, voltage: sensing.readVoltage, range: 3)
    #expect(try crossbar.read([0, 1], readOut, at: 1).saturated == [true, true])
  }
}
