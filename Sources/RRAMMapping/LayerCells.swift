import RRAMModel
import RRAMProfiles
import RRAMUnits

/// The cells that can carry the weights of one layer, and what each weight makes of them at a given scale.
struct LayerCells {
  /// The cells of one weight.
  private struct Group {
    let weight: Double
    /// Row-major indices over the block: on the side of the weight's sign, and on the other side. Of sparse pairs those that can be used,
    /// the quietest first; of others partners of the same rows.
    var own: [Int]
    var partners: [Int]
    /// Cells of pairs of which one cannot be used.
    var single: [Int] = []
    /// Variances of `own` and `partners`, µS²; of pairs that are not sparse, of both together in `own`.
    var variances: (own: [Double], partners: [Double]) = ([], [])
    /// What cells conduct of their own in favour of the weight, siemens.
    var given = 0.0
  }

  let outputs: Int
  let largestWeight: Double
  /// (outputs, inputs + 1), biases last.
  var weights: [Double] { groups.flatMap { $0.map(\.weight) } }
  /// Siemens between the ends of the window.
  let room: Double
  private let groups: [[Group]]
  private let cellCount: Int
  private let lowest: Double
  private let highest: Double
  private let pairs: MappingOptions.Pairs
  private let levels: Int?
  /// Cells of rows for residual errors: they begin with nothing.
  private let residual: [Int]

  init(
    _ layer: ScoreNetwork.Layer, block: CellBlock, rows: [MappingPlan.Row], masked: Set<Int>,
    window: ClosedRange<Siemens>, options: MappingOptions, noise: [CellAddress: Siemens],
    conducting: [CellAddress: Siemens]
  ) {
    outputs = layer.outputs
    largestWeight = Double((layer.weight + layer.bias).reduce(0) { Swift.max($0, abs($1)) })
    (lowest, highest) = (window.lowerBound.rawValue, window.upperBound.rawValue)
    room = highest - lowest
    pairs = options.pairs
    levels = options.levels
    cellCount = block.cellCount
    let columns = block.shape.columns
    residual = rows.indices.filter { rows[$0].input != nil && rows[$0].factor != 1 }.flatMap { row in
      (0..<columns).map { row * columns + $0 }
    }
    // Where nothing is known a cell counts like the mean of those that are.
    let usual = noise.meanSquare
    func variance(_ cell: Int) -> Double {
      noise[block.address(at: cell)].map { $0.microsiemens * $0.microsiemens } ?? usual
    }
    groups = (0..<layer.outputs).map { out in
      (0...layer.inputs).map { input in
        let weight = Double(input < layer.inputs ? layer.weight[out * layer.inputs + input] : layer.bias[out])
        let side = weight < 0 ? 1 : 0
        var group = Group(weight: weight, own: [], partners: [])
        let sources = rows.indices.filter { rows[$0].input == input && rows[$0].factor == 1 }
        let own = sources.map { $0 * columns + 2 * out + side }
        let partners = sources.map { $0 * columns + 2 * out + 1 - side }
        switch options.pairs {
        case .sparse:
          func quietest(_ cells: [Int]) -> [Int] {
            let usable = cells.filter { !masked.contains($0) && conducting[block.address(at: $0)] == nil }
            let order = usable.map { (variance($0), $0) }.sorted { $0 < $1 }
            return order.map(\.1)
          }
          (group.own, group.partners) = (quietest(own), quietest(partners))
          group.variances = (group.own.map(variance), group.partners.map(variance))
          for (sign, cells) in [(1.0, own), (-1.0, partners)] {
            for cell in cells { group.given += sign * (conducting[block.address(at: cell)]?.rawValue ?? 0) }
          }
        case .oneSided, .balanced:
          // With other rows to carry the weight, a pair with an unusable cell is left at its neutral value.
          let whole = sources.indices.filter { !masked.contains(own[$0]) && !masked.contains(partners[$0]) }
          let used = whole.isEmpty ? Array(sources.indices) : whole
          group.own = used.map { own[$0] }
          group.partners = used.map { partners[$0] }
          group.single = sources.indices.filter { !used.contains($0) }.flatMap { [own[$0], partners[$0]] }
          group.variances.own = used.map { variance(own[$0]) + variance(partners[$0]) }
        }
        return group
      }
    }
  }

