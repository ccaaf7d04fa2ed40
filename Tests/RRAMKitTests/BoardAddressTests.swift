import RRAMKit
import Testing

@Suite struct BoardAddressTests {
  static let ownFirmware: BoardAddress.EmulatedHDPM = {
    var board = BoardAddress.EmulatedHDPM()
    board.model = "letters"
    board.profile = "ideal"
    board.seed = 7
    board.firmware = .model
    return board
  }()

  @Test(arguments: [
    ("emu:", BoardAddress.emulated(.init())),
    ("emu:profile=ideal,seed=42", .emulated(.init(profile: "ideal", seed: 42))),
    ("emu:steps=400,noise=cells", .emulated(.init(loop: .init(steps: 400, noise: .cells)))),
    (
      "emu:board=multiplexed,state=/a,b=c.npz",
      .emulated(.init(board: "multiplexed", stateFile: "/a,b=c.npz"))
    ),
    ("usb:", .usb(serial: nil)), ("usb:RR-0042", .usb(serial: "RR-0042")),
    ("hdpm:/dev/ttyUSB0", .hdpm(port: "/dev/ttyUSB0")), ("hdpm-emu:", .emulatedHDPM(.init())),
    ("hdpm-emu:model=letters,profile=ideal,seed=7,firmware=model", .emulatedHDPM(Self.ownFirmware)),
    ("sock:/run/rram", .socket(path: "/run/rram")), ("replay:log.jsonl", .replay(path: "log.jsonl")),
  ])
  func addressesAreUnderstoodAndWrittenBack(text: String, address: BoardAddress) throws {
    #expect(try BoardAddress(text) == address)
    #expect(try BoardAddress(address.description) == address)
  }

  @Test(arguments: [
    ("board", "no scheme"), ("serial:x", "unknown scheme 'serial'"), ("emu:seed", "'seed' is not KEY=VALUE"),
    ("emu:seed=x", "'x' is not a whole number"), ("emu:seed=1,seed=2", "stands twice"),
    ("emu:color=1", "known are profile"), ("emu:state=/a.npz,seed=3", "'seed=' behind it as well: put 'state=' last"),
    ("emu:steps=0", "steps '0' is not a whole number from 1"),
    ("emu:noise=loud", "known are outputs, cells"),
    ("hdpm:", "no serial port"), ("hdpm-emu:board=x", "known are model, profile, seed, firmware"),
    ("hdpm-emu:firmware=x", "published and model"), ("hdpm-emu:seed=-1", "'-1' is not a whole number"),
    ("emu:profile=", "has no value"), ("sock:", "no path"),
  ])
  func othersAreRefusedWithTheReason(text: String, reason: String) {
    #expect { try BoardAddress(text) } throws: { "\($0)".contains(reason) && "\($0)".contains("'\(text)'") }
  }
}
