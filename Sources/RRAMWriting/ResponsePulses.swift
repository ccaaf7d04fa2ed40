internal import Foundation
internal import RRAMUnits
public import RRAMWire

/// Pulses computed from a response and from what a cell's own pulses have shown: coarse by the gate where there is one, then fine by the
/// amplitude, in either direction.
///
/// The response gives the amplitude for a wanted move. What a cell does differs by an offset of its own and by chance; every read after a
/// pulse corrects the estimate of the offset by how far the two are known (a Kalman filter of one state for SET, RESET and gate each).
/// A wanted move of d ends off by about d times the spread of moves, so few pulses lead into a narrow window; gate pulses end off by a
/// share of G whatever the way, and are taken where that is less.
public struct ResponsePulses: WriteStrategy {
  /// Mean and variance of what is known of one offset.
  struct Estimate: Sendable {
    var mean = 0.0
    var variance: Double
    /// True if a pulse of this cell, now or in the history, has shown it.
    var isSeen = false

    mutating func correct(by residual: Double, variance noise: Double) {
      let gain = variance / (variance + noise)
      mean += gain * residual
      variance *= 1 - gain
      isSeen = true
    }
  }

  public struct Cell: Sendable {
    /// Of v₁, volts.
    var set: Estimate
    var reset: Estimate
    /// Of ln G.
    var gate: Estimate
    fileprivate var last: Given?
  }

  /// A pulse whose effect has not been read yet.
  fileprivate struct Given: Sendable {
    enum Control { case set, reset, gate }
    var control: Control
    /// Amplitude, or voltage of the gate.
    var volts: Double
    var before: CellReading
  }

  /// How well the history of a cell predicts it, as a share of the spread between cells: amplitudes; and gates, of which the part that
  /// every SET–RESET cycle draws anew stays unknown.
  private static let knownShare = 0.3
  private static let knownGateShare = 0.65
  /// Cells change: the variance of an offset grows by this share of the spread's with each pulse.
  private static let drift = 0.003

  let response: PulseResponse
  let setRamp: PulseRamp
  let resetRamp: PulseRamp
  /// Volts that change the rate e-fold.
  private let voltsPerFold: Double

  public init(_ response: PulseResponse, set: PulseRamp, reset: PulseRamp) {
    self.response = response
    setRamp = set
    resetRamp = reset
    voltsPerFold = response.voltsPerDecade.rawValue / log(10)
  }

  public var readSpread: Double { response.readSpread }

  public func begin(_ index: Int) -> Cell {
    func estimate(_ k: Int, _ spread: Double, share: Double) -> Estimate {
      guard !response.offsets.isEmpty else { return Estimate(variance: spread * spread) }
      let known = Double(response.offsets[3 * index + k])
      guard known.isFinite else { return Estimate(variance: spread * spread) }
      return Estimate(mean: known, variance: share * share * spread * spread, isSeen: true)
    }
    return Cell(
      set: estimate(0, response.cellSpread.rawValue, share: Self.knownShare),
      reset: estimate(1, response.cellSpread.rawValue, share: Self.knownShare),
      gate: estimate(2, response.gateCellSpread, share: Self.knownGateShare))
  }

  public func end(_ cell: inout Cell, at reading: CellReading) { learn(&cell, reading) }

  public func offsets(_ cell: Cell) -> [Float]? {
    [cell.set, cell.reset, cell.gate].map { $0.isSeen ? Float($0.mean) : .nan }
  }

  public func pulse(_ cell: inout Cell, at reading: CellReading, to goal: WriteGoal) -> WritePulse {
    learn(&cell, reading)
    let g = reading.conductance.rawValue
    let target = goal.target.rawValue
    let move = target - g
    if move > 0, let pulse = gatePulse(cell, move: move, target: target) {
      cell.last = Given(control: .gate, volts: pulse.wordLine.rawValue, before: reading)
      return pulse
    }
    let isSet = move > 0
    let ramp = isSet ? setRamp : resetRamp
    let estimate = isSet ? cell.set : cell.reset
    let end = (isSet ? response.setGoal : response.resetGoal).rawValue
    let spread = moveSpread(estimate)
    // Of a move that comes out log-normal, the median is kept short: e^(−s²/2) times the wanted one leaves the least error.
    let share = min(max(move / (end - g), 0), 0.97)
    let exposure = -log1p(-share) * exp(-spread * spread / 2)
    let v1 = (isSet ? response.set : response.reset).rawValue + estimate.mean
    let width = ramp.width.seconds / response.referenceWidth.seconds
    var volts = v1 + voltsPerFold * log(max(exposure, 1e-12) / width)
    // Where the end point lies beyond the target only on paper, nothing but more voltage helps.
    if move / (end - g) <= 0 || move / (end - g) >= 1 { volts = ramp.stop.rawValue }
    volts = onGrid(min(max(volts, ramp.start.rawValue), ramp.stop.rawValue), atMost: ramp.stop)
    cell.last = Given(control: isSet ? .set : .reset, volts: volts, before: reading)
    return WritePulse(
      kind: isSet ? .set : .reset, wordLine: ramp.wordLine, amplitude: Volts(volts), width: ramp.width,
      isStrongest: volts > ramp.stop.rawValue - response.grid.rawValue)
  }

