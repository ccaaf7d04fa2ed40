import ArgumentParser
import RRAMKit

struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Read what was programmed again and compare it with its targets.")

  @Option(help: "Conversions averaged per cell.")
  var averages = 1

  @Option(help: "Exit with 3 if less than this share of the cells is still in tolerance, %. Default: never.")
  var minInTolerance: Double?

  @OptionGroup var options: BoardOptions
  @OptionGroup var runOptions: RunOptions

  func validate() throws {
    if let minInTolerance, !(0...100).contains(minInTolerance) {
      throw ValidationError("--min-in-tolerance \(minInTolerance): a percentage is needed")
    }
    guard (1...4096).contains(averages) else {
      throw ValidationError("--averages \(averages): 1 to 4096 are possible")
    }
  }

  func run() async throws {
    let output = try await withRecordedBoard(options, runOptions, settings: ["averages": "\(averages)"]) {
      board, record in
      let program = try await ProgramRecord.find(on: board, home: RecordsHome())
      let (report, conductances) = try await board.verify(program, averages: averages)
      for (layer, values) in zip(program.plan.layers, conductances) {
        try record.events.append(
          values.enumerated().map {
            .init(
              "verify", cell: layer.block.address(at: $0), target: Siemens(Double(layer.targets[$0])),
              conductance: Siemens(Double($1)), reads: averages)
          })
      }
      return VerifyOutput(report: report, minInTolerance: minInTolerance)
    }
    try answer(output, json: options.common.json)
  }
}

struct VerifyOutput: CommandOutput {
  var report: VerifyReport
  var minInTolerance: Double?

  func encode(to encoder: any Encoder) throws { try report.encode(to: encoder) }

  var exitStatus: Int32 {
    guard let minInTolerance else { return 0 }
    return Double(report.inTolerance) * 100 < minInTolerance * Double(report.cells) ? ExitStatus.outOfTolerance : 0
  }

  var text: String {
    let aim =
      report.strategy == .pairAware
      ? "in pairs whose difference is within ±\(report.tolerance.formatted(digits: 3)) µS of its target (written pair-aware)"
      : "within ±\(report.tolerance.formatted(digits: 3)) µS of their targets"
    let difference =
      report.difference.map {
        "\nerror of G+ − G− \($0.mean.formatted(digits: 2)) ± \($0.std.formatted(digits: 3)) µS, 99 % within \($0.p99.formatted(digits: 3)) µS"
      } ?? ""
    return """
      '\(report.model)': \(report.inTolerance) of \(report.cells) cells \(aim)
      error \(report.error.mean.formatted(digits: 2)) ± \(report.error.std.formatted(digits: 3)) µS, 99 % within \(report.error.p99.formatted(digits: 3)) µS\(difference)
      weight error \(report.weightErrorPercent.formatted(digits: 3)) % of the largest weight (rms)
      """
  }
}
