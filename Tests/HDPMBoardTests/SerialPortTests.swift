import Foundation
import HDPMBoard
import RRAMModel
import RRAMTransport
import Testing

/// Real ports: the pseudo-terminal of a virtual board.
@Suite struct SerialPortTests {
  static func open(_ path: String) throws -> SerialPort {
    try SerialPort.open(path: path, address: "hdpm:\(path)", clock: SystemSerialClock())
  }

  static func pty() throws -> HDPMPty {
    let analog = try HDPMAnalogLoop(ModelLibrary.scoreModel("ring"), profile: nil, seed: 1)
    return try HDPMPty(VirtualHDPM(firmware: HDPMFirmware(), analog: analog)) { _, _ in }
  }

  @Test func bytesPassUnchangedBothWays() async throws {
    let pty = try Self.pty()
    defer { pty.close() }
    let clock = SystemSerialClock()
    let port = try SerialPort.open(path: pty.path, address: "hdpm:\(pty.path)", clock: clock)
    for (command, answer) in [
      ("C050\r\n", "Coef: 0.500000\r\n"), ("O5050\r\n", "Offset set1: 0.000000\nOffset set2: 0.000000\r\n"),
    ] {
      try await port.write(Array(command.utf8))
      let deadline = clock.now + .seconds(10)
      var bytes: [UInt8] = []
      while bytes.count < answer.utf8.count, clock.now < deadline { bytes += try await port.read(until: deadline) }
      #expect(String(decoding: bytes, as: UTF8.self) == answer)
    }
    // Silence is no error.
    #expect(try await port.read(until: clock.now).isEmpty)
    await port.close()
  }

  @Test func aPortThatIsHeldIsBusyAndFreeAgainAfterwards() async throws {
    let pty = try Self.pty()
    defer { pty.close() }
    let port = try Self.open(pty.path)
    #expect { try Self.open(pty.path) } throws: { ($0 as? TransportError)?.code == .busy }
    await port.close()
    await #expect { try await port.write([0x0D]) } throws: { ($0 as? TransportError)?.code == .closed }
    await (try Self.open(pty.path)).close()
  }

  @Test func anAdapterThatGoesAwayIsNoticed() async throws {
    let pty = try Self.pty()
    let clock = SystemSerialClock()
    let port = try SerialPort.open(path: pty.path, address: "hdpm:\(pty.path)", clock: clock)
    pty.close()
    await #expect {
      _ = try await port.read(until: clock.now + .seconds(10))
    } throws: {
      ($0 as? TransportError)?.code == .closed
    }
    await port.close()
  }

  @Test(arguments: [
    ("/dev/ttyRRAM-none", TransportError.Code.notFound, "cannot open the serial port"),
    ("/dev/null", TransportError.Code.badAddress, "the file is not a serial port"),
  ])
  func whatIsNoPortIsRefused(path: String, code: TransportError.Code, reason: String) {
    #expect {
      try Self.open(path)
    } throws: {
      ($0 as? TransportError)?.code == code && "\($0)".hasPrefix("hdpm:\(path): \(reason)")
    }
  }
}
