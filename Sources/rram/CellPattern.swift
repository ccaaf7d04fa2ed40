import RRAMKit

/// Cells named on the command line: one, a row or a column.
struct CellPattern {
  var row: Int?
  var column: Int?

  /// nil unless the text is ROW:COLUMN, ROW: or :COLUMN.
  init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.contains(where: { !$0.isEmpty }) else { return nil }
    for (part, key) in zip(parts, [\CellPattern.row, \.column]) where !part.isEmpty {
      guard let number = Int(part), number >= 0 else { return nil }
      self[keyPath: key] = number
    }
  }

  func cells(macro: Int, shape: MacroShape) -> [CellAddress] {
    (row.map { $0..<$0 + 1 } ?? 0..<shape.rows).flatMap { row in
      (column.map { $0..<$0 + 1 } ?? 0..<shape.columns).map { CellAddress(macro: macro, row: row, column: $0) }
    }
  }
}
