internal import Glibc
public import RRAMMapping
public import RRAMProfiles
public import RRAMUnits

/// What cells are expected to do after a write, by a profile's law and what was measured of the chip: errors at a read-back, and how far
/// they move from there to the use. Modelled, for forecasts before a pulse is spent.
public struct CellForecast: Sendable {
  public let profile: ChipProfile
  /// Half width of the verify window.
  public var tolerance: Siemens
  /// Measured error of earlier writes of this chip ÷ what the profile's law says of them; 1 where nothing was measured.
  public var scale: Double
  /// Epochs of writing again, what they wait for, and what they leave alone.
  public var retries: Int
  public var retryWait: Duration
  public var retryTolerance: Siemens

  public init(
    _ profile: ChipProfile, tolerance: Siemens, scale: Double = 1, retries: Int = 0,
    retryWait: Duration = .seconds(60), retryTolerance: Siemens = .zero
  ) {
    self.profile = profile
    self.tolerance = tolerance
    self.scale = scale
    self.retries = retries
    self.retryWait = retryWait
    self.retryTolerance = retryTolerance
  }

  /// One cell's draws: what it was made with, and the conductance at the read-back, siemens.
  struct Cell {
    var target: Double
    var walk: Double
    var stationary: Double
    var read: Double
  }

  /// Cells at a read-back `age` after their write; a target of 0 stands for a cell that does not conduct.
  ///
  /// - Parameter noisePower: stationary noise over what is usual, where it is known.
  func cells(
    _ targets: [Float], noisePower: [Double?], age: Duration, _ stream: inout PhiloxStream
  ) -> [Cell] {
    zip(targets, noisePower).map { target, power in
      let target = Double(target)
      guard target > 0 else { return Cell(target: 0, walk: 0, stationary: 0, read: 0) }
      let at = Siemens(target)
      func verify() -> Double { tolerance.rawValue * (2 * stream.uniform() - 1) }
      guard let law = profile.relaxation.components else {
        let sigma = scale * profile.relaxation.sigma(after: age, at: at).rawValue
        var error = verify() + sigma * stream.normal()
        for _ in 0..<retries where abs(error) > retryTolerance.rawValue { error = verify() + sigma * stream.normal() }
        return Cell(target: target, walk: 0, stationary: 0, read: target + error)
      }
      // Log-normal with mean 1: a cell keeps its stationary part, every write draws another walk.
      let (s, b) = (law.stationarySpread, law.accumulatingSpread)
      let drawn = exp(s * stream.normal() - s * s / 2)
      let stationary = law.value(law.stationary, at: at) * (power ?? drawn)
      func drawWalk() -> Double { law.value(law.accumulating, at: at) * exp(b * stream.normal() - b * b / 2) }
      func decades(_ time: Duration) -> Double { log10(1 + time.seconds / law.onset.seconds) }
      func drift(_ walk: Double, _ time: Duration) -> Double {
        scale * ((stationary + walk) * decades(time) + law.value(law.fast, at: at)).squareRoot() * stream.normal()
      }
      var walk = drawWalk()
      var error = 0.0
      var since = Duration.zero
      if retries > 0 {
        error = verify() + drift(walk, retryWait)
        since = retryWait
        for _ in 0..<retries where abs(error) > retryTolerance.rawValue {
          walk = drawWalk()
          error = verify() + drift(walk, retryWait)
        }
        // From there to the read-back.
        let more = max(0, decades(age) - decades(since))
        error += scale * ((stationary + walk) * more).squareRoot() * stream.normal()
      } else {
        error = verify() + drift(walk, age)
      }
      return Cell(target: target, walk: walk, stationary: stationary, read: target + error)
    }
  }

  /// Conductances of the same cells when they are used, `delay` after a read-back at `age`, siemens.
  func use(_ cells: [Cell], age: Duration, delay: Duration, _ stream: inout PhiloxStream) -> [Float] {
    cells.map { cell in
      guard cell.target > 0 else { return 0 }
      let at = Siemens(cell.target)
      var variance = 0.0
      if let law = profile.relaxation.components {
        let onset = law.onset.seconds
        variance =
          cell.stationary * log10(1 + delay.seconds / onset)
          + cell.walk * log10((onset + age.seconds + delay.seconds) / (onset + age.seconds))
          + law.value(law.fast, at: at)
      } else {
        let before = profile.relaxation.sigma(after: age, at: at).rawValue
        let after = profile.relaxation.sigma(after: age + delay, at: at).rawValue
        // 1/f noise of density k²/f: two reads of the reference time T differ by 2·k²·ln(1 + delay/T).
        let flicker = profile.readNoise.flicker.rawValue * max(0, log10(at.microsiemens))
        let decades = log(1 + delay.seconds / profile.readNoise.correlationTimes.lowerBound.seconds)
        variance = max(0, after * after - before * before) + 2 * flicker * flicker * decades
      }
      return Float(max(0, cell.read + scale * variance.squareRoot() * stream.normal()))
    }
  }
}

extension ProgramRecord {
  /// Measured spread of the errors of this write ÷ what a profile's law says of its targets at that age; nil where no later read is kept.
  public func errorScale(_ profile: ChipProfile) -> Double? {
    let age: FollowUp
    switch (report.error.after600s?.std, report.error.after60s?.std, report.error.after1s?.std) {
    case (.some, _, _): age = .tenMinutes
    case (_, .some, _): age = .oneMinute
    case (_, _, .some): age = .oneSecond
    default: return nil
    }
    guard let measured = report.error[age]?.std else { return nil }
    let targets = plan.layers.flatMap(\.targets).filter { $0 > 0 }
    // Each cell of a pair that was written as such has half of the difference's error.
    let tolerance = Siemens.microsiemens(report.strategy == .pairAware ? report.tolerance / 2 : report.tolerance)
    let expected = targets.reduce(0.0) { sum, target in
      let sigma = profile.relaxation.sigma(after: age.age, at: Siemens(Double(target))).rawValue
      return sum + sigma * sigma + tolerance.rawValue * tolerance.rawValue / 3
    }
    guard expected > 0, !targets.isEmpty else { return nil }
    return measured * 1e-6 / (expected / Double(targets.count)).squareRoot()
  }
}
