internal import Foundation
internal import RRAMBoard
internal import RRAMMapping
internal import RRAMProfiles
internal import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// Writes levels over the window by the board's write-verify: pulses a cell, success, error against the target.
public struct LevelProgramming: PlanStep {
  public static let name = "programming"
  public static let title = "Multi-level programming"
  static let settings: [Setting<Self>] = [
    .whole("cells", \.cells, in: 4...65536, "cells that are written"),
    .whole("levels", \.levels, in: 2...64, "levels, even over the window"),
    .whole("laterReads", \.laterReads, in: 1...4096, "reads averaged after the write"),
  ]

  public var cells = 512
  public var levels = 8
  /// Reads averaged after the write: what was accepted flatters itself.
  public var laterReads = 64

  public init() {}

  public func cost(at site: Site) -> Cost {
    .writing(cells, at: site) + .rounds(1, cells: cells, averages: laterReads, pulsed: false, at: site)
  }

  public func check(at site: Site) throws {
    let chosen = try site.cells(cells)
    try site.board.check.check(site.writing(chosen, site.levels(levels, for: chosen)))
  }

  public func measure(at site: Site) async throws -> Measurement {
    let chosen = try site.cells(cells)
    let targets = site.levels(levels, for: chosen)
    let (report, cutOff) = try await site.write(chosen, targets, as: Self.name)
    let later = try await site.read(chosen, averages: laterReads, as: "later")
    var measurement = Measurement()
    measurement.add(chosen.indices.map { site.block.address(at: $0) })
    measurement.add(targets, as: "target_S")
    measurement.add(report.conductance, as: "verify_S")
    measurement.add(later, as: "later_S")
    measurement.add(report.pulses.map { Int($0) }, as: "pulses")
    measurement.add(report.reads.map { Int($0) }, as: "reads")
    measurement.add(report.reasons.map { $0 == .converged ? 1 : 0 }, as: "accepted")
    measurement.add(chosen.indices.indices.map { cutOff.contains($0) ? 1 : 0 }, as: "cut_off")
    measurement.add([site.profile.programming.tolerance.rawValue], as: "tolerance_S")
    measurement.add([laterReads], as: "later_reads")
    return measurement
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    func microsiemens(_ name: String) throws -> [Double]? { try measurement.optionalValues(name)?.map { $0 * 1e6 } }
    let targets = try measurement.values("target_S").map { $0 * 1e6 }
    let (verify, later) = (try microsiemens("verify_S"), try microsiemens("later_S"))
    let accepted = try measurement.optionalValues("accepted")?.map { $0 == 1 }
    let tolerance = try microsiemens("tolerance_S")?.first
    let laterReads = try measurement.optionalValues("later_reads")?.first
    // Of a cell that was under way when the run was cut off, neither is known.
    let cutOff = try measurement.optionalValues("cut_off")?.map { $0 == 1 }
    let counted = targets.indices.filter { cutOff?[$0] != true }
    let allPulses = try measurement.optionalValues("pulses")
    let pulses = allPulses.map { all in counted.map { all[$0] } } ?? []
    let good = targets.indices.filter { accepted?[$0] ?? true }
    let errors = later.map { later in good.map { later[$0] - targets[$0] } }
    var findings = Findings()
    if let accepted {
      findings.estimates.append(
        proportion(
          "accepted" + (tolerance.map { " within ±\(text($0)) µS" } ?? ""), key: "accepted", accepted.count { $0 },
          of: targets.count))
    } else {
      findings.remarks.append("Which cells were accepted is not on record: all count.")
    }
    if let tolerance, let errors {
      findings.estimates.append(
        proportion(
          "of these still within, " + (laterReads.map { "mean of \(Int($0)) later reads" } ?? "later read"),
          key: "of these still within, later", errors.count { abs($0) <= tolerance }, of: errors.count))
    }
    if let verify {
      findings.estimates.append(
        Bootstrap.estimate("error when accepted, σ", of: good.map { verify[$0] - targets[$0] }, unit: "µS", deviation))
    }
    if let errors {
      findings.estimates += [
        Bootstrap.estimate("error later, mean", of: errors, unit: "µS", mean),
        Bootstrap.estimate("error later, σ", of: errors, unit: "µS", deviation),
      ]
    }
    if !pulses.isEmpty {
      findings.estimates += [
        Bootstrap.estimate("pulses a cell, mean", of: pulses, unit: "1", mean),
        Bootstrap.estimate("pulses a cell, median", of: pulses, unit: "1", median),
        Bootstrap.estimate("pulses a cell, 95 % quantile", of: pulses, unit: "1") { quantile($0, 0.95) },
      ]
    }
    if let reads = try measurement.optionalValues("reads"), !counted.isEmpty {
      findings.estimates.append(
        Bootstrap.estimate("reads a cell, mean", of: counted.map { reads[$0] }, unit: "1", mean))
    }
    // What the cells held at last: a later read where there is one.
    guard let held = later ?? verify else {
      throw CharacterizationError(.malformedRecord, "a measurement has neither 'verify_S' nor 'later_S'")
    }
    let moment = later == nil ? "when accepted" : "later"
    let groups = TargetGroup.groups(of: targets)
    findings.tables = [
      .init(
        title: "By level",
        rows: [["target (µS)", "cells", "accepted", "pulses, median", "error \(moment): mean (µS)", "σ (µS)"]]
          + groups.map { group in
            let written = group.cells.filter { accepted?[$0] ?? true }
            let errors = written.map { held[$0] - targets[$0] }
            let pulses = allPulses.map { all in group.cells.filter { cutOff?[$0] != true }.map { all[$0] } } ?? []
            return [
              group.label, "\(group.cells.count)", accepted == nil ? "–" : "\(written.count)",
              pulses.isEmpty ? "–" : text(median(pulses)), text(mean(errors)), text(deviation(errors)),
            ]
          })
    ]
    let failed = targets.indices.filter { accepted?[$0] == false }
    if !failed.isEmpty {
      let (rows, columns) = (try measurement.values("row"), try measurement.values("column"))
      findings.remarks.append(
        "Not accepted: "
          + failed.prefix(20).map {
            "row \(Int(rows[$0])) column \(Int(columns[$0])) at \(text(held[$0])) µS for \(text(targets[$0])) µS"
          }.joined(separator: "; ") + (failed.count > 20 ? "; and \(failed.count - 20) more." : "."))
    }
    if counted.count < targets.count {
      findings.remarks.append(
        "\(targets.count - counted.count) cells were under way when the run was cut off: their pulses and reads are not known and not counted."
      )
    }
    if let age = try measurement.optionalValues("later_age_s")?.first {
      findings.remarks.append("'Later' is the read \(text(age)) s after the write.")
    }
    // A later read says more than the one that ended the write; in a comparison it stands alone.
    let moments = [
      ("later", Findings.Picture.colour(0), 0.3, later), ("when accepted", Findings.Picture.colour(3), 0.2, verify),
    ]
    .compactMap { name, colour, size, values in
      values.map { values in
        Findings.Picture.Curve(
          title: name, rows: good.map { [targets[$0], values[$0] - targets[$0]] }, style: "points pt 7 ps \(size)",
          colour: colour, isBackground: name != moment)
      }
    }
    findings.pictures = [
      .plot(
        "Error of accepted cells against their target",
        axes: "set xlabel 'target (µS)'\nset ylabel 'error (µS)'", moments, key: "top left"),
      .distributions(
        "Conductance by level, cumulative",
        groups.map { group in ("\(group.label) µS", group.cells.map { held[$0] }) }, x: "conductance \(moment) (µS)"),
    ]
    if !pulses.isEmpty {
      findings.pictures.append(
        .distributions("Pulses a cell, cumulative", [("all cells", pulses)], x: "pulses", logarithmic: true))
    }
    return findings
  }
}

