import Foundation
import Subprocess
import SystemPackage
import Testing

/// Chromium without a screen: a package of 'tools/setup test'.
enum Browser {
  static let isInstalled = FileManager.default.isExecutableFile(atPath: "/usr/bin/chromium")

  /// How many elements each picture of a page has drawn in it, in the page's order; 0 for one without an extent.
  ///
  /// - Parameter folder: for the browser's own files.
  static func drawn(
    in page: String, folder: String, sourceLocation: SourceLocation = #_sourceLocation
  ) async throws -> [Int] {
    // What is drawn in an SVG element has an extent; frame and background alone are few elements.
    let probe = page.replacing(
      "</body>",
      with: """
        <script>document.title = Array.from(document.querySelectorAll('figure svg')).map(s => {
          const b = s.getBBox(); const drawn = s.querySelectorAll('path, use, circle, image, polygon, rect').length;
          return (b.width > 100 && b.height > 100) ? drawn : 0; }).join(' ')</script></body>
        """)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try probe.write(toFile: folder + "/probe.html", atomically: true, encoding: .utf8)
    let shown = try await Subprocess.run(
      .path("/usr/bin/chromium"),
      arguments: [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--virtual-time-budget=5000",
        "--dump-dom", "--user-data-dir=\(folder)/profile", "file://\(folder)/probe.html",
      ], output: .string(limit: 1 << 24), error: .string(limit: 1 << 20))
    let title = try #require(
      shown.standardOutput.firstMatch(of: /<title>([0-9 ]+)<\/title>/)?.1, "the page's own count of what is drawn",
      sourceLocation: sourceLocation)
    return title.split(separator: " ").compactMap { Int($0) }
  }

  /// True if a page needs nothing that is not in it.
  static func isSelfContained(_ page: String) -> Bool {
    !page.contains("http://www.w3.org/1999/xlink\" href=\"http") && !page.contains("<script") && !page.contains("src=")
  }
}
