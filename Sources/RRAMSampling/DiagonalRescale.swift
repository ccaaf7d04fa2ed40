internal import Glibc
public import RRAMMapping
public import RRAMModel
public import RRAMProfiles
public import RRAMUnits

/// Factors of the hidden units with which the errors of cells matter least to what the network says.
///
/// relu(d·z) = d·relu(z): a unit's incoming weights, bias and embedding times d and its outgoing weights over d leave the function as it is,
/// but other conductances carry it. Cells miss their targets by σ(G), so a weight is missed by σ(G) over its column's scale, and the score by
/// that times what the weight is multiplied with and what lies behind it. Minimised is the variance of the score summed over all weights,
/// over states of runs in software, each with the square of what the loop makes of the score there. To first order and cells independent.
public struct DiagonalRescale: Sendable, Hashable {
  /// One a hidden unit, of both hidden layers, which share the embeddings.
  public let factors: [Double]
  /// Predicted error of the score with these factors over that without, rms.
  public let predicted: Double

  /// Embeddings keep this share of their converter's range free, for a calibration to move them.
  static let reserve = 0.2
  /// Rows of the trial runs stay below this share of the row clamp.
  static let clampShare = 0.95
  /// Factors lie between this and its inverse.
  static let farthest = 8.0

  /// - Parameters:
  ///   - options: how weights become conductances; what they say of hidden units is not used.
  ///   - tolerance: half width of the verify window.
  ///   - age: since the last write, for σ(G).
  ///   - given: factors that are not chosen but judged; nil: chooses.
  /// - Throws: ``ScheduleError`` `noClosedLoop`; the model layer's error for a network that cannot run.
  public init(
    _ model: ScoreModel, on board: BoardDescription, window: ClosedRange<Siemens>, options: MappingOptions,
    profile: ChipProfile, tolerance: Siemens, age: Duration = .seconds(600), given: [Double]? = nil
  ) throws {
    guard let loop = board.closedLoop else {
      throw ScheduleError(
        .noClosedLoop,
        "board '\(board.name)' has no closed loop, so no embeddings that hidden units could be rescaled with")
    }
    let influence = try Influence(model)
    let cells = CellVariance(window: window, pairs: options.pairs, profile: profile, tolerance: tolerance, age: age)
    let layers = model.network.layers
    let hidden = model.network.hiddenSize
    let room = (window.upperBound - window.lowerBound).rawValue
    let (least, most) = (loop.columnGain.lowerBound.rawValue, loop.columnGain.upperBound.rawValue)

    /// Variance of the score for factors exp(logs); infinite where a column's gain would not do.
    func variance(_ logs: [Double]) -> Double {
      let d = logs.map { exp($0) }
      var sum = 0.0
      for (index, layer) in layers.enumerated() {
        func out(_ o: Int) -> Double { index < 2 ? d[o] : 1 }
        func into(_ j: Int) -> Double { index > 0 && j < layer.inputs ? d[j] : 1 }
        func size(_ o: Int, _ j: Int) -> Double {
          let weight = j < layer.inputs ? layer.weight[o * layer.inputs + j] : layer.bias[o]
          return abs(Double(weight)) * out(o) / into(j)
        }
        let outputs = 0..<layer.outputs
        var largest = outputs.map { o in (0...layer.inputs).reduce(0) { max($0, size(o, $1)) } }
        if options.scale == .layer, let all = largest.max() { largest = outputs.map { _ in all } }
        for o in outputs where largest[o] > 0 {
          guard largest[o] / room <= most else { return .infinity }
          let scale = min(room / largest[o], 1 / least)
          var column = 0.0
          for j in 0...layer.inputs {
            let share = into(j) * into(j)
            column += influence.values[index][o][j] * cells.variance(size(o, j) * scale / room) * share
          }
          sum += column / (scale * scale * out(o) * out(o))
        }
      }
      return sum
    }

    let reach = min(-loop.embedding.reachable.lowerBound.rawValue, loop.embedding.reachable.upperBound.rawValue)
    let embedding = (1 - Self.reserve) * reach / loop.unitVoltage.rawValue
    let clamp = Self.clampShare * loop.rowClamp.rawValue / loop.unitVoltage.rawValue
    let bounds = (0..<hidden).map { j in
      let largest = min(embedding / influence.embedding[j], clamp / influence.peaks[j], Self.farthest)
      // A unit that is past them as it was trained gets no larger.
      return (log(1 / Self.farthest), log(max(1, largest)))
    }
    let before = variance([Double](repeating: 0, count: hidden))
    var logs = given.map { $0.map { log($0) } } ?? [Double](repeating: 0, count: hidden)
    precondition(logs.count == hidden, "one factor a hidden unit")
    var best = given == nil ? before : variance(logs)
    var step = given == nil ? 0.8 : 0
    while step > 0.01 {
      var isBetter = false
      for j in 0..<hidden {
        for move in [step, -step] {
          var trial = logs
          trial[j] = min(max(logs[j] + move, bounds[j].0), bounds[j].1)
          let value = variance(trial)
          if value < best {
            (best, logs, isBetter) = (value, trial, true)
            break
          }
        }
      }
      if !isBetter { step /= 2 }
    }
    factors = logs.map { exp($0) }
    predicted = before > 0 && before.isFinite ? (best / before).squareRoot() : 1
  }

  /// What an error of each weight does to the score.
  private struct Influence {
    /// Of layer, output and input (the bias last): mean of (∂score/∂z · input)² over states, weighted by what the loop makes of the score.
    var values: [[[Double]]]
    /// Largest |embedding| of each hidden unit, of any condition and time, and largest output of either layer in the trial runs.
    var embedding: [Double]
    var peaks: [Double]

