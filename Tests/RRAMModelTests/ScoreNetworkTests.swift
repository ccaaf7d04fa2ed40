import RRAMFiles
import RRAMModel
import Testing

@Suite struct ScoreNetworkTests {
  /// Outputs of the training code (PyTorch, float32) at 64 points, times and classes.
  @Test func scoresEqualTheTrainingCode() throws {
    let vectors = try NPZArchive(file: try Fixture.path("reference-vectors.npz"))
    let x = try vectors.floats("x", shape: [64, 2])
    let t = try vectors.floats("t", shape: [64])
    let labels = try vectors.integers("c", shape: [64, 1])
    let ring = try Fixture.model("ring.safetensors").network
    expectClose(ring.score(x, t: t), try vectors.floats("ring_score"), within: 1e-5)
    let letters = try Fixture.model("letters.safetensors").network
    expectClose(letters.score(x, t: t, labels: labels), try vectors.floats("letters_score"), within: 1e-5)
  }

  @Test func npzAndSafetensorsHoldTheSameNetwork() throws {
    #expect(try Fixture.model("ring.npz").network == Fixture.model("ring.safetensors").network)
  }

  @Test func batchAndSinglePointsAgreeBitForBit() throws {
    let network = try Fixture.model("letters.safetensors").network
    let x = (0..<2 * 131).map { Float($0 % 17) * 0.1 - 0.8 }
    let batch = network.score(x, t: 0.37, label: 2)
    for i in 0..<131 {
      #expect(network.score([x[2 * i], x[2 * i + 1]], t: 0.37, label: 2) == [batch[2 * i], batch[2 * i + 1]])
    }
  }

  /// relu(d·z) = d·relu(z): other weights and embeddings, the same function, in float32 and in float64, of every class and of none.
  @Test(arguments: ["ring", "letters"]) func rescaledHiddenUnitsAreTheSameFunction(_ name: String) throws {
    let network = try ModelLibrary.scoreModel(name).network
    let factors = (0..<14).map { 0.4 + 0.17 * Double(($0 * 5) % 14) }
    let rescaled = network.rescalingHidden(by: factors)
    #expect(rescaled.layers[1].weight != network.layers[1].weight)
    #expect(
      zip(rescaled.timeEmbedding(0.3), network.timeEmbedding(0.3)).enumerated().allSatisfy { j, pair in
        abs(pair.0 - Float(factors[j]) * pair.1) < 1e-6
      })
    let x = (0..<2 * 64).map { Float(($0 * 37) % 64) * 0.06 - 1.9 }
    for label in [nil] + (0..<network.classCount).map({ Optional($0) }) {
      for t in [Float(0.02), 0.5, 0.97] {
        let plain = network.score(x, t: t, label: label)
        // Scores reach 40: 1e-4 are a few steps of float32.
        expectClose(rescaled.score(x, t: t, label: label), plain, within: 1e-4)
      }
      let solver = DigitalSolver(equation: .ode, method: .heun, steps: 20)
      func ends(_ network: ScoreNetwork) throws -> [Float] {
        solver.sample(
          ScoreFunction(network, label: label), process: try ModelLibrary.scoreModel(name).metadata.process,
          start: x.prefix(16).map { Double($0) }
        ).map { Float($0) }
      }
      expectClose(try ends(rescaled), try ends(network), within: 1e-4)
    }
  }

  @Test func nullConditionAddsNothing() throws {
    let network = try Fixture.model("letters.safetensors").network
    #expect(network.classEmbedding(nil) == [Float](repeating: 0, count: 14))
    #expect(network.classCount == 3)
    #expect(try Fixture.model("ring.safetensors").network.classCount == 0)
  }

  @Test func tensorsRoundTripThroughAFile() throws {
    let network = try Fixture.model("letters.safetensors").network
    var writer = SafetensorsWriter(metadata: ModelMetadata.published(conditional: true).dictionary)
    for tensor in network.tensors { writer.add(tensor.values, shape: tensor.shape, as: tensor.key) }
    try withTemporaryDirectory { directory in
      try writer.write(to: directory + "/copy.safetensors")
      let copy = try ModelLibrary.scoreModel(directory + "/copy.safetensors")
      #expect(copy.network == network)
      #expect(copy.warning == nil)
      #expect(copy.name == "copy")
    }
  }

  @Test func unknownLabelsAreRefused() throws {
    let letters = try Fixture.model("letters.safetensors").network
    #expect(throws: Never.self) { try letters.validate(label: 2, model: "letters") }
    let tooLarge = #expect(throws: ModelError.self) { try letters.validate(label: 3, model: "letters") }
    #expect(tooLarge?.description == "letters: class 3, the network has 0 to 2")
    let ring = try Fixture.model("ring.safetensors").network
    let unwanted = #expect(throws: ModelError.self) { try ring.validate(label: 0, model: "ring") }
    #expect(unwanted?.description == "ring: class 0 asked of an unconditional network")
  }
}
