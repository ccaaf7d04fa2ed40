internal import FoundationEssentials

/// One line of a recording (JSON Lines).
///
/// The first line is the head; all others are what travelled, in the order in which it was handed over.
struct RecordingLine: Codable, Sendable, Hashable {
  enum Kind: String, Codable, Sendable {
    case head, send, receive, control, event
  }

  var kind: Kind
  /// Nanoseconds of monotonic time since the recording began.
  var time: UInt64
  /// Bytes sent or received, lower-case hex; of a control request, its data.
  var bytes: String?
  /// Raw value of the control request.
  var request: UInt8?
  /// Answer to the control request; absent if it failed.
  var reply: String?
  /// Why a control request failed, or what happened.
  var text: String?
  /// Head only: the format's version and the recorded address.
  var version: Int?
  var address: String?

  static let formatVersion = 1

  static func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(unsafeUninitializedCapacity: bytes.count * 2) { text in
      for (i, byte) in bytes.enumerated() {
        text[2 * i] = digits[Int(byte >> 4)]
        text[2 * i + 1] = digits[Int(byte & 15)]
      }
      return bytes.count * 2
    }
  }

  /// Reads hex of either case; `nil` if it is none.
  static func bytes(hex text: String) -> [UInt8]? {
    let digits = text.utf8.map { digit -> UInt8? in
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
      default: nil
      }
    }
    guard digits.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    for i in stride(from: 0, to: digits.count, by: 2) {
      guard let high = digits[i], let low = digits[i + 1] else { return nil }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  func encoded() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return Array(try encoder.encode(self)) + [UInt8(ascii: "\n")]
  }

  init(
    _ kind: Kind, time: UInt64, bytes: String? = nil, request: UInt8? = nil, reply: String? = nil, text: String? = nil,
    version: Int? = nil, address: String? = nil
  ) {
    self.kind = kind
    self.time = time
    self.bytes = bytes
    self.request = request
    self.reply = reply
    self.text = text
    self.version = version
    self.address = address
  }

  init(line: some Collection<UInt8>) throws {
    self = try JSONDecoder().decode(RecordingLine.self, from: Data(line))
  }
}
