internal import RRAMBoard
internal import RRAMProfiles
internal import RRAMRecords
public import RRAMUnits
internal import RRAMWire

/// Random row voltages on a block, all rows at once: measured column currents against what the read conductances say.
public struct MatrixProductTest: PlanStep {
  public static let name = "matrixProduct"
  public static let title = "Matrix product"
  public static let wears = false
  static let settings: [Setting<Self>] = [
    .whole("rows", \.rows, in: 1...65536, "rows that are driven"),
    .whole("columns", \.columns, in: 1...65536, "columns that are sensed"),
    .whole("vectors", \.vectors, in: 4...100_000, "products that are measured"),
    .quantity(
      "amplitude", .voltage, "row voltages are even over ± this", none: "half of what a read may use",
      get: { $0.amplitude?.rawValue }, set: { $0.amplitude = Volts($1) }),
  ]

  public var rows = 32
  public var columns = 32
  public var vectors = 64
  /// Row voltages are even over ± this; nil: half of what a read may use.
  public var amplitude: Volts?

  public init() {}

  private func block(at site: Site) -> CellBlock {
    let shape = site.block.shape
    return CellBlock(
      macro: site.block.macro, shape: MacroShape(rows: min(rows, shape.rows), columns: min(columns, shape.columns)))
  }

  private func request(_ inputs: [Float], at site: Site) -> MatrixProduct {
    MatrixProduct(block: block(at: site), inputs: inputs, wordLine: site.board.defaultReadBias().wordLine)
  }

  private func limit(at site: Site) -> Volts { amplitude ?? 0.5 * site.board.limits.read }

  public func obstacle(at site: Site) -> String? {
    site.board.info.capabilities.contains(.matrixProduct) ? nil : "the board cannot drive several rows at once"
  }

  public func cost(at site: Site) -> Cost {
    .rounds(1, cells: rows * columns, averages: 16, pulsed: false, at: site)
      + .rounds(vectors, cells: columns, pulsed: false, at: site)
  }

  public func check(at site: Site) throws {
    let block = block(at: site)
    try site.board.check.check(
      request(Array(repeating: Float(limit(at: site).rawValue), count: block.shape.rows), at: site))
  }

  public func measure(at site: Site) async throws -> Measurement {
    let block = block(at: site)
    let conductances = try await site.read(CellSelection(block: block), averages: 16, as: Self.name)
    var stream = PhiloxStream(seed: 1, stream: (0x4D41_5452, 0, 0))
    let scale = Float(limit(at: site).rawValue)
    var (inputs, currents): ([Float], [Float]) = ([], [])
    for vector in 0..<vectors {
      let drive = (0..<block.shape.rows).map { _ in scale * Float(2 * stream.uniform() - 1) }
      currents += try await site.product(request(drive, at: site))
      inputs += drive
      site.progress(vector + 1, vectors)
    }
    var measurement = Measurement()
    measurement.add(conductances, shape: [block.shape.rows, block.shape.columns], as: "conductance_S")
    measurement.add(inputs, shape: [vectors, block.shape.rows], as: "input_V")
    measurement.add(currents, shape: [vectors, block.shape.columns], as: "current_A")
    return measurement
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    let conductances = try measurement.rows("conductance_S")
    let inputs = try measurement.rows("input_V")
    let currents = try measurement.rows("current_A").map { $0.map { $0 * 1e6 } }
    let columns = conductances.first?.count ?? 0
    let ideal = inputs.map { input in
      (0..<columns).map { column in
        zip(input, conductances).reduce(0.0) { $0 + $1.0 * $1.1[column] } * 1e6
      }
    }
    let fits = (0..<columns).map { column in
      let (x, y) = (ideal.map { $0[column] }, currents.map { $0[column] })
      let fit = line(x, y)
      let rest = zip(x, y).map { $1 - fit.slope * $0 - fit.offset }
      return (slope: fit.slope, offset: fit.offset, sigma: deviation(rest))
    }
    var findings = Findings()
    let span = deviation(ideal.flatMap { $0 })
    let method = "bootstrap over columns"
    findings.estimates = [
      ("slope of a column, mean", fits.map(\.slope), "1", mean),
      ("slope of a column, σ", fits.map(\.slope), "1", deviation),
      ("offset of a column, mean", fits.map(\.offset), "µA", mean),
      ("offset of a column, σ", fits.map(\.offset), "µA", deviation),
      ("rest of a column, rms", fits.map(\.sigma), "µA", { values in mean(values.map { $0 * $0 }).squareRoot() }),
    ].map { name, values, unit, statistic in
      var estimate = Bootstrap.estimate(name, of: values, unit: unit, statistic)
      estimate.method = estimate.low == nil ? "" : method
      return estimate
    }
    findings.remarks = [
      "\(inputs.count) vectors on \(conductances.count) rows and \(columns) columns; the ideal currents have σ = \(text(span)) µA. Slope and offset "
        + "hold for the read conductances, so an error of the read's gain shows in the slope."
    ]
    findings.pictures = [
      .init(
        title: "Measured against ideal current",
        script: """
          set key top left
          set xlabel 'Σ v G (µA)'
          set ylabel 'measured (µA)'
          plot $points with points pt 7 ps 0.2 lc rgb '#21518c' title 'all columns', x with lines lc rgb '#999999' title 'ideal'
          """,
        tables: [
          .init(
            "points",
            rows: zip(ideal, currents).flatMap { ideal, current in zip(ideal, current).map { [$0, $1] } }.suffix(8192))
        ]),
      .init(
        title: "Columns: slope and offset",
        script: """
          set multiplot layout 1,2
          set key off
          set xlabel 'column'
          set ylabel 'slope'
          plot $fits using 1:2 with impulses lc rgb '#21518c', 1 lc rgb '#999999'
          set ylabel 'offset (µA)'
          plot $fits using 1:3 with impulses lc rgb '#b2182b'
          unset multiplot
          """, tables: [.init("fits", rows: fits.enumerated().map { [Double($0), $1.slope, $1.offset] })], width: 900,
        height: 320),
    ]
    return findings
  }
}
