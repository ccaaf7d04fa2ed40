public import RRAMBoard
public import RRAMModel
public import RRAMProfiles
public import RRAMUnits
public import RRAMWire

/// Where the layers of a network go on a board, and the conductance of every cell.
///
/// A weight (out, in) is carried by the cells in columns 2·out (+) and 2·out + 1 (−) of its layer's block and in every row that input `in`
/// drives; the bias is one more input, driven with one unit. What counts is the sum Σ f·(G+ − G−) over those rows, f being the factor by
/// which a row is driven: it is the weight times the scale of the column.
public struct MappingPlan: Sendable, Hashable, Codable {
  /// What drives a row of a block.
  public struct Row: Sendable, Hashable, Codable {
    /// Number of the input, `inputs` for the bias, nil for a row that takes no part.
    public var input: Int?
    /// Place of the factor in the board's row attenuations, and the factor.
    public var attenuation: Int
    public var factor: Double

    public init(input: Int?, attenuation: Int = 0, factor: Double = 1) {
      self.input = input
      self.attenuation = attenuation
      self.factor = factor
    }
  }

  /// One layer on one macro.
  public struct LayerPlacement: Sendable, Hashable, Codable {
    /// columns = 2 · outputs.
    public var block: CellBlock
    public var inputs: Int
    /// One a row of the block.
    public var rows: [Row]
    /// Siemens per unit weight, one an output.
    public var scales: [Double]
    /// Siemens, row-major over the block; 0 for a cell that shall not conduct.
    public var targets: [Float]
    /// Code of the column gain of each pair, (outputs); empty where the board has no closed loop.
    public var columnGainCodes: [UInt16]
    /// Transimpedance of each pair in ohms as those codes set it, with what is known of its amplifier; empty where the board has no closed loop.
    public var columnGain: [Double]
    /// The network's weights, (outputs, inputs + 1), biases last.
    public var ideal: [Double]
    /// max|w| of the layer, biases included.
    public var maximumWeight: Double
    /// Cells of the block (row-major indices) that are known to be unusable and are not written.
    public var masked: [Int]
    /// What the amplifier of each output adds of its own, in units, (outputs): part of the bias; nil where nobody has measured it.
    public var offsets: [Double]?

    public var outputs: Int { block.shape.columns / 2 }

    /// True for the cells that are written to their target: those that shall conduct, in rows that take part, and that can be used.
    public var written: [Bool] {
      let columns = block.shape.columns
      var written = targets.indices.map { targets[$0] > 0 && rows[$0 / columns].input != nil }
      for cell in masked { written[cell] = false }
      return written
    }

    /// Row-major indices of the usable cells in rows that take part which shall not conduct.
    public var bare: [Int] {
      let columns = block.shape.columns
      let masked = Set(masked)
      return targets.indices.filter {
        targets[$0] == 0 && rows[$0 / columns].input != nil && !masked.contains($0)
      }
    }

    /// The rows that an input drives, `inputs` for the bias.
    public func rows(of input: Int) -> [Int] { rows.indices.filter { rows[$0].input == input } }

    /// The weights that conductances realise: Σ f·(G+ − G−) / scale, shape (outputs, inputs + 1), row-major, biases last and with the
    /// amplifiers' offsets.
    ///
    /// - Parameter conductances: siemens, row-major over the block.
    public func weights(of conductances: [Float]) -> [Double] {
      precondition(
        conductances.count == block.cellCount, "\(conductances.count) conductances for a block of \(block.shape)")
      let columns = block.shape.columns
      var weights = [Double](repeating: 0, count: outputs * (inputs + 1))
      for (row, drive) in rows.enumerated() {
        guard let input = drive.input else { continue }
        for out in 0..<outputs {
          let plus = Double(conductances[row * columns + 2 * out])
          let minus = Double(conductances[row * columns + 2 * out + 1])
          weights[out * (inputs + 1) + input] += drive.factor * (plus - minus) / scales[out]
        }
      }
      for (out, offset) in (offsets ?? []).enumerated() { weights[out * (inputs + 1) + inputs] += offset }
      return weights
    }

