internal import Glibc
public import RRAMModel
public import RRAMProfiles
internal import RRAMUnits

/// Re-optimises the tables of a schedule for given weights: Adam on the exact adjoint of the loop.
///
/// End points of the loop with these weights, from common start points and noise, shall meet their targets; a point that misses by r counts
/// 2δ²(√(1 + r²/δ²) − 1). On the way towards a software target points count a little as well.
public struct ScheduleFit: Sendable {
  /// Numbers of the optimisation.
  public struct Settings: Sendable, Hashable, Codable {
    /// Ticks of the modelled run; the series fit a run of any number.
    public var ticks = 40
    public var iterations = 300
    /// Samples an iteration and class.
    public var batch = 192
    /// Batches of start points, used in turn.
    public var batches = 42
    /// First step of Adam; it falls to 3 % along a cosine.
    public var rate = 0.01
    /// δ of the loss, units.
    public var scale: Float = 0.15
    /// Weight of each of the points on the way, of a software target.
    public var pathWeight: Float = 0.002
    /// Points with a target, the end point among them.
    public var points = 20
    /// Limit of the adjoint per coordinate and step: single steep trajectories must not rule.
    public var adjointLimit: Float = 1
    /// Of the start points and noise: other ones than those that samples are drawn with.
    public var seed: UInt64 = 0x5343_4845_4455_4C45

    public init() {}
  }

  /// Where end points shall go.
  public enum Target: Sendable {
    /// To where the network brings them in software.
    case software
    /// To data: which start point goes where, one coupling a condition.
    case data([CalibrationCoupling])
  }

  /// What came out.
  public struct Result: Sendable {
    /// In the order of the labels.
    public var corrections: [ScheduleCorrection]
    /// Mean loss of the first and of the last tenth of the iterations, summed over classes.
    public var firstLoss: Double
    public var lastLoss: Double
  }

  private struct Condition {
    let label: Int?
    let embedding: [Double]
    let x0: [Float]
    let held: [Float]
    let target: [Float]
    let interval: Int
  }

  public let settings: Settings
  private let network: ScoreNetwork
  private let loop: BoardDescription.ClosedLoop
  private let cells: ChipProfile.Cells?
  private var real: ModelledLoop
  private let ideal: ModelledLoop
  private let conditions: [Condition]
  private let pathWeight: Float
  /// Tables as the model asks for them.
  private let nominal: NominalTables
  private let priorStandardDeviation: Float
  private let networks: Int
  private let isGuided: Bool
  /// What the integrators add of their own, units, (2).
  private let integratorOffset: [Double]
  private let hidden: Int
  private let basis: [[Double]]
  private let coefficientLimits: ClosedRange<Double>
  private let embeddingLimits: ClosedRange<Double>
  private let offsetLimits: ClosedRange<Double>?

  /// Prepares start points, noise and targets.
  ///
  /// - Parameters:
  ///   - weights: what the cells realise, a layer (outputs, inputs + 1), biases last; where guidance is played at once, the layers of
  ///     the second network follow.
  ///   - guidance: w, 0 for none, and how it is played; software targets are then what the guided network draws.
  ///   - tickDuration: of a run with `settings.ticks`, in the board's run times; nil: one run time in all.
  ///   - labels: conditions fitted together: they share what a and b become. nil is the null condition or no condition.
  ///   - integratorOffset: what the integrators add without being told to, units a run, (x, y).
  ///   - cells: how the chip's cells conduct; nil where they are ohmic.
  public init(
    weights: [[Double]], model: ScoreModel, process: DiffusionProcess, equation: ReverseEquation,
    guidance: Double = 0, play: GuidancePlay = .slots, tickDuration: Double? = nil, labels: [Int?], target: Target,
    integratorOffset: [Double] = [0, 0], loop: BoardDescription.ClosedLoop,
    cells: ChipProfile.Cells? = nil, settings: Settings = Settings()
  ) {
    precondition(!labels.isEmpty && integratorOffset.count == 2, "labels and one offset an axis")
    precondition(settings.ticks.isMultiple(of: settings.points), "\(settings.points) points in \(settings.ticks) ticks")
    let network = model.network
    self.network = network
    self.loop = loop
    self.settings = settings
    self.integratorOffset = integratorOffset
    self.cells = cells
    let deviation = Float(process.priorStandardDeviation)
    priorStandardDeviation = deviation
    let nominal = NominalTables(
      network, process: process, equation: equation, ticks: settings.ticks, loop: loop, tickDuration: tickDuration,
      guidance: guidance, play: play)
    self.nominal = nominal
    hidden = network.hiddenSize
    networks = nominal.networks
    isGuided = guidance != 0
    real = Self.loop(weights, network, networks: networks, loop: loop, cells: cells)
    basis = nominal.times.map { ScheduleCorrection.basis(at: $0) }
    func limits(_ converter: BoardDescription.Converter, _ unit: Volts) -> ClosedRange<Double> {
      (converter.reachable.lowerBound / unit)...(converter.reachable.upperBound / unit)
    }
    coefficientLimits = limits(loop.coefficient, loop.coefficientUnit)
    embeddingLimits = limits(loop.embedding, loop.unitVoltage)
    offsetLimits = loop.offset.map { limits($0, loop.unitVoltage) }

    let ideal = ModelledLoop(network, twice: networks == 2, loop: loop)
    self.ideal = ideal
    conditions = labels.enumerated().map { index, label in
      let seed = settings.seed &+ UInt64(index)
      let embedding = nominal.embedding(label)
      switch target {
      case .software:
        let count = settings.batch * settings.batches
        let x0 = SamplingNoise.start(seed: seed, count: count).map { $0 * deviation }
        let held = nominal.heldNoise(seed: seed, count: count)
        let interval = settings.ticks / settings.points
        let points = ideal.run(x0, tables: nominal.tables(embedding), held: held, interval: interval)
        return Condition(label: label, embedding: embedding, x0: x0, held: held, target: points, interval: interval)
      case .data(let couplings):
        precondition(couplings.count == labels.count, "\(couplings.count) couplings for \(labels.count) conditions")
        let coupling = couplings[index]
        return Condition(
          label: label, embedding: embedding, x0: coupling.start,
          held: nominal.heldNoise(seed: seed, count: coupling.count), target: coupling.end, interval: settings.ticks)
      }
    }
    pathWeight = if case .software = target { settings.pathWeight } else { 0 }
  }