/// Cells of which the same was asked, or nearly so.
struct TargetGroup {
  /// The level, or the ends of a range of them: `12.5` or `10 to 15`, in the unit of the targets.
  var label: String
  /// Places in the list of targets.
  var cells: [Int]

  /// A group a level, as plans have them; weights, which are all different, come in at most ten ranges of even width.
  ///
  /// Four cells are what a group needs for figures of its own: ranges are taken where no level has them, and then as many as may.
  static func groups(of targets: [Double]) -> [TargetGroup] {
    let places = Dictionary(grouping: targets.indices) { targets[$0] }
    let levels = places.keys.sorted()
    let ranges = min(8, targets.count / 4)
    guard levels.count > 64 || places.values.allSatisfy({ $0.count < 4 }), ranges > 1, let low = levels.first,
      let high = levels.last
    else {
      return levels.map { TargetGroup(label: text($0), cells: places[$0] ?? []) }
    }
    let rough = (high - low) / Double(ranges)
    let decade = pow(10, log10(rough).rounded(.down))
    let width = decade * ([1, 2, 5].first { $0 * decade >= rough } ?? 10)
    return Dictionary(grouping: targets.indices) { (targets[$0] / width).rounded(.down) }.sorted { $0.key < $1.key }
      .map { TargetGroup(label: "\(text($0.key * width)) to \(text(($0.key + 1) * width))", cells: $0.value) }
  }
}

