internal import Foundation
internal import RRAMBoard
internal import RRAMProfiles
internal import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// SET–RESET cycles across the window on several cells, both states read on a logarithmic schedule, until a cell's window has closed.
///
/// The board cycles by itself between the reads. A cell has failed when the ratio of its states is below `window` at two reads of the
/// schedule in a row; the first of the two counts. A cell that was last read near the chip's resistance ceiling gets no RESET: it is left
/// out of the request, and the record has the cycles that each cell has really had.
public struct Endurance: PlanStep {
  public static let name = "endurance"
  public static let title = "Endurance"
  static let settings: [Setting<Self>] = [
    .whole("cells", \.cells, in: 1...4096, "cells that are cycled"),
    .whole("cycles", \.cycles, in: 1...1_000_000_000, "SET and RESET cycles of each"),
    .whole("perDecade", \.perDecade, in: 1...20, "reads of both states a decade of cycles"),
    .plain("window", \.window, in: 1.01...1e6, "least ratio of a working cell's two conductances"),
  ]

  public var cells = 16
  public var cycles = 100_000
  public var perDecade = 4
  /// Least ratio of the two conductances of a cell that counts as working.
  public var window = 10.0

  public init() {}

  /// Cycles after which both states are read: 1, then even on a logarithmic scale, the last one included.
  var schedule: [Int] {
    let decades = log10(Double(cycles))
    let steps = max(1, Int((decades * Double(perDecade)).rounded(.up)))
    return Set((0...steps).map { Int(pow(10, decades * Double($0) / Double(steps)).rounded()) }).sorted()
  }

  public func obstacle(at site: Site) -> String? {
    site.board.info.capabilities.contains(.cycleCells) || cycles <= 1000
      ? nil : "the board cannot cycle cells by itself"
  }

  public func cost(at site: Site) -> Cost {
    Cost(
      pulses: 2 * cycles * cells, pulsesPerCell: 2 * cycles, reads: 2 * schedule.count * cells,
      chipSeconds: 2 * Double(cycles * cells) * site.pulseSeconds
        + Double(2 * schedule.count * cells) * site.readSeconds)
  }

  public func check(at site: Site) throws {
    try site.board.check.check(site.fullCycles(site.cells(cells), count: 1))
  }

