import Yams

/// What a plan says: settings without a source, a quantity and its unit in one scalar.
extension ProfileSection {
  /// The items of a list, each a mapping with one key.
  ///
  /// - Parameter names: the possible keys, each with the settings that may stand below it; all of those are optional.
  package func items(
    _ key: String, among names: [String: [String]]
  ) throws(ProfileError) -> [(name: String, settings: ProfileSection, line: Int?)] {
    let list = try node(key)
    let choices = names.keys.sorted()
    guard let nodes = list.sequence, !nodes.isEmpty else {
      throw ProfileError(
        code: .invalidValue, file: reader.file, line: list.mark?.line, key: childPath(key),
        reason: "is not a list with at least one item", validChoices: choices)
    }
    var items: [(name: String, settings: ProfileSection, line: Int?)] = []
    for node in nodes {
      let place = "\(childPath(key))[\(items.count + 1)]"
      guard let (name, content) = node.mapping?.first, node.mapping?.count == 1, let name = name.string else {
        throw ProfileError(
          code: .malformed, file: reader.file, line: node.mark?.line, key: place,
          reason: "is not one key with its settings",
          validChoices: choices)
      }
      guard let settings = names[name] else {
        throw ProfileError(
          code: .unknownKey, file: reader.file, line: node.mark?.line, key: place, reason: "unknown step '\(name)'",
          validChoices: choices)
      }
      // `- arrayMap:` with nothing behind it takes every default.
      let isEmpty = content.scalar.map { $0.string.isEmpty || $0.string == "null" || $0.string == "~" } ?? false
      items.append(
        (
          name,
          try ProfileSection(
            reader: reader, path: "\(place).\(name)",
            node: isEmpty ? .mapping(Node.Mapping([], .implicit, .block, node.mark)) : content, required: [],
            optional: settings),
          node.mark?.line
        ))
    }
    return items
  }

  /// A whole number, or `fallback` where the key is missing.
  package func whole(_ key: String, in range: ClosedRange<Int>, default fallback: Int) throws(ProfileError) -> Int {
    guard has(key) else { return fallback }
    let node = try node(key)
    let text = node.scalar?.string ?? ""
    guard let value = Int(text), range.contains(value) else {
      throw ProfileError(
        code: .invalidValue, file: reader.file, line: node.mark?.line, key: childPath(key),
        reason: "'\(text)' is not a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  /// A quantity as in `100 s`, in SI units, or nil where the key is missing.
  package func quantity(_ key: String, _ dimension: Dimension) throws(ProfileError) -> Double? {
    guard has(key) else { return nil }
    let node = try node(key)
    return try quantity(node.scalar?.string ?? "", dimension, line: node.mark?.line, key: childPath(key))
  }

  /// A list of quantities in SI units, or nil where the key is missing.
  package func quantities(_ key: String, _ dimension: Dimension) throws(ProfileError) -> [Double]? {
    guard has(key) else { return nil }
    let node = try node(key)
    guard let items = node.sequence, !items.isEmpty else {
      throw ProfileError(
        code: .invalidValue, file: reader.file, line: node.mark?.line, key: childPath(key),
        reason: "is not a list with at least one quantity")
    }
    var values: [Double] = []
    for item in items {
      values.append(
        try quantity(item.scalar?.string ?? "", dimension, line: item.mark?.line, key: childPath(key)))
    }
    return values
  }

  /// A plain number, or `fallback` where the key is missing.
  package func plain(
    _ key: String, in range: ClosedRange<Double>, default fallback: Double
  ) throws(ProfileError) -> Double {
    guard has(key) else { return fallback }
    let node = try node(key)
    let text = node.scalar?.string ?? ""
    guard let value = Double(text), range.contains(value) else {
      throw ProfileError(
        code: .invalidValue, file: reader.file, line: node.mark?.line, key: childPath(key),
        reason: "'\(text)' is not a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  private func quantity(
    _ text: String, _ dimension: Dimension, line: Int?, key: String
  ) throws(ProfileError) -> Double {
    // A number, and the rest is its unit, with or without a blank between them.
    let length = (0...text.count).last { Double(text.prefix($0)) != nil } ?? 0
    let unit = String(text.dropFirst(length).drop { $0 == " " })
    let symbols = dimension.units.map(\.symbol)
    guard let value = Double(text.prefix(length)), value.isFinite else {
      throw ProfileError(
        code: .invalidValue, file: reader.file, line: line, key: key, reason: "'\(text)' is not a number and its unit",
        validChoices: symbols.map { "number \($0)" })
    }
    guard let factor = dimension.factor(of: unit) else {
      throw ProfileError(
        code: .wrongUnit, file: reader.file, line: line, key: key,
        reason: unit.isEmpty ? "'\(text)' has no unit" : "the unit of '\(text)' does not fit", validChoices: symbols)
    }
    return value * factor
  }

  /// Refuses the setting at `key` unless `condition` holds; `reason` completes the sentence "key: …".
  package func require(_ condition: Bool, _ key: String, _ reason: @autoclosure () -> String) throws(ProfileError) {
    try reader.require(condition, has(key) ? childPath(key) : path, reason())
  }
}
