import Foundation
import RRAMFiles
import RRAMModel
import Testing

/// Files that the tests of this target carry with them.
enum Fixture {
  static func path(_ name: String) throws -> String {
    try #require(Bundle.module.url(forResource: "Resources/\(name)", withExtension: nil)).path
  }

  static func model(_ name: String) throws -> ScoreModel { try ModelLibrary.scoreModel(try path(name)) }

  static func points(_ name: String) throws -> [Float] {
    try #require(try NPYArray(file: try path(name)).floats)
  }
}

/// The largest absolute difference, which must be within `bound`.
func expectClose(
  _ found: [Float], _ expected: [Float], within bound: Float, sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(found.count == expected.count, sourceLocation: sourceLocation)
  let worst = zip(found, expected).map { abs($0 - $1) }.max() ?? 0
  #expect(worst <= bound, "largest difference \(worst)", sourceLocation: sourceLocation)
}
