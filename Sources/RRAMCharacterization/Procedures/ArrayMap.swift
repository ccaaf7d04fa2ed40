internal import RRAMBoard
internal import RRAMProfiles
internal import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// Every cell read once more at the end: the map of the macro and the trends along its rows and columns.
public struct ArrayMap: PlanStep {
  public static let name = "arrayMap"
  public static let title = "Array"
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
    let shape = [site.block.shape.rows, site.block.shape.columns]
    var measurement = Measurement()
    measurement.add(values, shape: shape, as: "conductance_S")
    measurement.add(
      (0..<site.block.cellCount).map { site.excluded.contains(site.block.address(at: $0)) ? 1 : 0 }, shape: shape,
      as: "excluded")
    return measurement
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    let rows = try measurement.rows("conductance_S").map { $0.map { $0 * 1e6 } }
    // Imported records say nothing of the cells that they leave out.
    let isKnown = measurement.arrays.contains { $0.name == "excluded" }
    let excluded = isKnown ? try measurement.rows("excluded") : rows.map { $0.map { $0.isFinite ? 0 : 1 } }
    let columns = rows.first?.count ?? 0
    let good = rows.indices.map { row in (0..<columns).filter { excluded[row][$0] == 0 }.map { rows[row][$0] } }
    let goodColumns = (0..<columns).map { column in
      rows.indices.filter { excluded[$0][column] == 0 }.map { rows[$0][column] }
    }
    func trend(_ name: String, _ lines: [[Double]]) -> Estimate {
      let means = lines.map { mean($0) }
      let places = means.indices.filter { means[$0].isFinite }
      func slope(_ pieces: [Int]) -> Double {
        line(pieces.map { Double(places[$0]) }, pieces.map { means[places[$0]] }).slope
      }
      return Estimate(
        "trend of the mean along the \(name)s", slope(Array(places.indices)),
        Bootstrap.interval(places.count, of: slope),
        unit: "µS a \(name)", n: places.count, method: "bootstrap over \(name)s")
    }
    var findings = Findings()
    let bad = excluded.flatMap { $0 }.count { $0 != 0 }
    if isKnown { findings.estimates = [proportion("cells left out", bad, of: rows.count * columns)] }
    findings.estimates += [trend("row", good), trend("column", goodColumns)]
    if isKnown, bad > 0 {
      let list = excluded.indices.flatMap { row in
        (0..<columns).filter { excluded[row][$0] != 0 }.map {
          "(\(row), \($0))" + (rows[row][$0].isFinite ? " \(text(rows[row][$0])) µS" : "")
        }
      }
      findings.remarks = [
        "Left out, as (row, column) and conductance: " + listed(list)
      ]
    }
    findings.pictures = [.map("Conductance at the end (µS)", rows)]
    return findings
  }
}
