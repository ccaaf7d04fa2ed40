internal import Foundation
internal import RRAMBoard
internal import RRAMProfiles
internal import RRAMRecords
internal import RRAMUnits
internal import RRAMWire

/// Resistance of the lines, from how it adds up along them: a SET cell further from its driver or amplifier reads less.
///
/// 1/G of a cell in row r and column c is R + c·r_b + (rows − 1 − r or r)·r_s; the least-squares plane over all SET cells gives both
/// resistances a segment. The spread of the cells bounds what can be told, and the interval says so.
public struct WireResistance: PlanStep {
  public static let name = "wireResistance"
  public static let title = "Wire resistance"
  static let settings = ["averages"]

  public var averages = 16

  public init() {}

  init(_ section: ProfileSection) throws(ProfileError) {
    averages = try section.whole("averages", in: 1...4096, default: averages)
  }

  public func cost(at site: Site) -> Cost {
    .rounds(1, cells: site.block.cellCount, averages: averages, at: site)
  }

  public func check(at site: Site) throws {
    try site.board.check.check(
      site.request(site.cells(site.block.cellCount), .set, amplitude: site.profile.programming.set.stop))
  }

  public func measure(at site: Site) async throws -> Measurement {
    let chosen = try site.cells(site.block.cellCount)
    // One strong SET a cell: the state with the least resistance makes the lines' share largest.
    try await site.pulse(chosen, .set, amplitude: site.profile.programming.set.stop)
    let values = try await site.read(chosen, averages: averages, as: Self.name)
    var measurement = Measurement()
    measurement.add(chosen.indices.map { site.block.address(at: $0) })
    measurement.add(values, as: "conductance_S")
    return measurement
  }

  /// Slopes of z against x and y by least squares; nil where they do not vary.
  static func plane(_ x: [Double], _ y: [Double], _ z: [Double]) -> (x: Double, y: Double)? {
    let (mx, my, mz) = (mean(x), mean(y), mean(z))
    var (xx, xy, yy, xz, yz) = (0.0, 0.0, 0.0, 0.0, 0.0)
    for index in x.indices {
      let (dx, dy, dz) = (x[index] - mx, y[index] - my, z[index] - mz)
      xx += dx * dx
      xy += dx * dy
      yy += dy * dy
      xz += dx * dz
      yz += dy * dz
    }
    let determinant = xx * yy - xy * xy
    guard determinant > 0 else { return nil }
    return ((xz * yy - yz * xy) / determinant, (yz * xx - xz * xy) / determinant)
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    let (rows, columns) = (try measurement.values("row"), try measurement.values("column"))
    let resistance = try measurement.values("conductance_S").map { 1 / $0 }
    let middle = median(resistance.filter { $0 > 0 && $0.isFinite })
    // A cell that did not SET says nothing of the wires.
    let good = resistance.indices.filter { resistance[$0] > 0 && resistance[$0] < 2 * middle }
    func slopes(_ pieces: [Int]) -> (x: Double, y: Double)? {
      plane(pieces.map { columns[good[$0]] }, pieces.map { rows[good[$0]] }, pieces.map { resistance[good[$0]] })
    }
    var findings = Findings()
    guard good.count >= 16, let whole = slopes(Array(good.indices)) else {
      findings.remarks = ["Too few cells could be SET to tell the wires from them."]
      return findings
    }
    findings.estimates = [
      Estimate(
        "bit line, a segment (along the columns)", whole.x, Bootstrap.interval(good.count) { slopes($0)?.x ?? .nan },
        unit: "Ω", n: good.count, method: Bootstrap.method),
      Estimate(
        "source line, a segment (along the rows)", whole.y, Bootstrap.interval(good.count) { slopes($0)?.y ?? .nan },
        unit: "Ω", n: good.count, method: Bootstrap.method),
      Bootstrap.estimate(
        "resistance of a SET cell, median", of: good.map { resistance[$0] / 1e3 }, unit: "kΩ", median),
    ]
    findings.remarks = [
      "The sign says on which side of the macro the driver or amplifier is. Where an interval holds 0, the wires are below what the spread of the cells lets "
        + "see."
    ]
    func profile(_ line: [Double]) -> [[Double]] {
      Dictionary(grouping: good) { line[$0] }.sorted { $0.key < $1.key }.map { place, cells in
        [place, median(cells.map { resistance[$0] }) / 1e3]
      }
    }
    findings.pictures = [
      .init(
        title: "Median resistance of SET cells along the lines",
        script: """
          set xlabel 'column or row'
          set ylabel 'resistance (kΩ)'
          set key top right
          plot $columns with linespoints pt 7 ps 0.5 lc rgb '#21518c' title 'by column', $rows with linespoints pt 7 ps 0.5 lc rgb '#b2182b' title 'by row'
          """, tables: [.init("columns", rows: profile(columns)), .init("rows", rows: profile(rows))])
    ]
    return findings
  }
}
