import Foundation
import Glibc
import RRAMUnits
import Synchronization
import Testing

@testable import RRAMCharacterization

@Suite struct SourceMeterTests {
  /// Serves one connection on a port of its own; `answers` gives what a line is answered with, nil hangs up.
  private func instrument(_ answers: @escaping @Sendable (String) -> String?) throws -> SourceMeter.Address {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        Glibc.bind(listener, pointer, length) == 0 && listen(listener, 1) == 0
          && getsockname(listener, pointer, &length) == 0
      }
    }
    try #require(status)
    Thread.detachNewThread {
      let peer = accept(listener, nil, nil)
      defer {
        close(peer)
        close(listener)
      }
      var line: [UInt8] = []
      var byte: UInt8 = 0
      while recv(peer, &byte, 1, 0) == 1 {
        guard byte == 10 else {
          line.append(byte)
          continue
        }
        guard let answer = answers(String(decoding: line, as: UTF8.self)) else { return }
        line = []
        let bytes = Array((answer + "\r\n").utf8)
        send(peer, bytes, bytes.count, Int32(MSG_NOSIGNAL))
      }
    }
    return try #require(SourceMeter.Address("127.0.0.1:\(UInt16(bigEndian: address.sin_port))"))
  }

  @Test func askedAreItsNameAndTheChannels() async throws {
    let asked = Mutex<[String]>([])
    let address = try instrument { line in
      asked.withLock { $0.append(line) }
      return line == "*IDN?" ? "ACME,Meter 9,42,1.0" : "+9.9871E+04"
    }
    let meter = try await SourceMeter.connect(to: address)
    #expect(try await meter.identity() == "ACME,Meter 9,42,1.0")
    #expect(try await meter.resistance(channel: 2) == Ohms(99_871))
    #expect(asked.withLock { $0 } == ["*IDN?", "MEAS:FRES? (@2)"])
  }

  @Test func whatIsNoResistanceIsRefused() async throws {
    let address = try instrument { _ in "9.9E37 OVLD" }
    let meter = try await SourceMeter.connect(to: address)
    let error = await #expect(throws: CharacterizationError.self) { _ = try await meter.resistance(channel: 1) }
    #expect(error?.description == "instrument \(address) answers '9.9E37 OVLD' to a resistance on channel 1")
  }

  @Test func anInstrumentThatHangsUpIsAnError() async throws {
    let address = try instrument { _ in nil }
    let meter = try await SourceMeter.connect(to: address)
    let error = await #expect(throws: CharacterizationError.self) { _ = try await meter.identity() }
    #expect(error?.description.contains("gives no answer to '*IDN?'") == true, "\(String(describing: error))")
    #expect(
      SourceMeter.Address("host") == nil && SourceMeter.Address(":5025") == nil && SourceMeter.Address("a:70000") == nil
    )
  }
}
