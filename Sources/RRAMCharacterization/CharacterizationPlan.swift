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
  /// The YAML text itself: it goes into the record.
  public var document: String
  /// SHA-256 of the text, lower-case hex.
  public var hash: String

  /// Procedures by the key that names them in a plan.
  static let procedures: [any PlanStep.Type] = [
    ContactTest.self, Forming.self, Switching.self, PulseResponse.self, LevelProgramming.self, RelaxationSeries.self,
    ReadNoiseSeries.self, MatrixProductTest.self, ArrayMap.self,
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
    for procedure in Self.procedures { keys[procedure.name] = procedure.settings }
    steps = []
    for (name, settings) in try root.items("steps", among: keys) {
      guard let procedure = Self.procedures.first(where: { $0.name == name }) else { continue }
      steps.append(try procedure.init(settings))
    }
    document = text
    hash = ProfileDocument.hash(of: text)
  }

  /// The shipped plan of that name, or the one in a file (anything with a slash or ending in `.yaml`).
  public static func load(nameOrPath: String) throws(ProfileError) -> CharacterizationPlan {
    if ProfileDocument.isPath(nameOrPath) {
      return try CharacterizationPlan(yaml: ProfileDocument.read(path: nameOrPath), file: nameOrPath)
    }
    guard let url = Bundle.module.url(forResource: nameOrPath, withExtension: "yaml", subdirectory: "plans") else {
      throw ProfileError(
        code: .unknownName, file: "plan", reason: "there is no '\(nameOrPath)'", validChoices: shippedNames)
    }
    return try CharacterizationPlan(yaml: ProfileDocument.read(path: url.path), file: nameOrPath)
  }

  public static var shippedNames: [String] {
    Bundle.module.paths(forResourcesOfType: "yaml", inDirectory: "plans")
      .map { URL(filePath: $0).deletingPathExtension().lastPathComponent }.sorted()
  }
}