  public func measure(at site: Site) async throws -> Measurement {
    let chosen = try site.cells(cells)
    let (set, reset) = (site.profile.programming.set.stop, site.profile.programming.reset.stop)
    let perRequest = max(1, site.board.limits.pulsesPerRequest / 2)
    let schedule = schedule
    var (done, high, low): (Int, [Float], [Float]) = (0, [], [])
    var cycled = [Int](repeating: 0, count: chosen.count)
    var cycledThen: [Int] = []
    func enter(_ count: Int, without leftOut: [Int]) {
      for place in cycled.indices { cycled[place] += count }
      for place in leftOut { cycled[place] -= count }
    }
    for point in schedule {
      // The last of the cycles is pulsed one by one, to read both of its states.
      while done < point - 1 {
        let count = min(perRequest, point - 1 - done)
        if site.board.info.capabilities.contains(.cycleCells) {
          enter(count, without: try await site.cycle(site.fullCycles(chosen, count: count)))
        } else {
          for _ in 0..<count {
            enter(1, without: try await site.pulse(chosen, .reset, amplitude: reset))
            try await site.pulse(chosen, .set, amplitude: set)
          }
        }
        done += count
        site.progress(done, cycles)
      }
      enter(1, without: try await site.pulse(chosen, .reset, amplitude: reset))
      high += try await site.read(chosen, averages: 4, after: -reset, as: "hrs")
      try await site.pulse(chosen, .set, amplitude: set)
      low += try await site.read(chosen, averages: 4, after: set, as: "lrs")
      done = point
      cycledThen += cycled
      site.progress(done, cycles)
    }
    var measurement = Measurement()
    measurement.add(chosen.indices.map { site.block.address(at: $0) })
    measurement.add(schedule, as: "cycles")
    measurement.add(high, shape: [schedule.count, chosen.count], as: "hrs_S")
    measurement.add(low, shape: [schedule.count, chosen.count], as: "lrs_S")
    measurement.add(cycledThen, shape: [schedule.count, chosen.count], as: "cycled")
    measurement.add([site.resetEnds], as: "left_out_above_Ohm")
    measurement.add([window], as: "window")
    measurement.add([reset.rawValue, set.rawValue], as: "amplitude_V")
    return measurement
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    let schedule = try measurement.values("cycles")
    let (high, low) = (try measurement.rows("hrs_S"), try measurement.rows("lrs_S"))
    let window = try measurement.value("window")
    let cells = high.first?.count ?? 0
    // A read of a deep state may be noise around 0: what is not above 0 is an open window.
    func works(_ point: Int, _ cell: Int) -> Bool {
      let (off, on) = (high[point][cell], low[point][cell])
      return on > 0 && (off <= 0 || on / off >= window)
    }
    let failures = (0..<cells).map { cell -> Int? in
      schedule.indices.first { point in
        !works(point, cell) && (point + 1 == schedule.count || !works(point + 1, cell))
      }
    }
    let failed = failures.compactMap { $0 }
    // Cycles that each cell has had at each read; records that do not say so count all.
    let cycled =
      try measurement.optionalValues("cycled") == nil
      ? schedule.map { [Double](repeating: $0, count: cells) } : measurement.rows("cycled")
    let short = (0..<cells).filter { (cycled.last?[$0] ?? 0) < (schedule.last ?? 0) }
    // A cell that had fewer cycles than the schedule and has not failed was not followed further.
    let survival = Survival(
      (0..<cells).map { cell in
        let point = failures[cell]
        return (time: cycled[point ?? schedule.count - 1][cell], failed: point != nil)
      })
    var findings = Findings()
    findings.estimates = [share(failed.count, failures, cycled, schedule, survival)]
    if let median = survival.median {
      findings.estimates.append(
        Estimate(
          "cycles to failure, median", log10(max(1, median)),
          survival.medianInterval.map { log10(max(1, $0.lowerBound))...log10(max(1, $0.upperBound)) }, unit: "log10",
          n: cells, method: "Kaplan–Meier, Brookmeyer–Crowley"))
    }
    for (name, rows, unit) in [("HRS", high, "kΩ"), ("LRS", low, "kΩ")] {
      for (place, moment) in [(0, "first"), (schedule.count - 1, "last")] {
        let values = rows[place].indices.filter { failures[$0].map { $0 > place } ?? true }.map {
          1e-3 / rows[place][$0]
        }
        findings.estimates.append(
          Bootstrap.estimate(
            "\(name) in cycle \(cycleText(schedule[place])) (\(moment) read), median of working cells",
            of: values.filter { $0 > 0 }, unit: unit, median))
      }
    }
    let kinds = failures.enumerated().compactMap { cell, point in point.map { (cell, $0) } }
    let shorted = kinds.count { cell, point in high[point][cell] > low[0][cell] / 3 }
    let amplitudes = try measurement.values("amplitude_V")
    findings.remarks = [
      "Cycles of RESET \(text(amplitudes[0])) V and SET \(text(amplitudes[1])) V; both states of \(cells) cells were read at \(schedule.count) "
        + "points of a logarithmic schedule. Failed: LRS/HRS conductances below \(text(window)) at two points in a row. "
        + (failed.isEmpty ? "None did." : "\(shorted) of \(failed.count) ended conducting, the others no longer SET.")
    ]
    if !short.isEmpty {
      let (row, column) = (try measurement.values("row"), try measurement.values("column"))
      findings.remarks.append(
        "Left out of cycles, because their last read lay above \(text(1e-3 * (try measurement.value("left_out_above_Ohm")))) kΩ, half of the chip's "
          + "resistance ceiling: "
          + listed(
            short.map {
              "(\(Int(row[$0])), \(Int(column[$0]))) had \(cycleText(cycled.last?[$0] ?? 0)) of \(cycleText(schedule.last ?? 0))"
            })
          + " Cycles to failure are those that a cell has had; one that has not failed counts for as long as it was cycled (Kaplan–Meier)."
      )
    }
    findings.tables = [
      .init(
        title: "Resistance against cycles",
        rows: [["cycles", "LRS, median (kΩ)", "HRS, median (kΩ)", "HRS, 1 % quantile (kΩ)", "cells failed"]]
          + schedule.indices.map { point in
            [
              cycleText(schedule[point]), text(median(low[point].map { 1e-3 / $0 })),
              text(median(high[point].map { 1e-3 / max($0, 1e-12) })),
              text(quantile(high[point].map { 1e-3 / max($0, 1e-12) }, 0.01)),
              "\(failures.count { $0.map { $0 <= point } ?? false })",
            ]
          })
    ]
    func curves(_ rows: [[Double]]) -> [[Double]] {
      (0..<min(cells, 64)).flatMap { cell in
        schedule.indices.map { [schedule[$0], 1e-3 / max(rows[$0][cell], 1e-12)] } + [[]]
      }
    }
    func middle(_ rows: [[Double]]) -> [[Double]] {
      schedule.indices.map { [schedule[$0], median(rows[$0].map { 1e-3 / max($0, 1e-12) })] }
    }
    findings.pictures = [
      .plot(
        "Resistance of both states against cycles: cells and medians",
        axes: """
          set logscale xy
          set xlabel 'cycles'
          set ylabel 'resistance (kΩ)'
          set format x '10^{%L}'
          """,
        [
          .init(rows: curves(high), style: "lines lw 0.4", colour: "#e6a3a8", isBackground: true),
          .init(rows: curves(low), style: "lines lw 0.4", colour: Findings.Picture.pale, isBackground: true),
          .init(
            title: "HRS", rows: middle(high), style: "linespoints lw 2 pt 7 ps 0.5", colour: Findings.Picture.colour(1)),
          .init(
            title: "LRS", rows: middle(low), style: "linespoints lw 2 pt 7 ps 0.5", colour: Findings.Picture.colour(0)),
        ], key: "outside right")
    ]
    if !failed.isEmpty {
      func stairs(_ share: KeyPath<Survival.Step, Double>) -> [[Double]] {
        // The axis is logarithmic: a cell that never got a cycle fails at its left end.
        let points = survival.steps.map { [max(1, $0.time), $0[keyPath: share]] }
        return [[max(1, points[0][0] / 10), 1]] + points + [[max(1, cycled.last?.max() ?? 1), points.last?[1] ?? 1]]
      }
      findings.pictures.append(
        .plot(
          "Share of cells that work against cycles, with 95 % intervals",
          axes: """
            set logscale x
            set xlabel 'cycles that a cell has had'
            set ylabel 'share of cells that work'
            set format x '10^{%L}'
            set yrange [0:1.02]
            """,
          [
            .init(rows: stairs(\.low), style: "steps lw 1", colour: Findings.Picture.pale, isBackground: true),
            .init(rows: stairs(\.high), style: "steps lw 1", colour: Findings.Picture.pale, isBackground: true),
            .init(title: "working", rows: stairs(\.alive), style: "steps lw 2", colour: Findings.Picture.colour(0)),
          ]))
    }
    return findings
  }

  /// Whole, or as a power of ten where it has more than five digits.
  private static func cycleText(_ count: Double) -> String { count < 1e5 ? "\(Int(count))" : text(count) }

  /// The share of cells that failed: of those that were followed to the end of the schedule, or by the survival where some were not.
  private static func share(
    _ failed: Int, _ failures: [Int?], _ cycled: [[Double]], _ schedule: [Double], _ survival: Survival
  ) -> Estimate {
    let last = schedule.last ?? 0
    let given = cycled.last ?? []
    let followed = zip(failures, given).count { $0 != nil || $1 >= last }
    let name = "cells that failed within \(cycleText(last)) cycles"
    guard followed < given.count, let step = survival.steps.last else { return proportion(name, failed, of: followed) }
    // Nothing is known of more cycles than any cell has had.
    let longest = max(step.time, zip(failures, given).filter { $0.0 == nil }.map(\.1).max() ?? step.time)
    return Estimate(
      "cells that failed within \(cycleText(min(last, longest))) cycles", 1 - step.alive, 1 - step.high...1 - step.low,
      unit: "1", n: survival.count, method: "Kaplan–Meier, Greenwood")
  }
}
