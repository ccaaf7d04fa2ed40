internal import Foundation
internal import RRAMFiles
internal import RRAMUnits

/// A score network with what its file says about it.
public struct ScoreModel: Sendable {
  /// The shipped model's name, or the file's name without folder and ending.
  public let name: String
  /// The path it was read from.
  public let file: String
  /// SHA-256 of the file, hexadecimal.
  public let sha256: String
  /// The network as a chip carries it: its input is the loop's state y = x/s, see ``DiffusionProcess/stateScale``; for all but
  /// VE s = 1 and these are the file's weights.
  public let network: ScoreNetwork
  public let metadata: ModelMetadata
  /// One sentence if the file lacks metadata and published values are used instead; nil otherwise.
  public let warning: String?

  /// The model with ``ScoreNetwork/rescalingHidden(by:)`` of its network: the same function, so it keeps its name and hash.
  public func rescalingHidden(by factors: [Double]?) -> ScoreModel {
    guard let factors else { return self }
    return ScoreModel(
      name: name, file: file, sha256: sha256, network: network.rescalingHidden(by: factors), metadata: metadata,
      warning: warning)
  }
}

/// Models by name, shipped with the package, and by path.
public enum ModelLibrary {
  /// The shipped networks of the loop: those that draw samples, and the twin of a circuit.
  public static let scoreModelNames = samplingModelNames + ["twin"]
  /// The shipped networks that draw samples of data.
  public static let samplingModelNames = ["ring", "ring-hardware-aware", "ring-flow", "letters", "letters-flow"]
  /// The shipped letter decoder.
  public static let letterDecoderName = "letters-vae"
  /// The shipped classifier of letter images.
  public static let letterClassifierName = "letters-classifier"
  /// All shipped models.
  public static var names: [String] { scoreModelNames + [letterDecoderName, letterClassifierName] }

  /// Reads a score network.
  ///
  /// - Parameter nameOrPath: a shipped model's name, or a path: anything with a slash or ending in
  ///   `.safetensors` or `.npz`.
  /// - Throws: ``ModelError`` naming the file, the key, found and expected shape.
  public static func scoreModel(_ nameOrPath: String) throws(ModelError) -> ScoreModel {
    let path = try path(nameOrPath, among: scoreModelNames)
    let (tensors, sha256) = try read(path)
    let conditional = ScoreNetwork.isConditional(tensors)
    let (metadata, absent) = try ModelMetadata.read(tensors.metadata, conditional: conditional, file: path)
    return ScoreModel(
      name: name(nameOrPath), file: path, sha256: sha256,
      network: try ScoreNetwork(tensors, amplitude: metadata.amplitude)
        .scalingInput(by: Float(metadata.process.stateScale)), metadata: metadata,
      warning: absent.isEmpty ? nil : warning(path, metadata, absent))
  }

  /// Reads a letter decoder, by default the shipped one.
  public static func letterDecoder(_ nameOrPath: String = letterDecoderName) throws(ModelError) -> LetterDecoder {
    let path = try path(nameOrPath, among: [letterDecoderName])
    let (tensors, sha256) = try read(path)
    return try LetterDecoder(tensors, sha256: sha256)
  }

  /// Reads a classifier of letter images, by default the shipped one.
  public static func letterClassifier(
    _ nameOrPath: String = letterClassifierName
  ) throws(ModelError) -> ImageClassifier {
    let path = try path(nameOrPath, among: [letterClassifierName])
    let (tensors, sha256) = try read(path)
    return try ImageClassifier(tensors, sha256: sha256)
  }

  private static func read(_ path: String) throws(ModelError) -> (TensorFile, sha256: String) {
    let bytes = try readingFile { () throws(FileError) in try FileContents.read(path) }
    return (try TensorFile(bytes: bytes, file: path), SHA256.hexadecimal(bytes))
  }

  /// True if the text names a file rather than something shipped.
  static func isPath(_ text: String, endings: [String]) -> Bool {
    text.contains("/") || endings.contains { text.hasSuffix($0) }
  }

  private static func path(_ nameOrPath: String, among valid: [String]) throws(ModelError) -> String {
    if isPath(nameOrPath, endings: [".safetensors", ".npz"]) { return nameOrPath }
    guard valid.contains(nameOrPath) else {
      throw ModelError(
        .unknownName, "model '\(nameOrPath)'", reason: "unknown; there are \(valid.joined(separator: ", ")), or a path")
    }
    return try resource("models/\(nameOrPath).safetensors", name: "model '\(nameOrPath)'")
  }

  /// The path of a file shipped with the package.
  static func resource(_ path: String, name: String) throws(ModelError) -> String {
    let url = Bundle.module.bundleURL.appendingPathComponent(path)
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw ModelError(.unreadable, name, reason: "the installation lacks its file \(url.path)")
    }
    return url.path
  }

  private static func name(_ nameOrPath: String) -> String {
    let last = nameOrPath.split(separator: "/").last.map(String.init) ?? nameOrPath
    for ending in [".safetensors", ".npz"] where last.hasSuffix(ending) { return String(last.dropLast(ending.count)) }
    return last
  }

  private static func warning(_ file: String, _ metadata: ModelMetadata, _ absent: [String]) -> String {
    let values = metadata.dictionary
    return "\(file) has no metadata \(absent.joined(separator: ", ")); using the published "
      + absent.map { "\($0.dropFirst(5)) \(values[$0] ?? "")" }.joined(separator: ", ")
  }
}
