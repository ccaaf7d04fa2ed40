public import Foundation
public import RRAMBoard
internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

/// A moment on a board's clock and on the host's.
///
/// A board's clock begins anew at every boot, so it tells the time between two moments of one boot alone. An emulated board says what its
/// chip had seen before.
public struct BoardMoment: Sendable, Hashable, Codable {
  public var bootID: UInt64
  /// Board time, seconds.
  public var seconds: Double
  public var utc: Date
  /// Virtual time of an emulated chip over all its boots, seconds; nil on hardware.
  public var chipSeconds: Double?

  public init(bootID: UInt64, seconds: Double, utc: Date, chipSeconds: Double? = nil) {
    self.bootID = bootID
    self.seconds = seconds
    self.utc = utc
    self.chipSeconds = chipSeconds
  }

  /// Now.
  public init(_ board: Board) async {
    let seconds = await board.boardTime.seconds
    self.init(
      bootID: board.info.bootID, seconds: seconds, utc: Date(),
      chipSeconds: board.info.chipTimeAtBoot.map { $0.seconds + seconds })
  }

  /// Seconds of chip time since `earlier`: by the board's clock, or by the host's where a real board was booted in between.
  public func since(_ earlier: BoardMoment) -> Double {
    guard isByBoard(since: earlier) else { return max(0, utc.timeIntervalSince(earlier.utc)) }
    if let chipSeconds, let before = earlier.chipSeconds { return max(0, chipSeconds - before) }
    return seconds - earlier.seconds
  }

  /// True if the board's own clock tells the time since `earlier`.
  public func isByBoard(since earlier: BoardMoment) -> Bool {
    bootID == earlier.bootID || (chipSeconds != nil && earlier.chipSeconds != nil)
  }
}

/// The conductances of a plan's cells, read several times over.
public struct ReadBack: Sendable, Hashable, Codable {
  /// How cells are read.
  public enum Method: String, Sendable, Hashable, Codable, CaseIterable {
    /// One cell at a time.
    case cells
    /// One row driven, all columns measured at once with every word line on, as in the loop: what wires take away is in it. The offset of
    /// every column's amplifier, read with no row driven, is taken off.
    case oneHot
    /// As many rows driven at once as the column amplifiers carry, with the signs of a Hadamard matrix, N = 2^k products for up to N rows,
    /// and solved for the cells: N products share the converter's noise, the cells' own is not less. Offsets are taken off.
    case hadamard
  }

  public var method: Method
  /// Passes over all cells.
  public var reads: Int
  /// Means in siemens, one array a layer, row-major over its block.
  public var conductances: [[Float]]
  /// Standard error of a mean from the scatter of its reads, root mean square over the written cells, µS; nil for one read. What moves
  /// slower than the passes take is not in it.
  public var standardError: Double?
  public var begin: BoardMoment
  public var end: BoardMoment

  enum CodingKeys: String, CodingKey {
    case method, reads
    case conductances = "conductances_S"
    case standardError = "standardError_uS"
    case begin, end
  }

  public init(
    method: Method, reads: Int, conductances: [[Float]], standardError: Double?, begin: BoardMoment, end: BoardMoment
  ) {
    self.method = method
    self.reads = reads
    self.conductances = conductances
    self.standardError = standardError
    self.begin = begin
    self.end = end
  }

  /// Chip time that the read took, seconds.
  public var chipSeconds: Double { end.since(begin) }

  /// Root mean square change of the weights from `earlier` to this read, ÷ √2, % of the layer's largest weight: of single pairs at full
  /// scale it is that of a cell in % of the conductance window, and where many cells share a weight it is less than theirs.
  public func changePercent(since earlier: ReadBack, plan: MappingPlan) -> Double {
    var (sum, count) = (0.0, 0)
    for (index, layer) in plan.layers.enumerated() where layer.maximumWeight > 0 {
      for (new, old) in zip(
        layer.weights(of: conductances[index]), layer.weights(of: earlier.conductances[index]))
      where new.isFinite && old.isFinite {
        let change = (new - old) / layer.maximumWeight
        sum += change * change / 2
        count += 1
      }
    }
    return count > 0 ? 100 * (sum / Double(count)).squareRoot() : 0
  }

  /// What the standard error of the cells makes of ``changePercent(since:plan:)``, %.
  public func standardErrorPercent(plan: MappingPlan) -> Double {
    guard let standardError else { return 0 }
    var (sum, count) = (0.0, 0)
    for layer in plan.layers where layer.maximumWeight > 0 {
      let written = layer.written
      for cell in written.indices where written[cell] {
        let (row, column) = cell.quotientAndRemainder(dividingBy: layer.block.shape.columns)
        let error = standardError * 1e-6 * layer.rows[row].factor / (layer.scales[column / 2] * layer.maximumWeight)
        sum += error * error / 2
      }
      count += layer.outputs * (layer.inputs + 1)
    }
    return count > 0 ? 100 * (sum / Double(count)).squareRoot() : 0
  }
}

