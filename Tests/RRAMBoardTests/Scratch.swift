import Foundation

/// A path in a directory of its own, removed at the end.
final class Scratch {
  let path: String
  private let directory: URL

  init() {
    directory = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString.prefix(8))")
    try? FileManager.default.createDirectory(
      at: directory, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    path = directory.appending(path: "f").path
  }

  deinit { try? FileManager.default.removeItem(at: directory) }
}
