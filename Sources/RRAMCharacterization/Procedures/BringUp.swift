internal import RRAMBoard
internal import RRAMProfiles
internal import RRAMRecords
public import RRAMUnits
internal import RRAMWire

/// Before the first chip: a board of known resistors in its socket, every place read, before anything is pulsed.
public struct BringUp: PlanStep {
  public static let name = "bringUp"
  public static let title = "Bring-up on a board of resistors"
  public static let needsFormedCells = false
  public static let wears = false
  static let settings: [Setting<Self>] = [
    .quantity(
      "resistance", .resistance, "what stands in every place of the macro", get: { $0.resistance.rawValue },
      set: { $0.resistance = Ohms($1) }),
    .quantity(
      "tolerance", .ratio, "how far a reading may be off: the resistors' tolerance and that of the read",
      get: { $0.tolerance }, set: { $0.tolerance = $1 }),
    .whole("averages", \.averages, in: 1...4096, "conversions averaged per cell"),
  ]

  /// What stands in every place of the macro.
  public var resistance = Ohms(100e3)
  /// How far a reading may be off, as a share: the resistors' own tolerance and that of the read.
  public var tolerance = 0.02
  public var averages = 16

  public init() {}

  func require(_ section: ProfileSection) throws(ProfileError) {
    try section.require(resistance > .zero, "resistance", "\(resistance) is not greater than 0")
    try section.require(
      (1e-6...0.5).contains(tolerance), "tolerance", "\(tolerance * 100) % is not between 0.0001 and 50 %")
  }

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
    measurement.add([1 / resistance.rawValue], as: "expected_S")
    measurement.add([tolerance], as: "tolerance")
    let wrong = values.enumerated().filter { !Self.isRight(Double($1), 1 / resistance.rawValue, tolerance) }
    guard wrong.isEmpty else {
      // A board that does not read resistors right must not pulse cells: the plan ends here.
      let first = wrong.prefix(3).map { "\(site.block.address(at: $0.offset)) reads \(Siemens(Double($0.element)))" }
      throw CharacterizationError(
        .place,
        "bring-up: \(wrong.count) of \(values.count) places do not read \(Siemens(1 / resistance.rawValue)) within \(tolerance * 100) %: "
          + first.joined(separator: ", ") + (wrong.count > 3 ? ", …" : ""))
    }
    return measurement
  }

  private static func isRight(_ value: Double, _ expected: Double, _ tolerance: Double) -> Bool {
    abs(value - expected) <= tolerance * expected
  }

  public static func findings(from measurement: Measurement) throws -> Findings {
    let expected = try measurement.value("expected_S")
    let tolerance = try measurement.value("tolerance")
    let rows = try measurement.rows("conductance_S").map { $0.map { ($0 / expected - 1) * 100 } }
    let all = rows.flatMap { $0 }
    var findings = Findings()
    findings.estimates = [
      proportion("places within ±\(text(tolerance * 100)) %", all.count { abs($0) <= tolerance * 100 }, of: all.count),
      Bootstrap.estimate("deviation, mean", of: all, unit: "%", mean),
      Bootstrap.estimate("deviation, σ", of: all, unit: "%", deviation),
    ]
    findings.remarks = ["\(text(1e-3 / expected)) kΩ in every place; no pulse was given."]
    findings.pictures = [.map("Deviation from the resistors (%)", rows)]
    return findings
  }
}
