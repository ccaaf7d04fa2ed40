internal import FoundationEssentials

/// A `.safetensors` file: named tensors and a dictionary of text.
///
/// Layout: u64 header length, a JSON header, the data of all tensors without gap or overlap, little-endian.
/// Opening checks all of it except the values.
public struct SafetensorsFile: Sendable {
  /// The element types of the format.
  public enum ElementType: String, Sendable, Hashable, Codable {
    case float16 = "F16"
    case bfloat16 = "BF16"
    case float32 = "F32"
    case float64 = "F64"
    case bool = "BOOL"
    case uint8 = "U8"
    case int8 = "I8"
    case uint16 = "U16"
    case int16 = "I16"
    case uint32 = "U32"
    case int32 = "I32"
    case uint64 = "U64"
    case int64 = "I64"

    /// Bytes an element.
    public var size: Int {
      switch self {
      case .bool, .uint8, .int8: 1
      case .float16, .bfloat16, .uint16, .int16: 2
      case .float32, .uint32, .int32: 4
      case .float64, .uint64, .int64: 8
      }
    }
  }

  /// Shape and type of one tensor.
  public struct Tensor: Sendable, Hashable {
    public let elementType: ElementType
    public let shape: [Int]
    /// Where its bytes lie in the file.
    public let byteRange: Range<Int>
  }

  /// Longest header accepted, 16 MiB; the format's own limit is 100 MB.
  static let headerLimit = 16 << 20

  /// The file as the caller named it.
  public let file: String
  /// The text of `__metadata__`.
  public let metadata: [String: String]
  /// The tensors by name.
  public let tensors: [String: Tensor]
  private let bytes: [UInt8]

  /// The tensor names, sorted.
  public var keys: [String] { tensors.keys.sorted() }

  /// Opens a file.
  public init(file path: String) throws(FileError) {
    try self.init(bytes: try FileContents.read(path), file: path)
  }

  /// Opens the bytes of a file; `file` names it in errors.
  public init(bytes: [UInt8], file: String) throws(FileError) {
    func fail(_ code: FileError.Code, _ offset: Int, _ reason: String, key: String? = nil) -> FileError {
      FileError(code, file: file, entry: key, offset: offset, reason: reason)
    }
    guard bytes.count >= 8 else {
      throw fail(.truncated, bytes.count, "\(bytes.count) bytes, a header takes 8 or more")
    }
    let length = bytes.integer(UInt64.self, at: 0)
    guard length <= UInt64(Self.headerLimit) else {
      throw fail(.tooLarge, 0, "header of \(length) bytes, the limit is \(Self.headerLimit)")
    }
    let dataStart = 8 + Int(length)
    guard dataStart <= bytes.count else {
      throw fail(.truncated, 0, "header of \(length) bytes, \(bytes.count - 8) are there")
    }
    let text = bytes[8..<dataStart]
    // A JSON decoder would also take UTF-16 or UTF-32, which show by a NUL byte or a byte order mark.
    guard text.first == UInt8(ascii: "{"), !text.contains(0) else {
      throw fail(.malformed, 8, "the header is no JSON object in UTF-8")
    }
    let header: Header
    do {
      header = try JSONDecoder().decode(Header.self, from: Data(text))
    } catch let error as DecodingError {
      throw fail(.malformed, 8, "the header is not valid: \(error.fact)")
    } catch {
      throw fail(.malformed, 8, "the header is not valid JSON")
    }
    if let twice = Self.duplicateKey(in: text) { throw fail(.malformed, 8, "the key comes twice", key: twice) }

    var tensors: [String: Tensor] = [:]
    for (key, record) in header.tensors {
      guard let type = ElementType(rawValue: record.dtype) else {
        throw fail(.unsupported, 8, "element type \(record.dtype)", key: key)
      }
      guard record.dataOffsets.count == 2 else {
        throw fail(.malformed, 8, "\(record.dataOffsets.count) data offsets, two are needed", key: key)
      }
      let (begin, end) = (record.dataOffsets[0], record.dataOffsets[1])
      guard 0 <= begin, begin <= end, end <= bytes.count - dataStart else {
        throw fail(
          .malformed, 8, "data offsets \(begin) to \(end) outside the \(bytes.count - dataStart) bytes of data",
          key: key)
      }
      var size = type.size
      for dimension in record.shape {
        let (product, overflow) = size.multipliedReportingOverflow(by: dimension)
        guard dimension >= 0, !overflow else { throw fail(.malformed, 8, "shape \(record.shape)", key: key) }
        size = product
      }
      guard size == end - begin else {
        throw fail(
          .malformed, 8,
          "shape \(record.shape) of \(type.rawValue) takes \(size) bytes, its offsets hold \(end - begin)",
          key: key)
      }
      tensors[key] = Tensor(elementType: type, shape: record.shape, byteRange: dataStart + begin..<dataStart + end)
    }
    var next = dataStart
    for (key, tensor) in tensors.sorted(by: {
      ($0.value.byteRange.lowerBound, $0.value.byteRange.upperBound, $0.key)
        < ($1.value.byteRange.lowerBound, $1.value.byteRange.upperBound, $1.key)
    }) {
      guard tensor.byteRange.lowerBound == next else {
        let what = tensor.byteRange.lowerBound < next ? "overlaps the tensor before it" : "leaves a gap before it"
        throw fail(.malformed, tensor.byteRange.lowerBound, "its data \(what)", key: key)
      }
      next = tensor.byteRange.upperBound
    }
    guard next == bytes.count else { throw fail(.malformed, next, "\(bytes.count - next) bytes belong to no tensor") }
    self.bytes = bytes
    self.file = file
    self.tensors = tensors
    metadata = header.metadata
  }

