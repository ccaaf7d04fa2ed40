import RRAMEmulator
import RRAMPhysics
import RRAMProfiles
import RRAMUnits
import RRAMWire
import Testing

/// Wires between drivers, cells and amplifiers, as a host notices them.
///
/// Cells of `ideal` conduct exactly 100 µS once they are formed and 0.01 µS before, so what the network is made of is known.
@Suite(.timeLimit(.minutes(1)))
struct ChipWiresTests {
  static let wires = ArrayWires(rowSegment: Ohms(20), columnSegment: Ohms(10), driver: Ohms(30), amplifier: Ohms(5))
  static let shape = MacroShape(rows: 64, columns: 64)

  private func host(
    _ wordLines: BoardDescription.Macros.WordLines = .parallelToBitLines, profile: String = "ideal"
  ) throws -> BoardHost {
    try BoardHost(profile: profile) { profile, board in
      profile.wires = ChipProfile.Wires(
        bitLineSegment: Self.wires.rowSegment, sourceLineSegment: Self.wires.columnSegment)
      board.drivers.outputResistance = Self.wires.driver
      board.sensing.inputResistance = Self.wires.amplifier
      board.macros.wordLines = wordLines
    }
  }

  private func conductances(formed blocks: [CellBlock]) -> [Double] {
    var cells = [Double](repeating: 0.01e-6, count: Self.shape.cellCount)
    for block in blocks {
      for row in block.rowRange {
        for column in block.columnRange { cells[row * Self.shape.columns + column] = 100e-6 }
      }
    }
    return cells
  }

  private func effective(formed blocks: [CellBlock]) throws -> [Double] {
    try WireNetwork(shape: Self.shape, wires: Self.wires).effective(conductances(formed: blocks))
  }

  @Test func matrixProductsSeeTheWiresAndTheCellsBesideTheBlock() async throws {
    let host = try host()
    try await host.hello()
    let block = CellBlock(macro: 0, shape: MacroShape(rows: 3, columns: 4))
    let beside = CellBlock(macro: 0, firstRow: 3, firstColumn: 0, shape: MacroShape(rows: 40, columns: 4))
    let inputs: [Float] = [0.1, -0.05, 0.2]
    try await host.form(CellSelection(block: block))
    var seen: [[Float]] = []
    for formed in [[block], [block, beside]] {
      if formed.count == 2 { try await host.form(CellSelection(block: beside)) }
      let matrix = try effective(formed: formed)
      let result = try await host.request(MatrixProduct(block: block, inputs: inputs, wordLine: Volts(1.1)))
      for (column, current) in result.currents.enumerated() {
        let expected = (0..<3).reduce(0.0) { $0 + Double(inputs[$1]) * matrix[$1 * 64 + column] }
        #expect(abs(Double(current) - expected) < 5e-9)
      }
      seen.append(result.currents)
    }
    // Without wires 25 µA in every column; the cells beside the block take some of it.
    #expect(seen[0].allSatisfy { $0 < 24.5e-6 })
    #expect(zip(seen[0], seen[1]).allSatisfy { $0 - $1 > 0.1e-6 })
    await host.board.close()
  }

  @Test(arguments: BoardDescription.Macros.WordLines.allCases)
  func readsSeeTheLineOfTheirWordLine(wordLines: BoardDescription.Macros.WordLines) async throws {
    let host = try host(wordLines)
    try await host.hello()
    let block = BoardHost.block(8, 8)
    try await host.form(block)
    let read = try await host.read(block)
    let cells = conductances(formed: [block.block])
    for row in 0..<8 {
      for column in 0..<8 {
        let factor =
          switch wordLines {
          case .parallelToBitLines:
            Self.wires.rowFactors(Array(cells[row * 64..<(row + 1) * 64]), row: row, of: Self.shape)[column]
          case .parallelToSourceLines:
            Self.wires.columnFactors((0..<64).map { cells[$0 * 64 + column] }, column: column)[row]
          }
        #expect(abs(Double(read[row * 8 + column]) - 100e-6 * factor) < 5e-9 && factor < 0.95)
      }
    }
    await host.board.close()
  }

  @Test(arguments: BoardDescription.Macros.WordLines.allCases)
  func aColumnSeesTheCellsWhoseWordLineIsOn(wordLines: BoardDescription.Macros.WordLines) async throws {
    let host = try host(wordLines)
    try await host.hello()
    let block = BoardHost.block(2, 2)
    try await host.form(block)
    let drivers = try BoardDescription.named("parallel").drivers
    let gate = try #require(drivers.wordLine.code(nearest: Volts(1.1)))
    let voltage = try #require(drivers.bitLine.code(nearest: Volts(0.2)))
    // Row 0 is driven; its word line, or that of column 1, is on.
    let channel = wordLines == .parallelToBitLines ? 0 : 1
    _ = try await host.request(SetDAC(kind: .wordLine, channel: channel, code: gate))
    _ = try await host.request(SetDAC(kind: .bitLine, channel: 0, code: voltage))
    var cells = conductances(formed: [block.block])
    for index in cells.indices where (wordLines == .parallelToBitLines ? index / 64 != 0 : index % 64 != 1) {
      cells[index] = 0
    }
    let matrix = try WireNetwork(shape: Self.shape, wires: Self.wires).effective(cells)
    for column in 0..<2 {
      let result = try await host.request(ReadADC(kind: .column, channel: column))
      let expected = matrix[column] * drivers.bitLine.volts(voltage).rawValue
      let gain = try BoardDescription.named("parallel").sensing.ranges.map(\.rawValue).last { expected * $0 <= 0.98 }
      #expect(abs(result.value - expected * (gain ?? 0)) < 1e-4)
      #expect(expected > 15e-6 || (wordLines == .parallelToSourceLines && column == 0))
    }
    await host.board.close()
  }

