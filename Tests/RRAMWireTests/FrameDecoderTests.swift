import RRAMUnits
import Testing

@testable import RRAMWire

@Suite struct FrameDecoderTests {
  static func bytes(_ frame: Frame) throws -> [UInt8] { try FrameEncoder(maximumPayloadBytes: 4096).encode(frame) }

  /// A header with a right check and the given fields.
  static func header(version: UInt8 = Frame.version, sequence: UInt32 = 5, length: UInt32) -> [UInt8] {
    var header: [UInt8] = [0x52, 0x52, version, 0]
    for word in [sequence, length] { header += (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
    let check = CRC32.checksum(header)
    return header + (0..<4).map { UInt8(truncatingIfNeeded: check >> (8 * $0)) }
  }

  @Test func readsTheExampleOfTheSpecification() throws {
    let frame = Frame(flags: .more, sequence: 0x0403_0201, payload: Array("RRAM".utf8))
    let expected = try #require([UInt8](hex: "525201010102030404000000ea4bbdd45252414d82a177ce"))
    #expect(try Self.bytes(frame) == expected)
  }

  @Test func carriesAnEmptyPayload() throws {
    var decoder = FrameDecoder(maximumPayloadBytes: 0)
    let frame = Frame(sequence: 1, payload: [])
    #expect(decoder.decode(try Self.bytes(frame)) == [.frame(frame)])
  }

  @Test func reportsAFrameWithABadPayloadOnceAndGoesOnBehindIt() throws {
    let inner = try Self.bytes(Frame(sequence: 8, payload: [1]))
    var bytes = try Self.bytes(Frame(sequence: 7, payload: inner))
    bytes[bytes.count - 1] ^= 1
    let next = Frame(sequence: 9, payload: [2])
    var decoder = FrameDecoder(maximumPayloadBytes: 4096)
    // What lies inside a damaged frame is never taken for a frame.
    #expect(decoder.decode(bytes + (try Self.bytes(next))) == [.badPayload(sequence: 7), .frame(next)])
    #expect(decoder.badFrames == 1 && decoder.skippedBytes == 0)
  }

  @Test func refusesALengthOverTheMaximumAtOnce() throws {
    var decoder = FrameDecoder(maximumPayloadBytes: 100)
    let next = Frame(sequence: 9, payload: [2])
    let found = decoder.decode(Self.header(length: 101) + (try Self.bytes(next)))
    #expect(found == [.tooLong(sequence: 5, bytes: 101), .frame(next)])
    #expect(decoder.skippedBytes == 16)
  }

  @Test(arguments: [0, 2, 255] as [UInt8]) func reportsAnUnknownVersion(_ version: UInt8) throws {
    var decoder = FrameDecoder(maximumPayloadBytes: 100)
    let next = Frame(sequence: 9, payload: [2])
    let found = decoder.decode(Self.header(version: version, length: 4) + [1, 2, 3, 4] + (try Self.bytes(next)))
    #expect(found == [.unknownVersion(version), .frame(next)])
  }

  @Test(arguments: [[0x52], [0x52, 0x00], [0x00], [0xFF, 0x52]] as [[UInt8]])
  func keepsLittleOfEndlessGarbage(_ pattern: [UInt8]) {
    let garbage = (0..<200_000).map { pattern[$0 % pattern.count] }
    var decoder = FrameDecoder(maximumPayloadBytes: 1000)
    for start in stride(from: 0, to: garbage.count, by: 1777) {
      #expect(decoder.decode(garbage[start..<min(start + 1777, garbage.count)]).isEmpty)
      #expect(decoder.pendingBytes < Frame.headerBytes)
    }
    #expect(decoder.skippedBytes + UInt64(decoder.pendingBytes) == 200_000)
  }

  @Test func keepsAtMostOneFrameOfAStreamThatStops() {
    var decoder = FrameDecoder(maximumPayloadBytes: 1000)
    #expect(decoder.decode(Self.header(length: 1000) + [UInt8](repeating: 0x52, count: 1003)).isEmpty)
    #expect(decoder.pendingBytes == 1019)
    #expect(decoder.decode([0x52]) == [.badPayload(sequence: 5)])
    #expect(decoder.pendingBytes == 0)
  }

  @Test func forgetsHalfAFrameWhenReset() throws {
    var decoder = FrameDecoder(maximumPayloadBytes: 1000)
    let frame = Frame(sequence: 1, payload: [1, 2, 3])
    #expect(decoder.decode(try Self.bytes(frame)[..<20]).isEmpty)
    decoder.reset()
    #expect(decoder.pendingBytes == 0 && decoder.skippedBytes == 20)
    #expect(decoder.decode(try Self.bytes(frame)) == [.frame(frame)])
  }

  @Test func neverTrapsOnArbitraryBytes() {
    // Seed 5; 200 streams of bytes among which headers with right checks are frequent.
    var random = PhiloxStream(seed: 5, stream: (0, 0, 0))
    var findings = 0
    for _ in 0..<200 {
      var decoder = FrameDecoder(maximumPayloadBytes: Int.random(in: 0...64, using: &random))
      for _ in 0..<50 {
        var bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
          UInt8.random(in: 0x50...0x53, using: &random)
        }
        if Bool.random(using: &random) {
          bytes += Self.header(
            version: UInt8.random(in: 0...2, using: &random), length: UInt32.random(in: 0...80, using: &random))
        }
        findings += decoder.decode(bytes).count
        #expect(decoder.pendingBytes <= decoder.maximumPayloadBytes + Frame.overheadBytes)
      }
    }
    #expect(findings > 1000)
  }
}

@Suite struct FrameEncoderTests {
  @Test func refusesAPayloadTheReceiverDoesNotTake() throws {
    let encoder = FrameEncoder(maximumPayloadBytes: 3)
    var bytes: [UInt8] = [7]
    let error = #expect(throws: WireError.self) {
      try encoder.encode(Frame(sequence: 1, payload: [1, 2, 3, 4]), into: &bytes)
    }
    #expect(error?.code == .frameTooLong)
    #expect("\(try #require(error))" == "frame too long: a payload of 4 bytes, the receiver takes 3")
    #expect(bytes == [7])
  }

  @Test func appendsSeveralFramesToOneBurst() throws {
    let frames = (1...3).map { Frame(sequence: $0, payload: [UInt8($0)]) }
    var burst: [UInt8] = []
    for frame in frames { try FrameEncoder(maximumPayloadBytes: 10).encode(frame, into: &burst) }
    var decoder = FrameDecoder(maximumPayloadBytes: 10)
    #expect(decoder.frames(burst) == frames)
  }
}

@Suite struct CRC32Tests {
  /// Check values of the catalogue of parametrised CRC algorithms (CRC-32/ISO-HDLC).
  @Test(arguments: [("123456789", 0xCBF4_3926), ("", 0), ("a", 0xE8B7_BE43)] as [(String, UInt32)])
  func agreesWithKnownValues(_ text: String, _ expected: UInt32) {
    #expect(CRC32.checksum(Array(text.utf8)) == expected)
  }
}
