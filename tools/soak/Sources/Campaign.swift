import Foundation
import Logging
import RRAMFaults
import RRAMKit
import Synchronization

/// Sessions that are struck, and what must hold after each.
struct Campaign: Sendable {
  private let bench: Bench
  private let seed: UInt64
  private let operations: [Operation]
  private let plan: CharacterizationPlan
  /// Chips before the operation: formed; and formed and programmed, with the home that knows it.
  private let formed: String
  private let programmed: String
  private let programmedHome: RecordsHome
  /// Undisturbed results, and how many messages the sessions have.
  private let samples: [Float]
  private let measured: [String: [Float]]
  private let messages: [Operation: (toBoard: Int, toHost: Int)]
  private let cells: Int

  private static let sampleCount = 480
  /// Deadlines of a struck session, and of the one that goes on.
  private static let limit = Duration.milliseconds(250)
  private static let patience = Duration.seconds(20)
  private static let hang = Duration.seconds(60)

  init(_ bench: Bench, seed: UInt64, operations: [Operation]) async throws {
    self.bench = bench
    self.seed = seed
    self.operations = operations
    plan = try CharacterizationPlan(
      yaml: """
        name: soak
        summary: reads of formed cells
        steps:
          - readNoise: {cells: 8, reads: 32}
          - arrayMap:
        """, file: "soak")
    formed = bench.folder.appending(path: "formed.npz").path
    programmed = bench.folder.appending(path: "programmed.npz").path
    programmedHome = RecordsHome(root: bench.folder.appending(path: "home"))
    let (formed, programmed, home, model, profile) = (formed, programmed, programmedHome, bench.model, bench.profile)
    _ = try await Self.session(bench, state: formed) { board in
      let plan = try Self.mapping(model, board)
      _ = try await board.form(plan.layers.map(\.block), options: FormOptions(profile))
    }
    try FileManager.default.copyItem(atPath: formed, toPath: programmed)
    cells = try await Self.session(bench, state: programmed) { board in
      try await Self.program(model, profile, board, home).report.cells
    }.result
    var messages: [Operation: (toBoard: Int, toHost: Int)] = [:]
    var samples: [Float] = []
    var measured: [String: [Float]] = [:]
    for operation in Operation.allCases {
      let state = bench.folder.appending(path: "clean-\(operation.rawValue).npz").path
      try FileManager.default.copyItem(atPath: operation == .sample ? programmed : formed, toPath: state)
      let work = bench.folder.appending(path: "clean-\(operation.rawValue)")
      switch operation {
      case .program:
        messages[operation] = try await Self.session(bench, state: state) {
          _ = try await Self.program(model, profile, $0, RecordsHome(root: work))
        }.messages
      case .sample:
        let session = try await Self.session(bench, state: state) {
          try await Self.sample(model, $0, home, from: 0).flatMap(\.x)
        }
        (samples, messages[operation]) = (session.result, session.messages)
      case .characterize:
        let plan = plan
        let session = try await Self.session(bench, state: state) {
          try await Self.characterize(plan, profile, $0, folder: work)
        }
        (measured, messages[operation]) = (session.result, session.messages)
      }
    }
    (self.samples, self.measured, self.messages) = (samples, measured, messages)
  }

  // MARK: the operations

  private static func mapping(_ model: ScoreModel, _ board: Board) throws -> MappingPlan {
    try MappingPlan(model.network, on: board.boardDescription, window: board.limits.conductance)
  }

  private static func program(
    _ model: ScoreModel, _ profile: ChipProfile, _ board: Board, _ home: RecordsHome
  ) async throws -> ProgramRecord {
    var options = ProgramOptions(profile)
    options.followUp = nil
    return try await board.program(try mapping(model, board), model: model, options: options, home: home)
  }

  private static func sample(
    _ model: ScoreModel, _ board: Board, _ home: RecordsHome, from first: Int, _ body: (SampleBatch) -> Void = { _ in }
  ) async throws -> [SampleBatch] {
    var program = try SamplingProgram(model, seed: 3)
    program.firstSample = UInt32(first)
    let session = try await SamplingSession(program, on: board, home: home)
    var batches: [SampleBatch] = []
    _ = try await session.draw(sampleCount - first) {
      batches.append($0)
      body($0)
    }
    return batches
  }

