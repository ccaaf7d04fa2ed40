import RRAMBoard
import RRAMKit
import RRAMUnits
import RRAMWire
import Testing

@Suite("emu:temperature=") struct EmulatedTemperatureTests {
  @Test("the board's sensor shows the address's temperature, 25 °C without one", arguments: ["", ",temperature=85.5"])
  func isMeasured(key: String) async throws {
    let celsius = try await RRAM.withBoard("emu:profile=ideal,seed=1\(key)") { board in
      try await board.readADC(.temperature, channel: 0).value
    }
    #expect(celsius == (key.isEmpty ? 25 : 85.5))
  }

  @Test("an hour at 100 °C relaxes cells more than an hour at 25 °C")
  func agesCells() async throws {
    // 256 cells of hfox-analog after forming, seed 1: mean |ΔG| of an hour; Arrhenius makes the hour at 100 °C some weeks.
    var moved: [Double] = []
    for celsius in [25, 100] {
      let deltas = try await RRAM.withBoard("emu:profile=hfox-analog,seed=1,temperature=\(celsius)") { board in
        let block = CellBlock(macro: 0, shape: MacroShape(rows: 16, columns: 16))
        _ = try await board.form([block], options: FormOptions(ChipProfile.named("hfox-analog")))
        let before = try await board.read(block)
        try await board.wait(.seconds(3600))
        return zip(before, try await board.read(block)).map { abs(Double($1) - Double($0)) }
      }
      moved.append(deltas.reduce(0, +) / Double(deltas.count))
    }
    #expect(moved[1] > 1.05 * moved[0], "\(moved) S")
  }

  @Test("what no oven reaches is refused", arguments: ["-300", "201", "nan", "warm"])
  func isRefused(value: String) throws {
    let error = try #require(throws: BoardAddress.ParseError.self) { try BoardAddress("emu:temperature=\(value)") }
    #expect(error.reason.contains("°C from 0.0 to 200.0"))
  }
}