    /// The layer as a board's loop is told of it.
    public var loopLayer: LoopLayer {
      // Boards with fixed rows are told nothing of them.
      let isPlain =
        rows.count == inputs + 1 && rows.enumerated().allSatisfy { $1.input == $0 && $1.attenuation == 0 }
      return LoopLayer(
        block: block, columnGain: columnGainCodes,
        rows: isPlain
          ? []
          : rows.map { row in
            LoopRow(
              row.input.map { $0 == inputs ? .bias : .input($0) } ?? .ground, attenuation: row.attenuation)
          })
    }
  }

  /// In the order of the network; where it is placed twice, the second network's layers follow the first's.
  public var layers: [LayerPlacement]
  /// Index of the first layer of the second network; nil where there is one.
  public var secondNetwork: Int?
  /// The layers of the first network.
  public var first: [LayerPlacement] { Array(layers[..<(secondNetwork ?? layers.count)]) }
  /// The layers of the second network; empty where there is one.
  public var second: [LayerPlacement] { Array(layers[(secondNetwork ?? layers.count)...]) }
  /// Conductances that targets lie in.
  public var window: ClosedRange<Siemens>
  public var options: MappingOptions
  /// What the plan had to give up, one sentence each: a scale below the window's, masked cells.
  public var notes: [String]

  /// Cells of all blocks, masked ones included.
  public var cellCount: Int { layers.reduce(0) { $0 + $1.block.cellCount } }
  /// Cells that are written.
  public var writtenCount: Int { layers.reduce(0) { $0 + $1.written.count { $0 } } }
  /// The macros used, ascending.
  public var macros: [Int] { Set(layers.map(\.block.macro)).sorted() }

  /// Places a network on a board; one with classes twice on a board that runs two networks of one state, so that guidance has both of
  /// its conditions at once.
  ///
  /// - Parameters:
  ///   - trained: the trained network; what is placed is that times `options.hiddenScale`.
  ///   - board: what the board has; one without a closed loop gets no column gains.
  ///   - window: conductances the targets may have, siemens.
  ///   - options: how weights become conductances.
  ///   - avoid: cells known to be unusable. A block is put at the first origin, in row-major order, that contains none. If there is no such
  ///     origin, the rows with the fewest are taken where the board can route any row, else the origin with the fewest; these are masked,
  ///     and the other rows of their input carry their share.
  ///   - noise: how far cells were seen to fluctuate; of the cells that could carry a weight, sparse pairs take the quietest, and the scale
  ///     at which the fluctuation matters least.
  ///   - conducting: cells that conduct of their own; the other cells of the weight make it good in sparse pairs.
  ///   - amplifiers: what the loop's amplifiers were found to add; scales are those of the gains that they have.
  /// - Throws: ``MappingError`` saying what is missing.
  public init(
    _ trained: ScoreNetwork, on board: BoardDescription, window: ClosedRange<Siemens>,
    options: MappingOptions = MappingOptions(), avoiding avoid: Set<CellAddress> = [],
    noise: [CellAddress: Siemens] = [:], conducting: [CellAddress: Siemens] = [:],
    amplifiers: LoopCalibration? = nil
  ) throws(MappingError) {
    guard window.lowerBound.rawValue >= 0, window.upperBound > window.lowerBound, window.upperBound.isFinite else {
      throw MappingError(
        .windowRefused, "conductance window \(window.lowerBound) to \(window.upperBound) leaves no room for weights")
    }
    if let levels = options.levels, levels < 2 {
      throw MappingError(.windowRefused, "\(levels) levels: at least 2 are needed")
    }
    if let factors = options.hiddenScale {
      guard factors.count == trained.hiddenSize, factors.allSatisfy({ $0 > 0 && $0.isFinite }) else {
        throw MappingError(
          .rescaleRefused,
          "\(factors.count) factors of hidden units, from \(Float(factors.min() ?? 0)) to \(Float(factors.max() ?? 0)): the network takes "
            + "\(trained.hiddenSize) above 0")
      }
    }
    let network = options.hiddenScale.map { trained.rescalingHidden(by: $0) } ?? trained
    self.window = window
    self.options = options
    notes = []
    layers = []
    let drives = try Self.drives(network, board, options)
    try Self.checkFit(network, board, rows: drives.map(\.count))
    for (index, layer) in network.layers.enumerated() {
      let shape = MacroShape(rows: drives[index].count, columns: 2 * layer.outputs)
      let (block, rows) = try Self.place(
        shape, drives[index], layer: index, board: board, occupied: layers.map(\.block),
        // Where others carry the weight it is cheaper to do without a cell than to form another block.
        avoiding: options.pairs == .sparse && shape.rows > layer.inputs + 1 ? [] : avoid)
      let masked = (0..<block.cellCount).filter {
        rows[$0 / shape.columns].input != nil && avoid.contains(block.address(at: $0))
      }
      if !masked.isEmpty {
        notes.append("layer \(index + 1) at \(block) covers \(masked.count) unusable cells, which are not written")
      }
      let known = amplifiers.map { amplifiers in
        (0..<layer.outputs).map { amplifiers.pair(macro: block.macro, column: block.firstColumn + 2 * $0) }
      }
      let offsets = known?.map { $0?.offset ?? 0 }
      // The cells carry what the amplifiers do not add by themselves.
      let carried = ScoreNetwork.Layer(
        outputs: layer.outputs, inputs: layer.inputs, weight: layer.weight,
        bias: offsets.map { zip(layer.bias, $0).map { $0 - Float($1) } } ?? layer.bias)
      let cells = LayerCells(
        carried, block: block, rows: rows, masked: Set(masked), window: window, options: options, noise: noise,
        conducting: conducting)
      let (scales, gains) = try scales(
        cells, layer: index, board: board,
        errors: known?.map { $0?.gain ?? 1 } ?? [Double](repeating: 1, count: layer.outputs))
      var ideal = cells.weights
      for (out, offset) in (offsets ?? []).enumerated() { ideal[out * (layer.inputs + 1) + layer.inputs] += offset }
      layers.append(
        LayerPlacement(
          block: block, inputs: layer.inputs, rows: rows, scales: scales, targets: cells.targets(scales: scales),
          columnGainCodes: gains.map(\.code), columnGain: gains.map(\.ohms), ideal: ideal,
          maximumWeight: cells.largestWeight,
          masked: masked, offsets: offsets))
    }
    guard network.isConditional, let loop = board.closedLoop, !loop.secondLayerMacros.isEmpty else { return }
    var other = board
    other.closedLoop?.layerMacros = loop.secondLayerMacros
    other.closedLoop?.secondLayerMacros = []
    let copy = try MappingPlan(
      trained, on: other, window: window, options: options, avoiding: avoid, noise: noise, conducting: conducting,
      amplifiers: amplifiers)
    secondNetwork = layers.count
    layers += copy.layers
    notes += copy.notes.map { "second network: \($0)" }
  }