  /// The values of a floating-point tensor as `Float`, rounded from F64.
  public func floats(_ key: String) throws(FileError) -> [Float] {
    let (tensor, content) = try content(key)
    switch tensor.elementType {
    case .float16: return content.mapValues(UInt16.self) { Float(Float16(bitPattern: $0)) }
    case .bfloat16: return content.mapValues(UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
    case .float32: return content.mapValues(UInt32.self) { Float(bitPattern: $0) }
    case .float64: return content.mapValues(UInt64.self) { Float(Double(bitPattern: $0)) }
    default: throw notFloating(key, tensor)
    }
  }

  /// The values of a floating-point tensor as `Double`.
  public func doubles(_ key: String) throws(FileError) -> [Double] {
    let (tensor, content) = try content(key)
    guard tensor.elementType == .float64 else { return try floats(key).map { Double($0) } }
    return content.mapValues(UInt64.self) { Double(bitPattern: $0) }
  }

  private func content(_ key: String) throws(FileError) -> (Tensor, [UInt8]) {
    guard let tensor = tensors[key] else {
      throw FileError(
        .missing, file: file, entry: key, reason: "no such tensor; there are \(keys.joined(separator: ", "))")
    }
    return (tensor, Array(bytes[tensor.byteRange]))
  }

  private func notFloating(_ key: String, _ tensor: Tensor) -> FileError {
    FileError(
      .typeMismatch, file: file, entry: key, offset: tensor.byteRange.lowerBound,
      reason: "element type \(tensor.elementType.rawValue); F16, BF16, F32 or F64 expected")
  }

  /// The first key that comes twice in one object of valid JSON; a decoder would keep one of them silently.
  private static func duplicateKey(in json: ArraySlice<UInt8>) -> String? {
    var seen: [Set<[UInt8]>] = []
    var text: [UInt8] = []
    var inString = false
    var escaped = false
    for byte in json {
      if inString {
        if !escaped && byte == UInt8(ascii: "\"") {
          inString = false
        } else {
          text.append(byte)
        }
        escaped = !escaped && byte == UInt8(ascii: "\\")
        continue
      }
      switch byte {
      case UInt8(ascii: "\""):
        inString = true
        text = []
      case UInt8(ascii: "{"): seen.append([])
      case UInt8(ascii: "}"): _ = seen.popLast()
      case UInt8(ascii: ":") where !seen.isEmpty:
        if !seen[seen.count - 1].insert(text).inserted { return String(decoding: text, as: UTF8.self) }
      default: break
      }
    }
    return nil
  }
}

/// The JSON header, as the format names its fields.
private struct Header: Decodable {
  struct Record: Decodable {
    var dtype: String
    var shape: [Int]
    var dataOffsets: [Int]

    enum CodingKeys: String, CodingKey {
      case dtype, shape
      case dataOffsets = "data_offsets"
    }
  }

  struct Key: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  var metadata: [String: String] = [:]
  var tensors: [String: Record] = [:]

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    for key in container.allKeys {
      if key.stringValue == "__metadata__" {
        metadata = try container.decode([String: String].self, forKey: key)
      } else {
        tensors[key.stringValue] = try container.decode(Record.self, forKey: key)
      }
    }
  }
}

extension DecodingError {
  /// Where in the JSON and what, in a few words.
  fileprivate var fact: String {
    func path(_ context: Context) -> String { context.codingPath.map(\.stringValue).joined(separator: ".") }
    switch self {
    case .typeMismatch(let type, let context): return "\(path(context)) is no \(type)"
    case .valueNotFound(let type, let context): return "\(path(context)) is null, \(type) expected"
    case .keyNotFound(let key, let context): return "\(path(context)) has no \(key.stringValue)"
    case .dataCorrupted(let context):
      return context.codingPath.isEmpty ? "not JSON" : "\(path(context)) is out of range"
    @unknown default: return "not JSON"
    }
  }
}
