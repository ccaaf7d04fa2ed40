internal import Foundation
internal import RRAMBoard
internal import RRAMFiles
internal import RRAMProfiles
internal import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// SET and RESET by ramps of pulses, a read after each, over many cycles: switching voltages and both resistance states.
public struct Switching: PlanStep {
  public static let name = "switching"
  public static let title = "SET and RESET"
  static let settings: [Setting<Self>] = [
    .whole("cells", \.cells, in: 2...65536, "cells that are cycled"),
    .whole("cycles", \.cycles, in: 2...100_000, "cycles of each, both voltages ramped"),
  ]

  public var cells = 64
  public var cycles = 10

  public init() {}

  public func cost(at site: Site) -> Cost {
    let steps = site.ramp(.set).count + site.ramp(.reset).count
    return .rounds(cycles * steps, cells: cells, at: site) + .rounds(cycles * 2, cells: cells, pulsed: false, at: site)
  }

  public func check(at site: Site) throws {
    let chosen = try site.cells(cells)
    for kind in [PulseKind.reset, .set] {
      for amplitude in site.ramp(kind) {
        try site.board.check.check(site.request(chosen, kind, amplitude: Volts(amplitude)))
      }
    }
  }

  public func measure(at site: Site) async throws -> Measurement {
    let chosen = try site.cells(cells)
    var (curves, ends, again): ([PulseKind: [Float]], [PulseKind: [Float]], [PulseKind: [Float]]) = ([:], [:], [:])
    // RESET pulses that cells near the resistance ceiling were left out of.
    var leftOut = [Int](repeating: 0, count: cycles * chosen.count)
    for cycle in 0..<cycles {
      for kind in [PulseKind.reset, .set] {
        var last: [Float] = []
        for amplitude in site.ramp(kind) {
          for place in try await site.pulse(chosen, kind, amplitude: Volts(amplitude)) {
            leftOut[cycle * chosen.count + place] += 1
          }
          last = try await site.read(
            chosen, after: Volts(kind == .set ? amplitude : -amplitude), as: kind == .set ? "set" : "reset")
          curves[kind, default: []] += last
        }
        ends[kind, default: []] += last
        again[kind, default: []] += try await site.read(chosen, as: kind == .set ? "lrs" : "hrs")
      }
      site.progress(cycle + 1, cycles)
    }
    var measurement = Measurement()
    measurement.add(chosen.indices.map { site.block.address(at: $0) })
    measurement.add(leftOut, shape: [cycles, chosen.count], as: "reset_left_out")
    measurement.add([site.resetEnds], as: "left_out_above_Ohm")
    for (kind, name, state) in [(PulseKind.reset, "reset", "hrs"), (.set, "set", "lrs")] {
      let ramp = site.ramp(kind)
      measurement.add(ramp, as: "\(name)_V")
      measurement.add(curves[kind] ?? [], shape: [cycles, ramp.count, chosen.count], as: "\(name)_curve_S")
      measurement.add(ends[kind] ?? [], shape: [cycles, chosen.count], as: "\(state)_S")
      measurement.add(again[kind] ?? [], shape: [cycles, chosen.count], as: "\(state)_again_S")
    }
    return measurement
  }

  /// Values of one device each, (cells, cycles).
  private static func devices(_ measurement: Measurement, _ name: String) throws -> [[Double]] {
    let rows = try measurement.rows(name)
    return (0..<(rows.first?.count ?? 0)).map { cell in rows.map { $0[cell] } }
  }

