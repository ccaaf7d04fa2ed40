import Foundation
import RRAMBoard
import RRAMEmulator
import RRAMMapping
import RRAMModel
import RRAMProfiles
import RRAMRecords
import RRAMTransport
import RRAMUnits

/// A fresh emulated chip behind the real wire protocol, and a records folder that is removed afterwards.
struct EmulatedChip {
  let board: Board
  let profile: ChipProfile
  let home: RecordsHome

  static func with<R: Sendable>(
    profile: String = "ideal", board: String = "parallel", seed: UInt64 = 1,
    adjusting: (inout ChipProfile) -> Void = { _ in }, adjustingBoard: (inout BoardDescription) -> Void = { _ in },
    _ body: (EmulatedChip) async throws -> R
  ) async throws -> R {
    var profile = try ChipProfile.named(profile)
    adjusting(&profile)
    var description = try BoardDescription.named(board)
    adjustingBoard(&description)
    let device = try EmulatedBoard(
      profile: profile, board: description,
      configuration: .init(seed: seed, clock: LinkClock { .zero }, threads: 1))
    let home = RecordsHome(root: FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)"))
    defer { try? FileManager.default.removeItem(at: home.root) }
    do {
      let result = try await withBoard(InMemoryLink(to: device), configuration: .patient) { board in
        try await body(EmulatedChip(board: board, profile: profile, home: home))
      }
      await device.close()
      return result
    } catch {
      await device.close()
      throw error
    }
  }

  func plan(_ model: ScoreModel, avoiding avoid: Set<CellAddress> = []) throws -> MappingPlan {
    try MappingPlan(
      model.network, on: board.boardDescription, window: board.limits.conductance, avoiding: avoid)
  }

  /// Forms the cells of a plan and writes it.
  func formAndProgram(
    _ model: ScoreModel, avoiding avoid: Set<CellAddress> = [], followUp: FollowUp? = nil
  ) async throws -> ProgramRecord {
    let plan = try plan(model, avoiding: avoid)
    _ = try await board.form(plan.layers.map(\.block), options: FormOptions(profile))
    var options = ProgramOptions(profile)
    options.followUp = followUp
    return try await board.program(plan, model: model, options: options, home: home)
  }
}

extension BoardConfiguration {
  /// Deadlines that a busy test machine keeps.
  static var patient: BoardConfiguration {
    var configuration = BoardConfiguration()
    configuration.openLimit = .seconds(300)
    configuration.responseLimit = .seconds(300)
    configuration.safeLimit = .seconds(300)
    return configuration
  }
}
