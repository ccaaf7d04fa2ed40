import ArgumentParser
import Foundation
import RRAMKit

struct ReadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "read", abstract: "Read the conductances of a macro.")

  @Option(help: "Which macro, from 0.")
  var macro = 0

  @Option(help: "Conversions averaged per cell.")
  var averages = 1

  @Option(
    name: .shortAndLong, help: "Also write the conductances to this .npy file, siemens, float32, (rows, columns).")
  var output: String?

  @OptionGroup var options: BoardOptions
  @OptionGroup var runOptions: RunOptions

  func validate() throws {
    try checkEnding(output, of: "-o", ".npy")
    guard macro >= 0 else { throw ValidationError("--macro \(macro): macros count from 0") }
    guard (1...4096).contains(averages) else {
      throw ValidationError("--averages \(averages): 1 to 4096 are possible")
    }
  }

  func run() async throws {
    try checkWritable(output)
    let settings = ["macro": "\(macro)", "averages": "\(averages)"]
    let result = try await withRecordedBoard(options, runOptions, settings: settings) { board, record in
      let block = CellBlock(macro: macro, shape: board.boardDescription.macros.shape)
      let before = await board.statistics.requests
      let conductances = try await board.read(block, bias: board.defaultReadBias(averages: averages))
      let requests = await board.statistics.requests - before
      try record.events.append(
        conductances.enumerated().map {
          .init("read", cell: block.address(at: $0), conductance: Siemens(Double($1)), reads: averages)
        })
      let array = NPYArray(conductances, shape: [block.shape.rows, block.shape.columns])
      try array.write(to: record.file("conductances.npy").path)
      if let output { try array.write(to: output) }
      return ReadOutput(block: block, conductances: conductances, requests: requests, file: output)
    }
    try answer(result, json: options.common.json)
  }
}

struct ReadOutput: CommandOutput {
  var macro: Int
  var cells: Int
  var rows: Int
  var columns: Int
  var requests: Int
  /// Microsiemens.
  var minimum: Double
  var median: Double
  var maximum: Double
  /// Microsiemens, a row of the macro each.
  var values: [[Double]]
  var file: String?

  enum CodingKeys: String, CodingKey {
    case macro, cells, rows, columns, requests, file
    case minimum = "minimum_uS"
    case median = "median_uS"
    case maximum = "maximum_uS"
    case values = "conductances_uS"
  }

  init(block: CellBlock, conductances: [Float], requests: Int, file: String?) {
    macro = block.macro
    cells = conductances.count
    rows = block.shape.rows
    columns = block.shape.columns
    self.requests = requests
    let microsiemens = conductances.map { Double($0) * 1e6 }
    let sorted = microsiemens.sorted()
    minimum = sorted.first ?? 0
    median = sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    maximum = sorted.last ?? 0
    values = stride(from: 0, to: microsiemens.count, by: block.shape.columns).map {
      Array(microsiemens[$0..<min($0 + block.shape.columns, microsiemens.count)])
    }
    self.file = file
  }

  var text: String {
    // Ten grey levels between the extremes: a first look; the numbers are in --json and in the run's conductances.npy.
    let levels = Array(" .:-=+*#%@")
    let span = max(maximum - minimum, 1e-9)
    let map = values.map { row in
      String(row.map { levels[min(9, max(0, Int(($0 - minimum) / span * 10)))] })
    }
    return
      (map + [
        "macro \(macro), \(rows)×\(columns): min \(minimum.formatted(digits: 4)), median \(median.formatted(digits: 4)), max \(maximum.formatted(digits: 4)) µS"
      ]).joined(separator: "\n")
  }
}
