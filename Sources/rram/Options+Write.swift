public import ArgumentParser
public import RRAMKit

/// Options of verbs that write cells to targets.
struct WriteArguments: ParsableArguments {
  @Option(
    help: """
      How pulses are chosen: ispp (amplitudes climb), gate-ramp and fixed-gate (attempts with a RESET, published for several bits a cell), \
      response (computed from the chip's response and its own history: coarse by that table, fine by the cell's own moves), or pair-aware \
      (as response, but only the difference of a pair counts, and its cell with more room moves; verb program). Default: ispp.
      """)
  var strategy: WriteStrategyName?

  @Option(help: "Who chooses them: the board in one request, or the host with pulse and read requests.")
  var decide: WriteRunner = .board

  @Option(help: "Further reads before a cell is accepted, one a round; every one must pass.")
  var confirm: Int?

  @Flag(help: "Of the confirming reads the mean must pass, and none is taken where it cannot change the answer.")
  var confirmMean = false

  @Option(help: "Largest number of pulses a cell. Default: the chip profile's.")
  var maximumPulses: Int?

  @Option(help: "Largest number of changes of direction a cell. Default: the chip profile's.")
  var maximumReversals: Int?

  @Option(help: "Largest energy a cell may take in one write, nJ, estimated from its reads. Default: no cap.")
  var maximumEnergy: Double?

  @Option(help: "Largest number of SET–RESET cycles a cell may take in one write, as its reads show. Default: no cap.")
  var maximumCycles: Double?

  @Option(
    parsing: .unconditional,
    help: "Largest amplitude of a pulse, on bit and source lines, V. Default: the ends of the chip profile's ramps.")
  var maximumVoltage: Double?

  func validate() throws {
    if let maximumVoltage, !(maximumVoltage > 0 && maximumVoltage.isFinite) {
      throw ValidationError("--maximum-voltage \(maximumVoltage): V above 0 are needed")
    }
    if let confirm, !(0...1024).contains(confirm) {
      throw ValidationError("--confirm \(confirm): 0 to 1024 are possible")
    }
    if confirmMean, confirm == nil { throw ValidationError("--confirm-mean needs --confirm") }
    if let maximumPulses, maximumPulses < 1 {
      throw ValidationError("--maximum-pulses \(maximumPulses): at least 1 is needed")
    }
    if let maximumReversals, maximumReversals < 0 {
      throw ValidationError("--maximum-reversals \(maximumReversals): 0 or more are possible")
    }
    if let maximumEnergy, !(maximumEnergy > 0 && maximumEnergy.isFinite) {
      throw ValidationError("--maximum-energy \(maximumEnergy): nJ above 0 are needed")
    }
    if let maximumCycles, !(maximumCycles > 0 && maximumCycles.isFinite) {
      throw ValidationError("--maximum-cycles \(maximumCycles): a number above 0 is needed")
    }
  }

  /// The method that these options make of a profile's.
  func method(_ profile: ChipProfile) throws -> WriteMethod {
    var method = WriteMethod(profile, strategy ?? .ispp)
    method.runner = decide
    if let confirm {
      method.confirmReads = confirm
      method.confirmMean = confirmMean
    }
    if let maximumPulses { method.maximumPulses = maximumPulses }
    if let maximumReversals { method.maximumReversals = maximumReversals }
    method.maximumEnergy = maximumEnergy.map { Joules($0 * 1e-9) }
    method.maximumCycles = maximumCycles
    if let maximumVoltage { method.limitAmplitude(to: Volts(maximumVoltage)) }
    return method
  }

  func settings(_ method: WriteMethod) -> [(String, String)] {
    [
      ("strategy", method.strategy.rawValue), ("decide", method.runner.rawValue),
      ("confirmReads", "\(method.confirmReads)"), ("confirmMean", "\(method.confirmMean)"),
      ("maximumPulses", "\(method.maximumPulses)"), ("maximumReversals", "\(method.maximumReversals)"),
      ("maximumEnergy_nJ", maximumEnergy.map { "\($0)" } ?? ""), ("maximumCycles", maximumCycles.map { "\($0)" } ?? ""),
      ("maximumVoltage_V", maximumVoltage.map { "\($0)" } ?? ""),
    ]
  }

  /// Takes the settings of an interrupted run.
  mutating func adopt(_ settings: [String: String]) {
    strategy = settings["strategy"].flatMap(WriteStrategyName.init(rawValue:))
    decide = settings["decide"].flatMap(WriteRunner.init(rawValue:)) ?? .board
    confirm = settings["confirmReads"].flatMap { Int($0) }
    confirmMean = settings["confirmMean"] == "true"
    maximumPulses = settings["maximumPulses"].flatMap { Int($0) }
    maximumReversals = settings["maximumReversals"].flatMap { Int($0) }
    maximumEnergy = settings["maximumEnergy_nJ"].flatMap { Double($0) }
    maximumCycles = settings["maximumCycles"].flatMap { Double($0) }
    maximumVoltage = settings["maximumVoltage_V"].flatMap { Double($0) }
  }
}

/// Options of writing again what has drifted off.
struct RetryArguments: ParsableArguments {
  @Option(help: "How often, after a wait, cells that have drifted off are written again.")
  var retry = 0

  @Option(help: "Chip time before each time: 1s, 60s.", transform: parseDuration)
  var retryWait: Duration = .seconds(60)

  @Option(help: "Distance from the target that is left alone, µS. Default: one and a half times the verify window.")
  var retryTolerance: Double?

  @Flag(
    help: """
      Cancel the error that a weight's cells have left, in sequence: make its sum right by one of them, the one with more room, and leave \
      the others. The strategy pair-aware does so by itself.
      """)
  var retryCancel = false

  func validate() throws {
    guard (0...1000).contains(retry) else { throw ValidationError("--retry \(retry): 0 to 1000 are possible") }
    if let retryTolerance, !(retryTolerance > 0 && retryTolerance.isFinite) {
      throw ValidationError("--retry-tolerance \(retryTolerance): µS above 0 are needed")
    }
    if retry == 0, retryTolerance != nil || retryCancel {
      throw ValidationError("--retry-tolerance and --retry-cancel need --retry")
    }
  }

  func retry(tolerance: Siemens) -> WriteRetry? {
    guard retry > 0 else { return nil }
    return WriteRetry(
      epochs: retry, wait: retryWait, tolerance: retryTolerance.map { .microsiemens($0) } ?? 1.5 * tolerance,
      cancels: retryCancel)
  }

  var settings: [(String, String)] {
    [
      ("retry", "\(retry)"), ("retryWait_s", "\(retryWait.seconds)"),
      ("retryTolerance_uS", retryTolerance.map { "\($0)" } ?? ""), ("retryCancel", "\(retryCancel)"),
    ]
  }

  /// Takes the settings of an interrupted run.
  mutating func adopt(_ settings: [String: String]) {
    retry = settings["retry"].flatMap { Int($0) } ?? 0
    retryWait = settings["retryWait_s"].flatMap { Double($0) }.map { .seconds($0) } ?? retryWait
    retryTolerance = settings["retryTolerance_uS"].flatMap { Double($0) }
    retryCancel = settings["retryCancel"] == "true"
  }
}

extension WriteStrategyName: ExpressibleByArgument {}
extension WriteRunner: ExpressibleByArgument {}