  /// Places a network on a chip as far as its cells are known.
  public init(
    _ network: ScoreNetwork, on board: BoardDescription, window: ClosedRange<Siemens>,
    options: MappingOptions = MappingOptions(), known: KnownCells, amplifiers: LoopCalibration? = nil
  ) throws(MappingError) {
    try self.init(
      network, on: board, window: window, options: options, avoiding: known.unusable, noise: known.noise,
      conducting: known.conducting, amplifiers: amplifiers)
  }

  /// Sets the codes of the column gains so that the amplifiers, with the errors that were found since the plan was made, have the gains that
  /// the plan wants, and the scales to what they then have.
  ///
  /// Targets stay: this is for cells that are written already.
  ///
  /// - Throws: ``MappingError`` `gainOutOfRange` where an amplifier is off by more than the board's column gains leave room for.
  public mutating func trim(
    _ amplifiers: LoopCalibration, on loop: BoardDescription.ClosedLoop
  ) throws(MappingError) {
    for (index, layer) in layers.enumerated() where !layer.columnGainCodes.isEmpty {
      layers[index].offsets = (0..<layer.outputs).map {
        amplifiers.pair(macro: layer.block.macro, column: layer.block.firstColumn + 2 * $0)?.offset ?? 0
      }
      for output in 0..<layer.outputs {
        guard let pair = amplifiers.pair(macro: layer.block.macro, column: layer.block.firstColumn + 2 * output) else {
          continue
        }
        let wanted = Ohms(layer.columnGain[output] / pair.gain)
        guard let code = loop.columnGainCode(nearest: wanted) else {
          throw MappingError(
            .gainOutOfRange,
            "layer \(index + 1), output \(output): with the measured gain of its amplifier, \(Float(pair.gain)), the plan's "
              + "\(Ohms(layer.columnGain[output])) needs a column gain of \(wanted), the board has "
              + "\(loop.columnGain.lowerBound) to \(loop.columnGain.upperBound)")
        }
        let ohms = loop.columnGain(code: code).rawValue * pair.gain
        layers[index].scales[output] *= layer.columnGain[output] / ohms
        layers[index].columnGain[output] = ohms
        layers[index].columnGainCodes[output] = UInt16(code)
      }
    }
  }

