public import Foundation

/// Draws a picture with gnuplot, fed through a pipe.
public struct Gnuplot: Sendable {
  /// A numeric table that the script names as `$name`.
  public struct Table: Sendable {
    public var name: String
    /// Rows of columns; NaN leaves a gap.
    public var rows: [[Double]]

    public init(_ name: String, rows: [[Double]]) {
      self.name = name
      self.rows = rows
    }
  }

  public enum Format: String, Sendable {
    case png
    case svg
  }

  /// Five colours from dark violet to yellow, in steps even to the eye; gnuplot 5.4 has no such palette of its own.
  public static let palette =
    "set palette defined (0 '#440154', 0.25 '#3b528b', 0.5 '#21918c', 0.75 '#5ec962', 1 '#fde725')"

  public var width: Int
  public var height: Int
  public var format: Format

  public init(width: Int, height: Int, format: Format) {
    self.width = width
    self.height = height
    self.format = format
  }

  /// A cell of a map is a pixel of an image, which browsers blur unless told not to.
  private func sharpenImages(of file: URL) throws {
    guard let text = FileManager.default.contents(atPath: file.path).map({ String(decoding: $0, as: UTF8.self) }),
      text.contains("<image ")
    else { return }
    do {
      try Data(text.replacing("<image ", with: "<image style='image-rendering:pixelated' ").utf8).write(to: file)
    } catch {
      throw RecordsError(.io, path: file.path, reason: "cannot be written", underlying: error)
    }
  }

  /// Runs `script` with `tables` and writes the picture to `file`.
  ///
  /// - Throws: ``RecordsError`` with code `tool` if gnuplot is missing, fails or complains.
  public func draw(_ script: String, tables: [Table], to file: URL) throws {
    let terminal =
      format == .png
      ? "set terminal pngcairo size \(width),\(height) font 'DejaVu Sans,10'"
      : "set terminal svg size \(width),\(height) font 'sans-serif,12' background rgb 'white'"
    var text = terminal + "\nset output '\(file.path.replacing("'", with: "''"))'\nset datafile missing 'NaN'\n"
    for table in tables {
      text += "$\(table.name) << EOD\n"
      for row in table.rows { text += row.map { $0.isFinite ? "\($0)" : "NaN" }.joined(separator: " ") + "\n" }
      text += "EOD\n"
    }
    text += script + "\nunset output\n"

    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["gnuplot", "-"]
    let input = Pipe()
    let errors = Pipe()
    process.standardInput = input
    process.standardOutput = FileHandle.nullDevice
    process.standardError = errors
    do {
      try process.run()
      try input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
      try input.fileHandleForWriting.close()
    } catch {
      throw RecordsError(.tool, path: file.path, reason: "gnuplot cannot be started", underlying: error)
    }
    let complaint = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let message = String(decoding: complaint, as: UTF8.self).split(separator: "\n").first {
      // Values that are all the same get a range around them, which gnuplot tells and which is right.
      !$0.allSatisfy(\.isWhitespace)
        && !($0.contains("arning: empty ") && $0.contains("range") && $0.contains("adjusting"))
    }
    guard process.terminationStatus == 0, message == nil else {
      throw RecordsError(
        .tool, path: file.path,
        reason: process.terminationStatus == 127
          ? "gnuplot is not installed" : "gnuplot failed (exit \(process.terminationStatus)): \(message ?? "")")
    }
    if format == .svg { try sharpenImages(of: file) }
  }
}