  private static func loop(
    _ weights: [[Double]], _ network: ScoreNetwork, networks: Int, loop: BoardDescription.ClosedLoop,
    cells: ChipProfile.Cells?
  ) -> ModelledLoop {
    let layers = network.layers.count
    precondition(weights.count >= networks * layers, "\(weights.count) layers of weights for \(networks) networks")
    return ModelledLoop(
      weights: Array(weights.prefix(layers)), second: networks == 2 ? Array(weights[layers...]) : [], network,
      loop: loop,
      cells: cells)
  }

  /// Series of the embedding of one condition; a guided one has those of the null condition as well.
  private var embeddingSeries: Int { isGuided ? 2 * hidden : hidden }

  /// Series whose coefficients are fitted, one after the other in one array: a, b, the embedding of every condition, offsets.
  private var seriesCount: Int { 2 + conditions.count * embeddingSeries + (offsetLimits == nil ? 0 : 2) }

  private func correction(_ parameters: [Double], condition: Int) -> ScheduleCorrection {
    let terms = ScheduleCorrection.terms
    func series(_ index: Int) -> [Double] { Array(parameters[index * terms..<(index + 1) * terms]) }
    let first = 2 + condition * embeddingSeries
    let offset = 2 + conditions.count * embeddingSeries
    return ScheduleCorrection(
      state: series(0), score: series(1), embedding: (first..<first + hidden).map(series),
      nullEmbedding: isGuided ? (first + hidden..<first + 2 * hidden).map(series) : [],
      offset: offsetLimits == nil ? [] : [series(offset), series(offset + 1)])
  }

  /// The tables that a correction makes of the nominal ones, with every value that its converter does not reach at its end.
  private func tables(_ condition: Condition, _ correction: ScheduleCorrection) -> ModelledTables {
    let ticks = settings.ticks
    var tables = nominal.tables([])
    (tables.a, tables.b, tables.secondB, tables.offset) = ([], [], [], [])
    tables.embedding.reserveCapacity(ticks * networks * hidden)
    func within(_ value: Double, _ limits: ClosedRange<Double>) -> Double {
      min(max(value, limits.lowerBound), limits.upperBound)
    }
    for tick in 0..<ticks {
      let basis = basis[tick]
      let state = ScheduleCorrection.factor(ScheduleCorrection.sum(correction.state, basis)).factor
      let score = ScheduleCorrection.factor(ScheduleCorrection.sum(correction.score, basis)).factor
      tables.a.append(within(nominal.a[tick] * state, coefficientLimits))
      tables.b.append(within(nominal.b[tick] * score, coefficientLimits))
      if networks == 2 { tables.secondB.append(within(nominal.secondB[tick] * score, coefficientLimits)) }
      for column in 0..<networks * hidden {
        let series = embeddingSeries(ofColumn: column, tick)
        let own = series < hidden ? correction.embedding[series] : correction.nullEmbedding[series - hidden]
        let value = condition.embedding[tick * networks * hidden + column] + ScheduleCorrection.sum(own, basis)
        tables.embedding.append(within(value, embeddingLimits))
      }
      for axis in 0..<2 {
        var value = integratorOffset[axis]
        if let offsetLimits {
          value += within(ScheduleCorrection.sum(correction.offset[axis], basis), offsetLimits)
        }
        tables.offset.append(value)
      }
    }
    return tables
  }

