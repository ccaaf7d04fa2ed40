import RRAMUnits
import Yams

/// What is collected while one document is decoded: where each number comes from and on which line it stands.
package final class ProfileReader {
  let file: String
  private(set) var provenance: [String: ChipProfile.Provenance] = [:]
  private var documented: [(line: Int, value: DocumentedValue)] = []
  private var lines: [String: Int] = [:]

  package init(file: String) { self.file = file }

  /// The document's root as a section with exactly the keys of `required` and perhaps some of `optional`.
  package func root(of text: String, required: [String], optional: [String] = []) throws(ProfileError) -> ProfileSection
  {
    try refuseAliases(in: text)
    let node: Node?
    do {
      node = try Yams.compose(yaml: text)
    } catch let error as YamlError {
      throw malformed(error)
    } catch {
      throw ProfileError(code: .malformed, file: file, reason: "is not YAML: \(error)")
    }
    guard let node else { throw ProfileError(code: .malformed, file: file, reason: "is empty") }
    return try ProfileSection(reader: self, path: "", node: node, required: required, optional: optional)
  }

  /// Some lines of aliases of aliases stand for more nodes than any memory holds, and no document here needs one: what looks like an
  /// anchor or an alias is refused before it is composed, in quotes too.
  private func refuseAliases(in text: String) throws(ProfileError) {
    let opens = Set("[]{},:?-\t !".utf8)
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      var before: UInt8 = 0x20
      var marks = false
      for byte in line.utf8 {
        if before == 0x20 && byte == UInt8(ascii: "#") && line.utf8.allSatisfy({ $0 != UInt8(ascii: "\"") }) { break }
        if marks, byte > 0x20, byte != UInt8(ascii: ",") {
          throw ProfileError(
            code: .malformed, file: file, line: number + 1,
            reason: "has an anchor or an alias (&name, *name), which are not read")
        }
        marks = (byte == UInt8(ascii: "&") || byte == UInt8(ascii: "*")) && opens.contains(before)
        before = byte
      }
    }
  }

  private func malformed(_ error: YamlError) -> ProfileError {
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      ProfileError(code: .malformed, file: file, line: mark.line, reason: "is not YAML: \(problem)")
    case .duplicatedKeysInMapping(let duplicates, let context):
      ProfileError(
        code: .malformed, file: file, line: context.mark.line,
        reason: "the same key stands twice: \(duplicates.sorted().joined(separator: ", "))")
    default: ProfileError(code: .malformed, file: file, reason: "is not YAML: \(error)")
    }
  }

  fileprivate func note(_ path: String, line: Int?) { lines[path] = line }
  fileprivate func note(_ path: String, from origin: ChipProfile.Provenance) { provenance[path] = origin }
  fileprivate func note(_ value: DocumentedValue) {
    documented.append((lines[value.key] ?? 0, value))
  }

  /// Every value read so far, in the order of the document.
  var documentedValues: [DocumentedValue] {
    documented.enumerated().sorted { ($0.element.line, $0.offset) < ($1.element.line, $1.offset) }.map(\.element.value)
  }

  /// Refuses the value at `path` unless `condition` holds; `reason` completes the sentence "path: …".
  func require(_ condition: Bool, _ path: String, _ reason: @autoclosure () -> String) throws(ProfileError) {
    guard condition else {
      throw ProfileError(code: .invalidValue, file: file, line: lines[path], key: path, reason: reason())
    }
  }
}

