import ArgumentParser
import Foundation
import RRAMKit

struct SweepCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep", abstract: "I–V curves of cells: a staircase below the limit of reads, and pulsed sweeps.",
    discussion: """
      The staircase reads cells at rising voltages. The pulsed sweep gives RESET and then SET pulses of rising amplitude with a read after \
      each, within the profile's ramps; --compliance ends the SET sweep of a cell whose current at the amplitude given would exceed it. \
      Results, pictures and the report lie in the run's folder, as for 'rram characterize ivSweep'.
      """)

  @Option(
    parsing: .upToNextOption,
    help: "Cells as ROW:COLUMN; for a whole row or column ROW: or :COLUMN. Default: 16 over the macro.")
  var cells: [String] = []

  @Option(help: "Which macro of the board.")
  var macro = 0

  @Option(help: "Pulsed sweeps of each cell; 0: the staircase only.")
  var cycles = 10

  @Option(help: "Voltages of the staircase.")
  var points = 15

  @Option(help: "Last voltage of the staircase, as '0.2 V'. Default: as far as reads may go.")
  var until: String?

  @Option(help: "Largest current at the amplitude given, as '100 µA'. Default: none.")
  var compliance: String?

  @Option(name: .shortAndLong, help: "Folder of the record and the report. Default: a new one below $RRAM_HOME/runs.")
  var output: String?

  @OptionGroup var chip: ChipOptions
  @OptionGroup var surroundings: SurroundingsOptions
  @OptionGroup var options: BoardOptions
  @OptionGroup var link: LinkOptions
  @OptionGroup var trigger: TriggerOptions

  func validate() throws {
    for cell in cells where CellPattern(cell) == nil {
      throw ValidationError("--cells \(cell): expected ROW:COLUMN, ROW: or :COLUMN")
    }
  }

  func run() async throws {
    var settings = [(key: "cycles", value: "\(cycles)"), (key: "points", value: "\(points)")]
    if !cells.isEmpty { settings.append(("cells", "65536")) }
    if let until { settings.append(("until", until)) }
    if let compliance { settings.append(("compliance", compliance)) }
    let plan = try CharacterizationPlan.step("ivSweep", settings: settings)
    var command = try CharacterizeCommand.parse(["ivSweep"])
    command.macro = macro
    command.only = cells
    command.chip = chip
    command.surroundings = surroundings
    command.options = options
    command.link = link
    command.trigger = trigger
    let address = try options.address()
    try await command.characterize(
      plan, earlier: nil, folder: output.map { URL(filePath: $0, directoryHint: .isDirectory) }, at: address,
      try chip.namedProfile(at: address))
  }
}
