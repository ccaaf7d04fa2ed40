import ArgumentParser
import RRAMFaults
import RRAMKit

struct MutantsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mutants", abstract: "Show which check of 'rram conformance' finds which broken firmware.",
    discussion: "Each is honest firmware with one rule broken on the way to the host. Exit code 1 if one is not found.")

  func run() async throws {
    var description = try BoardDescription.named("parallel")
    (description.link.watchdog, description.link.maximumResponseBytes) = (.milliseconds(400), 4096)
    let profile = try ChipProfile.named("cmo-hfox")
    let board = try EmulatedBoard(profile: profile, board: description, configuration: .init(seed: 1, threads: 1))
    let limits = try await withBoard(InMemoryLink(to: board)) { board in
      // A loop wants a formed cell.
      _ = try await board.form(
        [CellBlock(macro: 0, shape: MacroShape(rows: 1, columns: 2))], options: FormOptions(profile))
      return try await board.exchange(GetLimits())
    }
    var rows = [["broken firmware", "check that is there for it", ""]]
    var escaped = 0
    for fault in BrokenFirmware.Fault.allCases {
      // Whole pristine macros take several frames, a spare row one; ids and times of answers need an answer.
      let options = Conformance.Options(
        spareRow: fault.check.hasPrefix("streams") ? nil : CellRow(macro: 0, row: 63), limit: .milliseconds(700),
        only: [fault.check] + (["answers.boot-id", "answers.time"].contains(fault.check) ? ["session.greeting"] : []))
      let honest = try await Conformance.run(options: options) { BusLink(to: board) }
      let report = try await Conformance.run(options: options) {
        BrokenFirmware(fault, on: BusLink(to: board), limits: limits, watchdog: .milliseconds(400))
      }
      let isCaught = report.failures.contains(fault.check) && honest.failures.isEmpty
      if !isCaught { escaped += 1 }
      rows.append([
        fault.rawValue, fault.check, isCaught ? "found" : honest.failures.isEmpty ? "NOT FOUND" : "HONEST ONE FAILS",
      ])
    }
    await board.close()
    print(table(rows))
    print("\(rows.count - 1 - escaped) of \(rows.count - 1) found")
    if escaped > 0 { throw ExitCode(1) }
  }
}
