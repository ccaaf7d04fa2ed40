internal import Foundation
internal import RRAMFiles
internal import RRAMPhysics
internal import RRAMProfiles
internal import RRAMUnits

/// SET and RESET ramps of many cells over several cycles, measured or simulated, and the law of pulses fitted to them.
struct SwitchingRamps {
  /// Amplitudes, V.
  let setVolts: [Double]
  let resetVolts: [Double]
  let cells: Int
  let cycles: Int
  /// After every pulse, µS: by cycle, then by amplitude, then by cell.
  private let set: [Double]
  private let reset: [Double]
  /// σ of one read, µS.
  private let noise: Double
  /// Between a pulse and the next, s.
  private let pause: Double
  /// Of simulated cells: their own SET and RESET voltages, V.
  let drawn: (set: [Double], reset: [Double])

  /// What step `switching` measured.
  init(_ measurement: Measurement) throws {
    let shape = try measurement.array("set_curve_S").shape
    (cycles, cells) = (shape[0], shape[2])
    (setVolts, resetVolts) = (try measurement.values("set_V"), try measurement.values("reset_V"))
    set = try measurement.values("set_curve_S").map { $0 * 1e6 }
    reset = try measurement.values("reset_curve_S").map { $0 * 1e6 }
    let (high, again) = (try measurement.values("lrs_S"), try measurement.values("lrs_again_S"))
    // σ of a normal distribution with this median of |difference of two reads|: tails are telegraph cells.
    noise = max(0.02, median(zip(high, again).map { abs($0 - $1) * 1e6 }) / (0.6745 * 2.0.squareRoot()))
    let pulses = cycles * (setVolts.count + resetVolts.count)
    pause = try measurement.value("step_chip_s") / Double(pulses)
    drawn = ([], [])
  }

  /// Ramps on a simulated chip of `profile`, without defects.
  ///
  /// - Parameters:
  ///   - noise: σ of one read that is to be reckoned with, µS.
  ///   - pause: between a pulse and the next, s.
  /// - Throws: `PhysicsError` where the profile's limits do not permit the ramps.
  init(
    of profile: ChipProfile, set setVolts: [Double], reset resetVolts: [Double], noise: Double, pause: Double,
    cells: Int,
    cycles: Int, seed: UInt64
  ) throws {
    (self.setVolts, self.resetVolts) = (setVolts, resetVolts)
    (self.cells, self.cycles, self.noise, self.pause) = (cells, cycles, noise, pause)
    var profile = profile
    profile.cells.stuckLowFraction = 0
    profile.cells.stuckHighFraction = 0
    profile.cells.unformableFraction = 0
    profile.cells.leakyFraction = 0
    var chip = Crossbar(profile: profile, shape: MacroShape(rows: 1, columns: cells), macro: 0, seed: seed)
    let all = Array(0..<cells)
    drawn = (
      all.map { chip.switchingVoltage(of: $0, .set).rawValue },
      all.map { chip.switchingVoltage(of: $0, .reset).rawValue }
    )
    let programming = profile.programming
    func pulse(_ kind: Pulse.Kind, _ bias: ChipProfile.Programming.Bias, _ volts: Double) -> Pulse {
      Pulse(kind: kind, wordLine: bias.wordLine, amplitude: Volts(volts), width: bias.width)
    }
    var time = 0.0
    try chip.pulse(
      all, pulse(.forming, programming.forming, programming.forming.stop.rawValue), at: time)
    let integration = Duration.microseconds(1)
    var (set, reset): ([Double], [Double]) = ([], [])
    for _ in 0..<cycles {
      for (kind, bias, volts) in [
        (Pulse.Kind.reset, programming.reset, resetVolts), (.set, programming.set, setVolts),
      ] {
        for volt in volts {
          time += pause / 2
          try chip.pulse(all, pulse(kind, bias, volt), at: time)
          time += pause / 2
          let read = try chip.read(all, integration: integration, at: time).map(\.microsiemens)
          if kind == .set { set += read } else { reset += read }
        }
      }
    }
    (self.set, self.reset) = (set, reset)
  }

  /// Most pulses of a device that the law is fitted to: more narrow nothing that matters, and cost time.
  private static let pulsesPerDevice = 100

  /// The lowest amplitude at which one pulse in 50 moves a cell far enough to be seen: the many below it tell next to nothing.
  private static func threshold(_ devices: [[PulseLaw.Point]]) -> Double {
    var counts: [Double: (seen: Int, all: Int)] = [:]
    for point in devices.joined() {
      let before = counts[point.volts] ?? (0, 0)
      counts[point.volts] = (before.seen + (point.kind == .below ? 0 : 1), before.all + 1)
    }
    return counts.filter { $0.value.seen * 50 >= $0.value.all }.keys.min() ?? 0
  }

