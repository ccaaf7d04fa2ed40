internal import Foundation
internal import RRAMProfiles

/// A setting of a step: how a plan writes it, what it means, and what holds without it. Plans are read by the same list that help is made of.
struct Setting<Step>: Sendable {
  var name: String
  var meaning: String
  /// What may stand there: `1 to 65536`, `a time (s, ms, …)`.
  var values: String
  var read: @Sendable (ProfileSection, inout Step) throws(ProfileError) -> Void
  /// What holds where a step has no value, in words.
  var none: String?
  /// The value of a step as a plan would write it; nil where it has none.
  var text: @Sendable (Step) -> String?

  static func whole(
    _ name: String, _ path: any WritableKeyPath<Step, Int> & Sendable, in range: ClosedRange<Int>, _ meaning: String
  ) -> Self {
    Setting(
      name: name, meaning: meaning, values: "\(range.lowerBound) to \(range.upperBound)",
      read: { section, step throws(ProfileError) in
        step[keyPath: path] = try section.whole(name, in: range, default: step[keyPath: path])
      }, text: { "\($0[keyPath: path])" })
  }

  static func plain(
    _ name: String, _ path: any WritableKeyPath<Step, Double> & Sendable, in range: ClosedRange<Double>,
    _ meaning: String
  ) -> Self {
    Setting(
      name: name, meaning: meaning, values: "\(number(range.lowerBound)) to \(number(range.upperBound))",
      read: { section, step throws(ProfileError) in
        step[keyPath: path] = try section.plain(name, in: range, default: step[keyPath: path])
      }, text: { number($0[keyPath: path]) })
  }

  /// A quantity with its unit, in SI units in the step.
  ///
  /// - Parameter none: what holds where the step has no value.
  static func quantity(
    _ name: String, _ dimension: RRAMProfiles.Dimension, _ meaning: String, none: String? = nil,
    get: @escaping @Sendable (Step) -> Double?, set: @escaping @Sendable (inout Step, Double) -> Void
  ) -> Self {
    Setting(
      name: name, meaning: meaning, values: "a number in \(dimension.symbols)",
      read: { section, step throws(ProfileError) in
        if let value = try section.quantity(name, dimension) { set(&step, value) }
      }, none: none, text: { get($0).map { written($0, dimension) } })
  }

  /// A list of quantities.
  static func quantities(
    _ name: String, _ dimension: RRAMProfiles.Dimension, _ meaning: String, none: String? = nil,
    get: @escaping @Sendable (Step) -> [Double]?, set: @escaping @Sendable (inout Step, [Double]) -> Void
  ) -> Self {
    Setting(
      name: name, meaning: meaning, values: "a list of numbers in \(dimension.symbols)",
      read: { section, step throws(ProfileError) in
        if let values = try section.quantities(name, dimension) { set(&step, values) }
      }, none: none,
      text: { step in
        get(step).map { "[" + $0.map { written($0, dimension) }.joined(separator: ", ") + "]" }
      })
  }

  /// Anything else.
  static func other(
    _ name: String, _ meaning: String, values: String, none: String? = nil,
    text: @escaping @Sendable (Step) -> String?,
    read: @escaping @Sendable (ProfileSection, inout Step) throws(ProfileError) -> Void
  ) -> Self {
    Setting(
      name: name, meaning: meaning, values: values,
      read: { section, step throws(ProfileError) in if section.has(name) { try read(section, &step) } },
      none: none, text: text)
  }

  private static func written(_ value: Double, _ dimension: RRAMProfiles.Dimension) -> String {
    // A share reads best in percent.
    guard let unit = dimension.units.first(where: { $0.symbol != "1" }) else { return number(value) }
    return "\(number(value / unit.factor)) \(unit.symbol)"
  }

  private static func number(_ value: Double) -> String { String(format: "%.6g", value) }
}

/// What help says of a setting.
public struct StepSetting: Sendable, Encodable {
  public var name: String
  /// What holds without it, as a plan would write it; nil where nothing can be written that does.
  public var standard: String?
  /// What holds then, in words.
  public var none: String?
  public var values: String
  public var meaning: String
}

extension PlanStep {
  static var settingNames: [String] { settings.map(\.name) }

  /// What may stand below its name in a plan.
  static var describedSettings: [StepSetting] {
    let standard = Self()
    return settings.map { setting in
      let value = setting.text(standard)
      return .init(
        name: setting.name, standard: value, none: value == nil ? setting.none : nil, values: setting.values,
        meaning: setting.meaning)
    }
  }

  init(_ section: ProfileSection) throws(ProfileError) {
    self.init()
    for setting in Self.settings { try setting.read(section, &self) }
    try require(section)
  }

  func require(_ section: ProfileSection) throws(ProfileError) {}
}
