internal import FoundationEssentials
internal import RRAMFiles

/// Named arrays of a model file, safetensors or npz alike, and its metadata.
struct TensorFile {
  private enum Storage {
    case safetensors(SafetensorsFile)
    case npz([String: NPYArray])
  }

  let file: String
  let metadata: [String: String]
  private let storage: Storage

  /// - Parameters:
  ///   - bytes: the whole file; one that starts like a zip archive is read as npz, all others as safetensors.
  init(bytes: [UInt8], file: String) throws(ModelError) {
    self.file = file
    guard bytes.starts(with: [0x50, 0x4B]) || file.hasSuffix(".npz") else {
      let content = try readingFile { () throws(FileError) in try SafetensorsFile(bytes: bytes, file: file) }
      storage = .safetensors(content)
      metadata = content.metadata
      return
    }
    let archive = try readingFile { () throws(FileError) in try NPZArchive(bytes: bytes, file: file) }
    var arrays: [String: NPYArray] = [:]
    var metadata: [String: String] = [:]
    for key in archive.keys {
      if key == "meta" {
        let text = try readingFile { () throws(FileError) in try archive.string(key) }
        do { metadata = try JSONDecoder().decode([String: String].self, from: Data(text.utf8)) } catch {
          throw ModelError(.invalidMetadata, file, key: key, reason: "no JSON object of texts")
        }
      } else {
        arrays[key] = try readingFile { () throws(FileError) in try archive.array(key) }
      }
    }
    storage = .npz(arrays)
    self.metadata = metadata
  }

  var keys: Set<String> {
    switch storage {
    case .safetensors(let content): Set(content.tensors.keys)
    case .npz(let arrays): Set(arrays.keys)
    }
  }

  /// The shape of an array that is there.
  func shape(_ key: String) -> [Int]? {
    switch storage {
    case .safetensors(let content): content.tensors[key]?.shape
    case .npz(let arrays): arrays[key]?.shape
    }
  }

  /// Refuses a file whose keys are not exactly `required`, give or take `optional`.
  func requireKeys(_ required: [String], optional: Set<String> = []) throws(ModelError) {
    let missing = required.filter { !keys.contains($0) }
    let extra = keys.subtracting(required).subtracting(optional).sorted()
    guard missing.isEmpty else {
      var reason = "missing " + missing.joined(separator: ", ")
      if !extra.isEmpty { reason += "; found instead " + extra.joined(separator: ", ") }
      throw ModelError(.missingKeys, file, reason: reason)
    }
    guard extra.isEmpty else {
      throw ModelError(.extraKeys, file, reason: "keys the network does not have: " + extra.joined(separator: ", "))
    }
  }

  /// The finite values of an array of exactly that shape.
  func values(_ key: String, shape expected: [Int]) throws(ModelError) -> [Float] {
    guard shape(key) == expected else { throw wrongShape(key, expected: "\(expected)") }
    let values: [Float]
    switch storage {
    case .safetensors(let content): values = try readingFile { () throws(FileError) in try content.floats(key) }
    case .npz(let arrays):
      guard let array = arrays[key], array.elementType.kind == .float, let floats = array.floats else {
        throw ModelError(
          .wrongShape, file, key: key,
          reason: "element type \(arrays[key].map { "\($0.elementType)" } ?? "unknown"), floating point expected")
      }
      values = floats
    }
    if let bad = values.firstNonFinite {
      throw ModelError(.nonFinite, file, key: key, reason: "element \(bad.index) of shape \(expected) is \(bad.value)")
    }
    return values
  }

  func wrongShape(_ key: String, expected: String) -> ModelError {
    ModelError(.wrongShape, file, key: key, reason: "shape \(shape(key) ?? []), expected \(expected)")
  }
}
