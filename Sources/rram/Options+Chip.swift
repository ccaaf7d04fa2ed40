import ArgumentParser
import RRAMKit

/// Options of verbs that form or program.
struct ChipOptions: ParsableArguments {
  @Option(help: "Chip profile whose pulses are used. Default: the one that the board names.")
  var profile: String?

  @OptionGroup var allowed: AllowOptions

  /// The profile that the command line or an emulated board's address names; to be read before the board is opened.
  func namedProfile(at address: BoardAddress) throws -> ChipProfile? {
    if let profile { return try ChipProfile.load(nameOrPath: profile) }
    if case .emulated(let chip) = address { return try ChipProfile.load(nameOrPath: chip.profile) }
    return nil
  }

  /// The profile of the chip that a board says it carries.
  static func profile(of board: Board) throws -> ChipProfile {
    guard !board.info.chipProfile.isEmpty else {
      throw CommandError(
        message: "board \(board.address) does not say what chip it carries",
        hint: "name its profile: --profile NAME or FILE", exitCode: ExitStatus.failure)
    }
    return try ChipProfile.load(nameOrPath: board.info.chipProfile)
  }
}

extension ScoreModel {
  /// The shipped model of that name, or the one in a file; says if metadata had to be assumed.
  static func open(_ nameOrPath: String, _ common: CommonOptions) throws -> ScoreModel {
    let model = try ModelLibrary.scoreModel(nameOrPath)
    if let warning = model.warning, !common.quiet { note("warning: \(warning)") }
    return model
  }

  /// Where this model goes on a board, away from cells that are known to be bad.
  func plan(for board: Board, mapping: MappingOptions = MappingOptions(), known: KnownCells) throws -> MappingPlan {
    try MappingPlan(
      network, on: board.boardDescription, window: board.limits.conductance, options: mapping, known: known,
      amplifiers: board.loopCalibration)
  }
}