    private static let steps = 50
    private static let runs = 128

    init(_ model: ScoreModel) throws {
      let network = model.network
      let (hidden, dimensions) = (network.hiddenSize, network.dimensions)
      let conditions: [Int?] = network.isConditional ? Array(0..<network.classCount) : [nil]
      let process = model.metadata.process
      let equation = model.metadata.equation
      let amplitude = Double(network.amplitude)
      let step = (1 - DiffusionProcess.endTime) / Double(Self.steps)
      var values = network.layers.map { layer in
        [[Double]](repeating: [Double](repeating: 0, count: layer.inputs + 1), count: layer.outputs)
      }
      var embedding = [Double](repeating: 1e-9, count: hidden)
      var peaks = [Double](repeating: 1e-9, count: hidden)
      let layers = network.layers.map { (w: $0.weight.map { Double($0) }, b: $0.bias.map { Double($0) }) }
      func forward(_ index: Int, _ input: [Double], add: [Double]?) -> [Double] {
        let layer = layers[index]
        return layer.b.indices.map { o in
          var sum = layer.b[o] + (add?[o] ?? 0)
          for j in input.indices { sum += layer.w[o * input.count + j] * input[j] }
          return add == nil ? sum : max(0, sum)
        }
      }
      for condition in conditions + (network.isConditional ? [nil] : []) {
        let own = network.classEmbedding(condition)
        for index in 0...100 {
          let time = network.timeEmbedding(Float(index) / 100)
          for j in 0..<hidden { embedding[j] = max(embedding[j], abs(Double(time[j] + own[j]))) }
        }
      }
      for condition in conditions {
        let program = try SamplingProgram(model, classLabel: condition)
        let own = network.classEmbedding(condition)
        let start = program.startPoints(from: 0, count: Self.runs)
        for run in 0..<Self.runs {
          var x = (0..<dimensions).map { Double(start[run * dimensions + $0]) }
          for index in 0..<Self.steps {
            let t = 1 - (Double(index) + 0.5) * step
            let add = zip(network.timeEmbedding(Float(t)), own).map { Double($0 + $1) }
            let first = forward(0, x, add: add)
            let second = forward(1, first, add: add)
            let score = forward(2, second, add: nil)
            let b = process.scoreCoefficient(at: t, equation: equation) * amplitude
            for j in 0..<hidden { peaks[j] = max(peaks[j], first[j], second[j]) }
            // ∂score/∂ of both pre-activations, row by row of the score.
            var behindSecond = [Double](repeating: 0, count: hidden)
            var behindFirst = [Double](repeating: 0, count: hidden)
            for q in 0..<dimensions {
              let slope = (0..<hidden).map { second[$0] > 0 ? layers[2].w[q * hidden + $0] : 0 }
              for k in 0..<hidden { behindSecond[k] += slope[k] * slope[k] }
              for o in 0..<hidden where first[o] > 0 {
                var sum = 0.0
                for k in 0..<hidden { sum += slope[k] * layers[1].w[k * hidden + o] }
                behindFirst[o] += sum * sum
              }
            }
            let behind = [behindFirst, behindSecond, [Double](repeating: 1, count: dimensions)]
            for (layer, input) in [x, first, second].enumerated() {
              for o in behind[layer].indices {
                let weight = b * b * behind[layer][o]
                for j in input.indices { values[layer][o][j] += weight * input[j] * input[j] }
                values[layer][o][input.count] += weight
              }
            }
            let a = process.stateCoefficient(at: t) * step
            for i in 0..<dimensions { x[i] += a * x[i] + b * step * score[i] }
          }
        }
      }
      self.values = values
      self.embedding = embedding
      self.peaks = peaks
    }
  }

  /// Variance of G+ − G− of a weight by its share of the window, S².
  private struct CellVariance {
    private let table: [Double]
    private let isSparse: Bool

    init(
      window: ClosedRange<Siemens>, pairs: MappingOptions.Pairs, profile: ChipProfile, tolerance: Siemens, age: Duration
    ) {
      let (low, high) = (window.lowerBound, window.upperBound)
      func square(_ conductance: Siemens) -> Double {
        let later = profile.relaxation.sigma(after: age, at: conductance).rawValue
        return later * later + tolerance.rawValue * tolerance.rawValue / 3
      }
      isSparse = pairs == .sparse
      table = (0...64).map { index in
        let share = Double(index) / 64
        switch pairs {
        case .oneSided: return square(low + share * (high - low)) + square(low)
        case .balanced:
          let (middle, half) = ((low + high) / 2, share * (high - low) / 2)
          return square(middle + half) + square(middle - half)
        case .sparse: return square(max(low, share * high))
        }
      }
    }

    func variance(_ share: Double) -> Double {
      if isSparse, share == 0 { return 0 }
      let position = 64 * min(max(share, 0), 1)
      let index = min(63, Int(position))
      return table[index] + (position - Double(index)) * (table[index + 1] - table[index])
    }
  }
}

extension ScoreModel {
  /// Refuses factors of hidden units that a board cannot play: embeddings beyond their converter, rows beyond their clamp.
  ///
  /// - Throws: ``ScheduleError`` with value and limit.
  public func checkRescale(_ factors: [Double], on board: BoardDescription) throws {
    let model = rescalingHidden(by: factors)
    let labels: [Int?] = network.isConditional ? Array(0..<network.classCount) + [nil] : [nil]
    for label in labels {
      let program = try SamplingProgram(model, classLabel: label, ticks: usualTicks)
      _ = try program.schedule(on: board)
      _ = try LoopFit(program, on: board)
    }
  }
}
