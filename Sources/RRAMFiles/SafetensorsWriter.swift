internal import FoundationEssentials

/// Collects float tensors and text and writes them as a `.safetensors` file.
public struct SafetensorsWriter: Sendable {
  /// The text of `__metadata__`.
  public var metadata: [String: String]
  private var tensors: [String: (type: SafetensorsFile.ElementType, shape: [Int], bytes: [UInt8])] = [:]

  public init(metadata: [String: String] = [:]) { self.metadata = metadata }

  /// Adds a tensor, converted to `type` (a floating-point one).
  public mutating func add(
    _ values: [Double], shape: [Int], as key: String, type: SafetensorsFile.ElementType = .float32
  ) {
    precondition(shape.allSatisfy { $0 >= 0 } && shape.reduce(1, *) == values.count, "shape and values differ")
    precondition(key != "__metadata__" && tensors[key] == nil, "tensor '\(key)' is added twice or reserved")
    var bytes: [UInt8] = []
    switch type {
    case .float16: bytes.append(littleEndianBits: values.lazy.map { Float16($0).bitPattern })
    case .bfloat16: bytes.append(littleEndianBits: values.lazy.map { bfloat16(Float($0)) })
    case .float32: bytes.append(littleEndianBits: values.lazy.map { Float($0).bitPattern })
    case .float64: bytes.append(littleEndianBits: values.lazy.map(\.bitPattern))
    default: preconditionFailure("\(type) is no floating-point type")
    }
    tensors[key] = (type, shape, bytes)
  }

  /// Adds a float32 tensor.
  public mutating func add(_ values: [Float], shape: [Int], as key: String) {
    add(values.map { Double($0) }, shape: shape, as: key)
  }

  /// Writes the file atomically.
  public func write(to path: String) throws(FileError) {
    try AtomicFile.write(try bytes(file: path), to: path)
  }

  /// The bytes of the file: tensors sorted by name, header padded to 8 bytes.
  public func bytes(file: String = "safetensors") throws(FileError) -> [UInt8] {
    var fields: [String: Field] = [:]
    var data: [UInt8] = []
    for (key, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
      fields[key] = .tensor(
        Record(
          dtype: tensor.type.rawValue, shape: tensor.shape, dataOffsets: [data.count, data.count + tensor.bytes.count])
      )
      data += tensor.bytes
    }
    if !metadata.isEmpty { fields["__metadata__"] = .text(metadata) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var header: [UInt8]
    do { header = Array(try encoder.encode(fields)) } catch {
      throw FileError(.unwritable, file: file, reason: "the header cannot be encoded")
    }
    header += [UInt8](repeating: UInt8(ascii: " "), count: (8 - header.count % 8) % 8)
    var output: [UInt8] = []
    output.append(littleEndian: UInt64(header.count))
    return output + header + data
  }

  private struct Record: Encodable {
    var dtype: String
    var shape: [Int]
    var dataOffsets: [Int]

    enum CodingKeys: String, CodingKey {
      case dtype, shape
      case dataOffsets = "data_offsets"
    }
  }

  private enum Field: Encodable {
    case tensor(Record)
    case text([String: String])

    func encode(to encoder: any Encoder) throws {
      switch self {
      case .tensor(let record): try record.encode(to: encoder)
      case .text(let text): try text.encode(to: encoder)
      }
    }
  }
}

/// The bfloat16 bits nearest to a value, ties to even.
private func bfloat16(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  if value.isNaN { return UInt16(bits >> 16) | 0x40 }
  return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
}

extension Sequence where Element: BinaryFloatingPoint {
  /// The position and value of the first NaN or infinity.
  public var firstNonFinite: (index: Int, value: Element)? {
    for (index, value) in enumerated() where !value.isFinite { return (index, value) }
    return nil
  }
}
