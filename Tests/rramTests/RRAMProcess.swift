import Foundation
import Subprocess
import SystemPackage
import Testing

/// What one run of the built `rram` said.
struct CommandResult: Sendable {
  var status: Int
  var stdout: String
  var stderr: String

  /// The JSON document on stdout.
  func json(sourceLocation: SourceLocation = #_sourceLocation) throws -> [String: Any] {
    let object = try JSONSerialization.jsonObject(with: Data(stdout.utf8))
    return try #require(object as? [String: Any], "stdout is one JSON object", sourceLocation: sourceLocation)
  }
}

/// A folder of its own for records and chips, in which `rram` is run as a user runs it.
struct Workbench: ~Copyable {
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "rram-test-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  deinit {
    try? FileManager.default.removeItem(at: folder)
  }

  /// `RRAM_EXECUTABLE`, else the debug build beside the tests.
  static var executable: String {
    if let path = ProcessInfo.processInfo.environment["RRAM_EXECUTABLE"] { return path }
    return URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "rram").path
  }

  func path(_ name: String) -> String { folder.appending(path: name).path }

  var environment: Environment {
    .inherit.updating(["RRAM_HOME": path("home"), "RRAM_BOARD": nil])
  }

  /// Runs `rram` to its end.
  func rram(_ arguments: String...) async throws -> CommandResult {
    try await rram(arguments)
  }

  func rram(_ arguments: [String]) async throws -> CommandResult {
    let result = try await Subprocess.run(
      .path(FilePath(Self.executable)), arguments: .init(arguments), environment: environment,
      workingDirectory: FilePath(folder.path), output: .string(limit: 1 << 24), error: .string(limit: 1 << 20))
    let status: Int
    switch result.terminationStatus {
    case .exited(let code): status = Int(code)
    case .signaled(let signal): status = 128 + Int(signal)
    }
    return CommandResult(status: status, stdout: result.standardOutput, stderr: result.standardError)
  }
}
