public import RRAMModel
public import RRAMProfiles
public import RRAMUnits

/// Where the layers of a network go on a board, and the conductance of every cell.
///
/// A weight (out, in) becomes the pair of cells at row = in and columns 2·out (+) and 2·out + 1 (−) of its layer's block;
/// the last row holds the biases and is driven with one unit. Pairs are one-sided: the cell on the side of the sign is
/// Gmin + s·|w|, its partner Gmin, with one s a layer that spreads the largest |w| over the window.
public struct MappingPlan: Sendable, Hashable, Codable {
  /// One layer on one macro.
  public struct LayerPlacement: Sendable, Hashable, Codable {
    /// rows = inputs + 1, columns = 2 · outputs.
    public var block: CellBlock
    /// Siemens per unit weight; the realised weight is (G+ − G−) / scale.
    public var scale: Double
    /// Siemens, row-major over the block.
    public var targets: [Float]
    /// Code of the column gain of each pair, (outputs); empty where the board has no closed loop.
    public var columnGainCodes: [UInt16]
    /// Transimpedance of each pair in ohms as those codes set it; empty where the board has no closed loop.
    public var columnGain: [Double]
    /// max|w| of the layer, biases included.
    public var maximumWeight: Double
    /// Cells of the block (row-major indices) that are known to be unusable and are not written.
    public var masked: [Int]

    public var inputs: Int { block.shape.rows - 1 }
    public var outputs: Int { block.shape.columns / 2 }

    /// The weights that conductances realise: (G+ − G−) / scale, shape (outputs, inputs + 1), row-major, biases last.
    ///
    /// - Parameter conductances: siemens, row-major over the block.
    public func weights(of conductances: [Float]) -> [Double] {
      precondition(
        conductances.count == block.cellCount, "\(conductances.count) conductances for a block of \(block.shape)")
      let columns = block.shape.columns
      var weights = [Double](repeating: 0, count: outputs * block.shape.rows)
      for out in 0..<outputs {
        for row in 0..<block.shape.rows {
          let plus = Double(conductances[row * columns + 2 * out])
          let minus = Double(conductances[row * columns + 2 * out + 1])
          weights[out * block.shape.rows + row] = (plus - minus) / scale
        }
      }
      return weights
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
  /// What the plan had to give up, one sentence each: a scale below the window's, masked cells.
  public var notes: [String]

  /// Cells of all blocks, masked ones included.
  public var cellCount: Int { layers.reduce(0) { $0 + $1.block.cellCount } }
  /// The macros used, ascending.
  public var macros: [Int] { Set(layers.map(\.block.macro)).sorted() }

  /// Places a network on a board; one with classes twice on a board that runs two networks of one state, so that guidance has both of
  /// its conditions at once.
  ///
  /// - Parameters:
  ///   - network: the trained network.
  ///   - board: what the board has; one without a closed loop gets no column gains.
  ///   - window: conductances the targets may have, siemens.
  ///   - avoid: cells known to be unusable. A block is put at the first origin, in row-major order, that contains none;
  ///     if there is no such origin, at the one with the fewest, and these are masked.
  /// - Throws: ``MappingError`` saying what is missing.
  public init(
    _ network: ScoreNetwork, on board: BoardDescription, window: ClosedRange<Siemens>,
    avoiding avoid: Set<CellAddress> = []
  ) throws(MappingError) {
    guard window.lowerBound.rawValue >= 0, window.upperBound > window.lowerBound, window.upperBound.isFinite else {
      throw MappingError(
        .windowRefused, "conductance window \(window.lowerBound) to \(window.upperBound) leaves no room for weights")
    }
    try Self.checkFit(network, board)
    self.window = window
    notes = []
    layers = []
    for (index, layer) in network.layers.enumerated() {
      let shape = MacroShape(rows: layer.inputs + 1, columns: 2 * layer.outputs)
      let (block, masked) = try Self.place(
        shape, layer: index, board: board, occupied: layers.map(\.block), avoiding: avoid)
      if !masked.isEmpty {
        notes.append("layer \(index) at \(block) covers \(masked.count) unusable cells, which are not written")
      }
      let largest = Double((layer.weight + layer.bias).reduce(0) { Swift.max($0, abs($1)) })
      let (scale, gain) = try scale(layer: index, largestWeight: largest, window: window, board: board)
      layers.append(
        LayerPlacement(
          block: block, scale: scale, targets: Self.targets(layer, scale: scale, window: window),
          columnGainCodes: gain.map { [UInt16](repeating: $0.code, count: layer.outputs) } ?? [],
          columnGain: gain.map { [Double](repeating: $0.ohms, count: layer.outputs) } ?? [], maximumWeight: largest,
          masked: masked))
    }
    guard network.isConditional, let loop = board.closedLoop, !loop.secondLayerMacros.isEmpty else { return }
    var other = board
    other.closedLoop?.layerMacros = loop.secondLayerMacros
    other.closedLoop?.secondLayerMacros = []
    let copy = try MappingPlan(network, on: other, window: window, avoiding: avoid)
    secondNetwork = layers.count
    layers += copy.layers
    notes += copy.notes.map { "second network: \($0)" }
  }

  // MARK: Fit

  private static func checkFit(_ network: ScoreNetwork, _ board: BoardDescription) throws(MappingError) {
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
      let (rows, columns) = (layer.inputs + 1 - shape.rows, 2 * layer.outputs - shape.columns)
      guard rows > 0 || columns > 0 else { continue }
      let parts = [(rows, "row"), (columns, "column")].filter { $0.0 > 0 }.map {
        "\($0.0) \($0.1)\($0.0 == 1 ? "" : "s")"
      }
      missing.append(
        "layer \(index) (\(layer.inputs) → \(layer.outputs), with bias row) needs \(layer.inputs + 1)×\(2 * layer.outputs) "
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

  private static func place(
    _ shape: MacroShape, layer: Int, board: BoardDescription, occupied: [CellBlock], avoiding avoid: Set<CellAddress>
  ) throws(MappingError) -> (CellBlock, masked: [Int]) {
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
          if count == 0 { return (block, []) }
          if count < best?.bad ?? .max { best = (block, count) }
        }
      }
    }
    guard let best else {
      throw MappingError(
        .doesNotFit,
        "the network does not fit board '\(board.name)': no free \(shape) block is left for layer \(layer) beside the "
          + "others on \(board.macros.count) macros of \(macro)")
    }
    let masked = (0..<best.block.cellCount).filter { avoid.contains(best.block.address(at: $0)) }
    return (best.block, masked)
  }

