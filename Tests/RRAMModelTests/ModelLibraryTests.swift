import RRAMFiles
import RRAMModel
import Testing

@Suite struct ModelLibraryTests {
  private func ringWriter(
    replacing key: String? = nil, with replacement: ([Int], [Float])? = nil, metadata: [String: String] = [:]
  ) throws
    -> SafetensorsWriter
  {
    var writer = SafetensorsWriter(metadata: metadata)
    for tensor in try Fixture.model("ring.safetensors").network.tensors {
      if tensor.key == key {
        if let replacement { writer.add(replacement.1, shape: replacement.0, as: tensor.key) }
      } else {
        writer.add(tensor.values, shape: tensor.shape, as: tensor.key)
      }
    }
    return writer
  }

  private func error(_ writer: SafetensorsWriter) throws -> ModelError? {
    try withTemporaryDirectory { directory in
      try writer.write(to: directory + "/m.safetensors")
      var error = #expect(throws: ModelError.self) { try ModelLibrary.scoreModel(directory + "/m.safetensors") }
      error?.subject.replace(directory + "/", with: "")
      return error
    }
  }

  @Test func missingMetadataGivesPublishedValuesAndOneWarning() throws {
    let path = try Fixture.path("letters.safetensors")
    let letters = try ModelLibrary.scoreModel(path)
    #expect(letters.metadata == .published(conditional: true))
    #expect(
      letters.warning
        == "\(path) has no metadata rram.sde, rram.beta0, rram.beta1, rram.scale, rram.amplitude, rram.solver, rram.data; "
        + "using the published sde vp, beta0 0.001, beta1 0.5, scale 1.5, amplitude 5.0, solver sde, data letters")
    let ring = try Fixture.model("ring.safetensors")
    #expect(ring.metadata == .published(conditional: false))
    #expect(ring.metadata.process == .variancePreserving(beta0: 0.001, beta1: 0.5, scale: 2))
    #expect(ring.metadata.equation == .ode && ring.metadata.data == "ring")
    #expect(ring.sha256.count == 64 && ring.name == "ring")
  }

  @Test func metadataOfTheFileIsUsed() throws {
    let own = [
      "rram.sde": "vp", "rram.beta0": "0.01", "rram.beta1": "1", "rram.scale": "3", "rram.amplitude": "4",
      "rram.solver": "sde", "rram.data": "spiral",
    ]
    try withTemporaryDirectory { directory in
      try ringWriter(metadata: own).write(to: directory + "/m.safetensors")
      let model = try ModelLibrary.scoreModel(directory + "/m.safetensors")
      #expect(model.warning == nil)
      #expect(model.network.amplitude == 4)
      #expect(
        model.metadata
          == ModelMetadata(
            process: .variancePreserving(beta0: 0.01, beta1: 1, scale: 3), amplitude: 4, equation: .sde, data: "spiral")
      )
    }
  }

  @Test func otherProcessesAreRead() throws {
    func metadata(_ own: [String: String]) throws -> ScoreModel {
      try withTemporaryDirectory { directory in
        let common = ["rram.amplitude": "4", "rram.solver": "ode", "rram.data": "ring"]
        try ringWriter(metadata: own.merging(common) { first, _ in first }).write(to: directory + "/m.safetensors")
        return try ModelLibrary.scoreModel(directory + "/m.safetensors")
      }
    }
    let sub = try metadata(["rram.sde": "subvp", "rram.beta0": "0.1", "rram.beta1": "20"])
    #expect(sub.metadata.process == .subVariancePreserving(beta0: 0.1, beta1: 20) && sub.warning == nil)
    let flow = try metadata(["rram.sde": "flow"])
    #expect(flow.metadata.process == .flow && flow.warning == nil)
    let exploding = try metadata(["rram.sde": "ve", "rram.sigma": "8"])
    #expect(exploding.metadata.process == .varianceExploding(sigma: 8) && exploding.warning == nil)
    // The chip integrates y = x/s: s stands in the first layer's weights.
    let (scaled, plain) = (exploding.network.layers[0].weight[3], flow.network.layers[0].weight[3])
    #expect(abs(scaled / plain - Float(exploding.metadata.process.stateScale)) < 1e-5)
    #expect(exploding.network.layers[1] == flow.network.layers[1])
    let error = try error(ringWriter(metadata: ["rram.sde": "flow", "rram.solver": "sde"]))
    #expect(error?.description == "m.safetensors, 'rram.solver': 'sde' found, a flow has no SDE")
  }

  @Test(arguments: [
    ("rram.sde", "edm", "m.safetensors, 'rram.sde': 'edm' found, vp, subvp, ve, flow and neural-ode are known"),
    ("rram.sde", "ve", "m.safetensors, 'rram.sigma': missing; the process ve has no other value"),
    ("rram.scale", "0", "m.safetensors, 'rram.scale': '0' found, a number above 0 expected"),
    ("rram.amplitude", "nan", "m.safetensors, 'rram.amplitude': 'nan' found, a number above 0 expected"),
    ("rram.beta0", "-1", "m.safetensors, 'rram.beta0': '-1' found, a number of at least 0 expected"),
    ("rram.solver", "euler", "m.safetensors, 'rram.solver': 'euler' found, ode or sde expected"),
  ])
  func wrongMetadataIsNamed(key: String, value: String, message: String) throws {
    #expect(try error(ringWriter(metadata: [key: value]))?.description == message)
  }

  @Test func missingKeysAreNamed() throws {
    #expect(
      try error(ringWriter(replacing: "linears.2.bias"))?.description == "m.safetensors: missing linears.2.bias")
  }

  @Test func extraKeysAreNamed() throws {
    var writer = try ringWriter()
    writer.add([Float(0)], shape: [1], as: "linears.6.bias")
    #expect(
      try error(writer)?.description == "m.safetensors: keys the network does not have: linears.6.bias")
  }

  @Test(arguments: [
    ("linears.2.weight", [14, 13], "shape [14, 13], expected [14, 14]"),
    ("linears.4.bias", [3], "shape [3], expected [2]"),
    ("embed.W", [8], "shape [8], expected [7]"),
    (
      "linears.0.weight", [15, 2],
      "shape [15, 2], expected (hidden, inputs) with an even number of 2 to 64 hidden nodes and 1 to 16 inputs"
    ),
  ])
  func wrongShapesAreNamed(key: String, shape: [Int], message: String) throws {
    let values = [Float](repeating: 0, count: shape.reduce(1, *))
    #expect(
      try error(ringWriter(replacing: key, with: (shape, values)))?.description
        == "m.safetensors, '\(key)': \(message)")
  }

  @Test(arguments: [Float.nan, .infinity])
  func nonFiniteWeightsAreNamed(value: Float) throws {
    #expect(
      try error(ringWriter(replacing: "linears.4.bias", with: ([2], [0, value])))?.description
        == "m.safetensors, 'linears.4.bias': element 1 of shape [2] is \(value)")
  }

  @Test func otherSizesAreTaken() throws {
    var writer = SafetensorsWriter()
    for (key, shape) in [
      ("embed.W", [2]), ("linears.0.weight", [4, 3]), ("linears.0.bias", [4]), ("linears.2.weight", [4, 4]),
      ("linears.2.bias", [4]), ("linears.4.weight", [3, 4]), ("linears.4.bias", [3]),
    ] {
      writer.add([Float](repeating: 0.5, count: shape.reduce(1, *)), shape: shape, as: key)
    }
    try withTemporaryDirectory { directory in
      try writer.write(to: directory + "/m.safetensors")
      let network = try ModelLibrary.scoreModel(directory + "/m.safetensors").network
      #expect(network.dimensions == 3 && network.hiddenSize == 4)
      #expect(network.score([0.1, 0.2, 0.3], t: 0.5).count == 3)
    }
  }

  @Test func unknownNamesListTheValidOnes() {
    let error = #expect(throws: ModelError.self) { try ModelLibrary.scoreModel("rnig") }
    #expect(
      error?.description
        == "model 'rnig': unknown; there are ring, ring-hardware-aware, ring-flow, letters, letters-flow, twin, or a path"
    )
    #expect(error?.code == .unknownName)
  }

  @Test func unreadableFilesKeepTheCause() {
    let error = #expect(throws: ModelError.self) { try ModelLibrary.scoreModel("/nonexistent/m.safetensors") }
    #expect(error?.description == "cannot read /nonexistent/m.safetensors: No such file or directory")
    #expect(error?.underlying?.code == .unreadable)
  }

  @Test func letterDecoderIsNoScoreNetwork() throws {
    let path = try Fixture.path("letters-vae.safetensors")
    let error = #expect(throws: ModelError.self) { try ModelLibrary.scoreModel(path) }
    #expect(error?.code == .missingKeys)
  }
}