  func largestWeight(of outputs: [Int]) -> Double {
    outputs.reduce(0) { largest, out in groups[out].reduce(largest) { max($0, abs($1.weight)) } }
  }

  /// The scale for some outputs, siemens per unit weight: where fluctuation, rounding and what does not fit matter least.
  ///
  /// Infinite if all weights are 0.
  func bestScale(of outputs: [Int]) -> Double {
    let largest = largestWeight(of: outputs)
    let most = outputs.reduce(1) { most, out in groups[out].reduce(most) { max($0, $1.own.count) } }
    guard largest > 0 else { return .infinity }
    var best = (scale: 0.0, cost: Double.infinity)
    // What the largest weight may take, in cells.
    for half in 1...max(1, 2 * most) {
      let share = Double(half) / 2
      let scale = share * (pairs == .sparse ? highest : room) / largest
      let isWhole = half.isMultiple(of: 2)
      guard isWhole || pairs == .sparse && half > 1 else { continue }
      var cost = 0.0
      for out in outputs {
        for group in groups[out] { cost += self.cost(group, scale: scale) }
      }
      cost /= scale * scale
      if cost < best.cost { best = (scale, cost) }
    }
    return best.scale
  }

  /// Squared error of one weight in µS² at a scale.
  private func cost(_ group: Group, scale: Double) -> Double {
    let share = share(group, scale: scale)
    let missing = (abs(share.total) - share.values.reduce(0, +)) * 1e6
    // The error that stands still is known after a read-back, and tables make good most of it.
    var cost = 0.25 * missing * missing
    switch pairs {
    case .sparse:
      let variances = share.total < 0 ? group.variances.partners : group.variances.own
      for index in share.values.indices { cost += variances[index] }
    case .oneSided, .balanced: cost += group.variances.own.reduce(0, +)
    }
    return cost
  }

  /// What is asked of a weight's cells, siemens, negative where the other side carries it; and the differences that they take: of sparse
  /// pairs the first few, of others all of them.
  private func share(_ group: Group, scale: Double) -> (total: Double, values: [Double]) {
    let total = scale * abs(group.weight) - group.given
    switch pairs {
    case .sparse:
      let size = abs(total)
      let available = total < 0 ? group.partners.count : group.own.count
      // Below half of the lowest conductance none is nearer than one.
      guard size >= lowest / 2, size > 0, available > 0 else { return (total, []) }
      let count = min(available, max(1, Int((size / highest * (1 - 1e-9)).rounded(.up))))
      return (total, spread(size, over: count, from: lowest, to: highest))
    case .oneSided, .balanced:
      return (total, spread(total, over: group.own.count, from: 0, to: room))
    }
  }

  /// Equal shares within limits, each at one of the levels; what rounding leaves goes to the next.
  private func spread(_ total: Double, over count: Int, from least: Double, to most: Double) -> [Double] {
    var rest = total
    return (0..<count).map { index in
      var share = min(max(rest / Double(count - index), least), most)
      if let levels {
        let step = room / Double(levels - 1)
        share = least + ((share - least) / step).rounded() * step
      }
      rest -= share
      return share
    }
  }

  /// Targets of all cells of the block, siemens; 0 for those that shall not conduct.
  func targets(scales: [Double]) -> [Float] {
    let middle = (lowest + highest) / 2
    let neutral: Double =
      switch pairs {
      case .oneSided: lowest
      case .balanced: middle
      case .sparse: 0
      }
    var targets = [Float](repeating: 0, count: cellCount)
    for (out, groups) in groups.enumerated() {
      for group in groups {
        for cell in group.single { targets[cell] = Float(neutral) }
        let share = share(group, scale: scales[out])
        for (index, value) in share.values.enumerated() {
          let own = share.total < 0 ? group.partners[index] : group.own[index]
          switch pairs {
          case .oneSided:
            targets[own] = Float(min(lowest + value, highest))
            targets[group.partners[index]] = Float(lowest)
          case .balanced:
            targets[own] = Float(min(middle + value / 2, highest))
            targets[group.partners[index]] = Float(max(middle - value / 2, lowest))
          case .sparse:
            targets[own] = Float(min(value, highest))
          }
        }
      }
    }
    for cell in residual { targets[cell] = Float(neutral) }
    return targets
  }
}
