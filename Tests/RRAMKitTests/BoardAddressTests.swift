import RRAMKit
import Testing

@Suite struct BoardAddressTests {
  @Test(arguments: [
    ("emu:", BoardAddress.emulated(.init())),
    ("emu:profile=ideal,seed=42", .emulated(.init(profile: "ideal", seed: 42))),
    (
      "emu:board=multiplexed,state=/a,b=c.npz",
      .emulated(.init(board: "multiplexed", stateFile: "/a,b=c.npz"))
    ),
    ("usb:", .usb(serial: nil)), ("usb:RR-0042", .usb(serial: "RR-0042")),
    ("sock:/run/rram", .socket(path: "/run/rram")), ("replay:log.jsonl", .replay(path: "log.jsonl")),
  ])
  func addressesAreUnderstoodAndWrittenBack(text: String, address: BoardAddress) throws {
    #expect(try BoardAddress(text) == address)
    #expect(try BoardAddress(address.description) == address)
  }

  @Test(arguments: [
    ("board", "no scheme"), ("serial:x", "unknown scheme 'serial'"), ("emu:seed", "'seed' is not KEY=VALUE"),
    ("emu:seed=x", "'x' is not a whole number"), ("emu:seed=1,seed=2", "stands twice"),
    ("emu:color=1", "known are profile"),
    ("emu:profile=", "has no value"), ("sock:", "no path"),
  ])
  func othersAreRefusedWithTheReason(text: String, reason: String) {
    #expect { try BoardAddress(text) } throws: { "\($0)".contains(reason) && "\($0)".contains("'\(text)'") }
  }
}