  /// Pulses of every cell that tell something of the law, from an amplitude on, and the cycles after which every cell has as many as count.
  private func points(ofSet isSet: Bool, from lowest: Double = 0) -> (devices: [[PulseLaw.Point]], cycles: Int) {
    let volts = isSet ? setVolts : resetVolts
    func last(_ curves: [Double], _ count: Int, _ cycle: Int, _ cell: Int) -> Double {
      curves[(cycle * count + count - 1) * cells + cell]
    }
    var used = 0
    let devices = (0..<cells).map { cell in
      var found: [PulseLaw.Point] = []
      // The first RESET starts where nobody knows.
      for cycle in (isSet ? 0 : 1)..<cycles where found.count < Self.pulsesPerDevice {
        used = max(used, cycle + 1)
        let low = last(reset, resetVolts.count, cycle, cell)
        let curves = isSet ? set : reset
        found += PulseLaw.points(
          start: isSet ? low : last(set, setVolts.count, cycle - 1, cell),
          curve: volts.indices.map { curves[(cycle * volts.count + $0) * cells + cell] },
          end: isSet ? last(set, setVolts.count, cycle, cell) : low, volts: volts, noise: noise
        ).filter { $0.volts >= lowest }
      }
      return Array(found.prefix(Self.pulsesPerDevice))
    }
    return (devices, used)
  }

  /// The laws of both kinds of ramp, and the numbers of a profile that they give.
  private struct Laws {
    var set: PulseLaw
    var reset: PulseLaw

    init?(_ points: (set: [[PulseLaw.Point]], reset: [[PulseLaw.Point]]), near start: Laws? = nil) {
      guard let set = PulseLaw(points.set, near: start?.set), let reset = PulseLaw(points.reset, near: start?.reset)
      else { return nil }
      self.set = set
      self.reset = reset
    }

    func laws(of pieces: [Int]) -> Laws {
      var part = self
      (part.set, part.reset) = (set.law(of: pieces), reset.law(of: pieces))
      return part
    }

    /// SET and RESET voltage, V; V a decade, σ of ln x, and σ between devices in V, which a profile has once for both kinds: from SET, which
    /// ends at a state that is known better.
    var numbers: [Double] {
      [set.voltage, reset.voltage, set.voltsPerDecade, set.cycleSpread, set.deviceSpread]
    }
  }

  /// Simulated cells for each that was measured.
  private static let simulated = 4

  /// Fits SET and RESET voltage (V), V a decade, spread of ln x from pulse to pulse and of the voltages from device to device (V), with the
  /// half widths of their 95 % intervals; nil where a law cannot be told.
  ///
  /// End points of ramps are not those of single pulses, and cells are noisy: what the regression makes of that is found on simulated chips,
  /// whose numbers are moved until the regression gives there what it gives here (indirect inference: Gouriéroux, Monfort and Renault, J. Appl.
  /// Econometrics 8, S85, 1993).
  ///
  /// - Parameter profile: what is simulated but for these five numbers: its spreads of end points and its noise are taken for the chip's.
  func fit(base profile: ChipProfile) throws -> [(value: Double, half: Double)]? {
    let lowest = (
      set: Self.threshold(points(ofSet: true).devices), reset: Self.threshold(points(ofSet: false).devices)
    )
    let (set, reset) = (points(ofSet: true, from: lowest.set), points(ofSet: false, from: lowest.reset))
    let points = (set: set.devices, reset: reset.devices)
    guard let laws = Laws(points) else { return nil }
    let here = laws.numbers
    let halves = Jackknife.estimate(cells) { pieces in
      Laws((pieces.map { points.set[$0] }, pieces.map { points.reset[$0] }), near: laws.laws(of: pieces))?.numbers
        ?? here.map { _ in .nan }
    }.map(\.half)
    var found = here
    let count = min(1024, Self.simulated * cells)
    var simulated: Laws?
    for _ in 0..<2 {
      var chip = profile
      chip.programming.setVoltage = Volts(found[0])
      chip.programming.resetVoltage = Volts(found[1])
      chip.programming.voltsPerDecade = Volts(found[2])
      chip.programming.cycleSpread = found[3]
      chip.programming.deviceSpread = Volts(found[4])
      // The seed is of no die: the same ramps give the same fit.
      let ramps = try SwitchingRamps(
        of: chip, set: setVolts, reset: resetVolts, noise: noise, pause: pause, cells: count,
        cycles: max(set.cycles, reset.cycles), seed: 0x5254_5749)
      simulated = Laws(
        (
          ramps.points(ofSet: true, from: lowest.set).devices, ramps.points(ofSet: false, from: lowest.reset).devices
        ), near: simulated)
      guard let there = simulated?.numbers, there.allSatisfy({ $0 > 0 }) else { return nil }
      // Of the simulated cells' own voltages mean and spread are known as they were drawn.
      let made = [mean(ramps.drawn.set), mean(ramps.drawn.reset), found[2], found[3], deviation(ramps.drawn.set)]
      for place in found.indices {
        if place < 2 {
          found[place] = here[place] - (there[place] - made[place])
        } else {
          found[place] = here[place] * made[place] / there[place]
        }
      }
    }
    // The pulses of the simulated cells are a sample as well.
    let widening = (1 + Double(cells) / Double(count)).squareRoot()
    return found.indices.map { place in
      (
        found[place],
        halves[place] * ([2, 3].contains(place) ? widening : 1) * (here[place] > 0 ? found[place] / here[place] : 1)
      )
    }
  }
}