  /// Which of a condition's series an embedding column follows in a tick: the class's, or behind them those of the null condition.
  private func embeddingSeries(ofColumn column: Int, _ tick: Int) -> Int {
    nominal.isNull[tick] ? hidden + column : column
  }

  /// Carries derivatives by the tables over to the coefficients: adds to `sum`.
  ///
  /// A value at its converter's end counts only where the derivative leads back inside.
  private func add(
    _ gradient: ModelledLoop.Gradient, _ condition: Int, _ correction: ScheduleCorrection, tables: ModelledTables,
    to sum: inout [Double]
  ) {
    let terms = ScheduleCorrection.terms
    func counts(_ value: Double, _ slope: Double, _ limits: ClosedRange<Double>) -> Bool {
      // Steps go against the slope.
      !(value >= limits.upperBound - 1e-9 && slope < 0) && !(value <= limits.lowerBound + 1e-9 && slope > 0)
    }
    func enter(_ series: Int, _ slope: Double, _ basis: [Double]) {
      let first = series * terms
      for k in 0..<terms { sum[first + k] += slope * basis[k] }
    }
    let offset = 2 + conditions.count * embeddingSeries
    for tick in 0..<settings.ticks {
      let basis = basis[tick]
      let state = ScheduleCorrection.factor(ScheduleCorrection.sum(correction.state, basis)).slope
      let score = ScheduleCorrection.factor(ScheduleCorrection.sum(correction.score, basis)).slope
      let (da, db) = (gradient.a[tick] * nominal.a[tick] * state, gradient.b[tick] * nominal.b[tick] * score)
      if counts(tables.a[tick], gradient.a[tick], coefficientLimits) { enter(0, da, basis) }
      if counts(tables.b[tick], gradient.b[tick], coefficientLimits) { enter(1, db, basis) }
      if networks == 2, counts(tables.secondB[tick], gradient.secondB[tick], coefficientLimits) {
        enter(1, gradient.secondB[tick] * nominal.secondB[tick] * score, basis)
      }
      for column in 0..<networks * hidden {
        let index = tick * networks * hidden + column
        let slope = gradient.embedding[index]
        if counts(tables.embedding[index], slope, embeddingLimits) {
          enter(2 + condition * embeddingSeries + embeddingSeries(ofColumn: column, tick), slope, basis)
        }
      }
      if let offsetLimits {
        for axis in 0..<2 {
          let slope = gradient.offset[2 * tick + axis]
          let own = tables.offset[2 * tick + axis] - integratorOffset[axis]
          if counts(own, slope, offsetLimits) { enter(offset + axis, slope, basis) }
        }
      }
    }
  }

  /// The same fit for cells that have changed: start points, noise and targets stay.
  ///
  /// - Parameter weights: what the cells realise now, as in the initializer.
  public func replacing(weights: [[Double]]) -> ScheduleFit {
    var copy = self
    copy.real = Self.loop(weights, network, networks: networks, loop: loop, cells: cells)
    return copy
  }

  /// End points y of the modelled loop with these weights, shape (count, 2), from start points and noise of `seed`.
  ///
  /// - Parameters:
  ///   - correction: nil plays the tables as the model asks for them.
  ///   - condition: index of the label.
  public func endPoints(_ correction: ScheduleCorrection?, condition: Int, count: Int, seed: UInt64) -> [Float] {
    let condition = conditions[condition]
    let nothing = [[Double]](repeating: [], count: hidden)
    let none = ScheduleCorrection(
      state: [], score: [], embedding: nothing, nullEmbedding: nothing, offset: [[], []])
    return endPoints(real, tables(condition, correction ?? none), count: count, seed: seed)
  }

  /// The same of the network itself in a loop without errors.
  public func idealEndPoints(condition: Int, count: Int, seed: UInt64) -> [Float] {
    endPoints(ideal, nominal.tables(conditions[condition].embedding), count: count, seed: seed)
  }

  private func endPoints(_ loop: ModelledLoop, _ tables: ModelledTables, count: Int, seed: UInt64) -> [Float] {
    loop.run(
      SamplingNoise.start(seed: seed, count: count).map { $0 * priorStandardDeviation }, tables: tables,
      held: nominal.heldNoise(seed: seed, count: count))
  }