  @Test func theClosedLoopRunsOnTheEffectiveMatrix() async throws {
    let host = try host()
    try await host.hello()
    let board = try BoardDescription.named("parallel")
    let loop = try #require(board.closedLoop)
    let block = CellBlock(macro: 0, firstRow: 5, firstColumn: 6, shape: MacroShape(rows: 3, columns: 4))
    try await host.form(CellSelection(block: block))
    // Equal cells: only wires make a pair differ, by some tenths of a µS, which 1 MΩ turns into a weight.
    _ = try await host.request(ConfigureLoop(layers: [LoopLayer(block: block, columnGain: [65_535, 65_535])]))
    let matrix = try effective(formed: [block])
    let weights = (0..<2).map { output in
      (0..<3).map { row in
        let plus = (5 + row) * 64 + 6 + 2 * output
        return 1e6 * (matrix[plus] - matrix[plus + 1])
      }
    }
    #expect(weights.flatMap { $0 }.allSatisfy { abs($0) > 0.05 })
    let ticks = 20
    func code(_ value: Volts, _ converter: BoardDescription.Converter) throws -> UInt16 {
      UInt16(try #require(converter.code(nearest: value)).rawValue)
    }
    let rate = 0.4
    let zero = try code(.zero, loop.embedding)
    let codes =
      [try code(.zero, loop.coefficient), try code(loop.coefficientUnit * rate, loop.coefficient)]
      + [UInt16](repeating: zero, count: loop.embeddingChannels)
      + [UInt16](repeating: try code(.zero, try #require(loop.offset)), count: 2)
    _ = try await host.request(
      UploadSchedule(
        scheduleID: 1, ticks: ticks, tick: .microseconds(1), firstTick: 0, count: ticks,
        codes: [[UInt16]](repeating: codes, count: ticks).flatMap { $0 }, noise: []))
    let start = SIMD2(0.5, -1.0)
    let preset = try [start.x, start.y].map { try code(loop.unitVoltage * $0, loop.preset) }
    let messages = try await host.exchange(
      .runLoop(RunLoop(scheduleID: 1, samples: 1, preset: preset, seed: 1, credit: 10)))
    let result = try #require(messages.last).response(as: RunResults.self)
    // Runge–Kutta of fourth order; 20 µs are a whole run.
    func slope(_ x: SIMD2<Double>) -> SIMD2<Double> {
      rate * loop.outputAmplifier
        * SIMD2(
          weights[0][0] * x.x + weights[0][1] * x.y + weights[0][2],
          weights[1][0] * x.x + weights[1][1] * x.y + weights[1][2])
    }
    var x = start
    let step = 0.005
    for _ in 0..<200 {
      let k1 = slope(x)
      let k2 = slope(x + step / 2 * k1)
      let k3 = slope(x + step / 2 * k2)
      let k4 = slope(x + step * k3)
      x += step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    }
    for (axis, code) in result.x.enumerated() {
      let value = loop.readOut.volts(DACCode(rawValue: UInt32(code))) / loop.unitVoltage
      // The codes' own steps grow with x to some 1e-3.
      #expect(abs(value - x[axis]) < 3e-3)
      #expect(abs(x[axis] - start[axis]) > 0.1)
    }
    await host.board.close()
  }

  @Test func theMatrixAgesWithItsCells() async throws {
    // Seed 1 of cmo-hfox, formed and not written. Reads of the cells, what their rows lose made good, predict the product
    // before and after an hour of drift; read noise of eight cells and the converter stay below 0.15 %.
    let host = try host(profile: "cmo-hfox")
    try await host.hello()
    let block = BoardHost.block(8, 4)
    try await host.form(block, profile: "cmo-hfox")
    let product = MatrixProduct(
      block: block.block, inputs: [Float](repeating: 0.1, count: 8), wordLine: Volts(1.1))
    var currents: [[Double]] = []
    for wait in [Duration.zero, .seconds(3600)] {
      if wait > .zero { _ = try await host.request(AdvanceTime(duration: wait)) }
      let read = try await host.read(block)
      var cells = conductances(formed: [])
      for row in 0..<8 {
        var own = Array(cells[row * 64..<(row + 1) * 64])
        for _ in 0..<5 {
          let factors = Self.wires.rowFactors(own, row: row, of: Self.shape)
          for column in 0..<4 { own[column] = Double(read[row * 4 + column]) / factors[column] }
        }
        cells.replaceSubrange(row * 64..<(row + 1) * 64, with: own)
      }
      let matrix = try WireNetwork(shape: Self.shape, wires: Self.wires).effective(cells)
      let answered = try await host.request(product).currents.map(Double.init)
      for column in 0..<4 {
        // Cells conduct a little less at 0.1 V than at the 0.2 V of reads.
        let factor = try ChipProfile.named("cmo-hfox").cells.relativeConductance(at: Volts(0.1))
        let expected = 0.1 * factor * (0..<8).reduce(0.0) { $0 + matrix[$1 * 64 + column] }
        #expect(abs(answered[column] / expected - 1) < 1.5e-3)
      }
      currents.append(answered)
    }
    #expect(zip(currents[0], currents[1]).allSatisfy { abs($1 / $0 - 1) > 4e-3 })
    await host.board.close()
  }
}
