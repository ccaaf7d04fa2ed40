import ArgumentParser
import Foundation
import RRAMKit

@main struct Soak: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "soak",
    abstract: "Break links, firmware and hosts on purpose, and look what becomes of chip and results.",
    subcommands: [CampaignCommand.self, KillCommand.self, MutantsCommand.self, HoursCommand.self])
}

/// A line of a table, its columns padded to the widest.
func table(_ rows: [[String]]) -> String {
  let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
  return rows.map { row in
    row.enumerated().map { column, text in
      let padding = String(repeating: " ", count: widths[column] - text.count)
      return column == 0 ? text + padding : padding + text
    }.joined(separator: "  ")
  }.joined(separator: "\n")
}

/// Something that must never happen did.
struct Breach: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// A small board with a chip of `ideal` cells: what is read is what is there, so results can be compared to the last bit of a converter.
struct Bench {
  let folder: URL
  let model: ScoreModel
  let profile: ChipProfile
  let description: BoardDescription

  init(watchdog: String = "400 ms", profile name: String = "ideal") throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "rram-soak-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    profile = try ChipProfile.named(name)
    var text = try BoardDescription.named("parallel").document
    for (key, value) in [
      ("  rows:", "{value: 8, unit: \"1\", assumed: small}"), ("  columns:", "{value: 8, unit: \"1\", assumed: small}"),
      ("  simultaneousColumns:", "{value: 8, unit: \"1\", assumed: small}"),
      ("  maximumRequestBytes:", "{value: 1024, unit: B, assumed: the least}"),
      ("  maximumResponseBytes:", "{value: 4096, unit: B, assumed: the least}"),
      (
        "  watchdog:",
        "{value: \(watchdog.split(separator: " ")[0]), unit: \(watchdog.split(separator: " ")[1]), assumed: short}"
      ),
    ] {
      text = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
        line.hasPrefix(key) ? "\(key) \(value)" : String(line)
      }.joined(separator: "\n")
    }
    description = try BoardDescription(yaml: text, file: "soak")
    // 2→4→4→2: 84 cells.
    var generator = PhiloxStream(seed: 7, stream: (0, 0, 0))
    func layer(_ outputs: Int, _ inputs: Int) -> ScoreNetwork.Layer {
      ScoreNetwork.Layer(
        outputs: outputs, inputs: inputs,
        weight: (0..<outputs * inputs).map { _ in Float(generator.uniform()) - 0.5 },
        bias: (0..<outputs).map { _ in Float(generator.uniform()) * 0.2 - 0.1 })
    }
    let network = ScoreNetwork(
      layers: [layer(4, 2), layer(4, 4), layer(2, 4)], timeFrequencies: [0.5, 1], amplitude: 5)
    var file = SafetensorsWriter(metadata: ModelMetadata.published(conditional: false).dictionary)
    for tensor in network.tensors { file.add(tensor.values, shape: tensor.shape, as: tensor.key) }
    let path = folder.appending(path: "small.safetensors").path
    try file.write(to: path)
    model = try ModelLibrary.scoreModel(path)
  }

  func remove() { try? FileManager.default.removeItem(at: folder) }

  func board(state: String, clock: LinkClock = .monotonic) throws -> EmulatedBoard {
    try EmulatedBoard(
      profile: profile, board: description,
      configuration: .init(seed: 5, stateFile: state, clock: clock, threads: 1))
  }
}
