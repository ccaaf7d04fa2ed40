import Glibc
import RRAMProfiles
import RRAMUnits

extension ProfileCheck {
  private static var dataSet: String {
    "akashlevy/RRAM-Relaxation-Master-Model (techC, MIT); cells with all time points"
  }

  /// σ(ΔG) and, at the last time, mean of about 16 000 cells of the same technology, µS.
  private static let wider: [(range: String, sigma: [Double], mean: Double)] = [
    ("0–5 µS", [0.74, 1.54, 2.21], 0.48), ("5–10 µS", [1.02, 2.30, 3.41], -0.38),
    ("10–20 µS", [1.07, 2.31, 4.01], -1.66), ("20–30 µS", [0.92, 2.09, 3.78], -2.05),
    ("30–40 µS", [0.78, 1.69, 3.29], -2.11),
  ]

  /// Changes of cells that were written uniformly over a bin at time 0, one list a time.
  static func changes(
    _ crossbar: Crossbar, range: ClosedRange<Double>, times: [Double], seed: UInt64
  ) throws(PhysicsError) -> [[Double]] {
    var crossbar = crossbar
    var stream = PhiloxStream(seed: seed, stream: (0x4249_4E00, 0, 0))
    let levels = (0..<crossbar.cellCount).map { _ in
      Siemens.microsiemens(max(0.05, range.lowerBound + stream.uniform() * (range.upperBound - range.lowerBound)))
    }
    crossbar.place(levels, at: 0)
    let block = CellBlock(macro: 0, shape: crossbar.shape)
    var result: [[Double]] = []
    for time in times {
      let now = try crossbar.conductances(of: block, at: time)
      result.append(zip(now, levels).map { ($0 - $1).microsiemens })
    }
    return result
  }

