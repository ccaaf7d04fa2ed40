internal import RRAMBoard
internal import RRAMProfiles
internal import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// Reads every cell at the board's low read voltage before any pulse: shorts and leaks show, and what has been formed already.
public struct ContactTest: PlanStep {
  public static let name = "contact"
  public static let title = "Contact, shorts and opens"
  public static let needsFormedCells = false
  public static let wears = false
  static let settings: [Setting<Self>] = [
    .whole("averages", \.averages, in: 1...256, "conversions averaged per cell")
  ]

  /// Conversions averaged per cell.
  public var averages = 4

  public init() {}

  public func cost(at site: Site) -> Cost {
    .rounds(1, cells: site.block.cellCount, averages: averages, pulsed: false, at: site)
  }

  public func check(at site: Site) throws {
    try site.board.check.check(
      ReadCells(cells: CellSelection(block: site.block), bias: site.board.defaultReadBias(averages: averages)))
  }

  public func measure(at site: Site) async throws -> Measurement {
    let values = try await site.read(CellSelection(block: site.block), averages: averages, as: Self.name)
    var measurement = Measurement()
    measurement.add(values, shape: [site.block.shape.rows, site.block.shape.columns], as: "conductance_S")
    measurement.add([site.formedAbove.rawValue, site.stuckAbove.rawValue], as: "threshold_S")
    return measurement
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    let values = try measurement.values("conductance_S").map { $0 * 1e6 }
    let thresholds = try measurement.values("threshold_S").map { $0 * 1e6 }
    var findings = Findings()
    let conducting = values.count { $0 >= thresholds[0] && $0 < thresholds[1] }
    findings.estimates = [
      proportion("cells that conduct as formed ones do", conducting, of: values.count),
      proportion(
        "cells that conduct more than any target (short, stuck high)", values.count { $0 >= thresholds[1] },
        of: values.count),
      Bootstrap.estimate(
        "conductance of the others, median", of: values.filter { $0 < thresholds[0] }, unit: "µS", median),
    ]
    findings.pictures = [
      .map("Conductance before the first pulse (µS)", try measurement.rows("conductance_S").map { $0.map { $0 * 1e6 } })
    ]
    findings.remarks = [
      "Formed: at least \(text(thresholds[0])) µS, the geometric mean of a pristine cell and the lowest formed one; "
        + "stuck high: at least \(text(thresholds[1])) µS."
    ]
    return findings
  }
}
