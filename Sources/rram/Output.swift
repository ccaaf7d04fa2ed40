import ArgumentParser
import Foundation

/// The answer of a command: one value that is printed as text for people or as one JSON document.
protocol CommandOutput: Encodable {
  /// What people read on stdout.
  var text: String { get }
  /// 0, or 3 if the command ran but its result is out of tolerance.
  var exitStatus: Int32 { get }
}

extension CommandOutput {
  var exitStatus: Int32 { 0 }
}

/// `"schema": 1` beside the keys of the value itself.
private struct Document<Content: Encodable>: Encodable {
  var content: Content

  private enum Key: CodingKey { case schema }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(1, forKey: .schema)
    try content.encode(to: encoder)
  }
}

/// The JSON document of an answer.
func document(_ output: some CommandOutput) throws -> Data {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  return try encoder.encode(Document(content: output))
}

/// Writes the answer to stdout, and ends the command with the answer's exit status.
func answer(_ output: some CommandOutput, json: Bool) throws {
  if json {
    write(String(decoding: try document(output), as: UTF8.self), to: .standardOutput)
  } else {
    write(output.text, to: .standardOutput)
  }
  if output.exitStatus != 0 { throw ExitCode(output.exitStatus) }
}

/// Writes one line; a closed pipe is no reason to fail.
func write(_ line: String, to handle: FileHandle) {
  try? handle.write(contentsOf: Data((line + "\n").utf8))
}

/// Everything that is not the answer goes to stderr.
func note(_ line: String) { write(line, to: .standardError) }

/// Aligned columns: the first to the left, the others to the right.
func table(_ rows: [[String]]) -> String {
  let columns = rows.map(\.count).max() ?? 0
  let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
  return rows.map { row in
    var line = ""
    for (column, cell) in row.enumerated() {
      let pad = String(repeating: " ", count: widths[column] - cell.count)
      line += column == 0 ? cell + pad : "  " + pad + cell
    }
    while line.last == " " { line.removeLast() }
    return line
  }.joined(separator: "\n")
}

extension Double {
  /// A plain number with so many significant digits.
  func formatted(digits: Int) -> String {
    guard isFinite else { return "–" }
    return String(format: "%.\(digits)g", self)
  }
}

extension Optional where Wrapped == Double {
  func formatted(digits: Int) -> String { self?.formatted(digits: digits) ?? "–" }
}
