import Foundation
import Glibc
import RRAMBoard
import RRAMEmulator
import RRAMProfiles
import RRAMRecords
import RRAMTransport
import RRAMUnits
import RRAMWire
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

  /// Chip `ideal` on `parallel`, seed 3: a meter that measures 1 % more than the board describes, of resistors and reference, gives the scale of
  /// both; one whose voltage is tenfold is not believed.
  @Test func aMeterGivesTheScaleOfReadsAndConverters() async throws {
    func calibrate(_ volts: String) async throws -> (
      read: ReadCalibration?, lines: ConverterLineCalibration?, asked: [String]
    ) {
      let asked = Mutex<[String]>([])
      let address = try instrument { line in
        asked.withLock { $0.append(line) }
        return switch line {
        case "*IDN?": "ACME,Meter 9,42,1.0"
        case "MEAS:FRES? (@1)": "2.02E+04"
        case "MEAS:FRES? (@2)": "1.01E+05"
        default: volts
        }
      }
      let folder = FileManager.default.temporaryDirectory.appending(path: "rram-\(UUID().uuidString)")
      defer { try? FileManager.default.removeItem(at: folder) }
      let profile = try ChipProfile.named("ideal")
      let device = try EmulatedBoard(
        profile: profile, board: try BoardDescription.named("parallel"),
        configuration: .init(seed: 3, clock: LinkClock { .zero }, threads: 1))
      let result = try await withBoard(InMemoryLink(to: device)) { board in
        let run = try RunDirectory(
          home: RecordsHome(root: folder), toolkit: "test", command: ["rram", "characterize"], settings: [:])
        let plan = try CharacterizationPlan.step("converters", settings: [("meter", "\(address)"), ("averages", "1")])
        do {
          _ = try await Characterization(plan: plan, profile: profile, macro: 0).run(on: board, in: run)
        } catch {
          // What was refused is not kept: a resumed run asks the meter again.
          let journal = try Data(contentsOf: run.file("01-converters.journal"))
          #expect(!journal.isEmpty && journal.range(of: Data("meter".utf8)) == nil)
          throw error
        }
        let measurement = try Measurement(file: run.file("01-converters.npz").path)
        return (
          read: try ConverterCalibration.calibration(
            from: measurement, macro: 0, board: board, id: "r", at: 1, before: nil),
          lines: try LoopConverters.calibration(from: measurement, board: board, id: "c", at: 1)
        )
      }
      return (result.read, result.lines, asked.withLock { $0 })
    }
    let found = try await calibrate("+5.0500E-01")
    #expect(found.asked == ["*IDN?", "MEAS:FRES? (@1)", "MEAS:FRES? (@2)", "MEAS:VOLT? (@3)"])
    #expect(found.read?.reference == .measured(instrument: "ACME,Meter 9,42,1.0"))
    #expect(found.lines?.reference == .measured(instrument: "ACME,Meter 9,42,1.0"))
    // More ohms are fewer siemens, of which the amplifiers then show more; single conversions of 18 bits.
    for gain in found.read?.gain[0] ?? [0] { #expect(abs(gain - 1.01) < 0.002, "\(gain)") }
    #expect(abs((found.lines?.lines.coefficient[0].gain ?? 0) - 1.01) < 1e-3, "\(String(describing: found.lines))")
    let error = await #expect(throws: CharacterizationError.self) { _ = try await calibrate("5.05") }
    #expect(
      error?.description
        == "voltage reference: 5.05 V were measured where 0.5 V are described, more than 10 % apart: another channel, or another unit?",
      "\(String(describing: error))")
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
