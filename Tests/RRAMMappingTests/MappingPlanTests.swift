import RRAMBoard
import RRAMMapping
import RRAMModel
import RRAMProfiles
import RRAMUnits
import RRAMWire
import Testing

@Suite("MappingPlan") struct MappingPlanTests {
  static let window = Siemens.microsiemens(10)...Siemens.microsiemens(90)

  static func network(
    hidden: Int = 4, dimensions: Int = 2, gain: Float = 1, seed: UInt64 = 7
  ) -> ScoreNetwork {
    var random = PhiloxStream(seed: seed, stream: (1, 2, 3))
    func layer(_ outputs: Int, _ inputs: Int) -> ScoreNetwork.Layer {
      ScoreNetwork.Layer(
        outputs: outputs, inputs: inputs, weight: (0..<outputs * inputs).map { _ in gain * Float(random.normal()) },
        bias: (0..<outputs).map { _ in gain * Float(random.normal()) })
    }
    return ScoreNetwork(
      layers: [layer(hidden, dimensions), layer(hidden, hidden), layer(dimensions, hidden)],
      timeFrequencies: (0..<hidden / 2).map { _ in Float(random.normal()) }, amplitude: 5)
  }

  static func board(_ name: String = "parallel") throws -> BoardDescription { try BoardDescription.named(name) }

  /// Weight (out, in) of a layer, the bias as input `inputs`.
  private func weight(_ layer: ScoreNetwork.Layer, _ out: Int, _ row: Int) -> Float {
    row < layer.inputs ? layer.weight[out * layer.inputs + row] : layer.bias[out]
  }

  @Test("targets realise the network's weights", arguments: ["parallel", "multiplexed"])
  func roundTrip(board name: String) throws {
    let network = try ModelLibrary.scoreModel("ring").network
    let plan = try MappingPlan(network, on: Self.board(name), window: Self.window)
    for (placement, layer) in zip(plan.layers, network.layers) {
      let realised = placement.weights(of: placement.targets)
      for out in 0..<layer.outputs {
        for row in 0...layer.inputs {
          // float32 targets of up to 90 µS carry 2⁻²⁴ of their value: 2·5.4e-12 S over the scale.
          let bound = 1.1e-11 / placement.scales[out]
          let expected = Double(weight(layer, out, row))
          #expect(abs(realised[out * (layer.inputs + 1) + row] - expected) <= bound, "out \(out) row \(row)")
        }
      }
    }
  }

  @Test("a weight lands at row = in and pair = out, the bias in the last row, on the side of its sign")
  func orientation() throws {
    let weight: [Float] = [1, -2, 3, -4, 5, -6, 7, -8]
    let network = ScoreNetwork(
      layers: [
        ScoreNetwork.Layer(outputs: 4, inputs: 2, weight: weight, bias: [0.5, -0.5, 0, 8]),
        ScoreNetwork.Layer(outputs: 4, inputs: 4, weight: [Float](repeating: 1, count: 16), bias: [0, 0, 0, 0]),
        ScoreNetwork.Layer(outputs: 2, inputs: 4, weight: [Float](repeating: 1, count: 8), bias: [0, 0]),
      ], timeFrequencies: [1, 2], amplitude: 5)
    let placement = try MappingPlan(network, on: Self.board(), window: Self.window).layers[0]
    #expect(placement.block.shape == MacroShape(rows: 3, columns: 8))
    func cell(_ row: Int, _ column: Int) -> Double { Double(placement.targets[row * 8 + column]) * 1e6 }
    // w(out 1, in 0) = 3: positive cell of pair 1 in row 0.
    #expect(abs(cell(0, 2) - (10 + 3 * placement.scales[0] * 1e6)) < 1e-5)
    #expect(abs(cell(0, 3) - 10) < 1e-5)
    // w(out 1, in 1) = −4: negative cell of pair 1 in row 1.
    #expect(abs(cell(1, 2) - 10) < 1e-5)
    #expect(abs(cell(1, 3) - (10 + 4 * placement.scales[0] * 1e6)) < 1e-5)
    // biases 0.5, −0.5, 0 and 8, the largest of all.
    #expect(abs(cell(2, 0) - (10 + 0.5 * placement.scales[0] * 1e6)) < 1e-5)
    #expect(abs(cell(2, 3) - (10 + 0.5 * placement.scales[0] * 1e6)) < 1e-5)
    #expect(abs(cell(2, 4) - 10) < 1e-5 && abs(cell(2, 5) - 10) < 1e-5)
    #expect(cell(2, 6) > 89.9 && cell(2, 6) <= 90.000_01)
  }

