import RRAMModel
import RRAMUnits
import Testing

@Suite struct ImageClassifierTests {
  /// Thin block letters on 12 × 12, drawn here: nothing the classifier was trained on.
  private static func image(_ rows: [String]) -> [Float] {
    rows.flatMap { row in row.map { $0 == "#" ? Float(0.9) : 0 } }
  }

  private static let drawn: [[String]] = {
    let h = (0..<12).map { row in
      row == 0 || row == 11 ? "............" : row == 5 || row == 6 ? "..########.." : "..##....##.."
    }
    let k = [
      "............", "..##....##..", "..##...##...", "..##..##....", "..##.##.....", "..####......", "..####......",
      "..##.##.....", "..##..##....", "..##...##...", "..##....##..", "............",
    ]
    let u = (0..<12).map { row in
      row == 0 || row == 11 ? "............" : row == 10 ? "...######..." : row == 9 ? "..########.." : "..##....##.."
    }
    return [h, k, u]
  }()

  @Test func recognisesLettersItHasNotSeen() throws {
    let classifier = try ModelLibrary.letterClassifier()
    #expect(classifier.classNames == ["H", "K", "U"])
    #expect(classifier.classes(of: Self.drawn.flatMap(Self.image)) == [0, 1, 2])
  }

  /// Seed 2, 300 points a class of the SDE with 50 ticks: in software at least 97 % are what they should be (99 % and a standard
  /// error of 0.6 %), and hardly any if the classes are mixed up.
  @Test func judgesDecodedLetters() throws {
    let model = try ModelLibrary.scoreModel("letters")
    let (decoder, classifier) = (try ModelLibrary.letterDecoder(), try ModelLibrary.letterClassifier())
    var (points, labels): ([Float], [Int]) = ([], [])
    for label in 0..<3 {
      points += DigitalSolver(equation: .sde, steps: 50).sample(
        model.network, process: model.metadata.process,
        start: SamplingNoise.start(seed: 2, firstSample: UInt32(300 * label), count: 300), label: label,
        noise: .philox(seed: 2, firstSample: 300 * label))
      labels += [Int](repeating: label, count: 300)
    }
    let score = try #require(LetterScore.judge(points, labels: labels, decoder: decoder, classifier: classifier))
    #expect(score.n == 900 && score.classes.count == 3)
    #expect(score.mean >= 0.97, "\(score.classes)")
    let mixed = try #require(
      LetterScore.judge(points, labels: labels.map { ($0 + 1) % 3 }, decoder: decoder, classifier: classifier))
    #expect(mixed.mean < 0.05)
    points[0] = .nan
    let broken = try #require(LetterScore.judge(points, labels: labels, decoder: decoder, classifier: classifier))
    #expect(broken.mean <= score.mean)
    #expect(LetterScore.judge([0, 0], labels: [-1], decoder: decoder, classifier: classifier) == nil)
  }

  @Test func otherFilesAreRefused() throws {
    let error = #expect(throws: ModelError.self) {
      try ModelLibrary.letterClassifier(try Fixture.path("letters-vae.safetensors"))
    }
    #expect(error?.code == .missingKeys)
  }
}
