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
  /// nil: the board's own sensor, and its own oven where it is emulated.
  public let surroundings: Surroundings?

  public init(
    plan: CharacterizationPlan, profile: ChipProfile, macro: Int, excluded: Set<CellAddress> = [],
    surroundings: Surroundings? = nil
  ) {
    self.plan = plan
    self.profile = profile
    self.macro = macro
    self.excluded = excluded
    self.surroundings = surroundings
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

  /// What each step will take, and whether limits, the chip's wear included, permit it: thrown before the first pulse.
  ///
  /// - Throws: ``CharacterizationError`` `limit` with the step's place in the plan.
  /// - Parameter directory: of a run that goes on: the pulses of its finished steps are in the ledger already.
  public func steps(on board: Board, in directory: RunDirectory? = nil) async throws -> [Step] {
    let site = try site(board, log: nil) { _, _ in }
    var steps: [Step] = []
    // What a cell gets in the steps so far, at most: every step may take the same cells.
    var pulses = 0
    for (index, procedure) in plan.steps.enumerated() {
      let kind = type(of: procedure)
      let cost = procedure.cost(at: site)
      let isDone =
        directory.map {
          FileManager.default.fileExists(atPath: $0.file(Self.fileName(index + 1, kind, "npz")).path)
        } ?? false
      let obstacle = isDone ? nil : procedure.obstacle(at: site)
      // Of several steps one may be left out; a step that was asked for alone must not end as if it had measured something.
      if let obstacle, plan.steps.count == 1 { throw CharacterizationError(.place, obstacle) }
      if !isDone, obstacle == nil {
        if kind.wears { pulses += cost.pulsesPerCell }
        do {
          try procedure.check(at: site)
          if kind.wears { try await board.checkLifetime(of: site.cells(site.block.cellCount), asked: pulses) }
        } catch let error as BoardError where error.code == .limitRefused {
          throw CharacterizationError(.limit, plan.place(of: index), underlying: error)
        }
      }
      steps.append(Step(number: index + 1, count: plan.steps.count, title: kind.title, cost: cost))
    }
    return steps
  }

  /// Runs the plan's steps that `directory` does not hold yet.
  ///
  /// - Returns: cells that were found to be unusable.
  /// - Throws: ``CharacterizationError``, before the first pulse for what limits refuse, and for a plan of one step that this board cannot
  ///   do; `BoardError` for the link. What was measured before stays in `directory`.
  public func run(
    on board: Board, in directory: RunDirectory, progress: @escaping @Sendable (Event) -> Void = { _ in }
  ) async throws -> [CellFailure] {
    let steps = try await steps(on: board, in: directory)
    progress(.planned(steps))
    try write(plan.document, to: directory.file("plan.yaml"))
    var found: [CellFailure] = []
    for (procedure, step) in zip(plan.steps, steps) {
      try Task.checkCancellation()
      let kind = type(of: procedure)
      var site = try site(board, log: directory.events) { progress(.progress(step, finished: $0, total: $1)) }
      site.excluded.formUnion(found.map(\.address))
      let file = directory.file(Self.fileName(step.number, kind, "npz"))
      if FileManager.default.fileExists(atPath: file.path) {
        progress(.kept(step))
        found += try kind.unusable(Measurement(file: file.path), macro: macro)
        continue
      }
      if let reason = procedure.obstacle(at: site) {
        progress(.skipped(step, reason: reason))
        try write(reason + "\n", to: directory.file(Self.fileName(step.number, kind, "skipped.txt")))
        continue
      }
      progress(.began(step))
      let journal = try StepJournal(path: directory.file(Self.fileName(step.number, kind, "journal")).path)
      site.journal = journal
      if journal.keptCount == 0 { try directory.events.append([.init("step", detail: kind.name)]) }
      let host = ContinuousClock.now
      let begun = try await site.time()
      let temperature = try await site.temperature()
      if kind.needsFormedCells { site.excluded.formUnion(try await site.unformed()) }
      var measurement = try await procedure.measure(at: site)
      let chip = try await site.time() - begun
      let spent = (ContinuousClock.now - host).seconds
      measurement.add([chip], as: "step_chip_s")
      measurement.add([spent], as: "step_host_s")
      if let temperature { measurement.add([temperature], as: "step_temperature_C") }
      // First the events, then the file that says that all of them are there.
      try directory.events.sync()
      try measurement.write(to: file.path)
      journal.remove()
      found += try kind.unusable(measurement, macro: macro)
      progress(.ended(step, chipSeconds: chip, hostSeconds: spent))
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
      throw CharacterizationError(.noMacro, "there is no macro \(macro); the board has \(macros.count), from 0")
    }
    return Site(
      board: board, profile: profile, block: CellBlock(macro: macro, shape: macros.shape),
      surroundings: surroundings ?? .own(of: board), excluded: excluded, log: log, progress: progress)
  }

  private func write(_ text: String, to file: URL) throws {
    do {
      try Data(text.utf8).write(to: file, options: .atomic)
    } catch {
      throw RecordsError(.io, path: file.path, reason: "cannot be written", underlying: error)
    }
  }
}
