internal import RRAMBoard
public import RRAMMapping
internal import RRAMProfiles
internal import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// Forms the cells that are pristine: a ramp of pulses a cell, a read after each, until the cell conducts.
public struct Forming: PlanStep {
  public static let name = "forming"
  public static let title = "Forming"
  public static let needsFormedCells = false
  public static let wears = false
  static let settings: [Setting<Self>] = [
    .whole("cells", \.cells, in: 1...1_000_000, "at most so many cells, spread over the macro")
  ]

  /// At most so many cells, spread over the macro.
  public var cells = 1_000_000

  public init() {}

  private func request(_ cells: CellSelection, at site: Site) -> Form {
    let options = FormOptions(site.profile)
    return Form(
      cells: cells, ramp: options.ramp, read: site.board.defaultReadBias(), stopConductance: options.stopConductance,
      credit: 0)
  }

  public func cost(at site: Site) -> Cost {
    let ramp = FormOptions(site.profile).ramp
    let steps = Int(((ramp.stop - ramp.start) / ramp.step).rounded(.down)) + 1
    let count = min(cells, site.block.cellCount)
    // Cells are formed by the board: no round trip a pulse.
    return Cost(
      pulses: steps * count, pulsesPerCell: steps, reads: (steps + 1) * count,
      chipSeconds: Double(steps * count) * (site.pulseSeconds + site.readSeconds))
  }

  public func check(at site: Site) throws {
    try site.board.check.check(request(site.cells(cells), at: site))
  }

  /// What became of a cell; the numbers stand in the record.
  private enum Outcome: Int { case formed, formedBefore, notFormed, stuckHigh }

  public func measure(at site: Site) async throws -> Measurement {
    let chosen = try site.cells(cells)
    let before = try await site.readings(chosen)
    var mask = CellMask(cellCount: site.block.cellCount)
    var outcome = [Outcome](repeating: .formedBefore, count: chosen.count)
    var conductance = before.conductance
    for (place, index) in chosen.indices.enumerated() {
      if Double(before.conductance[place]) >= site.stuckAbove.rawValue {
        outcome[place] = .stuckHigh
      } else if !(!before.formed.isEmpty && before.formed[place])
        && Double(before.conductance[place]) < site.formedAbove.rawValue
      {
        mask[index] = true
      }
    }
    var voltage = [Double](repeating: .nan, count: chosen.count)
    var pulses = [Int](repeating: 0, count: chosen.count)
    // Of these the pulses since the run was cut off alone are known.
    var wasCutOff = pulses
    if mask.selectedCount > 0 {
      let cells = CellSelection(block: site.block, mask: mask)
      let (report, cutOff) = try await site.report(Self.name, cells) {
        try await site.board.form(request($0, at: site), permissions: .forming, progress: $1)
      }
      let places = Dictionary(uniqueKeysWithValues: chosen.indices.enumerated().map { ($1, $0) })
      for (part, index) in cells.indices.enumerated() {
        guard let place = places[index] else { continue }
        outcome[place] = report.reasons[part] == .converged ? .formed : .notFormed
        voltage[place] = Double(report.formingVoltage[part])
        pulses[place] = Int(report.pulses[part])
        wasCutOff[place] = cutOff.contains(part) ? 1 : 0
        conductance[place] = report.conductance[part]
      }
    }
    var measurement = Measurement()
    measurement.add(chosen.indices.map { site.block.address(at: $0) })
    measurement.add(voltage, as: "forming_V")
    measurement.add(conductance, as: "conductance_S")
    measurement.add(pulses, as: "pulses")
    measurement.add(wasCutOff, as: "cut_off")
    measurement.add(outcome.map(\.rawValue), as: "outcome")
    measurement.add([site.profile.programming.forming.step.rawValue], as: "step_V")
    return measurement
  }

  public static func unusable(_ measurement: Measurement, macro: Int) throws -> [CellFailure] {
    let (rows, columns) = (try measurement.values("row"), try measurement.values("column"))
    let reasons: [Outcome: CellReason] = [.notFormed: .notFormed, .stuckHigh: .stuckHigh]
    return try measurement.values("outcome").enumerated().compactMap { place, number in
      Outcome(rawValue: Int(number)).flatMap { reasons[$0] }.map {
        CellFailure(
          CellAddress(macro: macro, row: Int(rows[place]), column: Int(columns[place])), reason: $0.description)
      }
    }
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    let outcomes = try measurement.values("outcome").map { Outcome(rawValue: Int($0)) ?? .notFormed }
    let allVoltages = try measurement.values("forming_V")
    // Of a cell whose answer was lost it is known that it formed, and not at which voltage.
    let formed = outcomes.indices.filter { outcomes[$0] == .formed && allVoltages[$0].isFinite }
    let step = try measurement.value("step_V")
    // A cell formed somewhere between the pulse that did it and the one before.
    let voltages = formed.map { allVoltages[$0] - step / 2 }
    let conductances = try measurement.values("conductance_S")
    let after = formed.map { conductances[$0] * 1e6 }
    var findings = Findings()
    findings.estimates = [
      proportion("yield", outcomes.count { $0 == .formed || $0 == .formedBefore }, of: outcomes.count)
    ]
    guard formed.count > 1 else {
      findings.remarks = [
        "\(outcomes.count { $0 == .formedBefore }) cells had been formed before; \(formed.count) now, too few for statistics."
      ]
      return findings
    }
    findings.estimates += [
      Bootstrap.estimate("forming voltage, mean", of: voltages, unit: "V", mean),
      Bootstrap.estimate("forming voltage, σ", of: voltages, unit: "V") {
        max(0, variance($0) - step * step / 12).squareRoot()
      },
      Bootstrap.estimate("forming voltage, 1 % quantile", of: voltages, unit: "V") { quantile($0, 0.01) },
      Bootstrap.estimate("forming voltage, 99 % quantile", of: voltages, unit: "V") { quantile($0, 0.99) },
      Bootstrap.estimate("conductance after forming, mean", of: after, unit: "µS", mean),
      Bootstrap.estimate("conductance after forming, σ", of: after, unit: "µS", deviation),
      Bootstrap.estimate("resistance after forming, median", of: after.map { 1e3 / $0 }, unit: "kΩ", median),
    ]
    findings.remarks = [
      "The ramp goes in steps of \(text(step)) V, and a cell forms between two of its pulses: the middle counts, and the variance of "
        + "the steps, step²/12, is taken off (Sheppard's correction). The reads say nothing finer than that."
    ]
    findings.pictures = [
      .histogram("Forming voltage", voltages, width: step, x: "forming voltage (V)"),
      .distributions("Forming voltage, cumulative", [("all cells", voltages)], x: "forming voltage (V)"),
      .distributions("Conductance after forming, cumulative", [("all cells", after)], x: "conductance (µS)"),
    ]
    return findings
  }
}
