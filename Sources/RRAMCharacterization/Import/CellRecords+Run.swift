internal import Foundation
internal import RRAMProfiles
public import RRAMRecords
internal import RRAMUnits

extension CellRecords {
  /// Largest macro of which a map is made.
  private static let largestMap = 1024

  /// The smallest macro that has all cells; nil where it is too large for a map.
  private var mapped: MacroShape? {
    let shape = MacroShape(
      rows: (cells.map(\.row).max() ?? 0) + 1, columns: (cells.map(\.column).max() ?? 0) + 1)
    return max(shape.rows, shape.columns) <= Self.largestMap ? shape : nil
  }

  /// Changes need something to be changes of: the read that ended the write, or else the first later one.
  private var hasRelaxation: Bool { target != nil && ages.count >= (verify == nil ? 3 : 2) }

  /// A spectrum is one of even steps.
  private var isEven: Bool {
    let steps = zip(ages, ages.dropFirst()).map { $1 - $0 }
    return (steps.max() ?? 0) <= 1.1 * (steps.min() ?? 0)
  }

  private var hasReadNoise: Bool { target == nil && ages.count >= 16 && isEven }

  /// True if there is a step that the file can stand for.
  var isReportable: Bool { target != nil || hasReadNoise || mapped != nil }

  /// What of the file no step shows, and why: one sentence each.
  public var unused: [String] {
    var found: [String] = []
    let shown = mapped == nil ? "" : ", and the map shows the last read"
    if target == nil, !ages.isEmpty, !hasReadNoise {
      found.append(
        "no relaxation of the reads at \(ages.count) times, for there are no targets, and no read noise, which takes 16 times or more in even steps"
          + (ages.count >= 16 ? " (the longest at most 1.1 times the shortest)" : "") + shown)
    }
    if target != nil, ages.count > 1, !hasRelaxation {
      found.append(
        "no relaxation: without the read that ended the write it takes 3 times, and there are \(ages.count)" + shown)
    }
    if target == nil {
      let idle = [
        ("accepted", accepted != nil), ("pulses", pulses != nil), ("reads", reads != nil), ("g_tol", tolerance != nil),
        ("the read that ended the write", verify != nil && !later.isEmpty),
      ].filter(\.1).map(\.0)
      if !idle.isEmpty {
        found.append("no programming, for there are no targets: \(idle.joined(separator: ", ")) not reported")
      }
    }
    if mapped == nil { found.append("no map: a row or column is beyond \(Self.largestMap - 1)") }
    return found
  }

  /// The steps whose findings can be made of what the file holds, with their arrays as a step of our own would have recorded them.
  func measurements() -> [(step: any Procedure.Type, measurement: Measurement)] {
    var found: [(step: any Procedure.Type, measurement: Measurement)] = []
    func begin() -> Measurement {
      var measurement = Measurement()
      measurement.add(cells)
      return measurement
    }
    if let target {
      var measurement = begin()
      measurement.add(target, as: "target_S")
      if let verify { measurement.add(verify, as: "verify_S") }
      if let first = later.first { measurement.add(first, as: "later_S") }
      if let age = ages.first { measurement.add([age], as: "later_age_s") }
      if let pulses { measurement.add(pulses, as: "pulses") }
      if let reads { measurement.add(reads, as: "reads") }
      if let accepted { measurement.add(accepted.map { $0 ? 1 : 0 }, as: "accepted") }
      if let tolerance { measurement.add([tolerance], as: "tolerance_S") }
      found.append((LevelProgramming.self, measurement))
      if hasRelaxation {
        let first = verify == nil ? 1 : 0
        var measurement = begin()
        measurement.add(target, as: "target_S")
        measurement.add(verify ?? later[0], as: "verify_S")
        if verify == nil { measurement.add([ages[0]], as: "verify_age_s") }
        if let accepted { measurement.add(accepted.map { $0 ? 1 : 0 }, as: "accepted") }
        measurement.add(Array(ages[first...]), as: "age_s")
        measurement.add(
          later[first...].flatMap { $0 }, shape: [ages.count - first, cells.count], as: "conductance_S")
        found.append((RelaxationSeries.self, measurement))
      }
    } else if hasReadNoise {
      var measurement = begin()
      measurement.add(ages, as: "board_time_s")
      measurement.add(later.flatMap { $0 }, shape: [ages.count, cells.count], as: "conductance_S")
      found.append((ReadNoiseSeries.self, measurement))
    }
    if let shape = mapped {
      var map = [Double](repeating: .nan, count: shape.cellCount)
      for (cell, value) in zip(cells, later.last ?? verify ?? []) { map[cell.index(in: shape)] = value }
      var measurement = Measurement()
      measurement.add(map, shape: [shape.rows, shape.columns], as: "conductance_S")
      found.append((ArrayMap.self, measurement))
    }
    return found
  }

  /// Writes the records into a run: a plan of the steps that they can stand for, each step's arrays, and an event a value.
  ///
  /// - Throws: ``RecordsError`` for the disk.
  /// - Returns: the steps' titles.
  @discardableResult
  public func write(to record: RunDirectory) throws -> [String] {
    let measurements = measurements()
    try record.note(setting: "macro", "\(macro)")
    for (name, value) in notes { try record.note(setting: name, "\(value)") }
    let plan =
      "name: imported\nsummary: what was measured elsewhere, as steps of a characterization\nsteps:\n"
      + measurements.map { "  - \($0.step.name):\n" }.joined()
    do {
      try Data(plan.utf8).write(to: record.file("plan.yaml"), options: .atomic)
    } catch {
      throw RecordsError(.io, path: record.file("plan.yaml").path, reason: "cannot be written", underlying: error)
    }
    for (index, (step, measurement)) in measurements.enumerated() {
      try measurement.write(to: record.file(Characterization.fileName(index + 1, step, "npz")).path)
    }
    for cell in cells.indices {
      var events: [EventLog.Event] = []
      if let verify {
        events.append(
          .init(
            "verify", cell: cells[cell], target: target.map { Siemens($0[cell]) }, conductance: Siemens(verify[cell]),
            pulses: pulses?[cell], reads: reads?[cell], detail: accepted.map { $0[cell] ? "accepted" : "not accepted" })
        )
      }
      for (read, values) in later.enumerated() {
        events.append(
          .init(
            "read", boardTime: read < ages.count ? .seconds(ages[read]) : nil, cell: cells[cell],
            target: target.map { Siemens($0[cell]) }, conductance: Siemens(values[cell])))
      }
      try record.events.append(events)
    }
    return measurements.map { $0.step.title }
  }
}
