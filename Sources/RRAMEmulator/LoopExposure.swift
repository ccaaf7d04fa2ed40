internal import RRAMPhysics
internal import RRAMProfiles
internal import RRAMUnits
internal import RRAMWire

/// What the rows of a closed loop do to their cells: time at voltage counts as disturb, there as in a pulse.
///
/// The law is the profile's (`disturb`), steep in the voltage, so a mean voltage says little: the rate is averaged over `paths`
/// trajectories from starting points of one unit, and holds for every sample of the run. Rows are driven as the network without read
/// noise drives them, up to their clamp; a loop that runs away stands there in most of its paths. Only positive voltages, the polarity of
/// SET, disturb: the profiles state no law for the other.
struct LoopExposure {
  /// Trajectories that stand for a run: the mean over 64 of a row's rate is known to some ten per cent where voltages scatter as
  /// widely as the law is steep, and nothing depends on it until cells have been at voltage for hours.
  static let paths = 64

  /// One driven block, and what each of its rows gets: in a second of loop, or in another stated time.
  struct Rows {
    var block: CellBlock
    var exposures: [Double]
  }

  var blocks: [Rows] = []

  /// - Parameters:
  ///   - networks: one or two, layer by layer, as `loop` has them side by side.
  init(
    _ loop: ClosedLoop, _ networks: [[LoopSequencer.Layer]], _ tables: LoopTables, _ integration: LoopIntegration,
    heldNoise: LoopHeldNoise, unit: Volts, law: ChipProfile.Disturb
  ) throws(RequestFailure) {
    let dimensions = loop.network.dimensions
    let x0 = (0..<Self.paths * dimensions).map {
      SamplingNoise.start(seed: 0, sample: UInt32($0 / dimensions), dimension: UInt32($0 % dimensions))
    }
    var recorded = integration
    recorded.trajectoryInterval = 1
    let trajectory: [Float]
    do {
      trajectory = try loop.run(x0: x0, tables: tables, integration: recorded, heldNoise: heldNoise).trajectory
    } catch {
      throw RequestFailure(.failed, "the loop cannot be run: \(error)")
    }
    blocks = networks.joined().map {
      Rows(block: $0.block, exposures: [Double](repeating: 0, count: $0.block.shape.rows))
    }
    // A path's points: its start, then one behind every tick.
    let points = tables.ticks + 1
    for path in 0..<Self.paths {
      for tick in 0..<tables.ticks {
        let first = (path * points + tick) * dimensions
        var values = trajectory[first..<first + dimensions].map { loop.limits.clamped($0) }
        for (index, layer) in loop.network.layers.enumerated() {
          var place = 0
          var shift = 0
          for network in networks {
            let driven = network[index]
            for (row, drive) in driven.rows.enumerated() {
              guard let input = drive.input else { continue }
              let level = input == driven.inputs ? loop.network.biasLevel : values[shift + input]
              blocks[place + index].exposures[row] += law.exposure(
                at: Double(level) * drive.factor * unit, for: .seconds(1))
            }
            place += network.count
            // The state drives the first layers of both.
            if index > 0 { shift += driven.inputs }
          }
          guard let column = layer.embeddingColumn else { break }
          let embedding = tables.embedding[
            tick * tables.embeddingColumns + column..<(tick + 1) * tables.embeddingColumns]
          values = (0..<layer.outputs).map { output in
            let weights = layer.weights[output * (layer.inputs + 1)..<(output + 1) * (layer.inputs + 1)]
            var sum = embedding[embedding.startIndex + output] + weights[weights.endIndex - 1] * loop.network.biasLevel
            for (weight, value) in zip(weights, values) { sum += weight * value }
            return loop.limits.clamped(min(max(0, sum), loop.limits.amplifierRail))
          }
        }
      }
    }
    let share = 1 / Double(Self.paths * tables.ticks)
    for index in blocks.indices { blocks[index].exposures = blocks[index].exposures.map { $0 * share } }
  }

  /// Nothing is driven.
  init() {}

  /// What so much loop time does, an exposure a row.
  func blocks(during time: Duration) -> [Rows] {
    blocks.map { Rows(block: $0.block, exposures: $0.exposures.map { $0 * time.seconds }) }
  }
}

extension LoopLimits {
  fileprivate func clamped(_ value: Float) -> Float { min(max(value, -rowClamp), rowClamp) }
}
