import RRAMUnits
import Testing

@Suite struct QuantityTests {
  @Test(arguments: [
    (Siemens.microsiemens(47.5), "47.5 µS"), (Siemens(0), "0 S"), (Siemens(1e-4), "100 µS"),
    (Siemens.microsiemens(-0.25), "-250 nS"), (Siemens(0.000999999), "1 mS"),
  ])
  func describesWithPrefix(value: Siemens, text: String) {
    #expect(value.description == text)
  }

  /// A limit check is a comparison; NaN must not pass it in either direction.
  @Test func nothingComparesWithNaN() {
    let nan = Volts(.nan)
    #expect(!(nan <= Volts(1)) && !(nan >= Volts(1)) && !(nan < Volts(1)) && !(nan > Volts(1)))
    #expect(!(Volts(1) <= nan) && !(Volts(1) >= nan))
    #expect(!(Volts(-1)...Volts(1)).contains(nan))
    #expect(Volts(1) <= Volts(1) && Volts(1) >= Volts(1))
  }

  @Test func ohmsLaw() {
    let current = Siemens.microsiemens(50) * Volts(0.2)
    #expect(abs(current.rawValue - 10e-6) < 1e-18)
    #expect(abs((current / Volts(0.2)).microsiemens - 50) < 1e-9)
  }

  @Test func notANumberIsWithinNoLimit() {
    func isWithin<T: Comparable>(_ value: T, _ range: ClosedRange<T>) -> Bool { range.contains(value) }
    let nan = Volts(.nan)
    #expect(!(nan <= Volts(1)) && !(nan >= Volts(1)) && !(nan < Volts(1)) && !(nan > Volts(1)))
    #expect(!isWithin(nan, Volts(0)...Volts(1)))
    #expect(isWithin(Volts(1), Volts(0)...Volts(1)))
  }

  @Test func blockBoundsAreChecked() {
    let macro = MacroShape(rows: 64, columns: 64)
    #expect(CellBlock(macro: 0, firstRow: 60, firstColumn: 0, shape: .init(rows: 4, columns: 64)).fits(in: macro))
    #expect(!CellBlock(macro: 0, firstRow: 61, firstColumn: 0, shape: .init(rows: 4, columns: 64)).fits(in: macro))
    #expect(!CellBlock(macro: 0, firstRow: 0, firstColumn: 1, shape: .init(rows: Int.max, columns: 64)).fits(in: macro))
    #expect(!CellBlock(macro: 0, firstRow: 0, firstColumn: 0, shape: .init(rows: 0, columns: 64)).fits(in: macro))
  }
}
