import RRAMFiles
import RRAMModel
import Testing

@Suite struct EvaluationDataTests {
  @Test func shippedRingHasFiftyThousandPoints() throws {
    let ring = try EvaluationData("ring")
    #expect(ring.count == 50_000 && ring.labels == nil && ring.histogram == .ring && ring.sha256.count == 64)
  }

  /// The latents are stored in Fortran order: read as C order, x and y of different points would be mixed.
  @Test func latentsKeepTheirAxes() throws {
    let letters = try EvaluationData(try Fixture.path("letters-latents.npz"))
    #expect(letters.count == 12_000)
    for label in 0..<3 {
      let points = try letters.points(label: label)
      #expect(points.count == 8000)
      let mean = (0..<2).map { axis in
        stride(from: axis, to: points.count, by: 2).reduce(0) { $0 + points[$1] } / 4000
      }
      // Class means of the latent are (±2√3, 2) and (0, −4); the diffusion space is latent/8 with the axes swapped.
      let radius = (mean[0] * mean[0] + mean[1] * mean[1]).squareRoot()
      #expect(abs(radius - 0.5) < 0.05, "class \(label) lies at \(mean)")
    }
    #expect(throws: ModelError.self) { try letters.points(label: 3) }
  }

  @Test func unknownNamesListTheValidOnes() {
    let error = #expect(throws: ModelError.self) { try EvaluationData("rings") }
    #expect(error?.description == "data 'rings': unknown; there are ring, letters, or a path")
  }

  @Test func ownFilesAreChecked() throws {
    try withTemporaryDirectory { directory in
      try NPYArray([Float(0), 1, 2, 3, 4, 5], shape: [2, 3]).write(to: directory + "/a.npy")
      let shape = #expect(throws: ModelError.self) { try EvaluationData(directory + "/a.npy") }
      #expect(shape?.code == .wrongShape)
      try NPYArray([0, Double.infinity], shape: [1, 2]).write(to: directory + "/b.npy")
      let infinite = #expect(throws: ModelError.self) { try EvaluationData(directory + "/b.npy") }
      #expect(infinite?.code == .nonFinite)
      var writer = NPZWriter()
      writer.add(NPYArray([Float(0), 1, 2, 3], shape: [2, 2]), as: "x")
      writer.add(NPYArray([1, 0, 2]), as: "label")
      try writer.write(to: directory + "/c.npz")
      let labels = #expect(throws: ModelError.self) { try EvaluationData(directory + "/c.npz") }
      #expect(labels?.underlying?.code == .typeMismatch)
    }
  }
}
