internal import RRAMBoard
public import RRAMMapping
internal import RRAMProfiles
internal import RRAMUnits

/// One step of a characterization: something measured, and what follows from it.
///
/// Measuring and analysing are apart: findings are made from the recorded arrays alone, so that a report can be written again from
/// a run's folder.
public protocol Procedure: Sendable {
  /// The key that names it in a plan; also part of its file's name.
  static var name: String { get }
  /// What it is called in reports.
  static var title: String { get }
  /// What it will take.
  func cost(at site: Site) -> Cost
  /// Refuses what limits forbid, before the first pulse of the whole plan.
  func check(at site: Site) throws
  func measure(at site: Site) async throws -> Measurement
  static func findings(from measurement: Measurement) throws -> Findings
  /// Why this board cannot do it; the step is left out then, and the report says so.
  func obstacle(at site: Site) -> String?
  /// True if it works on formed cells only; the others are left out then.
  static var needsFormedCells: Bool { get }
  /// True if it gives SET or RESET pulses, which count against a chip's lifetime limit.
  static var wears: Bool { get }
  /// Cells that the step found to be unusable: later steps leave them alone.
  static func unusable(_ measurement: Measurement, macro: Int) throws -> [CellFailure]
}

/// A procedure that plans can name.
protocol PlanStep: Procedure {
  /// With every setting at its standard.
  init()
  /// What may stand below its name.
  static var settings: [Setting<Self>] { get }
  /// Refuses settings that do not go together.
  func require(_ section: ProfileSection) throws(ProfileError)
}

extension Procedure {
  public func obstacle(at site: Site) -> String? { nil }
  public static var needsFormedCells: Bool { true }
  public static var wears: Bool { true }
  public static func unusable(_ measurement: Measurement, macro: Int) throws -> [CellFailure] { [] }
}

/// What a step takes, estimated beforehand: pulses over all cells, and chip time.
public struct Cost: Sendable, Hashable, Codable {
  /// At most, over all cells.
  public var pulses: Int
  /// The most pulses that one cell gets.
  public var pulsesPerCell: Int
  public var reads: Int
  public var chipSeconds: Double

  public init(pulses: Int = 0, pulsesPerCell: Int = 0, reads: Int = 0, chipSeconds: Double = 0) {
    self.pulses = pulses
    self.pulsesPerCell = pulsesPerCell
    self.reads = reads
    self.chipSeconds = chipSeconds
  }

  /// Rounds in which `cells` cells get a pulse and are read.
  static func rounds(_ rounds: Int, cells: Int, averages: Int = 1, pulsed: Bool = true, at site: Site) -> Cost {
    Cost(
      pulses: pulsed ? rounds * cells : 0, pulsesPerCell: pulsed ? rounds : 0, reads: rounds * cells,
      chipSeconds: Double(rounds) * Double(cells) * site.readSeconds * Double(averages)
        + (pulsed ? Double(rounds * cells) * site.pulseSeconds : 0)
        + Double(rounds) * (pulsed ? 2 : 1) * site.board.info.busRoundTrip.seconds)
  }

  static func + (a: Cost, b: Cost) -> Cost {
    Cost(
      pulses: a.pulses + b.pulses, pulsesPerCell: a.pulsesPerCell + b.pulsesPerCell, reads: a.reads + b.reads,
      chipSeconds: a.chipSeconds + b.chipSeconds)
  }
}
