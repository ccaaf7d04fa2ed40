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
  static let settings = ["cells", "levels", "laterReads"]

  public var cells = 512
  public var levels = 8
  /// Reads averaged after the write: what was accepted flatters itself.
  public var laterReads = 64

  public init() {}

  init(_ section: ProfileSection) throws(ProfileError) {
    cells = try section.whole("cells", in: 4...65536, default: cells)
    levels = try section.whole("levels", in: 2...64, default: levels)
    laterReads = try section.whole("laterReads", in: 1...4096, default: laterReads)
  }

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
    let targets = try measurement.values("target_S").map { $0 * 1e6 }
    let verify = try measurement.values("verify_S").map { $0 * 1e6 }
    let later = try measurement.values("later_S").map { $0 * 1e6 }
    let accepted = try measurement.values("accepted").map { $0 == 1 }
    // Of a cell that was under way when the run was cut off, neither is known.
    let cutOff = try measurement.values("cut_off").map { $0 == 1 }
    let counted = targets.indices.filter { !cutOff[$0] }
    let allPulses = try measurement.values("pulses")
    let allReads = try measurement.values("reads")
    let pulses = counted.map { allPulses[$0] }
    let tolerance = try measurement.value("tolerance_S") * 1e6
    let good = targets.indices.filter { accepted[$0] }
    let errors = good.map { later[$0] - targets[$0] }
    var findings = Findings()
    findings.estimates = [
      proportion("accepted within ±\(text(tolerance)) µS", good.count, of: targets.count),
      proportion(
        "of these still within, mean of \(Int(try measurement.value("later_reads"))) later reads",
        errors.count { abs($0) <= tolerance }, of: errors.count),
      Bootstrap.estimate("error when accepted, σ", of: good.map { verify[$0] - targets[$0] }, unit: "µS", deviation),
      Bootstrap.estimate("error later, mean", of: errors, unit: "µS", mean),
      Bootstrap.estimate("error later, σ", of: errors, unit: "µS", deviation),
    ]
    if !counted.isEmpty {
      findings.estimates += [
        Bootstrap.estimate("pulses a cell, mean", of: pulses, unit: "1", mean),
        Bootstrap.estimate("pulses a cell, median", of: pulses, unit: "1", median),
        Bootstrap.estimate("pulses a cell, 95 % quantile", of: pulses, unit: "1") { quantile($0, 0.95) },
        Bootstrap.estimate("reads a cell, mean", of: counted.map { allReads[$0] }, unit: "1", mean),
      ]
    }
    let levels = Array(Set(targets)).sorted()
    findings.tables = [
      .init(
        title: "By level",
        rows: [["target (µS)", "cells", "accepted", "pulses, median", "error later: mean (µS)", "σ (µS)"]]
          + levels.map { level in
            let all = targets.indices.filter { targets[$0] == level }
            let errors = all.filter { accepted[$0] }.map { later[$0] - level }
            let pulses = all.filter { !cutOff[$0] }.map { allPulses[$0] }
            return [
              text(level), "\(all.count)", "\(errors.count)", pulses.isEmpty ? "" : text(median(pulses)),
              text(mean(errors)),
              text(deviation(errors)),
            ]
          })
    ]
    let failed = targets.indices.filter { !accepted[$0] }
    if !failed.isEmpty {
      let (rows, columns) = (try measurement.values("row"), try measurement.values("column"))
      findings.remarks = [
        "Not accepted: "
          + failed.prefix(20).map {
            "row \(Int(rows[$0])) column \(Int(columns[$0])) at \(text(later[$0])) µS for \(text(targets[$0])) µS"
          }.joined(separator: "; ") + (failed.count > 20 ? "; and \(failed.count - 20) more." : ".")
      ]
    }
    if counted.count < targets.count {
      findings.remarks.append(
        "\(targets.count - counted.count) cells were under way when the run was cut off: their pulses and reads are not known and not counted."
      )
    }
    findings.pictures = [
      .init(
        title: "Error of accepted cells against their target",
        script: """
          set xlabel 'target (µS)'
          set ylabel 'error (µS)'
          set key top left
          plot $later with points pt 7 ps 0.3 lc rgb '#21518c' title 'later', \
            $verify with points pt 7 ps 0.2 lc rgb '#e08030' title 'when accepted'
          """,
        tables: [
          .init("later", rows: good.map { [targets[$0], later[$0] - targets[$0]] }),
          .init("verify", rows: good.map { [targets[$0], verify[$0] - targets[$0]] }),
        ]),
      .distributions(
        "Conductance by level, cumulative",
        levels.map { level in ("\(text(level)) µS", targets.indices.filter { targets[$0] == level }.map { later[$0] })
        },
        x: "conductance later (µS)"),
      .distributions("Pulses a cell, cumulative", [("all cells", pulses)], x: "pulses", logarithmic: true),
    ]
    return findings
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

  /// The deepest RESET of the profile.
  private func erasing(_ cells: CellSelection) -> Pulse {
    request(cells, .reset, amplitude: profile.programming.reset.stop)
  }

  /// Refuses what limits do not permit of ``writeAnew(_:_:as:)``.
  func checkWritingAnew(_ cells: CellSelection, _ targets: [Float]) throws {
    try board.check.check(erasing(cells))
    try board.check.check(writing(cells, targets))
  }

  /// Writes all cells at once, each after a RESET: a cell that still lies at its target would take no pulse, and what it goes on to lose
  /// would be that of an old write.
  func writeAnew(_ cells: CellSelection, _ targets: [Float], as event: String) async throws -> CellReport {
    try await pulse(cells, .reset, amplitude: profile.programming.reset.stop)
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

  /// The same after a RESET.
  static func writingAnew(_ cells: Int, at site: Site) -> Cost {
    var cost = writing(cells, at: site)
    cost.pulses += cells
    cost.pulsesPerCell += 1
    cost.chipSeconds += Double(cells) * site.pulseSeconds
    return cost
  }
}