  /// σ of the natural logarithm of a small move.
  private func moveSpread(_ estimate: Estimate) -> Double {
    (response.rateSpread * response.rateSpread + estimate.variance / (voltsPerFold * voltsPerFold)).squareRoot()
  }

  /// A SET by the gate, where it ends nearer to the target than one by the amplitude.
  private func gatePulse(_ cell: Cell, move: Double, target: Double) -> WritePulse? {
    guard response.gateSlope > 0 else { return nil }
    let gateError =
      target
      * (response.gatePulseSpread * response.gatePulseSpread + cell.gate.variance).squareRoot()
    let amplitudeError = move * expm1(min(moveSpread(cell.set) * moveSpread(cell.set), 4)).squareRoot()
    guard gateError < amplitudeError, move > gateError / 2 else { return nil }
    let wanted = response.gateThreshold.rawValue + target * exp(-cell.gate.mean) / response.gateSlope
    let gate = onGrid(min(wanted, setRamp.wordLine.rawValue), atMost: setRamp.wordLine)
    return WritePulse(
      kind: .set, wordLine: Volts(gate), amplitude: setRamp.stop, width: setRamp.width,
      isStrongest: gate > setRamp.wordLine.rawValue - response.grid.rawValue)
  }

  private func onGrid(_ volts: Double, atMost most: Volts) -> Double {
    let grid = response.grid.rawValue
    let nearest = (volts / grid).rounded() * grid
    return nearest > most.rawValue ? most.rawValue : nearest
  }

  /// Corrects the offset that the last pulse used by what the cell did.
  private func learn(_ cell: inout Cell, _ after: CellReading) {
    guard let last = cell.last else { return }
    cell.last = nil
    let (g0, g1) = (last.before.conductance.rawValue, after.conductance.rawValue)
    let relative = response.readSpread
    let noise =
      relative * (g0 * g0 / Double(last.before.count) + g1 * g1 / Double(max(1, after.count))).squareRoot()
    switch last.control {
    case .gate:
      cell.gate.variance += Self.drift * response.gateCellSpread * response.gateCellSpread
      let expected = response.gateSlope * (last.volts - response.gateThreshold.rawValue)
      guard expected > 0, g1 > 0 else { return }
      // A gate below where the cell was moves nothing, and says only that its end lay lower.
      let moved = g1 - g0 > 2 * noise
      let residual = log(g1 / expected) - cell.gate.mean
      guard moved || residual < 0 else { return }
      let spread = response.gatePulseSpread * response.gatePulseSpread
      cell.gate.correct(by: residual, variance: (spread + relative * relative) * (moved ? 1 : 4))
    case .set: learn(&cell.set, setRamp, response.set, response.setGoal, last.volts, from: g0, to: g1, noise)
    case .reset: learn(&cell.reset, resetRamp, response.reset, response.resetGoal, last.volts, from: g0, to: g1, noise)
    }
  }

  private func learn(
    _ estimate: inout Estimate, _ ramp: PulseRamp, _ v1: Volts, _ goal: Siemens, _ volts: Double, from g0: Double,
    to g1: Double, _ noise: Double
  ) {
    estimate.variance += Self.drift * response.cellSpread.rawValue * response.cellSpread.rawValue
    let way = goal.rawValue - g0
    guard abs(way) > 4 * noise else { return }
    let error = noise / abs(way)
    // What read noise hides, moves of nothing and of all, are taken as the least and the most that can be told from them.
    let floor = max(0.5 * error, 1e-6)
    let ceiling = 1 - max(0.03, error)
    let share = min(max((g1 - g0) / way, floor), max(ceiling, floor))
    let width = ramp.width.seconds / response.referenceWidth.seconds
    let expected = log(width) + (volts - v1.rawValue - estimate.mean) / voltsPerFold
    let seen = log(-log1p(-share))
    // Beyond the ceiling only "at least so much" was seen.
    if share >= ceiling, expected > seen { return }
    let slope = 1 / ((1 - share) * -log1p(-share))
    let variance = response.rateSpread * response.rateSpread + error * error * slope * slope
    estimate.correct(by: (expected - seen) * voltsPerFold, variance: variance * voltsPerFold * voltsPerFold + 1e-12)
  }
}
