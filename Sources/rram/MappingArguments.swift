public import ArgumentParser
public import RRAMKit

/// Options of verbs that put weights on cells.
struct MappingArguments: ParsableArguments {
  @Option(
    help: "Rows that each input drives, so that as many cells share a weight: a number, or 'most' for as many as fit.")
  var replicas: Replicas = .rows(1)

  @Option(help: "What shares one scale: layer, or column for one scale an output.")
  var scale: MappingOptions.Scale = .layer

  @Option(
    help: """
      one-sided: a partner at the window's lower end; balanced: both cells move; sparse: only as many cells conduct as a weight needs.
      """)
  var pairs: MappingOptions.Pairs = .oneSided

  @Option(
    parsing: .upToNextOption,
    help: "Attenuations of further rows whose cells make good the error of the others, e.g. 0.25.")
  var residual: [Double] = []

  @Option(help: "Conductances a cell may be given, equally spaced over the window. Default: any.")
  var levels: Int?

  struct Replicas: ExpressibleByArgument {
    var value: MappingOptions.Replicas

    static func rows(_ count: Int) -> Replicas { Replicas(value: .rows(count)) }

    init(value: MappingOptions.Replicas) { self.value = value }

    init?(argument: String) {
      if argument == "most" {
        value = .most
      } else if let count = Int(argument), count > 0 {
        value = .rows(count)
      } else {
        return nil
      }
    }

    var defaultValueDescription: String { text }
    static var allValueStrings: [String] { ["1", "2", "4", "most"] }

    var text: String {
      switch value {
      case .rows(let count): "\(count)"
      case .most: "most"
      }
    }
  }

  func validate() throws {
    if let levels, levels < 2 { throw ValidationError("--levels \(levels): at least 2 are needed") }
    if let factor = residual.first(where: { !($0 > 0 && $0 <= 1) }) {
      throw ValidationError("--residual \(factor): an attenuation above 0 and up to 1 is needed")
    }
  }

  var options: MappingOptions {
    var options = MappingOptions()
    options.pairs = pairs
    options.scale = scale
    options.replicas = replicas.value
    options.residuals = residual
    options.levels = levels
    return options
  }

  /// True if any of them differs from its default.
  var isGiven: Bool { options != MappingOptions() }

  /// Takes the settings of an interrupted run.
  mutating func adopt(_ settings: [String: String]) {
    replicas = settings["replicas"].flatMap(Replicas.init(argument:)) ?? replicas
    scale = settings["scale"].flatMap(MappingOptions.Scale.init(rawValue:)) ?? scale
    pairs = settings["pairs"].flatMap(MappingOptions.Pairs.init(rawValue:)) ?? pairs
    residual = settings["residual"]?.split(separator: " ").compactMap { Double($0) } ?? []
    levels = settings["levels"].flatMap { Int($0) }
  }

  /// As a run's manifest keeps them.
  static func settings(_ options: MappingOptions) -> [(String, String)] {
    [
      ("replicas", Replicas(value: options.replicas).text), ("scale", options.scale.rawValue),
      ("pairs", options.pairs.rawValue), ("residual", options.residuals.map { "\($0)" }.joined(separator: " ")),
      ("levels", options.levels.map { "\($0)" } ?? "any"),
    ]
  }
}

extension MappingOptions.Scale: ExpressibleByArgument {}
extension MappingOptions.Pairs: ExpressibleByArgument {}