  @Test("every pair has one cell at the window's lower end and none leaves the window")
  func oneSided() throws {
    let plan = try MappingPlan(Self.network(hidden: 14), on: Self.board(), window: Self.window)
    for placement in plan.layers {
      for pair in stride(from: 0, to: placement.targets.count, by: 2) {
        let (plus, minus) = (placement.targets[pair], placement.targets[pair + 1])
        #expect(min(plus, minus) == Float(10e-6))
        #expect(max(plus, minus) <= Float(90e-6))
      }
      #expect((placement.targets.max() ?? 0) > 89e-6)
    }
  }

  /// Amplifiers of 0.9 to 1.1 and offsets of some hundredths of a unit: what the loop makes of the targets is the network, whether the plan knew
  /// of them or was trimmed for them later. A step of the gain is 15 Ω of some 30 kΩ.
  @Test("what the loop's amplifiers add is taken into scales, biases and column gains")
  func amplifiers() throws {
    let board = try Self.board()
    let loop = try #require(board.closedLoop)
    let shape = board.macros.shape
    var pairs: [[LoopCalibration.Pair?]] = []
    for macro in 0..<board.macros.count {
      var row: [LoopCalibration.Pair?] = []
      for pair in 0..<shape.columns / 2 {
        let gain: Double = 0.9 + 0.2 * Double((pair + macro) % 8) / 7
        let offset: Double = 0.01 * Double(pair % 5 - 2)
        row.append(.init(gain: gain, standardError: 0.001, offset: offset))
      }
      pairs.append(row)
    }
    let amplifiers = LoopCalibration(
      id: "L", chip: "C", board: "B", madeAt: 0, celsius: nil, readCalibration: nil, shape: shape, pairs: pairs)
    let plain = try MappingPlan(Self.network(), on: board, window: Self.window)
    let knowing = try MappingPlan(Self.network(), on: board, window: Self.window, amplifiers: amplifiers)
    var trimmed = plain
    try trimmed.trim(amplifiers, on: loop)
    // Cells that are written already keep the bias they have.
    for (plan, bound, keepsBias) in [(knowing, 1e-6, false), (trimmed, 1e-3, true)] {
      for (layer, placement) in plan.layers.enumerated() {
        let columns = placement.block.shape.columns
        let weights = placement.weights(of: placement.targets)
        for output in 0..<placement.outputs {
          let column = placement.block.firstColumn + 2 * output
          let pair = try #require(amplifiers.pair(macro: placement.block.macro, column: column))
          let ohms = loop.columnGain(code: UInt32(placement.columnGainCodes[output])).rawValue * pair.gain
          for input in 0...placement.inputs {
            let isBias = input == placement.inputs
            var value: Double = isBias ? pair.offset : 0
            for row in placement.rows(of: input) {
              let plus = row * columns + 2 * output
              value += ohms * Double(placement.targets[plus] - placement.targets[plus + 1])
            }
            let place = output * (placement.inputs + 1) + input
            let wanted = plain.layers[layer].ideal[place] + (isBias && keepsBias ? pair.offset : 0)
            #expect(abs(value - wanted) < bound * placement.maximumWeight, "layer \(layer), output \(output)")
            #expect(abs(weights[place] - value) < 1e-6)
          }
        }
      }
    }
    var twice = knowing
    try twice.trim(amplifiers, on: loop)
    for (after, before) in zip(twice.layers, knowing.layers) {
      #expect(after.columnGainCodes == before.columnGainCodes)
    }
  }