extension Board {
  /// Reads every cell of a plan `reads` times and averages, one pass over all cells after the other.
  ///
  /// The passes are apart in time, so slow noise averages too as far as it moves between them.
  ///
  /// - Parameters:
  ///   - method: nil takes one-hot products where the board has them, and single cells elsewhere.
  ///   - progress: called after each pass with the number of passes that are done.
  public func readBack(
    _ plan: MappingPlan, reads: Int = 16, method: ReadBack.Method? = nil, progress: (@Sendable (Int) -> Void)? = nil
  ) async throws -> ReadBack {
    precondition(reads > 0, "\(reads) reads")
    let method = method ?? (info.capabilities.contains(.matrixProduct) ? .oneHot : .cells)
    let bias = defaultReadBias()
    let begin = await BoardMoment(self)
    var sums = plan.layers.map { [Double](repeating: 0, count: $0.block.cellCount) }
    var squares = sums
    for pass in 0..<reads {
      for (index, layer) in plan.layers.enumerated() {
        let values =
          switch method {
          case .cells: try await read(layer.block, bias: bias)
          case .oneHot: try await rows(of: layer, bias: bias)
          case .hadamard: try await signs(of: layer, bias: bias)
          }
        for (cell, value) in values.enumerated() {
          sums[index][cell] += Double(value)
          squares[index][cell] += Double(value) * Double(value)
        }
      }
      progress?(pass + 1)
    }
    // The board's clock is known from its answers.
    try await heartbeat()
    let n = Double(reads)
    var standardError: Double?
    if reads > 1 {
      var variance = 0.0
      for (layer, values) in sums.enumerated() {
        let written = plan.layers[layer].written
        for (cell, sum) in values.enumerated() where written[cell] {
          let scatter: Double = squares[layer][cell] - sum * sum / n
          variance += max(0, scatter) / ((n - 1) * n)
        }
      }
      standardError = (variance / Double(max(1, plan.writtenCount))).squareRoot() * 1e6
    }
    return ReadBack(
      method: method, reads: reads, conductances: sums.map { $0.map { Float($0 / n) } }, standardError: standardError,
      begin: begin, end: await BoardMoment(self))
  }

  /// A layer by one product a row, 0 for rows that take no part.
  private func rows(of layer: MappingPlan.LayerPlacement, bias: ReadBias) async throws -> [Float] {
    let count = layer.block.shape.rows
    let columns = layer.block.shape.columns
    let offset = try await currents(of: layer.block, [Float](repeating: 0, count: count), bias)
    var values = [Float](repeating: 0, count: layer.block.cellCount)
    for row in 0..<count where layer.rows[row].input != nil {
      var inputs = [Float](repeating: 0, count: count)
      inputs[row] = 1
      let currents = try await currents(of: layer.block, inputs, bias)
      for column in 0..<columns { values[row * columns + column] = currents[column] - offset[column] }
    }
    return values
  }

  /// A layer by products with the signs of Sylvester's Hadamard matrix, group by group of rows: its first columns, which are orthogonal.
  ///
  /// At the read voltage itself, because cells are not ohmic: rather fewer rows than less voltage.
  private func signs(of layer: MappingPlan.LayerPlacement, bias: ReadBias) async throws -> [Float] {
    let columns = layer.block.shape.columns
    let count = layer.block.shape.rows
    var values = [Float](repeating: 0, count: layer.block.cellCount)
    // Every column of the matrix but the first sums to 0 over the products, so an offset falls on the first row of each group alone.
    let offset = try await currents(of: layer.block, [Float](repeating: 0, count: count), bias)
    func sign(_ pattern: Int, _ place: Int) -> Float { (pattern & place).nonzeroBitCount.isMultiple(of: 2) ? 1 : -1 }
    for rows in groups(of: layer, bias: bias) {
      var order = 1
      while order < rows.count { order *= 2 }
      for pattern in 0..<order {
        var inputs = [Float](repeating: 0, count: count)
        for (place, row) in rows.enumerated() { inputs[row] = sign(pattern, place) }
        let currents = try await currents(of: layer.block, inputs, bias)
        for (place, row) in rows.enumerated() {
          let share = sign(pattern, place) / Float(order)
          for column in 0..<columns { values[row * columns + column] += share * currents[column] }
        }
      }
      for column in 0..<columns { values[rows[0] * columns + column] -= offset[column] }
    }
    return values
  }

  /// Rows that take part, in groups whose targets together stay within the column converter's range at the read voltage.
  private func groups(of layer: MappingPlan.LayerPlacement, bias: ReadBias) -> [[Int]] {
    let sensing = boardDescription.sensing
    let highest = min(sensing.converter.reachable.upperBound.rawValue, -sensing.converter.reachable.lowerBound.rawValue)
    let lowestGain = sensing.ranges.map(\.rawValue).min() ?? .infinity
    // A fifth is left for cells off their targets.
    let most = 0.8 * highest / (lowestGain * bias.bitLine.rawValue)
    let columns = layer.block.shape.columns
    var groups: [[Int]] = []
    var sums = [Double](repeating: .infinity, count: columns)
    for row in layer.rows.indices where layer.rows[row].input != nil {
      let targets = (0..<columns).map { Double(layer.targets[row * columns + $0]) }
      if zip(sums, targets).allSatisfy({ $0 + $1 <= most }) {
        groups[groups.count - 1].append(row)
        for column in 0..<columns { sums[column] += targets[column] }
      } else {
        groups.append([row])
        sums = targets
      }
    }
    return groups
  }

  /// Currents of a block's columns ÷ the read voltage, siemens, with rows at multiples of it.
  private func currents(of block: CellBlock, _ inputs: [Float], _ bias: ReadBias) async throws -> [Float] {
    let voltage = Float(bias.bitLine.rawValue)
    return try await matrixProduct(
      MatrixProduct(
        block: block, inputs: inputs.map { $0 * voltage }, wordLine: bias.wordLine, averages: bias.averages)
    ).map { $0 / voltage }
  }
}
