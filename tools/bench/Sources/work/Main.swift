import Foundation
import Workloads

/// `work NAME COUNT` does one workload COUNT times; without arguments it prints their names and units.
@main struct Main {
  static func main() async throws {
    let arguments = CommandLine.arguments.dropFirst()
    guard !arguments.isEmpty else {
      for workload in Workload.all { print("\(workload.name)\t\(workload.unit)") }
      return
    }
    guard arguments.count == 2, let count = arguments.last.flatMap({ Int($0) }), count >= 0,
      let workload = Workload.all.first(where: { $0.name == arguments.first })
    else {
      FileHandle.standardError.write(
        Data("usage: work NAME COUNT, with one of \(Workload.all.map(\.name).joined(separator: ", "))\n".utf8))
      exit(64)
    }
    let body = try await workload.prepare()
    for _ in 0..<count { try await body() }
  }
}
