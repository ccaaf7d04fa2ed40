import Foundation
import RRAMBoard
import RRAMEmulator
import RRAMMapping
import RRAMModel
import RRAMProfiles
import RRAMRecords
import RRAMTransport
import RRAMUnits

/// Deadlines that a busy test machine keeps.
private var patient: BoardConfiguration {
  var configuration = BoardConfiguration()
  configuration.openLimit = .seconds(300)
  configuration.responseLimit = .seconds(300)
  configuration.safeLimit = .seconds(300)
  return configuration
}

/// Forms, programs and hands over an emulated chip.
func withChip<R: Sendable>(
  _ model: ScoreModel, profile name: String = "ideal", board: String = "parallel",
  mapping: MappingOptions = MappingOptions(),
  _ body: (Board, RecordsHome, ProgramRecord) async throws -> R
) async throws -> R {
  let profile = try ChipProfile.named(name)
  let device = try EmulatedBoard(
    profile: profile, board: try BoardDescription.named(board),
    configuration: .init(seed: 2, clock: LinkClock { .zero }, threads: 1))
  let home = RecordsHome(root: FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)"))
  defer { try? FileManager.default.removeItem(at: home.root) }
  do {
    let result = try await withBoard(InMemoryLink(to: device), configuration: patient) { board in
      let plan = try MappingPlan(
        model.network, on: board.boardDescription, window: board.limits.conductance, options: mapping)
      _ = try await board.form(plan.layers.map(\.block), options: FormOptions(profile))
      var options = ProgramOptions(profile)
      options.followUp = nil
      let record = try await board.program(plan, model: model, options: options, home: home)
      return try await body(board, home, record)
    }
    await device.close()
    return result
  } catch {
    await device.close()
    throw error
  }
}
