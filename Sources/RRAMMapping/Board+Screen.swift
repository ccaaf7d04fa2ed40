public import RRAMBoard
internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

/// How noisy cells are found: many reads of the same cells, spread over some time.
public struct Screening: Sendable, Hashable, Codable {
  public var reads = 50
  /// Chip time from the first read to the last, seconds.
  public var seconds = 5.0
  /// Chip time before the first read, seconds: what relaxes after a pulse must not pass for noise.
  public var settling = 60.0
  /// How often weights are moved off the cells that were found noisy.
  public var passes = 3

  public init() {}
}

/// What a screening found.
public struct ScreenReport: Sendable, Hashable, Codable {
  /// Standard deviation of the reads of each cell that was read, µS; cells known before are not among them.
  public var deviations: [Double]
  public var reads: Int
  public var chipSeconds: Double

  public var cells: Int { deviations.count }
  /// Quantile of the standard deviations, µS; nil if no cell was read.
  public func deviation(quantile: Double) -> Double? {
    deviations.isEmpty ? nil : percentile(deviations, quantile)
  }

  func adding(_ other: ScreenReport) -> ScreenReport {
    ScreenReport(
      deviations: deviations + other.deviations, reads: reads + other.reads,
      chipSeconds: chipSeconds + other.chipSeconds)
  }
}

extension Board {
  /// Measures how much the cells that a plan writes fluctuate.
  ///
  /// - Parameter known: cells whose fluctuation is known are left out; what is found is entered.
  public func screen(
    _ plan: MappingPlan, _ screening: Screening = Screening(), options: FormOptions, known: inout KnownCells,
    progress: (@Sendable (MappingEvent) -> Void)? = nil
  ) async throws -> ScreenReport {
    precondition(screening.reads > 1 && screening.seconds >= 0 && screening.settling >= 0, "\(screening)")
    let tally = await Tally(self)
    let bias = defaultReadBias(averages: options.averages)
    let have = known.noise
    let unusable = known.unusable
    var selections: [CellSelection] = []
    for layer in plan.layers {
      let readings = try await readings(CellSelection(block: layer.block), bias: bias)
      var mask = CellMask(cellCount: layer.block.cellCount)
      let written = layer.written
      for cell in 0..<layer.block.cellCount {
        let address = layer.block.address(at: cell)
        mask[cell] =
          written[cell] && have[address] == nil && !unusable.contains(address)
          && readings.isFormed(cell, above: options.formedAbove)
      }
      selections.append(CellSelection(block: layer.block, mask: mask))
    }
    var deviations: [Double] = []
    if selections.contains(where: { $0.count > 0 }) {
      try await wait(.seconds(screening.settling))
      var sums = selections.map { [Double](repeating: 0, count: $0.count) }
      var squares = sums
      let begin = await boardTime
      for read in 0..<screening.reads {
        try await wait(until: begin + .seconds(screening.seconds * Double(read) / Double(screening.reads - 1)))
        for (index, cells) in selections.enumerated() where cells.count > 0 {
          for (cell, value) in try await self.read(cells, bias: bias).enumerated() {
            let value = Double(value) * 1e6
            sums[index][cell] += value
            squares[index][cell] += value * value
          }
        }
        progress?(.screening(done: read + 1, of: screening.reads))
      }
      let n = Double(screening.reads)
      for (index, cells) in selections.enumerated() {
        for (place, cell) in cells.indices.enumerated() {
          let variance = max(0, squares[index][place] - sums[index][place] * sums[index][place] / n) / (n - 1)
          deviations.append(variance.squareRoot())
          known.enter(noise: .microsiemens(variance.squareRoot()), of: cells.block.address(at: cell))
        }
      }
    }
    return ScreenReport(
      deviations: deviations, reads: deviations.count * screening.reads,
      chipSeconds: try await tally.passed().chipSeconds)
  }
}
