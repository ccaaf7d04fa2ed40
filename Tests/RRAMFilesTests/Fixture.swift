import Foundation
import Testing

/// Files that the tests of this target carry with them.
enum Fixture {
  static func path(_ name: String) throws -> String {
    try #require(Bundle.module.url(forResource: "Resources/\(name)", withExtension: nil)).path
  }
}
