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

  @Option(
    help: """
      Hidden units times a factor, their outgoing weights over it: the same network on other conductances. diagonal chooses the factors with \
      which errors of cells matter least, and numbers (1,0.8,…, one a unit) are taken as they are. Default: none.
      """)
  var rescale: Rescale?

  enum Rescale: ExpressibleByArgument, Hashable {
    case none, diagonal
    case factors([Double])

    init?(argument: String) {
      switch argument {
      case "none": self = .none
      case "diagonal": self = .diagonal
      default:
        let factors = argument.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
        guard factors.allSatisfy({ ($0 ?? 0) > 0 && ($0 ?? .infinity).isFinite }) else { return nil }
        self = .factors(factors.compactMap { $0 })
      }
    }

    static var allValueStrings: [String] { ["none", "diagonal"] }
  }

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

  /// With what a model, a board and its chip make of `--rescale`.
  func options(for model: ScoreModel, on board: Board, _ profile: ChipProfile) throws -> MappingOptions {
    var options = plainOptions
    switch rescale {
    case nil, .some(.none): break
    case .diagonal:
      options.hiddenScale = try DiagonalRescale(
        model, on: board.boardDescription, window: board.limits.conductance, options: options, profile: profile,
        tolerance: profile.programming.tolerance
      ).factors
    case .factors(let factors):
      guard factors.count == model.network.hiddenSize else {
        throw CommandError(
          message:
            "--rescale: \(factors.count) factors, '\(model.name)' has \(model.network.hiddenSize) hidden units a layer",
          exitCode: ExitStatus.usage)
      }
      options.hiddenScale = factors
    }
    if let factors = options.hiddenScale { try model.checkRescale(factors, on: board.boardDescription) }
    return options
  }

  private var plainOptions: MappingOptions {
    var options = MappingOptions()
    options.pairs = pairs
    options.scale = scale
    options.replicas = replicas.value
    options.residuals = residual
    options.levels = levels
    return options
  }

  /// True if any of them differs from its default.
  var isGiven: Bool { plainOptions != MappingOptions() || rescale != nil }

  /// Takes the settings of an interrupted run.
  mutating func adopt(_ settings: [String: String]) {
    replicas = settings["replicas"].flatMap(Replicas.init(argument:)) ?? replicas
    scale = settings["scale"].flatMap(MappingOptions.Scale.init(rawValue:)) ?? scale
    pairs = settings["pairs"].flatMap(MappingOptions.Pairs.init(rawValue:)) ?? pairs
    residual = settings["residual"]?.split(separator: " ").compactMap { Double($0) } ?? []
    levels = settings["levels"].flatMap { Int($0) }
    rescale = settings["hiddenScale"].flatMap(Rescale.init(argument:))
  }

  /// As a run's manifest keeps them.
  static func settings(_ options: MappingOptions) -> [(String, String)] {
    [
      ("replicas", Replicas(value: options.replicas).text), ("scale", options.scale.rawValue),
      ("pairs", options.pairs.rawValue), ("residual", options.residuals.map { "\($0)" }.joined(separator: " ")),
      ("levels", options.levels.map { "\($0)" } ?? "any"),
      ("hiddenScale", options.hiddenScale.map { $0.map { "\($0)" }.joined(separator: ",") } ?? "none"),
    ]
  }
}

extension MappingOptions.Scale: ExpressibleByArgument {}
extension MappingOptions.Pairs: ExpressibleByArgument {}
