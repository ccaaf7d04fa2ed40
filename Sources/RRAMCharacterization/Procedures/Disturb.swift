internal import Foundation
internal import RRAMBoard
internal import RRAMMapping
internal import RRAMProfiles
internal import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// What pulses of one cell do to its neighbours in the row, and what many reads do to a cell.
///
/// Every other row has an aggressor that is pulsed; the rows between wait as long without pulses. The difference of the two is the
/// disturb: relaxation, which both have, drops out.
public struct Disturb: PlanStep {
  public static let name = "disturb"
  public static let title = "Disturb"
  static let settings: [Setting<Self>] = [
    .whole("rows", \.rows, in: 1...512, "rows with an aggressor; as many again wait beside them"),
    .whole("pulses", \.pulses, in: 1...10_000_000, "SET pulses of an aggressor"),
    .whole("reads", \.reads, in: 0...10_000_000, "reads of every cell at the largest voltage that reads may have"),
    .whole("perDecade", \.perDecade, in: 1...20, "looks at the cells a decade of pulses or reads"),
  ]

  /// With an aggressor; as many again wait beside them.
  public var rows = 8
  /// SET pulses of an aggressor.
  public var pulses = 1000
  /// Reads of every cell at the largest voltage that reads may have.
  public var reads = 10_000
  public var perDecade = 2

  public init() {}

  private func schedule(_ total: Int) -> [Int] {
    let decades = log10(Double(max(1, total)))
    let steps = max(1, Int((decades * Double(perDecade)).rounded()))
    return Set((0...steps).map { Int(pow(10, decades * Double($0) / Double(steps)).rounded()) }).sorted()
  }

  public func cost(at site: Site) -> Cost {
    let cells = 2 * rows * site.block.shape.columns
    return .writing(cells, at: site)
      + Cost(
        pulses: pulses * rows, pulsesPerCell: pulses, reads: cells * (schedule(pulses).count + 1),
        chipSeconds: Double(pulses * rows) * site.pulseSeconds)
      + Cost(
        reads: cells * (schedule(reads).count + 1) + cells * reads,
        chipSeconds: Double(cells) * Double(reads) * site.readSeconds)
  }

  /// Cells of 2·rows rows that can be used, and in every other row the one that is pulsed.
  private func cells(at site: Site) throws -> (victims: [Int], waiting: [Int], aggressors: [Int]) {
    let shape = site.block.shape
    let usable = (0..<shape.rows).map { row in
      (0..<shape.columns).map { row * shape.columns + $0 }.filter {
        !site.excluded.contains(site.block.address(at: $0))
      }
    }.filter { $0.count >= 2 }
    guard usable.count >= 2 * rows else {
      throw CharacterizationError(
        .place,
        "disturb on \(rows) rows needs \(2 * rows) rows with usable cells, macro \(site.block.macro) has \(usable.count)"
      )
    }
    // Every other one of rows that are spread over the macro.
    let chosen = (0..<2 * rows).map { usable[$0 * usable.count / (2 * rows)] }
    let struck = stride(from: 0, to: chosen.count, by: 2).map { chosen[$0] }
    let aggressors = struck.map { $0[$0.count / 2] }
    return (
      struck.flatMap { $0 }.filter { !Set(aggressors).contains($0) },
      stride(from: 1, to: chosen.count, by: 2).flatMap { chosen[$0] }, aggressors
    )
  }

  public func check(at site: Site) throws {
    let (victims, waiting, aggressors) = try cells(at: site)
    let written = site.selection(victims + waiting)
    try site.board.check.check(site.writing(written, site.levels(4, for: written)))
    try site.board.check.check(
      site.request(site.selection(aggressors), .set, amplitude: site.profile.programming.set.stop))
  }

