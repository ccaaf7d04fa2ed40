internal import Foundation
internal import RRAMBoard
internal import RRAMFiles
internal import RRAMMapping
internal import RRAMProfiles
internal import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// Relaxation at several temperatures: levels are written cold, then the chip is brought to each temperature and read on a logarithmic
/// schedule.
///
/// Every temperature has cells of its own: what a cell loses depends on how often it was written before, and would pass for an effect of
/// the temperature.
public struct Retention: PlanStep {
  public static let name = "retention"
  public static let title = "Retention"
  static let settings: [Setting<Self>] = [
    .whole("cells", \.cells, in: 16...65536, "cells that are written, shared out among the temperatures"),
    .whole("levels", \.levels, in: 2...64, "levels, even over the window"),
    .quantities(
      "temperatures", .celsius, "rising; cells are written at the first", get: { $0.temperatures },
      set: { $0.temperatures = $1 }),
    .quantity(
      "from", .time, "age of the first read", get: { $0.from }, set: { $0.from = $1 }),
    .quantity("until", .time, "age of the last read", get: { $0.until }, set: { $0.until = $1 }),
    .whole("perDecade", \.perDecade, in: 1...100, "reads a decade of time"),
  ]

  /// Shared out among the temperatures.
  public var cells = 768
  public var levels = 4
  /// °C; the first one is that at which cells are written.
  public var temperatures = [25.0, 65, 105]
  public var from = 1.0
  public var until = 1000.0
  public var perDecade = 2

  public init() {}

  func require(_ section: ProfileSection) throws(ProfileError) {
    try section.require(
      temperatures.count >= 2 && zip(temperatures, temperatures.dropFirst()).allSatisfy { $0 < $1 }
        && temperatures.allSatisfy { (-60...200).contains($0) },
      "temperatures", "are not at least two rising temperatures from -60 to 200 °C")
    try section.require(
      cells >= 8 * temperatures.count, "cells",
      "\(cells) are fewer than 8 for each of \(temperatures.count) temperatures")

    try section.require(from > 0, "from", "\(from) s is not greater than 0")
    try section.require(until > from && until <= 1e9, "until", "\(until) s is not between 'from' (\(from) s) and 1e9 s")
  }

  private var ages: [Double] {
    let count = max(1, Int((log10(until / from) * Double(perDecade)).rounded()))
    return (0...count).map { from * pow(until / from, Double($0) / Double(count)) }
  }

  public func obstacle(at site: Site) -> String? {
    site.surroundings.bring == nil
      ? "nothing brings this chip to other temperatures (name a command that does: --oven-command)" : nil
  }

  public func cost(at site: Site) -> Cost {
    var cost = Cost()
    let share = cells / temperatures.count
    for _ in temperatures {
      cost =
        cost + .writingAnew(share, at: site) + .rounds(ages.count, cells: share, averages: 4, pulsed: false, at: site)
      cost.chipSeconds += until
    }
    cost.pulsesPerCell = Cost.writingAnew(share, at: site).pulsesPerCell
    return cost
  }

  /// Cells of one temperature each, equally many and all over the macro.
  private func groups(_ chosen: CellSelection, at site: Site) -> [CellSelection] {
    let indices = Array(chosen.indices.prefix(chosen.count / temperatures.count * temperatures.count))
    return temperatures.indices.map { place in
      site.selection(stride(from: place, to: indices.count, by: temperatures.count).map { indices[$0] })
    }
  }

  public func check(at site: Site) throws {
    let chosen = try site.cells(cells)
    guard chosen.count >= 8 * temperatures.count else {
      throw CharacterizationError(
        .place,
        "macro \(site.block.macro): \(chosen.count) cells can be used, and \(temperatures.count) temperatures take 8 each"
      )
    }
    try site.checkWritingAnew(chosen, site.levels(levels, for: chosen))
  }

  public func measure(at site: Site) async throws -> Measurement {
    let groups = groups(try site.cells(cells), at: site)
    let targets = site.levels(levels, for: groups[0])
    var (times, values, verify, accepted, found): ([Double], [Float], [Float], [Int], [Double]) = ([], [], [], [], [])
    for ((place, celsius), group) in zip(temperatures.enumerated(), groups) {
      _ = try await site.temperature(temperatures[0])
      let report = try await site.writeAnew(group, targets, as: Self.name)
      verify += report.conductance
      accepted += report.reasons.map { $0 == .converged ? 1 : 0 }
      found.append(try await site.temperature(celsius) ?? celsius)
      let end = try await site.time()
      for age in ages {
        try await site.wait(until: end + age)
        let read = try await site.timedRead(group, averages: 4, as: "retained")
        values += read.values
        times.append(read.time - end)
        site.progress(times.count, temperatures.count * ages.count)
      }
      if place + 1 == temperatures.count { _ = try await site.temperature(temperatures[0]) }
    }
    let count = ages.count
    var measurement = Measurement()
    // Rows and columns go through the temperatures' cells one after the other, as the arrays below do.
    measurement.add(groups.flatMap { $0.indices.map { site.block.address(at: $0) } })
    measurement.add(targets, as: "target_S")
    measurement.add(found, as: "temperature_C")
    measurement.add(times, shape: [temperatures.count, count], as: "age_s")
    measurement.add(verify, shape: [temperatures.count, targets.count], as: "verify_S")
    measurement.add(accepted, shape: [temperatures.count, targets.count], as: "accepted")
    measurement.add(values, shape: [temperatures.count, count, targets.count], as: "conductance_S")
    return measurement
  }