extension Site {
  /// One of `count` levels a cell, even over the window that limits permit, so that neighbours differ.
  func levels(_ count: Int, for cells: CellSelection) -> [Float] {
    let window = board.limits.conductance
    return (0..<cells.count).map { cell in
      let share = Double((cell + cell / count * 3) % count) / Double(count - 1)
      let value = Float((window.lowerBound + share * (window.upperBound - window.lowerBound)).rawValue)
      return min(max(value, Float(window.lowerBound.rawValue)), Float(window.upperBound.rawValue))
    }
  }

  func writing(_ cells: CellSelection, _ targets: [Float]) -> WriteVerify {
    let options = ProgramOptions(profile)
    return WriteVerify(
      cells: cells, targets: targets, tolerance: options.tolerance, set: options.method.set,
      reset: options.method.reset, verify: board.defaultReadBias(averages: options.method.averages),
      maximumPulses: options.method.maximumPulses, maximumReversals: options.method.maximumReversals, credit: 0)
  }

  func write(
    _ cells: CellSelection, _ targets: [Float], partSize: Int = Site.cellsUnderWay, as event: String
  ) async throws -> (report: CellReport, cutOff: Set<Int>) {
    let targetOf = Dictionary(uniqueKeysWithValues: zip(cells.indices, targets))
    return try await report(event, cells, partSize: partSize) { part, progress in
      try await board.writeVerify(writing(part, part.indices.compactMap { targetOf[$0] }), progress: progress)
    }
  }

  /// What takes every cell far from its target: the deepest RESET below targets in the upper half of the permitted window, the strongest
  /// SET above those in the lower half, of which the lowest lie within the tolerance of a RESET cell.
  private func leaving(
    _ cells: CellSelection, _ targets: [Float]
  ) -> [(cells: CellSelection, kind: PulseKind, amplitude: Volts)] {
    let window = board.limits.conductance
    let middle = Float((window.lowerBound + (window.upperBound - window.lowerBound) / 2).rawValue)
    var (low, high) = (CellMask(cellCount: block.cellCount), CellMask(cellCount: block.cellCount))
    for (index, target) in zip(cells.indices, targets) {
      if target < middle { low[index] = true } else { high[index] = true }
    }
    let (set, reset) = (profile.programming.set.stop, profile.programming.reset.stop)
    return [
      (cells: CellSelection(block: block, mask: low), kind: .set, amplitude: set),
      (cells: CellSelection(block: block, mask: high), kind: .reset, amplitude: reset),
    ].filter { $0.cells.count > 0 }
  }

  /// Refuses what limits do not permit of ``writeAnew(_:_:as:)``.
  func checkWritingAnew(_ cells: CellSelection, _ targets: [Float]) throws {
    for pulse in leaving(cells, targets) {
      try board.check.check(request(pulse.cells, pulse.kind, amplitude: pulse.amplitude))
    }
    try board.check.check(writing(cells, targets))
  }

  /// Writes all cells at once, each from far off its target: a cell that already lies there would take no pulse, and what it goes on to
  /// lose would be that of an old write, or of a RESET.
  func writeAnew(_ cells: CellSelection, _ targets: [Float], as event: String) async throws -> CellReport {
    for away in leaving(cells, targets) { try await pulse(away.cells, away.kind, amplitude: away.amplitude) }
    return try await write(cells, targets, partSize: cells.count, as: event).report
  }
}

extension Cost {
  /// A write of so many cells; 20 pulses a cell are usual, the profile's maximum is what one cell may get.
  static func writing(_ cells: Int, at site: Site) -> Cost {
    let usual = 20
    return Cost(
      pulses: usual * cells, pulsesPerCell: site.profile.programming.maximumPulses, reads: (usual + 1) * cells,
      chipSeconds: Double(usual * cells) * (site.pulseSeconds + site.readSeconds))
  }

  /// The same after a pulse away from the target.
  static func writingAnew(_ cells: Int, at site: Site) -> Cost {
    var cost = writing(cells, at: site)
    cost.pulses += cells
    cost.pulsesPerCell += 1
    cost.chipSeconds += Double(cells) * site.pulseSeconds
    return cost
  }
}
