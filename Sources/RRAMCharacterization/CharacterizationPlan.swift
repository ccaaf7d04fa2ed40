internal import Foundation
public import RRAMProfiles

/// What to measure, step by step: a YAML document.
///
/// ```yaml
/// name: quick
/// summary: what it is for
/// steps:
///   - forming:
///   - readNoise: {cells: 64, reads: 1024}
///   - relaxation: {cells: 512, until: 1000 s}
/// ```
/// Every setting has a default; numbers with a dimension carry their unit.
public struct CharacterizationPlan: Sendable {
  public var name: String
  public var summary: String
  public var steps: [any Procedure]
  /// The file as errors name it, and the line of every step.
  private var file: String
  private var lines: [Int]
  /// The YAML text itself: it goes into the record.
  public var document: String
  /// SHA-256 of the text, lower-case hex.
  public var hash: String

  /// Procedures by the key that names them in a plan.
  static let procedures: [any PlanStep.Type] = [
    ConverterCalibration.self, BringUp.self, ContactTest.self, Forming.self, IVSweep.self, Switching.self,
    PulseResponse.self, LevelProgramming.self, RelaxationSeries.self, Retention.self, ReadNoiseSeries.self,
    Endurance.self, Disturb.self, MatrixProductTest.self, LoopGains.self, ArrayMap.self,
  ]

  /// Reads a plan.
  ///
  /// - Parameter file: the name that errors give.
  /// - Throws: `ProfileError` with file and line: unknown keys, missing units, values out of range.
  public init(yaml text: String, file: String) throws(ProfileError) {
    let reader = ProfileReader(file: file)
    let root = try reader.root(of: text, required: ["name", "steps"], optional: ["summary"])
    name = try root.text("name")
    summary = root.has("summary") ? try root.text("summary") : ""
    var keys: [String: [String]] = [:]
    for procedure in Self.procedures { keys[procedure.name] = procedure.settingNames }
    steps = []
    lines = []
    self.file = file
    for (name, settings, line) in try root.items("steps", among: keys) {
      guard let procedure = Self.procedures.first(where: { $0.name == name }) else { continue }
      steps.append(try procedure.init(settings))
      lines.append(line ?? 0)
    }
    document = text
    hash = ProfileDocument.hash(of: text)
  }

  /// Where a step stands: `mine.yaml:4: steps[2].forming`.
  func place(of step: Int) -> String {
    "\(file):\(lines[step]): steps[\(step + 1)].\(type(of: steps[step]).name)"
  }

  /// The shipped plan of that name, or the one in a file (anything with a slash or ending in `.yaml`).
  public static func load(nameOrPath: String) throws(ProfileError) -> CharacterizationPlan {
    if ProfileDocument.isPath(nameOrPath) {
      return try CharacterizationPlan(yaml: ProfileDocument.read(path: nameOrPath), file: nameOrPath)
    }
    if procedureNames.contains(nameOrPath) { return try step(nameOrPath) }
    guard let url = Bundle.module.url(forResource: nameOrPath, withExtension: "yaml", subdirectory: "plans") else {
      throw ProfileError(
        code: .unknownName, file: "plan", reason: "there is no '\(nameOrPath)'",
        validChoices: shippedNames + procedureNames)
    }
    return try CharacterizationPlan(yaml: ProfileDocument.read(path: url.path), file: nameOrPath)
  }

  /// A plan of one step.
  ///
  /// - Parameters:
  ///   - procedure: the key that names it in a plan.
  ///   - settings: keys with their values as YAML has them (`until`, `100 s`).
  /// - Throws: `ProfileError` as for a file, with `unknownName` for a procedure that is none.
  public static func step(
    _ procedure: String, settings: [(key: String, value: String)] = []
  ) throws(ProfileError) -> CharacterizationPlan {
    guard procedureNames.contains(procedure) else {
      throw ProfileError(
        code: .unknownName, file: "plan", reason: "there is no '\(procedure)'",
        validChoices: shippedNames + procedureNames)
    }
    let lines = settings.map { "      \($0.key): \($0.value)\n" }.joined()
    do {
      return try CharacterizationPlan(
        yaml: "name: \(procedure)\nsteps:\n  - \(procedure):\n\(lines)", file: procedure)
    } catch {
      // The lines are those of a plan that nobody wrote.
      var error = error
      error.line = nil
      throw error
    }
  }

  /// Keys that name a step of a plan.
  public static var procedureNames: [String] { procedures.map { $0.name } }

  /// The steps that a plan can have, and the settings of each: what plans are read by.
  public static var describedSteps: [(name: String, title: String, settings: [StepSetting])] {
    procedures.map { ($0.name, $0.title, $0.describedSettings) }
  }

  public static var shippedNames: [String] {
    Bundle.module.paths(forResourcesOfType: "yaml", inDirectory: "plans")
      .map { URL(filePath: $0).deletingPathExtension().lastPathComponent }.sorted()
  }
}
