import Foundation
import RRAMUnits
import SwiftProtobuf
import Testing

@testable import RRAMWire

/// The vectors of `protocols/vectors`, which Python's protobuf made and `check.py` reads.
@Suite struct VectorTests {
  static let maximum = 1 << 20

  @Test func everyFileIsAVector() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: Vector.folder.path).filter {
      $0.hasSuffix(".json") && $0 != "noise.json"
    }
    #expect(files.count == Vector.all.count)
    #expect(!Vector.long.isEmpty)
    #expect(Vector.short.count > 50)
  }

  @Test func everyBodyHasAVector() throws {
    var names: Set<String> = []
    for vector in Vector.all {
      switch vector.kind {
      case .request: names.insert("request " + (try RequestMessage(payload: vector.payload)).body.name)
      case .response:
        if let body = try ResponseMessage(payload: vector.payload).body { names.insert("response " + body.name) }
      case .event:
        switch try EventMessage(payload: vector.payload).event {
        case .badFrame: names.insert("event bad_frame")
        case .enteredSafe: names.insert("event entered_safe")
        case .faultRaised: names.insert("event fault_raised")
        }
      }
    }
    let kinds = Dictionary(grouping: names) { $0.prefix(while: { $0 != " " }) }.mapValues(\.count)
    #expect(kinds == ["request": 24, "response": 19, "event": 3])
  }

  @Test(arguments: Vector.all) func decodesToItsFields(_ vector: Vector) throws {
    var decoder = FrameDecoder(maximumPayloadBytes: Self.maximum)
    let frames = decoder.frames(vector.frame)
    #expect(frames == [Frame(flags: vector.flags, sequence: vector.sequence, payload: vector.payload)])
    let jsonPayload = try vector.payloadOfJSON()
    #expect(try vector.canonicalJSON(frames[0].payload) == vector.canonicalJSON(jsonPayload))
    #expect(decoder.pendingBytes == 0 && decoder.skippedBytes == 0 && decoder.badFrames == 0)
  }

  @Test(arguments: Vector.all) func encodesToItsBytes(_ vector: Vector) throws {
    let payload = try vector.recoded(vector.payload)
    #expect(payload == vector.payload)
    #expect(try payload == vector.payloadOfJSON())
    let frame = Frame(flags: vector.flags, sequence: vector.sequence, payload: payload)
    #expect(try FrameEncoder(maximumPayloadBytes: Self.maximum).encode(frame) == vector.frame)
    #expect(frame.byteCount == vector.frame.count)
  }

  @Test(arguments: Vector.all) func needsEveryByte(_ vector: Vector) {
    var accepted: [Int] = []
    for length in 0..<vector.frame.count {
      var decoder = FrameDecoder(maximumPayloadBytes: Self.maximum)
      if !decoder.decode(vector.frame[..<length]).isEmpty || decoder.pendingBytes != length { accepted.append(length) }
    }
    #expect(accepted.isEmpty)
  }

  @Test(arguments: Vector.short) func refusesOrReadsAShortenedPayloadWithoutTrapping(_ vector: Vector) {
    // Protobuf itself cannot tell a message cut between two fields, but it must not give the whole one.
    var same: [Int] = []
    for length in 0..<vector.payload.count {
      if let again = try? vector.recoded(Array(vector.payload[..<length])), again == vector.payload {
        same.append(length)
      }
    }
    #expect(same.isEmpty)
  }

  @Test(arguments: Vector.all) func readsTheSameHoweverItIsSplit(_ vector: Vector) {
    let expected = [Frame(flags: vector.flags, sequence: vector.sequence, payload: vector.payload)]
    var wrong: [Int] = []
    for cut in 0...vector.frame.count {
      var decoder = FrameDecoder(maximumPayloadBytes: Self.maximum)
      let frames = decoder.frames(Array(vector.frame[..<cut])) + decoder.frames(Array(vector.frame[cut...]))
      if frames != expected { wrong.append(cut) }
    }
    #expect(wrong.isEmpty)
    var decoder = FrameDecoder(maximumPayloadBytes: Self.maximum)
    #expect(vector.frame.flatMap { decoder.frames([$0]) } == expected)
  }

  @Test(arguments: Vector.short) func catchesEverySingleBitFlip(_ vector: Vector) throws {
    let next = Frame(sequence: 99, payload: [1, 2, 3])
    let nextBytes = try FrameEncoder(maximumPayloadBytes: 16).encode(next)
    var missed: [Int] = []
    for bit in 0..<vector.frame.count * 8 {
      var bytes = vector.frame
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      var decoder = FrameDecoder(maximumPayloadBytes: Self.maximum)
      // The damaged frame is not delivered, the one behind it is.
      if decoder.frames(bytes + nextBytes) != [next] { missed.append(bit) }
    }
    #expect(missed.isEmpty)
  }

  @Test(arguments: Vector.long) func catchesAThousandSingleBitFlipsOfALongFrame(_ vector: Vector) {
    var random = PhiloxStream(seed: 2, stream: (1, 0, 0))
    var missed: [Int] = []
    for _ in 0..<1000 {
      let bit = Int.random(in: 0..<vector.frame.count * 8, using: &random)
      var bytes = vector.frame
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      var decoder = FrameDecoder(maximumPayloadBytes: Self.maximum)
      if !decoder.frames(bytes).isEmpty { missed.append(bit) }
    }
    #expect(missed.isEmpty)
  }

  @Test func findsAllFramesBackToBackAndInGarbage() {
    let expected = Vector.all.map { Frame(flags: $0.flags, sequence: $0.sequence, payload: $0.payload) }
    var decoder = FrameDecoder(maximumPayloadBytes: Self.maximum)
    #expect(decoder.frames(Vector.all.flatMap(\.frame)) == expected)
    #expect(decoder.skippedBytes == 0)

    // Seed 3; garbage of 0 to 99 bytes, a third of them the sync byte.
    var random = PhiloxStream(seed: 3, stream: (0, 0, 0))
    var garbageBytes = 0
    var stream: [UInt8] = []
    for vector in Vector.all {
      let garbage = (0..<Int.random(in: 0..<100, using: &random)).map { _ -> UInt8 in
        UInt8.random(in: 0..<3, using: &random) == 0 ? 0x52 : UInt8.random(in: 0...255, using: &random)
      }
      garbageBytes += garbage.count
      stream += garbage + vector.frame
    }
    var found: [Frame] = []
    var at = 0
    while at < stream.count {
      let end = min(stream.count, at + Int.random(in: 1...700, using: &random))
      found += decoder.frames(Array(stream[at..<end]))
      at = end
    }
    #expect(found == expected)
    #expect(decoder.skippedBytes == UInt64(garbageBytes))
    #expect(decoder.pendingBytes == 0)
  }

  @Test func neverTrapsOnDamagedPayloads() {
    // Seed 4, 300 mutations of each short payload: bytes set, cut out or doubled. What is accepted must encode and read back.
    var random = PhiloxStream(seed: 4, stream: (0, 0, 0))
    var accepted = 0
    var refused = 0
    for vector in Vector.short {
      for _ in 0..<300 {
        var payload = vector.payload
        for _ in 0..<Int.random(in: 1...3, using: &random) where !payload.isEmpty {
          let at = Int.random(in: 0..<payload.count, using: &random)
          switch Int.random(in: 0..<4, using: &random) {
          case 0: payload.remove(at: at)
          case 1: payload.insert(payload[at], at: at)
          case 2: payload[at] = 0xFF
          default: payload[at] = UInt8.random(in: 0...255, using: &random)
          }
        }
        guard let once = try? vector.recoded(payload) else {
          refused += 1
          continue
        }
        accepted += 1
        let twice = try? vector.recoded(once)
        if twice != once { Issue.record("\(vector.name): \(payload) does not read back") }
      }
    }
    #expect(accepted > 1000 && refused > 1000)
  }
}
