internal import RRAMBoard
internal import RRAMProfiles
internal import RRAMRecords
public import RRAMUnits
internal import RRAMWire

/// Equal SET pulses from a RESET state, then equal RESET pulses: conductance against pulse number, and how far a pulse moves a cell
/// that stands at a given conductance.
public struct PulseResponse: PlanStep {
  public static let name = "pulseResponse"
  public static let title = "Pulse response"
  static let settings: [Setting<Self>] = [
    .whole("cells", \.cells, in: 1...65536, "cells that are pulsed"),
    .whole("pulses", \.pulses, in: 1...100_000, "pulses of each kind"),
    .quantity(
      "set", .voltage, "amplitude of SET pulses", none: "a third of the way up the profile's ramp",
      get: { $0.set?.rawValue }, set: { $0.set = Volts($1) }),
    .quantity(
      "reset", .voltage, "amplitude of RESET pulses", none: "a third of the way up the profile's ramp",
      get: { $0.reset?.rawValue }, set: { $0.reset = Volts($1) }),
  ]

  public var cells = 64
  /// Of each kind.
  public var pulses = 50
  /// Amplitudes; nil: a third of the way up the profile's ramp.
  public var set: Volts?
  public var reset: Volts?

  public init() {}

  private func amplitude(_ kind: PulseKind, at site: Site) -> Volts {
    let bias = kind == .set ? site.profile.programming.set : site.profile.programming.reset
    return (kind == .set ? set : reset) ?? bias.start + (bias.stop - bias.start) / 3
  }

  public func cost(at site: Site) -> Cost {
    .rounds(2 * pulses, cells: cells, at: site) + .rounds(site.ramp(.reset).count, cells: cells, at: site)
  }

  public func check(at site: Site) throws {
    let chosen = try site.cells(cells)
    for kind in [PulseKind.reset, .set] {
      try site.board.check.check(site.request(chosen, kind, amplitude: amplitude(kind, at: site)))
    }
  }

  public func measure(at site: Site) async throws -> Measurement {
    let chosen = try site.cells(cells)
    // The start: as low as the profile's ramp goes.
    for volts in site.ramp(.reset) { try await site.pulse(chosen, .reset, amplitude: Volts(volts)) }
    var measurement = Measurement()
    measurement.add(chosen.indices.map { site.block.address(at: $0) })
    for (place, kind) in [PulseKind.set, .reset].enumerated() {
      let volts = amplitude(kind, at: site)
      let name = kind == .set ? "set" : "reset"
      var values = try await site.read(chosen, as: name)
      for pulse in 0..<pulses {
        try await site.pulse(chosen, kind, amplitude: volts)
        values += try await site.read(chosen, after: kind == .set ? volts : -volts, as: name)
        site.progress(place * pulses + pulse + 1, 2 * pulses)
      }
      measurement.add([volts.rawValue], as: "\(name)_V")
      measurement.add(values, shape: [pulses + 1, chosen.count], as: "\(name)_S")
    }
    return measurement
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    var findings = Findings()
    var (responses, jumps): ([Findings.Picture.Curve], [Findings.Picture.Curve]) = ([], [])
    for name in ["set", "reset"] {
      let rows = try measurement.rows("\(name)_S").map { $0.map { $0 * 1e6 } }
      let volts = try measurement.value("\(name)_V")
      let cells = rows.first?.count ?? 0
      let quantiles = rows.enumerated().map { [Double($0), quantile($1, 0.1), median($1), quantile($1, 0.9)] }
      let colour = Findings.Picture.colour(name == "set" ? 0 : 1)
      responses += [
        .init(rows: quantiles, using: "1:2:4", style: "filledcurves", colour: colour, isBackground: true),
        .init(title: name.uppercased(), rows: quantiles, using: "1:3", style: "lines lw 2", colour: colour),
      ]
      let moves = (0..<cells).map { cell in (rows.last ?? [])[cell] - rows[0][cell] }
      findings.estimates.append(
        Bootstrap.estimate(
          "move by \(rows.count - 1) \(name.uppercased()) pulses of \(text(volts)) V, median", of: moves, unit: "µS",
          median))
      // Jumps by where the cell stood before the pulse.
      let pairs = zip(rows, rows.dropFirst()).flatMap { before, after in zip(before, after).map { ($0, $1 - $0) } }
      let (low, high) = (pairs.map(\.0).min() ?? 0, pairs.map(\.0).max() ?? 1)
      let bins = 8
      let grouped = Dictionary(grouping: pairs) {
        min(bins - 1, Int(($0.0 - low) / max(high - low, 1e-9) * Double(bins)))
      }
      findings.tables.append(
        .init(
          title: "Move of one \(name.uppercased()) pulse of \(text(volts)) V by the conductance before it",
          rows: [["G before (µS)", "ΔG median (µS)", "10 %", "90 %", "pulses"]]
            + grouped.keys.sorted().compactMap { bin in
              guard let moves = grouped[bin]?.map(\.1) else { return nil }
              let centre = low + (Double(bin) + 0.5) / Double(bins) * (high - low)
              return [
                text(centre), text(median(moves)), text(quantile(moves, 0.1)), text(quantile(moves, 0.9)),
                "\(moves.count)",
              ]
            }))
      jumps.append(
        .init(
          title: name.uppercased(), rows: pairs.prefix(20_000).map { [$0, $1] }, style: "points pt 7 ps 0.15",
          colour: colour))
    }
    findings.pictures = [
      .plot(
        "Conductance against pulse number: median, and 10 to 90 % of the cells",
        axes: """
          set xlabel 'pulses'
          set ylabel 'conductance (µS)'
          set style fill transparent solid 0.25 noborder
          """, responses, key: "top right"),
      .plot(
        "Move of a pulse against the conductance before it",
        axes: "set xlabel 'conductance before (µS)'\nset ylabel 'move (µS)'", jumps, key: "top right"),
    ]
    return findings
  }
}
