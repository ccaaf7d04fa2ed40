import Glibc
import RRAMPhysics
import RRAMProfiles
import RRAMUnits
import Testing

@Suite struct LoopTransportTests {
  /// Every set and both kinds of weights against the formula in double precision; curvature × clamp = 2 is the largest allowed.
  @Test(arguments: [
    LoopTransport(curvature: 0.05, readLevel: 2, polarity: 0.998),
    LoopTransport(curvature: 0, readLevel: 2, polarity: 0.9),
    LoopTransport(curvature: 0.5, readLevel: 1, polarity: 1.1),
  ])
  func followsTheFormula(_ transport: LoopTransport) throws {
    let limits = LoopLimits(rowClamp: 4)
    for (widths, noise) in [
      ([2, 14, 14, 2], LoopNoise.white), ([3, 20, 3], .none), ([2, 7, 2], ClosedLoopTests.cells),
    ] {
      let network = randomNetwork(widths, seed: 61, deviation: 0.05)
      var tables = randomTables(for: network, ticks: 20, seed: 62)
      tables.noiseAmplitude = []
      let samples = 5
      let x0 = randomPoints(samples, dimensions: network.dimensions, seed: 63)
      var reference = ReferenceLoop(network: network, limits: limits, noise: noise)
      reference.transport = transport
      let expected = (0..<samples).flatMap { sample in
        reference.run(
          x0: x0[sample * network.dimensions..<(sample + 1) * network.dimensions].map(Double.init), tables: tables,
          integration: LoopIntegration(), nodeSeed: 64, sample: UInt64(sample)
        ).x
      }
      let loop = try ClosedLoop(network: network, limits: limits, noise: noise, transport: transport)
      for set in InstructionSet.supported {
        let result = try loop.run(x0: x0, tables: tables, noiseSeed: 64, instructionSet: set)
        #expect(largestDifference(result.x, expected) < 1e-4, "\(widths) \(set)")
      }
      let ohmic = try ClosedLoop(network: network, limits: limits, noise: noise).run(
        x0: x0, tables: tables, noiseSeed: 64)
      #expect(largestDifference(ohmic.x, expected) > 1e-3)
    }
  }

  /// Current of one cell at V: selector of R in series with an oxide of g·V₀·sinh(V/V₀), which together have the conductance G at
  /// the read voltage. By bisection.
  private func current(_ conductance: Double, at voltage: Double, _ cells: ChipProfile.Cells) -> Double {
    let (c, read, resistance) = (cells.curvature, cells.readVoltage.rawValue, cells.selectorResistance.rawValue)
    let atRead = conductance * read
    let oxide = atRead / (sinh(c * (read - atRead * resistance)) / c)
    var (low, high) = (0.0, oxide * sinh(c * voltage) / c)
    for _ in 0..<200 {
      let middle = (low + high) / 2
      if middle * resistance + asinh(middle * c / oxide) / c > voltage { high = middle } else { low = middle }
    }
    return low
  }

  /// Where the curve of the row's voltage stops being that of the cells: bounds as documented, at the loop's gate voltage.
  @Test(arguments: [("cmo-hfox", 0.0013, 0.0101), ("hfox-analog", 0.0046, 0.038)])
  func eachCellSolvedForItself(_ name: String, atFourUnits: Double, atTheClamp: Double) throws {
    let cells = try ChipProfile.named(name).cells
    for share in [0, 0.25, 0.5, 1] {
      let conductance =
        cells.conductance.lowerBound.rawValue
        + share * (cells.conductance.upperBound - cells.conductance.lowerBound).rawValue
      for (voltage, bound) in [
        (0.05, atFourUnits), (0.1, atFourUnits), (0.2, 1e-9), (0.4, atFourUnits), (1, atTheClamp),
      ] {
        let exact = current(conductance, at: voltage, cells)
        let factor = cells.relativeConductance(at: Volts(voltage))
        let error = conductance * voltage * factor / exact - 1
        #expect(abs(error) <= bound, "\(conductance) S at \(voltage) V: \(error)")
        let series = conductance * cells.selectorResistance.rawValue
        #expect(abs(error) <= 3.2 * series * abs(factor - 1) + 1e-9)
      }
    }
    // Ohmic cells would be off by more.
    let largest = cells.conductance.upperBound.rawValue
    #expect(abs(largest * 1 / current(largest, at: 1, cells) - 1) > 2 * atTheClamp)
  }

  @Test func whatTheSeriesDoesNotReachIsRefused() throws {
    let network = randomNetwork([2, 3, 2], seed: 65)
    for (transport, clamp) in [
      (LoopTransport(curvature: 0.5, readLevel: 1, polarity: 1), 4.1),
      (.init(curvature: 0.1, readLevel: 1, polarity: 1), .infinity),
      (.init(curvature: 1, readLevel: 3, polarity: 1), 1), (.init(curvature: -0.1, readLevel: 1, polarity: 1), 1),
      (.init(curvature: 0.1, readLevel: 1, polarity: 0), 1),
    ] as [(LoopTransport, Float)] {
      #expect(throws: LoopError.self) {
        try ClosedLoop(network: network, limits: LoopLimits(rowClamp: clamp), transport: transport)
      }
    }
  }
}