  public func measure(at site: Site) async throws -> Measurement {
    let (victims, waiting, aggressors) = try cells(at: site)
    let chosen = site.selection(victims + waiting)
    let isVictim = Set(victims)
    let report = try await site.write(chosen, site.levels(4, for: chosen), partSize: chosen.count, as: Self.name).report
    let aggressor = site.selection(aggressors)
    let amplitude = site.profile.programming.set.stop
    var measurement = Measurement()
    measurement.add(chosen.indices.map { site.block.address(at: $0) })
    measurement.add(chosen.indices.map { isVictim.contains($0) ? 1 : 0 }, as: "struck")
    measurement.add(report.reasons.map { $0 == .converged ? 1 : 0 }, as: "accepted")
    var values = try await site.read(chosen, averages: 16, as: "before")
    var (given, points) = (0, schedule(pulses))
    for point in points {
      while given < point {
        let count = min(point - given, site.board.limits.pulsesPerRequest)
        try await site.pulse(aggressor, .set, amplitude: amplitude, count: count)
        given += count
      }
      values += try await site.read(chosen, averages: 16, as: "struck")
      site.progress(given, pulses + reads)
    }
    measurement.add([0] + points, as: "pulses")
    measurement.add(values, shape: [points.count + 1, chosen.count], as: "pulsed_S")
    measurement.add([amplitude.rawValue], as: "amplitude_V")
    // Reads: the same cells, all of them; conversions of one read are the dose.
    points = reads > 0 ? schedule(reads) : []
    values = try await site.read(chosen, averages: 16, as: "before")
    let dose = ReadBias(
      wordLine: site.board.defaultReadBias().wordLine, bitLine: site.board.limits.read, averages: 1)
    given = 0
    for point in points {
      while given < point {
        var bias = dose
        bias.averages = min(point - given, 4096)
        _ = try await site.read(chosen, bias: bias, as: "dose")
        given += bias.averages
      }
      values += try await site.read(chosen, averages: 16, as: "read")
      site.progress(pulses + given, pulses + reads)
    }
    measurement.add([0] + points, as: "reads")
    measurement.add(values, shape: [points.count + 1, chosen.count], as: "read_S")
    measurement.add([site.board.limits.read.rawValue], as: "dose_V")
    return measurement
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    let accepted = try measurement.values("accepted")
    let struck = try measurement.values("struck")
    let pulses = try measurement.values("pulses")
    let rows = try measurement.rows("pulsed_S").map { $0.map { $0 * 1e6 } }
    let amplitude = try measurement.value("amplitude_V")
    let victims = struck.indices.filter { struck[$0] == 1 && accepted[$0] == 1 }
    let waiting = struck.indices.filter { struck[$0] == 0 && accepted[$0] == 1 }
    var findings = Findings()
    guard victims.count >= 4, waiting.count >= 4 else {
      findings.remarks = ["Too few cells were accepted to tell disturb from relaxation."]
      return findings
    }
    func change(_ point: Int, _ cell: Int) -> Double { rows[point][cell] - rows[0][cell] }
    /// Median change of the struck cells less that of the waiting ones.
    func disturb(_ point: Int, _ pieces: [Int]) -> Double {
      let cells = pieces.map { $0 < victims.count ? victims[$0] : waiting[$0 - victims.count] }
      return median(cells.filter { struck[$0] == 1 }.map { change(point, $0) })
        - median(cells.filter { struck[$0] == 0 }.map { change(point, $0) })
    }
    let count = victims.count + waiting.count
    let last = pulses.count - 1
    findings.estimates = [
      Estimate(
        "shift by \(Int(pulses[last])) SET pulses of \(text(amplitude)) V in the row, median less that of rows that waited",
        disturb(last, Array(0..<count)), Bootstrap.interval(count) { disturb(last, $0) }, unit: "µS", n: count,
        method: Bootstrap.method)
    ]
    let reads = try measurement.values("reads")
    let readRows = try measurement.rows("read_S").map { $0.map { $0 * 1e6 } }
    let good = victims + waiting
    if reads.count > 1 {
      findings.estimates.append(
        Bootstrap.estimate(
          "shift by \(Int(reads[reads.count - 1])) reads at \(text(try measurement.value("dose_V"))) V, median",
          of: good.map { readRows[reads.count - 1][$0] - readRows[0][$0] }, unit: "µS", median))
    }
    findings.remarks = [
      "\(victims.count) cells shared the row of a pulsed one, \(waiting.count) waited in other rows; what relaxation does to both drops out of the "
        + "difference. In the shift by reads it is included."
    ]
    func band(_ title: String, _ rows: [[Double]], _ place: Int) -> [Findings.Picture.Curve] {
      let colour = Findings.Picture.colour(place)
      return [
        .init(rows: rows, using: "1:2:4", style: "filledcurves", colour: colour, isBackground: true),
        .init(title: title, rows: rows, using: "1:3", style: "linespoints lw 2 pt 7 ps 0.5", colour: colour),
      ]
    }
    func axes(_ x: String) -> String {
      "set logscale x\nset xlabel '\(x)'\nset ylabel 'ΔG (µS)'\nset style fill transparent solid 0.25 noborder"
    }
    findings.pictures = [
      .plot(
        "Change against pulses of a cell in the row: 10 %, median and 90 %", axes: axes("pulses"),
        [("row pulsed", victims, 1), ("row waited", waiting, 0)].flatMap { title, cells, place in
          band(
            title,
            pulses.indices.dropFirst().map { point in
              let changes = cells.map { change(point, $0) }
              return [pulses[point], quantile(changes, 0.1), median(changes), quantile(changes, 0.9)]
            }, place)
        }, key: "top left")
    ]
    if reads.count > 1 {
      findings.pictures.append(
        .plot(
          "Change against reads: 10 %, median and 90 %", axes: axes("reads"),
          band(
            "",
            reads.indices.dropFirst().map { point in
              let changes = good.map { readRows[point][$0] - readRows[0][$0] }
              return [reads[point], quantile(changes, 0.1), median(changes), quantile(changes, 0.9)]
            }, 0)))
    }
    return findings
  }
}
