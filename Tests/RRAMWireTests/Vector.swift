import Foundation
import SwiftProtobuf
import Testing

@testable import RRAMWire

/// One file of `protocols/vectors`: a frame, and what is in it, made by Python's protobuf.
struct Vector: Sendable, CustomTestStringConvertible {
  enum Kind: String, Sendable {
    case request = "rram.board.v1.Request"
    case response = "rram.board.v1.Response"
    case event = "rram.board.v1.Event"
  }

  var name: String
  var kind: Kind
  var flags: Frame.Flags
  var sequence: UInt32
  /// The message as protobuf JSON.
  var json: String
  var frame: [UInt8]

  var testDescription: String { name }

  /// The bytes between header and last check.
  var payload: [UInt8] { Array(frame[16..<frame.count - 4]) }

  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("protocols/vectors")

  /// Every vector, by name.
  static let all: [Vector] = {
    let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
    return files.filter { $0.pathExtension == "json" && $0.lastPathComponent != "noise.json" }
      .sorted { $0.path < $1.path }.compactMap(Vector.init(contentsOf:))
  }()

  /// Those whose every bit can be flipped in a test.
  static let short = all.filter { $0.frame.count <= 512 }
  static let long = all.filter { $0.frame.count > 8192 }

  init?(contentsOf file: URL) {
    guard let data = try? Data(contentsOf: file),
      let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
      let message = object["message"] as? String, let kind = Kind(rawValue: message),
      let flags = object["flags"] as? UInt8, let sequence = object["sequence"] as? UInt32,
      let body = object["json"], let json = try? JSONSerialization.data(withJSONObject: body),
      let hex = object["frame"] as? String, let frame = [UInt8](hex: hex), frame.count >= 20
    else { return nil }
    name = file.deletingPathExtension().lastPathComponent
    self.kind = kind
    self.flags = Frame.Flags(rawValue: flags)
    self.sequence = sequence
    self.json = String(decoding: json, as: UTF8.self)
    self.frame = frame
  }

  /// Decodes a payload of this kind into our value types and encodes it again.
  func recoded(_ payload: [UInt8]) throws(WireError) -> [UInt8] {
    switch kind {
    case .request: try RequestMessage(payload: payload).payload()
    case .response: try ResponseMessage(payload: payload).payload()
    case .event: try EventMessage(payload: payload).payload()
    }
  }

  /// The canonical JSON of a payload as the generated message.
  func canonicalJSON(_ payload: [UInt8]) throws -> String {
    switch kind {
    case .request: try Rram_Board_V1_Request(serializedBytes: payload).jsonString()
    case .response: try Rram_Board_V1_Response(serializedBytes: payload).jsonString()
    case .event: try Rram_Board_V1_Event(serializedBytes: payload).jsonString()
    }
  }

  /// The vector's JSON read by SwiftProtobuf, as a payload.
  func payloadOfJSON() throws -> [UInt8] {
    switch kind {
    case .request: try Rram_Board_V1_Request(jsonString: json).serializedBytes()
    case .response: try Rram_Board_V1_Response(jsonString: json).serializedBytes()
    case .event: try Rram_Board_V1_Event(jsonString: json).serializedBytes()
    }
  }
}

extension Array where Element == UInt8 {
  /// Bytes from pairs of hex digits.
  init?(hex: String) {
    let digits = hex.utf8.map { UInt8(ascii: "0") <= $0 && $0 <= UInt8(ascii: "9") ? $0 - 48 : $0 &- 87 }
    guard digits.count % 2 == 0, digits.allSatisfy({ $0 < 16 }) else { return nil }
    self = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }
}

extension FrameDecoder {
  /// The frames among what `bytes` completes.
  mutating func frames(_ bytes: [UInt8]) -> [Frame] {
    decode(bytes).compactMap { if case .frame(let frame) = $0 { frame } else { nil } }
  }
}