  /// Sets the targets of the rows driven by a factor so that they make good what the others miss, as far as their window reaches.
  ///
  /// - Parameter realised: siemens, one array a layer, row-major over its block; those rows' own conductances do not matter.
  public mutating func setResiduals(factor: Double, realised: [[Float]]) {
    let (lowest, highest) = (window.lowerBound.rawValue, window.upperBound.rawValue)
    for (index, layer) in layers.enumerated() {
      let columns = layer.block.shape.columns
      var real = realised[index]
      for (row, drive) in layer.rows.enumerated() where drive.factor <= factor {
        for column in 0..<columns { real[row * columns + column] = 0 }
      }
      let missing = zip(layer.ideal, layer.weights(of: real)).map { $0 - $1 }
      for (row, drive) in layer.rows.enumerated() where drive.factor == factor {
        guard let input = drive.input else { continue }
        for out in 0..<layer.outputs {
          let difference = missing[out * (layer.inputs + 1) + input] * layer.scales[out] / factor
          guard difference.isFinite else { continue }
          let (plus, minus) = (row * columns + 2 * out, row * columns + 2 * out + 1)
          let high = Float(min(lowest + abs(difference), highest))
          layers[index].targets[plus] = difference >= 0 ? high : Float(lowest)
          layers[index].targets[minus] = difference >= 0 ? Float(lowest) : high
        }
      }
    }
  }

  // MARK: Fit

  /// What drives the rows of each layer, in their order: one full set of inputs after the other, so that a row full of bad cells does not
  /// take all rows of one input.
  private static func drives(
    _ network: ScoreNetwork, _ board: BoardDescription, _ options: MappingOptions
  ) throws(MappingError) -> [[Row]] {
    guard options.residuals.isEmpty || options.pairs == .oneSided else {
      throw MappingError(
        .unsupportedBoard,
        "rows that make good the error of others take one-sided pairs, not \(options.pairs.rawValue) ones")
    }
    var residuals: [Row] = []
    for factor in options.residuals {
      guard let place = board.closedLoop?.rowAttenuation.firstIndex(where: { abs($0 / factor - 1) < 1e-6 }) else {
        throw MappingError(
          .unsupportedBoard,
          "residual rows driven by \(Float(factor)): board '\(board.name)' has the row attenuations "
            + "\((board.closedLoop?.rowAttenuation ?? []).map { "\(Float($0))" }.joined(separator: ", "))")
      }
      residuals.append(Row(input: nil, attenuation: place, factor: factor))
    }
    if case .rows(let count) = options.replicas, count < 1 {
      throw MappingError(.doesNotFit, "\(count) rows an input: at least 1 is needed")
    }
    let needsRouting = options.replicas != .rows(1) || !residuals.isEmpty
    guard !needsRouting || board.closedLoop?.rowRouting == .any else {
      throw MappingError(
        .unsupportedBoard,
        "board '\(board.name)' drives one row with each input; more need switches that it does not have")
    }
    return network.layers.map { layer in
      let inputs = layer.inputs + 1
      let count =
        switch options.replicas {
        case .rows(let count): count
        case .most: max(1, board.macros.shape.rows / inputs - residuals.count)
        }
      let sets = [Row](repeating: Row(input: nil), count: count) + residuals
      return sets.flatMap { set in
        (0..<inputs).map { Row(input: $0, attenuation: set.attenuation, factor: set.factor) }
      }
    }
  }

