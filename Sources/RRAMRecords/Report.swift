public import Foundation

/// `report.html` of a run: one file with its tables and SVG pictures, no network needed.
public struct Report: Sendable {
  public var title: String
  public var sections: [Section] = []

  public enum Section: Sendable {
    case paragraph(String)
    /// First row is the head.
    case table(title: String, rows: [[String]])
    /// The same with a smaller heading, or none: it belongs to the section before.
    case subtable(title: String, rows: [[String]])
    /// An SVG file, put into the page.
    case picture(title: String, svg: URL)
    /// Several beside each other, each with a caption of its own.
    case pictures(title: String, [(caption: String, svg: URL)])
  }

  public init(title: String) {
    self.title = title
  }

  /// Writes the page, ended by everything the manifest says.
  public func write(to file: URL, manifest: RunManifest) throws {
    try write(to: file, manifests: [("Manifest", manifest)])
  }

  /// Writes the page, ended by everything the manifests of its runs say.
  public func write(to file: URL, manifests: [(title: String, manifest: RunManifest)]) throws {
    var page = """
      <!DOCTYPE html>
      <html lang="en"><head><meta charset="utf-8"><title>\(escaped(title))</title>
      <style>
      body { font: 15px/1.5 sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
      table { border-collapse: collapse; margin: .5rem 0 1.5rem } th, td { padding: .25rem .75rem; border-bottom: 1px solid #ddd; text-align: left }
      .n { text-align: right; font-variant-numeric: tabular-nums } td.n { white-space: nowrap } figure { margin: 1rem 0 } svg { max-width: 100%; height: auto }
      .side { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem } .side figure { margin: 0 }
      .wide { overflow-x: auto } pre { background: #f6f6f6; padding: 1rem; overflow-x: auto }
      </style></head><body>
      <h1>\(escaped(title))</h1>

      """
    for section in sections {
      switch section {
      case .paragraph(let text):
        page += "<p>\(escaped(text))</p>\n"
      case .table(let title, let rows):
        page += "<h2>\(escaped(title))</h2>\n" + Self.table(rows)
      case .subtable(let title, let rows):
        page += (title.isEmpty ? "" : "<h3>\(escaped(title))</h3>\n") + Self.table(rows)
      case .picture(let title, let svg):
        page += try Self.figure(title, svg)
      case .pictures(let title, let pictures):
        page += "<p>\(escaped(title))</p>\n<div class=\"side\">\n"
        for picture in pictures { page += try Self.figure(picture.caption, picture.svg) }
        page += "</div>\n"
      }
    }
    for (title, manifest) in manifests {
      let record = String(decoding: try RunManifest.encoder.encode(manifest), as: UTF8.self)
      page += "<h2>\(escaped(title))</h2>\n<pre>\(escaped(record))</pre>\n"
    }
    page += "</body></html>\n"
    try RRAMRecords.write(Data(page.utf8), to: file)
  }

  private static func figure(_ title: String, _ svg: URL) throws -> String {
    guard let data = FileManager.default.contents(atPath: svg.path) else {
      throw RecordsError(.notFound, path: svg.path, reason: "no such picture")
    }
    // Only the element: an XML declaration may not stand inside a page.
    let text = String(decoding: data, as: UTF8.self)
    let element = text.range(of: "<svg").map { text[$0.lowerBound...] } ?? ""
    return "<figure><figcaption>\(escaped(title))</figcaption>\(element)</figure>\n"
  }

  private static func table(_ rows: [[String]]) -> String {
    guard !rows.isEmpty else { return "" }
    // Numbers stand right, text left: a column is one of numbers if all its cells are short and begin like one.
    let isNumeric = rows[0].indices.map { column in
      let cells = rows.dropFirst().compactMap { column < $0.count && !$0[column].isEmpty ? $0[column] : nil }
      return column > 0
        && cells.allSatisfy { cell in
          cell.count <= 24 && cell.first.map { $0.isNumber || "+-−±<≤>≥∞–.".contains($0) } == true
        }
    }
    // A table of many columns is scrolled by itself, not the page with it.
    var table = "<div class=\"wide\"><table>\n"
    for (index, row) in rows.enumerated() {
      let tag = index == 0 ? "th" : "td"
      table +=
        "<tr>"
        + row.enumerated().map { column, cell in
          "<\(tag)\(column < isNumeric.count && isNumeric[column] ? " class=\"n\"" : "")>\(escaped(cell))</\(tag)>"
        }.joined() + "</tr>\n"
    }
    return table + "</table></div>\n"
  }
}

private func escaped(_ text: String) -> String {
  text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
}
