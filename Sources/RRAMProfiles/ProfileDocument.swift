import Foundation
import RRAMUnits

/// Finds and reads YAML documents, shipped ones and files.
package enum ProfileDocument {
  /// Folder of the package's resources.
  enum Kind: String {
    case chips, boards
    var noun: String { self == .chips ? "chip profile" : "board description" }
  }

  /// Profiles are a few kilobytes; nothing near this size is one.
  static let maximumBytes = 1 << 20

  package static func isPath(_ nameOrPath: String) -> Bool { nameOrPath.contains("/") || nameOrPath.hasSuffix(".yaml") }

  static func shippedNames(in kind: Kind) -> [String] {
    let paths = Bundle.module.paths(forResourcesOfType: "yaml", inDirectory: kind.rawValue)
    return paths.map { URL(fileURLWithPath: $0).deletingPathExtension().lastPathComponent }.sorted()
  }

  static func shipped(_ name: String, in kind: Kind) throws(ProfileError) -> String {
    let names = shippedNames(in: kind)
    guard names.contains(name),
      let url = Bundle.module.url(forResource: name, withExtension: "yaml", subdirectory: kind.rawValue)
    else {
      throw ProfileError(
        code: .unknownName, file: kind.noun, reason: "there is no '\(name)'", validChoices: names)
    }
    return try read(path: url.path)
  }

  package static func read(path: String) throws(ProfileError) -> String {
    guard let handle = FileHandle(forReadingAtPath: path) else {
      throw ProfileError(code: .unreadable, file: path, reason: "cannot be opened")
    }
    let data: Data
    do {
      defer { try? handle.close() }
      data = try handle.read(upToCount: maximumBytes + 1) ?? Data()
    } catch {
      throw ProfileError(code: .unreadable, file: path, reason: "cannot be read")
    }
    guard data.count <= maximumBytes else {
      throw ProfileError(code: .unreadable, file: path, reason: "is larger than 1 MiB")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw ProfileError(code: .unreadable, file: path, reason: "is not UTF-8")
    }
    return text
  }

  /// SHA-256 of the UTF-8 bytes, lower-case hex.
  package static func hash(of text: String) -> String {
    SHA256.hexadecimal(Array(text.utf8))
  }
}