  private static func checkFit(_ network: ScoreNetwork, _ board: BoardDescription, rows needed: [Int])
    throws(MappingError)
  {
    var missing: [String] = []
    let available = board.closedLoop?.layerMacros.count ?? network.layers.count
    if network.layers.count > available {
      let count = network.layers.count - available
      missing.append(
        "\(network.layers.count) layers need a macro each and the loop chains \(available): "
          + "\(count) macro\(count == 1 ? " is" : "s are") missing")
    }
    let shape = board.macros.shape
    for (index, layer) in network.layers.enumerated() {
      let (rows, columns) = (needed[index] - shape.rows, 2 * layer.outputs - shape.columns)
      guard rows > 0 || columns > 0 else { continue }
      let parts = [(rows, "row"), (columns, "column")].filter { $0.0 > 0 }.map {
        "\($0.0) \($0.1)\($0.0 == 1 ? "" : "s")"
      }
      missing.append(
        "layer \(index + 1) (\(layer.inputs) → \(layer.outputs), with bias row) needs \(needed[index])×\(2 * layer.outputs) "
          + "cells of a \(shape) macro: \(parts.joined(separator: " and ")) missing")
    }
    if let loop = board.closedLoop {
      if network.hiddenSize > loop.embeddingChannels {
        missing.append(
          "\(network.hiddenSize) hidden nodes need an embedding channel each and the board has \(loop.embeddingChannels): "
            + "\(network.hiddenSize - loop.embeddingChannels) missing")
      }
      if network.dimensions != loopDimensions {
        missing.append("x has \(network.dimensions) dimensions and the loop \(loopDimensions) integrators")
      }
    }
    guard missing.isEmpty else {
      throw MappingError(
        .doesNotFit, "the network does not fit board '\(board.name)': " + missing.joined(separator: "; "))
    }
    if let loop = board.closedLoop, loop.columnGainBits > UInt16.bitWidth {
      throw MappingError(
        .unsupportedBoard,
        "the column gain of board '\(board.name)' has \(loop.columnGainBits) bits, the wire carries \(UInt16.bitWidth)")
    }
    if let loop = board.closedLoop, loop.embeddingInjection != .afterGain {
      throw MappingError(
        .unsupportedBoard,
        "board '\(board.name)' injects embeddings before the column gain; scales of one layer each need them after it")
    }
  }

  /// Integrators of a closed loop: its messages carry two codes a sample.
  private static let loopDimensions = 2

  /// The macros tried for a layer, best first.
  private static func candidates(layer: Int, board: BoardDescription) -> [Int] {
    if let loop = board.closedLoop { return [loop.layerMacros[layer]] }
    let first = layer % board.macros.count
    return [first] + (0..<board.macros.count).filter { $0 != first }
  }

  /// Where a layer's block goes, and what drives each of its rows.
  private static func place(
    _ shape: MacroShape, _ drives: [Row], layer: Int, board: BoardDescription, occupied: [CellBlock],
    avoiding avoid: Set<CellAddress>
  ) throws(MappingError) -> (CellBlock, [Row]) {
    let macro = board.macros.shape
    var best: (block: CellBlock, bad: Int)?
    for number in candidates(layer: layer, board: board) {
      let bad = BadCellCount(macro: number, shape: macro, cells: avoid)
      let others = occupied.filter { $0.macro == number }
      for row in 0...(macro.rows - shape.rows) {
        // Pairs share an amplifier, so a block begins on an even column.
        for column in stride(from: 0, through: macro.columns - shape.columns, by: 2) {
          let block = CellBlock(macro: number, firstRow: row, firstColumn: column, shape: shape)
          guard
            !others.contains(where: {
              $0.rowRange.overlaps(block.rowRange) && $0.columnRange.overlaps(block.columnRange)
            })
          else { continue }
          let count = bad.count(in: block)
          if count == 0 { return (block, drives) }
          if count < best?.bad ?? .max { best = (block, count) }
        }
      }
      // Layers of a loop have a macro each.
      if board.closedLoop?.rowRouting == .any, let chosen = chooseRows(shape, macro: number, macro, bad),
        chosen.bad < best?.bad ?? .max
      {
        var rows = [Row](repeating: Row(input: nil), count: chosen.block.shape.rows)
        for (row, drive) in zip(chosen.rows, drives) { rows[row - chosen.block.firstRow] = drive }
        return (chosen.block, rows)
      }
    }
    guard let best else {
      throw MappingError(
        .doesNotFit,
        "the network does not fit board '\(board.name)': no free \(shape) block is left for layer \(layer) beside the "
          + "others on \(board.macros.count) macros of \(macro)")
    }
    return (best.block, drives)
  }

