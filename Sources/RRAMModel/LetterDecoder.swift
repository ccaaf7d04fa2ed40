internal import Glibc

/// The decoder of the letters' variational autoencoder: a latent point in, a 12 × 12 image out.
///
/// fc 2 → 16 ReLU, fc 16 → 144 ReLU read as (16, 3, 3), transposed convolutions 16 → 8 ReLU and 8 → 1 sigmoid
/// (3 × 3, stride 2, padding 1, output padding 1), as published with arXiv 2404.05648.
public struct LetterDecoder: Sendable {
  /// Rows and columns of an image.
  public static let imageSize = 12
  /// latent = this · (p[1], p[0]) for a point p of the diffusion space.
  public static let latentScale: Float = 8

  public let file: String
  /// SHA-256 of the file, hexadecimal.
  public let sha256: String
  private let fc3: ScoreNetwork.Layer
  private let fc4: ScoreNetwork.Layer
  private let deconv1: (weight: [Float], bias: [Float])
  private let deconv2: (weight: [Float], bias: [Float])

  init(_ file: TensorFile, sha256: String) throws(ModelError) {
    func names(_ layers: [String]) -> [String] { layers.flatMap { ["\($0).weight", "\($0).bias"] } }
    try file.requireKeys(
      names(["fc3", "fc4", "deconv1", "deconv2"]), optional: Set(names(["conv1", "conv2", "fc1", "fc21", "fc22"])))
    self.file = file.file
    self.sha256 = sha256
    fc3 = ScoreNetwork.Layer(
      outputs: 16, inputs: 2, weight: try file.values("fc3.weight", shape: [16, 2]),
      bias: try file.values("fc3.bias", shape: [16]))
    fc4 = ScoreNetwork.Layer(
      outputs: 144, inputs: 16, weight: try file.values("fc4.weight", shape: [144, 16]),
      bias: try file.values("fc4.bias", shape: [144]))
    deconv1 = (
      try file.values("deconv1.weight", shape: [16, 8, 3, 3]), try file.values("deconv1.bias", shape: [8])
    )
    deconv2 = (try file.values("deconv2.weight", shape: [8, 1, 3, 3]), try file.values("deconv2.bias", shape: [1]))
  }

  /// Images of points of the diffusion space, shape (n, 2) to (n, 12, 12), values 0...1.
  public func images(of points: [Float]) -> [Float] {
    precondition(points.count % 2 == 0, "\(points.count) values are no whole points")
    var latents = points
    for i in stride(from: 0, to: points.count, by: 2) {
      // The diffusion space has the two latent axes in the other order.
      latents[i] = Self.latentScale * points[i + 1]
      latents[i + 1] = Self.latentScale * points[i]
    }
    return decode(latents)
  }

  /// Images of latent points, shape (n, 2) to (n, 12, 12), values 0...1.
  public func decode(_ latents: [Float]) -> [Float] {
    precondition(latents.count % 2 == 0, "\(latents.count) values are no whole points")
    return stride(from: 0, to: latents.count, by: 2).flatMap { i in
      let hidden = relu(affine(fc3, Array(latents[i..<i + 2])))
      let seed = relu(affine(fc4, hidden))
      let middle = relu(transposedConvolution(seed, channels: 16, size: 3, deconv1.weight, deconv1.bias))
      return transposedConvolution(middle, channels: 8, size: 6, deconv2.weight, deconv2.bias)
        .map { 1 / (1 + expf(-$0)) }
    }
  }

  private func affine(_ layer: ScoreNetwork.Layer, _ input: [Float]) -> [Float] {
    (0..<layer.outputs).map { row in
      input.indices.reduce(layer.bias[row]) { $0 + layer.weight[row * layer.inputs + $1] * input[$1] }
    }
  }

  private func relu(_ values: [Float]) -> [Float] { values.map { max($0, 0) } }

  /// Stride 2, kernel 3, padding 1, output padding 1: doubles the size. Weight shape (channels, outputs, 3, 3).
  private func transposedConvolution(
    _ input: [Float], channels: Int, size: Int, _ weight: [Float], _ bias: [Float]
  ) -> [Float] {
    let large = 2 * size
    var output = bias.flatMap { [Float](repeating: $0, count: large * large) }
    for channel in 0..<channels {
      for row in 0..<size {
        for column in 0..<size {
          let value = input[(channel * size + row) * size + column]
          if value == 0 { continue }
          for target in 0..<bias.count {
            for i in 0..<3 {
              let y = 2 * row - 1 + i
              guard (0..<large).contains(y) else { continue }
              for j in 0..<3 {
                let x = 2 * column - 1 + j
                guard (0..<large).contains(x) else { continue }
                output[(target * large + y) * large + x] +=
                  value * weight[((channel * bias.count + target) * 3 + i) * 3 + j]
              }
            }
          }
        }
      }
    }
    return output
  }
}