  /// Changes of the cells that were accepted and could be read every time: by temperature, age and cell, µS.
  private static func changes(_ measurement: Measurement) throws -> (
    changes: [[[Double]]], ages: [[Double]], celsius: [Double]
  ) {
    let shape = try measurement.array("conductance_S").shape
    let values = try measurement.values("conductance_S").map { $0 * 1e6 }
    let verify = try measurement.rows("verify_S").map { $0.map { $0 * 1e6 } }
    let accepted = try measurement.rows("accepted")
    let changes = (0..<shape[0]).map { temperature in
      let good = (0..<shape[2]).filter { cell in
        accepted[temperature][cell] == 1 && verify[temperature][cell].isFinite
          && (0..<shape[1]).allSatisfy { values[(temperature * shape[1] + $0) * shape[2] + cell].isFinite }
      }
      return (0..<shape[1]).map { age in
        good.map { values[(temperature * shape[1] + age) * shape[2] + $0] - verify[temperature][$0] }
      }
    }
    return (changes, try measurement.rows("age_s"), try measurement.values("temperature_C"))
  }

  /// The activation energy, nil where it cannot be told; and not from a record with the same cells at every temperature, as older versions
  /// wrote: what those lost went with how often they had been written.
  static func activationEnergy(_ measurement: Measurement) throws -> Estimate? {
    guard try hasOwnCells(measurement) else { return nil }
    let (changes, ages, celsius) = try changes(measurement)
    return Arrhenius.estimate(changes, ages: ages, celsius: celsius)
  }

  private static func hasOwnCells(_ measurement: Measurement) throws -> Bool {
    try measurement.values("row").count == measurement.values("verify_S").count
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    let (changes, ages, celsius) = try changes(measurement)
    let cells = changes.map { $0.first?.count ?? 0 }
    var findings = Findings()
    guard let least = cells.min(), least >= Arrhenius.leastCells else {
      findings.remarks = ["Of a temperature's cells only \(cells.min() ?? 0) were accepted: too few to say more."]
      return findings
    }
    let medians = changes.map { $0.map { cells in median(cells.map { abs($0) }) } }
    findings.tables = [
      .init(
        title: "Change since the accepted read",
        rows: [["temperature (°C)", "time (s)", "mean (µS)", "σ (µS)", "median |ΔG| (µS)"]]
          + celsius.indices.flatMap { place in
            ages[place].indices.map { age in
              [
                text(celsius[place]), text(ages[place][age]), text(mean(changes[place][age])),
                text(deviation(changes[place][age])), text(medians[place][age]),
              ]
            }
          })
    ]
    let hasOwnCells = try hasOwnCells(measurement)
    findings.remarks = [
      (hasOwnCells ? "Every temperature has cells of its own" : "The same cells were written for every temperature")
        + " (\(cells.map { "\($0)" }.joined(separator: ", ")) that were accepted), all written at \(text(celsius[0])) °C."
    ]
    let energy = try activationEnergy(measurement)
    if let energy {
      findings.estimates = [energy]
      if energy.high == Arrhenius.range.upperBound || energy.low == Arrhenius.range.lowerBound {
        findings.remarks.append(
          "An end of the interval is where the search ends (\(text(Arrhenius.range.lowerBound)) to \(text(Arrhenius.range.upperBound)) eV): these data set no bound there; more cells do."
        )
      }
      findings.remarks.append(
        "Activation energy: the one that lays the mean |ΔG| of all temperatures on one curve of time at \(text(celsius[0])) °C."
      )
    } else {
      findings.remarks.append(
        !hasOwnCells
          ? "No activation energy: what cells lose that are written again goes with how often they were; an older version wrote this record."
          : celsius.count < Arrhenius.leastTemperatures
            ? "An activation energy takes \(Arrhenius.leastTemperatures) temperatures; these are \(celsius.count)."
            : "No activation energy of \(text(Arrhenius.range.lowerBound)) to \(text(Arrhenius.range.upperBound)) eV lays the temperatures on one curve."
      )
    }
    findings.pictures = [
      .plot(
        "Median change by temperature",
        axes: "set logscale x\nset xlabel 'time since the write (s)'\nset ylabel 'median |ΔG| (µS)'\nset yrange [0:*]",
        celsius.indices.map { place in
          .init(
            title: "\(text(celsius[place])) °C",
            rows: ages[place].indices.map { [ages[place][$0], medians[place][$0]] },
            style: "linespoints pt 7 ps 0.6", colour: Findings.Picture.colour(place))
        }, key: "outside right")
    ]
    if let value = energy?.value {
      let shifts = Arrhenius.shifts(celsius, energy: value)
      findings.pictures.append(
        .plot(
          "The temperatures on one curve, by the activation energy",
          axes:
            "set logscale x\nset format x '10^{%L}'\nset xlabel 'time at \(text(celsius[0])) °C that does the same (s)'\nset ylabel 'mean |ΔG| (µS)'\nset yrange [0:*]",
          celsius.indices.map { place in
            .init(
              title: "\(text(celsius[place])) °C",
              rows: ages[place].indices.map {
                [ages[place][$0] * pow(10, shifts[place]), mean(changes[place][$0].map { abs($0) })]
              }, style: "points pt 7 ps 0.8", colour: Findings.Picture.colour(place))
          }, key: "outside right"))
    }
    return findings
  }
}
