internal import Foundation
internal import RRAMBoard
internal import RRAMFiles
internal import RRAMProfiles
internal import RRAMRecords
public import RRAMUnits
internal import RRAMWire

/// I–V curves: a staircase below the limit of reads, and sweeps of pulses of rising amplitude with a read after each, held by a
/// compliance in software.
public struct IVSweep: PlanStep {
  public static let name = "ivSweep"
  public static let title = "I–V sweeps"
  static let settings: [Setting<Self>] = [
    .whole("cells", \.cells, in: 1...65536, "cells that are swept"),
    .whole("cycles", \.cycles, in: 0...100_000, "pulsed sweeps of each: RESET, then SET"),
    .whole("points", \.points, in: 2...1000, "voltages of the staircase, even up to 'until'"),
    .quantity(
      "until", .voltage, "end of the staircase", none: "as far as reads may go", get: { $0.until?.rawValue },
      set: { $0.until = Volts($1) }),
    .whole("averages", \.averages, in: 1...4096, "conversions averaged at each voltage of the staircase"),
    .quantity(
      "compliance", .current, "a cell whose current would exceed it gets no further SET pulse", none: "none",
      get: { $0.compliance?.rawValue }, set: { $0.compliance = Amperes($1) }),
  ]

  public var cells = 16
  /// Pulsed sweeps of each cell: RESET, then SET.
  public var cycles = 10
  /// Voltages of the staircase, even up to `until`.
  public var points = 15
  /// nil: as far as reads may go.
  public var until: Volts?
  /// Conversions averaged at each voltage of the staircase.
  public var averages = 16
  /// A cell whose current at the amplitude just given would exceed it gets no further SET pulse; nil: none.
  public var compliance: Amperes?

  public init() {}

  func require(_ section: ProfileSection) throws(ProfileError) {
    try section.require(until ?? Volts(1) > .zero, "until", "is not greater than 0 V")
    try section.require(compliance ?? Amperes(1) > .zero, "compliance", "is not greater than 0 A")
  }

  private func staircase(at site: Site) -> [Volts] {
    let top = until ?? site.board.limits.read
    // Lines have codes: below a few of them a voltage is not what it says.
    let least = 4 * site.board.boardDescription.drivers.bitLine.leastSignificantBit
    return (1...points).map { max(least, top * (Double($0) / Double(points))) }
  }

  private func bias(_ voltage: Volts, at site: Site) -> ReadBias {
    ReadBias(wordLine: site.board.defaultReadBias().wordLine, bitLine: voltage, averages: averages)
  }

  public func cost(at site: Site) -> Cost {
    let steps = site.ramp(.set).count + site.ramp(.reset).count
    return .rounds(points, cells: cells, averages: averages, pulsed: false, at: site)
      + .rounds(cycles * steps, cells: cells, at: site)
  }

  public func check(at site: Site) throws {
    let chosen = try site.cells(cells)
    for voltage in staircase(at: site) {
      try site.board.check.check(ReadCells(cells: chosen, bias: bias(voltage, at: site)))
    }
    for kind in [PulseKind.reset, .set] {
      for amplitude in site.ramp(kind) {
        try site.board.check.check(site.request(chosen, kind, amplitude: Volts(amplitude)))
      }
    }
  }

