import Foundation
import RRAMTransport
import Testing

@Suite struct RecordingTests {
  let scratch = try! ScratchDirectory()

  /// One short session; the same on the device and in the replay.
  private func session(_ transport: any Transport, burst: Int) async throws -> [UInt8] {
    var answer: [UInt8] = []
    for part in [pattern(40), Array(pattern(80).suffix(40))] {
      for start in stride(from: 0, to: part.count, by: burst) {
        try await transport.send(Array(part[start..<min(start + burst, part.count)]))
      }
      answer += try await receive(part.count, from: transport)
    }
    answer += try await transport.control(.status, data: [9])
    return answer
  }

  private func record() async throws -> (path: String, answer: [UInt8]) {
    let path = scratch.file("session.jsonl")
    let recorder = try RecordingTransport(InMemoryLink(to: EchoDevice()), path: path)
    let answer = try await session(recorder, burst: 40)
    #expect(!FileManager.default.fileExists(atPath: path))
    await recorder.close()
    try await recorder.finish()
    return (path, answer)
  }

  @Test func aReplayAnswersLikeTheDeviceHoweverBytesAreSplit() async throws {
    let (path, answer) = try await record()
    #expect(answer == pattern(80) + [3, 9])
    #expect(!FileManager.default.fileExists(atPath: path + ".new"))
    for burst in [40, 7, 1] {
      let replay = try ReplayingTransport(path: path)
      #expect(replay.address == "replay:\(path)")
      #expect(try await session(replay, burst: burst) == answer)
      await #expect(throws: TransportError(.closed, "the recording ends here", address: replay.address)) {
        try await replay.receive()
      }
      await replay.close()
    }
  }

  @Test func otherBytesAreRefusedWithTheirPosition() async throws {
    let (path, _) = try await record()
    let replay = try ReplayingTransport(path: path)
    var bytes = pattern(40)
    bytes[12] ^= 1
    let error = await #expect(throws: TransportError.self) { try await replay.send(bytes) }
    #expect(error?.code == .protocolViolation)
    #expect(
      error?.message
        == "the host sent byte 75 where line 2 of the recording has 74 (byte 12 of all sent)")
    await #expect(throws: TransportError.self) { try await replay.receive() }
  }

  @Test func answersWaitForWhatWasSentBefore() async throws {
    let (path, _) = try await record()
    let replay = try ReplayingTransport(path: path)
    try await replay.send(Array(pattern(40).prefix(39)))
    let waiting = Task { try await replay.receive() }
    waiting.cancel()
    await #expect(throws: TransportError.self) { try await waiting.value }
    try await replay.send([pattern(40)[39]])
    #expect(try await replay.receive() == pattern(40))
    let error = await #expect(throws: TransportError.self) { try await replay.control(.safe) }
    #expect(error?.code == .protocolViolation)
  }

  @Test func aFailedSessionLeavesOnlyTheNewFile() async throws {
    let path = scratch.file("broken.jsonl")
    let link = InMemoryLink(to: EchoDevice())
    let recorder = try RecordingTransport(link, path: path)
    try await recorder.send([1])
    link.unplug()
    await recorder.close()
    #expect(!FileManager.default.fileExists(atPath: path))
    #expect(FileManager.default.fileExists(atPath: path + ".new"))
  }

  @Test(arguments: [
    ("", "the recording is empty"),
    ("{}\n", "line 1 of the recording cannot be read"),
    (#"{"kind":"send","time":0,"bytes":"00"}"#, "line 1 of the recording should be its head"),
    (#"{"kind":"head","time":0,"version":2}"#, "line 1 of the recording has version 2, known is 1"),
    (
      "{\"kind\":\"head\",\"time\":0,\"version\":1}\n{\"kind\":\"send\",\"time\":0,\"bytes\":\"0\"}",
      "line 2 of the recording has bytes that are no hex"
    ),
  ])
  func aFileThatIsNoRecordingIsRefusedByLine(text: String, message: String) throws {
    let error = #expect(throws: TransportError.self) {
      try ReplayingTransport(recording: Array(text.utf8), address: "replay:x")
    }
    #expect(error?.message == message)
  }

  @Test func aMissingRecordingIsNotFound() {
    let error = #expect(throws: TransportError.self) { try ReplayingTransport(path: scratch.file("none")) }
    #expect(error?.code == .notFound)
  }
}
