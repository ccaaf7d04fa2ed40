import ArgumentParser
import Foundation
import Glibc
import RRAMKit

struct HoursCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hours", abstract: "Keep a board at work for hours of modelled time, and watch the memory.",
    discussion: """
      A small network on a cmo-hfox chip, in one session: every ten minutes of chip time its cells are read against their targets, and \
      samples are drawn; every six hours it is programmed anew. Resident memory after the first tenth of the time is compared with that \
      at the end. Exit code 1 if it grew by more than 5 %.
      """)

  @Argument(help: "Hours of chip time.") var hours = 24.0

  func run() async throws {
    let bench = try Bench(watchdog: "2 s", profile: "cmo-hfox")
    defer { bench.remove() }
    let device = try bench.board(state: bench.folder.appending(path: "die.npz").path)
    let home = RecordsHome(root: bench.folder.appending(path: "home"))
    let steps = max(20, Int(hours * 6))
    let (model, profile) = (bench.model, bench.profile)
    let (early, late, chip, samples, worst) = try await withBoard(InMemoryLink(to: device)) { board in
      let plan = try MappingPlan(model.network, on: board.boardDescription, window: board.limits.conductance)
      _ = try await board.form(plan.layers.map(\.block), options: FormOptions(profile))
      var options = ProgramOptions(profile)
      options.followUp = nil
      var (early, samples, worst) = (0, 0, 0.0)
      for step in 0..<steps {
        if step % 36 == 0 { _ = try await board.program(plan, model: model, options: options, home: home) }
        let session = try await SamplingSession(
          try SamplingProgram(model, seed: 1, firstSample: UInt32(2000 * step)), on: board, home: home)
        try await board.wait(.seconds(600))
        _ = try await session.draw(2000) { samples += $0.count }
        let values = try await board.read(plan)
        for (layer, read) in zip(plan.layers, values) {
          for (target, value) in zip(layer.targets, read) { worst = max(worst, Double(abs(target - value)) * 1e6) }
        }
        if step == steps / 10 { early = Self.residentBytes() }
      }
      return (early, Self.residentBytes(), await board.boardTime.seconds / 3600, samples, worst)
    }
    await device.close()
    let growth = 100 * (Double(late) / Double(early) - 1)
    print(
      "\(String(format: "%.1f", chip)) h of chip time, \(samples) samples, \(steps) verifies (largest drift \(String(format: "%.2f", worst)) µS); "
        + "resident memory \(early >> 10) KiB after a tenth, \(late >> 10) KiB at the end: \(String(format: "%+.2f", growth)) %"
    )
    if growth > 5 { throw ExitCode(1) }
  }

  /// Second field of statm: resident pages.
  private static func residentBytes() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}