  /// Optimises; takes a fraction of a second on the calling thread.
  ///
  /// - Parameter progress: called after each tenth with the share that is done.
  public func run(from start: [ScheduleCorrection]? = nil, progress: ((Double) -> Void)? = nil) -> Result {
    let count = coefficientCount
    var parameters = [Double](repeating: 0, count: count)
    if let start { parameters = self.parameters(start) }
    var (first, second) = (parameters.map { _ in 0.0 }, parameters.map { _ in 0.0 })
    var gradient = ModelledLoop.Gradient(ticks: settings.ticks, hidden: hidden, networks: networks)
    let tenth = max(1, settings.iterations / 10)
    var losses: [Double] = []
    losses.reserveCapacity(settings.iterations)
    for iteration in 0..<settings.iterations {
      let (loss, sum) = derivatives(parameters, iteration: iteration, adjointLimit: settings.adjointLimit, &gradient)
      losses.append(loss)
      let norm = sum.reduce(0) { $0 + $1 * $1 }.squareRoot()
      let clip = norm > 1 ? 1 / norm : 1
      let progressed = Double(iteration) / Double(settings.iterations)
      let rate = settings.rate * (0.03 + 0.97 * 0.5 * (1 + cos(Double.pi * progressed)))
      let (decay1, decay2) = (1 - pow(0.9, Double(iteration + 1)), 1 - pow(0.99, Double(iteration + 1)))
      for i in 0..<count {
        let slope = sum[i] * clip
        first[i] = 0.9 * first[i] + 0.1 * slope
        second[i] = 0.99 * second[i] + 0.01 * slope * slope
        parameters[i] -= rate * (first[i] / decay1) / ((second[i] / decay2).squareRoot() + 1e-8)
      }
      if (iteration + 1) % tenth == 0 { progress?(Double(iteration + 1) / Double(settings.iterations)) }
    }
    func mean(_ values: ArraySlice<Double>) -> Double { values.reduce(0, +) / Double(max(1, values.count)) }
    return Result(
      corrections: conditions.indices.map { correction(parameters, condition: $0) },
      firstLoss: mean(losses.prefix(tenth)), lastLoss: mean(losses.suffix(tenth)))
  }

  /// Loss of one iteration's samples, summed over the conditions, and its derivatives by the coefficients.
  private func derivatives(
    _ parameters: [Double], iteration: Int, adjointLimit: Float, inDouble: Bool = false,
    _ gradient: inout ModelledLoop.Gradient
  ) -> (loss: Double, sum: [Double]) {
    var sum = [Double](repeating: 0, count: parameters.count)
    var loss = 0.0
    for (index, condition) in conditions.enumerated() {
      let available = condition.x0.count / 2
      let size = min(settings.batch, available)
      let begin = iteration % max(1, available / size) * size
      let correction = correction(parameters, condition: index)
      let tables = tables(condition, correction)
      real.gradient(
        of: begin..<begin + size, condition.x0, tables: tables, held: condition.held, target: condition.target,
        interval: condition.interval, pathWeight: pathWeight, scale: settings.scale, adjointLimit: adjointLimit,
        inDouble: inDouble, into: &gradient)
      loss += gradient.loss
      add(gradient, index, correction, tables: tables, to: &sum)
    }
    return (loss, sum)
  }

  /// Loss of the first iteration's samples and its exact derivatives by the coefficients of corrections, in double precision and with
  /// no limit to the adjoint: what can be compared with differences.
  ///
  /// - Parameter coefficients: a's and b's series, the embedding's of every condition (of a guided one the class's, then the null
  ///   condition's), then the offsets' where the board has them; ``ScheduleCorrection/terms`` each.
  public func derivatives(_ coefficients: [Double]) -> (loss: Double, gradient: [Double]) {
    precondition(coefficients.count == coefficientCount, "\(coefficients.count) of \(coefficientCount) coefficients")
    var gradient = ModelledLoop.Gradient(ticks: settings.ticks, hidden: hidden, networks: networks)
    let found = derivatives(coefficients, iteration: 0, adjointLimit: .infinity, inDouble: true, &gradient)
    return (found.loss, found.sum)
  }

  /// How many coefficients a fit has.
  public var coefficientCount: Int { seriesCount * ScheduleCorrection.terms }

  /// The coefficients of corrections as this fit orders them.
  private func parameters(_ corrections: [ScheduleCorrection]) -> [Double] {
    precondition(corrections.count == conditions.count, "one correction a condition")
    let shared = corrections[0]
    return shared.state + shared.score
      + corrections.flatMap { ($0.embedding + $0.nullEmbedding).flatMap { $0 } }
      + (offsetLimits == nil ? [] : shared.offset.flatMap { $0 })
  }
}
