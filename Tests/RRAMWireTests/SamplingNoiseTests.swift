import Foundation
import RRAMUnits
import Testing

/// The sampling noise that host and board draw alike, against the known answers of `protocols/vectors/noise.json`.
@Suite struct SamplingNoiseTests {
  struct Answers: Decodable {
    struct Answer: Decodable {
      var seed: String
      var sample: UInt32
      var tick: UInt32
      var channel: UInt32
      var words: [UInt32]
      var xi: String
      var held: String
    }

    var noise: [Answer]
  }

  @Test func agreesWithTheKnownAnswers() throws {
    let data = try Data(contentsOf: Vector.folder.appendingPathComponent("noise.json"))
    let answers = try JSONDecoder().decode(Answers.self, from: data).noise
    #expect(answers.count >= 8)
    for answer in answers {
      let seed = try #require(UInt64(answer.seed))
      let xi = try #require(Double(answer.xi))
      let block = Philox4x32.block(seed: seed, answer.sample, answer.tick, answer.channel, SamplingNoise.wienerTag)
      #expect([block.x, block.y] == answer.words)
      #expect(abs(Philox4x32.normals(block).0 - xi) < 1e-11)
      let drawn = SamplingNoise.wiener(seed: seed, sample: answer.sample, tick: answer.tick, channel: answer.channel)
      #expect(drawn == Float(xi))
      #expect(Float(answer.held) == max(-4, min(4, drawn)))
    }
  }
}
