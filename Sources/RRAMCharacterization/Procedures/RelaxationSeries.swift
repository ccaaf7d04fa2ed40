internal import Foundation
internal import RRAMBoard
internal import RRAMMapping
internal import RRAMProfiles
internal import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// Writes levels, then reads the cells at times even on a logarithmic scale: mean shift and spread by conductance and time.
public struct RelaxationSeries: PlanStep {
  public static let name = "relaxation"
  public static let title = "Relaxation"
  static let settings: [Setting<Self>] = [
    .whole("cells", \.cells, in: 8...65536, "cells that are written"),
    .whole("levels", \.levels, in: 2...64, "levels, even over the window"),
    .quantity(
      "from", .time, "age of the first read", get: { $0.from }, set: { $0.from = $1 }),
    .quantity("until", .time, "age of the last read", get: { $0.until }, set: { $0.until = $1 }),
    .whole("perDecade", \.perDecade, in: 1...100, "reads a decade of time"),
  ]

  public var cells = 512
  public var levels = 5
  /// Ages of the first and the last read, seconds.
  public var from = 1.0
  public var until = 100.0
  public var perDecade = 4

  public init() {}

  func require(_ section: ProfileSection) throws(ProfileError) {
    try section.require(from > 0, "from", "\(from) s is not greater than 0")
    try section.require(until > from && until <= 1e9, "until", "\(until) s is not between 'from' (\(from) s) and 1e9 s")
  }

  private var ages: [Double] {
    let count = Int((log10(until / from) * Double(perDecade)).rounded())
    return (0...max(1, count)).map { from * pow(until / from, Double($0) / Double(max(1, count))) }
  }

  public func cost(at site: Site) -> Cost {
    var cost =
      Cost.writingAnew(cells, at: site) + .rounds(ages.count, cells: cells, averages: 4, pulsed: false, at: site)
    cost.chipSeconds += until
    return cost
  }

  public func check(at site: Site) throws {
    let chosen = try site.cells(cells)
    try site.checkWritingAnew(chosen, site.levels(levels, for: chosen))
  }

  public func measure(at site: Site) async throws -> Measurement {
    let chosen = try site.cells(cells)
    let targets = site.levels(levels, for: chosen)
    let report = try await site.writeAnew(chosen, targets, as: Self.name)
    let end = try await site.time()
    var (times, values): ([Double], [Float]) = ([], [])
    for age in ages {
      try await site.wait(until: end + age)
      let read = try await site.timedRead(chosen, averages: 4, as: "relaxed")
      values += read.values
      times.append(read.time - end)
      site.progress(times.count, ages.count)
    }
    var measurement = Measurement()
    measurement.add(chosen.indices.map { site.block.address(at: $0) })
    measurement.add(targets, as: "target_S")
    measurement.add(report.conductance, as: "verify_S")
    measurement.add(report.reasons.map { $0 == .converged ? 1 : 0 }, as: "accepted")
    measurement.add(times, as: "age_s")
    measurement.add(values, shape: [times.count, chosen.count], as: "conductance_S")
    return measurement
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    let targets = try measurement.values("target_S").map { $0 * 1e6 }
    let accepted = try measurement.optionalValues("accepted")?.map { $0 == 1 }
    let verify = try measurement.values("verify_S").map { $0 * 1e6 }
    let ages = try measurement.values("age_s")
    let values = try measurement.rows("conductance_S").map { $0.map { $0 * 1e6 } }
    let decades = ages.map { log10($0) }
    var findings = Findings()
    // A line an age: there are more of them than of levels.
    var table = [["age (s)"]] + ages.map { [text($0)] }
    var shown: [(label: String, rows: [[Double]])] = []
    for group in TargetGroup.groups(of: targets) {
      let cells = group.cells.filter { accepted?[$0] ?? true }
      guard cells.count > 3 else { continue }
      let changes = cells.map { cell in values.map { $0[cell] - verify[cell] } }
      func means(_ pieces: [Int]) -> [Double] { ages.indices.map { age in mean(pieces.map { changes[$0][age] }) } }
      func spreads(_ pieces: [Int]) -> [Double] {
        ages.indices.map { age in deviation(pieces.map { changes[$0][age] }) }
      }
      let all = Array(cells.indices)
      let (shift, sigma) = (means(all), spreads(all))
      table[0].append("\(group.label) µS, \(cells.count) cells")
      for age in ages.indices {
        table[age + 1].append("\(text(shift[age], digits: 2)), \(text(sigma[age], digits: 2))")
      }
      let last = ages.count - 1
      let intervals = ages.indices.map { age in
        Bootstrap.interval(cells.count) { deviation($0.map { changes[$0][age] }) }
      }
      findings.estimates += [
        Estimate(
          "\(group.label) µS: σ of the change after \(text(ages[last])) s", sigma[last], intervals[last], unit: "µS",
          n: cells.count,
          method: Bootstrap.method),
        Estimate(
          "\(group.label) µS: mean shift a decade", line(decades, shift).slope,
          Bootstrap.interval(cells.count) { line(decades, means($0)).slope }, unit: "µS", n: cells.count,
          method: Bootstrap.method),
        Estimate(
          "\(group.label) µS: variance of the change a decade", line(decades, sigma.map { $0 * $0 }).slope,
          Bootstrap.interval(cells.count) { line(decades, spreads($0).map { $0 * $0 }).slope }, unit: "µS²",
          n: cells.count,
          method: Bootstrap.method),
      ]
      shown.append(
        (
          group.label,
          ages.indices.map {
            [ages[$0], shift[$0], sigma[$0], intervals[$0]?.lowerBound ?? .nan, intervals[$0]?.upperBound ?? .nan]
          }
        ))
    }
    let reference =
      try measurement.optionalValues("verify_age_s")?.first.map { "the first read, \(text($0)) s after the write" }
      ?? "the read that accepted them"
    findings.tables = [.init(title: "Change since \(reference), by target: mean, σ (µS)", rows: table)]
    findings.remarks = [
      (accepted == nil
        ? "Which cells were accepted is not on record: all count. The" : "Only accepted cells count; the")
        + " change is that against \(reference), whose noise is in it. Mean and variance are fitted by straight lines in log10 of time."
    ]
    guard !shown.isEmpty else { return findings }
    func curves(_ using: String, _ style: String) -> [Findings.Picture.Curve] {
      shown.enumerated().map { place, level in
        .init(
          title: "\(level.label) µS", rows: level.rows, using: using, style: style,
          colour: Findings.Picture.colour(place))
      }
    }
    let axis = "set logscale x\nset xlabel 'time since the write (s)'\n"
    findings.pictures = [
      .plot(
        "Spread of the change, with 95 % intervals", axes: axis + "set ylabel 'σ of ΔG (µS)'\nset yrange [0:*]",
        curves("1:3:4:5", "yerrorlines pt 7 ps 0.5"), key: "outside right"),
      .plot(
        "Mean shift", axes: axis + "set ylabel 'mean ΔG (µS)'", curves("1:2", "linespoints pt 7 ps 0.5"),
        key: "outside right"),
    ]
    return findings
  }
}
