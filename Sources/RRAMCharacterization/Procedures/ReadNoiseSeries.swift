internal import Foundation
internal import RRAMBoard
internal import RRAMProfiles
internal import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// Reads the same cells many times: spread against conductance, spectrum, and cells that jump between two levels.
public struct ReadNoiseSeries: PlanStep {
  public static let name = "readNoise"
  public static let title = "Read noise"
  public static let wears = false
  static let settings: [Setting<Self>] = [
    .whole("cells", \.cells, in: 1...65536, "cells that are read"),
    .whole("reads", \.reads, in: 16...1_000_000, "reads of each"),
  ]

  public var cells = 64
  public var reads = 1024

  public init() {}

  public func cost(at site: Site) -> Cost { .rounds(reads, cells: cells, pulsed: false, at: site) }

  public func check(at site: Site) throws {
    try site.board.check.check(ReadCells(cells: site.cells(cells), bias: site.board.defaultReadBias()))
  }

  public func measure(at site: Site) async throws -> Measurement {
    let chosen = try site.cells(cells)
    var (values, times): ([Float], [Double]) = ([], [])
    for index in 0..<reads {
      let read = try await site.timedRead(chosen, as: Self.name)
      values += read.values
      times.append(read.time)
      site.progress(index + 1, reads)
    }
    var measurement = Measurement()
    measurement.add(chosen.indices.map { site.block.address(at: $0) })
    measurement.add(times, as: "board_time_s")
    measurement.add(values, shape: [reads, chosen.count], as: "conductance_S")
    return measurement
  }

  /// Two levels far apart against what is within them: Otsu's split (IEEE Trans. Syst. Man Cybern. 9, 62, 1979) with at least 2 % of
  /// the reads on either side, more than 4.5 σ between the levels (the split of a normal distribution gives 2.65), and 3 jumps or more.
  private static func isTelegraph(_ values: [Double]) -> Bool {
    let sorted = values.sorted()
    let count = sorted.count
    let total = sorted.reduce(0, +)
    let squares = sorted.reduce(0) { $0 + $1 * $1 }
    var (sum, best, split) = (0.0, -1.0, 0)
    for index in 0..<count - 1 {
      sum += sorted[index]
      let (a, b) = (Double(index + 1), Double(count - index - 1))
      let distance = sum / a - (total - sum) / b
      let between = a * b * distance * distance
      if between > best { (best, split) = (between, index) }
    }
    let low = Array(sorted[0...split])
    let high = Array(sorted[(split + 1)...])
    guard Double(min(low.count, high.count)) >= 0.02 * Double(count) else { return false }
    let (lower, upper) = (mean(low), mean(high))
    let within = ((squares - Double(low.count) * lower * lower - Double(high.count) * upper * upper) / Double(count))
      .squareRoot()
    let threshold = (sorted[split] + sorted[split + 1]) / 2
    let jumps = zip(values, values.dropFirst()).count { ($0 > threshold) != ($1 > threshold) }
    return upper - lower > 4.5 * within && jumps >= 3
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    let rows = try measurement.rows("conductance_S").map { $0.map { $0 * 1e6 } }
    let times = try measurement.values("board_time_s")
    let interval = ((times.last ?? 0) - (times.first ?? 0)) / Double(max(1, times.count - 1))
    let cells = (0..<(rows.first?.count ?? 0)).map { cell in rows.map { $0[cell] } }.filter {
      $0.allSatisfy(\.isFinite)
    }
    var findings = Findings()
    guard !cells.isEmpty, interval > 0 else {
      findings.remarks = ["No cell could be read."]
      return findings
    }
    let sigmas = cells.map(deviation)
    let means = cells.map(mean)
    let spectra = cells.map { values -> [(Double, Double)] in
      let spectrum = Spectrum.density(values, interval: interval)
      return Spectrum.binned(spectrum.frequencies, spectrum.density)
    }
    let frequencies = spectra.first?.map(\.0) ?? []
    func slope(_ pieces: [Int]) -> Double {
      line(
        frequencies.map { log10($0) },
        frequencies.indices.map { bin in mean(pieces.map { log10(max(spectra[$0][bin].1, 1e-30)) }) }
      ).slope
    }
    findings.estimates = [
      Bootstrap.estimate("σ of one read, median of the cells", of: sigmas, unit: "µS", median),
      Bootstrap.estimate(
        "σ/G, median of the cells", of: zip(sigmas, means).map { $0 / abs($1) * 100 }, unit: "%", median),
      Estimate(
        "slope of the spectrum, log S against log f", slope(Array(cells.indices)),
        Bootstrap.interval(cells.count, of: slope), unit: "1",
        n: cells.count, method: Bootstrap.method),
      proportion("cells that jump between two levels", cells.count(where: isTelegraph), of: cells.count),
    ]
    findings.remarks = [
      "\(rows.count) reads of each cell, \(text(interval * 1e3)) ms apart: σ holds for \(text(interval * Double(rows.count))) s. A slope of −1 "
        + "is 1/f noise, 0 white. What the read chain adds (converter, amplifier) is in these figures."
    ]
    let shown = cells.indices.sorted { sigmas[$0] > sigmas[$1] }.prefix(4)
    findings.pictures = [
      .plot(
        "σ of one read against conductance",
        axes: "set logscale y\nset xlabel 'conductance (µS)'\nset ylabel 'σ (µS)'",
        [
          .init(
            rows: zip(means, sigmas).map { [$0, $1] }, style: "points pt 7 ps 0.5", colour: Findings.Picture.colour(0))
        ]),
      .plot(
        "Spectrum: cells and their mean",
        axes: """
          set logscale xy
          set xlabel 'frequency (Hz)'
          set ylabel 'S (µS²/Hz)'
          set format y '10^{%L}'
          """,
        [
          .init(
            rows: spectra.prefix(64).flatMap { $0.map { [$0.0, $0.1] } + [[]] }, style: "lines lw 0.4",
            colour: Findings.Picture.pale, isBackground: true),
          .init(
            rows: frequencies.indices.map { bin in [frequencies[bin], mean(spectra.map { $0[bin].1 })] },
            style: "linespoints lw 2 pt 7 ps 0.5", colour: Findings.Picture.colour(0)),
        ]),
      .init(
        title: "The four noisiest cells, less their means",
        script: "set key off\nset xlabel 'time (s)'\nset ylabel 'ΔG (µS), shifted'\nplot "
          + shown.indices.map { "$cell\($0) with lines lw 0.6" }.joined(separator: ", "),
        tables: shown.enumerated().map { place, cell in
          let height = 6 * (shown.map { sigmas[$0] }.max() ?? 1)
          let step = max(1, rows.count / 2000)
          return .init(
            "cell\(place)",
            rows: stride(from: 0, to: rows.count, by: step).map {
              [times[$0] - times[0], cells[cell][$0] - means[cell] + Double(place) * height]
            })
        }),
    ]
    return findings
  }
}
