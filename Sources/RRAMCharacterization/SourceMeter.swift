internal import Foundation
internal import Glibc
internal import RRAMUnits

/// An instrument beside the board that speaks SCPI over TCP, as source-meters and scanners do on port 5025.
///
/// Asked are `*IDN?`, and of a channel of its scanner `MEAS:FRES? (@CHANNEL)`, the four-wire resistance in ohms, and `MEAS:VOLT? (@CHANNEL)`, volts.
public struct SourceMeter: Sendable {
  /// HOST:PORT.
  public struct Address: Sendable, Hashable, CustomStringConvertible {
    public var host: String
    public var port: UInt16

    public init?(_ text: String) {
      guard let colon = text.lastIndex(of: ":"), colon > text.startIndex,
        let port = UInt16(text[text.index(after: colon)...])
      else { return nil }
      host = String(text[..<colon])
      self.port = port
    }

    public var description: String { "\(host):\(port)" }
  }

  private let address: Address
  private let descriptor: Descriptor

  /// Closed with the last copy.
  private final class Descriptor: Sendable {
    let raw: Int32
    init(_ raw: Int32) { self.raw = raw }
    deinit { close(raw) }
  }

  /// An answer that does not come within this time is none.
  static let patience = Duration.seconds(5)

  static func connect(to address: Address) async throws -> SourceMeter {
    try await onItsOwnThread {
      var hints = addrinfo()
      hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
      var found: UnsafeMutablePointer<addrinfo>?
      let status = getaddrinfo(address.host, "\(address.port)", &hints, &found)
      guard status == 0 else { throw failure(address, "is not known: \(String(cString: gai_strerror(status)))") }
      defer { freeaddrinfo(found) }
      var reason = "has no address"
      var next = found
      while let candidate = next?.pointee {
        let socket = socket(candidate.ai_family, candidate.ai_socktype, candidate.ai_protocol)
        if socket >= 0 {
          // SO_SNDTIMEO also bounds connect (socket(7)).
          var limit = timeval(tv_sec: Int(patience.components.seconds), tv_usec: 0)
          for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(socket, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
          }
          if Glibc.connect(socket, candidate.ai_addr, candidate.ai_addrlen) == 0 {
            return SourceMeter(address: address, descriptor: Descriptor(socket))
          }
          reason = "does not take a connection: \(String(cString: strerror(errno)))"
          close(socket)
        }
        next = candidate.ai_next
      }
      throw failure(address, reason)
    }
  }

  /// Who it says it is.
  func identity() async throws -> String { try await query("*IDN?") }

  func resistance(channel: Int) async throws -> Ohms {
    Ohms(try await positive("FRES", "resistance", channel))
  }

  func voltage(channel: Int) async throws -> Volts { Volts(try await positive("VOLT", "voltage", channel)) }

  private func positive(_ function: String, _ name: String, _ channel: Int) async throws -> Double {
    let answer = try await query("MEAS:\(function)? (@\(channel))")
    guard let value = Double(answer), value.isFinite, value > 0 else {
      throw Self.failure(address, "answers '\(answer)' to a \(name) on channel \(channel)")
    }
    return value
  }

  private func query(_ text: String) async throws -> String {
    let (address, descriptor) = (address, descriptor)
    return try await Self.onItsOwnThread {
      let line = Array((text + "\n").utf8)
      // MSG_NOSIGNAL: an instrument that hangs up is an error, not the end of the process.
      guard send(descriptor.raw, line, line.count, Int32(MSG_NOSIGNAL)) == line.count else {
        throw Self.failure(address, "does not take '\(text)': \(String(cString: strerror(errno)))")
      }
      var answer: [UInt8] = []
      while answer.last != 10 {
        var byte: UInt8 = 0
        let count = recv(descriptor.raw, &byte, 1, 0)
        guard count == 1, answer.count < 4096 else {
          let reason = count == 0 ? "it hung up" : count < 0 ? String(cString: strerror(errno)) : "it does not end"
          throw Self.failure(address, "gives no answer to '\(text)': \(reason)")
        }
        answer.append(byte)
      }
      return String(decoding: answer, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
  }

  private static func failure(_ address: Address, _ reason: String) -> CharacterizationError {
    CharacterizationError(.instrument, "instrument \(address) \(reason)")
  }

  /// Sockets block: not on the threads that everybody shares.
  private static func onItsOwnThread<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { continuation.resume(with: Result(catching: body)) }
    }
  }
}
