import Foundation
import RRAMKit
import Testing

@Suite struct RRAMTests {
  /// The lines of the README, on the ideal chip.
  @Test func aNetworkIsFormedProgrammedAndSampledInAFewLines() async throws {
    let home = RecordsHome(
      root: FileManager.default.temporaryDirectory.appending(path: "rram-kit-\(UUID().uuidString.prefix(8))"))
    defer { try? FileManager.default.removeItem(at: home.root) }
    try await RRAM.withBoard("emu:profile=ideal,seed=1", home: home) { board in
      let model = try ModelLibrary.scoreModel("ring")
      let plan = try MappingPlan(model.network, on: board.boardDescription, window: board.limits.conductance)
      let profile = try ChipProfile.named("ideal")
      _ = try await board.form(plan.layers.map(\.block), options: FormOptions(profile))
      let program = try await board.program(plan, model: model, options: ProgramOptions(profile), home: home)
      #expect(program.report.failures.isEmpty)
      let session = try await SamplingSession(SamplingProgram(model), on: board, home: home)
      let (samples, _) = try await session.draw(64)
      let software = try samples.softwareReference(for: model)
      #expect(SampleMetrics.rootMeanSquareDifference(samples.x, software) < 1e-3)
    }
  }

  @Test func theErrorOfTheBodyIsTheOneThatIsThrown() async {
    struct Mine: Error {}
    await #expect(throws: Mine.self) { try await RRAM.withBoard("emu:profile=ideal") { _ in throw Mine() } }
  }

  @Test func aRealChipWithoutALimitsRecordIsReadOnly() throws {
    let home = RecordsHome(
      root: FileManager.default.temporaryDirectory.appending(path: "rram-kit-\(UUID().uuidString.prefix(8))"))
    defer { try? FileManager.default.removeItem(at: home.root) }
    #expect(try RRAM.chipLimits(chip: "DIE-7", emulated: false, home: home)?.limits == .readOnly)
    #expect(try RRAM.chipLimits(chip: "EMU-ideal-0", emulated: true, home: home) == nil)
    try FileManager.default.createDirectory(at: home.chip("DIE-7"), withIntermediateDirectories: true)
    try Data("wordLine: nonsense".utf8).write(to: home.limitsFile(chip: "DIE-7"))
    // A record that cannot be read permits nothing: it is an error, not a chip without a record.
    #expect(throws: ProfileError.self) { try RRAM.chipLimits(chip: "DIE-7", emulated: false, home: home) }
  }

  @Test func noBoardOnUSBIsNotFound() async {
    await #expect { try await RRAM.withBoard("usb:") { _ in } } throws: { ($0 as? TransportError)?.code == .notFound }
  }
}
