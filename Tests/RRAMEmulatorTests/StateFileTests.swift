import Foundation
import RRAMEmulator
import RRAMFiles
import RRAMProfiles
import RRAMTransport
import RRAMUnits
import RRAMWire
import Testing

/// The file that keeps a chip between runs.
@Suite(.timeLimit(.minutes(1)))
struct StateFileTests {
  private func withDirectory<R>(_ body: (String) async throws -> R) async throws -> R {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("rram-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    return try await body(directory.path)
  }

  private func error(_ body: () throws -> Void) -> EmulatorError? {
    do {
      try body()
      return nil
    } catch {
      return error as? EmulatorError
    }
  }

  @Test func chipSurvivesPowerOff() async throws {
    try await withDirectory { directory in
      let path = directory + "/chip.npz"
      let cells = BoardHost.block(2, 8, macro: 1)
      let label = [UInt8](repeating: 7, count: 16)
      let first = try BoardHost(stateFile: path)
      try await first.hello()
      try await first.form(cells)
      _ = try await first.request(SetLabel(macro: 1, label: label))
      _ = try await first.request(AdvanceTime(duration: .seconds(60)))
      let before = try await first.read(cells)
      await first.board.close()

      let second = try BoardHost(stateFile: path)
      try await second.hello()
      let after = try await second.read(cells)
      // `ideal` cells keep their conductance; the converter's noise of 1.3 nS remains.
      #expect(zip(before, after).allSatisfy { abs($0 - $1) < 10e-9 })
      #expect(after.allSatisfy { $0 > 50e-6 })
      #expect(try await second.request(GetLabel(macro: 1)) == MacroLabel(macro: 1, label: label, writeCounter: 1))
      await second.board.close()
    }
  }

  @Test func reopenedChipGoesOnBitForBit() async throws {
    try await withDirectory { directory in
      let cells = BoardHost.block(2, 8)
      func run(_ path: String, reopening: Bool) async throws -> [Float] {
        var host = try BoardHost(profile: "cmo-hfox", stateFile: path)
        try await host.hello()
        try await host.form(cells, profile: "cmo-hfox")
        if reopening {
          await host.board.close()
          host = try BoardHost(profile: "cmo-hfox", stateFile: path)
          try await host.hello()
        }
        _ = try await host.request(AdvanceTime(duration: .seconds(100)))
        let reads = try await host.read(cells)
        await host.board.close()
        return reads
      }
      let through = try await run(directory + "/a.npz", reopening: false)
      let reopened = try await run(directory + "/b.npz", reopening: true)
      #expect(through == reopened)
    }
  }

  /// A copy of the file at any moment between operations is what a power cut would leave.
  @Test func fileHoldsEveryAnsweredOperation() async throws {
    try await withDirectory { directory in
      let path = directory + "/chip.npz"
      let host = try BoardHost(stateFile: path)
      try await host.hello()
      for column in 0..<4 {
        let cell = CellSelection(
          block: CellBlock(macro: 0, firstColumn: column, shape: MacroShape(rows: 1, columns: 1)))
        try await host.form(cell)
        let copy = directory + "/copy\(column).npz"
        try FileManager.default.copyItem(atPath: path, toPath: copy)
        let crashed = try BoardHost(stateFile: copy)
        try await crashed.hello()
        let formed = try await crashed.read(BoardHost.block(1, 4)).map { $0 > 1e-6 }
        #expect(formed == (0..<4).map { $0 <= column })
        #expect(try await crashed.request(GetLabel(macro: 0)).writeCounter == UInt64(column + 1))
        await crashed.board.close()
      }
      await host.board.close()
    }
  }

  @Test func secondOpenerFindsItBusy() async throws {
    try await withDirectory { directory in
      let path = directory + "/chip.npz"
      let first = try BoardHost(stateFile: path)
      let refused = try #require(error { _ = try BoardHost(stateFile: path) })
      #expect(refused.code == .busy)
      #expect(refused.description == "state file \(path): another process holds its lock \(path).lock")
      await first.board.close()
      let second = try BoardHost(stateFile: path)
      await second.board.close()
    }
  }

  @Test func otherChipsAreRefused() async throws {
    try await withDirectory { directory in
      let path = directory + "/chip.npz"
      await (try BoardHost(seed: 5, stateFile: path)).board.close()
      let seed = try #require(error { _ = try BoardHost(seed: 6, stateFile: path) })
      #expect(seed.code == .mismatch)
      #expect(seed.message == "seed is 5, this chip has 6")
      let profile = try #require(error { _ = try BoardHost(profile: "cmo-hfox", seed: 5, stateFile: path) })
      #expect(profile.message == "profile is ideal, this chip has cmo-hfox")
      let board = try #require(error { _ = try BoardHost(board: "multiplexed", seed: 5, stateFile: path) })
      #expect(board.message == "board is parallel, this chip has multiplexed")
      let hash = try #require(
        error { _ = try BoardHost(seed: 5, stateFile: path, changing: { profile, _ in profile.hash = "other" }) })
      #expect(hash.message.hasPrefix("profile_hash is "))
    }
  }

  @Test func damageIsNamedAndTheFileIsLeftAlone() async throws {
    try await withDirectory { directory in
      let path = directory + "/chip.npz"
      await (try BoardHost(stateFile: path)).board.close()
      let whole = try Data(contentsOf: URL(fileURLWithPath: path))
      for damaged in [
        Data(), Data("no archive".utf8), whole.prefix(whole.count / 2), whole.dropLast(1),
        Data(whole.enumerated().map { $0.offset == whole.count / 2 ? $0.element ^ 0x40 : $0.element }),
      ] {
        try damaged.write(to: URL(fileURLWithPath: path))
        let refused = try #require(error { _ = try BoardHost(stateFile: path) })
        #expect(refused.code == .damaged)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == damaged)
      }
    }
  }

  /// Newer layouts are not known; older ones lack what a cell's state needs now.
  @Test(arguments: [
    (UInt32(3), EmulatorError.Code.newerVersion, "format 3, this version reads up to 2"),
    (
      1, .olderVersion,
      "format 1 of an earlier version cannot be continued, this one reads format 2: "
        + "its chip has to be made, formed and programmed anew"
    ),
  ])
  func otherFormatsAreRefused(format: UInt32, code: EmulatorError.Code, message: String) async throws {
    try await withDirectory { directory in
      let path = directory + "/chip.npz"
      await (try BoardHost(stateFile: path)).board.close()
      let archive = try NPZArchive(file: path)
      var writer = NPZWriter()
      for key in archive.keys {
        writer.add(key == "format" ? NPYArray([format]) : try archive.array(key), as: key)
      }
      try writer.write(to: path)
      let refused = try #require(error { _ = try BoardHost(stateFile: path) })
      #expect(refused.code == code)
      #expect(refused.message == message)
    }
  }

  @Test func unwritablePlacesAreKnownAtOnce() async throws {
    let refused = try #require(error { _ = try BoardHost(stateFile: "/nonexistent-directory/chip.npz") })
    #expect(refused.code == .file)
  }
}