  /// The first amplitude, in volts, at which a cell has gone half of its way on a logarithmic scale of conductance; NaN where it did not move.
  private static func voltages(
    _ measurement: Measurement, _ name: String, from: [[Double]], to: [[Double]]
  ) throws -> [[Double]] {
    let amplitudes = try measurement.values("\(name)_V")
    let curve = try measurement.values("\(name)_curve_S").map { $0 * 1e6 }
    let cells = from.count
    let cycles = from.first?.count ?? 0
    return (0..<cells).map { cell in
      (0..<cycles).map { cycle in
        let half = (from[cell][cycle] * to[cell][cycle]).squareRoot()
        let rises = to[cell][cycle] > from[cell][cycle]
        let found = amplitudes.indices.first { step in
          let value = curve[(cycle * amplitudes.count + step) * cells + cell]
          return rises ? value >= half : value <= half
        }
        return half.isFinite ? found.map { amplitudes[$0] } ?? .nan : .nan
      }
    }
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    let lrs = try devices(measurement, "lrs_S").map { $0.map { $0 * 1e6 } }
    let hrs = try devices(measurement, "hrs_S").map { $0.map { $0 * 1e6 } }
    var findings = Findings()
    /// σ of one read: two reads follow each other with no pulse between.
    func readNoise(_ state: String, _ scale: (Double) -> Double) throws -> Double {
      let (first, second) = (try measurement.values("\(state)_S"), try measurement.values("\(state)_again_S"))
      let differences = zip(first, second).map { scale($0) - scale($1) }.filter(\.isFinite)
      return (differences.reduce(0) { $0 + $1 * $1 } / Double(2 * max(1, differences.count))).squareRoot()
    }
    func spreads(
      _ name: String, _ devices: [[Double]], noise: Double, of source: String = "one read", unit: String
    ) {
      let devices = devices.filter { $0.allSatisfy(\.isFinite) }
      guard devices.count > 1 else { return }
      func estimate(_ part: String, _ value: @escaping ([[Double]]) -> Double) -> Estimate {
        Estimate(
          "\(name), \(part)", value(devices), Bootstrap.interval(devices.count) { value($0.map { devices[$0] }) },
          unit: unit, n: devices.count, method: Bootstrap.method)
      }
      findings.estimates += [
        estimate("mean") { mean($0.map(mean)) },
        estimate("σ cycle to cycle") { Spreads($0, noise: noise).cycle },
        estimate("σ device to device") { Spreads($0, noise: noise).device },
        Estimate("\(name), σ of \(source)", noise, unit: unit, n: devices.count),
      ]
    }
    let lrsNoise = try readNoise("lrs") { $0 * 1e6 }
    let hrsNoise = try readNoise("hrs") { log10($0) }
    let hrsResistance = hrs.map { $0.map { log10(1e6 / $0) } }
    spreads("LRS conductance", lrs, noise: lrsNoise, unit: "µS")
    spreads("HRS log10(R/Ω)", hrsResistance, noise: hrsNoise, unit: "1")
    // A RESET starts where the SET before it ended; the first cycle's start is unknown.
    let resets = try voltages(
      measurement, "reset", from: lrs.map { [.nan] + $0.dropLast() }, to: hrs)
    let sets = try voltages(measurement, "set", from: hrs, to: lrs)
    let steps = try ["set", "reset"].map { name in
      let amplitudes = try measurement.values("\(name)_V")
      return amplitudes.count > 1 ? (amplitudes[1] - amplitudes[0]) / 12.0.squareRoot() : 0
    }
    spreads("SET voltage", sets, noise: steps[0], of: "the ramp's steps", unit: "V")
    spreads("RESET voltage", resets.map { Array($0.dropFirst()) }, noise: steps[1], of: "the ramp's steps", unit: "V")
    let resistances = (hrs.flatMap { $0 }.map { 1e3 / $0 }, lrs.flatMap { $0 }.map { 1e3 / $0 })
    let window = quantile(resistances.0, 0.01) / quantile(resistances.1, 0.99)
    findings.estimates.append(
      Estimate(
        "window, p1(HRS)/p99(LRS) of resistances", window,
        Bootstrap.interval(lrs.count) { pieces in
          quantile(pieces.flatMap { hrs[$0] }.map { 1 / $0 }, 0.01)
            / quantile(pieces.flatMap { lrs[$0] }.map { 1 / $0 }, 0.99)
        }, unit: "1", n: lrs.count, method: Bootstrap.method))
    findings.remarks = [
      "The switching voltage is the first amplitude of the ramp at which a cell has gone half of its way on a logarithmic scale; what the "
        + "steps of the ramp add to its spread (one step ÷ √12) is taken off from the spread between cycles, as the noise of a read is from "
        + "that of the states. HRS is treated as log-normal, LRS as normal.",
      "\(lrs.first?.count ?? 0) cycles; after Lanza et al., ACS Nano 15, 17214 (2021), each cycle and state is one point, on several devices.",
    ]
    if try measurement.optionalValues("reset_left_out") != nil {
      let counts = try devices(measurement, "reset_left_out").map { Int($0.reduce(0, +)) }
      let cells = counts.indices.filter { counts[$0] > 0 }
      let (row, column) = (try measurement.values("row"), try measurement.values("column"))
      if !cells.isEmpty {
        findings.remarks.append(
          "Left out of RESET pulses, because their last read lay above \(text(1e-3 * (try measurement.value("left_out_above_Ohm")))) kΩ, half of the "
            + "chip's resistance ceiling: "
            + listed(cells.map { "(\(Int(row[$0])), \(Int(column[$0]))) of \(counts[$0])" }))
      }
    }
    findings.pictures = [
      .distributions(
        "Resistance of both states", [("LRS", resistances.1), ("HRS", resistances.0)], x: "resistance (kΩ)",
        logarithmic: true),
      .distributions(
        "Switching voltages", [("SET", sets.flatMap { $0 }), ("RESET", resets.flatMap { $0 })], x: "amplitude (V)"),
      try curves(measurement),
    ]
    return findings
  }

