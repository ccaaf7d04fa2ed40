/// Tells which letter an image shows: 144 → 32 ReLU → one number a class, the largest wins.
///
/// Trained on images of its own, never on what the letters' autoencoder makes, so that it can judge decoded letters
/// (`tools/train`, `letters-classifier`).
public struct ImageClassifier: Sendable {
  public let file: String
  /// SHA-256 of the file, hexadecimal.
  public let sha256: String
  /// `rram.classes`: names of the classes 0, 1, ….
  public let classNames: [String]
  private let layers: [ScoreNetwork.Layer]

  init(_ file: TensorFile, sha256: String) throws(ModelError) {
    try file.requireKeys(["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"])
    let pixels = LetterDecoder.imageSize * LetterDecoder.imageSize
    guard let first = file.shape("fc1.weight"), first.count == 2, first[1] == pixels, (1...1024).contains(first[0])
    else {
      throw file.wrongShape("fc1.weight", expected: "(nodes, \(pixels)) with 1 to 1024 nodes")
    }
    guard let second = file.shape("fc2.weight"), second.count == 2, second[1] == first[0],
      (1...ScoreNetwork.classLimit).contains(second[0])
    else {
      throw file.wrongShape(
        "fc2.weight", expected: "(classes, \(first[0])) with 1 to \(ScoreNetwork.classLimit) classes")
    }
    self.file = file.file
    self.sha256 = sha256
    classNames = (file.metadata["rram.classes"] ?? "").split(separator: ",").map(String.init)
    layers = [
      ScoreNetwork.Layer(
        outputs: first[0], inputs: pixels, weight: try file.values("fc1.weight", shape: first),
        bias: try file.values("fc1.bias", shape: [first[0]])),
      ScoreNetwork.Layer(
        outputs: second[0], inputs: first[0], weight: try file.values("fc2.weight", shape: second),
        bias: try file.values("fc2.bias", shape: [second[0]])),
    ]
  }

  /// The class of each image.
  ///
  /// - Parameter images: (n, 12, 12), ink near 1, upright.
  public func classes(of images: [Float]) -> [Int] {
    let pixels = layers[0].inputs
    precondition(images.count % pixels == 0, "\(images.count) values are no whole images")
    var hidden = [Float](repeating: 0, count: layers[0].outputs)
    return stride(from: 0, to: images.count, by: pixels).map { first in
      for node in hidden.indices {
        var sum = layers[0].bias[node]
        for i in 0..<pixels { sum += layers[0].weight[node * pixels + i] * images[first + i] }
        hidden[node] = max(0, sum)
      }
      var best = (index: 0, value: -Float.infinity)
      for index in 0..<layers[1].outputs {
        var sum = layers[1].bias[index]
        for i in hidden.indices { sum += layers[1].weight[index * hidden.count + i] * hidden[i] }
        if sum > best.value { best = (index, sum) }
      }
      return best.index
    }
  }
}

/// How many decoded letters an ``ImageClassifier`` takes for what they were meant to be.
public struct LetterScore: Sendable, Hashable, Codable {
  /// Letters judged, of all classes.
  public var n: Int
  /// The share recognised of each class, 0…1.
  public var classes: [String: Double]
  /// Mean over the classes.
  public var mean: Double
  /// SHA-256 of decoder and classifier.
  public var decoderSHA256: String
  public var classifierSHA256: String

  /// Decodes and judges points of the letters' diffusion space; points that are not finite count as not recognised.
  ///
  /// - Parameters:
  ///   - points: (n, 2).
  ///   - labels: class of each point; those without one (−1) are left out.
  /// - Returns: nil if no point has a class.
  public static func judge(
    _ points: [Float], labels: [Int], decoder: LetterDecoder, classifier: ImageClassifier, threads: Int? = nil
  ) -> LetterScore? {
    precondition(points.count == 2 * labels.count, "\(points.count) coordinates for \(labels.count) labels")
    let chunk = 64
    var right = [Bool](repeating: false, count: labels.count)
    right.withUnsafeMutableBufferPointer { right in
      // Each index writes its own chunk only.
      nonisolated(unsafe) let right = right
      concurrently((labels.count + chunk - 1) / chunk, threads: threads ?? processorCount) { index in
        let range = index * chunk..<min(labels.count, (index + 1) * chunk)
        let found = classifier.classes(
          of: decoder.images(of: Array(points[2 * range.lowerBound..<2 * range.upperBound])))
        for (position, sample) in range.enumerated() {
          right[sample] =
            found[position] == labels[sample] && points[2 * sample].isFinite && points[2 * sample + 1].isFinite
        }
      }
    }
    var shares: [String: Double] = [:]
    for label in Set(labels).sorted() where label >= 0 {
      let members = labels.indices.filter { labels[$0] == label }
      let name = label < classifier.classNames.count ? classifier.classNames[label] : "\(label)"
      shares[name] = Double(members.count { right[$0] }) / Double(members.count)
    }
    guard !shares.isEmpty else { return nil }
    return LetterScore(
      n: labels.count { $0 >= 0 }, classes: shares, mean: shares.values.reduce(0, +) / Double(shares.count),
      decoderSHA256: decoder.sha256, classifierSHA256: classifier.sha256)
  }
}