  // MARK: Values

  /// The largest scale that the window and the column gain allow, with the gain that makes 1/scale exactly.
  ///
  /// A gain code is chosen first and the scale follows from it, so that quantising the gain costs no accuracy.
  private mutating func scale(
    layer: Int, largestWeight: Double, window: ClosedRange<Siemens>, board: BoardDescription
  ) throws(MappingError) -> (Double, gain: (code: UInt16, ohms: Double)?) {
    let room = (window.upperBound - window.lowerBound).rawValue
    guard let loop = board.closedLoop else { return (largestWeight > 0 ? room / largestWeight : room, nil) }
    let (lowest, highest) = (loop.columnGain.lowerBound.rawValue, loop.columnGain.upperBound.rawValue)
    let steps = Double((1 << loop.columnGainBits) - 1)
    let step = (highest - lowest) / steps
    let needed = largestWeight / room
    guard needed <= highest else {
      throw MappingError(
        .gainOutOfRange,
        "layer \(layer): the largest |weight| of \(Float(largestWeight)) over \(Siemens(room)) needs a column gain of "
          + "\(Ohms(needed)), the board has \(Ohms(lowest)) to \(Ohms(highest))")
    }
    // Rounded up: a larger gain needs a smaller scale, so no target leaves the window.
    var code = max(0, ((needed - lowest) / step).rounded(.up))
    code = min(code, steps)
    let ohms = lowest + code * step
    if needed < lowest {
      notes.append(
        "layer \(layer): column gain at its lower end of \(Ohms(lowest)), so the scale is \(Siemens(1 / ohms)) a unit "
          + "weight instead of \(largestWeight > 0 ? "\(Siemens(room / largestWeight))" : "any")")
    }
    return (1 / ohms, (UInt16(code), ohms))
  }

  private static func targets(_ layer: ScoreNetwork.Layer, scale: Double, window: ClosedRange<Siemens>) -> [Float] {
    let columns = 2 * layer.outputs
    let lowest = window.lowerBound.rawValue
    var targets = [Float](repeating: Float(lowest), count: (layer.inputs + 1) * columns)
    for row in 0...layer.inputs {
      for out in 0..<layer.outputs {
        let weight = Double(row < layer.inputs ? layer.weight[out * layer.inputs + row] : layer.bias[out])
        let target = min(lowest + scale * abs(weight), window.upperBound.rawValue)
        targets[row * columns + 2 * out + (weight < 0 ? 1 : 0)] = Float(target)
      }
    }
    return targets
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
