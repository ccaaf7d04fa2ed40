import RRAMKit
import Testing

@testable import rram

/// Every layer's errors have an exit code of their own choosing; the words are the library's.
@Suite struct DiagnosticsTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var error: any Error
    var code: Int32
    var testDescription: String { "\(code): \(error)" }

    init(_ error: any Error, _ code: Int32) {
      self.error = error
      self.code = code
    }
  }

  @Test(arguments: [
    Case(EmulatorError(.busy, "another process holds its lock", file: "die.npz"), 75),
    Case(EmulatorError(.newerVersion, "version 9", file: "die.npz"), 65),
    Case(EmulatorError(.olderVersion, "version 1", file: "die.npz"), 65),
    Case(TransportError(.notFound, "no board found on USB", address: "usb:"), 69),
    Case(TransportError(.permission, "cannot open", address: "usb:"), 77),
    Case(TransportError(.ambiguous, "2 boards fit this address: A, B", address: "usb:"), 64),
    Case(TransportError(.timedOut, "no answer", address: "usb:"), 75),
    Case(BoardError(.versionMismatch, "level 2, this host 1 to 1", address: "emu:"), 76),
    Case(BoardError(.limitRefused, "bit line 3 V", address: "emu:"), 1),
    Case(
      BoardError(
        .linkLost, "the link was lost", address: "usb:",
        underlying: TransportError(.busy, "cannot claim interface 0", address: "usb:")), 75),
    Case(MappingError(.notFormed, "564 cells"), 1),
    Case(MappingError(.malformedRecord, "record 00"), 65),
    Case(SessionError(.malformedFile, "s.npz"), 65),
    Case(RecordsError(.newerVersion, path: "manifest.json", reason: "layout 9"), 65),
    Case(CancellationError(), 130),
  ])
  func exitCode(_ input: Case) {
    #expect(diagnose(input.error).exitCode == input.code)
  }

  @Test func globalOptionsMayStandBeforeTheVerb() {
    #expect(
      hoistGlobalOptions(["--board", "emu:", "--json", "sample", "ring"]) == [
        "sample", "--board", "emu:", "--json", "ring",
      ])
    #expect(hoistGlobalOptions(["--board=emu:", "info"]) == ["info", "--board=emu:"])
    #expect(hoistGlobalOptions(["info", "--json"]) == ["info", "--json"])
    #expect(hoistGlobalOptions(["--help"]) == ["--help"])
  }

  @Test(arguments: [("10ms", 0.01), ("1s", 1.0), ("1.5min", 90.0), ("1d", 86_400.0)])
  func durationsHaveUnits(text: String, seconds: Double) throws {
    #expect(abs(try parseDuration(text).seconds - seconds) < 1e-9)
  }

  @Test(arguments: ["", "10", "-1s", "0s", "nan s", "infs", "100000d"])
  func aTimeThatIsNoneIsRefused(text: String) {
    #expect(throws: (any Error).self) { try parseDuration(text) }
  }
}
