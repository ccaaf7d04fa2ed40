public import RRAMBoard
public import RRAMMapping
public import RRAMProfiles
internal import RRAMRecords
public import RRAMUnits
internal import RRAMWire

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
  /// Cells that the step found to be unusable: later steps leave them alone.
  static func unusable(_ measurement: Measurement, macro: Int) throws -> [CellFailure]
}

/// A procedure that plans can name.
protocol PlanStep: Procedure {
  /// Keys that may stand below its name.
  static var settings: [String] { get }

  init(_ section: ProfileSection) throws(ProfileError)
}

extension Procedure {
  public func obstacle(at site: Site) -> String? { nil }
  public static var needsFormedCells: Bool { true }
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

/// Where a characterization works: one macro of a board, with the voltages of the chip's profile.
public struct Site: Sendable {
  public let board: Board
  public let profile: ChipProfile
  /// The whole macro.
  public let block: CellBlock
  /// Cells that are left alone: known to be bad, or named by the operator.
  public var excluded: Set<CellAddress>
  /// nil: nothing is measured, only planned.
  let log: EventLog?
  let progress: @Sendable (_ finished: Int, _ total: Int) -> Void

  /// Chip time of one read of one cell and of one pulse, by the board's description.
  var readSeconds: Double {
    let sensing = board.boardDescription.sensing
    return sensing.conversionTime.seconds + sensing.integrationTime.seconds
  }
  var pulseSeconds: Double {
    profile.programming.set.width.seconds + board.boardDescription.drivers.settling.seconds
  }

  /// What tells a formed cell from a pristine one, and a stuck one from both.
  var formedAbove: Siemens { profile.formedAbove }
  var stuckAbove: Siemens { profile.stuckAbove }

  /// Cells of the macro that the board does not know to be formed and that do not conduct as formed ones do.
  func unformed() async throws -> [CellAddress] {
    let readings = try await board.readings(CellSelection(block: block))
    return (0..<block.cellCount).filter {
      !(!readings.formed.isEmpty && readings.formed[$0]) && Double(readings.conductance[$0]) < formedAbove.rawValue
    }.map { block.address(at: $0) }
  }

  /// Cells of the macro that may be used, at most `count`, spread evenly over it.
  func cells(_ count: Int) throws -> CellSelection {
    let usable = (0..<block.cellCount).filter { !excluded.contains(block.address(at: $0)) }
    guard !usable.isEmpty else {
      throw CharacterizationError(
        .place, "macro \(block.macro): none of its \(block.cellCount) cells is formed and can be used")
    }
    let taken = min(count, usable.count)
    var mask = CellMask(cellCount: block.cellCount)
    for index in 0..<taken { mask[usable[index * usable.count / taken]] = true }
    return CellSelection(block: block, mask: mask)
  }

  /// Reads cells and writes what was read into the run's log.
  func read(_ cells: CellSelection, averages: Int = 1, as event: String) async throws -> [Float] {
    let values = try await board.read(cells, bias: board.defaultReadBias(averages: averages))
    try await record(cells, values, as: event)
    return values
  }

  func record(
    _ cells: CellSelection, _ conductances: [Float], pulses: [UInt32]? = nil, voltage: Volts? = nil, as event: String
  ) async throws {
    let time = await board.boardTime
    try log?.append(
      cells.indices.enumerated().map { place, index in
        .init(
          event, boardTime: time, cell: cells.block.address(at: index),
          conductance: conductances[place].isFinite ? Siemens(Double(conductances[place])) : nil, voltage: voltage,
          pulses: pulses.map { Int($0[place]) }, reads: 1)
      })
  }

  /// Gives every cell one pulse of the kind's own word line and width.
  func pulse(_ cells: CellSelection, _ kind: PulseKind, amplitude: Volts) async throws {
    _ = try await board.pulse(request(cells, kind, amplitude: amplitude))
  }

  func request(_ cells: CellSelection, _ kind: PulseKind, amplitude: Volts) -> Pulse {
    let bias = kind == .set ? profile.programming.set : profile.programming.reset
    return Pulse(
      cells: cells, kind: kind, wordLine: bias.wordLine, bitLine: kind == .set ? amplitude : .zero,
      sourceLine: kind == .reset ? amplitude : .zero, width: bias.width)
  }

  /// Amplitudes of the profile's ramp of a kind, in volts.
  func ramp(_ kind: PulseKind) -> [Double] {
    let bias = kind == .set ? profile.programming.set : profile.programming.reset
    let steps = Int(((bias.stop - bias.start) / bias.step + 1e-6).rounded(.down))
    return (0...max(0, steps)).map { bias.start.rawValue + Double($0) * bias.step.rawValue }
  }
}
