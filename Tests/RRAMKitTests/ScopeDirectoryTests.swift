import Foundation
import RRAMKit
import Synchronization
import Testing

/// A clock that only moves when somebody sleeps; files appear at their time.
private final class StagedClock: SerialClock {
  private let state = Mutex(Duration.zero)
  private let stage: @Sendable (Duration) -> Void

  init(_ stage: @escaping @Sendable (Duration) -> Void) { self.stage = stage }

  var now: Duration { state.withLock { $0 } }

  func sleep(until deadline: Duration) async throws {
    state.withLock { $0 = deadline }
    stage(deadline)
  }
}

@Suite struct ScopeDirectoryTests {
  static func capture(_ volts: Double) throws -> ScopeCapture {
    let time = (0..<242).map { Double($0) * 0.005 }
    return try ScopeCapture(time: time, v1: time.map { _ in volts }, v2: time.map { _ in -volts }, file: "test")
  }

  static func folder() throws -> URL {
    let folder = FileManager.default.temporaryDirectory.appending(path: "scope-test-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
  }

  @Test func newCapturesComeInTheOrderOfTheirNamesAndOldOnesAreLeftAlone() async throws {
    let folder = try Self.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    func put(_ name: String, _ volts: Double) throws {
      try Data(Self.capture(volts).csv.utf8).write(to: folder.appending(path: name))
    }
    try put("run-0.csv", 9)
    let scope = try ScopeDirectory(folder.path, clock: StagedClock { _ in })
    #expect(try await scope.next(until: .seconds(1)) == nil)
    try put("run-2.csv", 2)
    try put("run-1.csv", 1)
    try put("notes.txt", 7)
    #expect(try await scope.next(until: .seconds(5)) == Self.capture(1))
    #expect(try await scope.next(until: .seconds(5)) == Self.capture(2))
    #expect(try await scope.next(until: .seconds(5)) == nil)
  }

  @Test func aFileIsReadOnceItHasStoppedGrowing() async throws {
    let folder = try Self.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let text = try Self.capture(1).csv
    let file = folder.appending(path: "run.csv")
    let scope = try ScopeDirectory(
      folder.path,
      clock: StagedClock { now in
        let share = min(1, now / .milliseconds(500))
        try? Data(text.utf8.prefix(Int(Double(text.utf8.count) * share))).write(to: file)
      })
    #expect(try await scope.next(until: .seconds(5)) == Self.capture(1))
  }

  @Test func aCaptureThatCannotBeUsedIsToldByItsName() async throws {
    let folder = try Self.folder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let scope = try ScopeDirectory(folder.path, clock: StagedClock { _ in })
    var npz = NPZWriter()
    npz.add(NPYArray([1.0, 2.0]), as: "time")
    npz.add(NPYArray([1.0, 2.0]), as: "ch1")
    try npz.write(to: folder.appending(path: "run.npz").path)
    await #expect {
      try await scope.next(until: .seconds(5))
    } throws: {
      "\($0)" == "\(folder.path)/run.npz: arrays 'time, ch1', time, v1 and v2 expected"
    }
  }

  @Test func aFolderThatIsNotThereIsRefused() {
    #expect {
      try ScopeDirectory("/nonexistent/scope", clock: SystemSerialClock())
    } throws: {
      "\($0)" == "/nonexistent/scope: no folder that can be read"
    }
  }
}
