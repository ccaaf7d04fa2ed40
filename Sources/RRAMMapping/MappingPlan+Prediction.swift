public import RRAMProfiles
public import RRAMUnits

extension MappingPlan {
  /// Conductances of a chip of a profile at an age after the last write, one draw: uniform in the verify window, then relaxed by the
  /// profile's σ(t, G), Gaussian and cell by cell. Pristine and unusable cells conduct nothing. Of pairs that are written as such the
  /// difference lies in the window; their common part is taken to be that of the targets, writing leaves it where it is.
  ///
  /// - Parameters:
  ///   - tolerance: half width of the verify window.
  ///   - strategy: what they are written with.
  ///   - age: since the last write, more than 0.
  ///   - seed: of the draw.
  /// - Returns: siemens, one array a layer, row-major over its block.
  public func predictedConductances(
    _ profile: ChipProfile, tolerance: Siemens, strategy: WriteStrategyName = .ispp, age: Duration, seed: UInt64
  ) -> [[Float]] {
    layers.enumerated().map { index, layer in
      var random = PhiloxStream(seed: seed, stream: (0x4D41_5053, UInt32(index), 0))
      let written = layer.written
      var difference = Siemens.zero
      return layer.targets.indices.map { cell in
        guard written[cell] else { return 0 }
        let target = Siemens(Double(layer.targets[cell]))
        var verify = (2 * random.uniform() - 1) * tolerance
        if strategy == .pairAware, written[cell ^ 1] {
          if cell.isMultiple(of: 2) { difference = verify }
          verify = cell.isMultiple(of: 2) ? difference / 2 : -difference / 2
        }
        let relaxed = profile.relaxation.sigma(after: age, at: target) * random.normal()
        return Float(max(.zero, target + verify + relaxed).rawValue)
      }
    }
  }

  /// The largest share of a cell's current that wires and drivers take in each layer with all rows driven alike, to first order: the
  /// voltage lost along the row and along the column of the farthest cell.
  public func wireDrop(_ wires: ChipProfile.Wires, on board: BoardDescription) -> [Double] {
    layers.map { layer in
      let shape = layer.block.shape
      var rowLoss = 0.0
      var columnLoss = [Double](repeating: 0, count: shape.columns)
      for row in 0..<shape.rows {
        var loss = 0.0
        for column in 0..<shape.columns {
          let conductance = Double(layer.targets[row * shape.columns + column])
          let along = Double(layer.block.firstColumn + column + 1) * wires.bitLineSegment.rawValue
          loss += conductance * (board.drivers.outputResistance.rawValue + along)
          let down = Double(layer.block.firstRow + row + 1) * wires.sourceLineSegment.rawValue
          columnLoss[column] += conductance * (board.sensing.inputResistance.rawValue + down)
        }
        rowLoss = max(rowLoss, loss)
      }
      return rowLoss + (columnLoss.max() ?? 0)
    }
  }

  /// The largest share that wires may take: beyond it a read with one row driven no longer says what the loop sees.
  public static let largestWireDrop = 0.1

  /// Refuses a strategy that the plan has nothing to do for.
  ///
  /// - Throws: ``MappingError`` `unsupported`.
  public func check(_ strategy: WriteStrategyName) throws(MappingError) {
    guard strategy == .pairAware, options.pairs == .sparse else { return }
    throw MappingError(
      .unsupported,
      "strategy pair-aware: of sparse pairs one cell conducts, so there is no choice which one moves; one-sided and balanced pairs have it"
    )
  }

  /// Refuses a plan whose wires take too much, or whose cells a read cannot measure.
  ///
  /// - Throws: ``MappingError`` `wireDrop` or `rangeRefused` with layer and numbers.
  public func check(_ profile: ChipProfile, on board: BoardDescription) throws(MappingError) {
    for (index, drop) in wireDrop(profile.wires, on: board).enumerated() where drop > Self.largestWireDrop {
      throw MappingError(
        .wireDrop,
        "layer \(index + 1) at \(layers[index].block): wires and drivers take up to \(Float(100 * drop)) % of a cell's current, at most "
          + "\(Float(100 * Self.largestWireDrop)) % can be made good")
    }
    let sensing = board.sensing
    let highest = Siemens(Double(layers.flatMap(\.targets).max() ?? 0))
    guard let smallest = sensing.ranges.first else { return }
    let output = sensing.readVoltage.rawValue * highest.rawValue * smallest.rawValue
    let reach = sensing.converter.reachable.upperBound
    guard output <= reach.rawValue else {
      throw MappingError(
        .rangeRefused,
        "a cell of \(highest) at \(sensing.readVoltage) makes \(Volts(output)) behind the smallest transimpedance of \(smallest), the "
          + "converter of board '\(board.name)' reaches \(reach)")
    }
  }
}