  @Test("column gain codes set exactly the inverse of the scale")
  func columnGain() throws {
    let board = try Self.board()
    let loop = try #require(board.closedLoop)
    let plan = try MappingPlan(Self.network(), on: board, window: Self.window)
    for placement in plan.layers {
      #expect(placement.columnGainCodes.count == placement.outputs)
      for (code, ohms) in zip(placement.columnGainCodes, placement.columnGain) {
        #expect(abs(loop.columnGain(code: UInt32(code)).rawValue / ohms - 1) < 1e-12)
        #expect(abs(ohms * placement.scales[0] - 1) < 1e-12)
      }
      // The window is used up to one step of the gain.
      let full = 80e-6 / placement.maximumWeight
      #expect(placement.scales[0] <= full * (1 + 1e-12))
      #expect(placement.scales[0] > full * (1 - loop.columnGainStep.rawValue / (1 / full)))
    }
    #expect(plan.notes.isEmpty)
  }

  @Test("weights too small for the lowest gain get a smaller scale and a note")
  func reducedScale() throws {
    let board = try Self.board()
    let plan = try MappingPlan(Self.network(gain: 1e-3), on: board, window: Self.window)
    #expect(plan.layers.allSatisfy { $0.columnGainCodes.allSatisfy { $0 == 0 } })
    #expect(plan.notes.count == 3)
    #expect(plan.notes[0].hasPrefix("layer 1: column gain at its lower end of 500 Ω, so the scale is 2 mS"))
  }

