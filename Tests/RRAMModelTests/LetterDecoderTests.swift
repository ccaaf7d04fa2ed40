import RRAMFiles
import RRAMModel
import Testing

@Suite struct LetterDecoderTests {
  @Test func imagesEqualTheTrainingCode() throws {
    let vectors = try NPZArchive(file: try Fixture.path("reference-vectors.npz"))
    let decoder = try ModelLibrary.letterDecoder(try Fixture.path("letters-vae.safetensors"))
    let z = try vectors.floats("vae_z", shape: [16, 2])
    expectClose(decoder.decode(z), try vectors.floats("vae_dec", shape: [16, 12, 12]), within: 1e-5)
  }

  @Test func diffusionPointsHaveTheLatentAxesSwapped() throws {
    let decoder = try ModelLibrary.letterDecoder(try Fixture.path("letters-vae.safetensors"))
    #expect(decoder.images(of: [0.25, -0.5, 0.1, 0.2]) == decoder.decode([-4, 2, 1.6, 0.8]))
  }

  @Test func otherModelsAreRefused() throws {
    let path = try Fixture.path("ring.safetensors")
    #expect(throws: ModelError.self) { try ModelLibrary.letterDecoder(path) }
  }
}