  public func measure(at site: Site) async throws -> Measurement {
    let chosen = try site.cells(cells)
    var measurement = Measurement()
    measurement.add(chosen.indices.map { site.block.address(at: $0) })
    let voltages = staircase(at: site)
    var currents: [Double] = []
    for voltage in voltages {
      let read = try await site.read(chosen, bias: bias(voltage, at: site), as: "staircase")
      currents += read.map { Double($0) * voltage.rawValue }
    }
    measurement.add(voltages.map(\.rawValue), as: "staircase_V")
    measurement.add(currents, shape: [voltages.count, chosen.count], as: "staircase_A")
    let total = cycles * 2
    for (part, kind) in [PulseKind.reset, .set].enumerated() {
      measurement.add(site.ramp(kind), as: part == 0 ? "reset_V" : "set_V")
    }
    var curves: [PulseKind: [Double]] = [:]
    var held = 0
    for cycle in 0..<cycles {
      for (part, kind) in [PulseKind.reset, .set].enumerated() {
        var open = Array(chosen.indices)
        var last = [Int: Float]()
        for amplitude in site.ramp(kind) {
          if !open.isEmpty {
            let selection = site.selection(open)
            try await site.pulse(selection, kind, amplitude: Volts(amplitude))
            let read = try await site.read(
              selection, after: Volts(kind == .set ? amplitude : -amplitude),
              as: kind == .set ? "sweepSet" : "sweepReset")
            for (index, value) in zip(open, read) { last[index] = value }
            if kind == .set, let compliance {
              let before = open.count
              open.removeAll { Double(last[$0] ?? 0) * amplitude > compliance.rawValue }
              held += before - open.count
            }
          }
          curves[kind, default: []] += chosen.indices.map { Double(last[$0] ?? .nan) }
        }
        site.progress(2 * cycle + part + 1, total)
      }
    }
    for (kind, name) in [(PulseKind.reset, "reset"), (.set, "set")] {
      measurement.add(
        curves[kind] ?? [], shape: [cycles, site.ramp(kind).count, chosen.count], as: "\(name)_curve_S")
    }
    measurement.add([site.board.defaultReadBias().bitLine.rawValue], as: "read_V")
    measurement.add([compliance?.rawValue ?? 0], as: "compliance_A")
    measurement.add([held], as: "held")
    return measurement
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    let voltages = try measurement.values("staircase_V")
    let currents = try measurement.rows("staircase_A")
    let cells = currents.first?.count ?? 0
    // I = G·V₀·sinh(V/V₀): G(V)/G(0) = 1 + (V/V₀)²/6 + …, so the slope of I/V against V² gives 1/V₀².
    let curvature = (0..<cells).map { cell -> Double in
      let fit = line(voltages.map { $0 * $0 }, voltages.indices.map { currents[$0][cell] / voltages[$0] })
      return 6 * fit.slope / fit.offset
    }
    let conducting = (0..<cells).filter { (currents.last?[$0] ?? 0) / (voltages.last ?? 1) > 1e-6 }
    var findings = Findings()
    findings.estimates = [
      Bootstrap.estimate(
        "current at \(text(voltages.last ?? .nan)) V, median", of: (currents.last ?? []).map { $0 * 1e6 }, unit: "µA",
        median),
      Bootstrap.estimate(
        "curvature 1/V₀² of I = G V₀ sinh(V/V₀), median", of: conducting.map { curvature[$0] }, unit: "1/V²", median),
    ]
    findings.pictures = [
      .plot(
        "Staircase below the limit of reads: cells and their median",
        axes: "set xlabel 'voltage (V)'\nset ylabel '|I| (µA)'\nset logscale y",
        [
          .init(
            rows: (0..<min(cells, 100)).flatMap { cell in
              voltages.indices.map { [voltages[$0], abs(currents[$0][cell]) * 1e6] } + [[]]
            }, style: "lines lw 0.4", colour: Findings.Picture.pale, isBackground: true),
          .init(
            rows: voltages.indices.map { [voltages[$0], median(currents[$0]) * 1e6] },
            style: "linespoints lw 2 pt 7 ps 0.5", colour: Findings.Picture.colour(0)),
        ])
    ]
    let shape = try measurement.array("set_curve_S").shape
    let cycles = shape[0]
    guard cycles > 0 else { return findings }
    var (each, medians): ([Findings.Picture.Curve], [Findings.Picture.Curve]) = ([], [])
    let read = try measurement.value("read_V")
    for (name, sign) in [("reset", -1.0), ("set", 1.0)] {
      let amplitudes = try measurement.values("\(name)_V")
      let values = try measurement.values("\(name)_curve_S")
      func current(_ cycle: Int, _ step: Int, _ cell: Int) -> Double {
        abs(values[(cycle * amplitudes.count + step) * cells + cell]) * read * 1e6
      }
      let shown = min(200, cells * cycles)
      each.append(
        .init(
          rows: (0..<shown).flatMap { index in
            amplitudes.indices.map { [sign * amplitudes[$0], current(index / cells, $0, index % cells)] } + [[]]
          }, style: "lines lw 0.4", colour: Findings.Picture.pale, isBackground: true))
      medians.append(
        .init(
          title: name.uppercased(),
          rows: amplitudes.indices.map { step in
            [
              sign * amplitudes[step],
              median((0..<cycles).flatMap { cycle in (0..<cells).map { current(cycle, step, $0) } }),
            ]
          }, style: "linespoints lw 2 pt 7 ps 0.5", colour: Findings.Picture.colour(sign > 0 ? 0 : 1)))
    }
    let compliance = try measurement.value("compliance_A")
    findings.remarks = [
      "\(cycles) pulsed sweeps of \(cells) cells; the current is that of a read at \(text(read)) V after each pulse."
        + (compliance > 0
          ? " Compliance \(text(compliance * 1e6)) µA at the amplitude given, in software: \(Int(try measurement.value("held"))) SET sweeps were ended by it."
          : " No compliance was set.")
    ]
    findings.pictures.append(
      .plot(
        "Pulsed sweeps: |I| at the read voltage after each pulse, and the median",
        axes: """
          set logscale y
          set xlabel 'amplitude (V): RESET to the left, SET to the right'
          set ylabel '|I| (µA)'
          """, each + medians))
    return findings
  }
}