  @Test("weights too large for the highest gain are refused")
  func gainRefused() throws {
    let error = try #require(throws: MappingError.self) {
      try MappingPlan(Self.network(gain: 1000), on: Self.board(), window: Self.window)
    }
    #expect(error.code == .gainOutOfRange)
    #expect(error.description.contains("the board has 500 Ω to 1 MΩ"))
  }

  @Test("a board that injects embeddings before the gain, and an empty window, are refused")
  func refusesBoard() throws {
    var board = try Self.board()
    board.closedLoop?.embeddingInjection = .current
    let injection = try #require(throws: MappingError.self) {
      try MappingPlan(Self.network(), on: board, window: Self.window)
    }
    #expect(injection.code == .unsupportedBoard)
    let window = try #require(throws: MappingError.self) {
      try MappingPlan(Self.network(), on: Self.board(), window: Siemens.zero...Siemens.zero)
    }
    #expect(window.code == .windowRefused)
  }

  @Test("a network that does not fit says how many rows, columns and macros are missing")
  func doesNotFit() throws {
    var board = try Self.board()
    board.macros.shape = MacroShape(rows: 10, columns: 20)
    board.closedLoop?.layerMacros = [0, 1]
    board.closedLoop?.embeddingChannels = 12
    let error = try #require(throws: MappingError.self) {
      try MappingPlan(Self.network(hidden: 14), on: board, window: Self.window)
    }
    #expect(error.code == .doesNotFit)
    #expect(
      error.description
        == "the network does not fit board 'parallel': 3 layers need a macro each and the loop chains 2: 1 macro is "
        + "missing; layer 1 (2 → 14, with bias row) needs 3×28 cells of a 10×20 macro: 8 columns missing; layer 2 "
        + "(14 → 14, with bias row) needs 15×28 cells of a 10×20 macro: 5 rows and 8 columns missing; layer 3 (14 → 2, "
        + "with bias row) needs 15×4 cells of a 10×20 macro: 5 rows missing; 14 hidden nodes need an embedding channel "
        + "each and the board has 12: 2 missing")
  }

  @Test("a block goes to the first origin without unusable cells, on an even column")
  func avoidsBadCells() throws {
    let bad: Set = [CellAddress(macro: 0, row: 1, column: 3), CellAddress(macro: 1, row: 63, column: 63)]
    let plan = try MappingPlan(Self.network(), on: Self.board(), window: Self.window, avoiding: bad)
    // Row 0 stays, column 4 is the first even one right of column 3.
    #expect(plan.layers[0].block.firstRow == 0)
    #expect(plan.layers[0].block.firstColumn == 4)
    #expect(plan.layers[1].block.firstColumn == 0 && plan.layers[1].block.firstRow == 0)
    #expect(plan.layers.allSatisfy { $0.masked.isEmpty })
  }

  @Test("where unusable cells cannot be avoided the origin with the fewest is taken and they are masked")
  func masksBadCells() throws {
    var board = try Self.board()
    board.macros.shape = MacroShape(rows: 6, columns: 8)
    // 3×8 block: column 0 is the only origin; rows 0 to 3 are possible, and row 3 is the only one with a single bad cell.
    let bad = Set(
      [(0, 0), (1, 1), (2, 2), (2, 3), (4, 4)].map { CellAddress(macro: 0, row: $0.0, column: $0.1) })
    let placement = try MappingPlan(Self.network(), on: board, window: Self.window, avoiding: bad).layers[0]
    #expect(placement.block.firstRow == 3)
    #expect(placement.masked == [1 * 8 + 4])
  }

  @Test("layers share macros on a board without a loop and do not overlap")
  func sharesMacros() throws {
    let board = try Self.board("multiplexed")
    let plan = try MappingPlan(Self.network(hidden: 14), on: board, window: Self.window)
    #expect(plan.layers.map(\.block.macro) == [0, 1, 0])
    #expect(plan.layers.allSatisfy { $0.columnGainCodes.isEmpty })
    let (first, third) = (plan.layers[0].block, plan.layers[2].block)
    #expect(!(first.rowRange.overlaps(third.rowRange) && first.columnRange.overlaps(third.columnRange)))
  }

  @Test(
    "every scheme realises the weights, and its targets lie in the window",
    arguments: MappingOptions.Pairs.allCases, [MappingOptions.Replicas.rows(1), .rows(4), .most])
  func schemes(pairs: MappingOptions.Pairs, replicas: MappingOptions.Replicas) throws {
    let network = try ModelLibrary.scoreModel("ring").network
    for scale in MappingOptions.Scale.allCases {
      var options = MappingOptions()
      (options.pairs, options.replicas, options.scale) = (pairs, replicas, scale)
      let plan = try MappingPlan(network, on: Self.board(), window: Self.window, options: options)
      for (placement, layer) in zip(plan.layers, network.layers) {
        let written = placement.written
        let lowest = Float(Self.window.lowerBound.rawValue)
        let highest = Float(Self.window.upperBound.rawValue)
        for (target, isWritten) in zip(placement.targets, written) {
          #expect(isWritten ? target >= lowest && target <= highest : target == 0)
        }
        let rows = replicas == .rows(1) ? 1 : replicas == .rows(4) ? 4 : 64 / (layer.inputs + 1)
        #expect((0...layer.inputs).allSatisfy { placement.rows(of: $0).count == rows })
        let realised = placement.weights(of: placement.targets)
        for out in 0..<layer.outputs {
          // A weight below the lowest conductance is rounded to it or to nothing; others are exact to float32 targets.
          let rounding = pairs == .sparse ? 5e-6 : 0
          for row in 0...layer.inputs {
            let error = abs(realised[out * (layer.inputs + 1) + row] - Double(weight(layer, out, row)))
            #expect(error * placement.scales[out] <= rounding + Double(rows) * 1.1e-11, "out \(out) row \(row)")
          }
        }
      }
    }
  }

  @Test("a scale a column spreads every column over the window")
  func columnScale() throws {
    var options = MappingOptions()
    options.scale = .column
    let plan = try MappingPlan(Self.network(hidden: 14), on: Self.board(), window: Self.window, options: options)
    for placement in plan.layers {
      let columns = placement.block.shape.columns
      for out in 0..<placement.outputs {
        let values = placement.block.shape.rows
        let highest = (0..<values).map {
          max(placement.targets[$0 * columns + 2 * out], placement.targets[$0 * columns + 2 * out + 1])
        }
        #expect((highest.max() ?? 0) > 89e-6)
      }
    }
  }

  @Test("sparse pairs use few cells, the quietest that there are, and none that is unusable")
  func sparse() throws {
    var options = MappingOptions()
    (options.pairs, options.replicas) = (.sparse, .rows(4))
    let network = Self.network(hidden: 14)
    let board = try Self.board()
    // Rows of the last replica are quiet, those of the second unusable in column 0.
    var noise: [CellAddress: Siemens] = [:]
    for row in 0..<60 {
      for column in 0..<28 {
        noise[CellAddress(macro: 1, row: row, column: column)] = .microsiemens(row >= 45 ? 0.1 : 1)
      }
    }
    let bad = Set((0..<64).flatMap { row in (0..<19).map { CellAddress(macro: 1, row: row, column: 2 * $0) } })
    let placement = try MappingPlan(
      network, on: board, window: Self.window, options: options, noise: noise
    ).layers[1]
    let written = placement.written
    #expect(written.count { $0 } < 15 * 14 * 2, "a one-sided plan of four replicas has 1680")
    // Every weight has one quiet cell among its four: what is written at all begins there.
    for cell in 0..<15 * 28 {
      let own = (0..<4).map { written[cell + $0 * 15 * 28] }
      #expect(own[3] || !own.contains(true), "row \(cell / 28), column \(cell % 28): \(own)")
    }
    let avoiding = try MappingPlan(
      network, on: board, window: Self.window, options: options, avoiding: bad
    ).layers[1]
    #expect(!avoiding.masked.isEmpty)
    let cells = avoiding.written
    #expect(avoiding.masked.allSatisfy { !cells[$0] })
    #expect(avoiding.bare.allSatisfy { !cells[$0] && !avoiding.masked.contains($0) })
  }

  @Test("what a cell conducts of its own is made good by the others of its weight")
  func conducting() throws {
    var options = MappingOptions()
    (options.pairs, options.replicas) = (.sparse, .rows(4))
    let network = Self.network(hidden: 14)
    let board = try Self.board()
    // One cell of the first row on either side, at 60 µS, and a leak of 5 µS.
    let conducting: [CellAddress: Siemens] = [
      CellAddress(macro: 1, row: 0, column: 0): .microsiemens(60),
      CellAddress(macro: 1, row: 1, column: 3): .microsiemens(60),
      CellAddress(macro: 1, row: 2, column: 4): .microsiemens(5),
    ]
    let placement = try MappingPlan(
      network, on: board, window: Self.window, options: options, conducting: conducting
    ).layers[1]
    var read = placement.targets
    for (cell, conductance) in conducting {
      let index = (cell.row - placement.block.firstRow) * 28 + cell.column - placement.block.firstColumn
      #expect(read[index] == 0)
      read[index] = Float(conductance.rawValue)
    }
    let layer = network.layers[1]
    let realised = placement.weights(of: read)
    for out in 0..<layer.outputs {
      for row in 0...layer.inputs {
        let error = realised[out * (layer.inputs + 1) + row] - Double(weight(layer, out, row))
        #expect(abs(error) * placement.scales[out] <= 5.001e-6, "out \(out) row \(row)")
      }
    }
  }

  @Test("rows with the most unusable cells are left out where the board routes any row")
  func choosesRows() throws {
    var options = MappingOptions()
    options.replicas = .rows(4)
    let bad = Set((0..<64).map { CellAddress(macro: 1, row: 7, column: $0) })
    let placement = try MappingPlan(
      Self.network(hidden: 14), on: Self.board(), window: Self.window, options: options, avoiding: bad
    ).layers[1]
    #expect(placement.masked.isEmpty)
    let unused = placement.rows.indices.filter { placement.rows[$0].input == nil }
    #expect(unused.map { placement.block.firstRow + $0 }.contains(7))
    #expect(placement.loopLayer.rows.count == placement.block.shape.rows)
    #expect(unused.allSatisfy { placement.loopLayer.rows[$0].source == .ground })
  }

  @Test("levels: every target is one of them")
  func levels() throws {
    var options = MappingOptions()
    options.levels = 9
    let plan = try MappingPlan(Self.network(), on: Self.board(), window: Self.window, options: options)
    for target in plan.layers.flatMap(\.targets) {
      let level = (Double(target) * 1e6 - 10) / 10
      #expect(abs(level - level.rounded()) < 1e-4, "\(target)")
    }
  }

  @Test("rows through an attenuation make good what the others miss, down to their own step")
  func residuals() throws {
    var options = MappingOptions()
    options.residuals = [0.25, 0.0625]
    let network = Self.network(hidden: 14)
    var plan = try MappingPlan(network, on: Self.board(), window: Self.window, options: options)
    // Cells of a row with factor f miss by up to 2 µS: a weight by 4·f/scale.
    var random = PhiloxStream(seed: 3, stream: (1, 1, 1))
    func missed(_ plan: MappingPlan) -> [[Float]] {
      plan.layers.map { $0.targets.map { $0 + Float(2e-6 * (2 * random.uniform() - 1)) } }
    }
    func worst(_ read: [[Float]]) -> Double {
      var worst = 0.0
      for (layer, values) in zip(plan.layers, read) {
        for (index, weight) in layer.weights(of: values).enumerated() {
          let error = abs(weight - layer.ideal[index]) * layer.scales[index / (layer.inputs + 1)]
          worst = max(worst, error * 1e6)
        }
      }
      return worst
    }
    var read = missed(plan)
    let before = worst(read)
    #expect(before > 2)
    for factor in options.residuals {
      plan.setResiduals(factor: factor, realised: read)
      let written = missed(plan)
      for (index, layer) in plan.layers.enumerated() {
        for cell in read[index].indices where layer.rows[cell / layer.block.shape.columns].factor == factor {
          read[index][cell] = written[index][cell]
        }
      }
    }
    // The last rows' own error, 4 µS · 1/16, is what remains.
    #expect(worst(read) < 0.26, "\(worst(read)) µS")
  }

  @Test("more rows than there are, and rows that a board cannot route, are refused with numbers")
  func refusesReplicas() throws {
    var options = MappingOptions()
    options.replicas = .rows(5)
    let error = try #require(throws: MappingError.self) {
      try MappingPlan(Self.network(hidden: 14), on: Self.board(), window: Self.window, options: options)
    }
    #expect(error.description.contains("needs 75×28 cells of a 64×64 macro: 11 rows missing"))
    let fixed = try #require(throws: MappingError.self) {
      try MappingPlan(Self.network(), on: Self.board("multiplexed"), window: Self.window, options: options)
    }
    #expect(fixed.code == .unsupportedBoard)
    options.replicas = .rows(1)
    options.residuals = [0.3]
    let residual = try #require(throws: MappingError.self) {
      try MappingPlan(Self.network(), on: Self.board(), window: Self.window, options: options)
    }
    #expect(
      residual.description.contains(
        "residual rows driven by 0.3: board 'parallel' has the row attenuations 1.0, 0.25, 0.0625"))
  }

  @Test("weight and conductance errors are those of the cells")
  func errors() throws {
    let plan = try MappingPlan(Self.network(), on: Self.board(), window: Self.window)
    // +0.1 µS on every positive cell: every weight is off by 0.1 µS/scale.
    let read = plan.layers.map { layer in
      layer.targets.enumerated().map { $0.offset % 2 == 0 ? $0.element + 0.1e-6 : $0.element }
    }
    let statistics = plan.errorStatistics(of: read)
    #expect(abs((statistics.mean ?? 0) - 0.05) < 1e-5)
    #expect(abs((statistics.std ?? 0) - 0.05) < 1e-5)
    #expect(abs((statistics.p99 ?? 0) - 0.1) < 1e-5)
    // In each layer 0.1 µS of about 80 µS.
    #expect(abs((plan.weightErrorPercent(of: read) ?? 0) - 0.125) < 1e-3)
  }
}

@Suite("ErrorStatistics") struct ErrorStatisticsTests {
  @Test("unread cells are left out, and nothing read is null in JSON")
  func unread() throws {
    let statistics = ErrorStatistics([1, -1, .nan, 3])
    #expect(statistics.mean == 1)
    #expect(abs((statistics.std ?? 0) - (8.0 / 3).squareRoot()) < 1e-12)
    #expect(ErrorStatistics([]).mean == nil)
  }

  @Test("counts: mean, median, 95th percentile by interpolation, maximum")
  func counts() {
    let statistics = CountStatistics([1, 2, 3, 4, 10])
    #expect(statistics.mean == 4 && statistics.median == 3 && statistics.max == 10)
    #expect(abs(statistics.p95 - 8.8) < 1e-12)
  }
}
