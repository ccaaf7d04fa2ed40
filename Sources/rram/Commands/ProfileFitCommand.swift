import ArgumentParser
import Foundation
import RRAMKit

struct ProfileFitCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fit", abstract: "Fit a chip profile to a characterization: emulate that chip.",
    discussion: """
      The steps forming, switching, relaxation and retention give the numbers that they measured, with 95 % intervals; what was not measured \
      keeps the value of the base profile, whose spreads of end points, traps and fast noise the fits reckon with. 'rram … --board emu:profile=./mychip.yaml' emulates the result.
      """)

  @Argument(help: "Name of the run, the beginning of it, or its folder.")
  var run: String

  @Option(name: .shortAndLong, help: "The profile: a .yaml file.")
  var output: String?

  @Option(help: "Profile whose laws are fitted. Default: the one that the run's chip names.")
  var base: String?

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if let output, !output.hasSuffix(".yaml") { throw ValidationError("-o \(output): profiles are .yaml files") }
  }

  func run() async throws {
    try checkWritable(output)
    let folder = try runFolder(run)
    let manifest = try RunManifest.read(from: folder)
    guard CharacterizationReport.Provenance(of: manifest) != .imported else {
      throw CommandError(
        message:
          "\(folder.path): was imported: a profile is fitted to the forming, pulses and reads after a write of a run of our own, and a file of cells does not hold them",
        exitCode: ExitStatus.badInput)
    }
    let named = base ?? manifest.chip?.profile
    guard let named, !named.isEmpty else {
      throw CommandError(
        message: "the run does not say what profile its chip has",
        hint: "name the one whose laws are fitted: --base NAME or FILE",
        exitCode: ExitStatus.usage)
    }
    let profile = try ChipProfile.load(nameOrPath: named)
    let fit = try ChipFit(of: folder, base: profile)
    guard !fit.coefficients.isEmpty else {
      throw CommandError(
        message:
          "\(folder.path): has no finished step that a profile can be fitted to (forming, switching, relaxation, retention)",
        exitCode: ExitStatus.failure)
    }
    if let output {
      let name = URL(filePath: output).deletingPathExtension().lastPathComponent
      let fitted = try fit.profile(named: name, from: profile)
      try AtomicFile.write(Array(fitted.document.utf8), to: output)
    }
    try answer(ProfileFitOutput(fit: fit, file: output), json: common.json)
  }
}

struct ProfileFitOutput: CommandOutput {
  var fit: ChipFit
  var file: String?

  func encode(to encoder: any Encoder) throws {
    try fit.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encodeIfPresent(file, forKey: .file)
  }

  private enum CodingKeys: CodingKey { case file }

  var text: String {
    let rows = fit.coefficients.flatMap { coefficient in
      coefficient.values.indices.map { place in
        [
          coefficient.key
            + (coefficient.values.count > 1 ? " at \(fit.levelsMicrosiemens[place].formatted(digits: 3)) µS" : ""),
          coefficient.values[place].formatted(digits: 4),
          "\(coefficient.low[place].formatted(digits: 3)) … \(coefficient.high[place].formatted(digits: 3))",
          coefficient.unit == "1" ? "" : coefficient.unit, "\(coefficient.n)",
        ]
      }
    }
    return table([["fitted", "value", "95 % interval", "unit", "n"]] + rows)
      + "\nbase \(fit.base)" + (file.map { "; written: \($0)" } ?? "")
  }
}