  /// The law of two components against the open data: σ, correlations between times, widths of the tails, mean.
  mutating func checkRelaxation() throws(PhysicsError) {
    let times = PublishedRelaxation.times
    let names = ["10 ms", "1 s", "3.44 s", "1e5 s"]
    var curves: [Figure.Series] = []
    for (index, bin) in PublishedRelaxation.bins.enumerated() {
      let sound = crossbar(cells, withoutDefects, stream: 10 + UInt64(index))
      let n = sound.cellCount
      let label = Self.wider[index].range
      let changes = try Self.changes(sound, range: bin.range, times: times, seed: seed &+ UInt64(index))
      let moments = changes.map { Moments($0) }
      for (time, name) in names.enumerated() {
        // The data's own σ is known to some 5 % (heavy tails, n = \(bin.cells)), the law's fit to 8–17 %.
        add(
          "relaxation", "σ of the change, \(label), \(name)", "µS", published: bin.sigma(time),
          model: moments[time].sigma, bound: 0.2 * bin.sigma(time), n: n, fitted: true, source: Self.dataSet)
      }
      for (time, name) in names.enumerated() {
        add(
          "relaxation", "mean change, \(label), \(name)", "µS", published: bin.mean[time], model: moments[time].mean,
          bound: 0.12 * bin.sigma(3), n: n, fitted: true, source: Self.dataSet)
      }
      for (a, b) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
        var sum = 0.0
        for (x, y) in zip(changes[a], changes[b]) { sum += (x - moments[a].mean) * (y - moments[b].mean) }
        let correlation = sum / Double(n - 1) / (moments[a].sigma * moments[b].sigma)
        add(
          "relaxation", "correlation of the changes, \(label), \(names[a]) and \(names[b])", "1",
          published: bin.correlation(a, b), model: correlation, bound: 0.2, n: n, fitted: true, source: Self.dataSet)
      }
      for (time, name) in names.enumerated() {
        let sorted = changes[time].sorted()
        func published(_ level: Int) -> Double { bin.quantiles[level * times.count + time] }
        let levels = PublishedRelaxation.quantileLevels
        for (low, high, text) in [(2, 4, "68 %"), (1, 5, "95 %")] {
          let width = published(high) - published(low)
          add(
            "relaxation", "width of the central \(text), \(label), \(name)", "µS", published: width,
            model: quantile(sorted, levels[high]) - quantile(sorted, levels[low]),
            // At 10 ms most real cells are quieter than the model's: the width is held to σ only.
            bound: time == 0 ? 0.75 * bin.sigma(0) : 0.3 * width, n: n, fitted: true, source: Self.dataSet)
        }
      }
      for (time, sigma) in zip([0, 1, 3], Self.wider[index].sigma) {
        add(
          "relaxation", "σ of the change, all cells, \(label), \(names[time])", "µS", published: sigma,
          model: moments[time].sigma, bound: 0.3 * sigma, n: n, fitted: false,
          source: "the same technology, about 16 000 cells, those without all time points included")
      }
      add(
        "relaxation", "mean change, all cells, \(label), 1e5 s", "µS", published: Self.wider[index].mean,
        model: moments[3].mean, bound: 0.5, n: n, fitted: false,
        source: "the same technology, about 16 000 cells, those without all time points included")
      curves.append(
        .init(name: "\(label), published", isPublished: true, points: times.indices.map { (times[$0], bin.sigma($0)) }))
      let line = [0.001, 0.01, 0.1, 1, 10, 100, 1e3, 1e4, 1e5]
      let model = try Self.changes(sound, range: bin.range, times: line, seed: seed &+ UInt64(index))
      curves.append(
        .init(
          name: "\(label), model", isPublished: false,
          points: zip(line, model).map { ($0, Moments($1).sigma) }))
    }
    add(
      Figure(
        title: "σ of the change since the write", xLabel: "time (s)", yLabel: "σ (µS)", isLogarithmic: true,
        series: curves))
    try checkNarrowing(level: 20, tolerance: 2, count: 4096)
    try checkIncrementalPulses()
  }

  /// The published fit of `cmo-hfox`: mean −0.089·ln t, σ = 0.042·ln t + 0.412 µS; read noise 1/f.
  mutating func checkPublishedFit() throws(PhysicsError) {
    let fit = "arXiv 2502.04524"
    let tenYears = 10 * 365.25 * 86_400
    var points: [(x: Double, y: Double)] = []
    let sound = crossbar(cells, withoutDefects, stream: 10)
    let n = sound.cellCount
    let ages: [(Double, String, Double, Double)] = [
      (3600, "1 h", -0.73, 0.76), (tenYears, "10 years", -1.74, 1.23),
    ]
    let changes = try Self.changes(sound, range: 10...90, times: [1, 60] + ages.map(\.0), seed: seed)
    for (index, (_, name, mean, sigma)) in ages.enumerated() {
      let moments = Moments(changes[index + 2])
      add(
        "relaxation", "mean change, 10–90 µS, \(name)", "µS", published: mean, model: moments.mean,
        bound: 0.03 + 4 * sigma / Double(n).squareRoot(), n: n, fitted: true, source: fit)
      add(
        "relaxation", "σ of the change, 10–90 µS, \(name)", "µS", published: sigma, model: moments.sigma,
        bound: 0.02 + 4 * sigma / Double(2 * n).squareRoot(), n: n, fitted: true, source: fit)
    }
    for (time, change) in zip([1, 60] + ages.map(\.0), changes) { points.append((time, Moments(change).sigma)) }
    add(
      Figure(
        title: "σ of the change since the write, 10–90 µS", xLabel: "time (s)", yLabel: "σ (µS)", isLogarithmic: true,
        series: [
          .init(name: "model", isPublished: false, points: points),
          .init(
            name: "published fit", isPublished: true,
            points: [1, 60, 3600, 1e5, 1e7, tenYears].map { ($0, 0.042 * log($0) + 0.412) }),
        ]))

    // σ of a series of reads: A·√ln((t + t_r)/2t_r), here 600 reads of 1 s at 50 µS: t_r = 1 s.
    let count = 512
    var quiet = crossbar(count, withoutDefects, stream: 11)
    quiet.place([Siemens](repeating: .microsiemens(50), count: quiet.cellCount), at: 0)
    let list = Array(0..<quiet.cellCount)
    var sums = [Double](repeating: 0, count: quiet.cellCount)
    var squares = sums
    let reads = 600
    for read in 0..<reads {
      let values = try quiet.read(list, integration: .seconds(1), at: 1e8 + Double(read))
      for (cell, value) in values.enumerated() {
        sums[cell] += value.microsiemens
        squares[cell] += value.microsiemens * value.microsiemens
      }
    }
    let variance = zip(sums, squares).reduce(0.0) { total, pair in
      total + (pair.1 - pair.0 * pair.0 / Double(reads)) / Double(reads - 1)
    }
    let amplitude = 0.0277 * log10(50)
    let expected = amplitude * log(Double(reads + 1) / 2).squareRoot()
    add(
      "read noise", "σ of 600 reads of 1 s, 50 µS", "µS", published: expected,
      model: (variance / Double(quiet.cellCount)).squareRoot(), bound: 0.12 * expected, n: quiet.cellCount,
      fitted: false, source: "\(fit): A·√ln((t + t_r)/2t_r)")
    try checkNarrowing(level: 50, tolerance: 1, count: 4096)
  }

  /// Cells found further than `tolerance` off an hour later are written again, the others left alone; twice.
  private mutating func checkNarrowing(level: Double, tolerance: Double, count: Int) throws(PhysicsError) {
    var cells = crossbar(count, withoutDefects, stream: 12)
    let target = Siemens.microsiemens(level)
    let block = CellBlock(macro: 0, shape: cells.shape)
    cells.place([Siemens](repeating: target, count: cells.cellCount), at: 0)
    var now = 0.0
    var spreads: [Double] = []
    for _ in 0..<3 {
      now += 3600
      let found = try cells.conductances(of: block, at: now)
      spreads.append(Moments(found.map(\.microsiemens)).sigma)
      cells.place(
        found.map { ($0 - target).magnitude > .microsiemens(tolerance) ? target : nil }, at: now)
    }
    for (pass, name) in [(1, "second"), (2, "third")] {
      add(
        "relaxation", "σ an hour after the \(name) pass ÷ after the first, ±\(tolerance) µS", "1", published: 1,
        model: spreads[pass] / spreads[0], bound: nil, n: cells.cellCount, fitted: false,
        source: "published arrays narrow with every pass")
    }
  }
}

extension Crossbar {
  /// Puts cells at conductances, row-major, as if a write had just ended there; `nil` leaves a cell alone.
  ///
  /// For statistics of what follows a write; pulses are not counted.
  mutating func place(_ conductances: [Siemens?], at time: Double) {
    precondition(conductances.count == cellCount, "\(conductances.count) conductances for \(cellCount) cells")
    let now = cellTime(time)
    let cells = conductances.indices.filter { conductances[$0] != nil }
    for cell in cells where formed[cell] == 0 {
      formed[cell] = 1
      self.time[cell] = now - 1e15
      writeTime[cell] = now
    }
    age(cells, to: now)
    let weights = fullWeights
    for cell in cells {
      guard let conductance = conductances[cell] else { continue }
      settle(cell, at: conductance.microsiemens, now, weights)
    }
    revision &+= 1
  }
}