  private static func characterize(
    _ plan: CharacterizationPlan, _ profile: ChipProfile, _ board: Board, folder: URL
  ) async throws -> [String: [Float]] {
    let home = RecordsHome(root: folder.appending(path: "home"))
    let run = folder.appending(path: "run")
    let directory =
      FileManager.default.fileExists(atPath: run.path)
      ? try RunDirectory(continuing: run, home: home)
      : try RunDirectory(home: home, folder: run, toolkit: "soak", command: ["rram", "characterize"], settings: [:])
    _ = try await Characterization(plan: plan, profile: profile, macro: 0).run(on: board, in: directory)
    var arrays: [String: [Float]] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: run.path) where name.hasSuffix(".npz") {
      let archive = try NPZArchive(file: run.appending(path: name).path)
      for key in archive.keys where !key.hasSuffix("_s") { arrays[name + key] = try archive.array(key).floats ?? [] }
    }
    return arrays
  }

  // MARK: a session

  private static func session<Result: Sendable>(
    _ bench: Bench, state: String, _ body: (Board) async throws -> Result
  ) async throws -> (result: Result, messages: (toBoard: Int, toHost: Int)) {
    let device = try ResettableBoard { try bench.board(state: state) }
    let link = FaultyLink(to: device, striking: nil, delay: .zero)
    do {
      let result = try await withBoard(link, configuration: configuration(patience), logger: silent, body)
      await device.close()
      return (result, link.messages)
    } catch {
      await device.close()
      throw error
    }
  }

  /// What is provoked on purpose is no news.
  private static var silent: Logger { Logger(label: "soak") { _ in SwiftLogNoOpLogHandler() } }

  private static func configuration(_ limit: Duration) -> BoardConfiguration {
    var configuration = BoardConfiguration()
    (configuration.openLimit, configuration.responseLimit, configuration.safeLimit) = (limit, limit, limit)
    configuration.heartbeatInterval = min(limit / 2, .milliseconds(100))
    configuration.retries = 2
    return configuration
  }

  /// Which message is struck by injection `number`: all faults, directions and messages come in turn, in a drawn order.
  private func point(_ number: Int) -> (Operation, FaultPoint) {
    let operation = operations[number % operations.count]
    let turn = number / operations.count
    let faults = MessageFault.allCases
    let fault = faults[turn % faults.count]
    let words = Philox4x32.block(seed: seed, UInt32(truncatingIfNeeded: number), 0, 0, 0x534F_414B)
    let direction = words.x & 1 == 0 ? FaultPoint.Direction.toBoard : .toHost
    let count = direction == .toBoard ? messages[operation]?.toBoard ?? 1 : messages[operation]?.toHost ?? 1
    return (
      operation,
      FaultPoint(fault, direction, message: Int(words.y) % max(1, count), seed: UInt64(words.z) << 32 | UInt64(words.w))
    )
  }

  func inject(_ number: Int) async -> Injection {
    let (operation, point) = point(number)
    var injection = Injection(number: number, operation: operation, point: point, end: .missed, breach: nil)
    let work = bench.folder.appending(path: "\(number)")
    do {
      try FileManager.default.createDirectory(at: work, withIntermediateDirectories: true)
      injection.end = try await withThrowingTaskGroup(of: Injection.End?.self) { group in
        group.addTask { try await strike(operation, point, in: work) }
        group.addTask {
          try await Task.sleep(for: Self.hang)
          return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let end = first else {
          throw Injection.Failure(kind: .hang, description: "no end within \(Self.hang)")
        }
        return end
      }
      try? FileManager.default.removeItem(at: work)
    } catch let failure as Injection.Failure {
      injection.breach = failure
    } catch {
      injection.breach = Injection.Failure(kind: .notCompleted, description: "\(error)")
    }
    return injection
  }

  /// What the host had in hand when its session ended.
  private final class Heard: Sendable {
    private let written = Mutex<[CellAddress: WrittenCell]>([:])
    private let drawn = Mutex<[Float]>([])
    func add(_ cells: [WrittenCell]) { written.withLock { for cell in cells { $0[cell.cell] = cell } } }
    func add(_ batch: SampleBatch) { drawn.withLock { $0 += batch.x } }
    var cells: [CellAddress: WrittenCell] { written.withLock { $0 } }
    var x: [Float] { drawn.withLock { $0 } }
  }

  private func strike(_ operation: Operation, _ point: FaultPoint, in work: URL) async throws -> Injection.End {
    let state = work.appending(path: "die.npz").path
    try FileManager.default.copyItem(atPath: operation == .sample ? programmed : formed, toPath: state)
    let (bench, heard) = (bench, Heard())
    let home = operation == .sample ? programmedHome : RecordsHome(root: work.appending(path: "home"))
    let device = try ResettableBoard { try bench.board(state: state) }
    let link = FaultyLink(to: device, striking: point, delay: .milliseconds(60))
    var end = Injection.End.survived
    var outcome: Outcome
    do {
      outcome = try await run(operation, on: link, Self.configuration(Self.limit), home, work, heard)
    } catch {
      // Whatever was done is known by now; the host goes on over a good link, a lasting defect of the board repaired.
      end = .resumed
      await link.close()
      if point.fault == .converterStuck { await device.reset() }
      let before = heard.cells
      let again = FaultyLink(to: device, striking: nil, delay: .zero)
      do {
        outcome = try await run(operation, on: again, Self.configuration(Self.patience), home, work, heard)
      } catch let second {
        await device.close()
        throw Injection.Failure(kind: .notCompleted, description: "first: \(error); going on: \(second)")
      }
      for (cell, written) in before where written.reason == .converged {
        guard outcome.conductance[cell] == written.conductance else {
          await device.close()
          throw Injection.Failure(
            kind: .lost,
            description:
              "\(cell): \(written.conductance) S was heard of, the record has \(outcome.conductance[cell] ?? .nan)")
        }
      }
    }
    // A defect that came too late to be noticed is repaired before the chip is looked at.
    if point.fault.isLasting { await device.reset() }
    do {
      try await check(operation, outcome, device, home, point)
    } catch {
      await device.close()
      throw error
    }
    await device.close()
    try checkLimits(state, pulses: outcome.pulses)
    return link.hasStruck ? end : .missed
  }

  /// What an operation came to.
  private struct Outcome: Sendable {
    var record: ProgramRecord?
    var conductance: [CellAddress: Float] = [:]
    var x: [Float] = []
    var arrays: [String: [Float]] = [:]
    /// That the host knows of.
    var pulses = 0
  }

  private func run(
    _ operation: Operation, on link: FaultyLink, _ configuration: BoardConfiguration, _ home: RecordsHome, _ work: URL,
    _ heard: Heard
  ) async throws -> Outcome {
    var configuration = configuration
    let known = heard.cells
    configuration.writtenBefore = { cell, target in
      known[cell].flatMap { $0.target == target && $0.reason == .converged ? $0 : nil }
    }
    configuration.cellsWritten = { heard.add($0) }
    let (model, profile, plan, first) = (bench.model, bench.profile, plan, heard.x.count / 2)
    return try await withBoard(link, configuration: configuration, logger: Self.silent) { board in
      var outcome = Outcome()
      switch operation {
      case .program:
        let record = try await Self.program(model, profile, board, home)
        outcome.record = record
        for (layer, values) in zip(record.plan.layers, record.conductances) {
          for (index, value) in values.enumerated() {
            outcome.conductance[layer.block.address(at: index)] = value ?? .nan
          }
        }
        outcome.pulses = Int((record.report.pulses.mean * Double(record.report.cells)).rounded())
      case .sample:
        // The session may have ended behind the last sample.
        if first < Self.sampleCount { _ = try await Self.sample(model, board, home, from: first) { heard.add($0) } }
        outcome.x = heard.x
      case .characterize: outcome.arrays = try await Self.characterize(plan, profile, board, folder: work)
      }
      return outcome
    }
  }

  // MARK: what must hold

  private func check(
    _ operation: Operation, _ outcome: Outcome, _ device: ResettableBoard, _ home: RecordsHome, _ point: FaultPoint
  ) async throws {
    func wrong(_ text: String) -> Injection.Failure { Injection.Failure(kind: .wrong, description: text) }
    switch operation {
    case .sample:
      guard outcome.x == samples else {
        let first =
          zip(outcome.x, samples).enumerated().first { $1.0 != $1.1 }?.offset ?? min(outcome.x.count, samples.count)
        throw wrong("\(outcome.x.count / 2) samples, the first that differs is \(first / 2)")
      }
    case .characterize:
      guard outcome.arrays.keys.sorted() == measured.keys.sorted() else {
        throw wrong("arrays \(outcome.arrays.keys.sorted())")
      }
      // A cell that sticks does so where it stands, and reads do not move cells: all that differs is the converter's noise.
      for (key, clean) in measured {
        let found = outcome.arrays[key] ?? []
        guard found.count == clean.count else { throw wrong("\(key): \(found.count) values of \(clean.count)") }
        let scale = clean.map(abs).max() ?? 0
        let isConductance = scale > 0 && scale < 1e-3
        if isConductance,
          let bad = zip(found, clean).enumerated().first(where: { !(abs($1.0 - $1.1) <= 1e-6) && $1.1.isFinite })
        {
          throw wrong("\(key) \(bad.offset): \(bad.element.0), undisturbed \(bad.element.1)")
        }
      }
    case .program:
      guard let record = outcome.record else { throw wrong("no record") }
      // A stuck cell is a result; it is named. Everything else must be as without the fault.
      let stuck = point.fault == .cellStuck ? 1 : 0
      guard record.report.cells == cells, record.report.inTolerance >= cells - stuck,
        record.report.inTolerance + record.report.failures.count == cells
      else {
        throw wrong(
          "\(record.report.inTolerance) of \(record.report.cells) in tolerance, failures \(record.report.failures)")
      }
      let model = bench.model
      let link = FaultyLink(to: device, striking: nil, delay: .zero)
      let values = try await withBoard(link, configuration: Self.configuration(Self.patience), logger: Self.silent) {
        board in
        // Label and write counters are those of the record.
        let found = try await ProgramRecord.find(on: board, home: home, model: model)
        guard found.label == record.label else {
          throw Injection.Failure(kind: .wrong, description: "the chip's label is not the record's")
        }
        return try await board.read(record.plan, averages: 16)
      }
      for (layer, (read, kept)) in zip(values, record.conductances).enumerated() {
        for (index, (now, then)) in zip(read, kept).enumerated() {
          guard abs(now - (then ?? .nan)) <= 0.1e-6 else {
            throw wrong("layer \(layer) cell \(index): the record has \(then ?? .nan) S, the chip \(now)")
          }
        }
      }
    }
  }

  /// The physics keeps the highest voltages and the longest pulse that each cell was given.
  private func checkLimits(_ state: String, pulses known: Int) throws {
    guard let limits = bench.profile.limits else { throw Breach("no limits") }
    let archive = try NPZArchive(file: state)
    var given = 0
    for macro in 0..<bench.description.macros.count {
      for (key, limit) in [
        ("peak_word_line_V", limits.wordLine.rawValue),
        ("peak_bit_line_V", max(limits.bitLine, limits.forming).rawValue),
        ("peak_source_line_V", limits.sourceLine.rawValue), ("longest_pulse_s", limits.pulseWidth.upperBound.seconds),
      ] {
        let worst = try archive.floats("macro\(macro).\(key)", shape: [8, 8]).max() ?? 0
        guard worst <= Float(limit) else {
          throw Injection.Failure(kind: .overLimit, description: "macro \(macro): \(key) \(worst), limit \(limit)")
        }
      }
      let counts = try archive.integers("macro\(macro).pulses", shape: [8, 8])
      given += counts.reduce(0, +)
    }
    guard known <= given else {
      throw Injection.Failure(kind: .wrong, description: "\(known) pulses in the record, the cells got \(given)")
    }
  }
}