  /// The rows with the fewest unusable cells at the column where these are fewest, and the block from the first to the last of them.
  private static func chooseRows(
    _ shape: MacroShape, macro number: Int, _ macro: MacroShape, _ bad: BadCellCount
  ) -> (block: CellBlock, rows: [Int], bad: Int)? {
    var best: (block: CellBlock, rows: [Int], bad: Int)?
    for column in stride(from: 0, through: macro.columns - shape.columns, by: 2) {
      let counts = (0..<macro.rows).map { row in
        bad.count(
          in: CellBlock(
            macro: number, firstRow: row, firstColumn: column, shape: MacroShape(rows: 1, columns: shape.columns)))
      }
      let rows = counts.indices.sorted { (counts[$0], $0) < (counts[$1], $1) }.prefix(shape.rows).sorted()
      let count = rows.reduce(0) { $0 + counts[$1] }
      guard let first = rows.first, let last = rows.last, count < best?.bad ?? .max else { continue }
      let block = CellBlock(
        macro: number, firstRow: first, firstColumn: column,
        shape: MacroShape(rows: last - first + 1, columns: shape.columns))
      best = (block, rows, count)
    }
    return best
  }

  // MARK: Values

  /// Scales of the outputs, and the column gains that make exactly 1/scale of them; no gains where the board has no loop.
  ///
  /// A gain code is chosen first and the scale follows from it, so that quantising the gain costs no accuracy.
  ///
  /// - Parameter errors: gain of every output's amplifier ÷ what its code says.
  private mutating func scales(
    _ cells: LayerCells, layer: Int, board: BoardDescription, errors: [Double]
  ) throws(MappingError) -> ([Double], [(code: UInt16, ohms: Double)]) {
    let groups = options.scale == .layer ? [Array(0..<cells.outputs)] : (0..<cells.outputs).map { [$0] }
    var scales = [Double](repeating: 0, count: cells.outputs)
    var gains = [(code: UInt16, ohms: Double)](repeating: (0, 0), count: cells.outputs)
    var reduced: String?
    for outputs in groups {
      let best = cells.bestScale(of: outputs)
      guard let loop = board.closedLoop else {
        for output in outputs { scales[output] = best }
        continue
      }
      let (lowest, highest) = (loop.columnGain.lowerBound.rawValue, loop.columnGain.upperBound.rawValue)
      let needed = 1 / best
      guard outputs.allSatisfy({ needed <= highest * errors[$0] }) else {
        throw MappingError(
          .gainOutOfRange,
          "layer \(layer + 1): the largest |weight| of \(Float(cells.largestWeight(of: outputs))) over "
            + "\(Siemens(cells.room)) needs a column gain of \(Ohms(needed)), the board has \(Ohms(lowest)) to \(Ohms(highest))"
        )
      }
      for output in outputs {
        // Rounded up: a larger gain needs a smaller scale, so no target leaves the window.
        let code = min(
          max(0, ((needed / errors[output] - lowest) / loop.columnGainStep.rawValue).rounded(.up)),
          Double((1 << loop.columnGainBits) - 1))
        let ohms = (lowest + code * loop.columnGainStep.rawValue) * errors[output]
        if needed < lowest * errors[output] {
          reduced =
            "layer \(layer + 1): column gain at its lower end of \(Ohms(lowest)), so the scale is \(Siemens(1 / ohms)) a unit "
            + "weight instead of \(best.isFinite ? "\(Siemens(best))" : "any")"
        }
        scales[output] = 1 / ohms
        gains[output] = (UInt16(code), ohms)
      }
    }
    if let reduced { notes.append(reduced) }
    return (scales, board.closedLoop == nil ? [] : gains)
  }
}

/// Counts unusable cells in blocks of one macro, by a summed-area table.
private struct BadCellCount {
  private let sums: [Int]
  private let columns: Int

  init(macro: Int, shape: MacroShape, cells: Set<CellAddress>) {
    columns = shape.columns + 1
    var sums = [Int](repeating: 0, count: (shape.rows + 1) * columns)
    for cell in cells
    where cell.macro == macro && (0..<shape.rows).contains(cell.row) && (0..<shape.columns).contains(cell.column) {
      sums[(cell.row + 1) * columns + cell.column + 1] = 1
    }
    for row in 1...shape.rows {
      for column in 1...shape.columns {
        let here = row * columns + column
        sums[here] += sums[here - 1] + sums[here - columns] - sums[here - columns - 1]
      }
    }
    self.sums = sums
  }

  func count(in block: CellBlock) -> Int {
    let (top, bottom) = (block.firstRow * columns, (block.firstRow + block.shape.rows) * columns)
    let (left, right) = (block.firstColumn, block.firstColumn + block.shape.columns)
    return sums[bottom + right] - sums[bottom + left] - sums[top + right] + sums[top + left]
  }
}