/// One mapping of a document, with its key path; knows which keys belong there.
package struct ProfileSection {
  let reader: ProfileReader
  package let path: String
  private let mapping: Node.Mapping
  private let line: Int?
  private let keys: [String]

  init(reader: ProfileReader, path: String, node: Node, required: [String], optional: [String]) throws(ProfileError) {
    let keys = required + optional
    guard let mapping = node.mapping else {
      throw ProfileError(
        code: .malformed, file: reader.file, line: node.mark?.line, key: path,
        reason: "is not a mapping of keys to values", validChoices: keys)
    }
    self.reader = reader
    self.path = path
    self.mapping = mapping
    self.keys = keys
    line = node.mark?.line
    reader.note(path, line: line)
    for (key, _) in mapping where !keys.contains(key.string ?? "") {
      throw ProfileError(
        code: .unknownKey, file: reader.file, line: key.mark?.line, key: path,
        reason: "unknown key '\(key.string ?? "?")'", validChoices: keys)
    }
    for key in required where mapping[Node(key)] == nil {
      throw ProfileError(
        code: .missingKey, file: reader.file, line: line, key: path, reason: "key '\(key)' is missing",
        validChoices: keys)
    }
  }

  package func has(_ key: String) -> Bool { mapping[Node(key)] != nil }
  func childPath(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  func node(_ key: String) throws(ProfileError) -> Node {
    guard let node = mapping[Node(key)] else {
      throw ProfileError(
        code: .missingKey, file: reader.file, line: line, key: path, reason: "key '\(key)' is missing",
        validChoices: keys)
    }
    reader.note(childPath(key), line: node.mark?.line)
    return node
  }

  func section(_ key: String, required: [String], optional: [String] = []) throws(ProfileError) -> ProfileSection {
    try ProfileSection(
      reader: reader, path: childPath(key), node: try node(key), required: required, optional: optional)
  }

  package func text(_ key: String) throws(ProfileError) -> String {
    let node = try node(key)
    guard let text = node.scalar?.string, !text.isEmpty else {
      throw ProfileError(
        code: .invalidValue, file: reader.file, line: node.mark?.line, key: childPath(key), reason: "is not text")
    }
    return text
  }

  /// True if the value at `key` is the plain word `word`.
  func isText(_ key: String, _ word: String) -> Bool { mapping[Node(key)]?.scalar?.string == word }

  /// One of the raw values of an enumeration.
  func choice<Choice: RawRepresentable & CaseIterable>(_ key: String, _: Choice.Type) throws(ProfileError) -> Choice
  where Choice.RawValue == String {
    let text = try text(key)
    guard let choice = Choice(rawValue: text) else {
      throw ProfileError(
        code: .invalidValue, file: reader.file, line: try node(key).mark?.line, key: childPath(key),
        reason: "'\(text)' is not one of the choices", validChoices: Choice.allCases.map(\.rawValue))
    }
    reader.note(DocumentedValue(key: childPath(key), numbers: [text], unit: "1"))
    return choice
  }

  /// The scalars of `{value: …, unit: …, source: …}`, in SI units.
  func number(_ key: String, _ dimension: Dimension) throws(ProfileError) -> Double {
    let leaf = try section(key, required: ["value"], optional: ["unit", "source", "assumed"])
    let factor = try leaf.factor(dimension)
    try leaf.noteProvenance()
    let value = try leaf.node("value")
    try leaf.document([value])
    return try leaf.value(value, times: factor, whole: dimension.isWhole)
  }

  /// The scalars of `{values: […], unit: …, source: …}`, in SI units.
  func numbers(_ key: String, _ dimension: Dimension) throws(ProfileError) -> [Double] {
    let leaf = try section(key, required: ["values"], optional: ["unit", "source", "assumed"])
    let factor = try leaf.factor(dimension)
    try leaf.noteProvenance()
    let list = try leaf.node("values")
    guard let items = list.sequence, !items.isEmpty else {
      throw ProfileError(
        code: .invalidValue, file: reader.file, line: list.mark?.line, key: leaf.path,
        reason: "values is not a list with at least one number")
    }
    try leaf.document(Array(items))
    var result: [Double] = []
    for item in items { result.append(try leaf.value(item, times: factor, whole: dimension.isWhole)) }
    return result
  }

  private func factor(_ dimension: Dimension) throws(ProfileError) -> Double {
    let symbols = dimension.units.map(\.symbol)
    guard has("unit") else {
      throw ProfileError(
        code: .wrongUnit, file: reader.file, line: line, key: path, reason: "has no unit", validChoices: symbols)
    }
    let unit = try text("unit")
    guard let factor = dimension.factor(of: unit) else {
      throw ProfileError(
        code: .wrongUnit, file: reader.file, line: try node("unit").mark?.line, key: path,
        reason: "unit '\(unit)' does not fit", validChoices: symbols)
    }
    return factor
  }

  private func noteProvenance() throws(ProfileError) {
    switch (has("source"), has("assumed")) {
    case (true, false): reader.note(path, from: .published(try text("source")))
    case (false, true): reader.note(path, from: .assumed(try text("assumed")))
    default:
      throw ProfileError(
        code: .missingSource, file: reader.file, line: line, key: path,
        reason: has("source") ? "has both a source and an assumption" : "names no source and is not marked assumed",
        validChoices: ["source: …", "assumed: …"])
    }
  }

  /// Keeps the numbers as they stand, with their unit and origin.
  private func document(_ nodes: [Node]) throws(ProfileError) {
    reader.note(
      DocumentedValue(
        key: path, numbers: nodes.map { $0.scalar?.string ?? "" }, unit: try text("unit"),
        source: has("source") ? try text("source") : nil, assumed: has("assumed") ? try text("assumed") : nil))
  }

  private func value(_ node: Node, times factor: Double, whole: Bool) throws(ProfileError) -> Double {
    let text = node.scalar?.string ?? ""
    guard let value = Double(text), value.isFinite, !whole || value == value.rounded() else {
      throw ProfileError(
        code: .invalidValue, file: reader.file, line: node.mark?.line, key: path,
        reason: "'\(text)' is not a \(whole ? "whole" : "finite") number")
    }
    let result = value * factor
    guard result.isFinite, !whole || abs(result) <= 0x1p31 else {
      throw ProfileError(
        code: .invalidValue, file: reader.file, line: node.mark?.line, key: path, reason: "'\(text)' is too large")
    }
    return result
  }

  // MARK: Typed numbers

  func siemens(_ key: String) throws(ProfileError) -> Siemens { Siemens(try number(key, .conductance)) }
  func volts(_ key: String) throws(ProfileError) -> Volts { Volts(try number(key, .voltage)) }
  func ohms(_ key: String) throws(ProfileError) -> Ohms { Ohms(try number(key, .resistance)) }
  func celsius(_ key: String) throws(ProfileError) -> Celsius { Celsius(try number(key, .celsius)) }
  func ratio(_ key: String) throws(ProfileError) -> Double { try number(key, .ratio) }
  func count(_ key: String) throws(ProfileError) -> Int { Int(try number(key, .count)) }

  /// A time, rounded to picoseconds: decimal nanoseconds must compare equal to integer ones.
  func duration(_ key: String) throws(ProfileError) -> Duration {
    let seconds = try number(key, .time)
    try reader.require(abs(seconds) < 1e9, childPath(key), "is longer than 1e9 s")
    let whole = seconds.rounded(.towardZero)
    let picoseconds = Int64(((seconds - whole) * 1e12).rounded())
    return Duration(secondsComponent: Int64(whole), attosecondsComponent: picoseconds * 1_000_000)
  }

  /// `{min: …, max: …}` of one kind.
  func range<Bound: Comparable>(
    _ key: String, _ read: (ProfileSection, String) throws(ProfileError) -> Bound
  ) throws(ProfileError) -> ClosedRange<Bound> {
    let bounds = try section(key, required: ["min", "max"])
    let low = try read(bounds, "min")
    let high = try read(bounds, "max")
    try reader.require(low <= high, bounds.path, "min \(low) is greater than max \(high)")
    return low...high
  }

  func siemensRange(_ key: String) throws(ProfileError) -> ClosedRange<Siemens> {
    try range(key) { (bounds, name) throws(ProfileError) in try bounds.siemens(name) }
  }
  func voltsRange(_ key: String) throws(ProfileError) -> ClosedRange<Volts> {
    try range(key) { (bounds, name) throws(ProfileError) in try bounds.volts(name) }
  }
  func ohmsRange(_ key: String) throws(ProfileError) -> ClosedRange<Ohms> {
    try range(key) { (bounds, name) throws(ProfileError) in try bounds.ohms(name) }
  }
  func durationRange(_ key: String) throws(ProfileError) -> ClosedRange<Duration> {
    try range(key) { (bounds, name) throws(ProfileError) in try bounds.duration(name) }
  }

  // MARK: Checks on numbers already read

  func requirePositive(_ value: some Quantity, _ key: String) throws(ProfileError) {
    try reader.require(value.rawValue > 0, childPath(key), "\(value) is not greater than 0")
  }
  func requireNotNegative(_ value: some Quantity, _ key: String) throws(ProfileError) {
    try reader.require(value.rawValue >= 0, childPath(key), "\(value) is negative")
  }
  func requirePositive(_ value: Duration, _ key: String) throws(ProfileError) {
    try reader.require(value > .zero, childPath(key), "\(value) is not greater than 0")
  }
  func requireFraction(_ value: Double, _ key: String) throws(ProfileError) {
    try reader.require((0...1).contains(value), childPath(key), "\(value) is not between 0 and 1")
  }
  func require(_ value: Int, in range: ClosedRange<Int>, _ key: String) throws(ProfileError) {
    try reader.require(
      range.contains(value), childPath(key), "\(value) is not between \(range.lowerBound) and \(range.upperBound)")
  }
}
