import ArgumentParser
import RRAMKit

struct ProfileNoiseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "noise", abstract: "Print how far cells stand off their targets at an age, by conductance.",
    discussion: """
      σ of G − target: the verify window, its reads' noise in it, and the relaxation since the write. --json is what \
      'tools/train/train --noise FILE' trains a network for.
      """)

  @Argument(help: "Chip profile: a shipped name or a YAML file, for example one fitted to a chip.")
  var name: String

  @Option(help: "Time since the write: 1s, 600s, 1d.", transform: parseDuration)
  var age: Duration = .seconds(600)

  @Option(parsing: .unconditional, help: "Half width of the verify window, µS. Default: the profile's.")
  var tolerance: Double?

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if let tolerance, !(tolerance > 0 && tolerance.isFinite) {
      throw ValidationError("--tolerance \(tolerance): µS above 0 are needed")
    }
  }

  func run() async throws {
    let profile = try ChipProfile.load(nameOrPath: name)
    try answer(
      ProfileNoiseOutput(profile, age: age, tolerance: tolerance.map { .microsiemens($0) }), json: common.json)
  }
}

struct ProfileNoiseOutput: CommandOutput {
  var profile: String
  var sha256: String
  /// Seconds, microsiemens.
  var age: Double
  var tolerance: Double
  var conductance: [Double]
  var sigma: [Double]

  enum CodingKeys: String, CodingKey {
    case profile, sha256
    case age = "age_s"
    case tolerance = "tolerance_uS"
    case conductance = "conductance_uS"
    case sigma = "sigma_uS"
  }

  init(_ profile: ChipProfile, age: Duration, tolerance: Siemens?) {
    self.profile = profile.name
    sha256 = profile.hash
    self.age = age.seconds
    let tolerance = tolerance ?? profile.programming.tolerance
    self.tolerance = tolerance.microsiemens
    let window = profile.cells.conductance
    let levels = (0...16).map { window.lowerBound + Double($0) / 16 * (window.upperBound - window.lowerBound) }
    conductance = levels.map(\.microsiemens)
    sigma = levels.map { profile.targetError(after: age, at: $0, tolerance: tolerance).microsiemens }
  }

  var text: String {
    "\(profile), \(age.formatted(digits: 4)) s after writing to ±\(tolerance.formatted(digits: 3)) µS\n"
      + table(
        [["conductance (µS)", "σ of G − target (µS)"]]
          + zip(conductance, sigma).map { [$0.formatted(digits: 4), $1.formatted(digits: 3)] })
  }
}