  /// |I| at the read voltage is proportional to G: the pulsed sweep, all cycles, with the median.
  private static func curves(_ measurement: Measurement) throws -> Findings.Picture {
    let (set, reset) = (try measurement.values("set_V"), try measurement.values("reset_V"))
    let cells = try measurement.array("lrs_S").shape[1]
    let cycles = try measurement.array("lrs_S").shape[0]
    var (each, medians): ([Findings.Picture.Curve], [Findings.Picture.Curve]) = ([], [])
    for (name, amplitudes, sign) in [("set", set, 1.0), ("reset", reset, -1.0)] {
      let values = try measurement.values("\(name)_curve_S").map { $0 * 1e6 }
      func value(_ cycle: Int, _ step: Int, _ cell: Int) -> Double {
        values[(cycle * amplitudes.count + step) * cells + cell]
      }
      // A hundred curves are enough to see the spread.
      var rows: [[Double]] = []
      let shown = min(100, cells * cycles)
      for index in 0..<shown {
        let (cycle, cell) = (index % cycles, (index / cycles) * cells / max(1, (shown + cycles - 1) / cycles))
        rows += amplitudes.indices.map { [sign * amplitudes[$0], value(cycle, $0, min(cell, cells - 1))] } + [[]]
      }
      each.append(
        .init(rows: rows, style: "lines lw 0.4", colour: Findings.Picture.pale, isBackground: true))
      medians.append(
        .init(
          title: name.uppercased(),
          rows: amplitudes.indices.map { step in
            [
              sign * amplitudes[step],
              median((0..<cycles).flatMap { cycle in (0..<cells).map { value(cycle, step, $0) } }),
            ]
          }, style: "linespoints lw 2 pt 7 ps 0.5", colour: Findings.Picture.colour(sign > 0 ? 0 : 1)))
    }
    return .plot(
      "Pulsed sweep: conductance after each pulse, and its median",
      axes: """
        set logscale y
        set xlabel 'amplitude (V): RESET to the left, SET to the right'
        set ylabel 'conductance (µS)'
        """, each + medians)
  }
}
