internal import Foundation
public import RRAMBoard
public import RRAMMapping
public import RRAMProfiles
public import RRAMRecords
public import RRAMUnits

/// A plan at work on one macro of a board.
///
/// Every measured value is in the run's `events.csv` as soon as it is known; every finished step leaves its arrays as
/// `NN-name.npz`, and a run that was cut off goes on behind the last one that it finished.
public struct Characterization: Sendable {
  public let plan: CharacterizationPlan
  public let profile: ChipProfile
  public let macro: Int
  /// Cells that the operator wants left alone.
  public let excluded: Set<CellAddress>

  public init(plan: CharacterizationPlan, profile: ChipProfile, macro: Int, excluded: Set<CellAddress> = []) {
    self.plan = plan
    self.profile = profile
    self.macro = macro
    self.excluded = excluded
  }

  public enum Event: Sendable {
    /// Before the first pulse: what all steps will take, in the plan's order.
    case planned([Step])
    case began(Step)
    case progress(Step, finished: Int, total: Int)
    case ended(Step, chipSeconds: Double, hostSeconds: Double)
    /// The step was finished before, by the run that goes on now.
    case kept(Step)
    case skipped(Step, reason: String)
  }

  /// A step with its place in the plan, from 1, and what it will take.
  public struct Step: Sendable {
    public var number: Int
    public var count: Int
    public var title: String
    public var cost: Cost
  }

  /// What each step will take, and whether limits permit it: thrown before the first pulse.
  public func steps(on board: Board) throws -> [Step] {
    let site = try site(board, log: nil) { _, _ in }
    return try plan.steps.enumerated().map { index, procedure in
      if procedure.obstacle(at: site) == nil { try procedure.check(at: site) }
      return Step(
        number: index + 1, count: plan.steps.count, title: type(of: procedure).title, cost: procedure.cost(at: site))
    }
  }

  /// Runs the plan's steps that `directory` does not hold yet.
  ///
  /// - Returns: cells that were found to be unusable.
  /// - Throws: `BoardError` before the first pulse for what limits refuse, later for the link; ``CharacterizationError``. What was
  ///   measured before stays in `directory`.
  public func run(
    on board: Board, in directory: RunDirectory, progress: @escaping @Sendable (Event) -> Void = { _ in }
  ) async throws -> [CellFailure] {
    let steps = try steps(on: board)
    progress(.planned(steps))
    try write(plan.document, to: directory.file("plan.yaml"))
    var found: [CellFailure] = []
    for (procedure, step) in zip(plan.steps, steps) {
      try Task.checkCancellation()
      let kind = type(of: procedure)
      var site = try site(board, log: directory.events) { progress(.progress(step, finished: $0, total: $1)) }
      site.excluded.formUnion(found.map(\.address))
      if let reason = procedure.obstacle(at: site) {
        progress(.skipped(step, reason: reason))
        try write(reason + "\n", to: directory.file(Self.fileName(step.number, kind, "skipped.txt")))
        continue
      }
      let file = directory.file(Self.fileName(step.number, kind, "npz"))
      if FileManager.default.fileExists(atPath: file.path) {
        progress(.kept(step))
        found += try kind.unusable(Measurement(file: file.path), macro: macro)
        continue
      }
      progress(.began(step))
      try directory.events.append([.init("step", detail: kind.name)])
      if kind.needsFormedCells { site.excluded.formUnion(try await site.unformed()) }
      let (chip, host) = (await board.boardTime, ContinuousClock.now)
      var measurement = try await procedure.measure(at: site)
      try await board.heartbeat()
      let spent = ((await board.boardTime - chip).seconds, (ContinuousClock.now - host).seconds)
      measurement.add([spent.0], as: "step_chip_s")
      measurement.add([spent.1], as: "step_host_s")
      // First the events, then the file that says that all of them are there.
      try directory.events.sync()
      try measurement.write(to: file.path)
      found += try kind.unusable(measurement, macro: macro)
      progress(.ended(step, chipSeconds: spent.0, hostSeconds: spent.1))
    }
    return found
  }

  static func fileName(_ number: Int, _ kind: any Procedure.Type, _ suffix: String) -> String {
    (number < 10 ? "0" : "") + "\(number)-\(kind.name).\(suffix)"
  }

  private func site(
    _ board: Board, log: EventLog?, progress: @escaping @Sendable (Int, Int) -> Void
  ) throws -> Site {
    let macros = board.boardDescription.macros
    guard (0..<macros.count).contains(macro) else {
      throw CharacterizationError(.place, "there is no macro \(macro); the board has \(macros.count), from 0")
    }
    return Site(
      board: board, profile: profile, block: CellBlock(macro: macro, shape: macros.shape), excluded: excluded, log: log,
      progress: progress)
  }

  private func write(_ text: String, to file: URL) throws {
    do {
      try Data(text.utf8).write(to: file, options: .atomic)
    } catch {
      throw RecordsError(.io, path: file.path, reason: "cannot be written", underlying: error)
    }
  }
}
