/// A numpy array in memory: shape, element type, elements in C order.
///
/// Reading turns Fortran order into C order and big-endian elements into little-endian ones.
public struct NPYArray: Sendable, Hashable {
  /// The kind and size of one element, numpy's `dtype`.
  public struct ElementType: Sendable, Hashable, CustomStringConvertible {
    public enum Kind: Sendable, Hashable { case float, signed, unsigned, bool, unicode, bytes }
    public let kind: Kind
    /// Bytes an element; a unicode string takes 4 bytes a character.
    public let size: Int

    init(_ kind: Kind, _ size: Int) {
      self.kind = kind
      self.size = size
    }

    public static let float16 = ElementType(.float, 2)
    public static let float32 = ElementType(.float, 4)
    public static let float64 = ElementType(.float, 8)
    public static let bool = ElementType(.bool, 1)
    public static let int8 = ElementType(.signed, 1)
    public static let int16 = ElementType(.signed, 2)
    public static let int32 = ElementType(.signed, 4)
    public static let int64 = ElementType(.signed, 8)
    public static let uint8 = ElementType(.unsigned, 1)
    public static let uint16 = ElementType(.unsigned, 2)
    public static let uint32 = ElementType(.unsigned, 4)
    public static let uint64 = ElementType(.unsigned, 8)

    /// numpy's little-endian descriptor, for example `<f4`.
    public var description: String {
      switch kind {
      case .float: "<f\(size)"
      case .signed: size == 1 ? "|i1" : "<i\(size)"
      case .unsigned: size == 1 ? "|u1" : "<u\(size)"
      case .bool: "|b1"
      case .unicode: "<U\(size / 4)"
      case .bytes: "|S\(size)"
      }
    }
  }

  public let shape: [Int]
  public let elementType: ElementType
  /// The elements in C order, little-endian.
  public let bytes: [UInt8]

  /// The product of the shape; 1 for a 0-d array.
  public var count: Int { shape.reduce(1, *) }

  init(shape: [Int], elementType: ElementType, bytes: [UInt8]) {
    self.shape = shape
    self.elementType = elementType
    self.bytes = bytes
  }

  private init(shape: [Int], elementType: ElementType, elements: Int, bytes: [UInt8]) {
    precondition(shape.allSatisfy { $0 >= 0 }, "a dimension is negative")
    precondition(shape.reduce(1, *) == elements, "shape \(shape) does not hold \(elements) elements")
    self.init(shape: shape, elementType: elementType, bytes: bytes)
  }

  /// A float32 array; `shape` defaults to one dimension and must hold exactly the values (C order).
  public init(_ values: [Float], shape: [Int]? = nil) {
    var bytes: [UInt8] = []
    bytes.append(littleEndianBits: values.lazy.map(\.bitPattern))
    self.init(shape: shape ?? [values.count], elementType: .float32, elements: values.count, bytes: bytes)
  }

  /// A float64 array.
  public init(_ values: [Double], shape: [Int]? = nil) {
    var bytes: [UInt8] = []
    bytes.append(littleEndianBits: values.lazy.map(\.bitPattern))
    self.init(shape: shape ?? [values.count], elementType: .float64, elements: values.count, bytes: bytes)
  }

  /// An integer array; the element type follows from the Swift type (`Int` is int64).
  public init<T: FixedWidthInteger>(_ values: [T], shape: [Int]? = nil) {
    var bytes: [UInt8] = []
    bytes.append(littleEndianBits: values)
    let type = ElementType(T.isSigned ? .signed : .unsigned, MemoryLayout<T>.size)
    self.init(shape: shape ?? [values.count], elementType: type, elements: values.count, bytes: bytes)
  }

  /// A bool array.
  public init(_ values: [Bool], shape: [Int]? = nil) {
    self.init(
      shape: shape ?? [values.count], elementType: .bool, elements: values.count, bytes: values.map { $0 ? 1 : 0 })
  }

  /// A 0-d unicode string: numpy gives it back with `str(a)`.
  ///
  /// numpy strips trailing NUL characters; text for it must not end in one.
  public init(_ text: String) {
    let scalars = text.unicodeScalars.map(\.value)
    var bytes: [UInt8] = []
    bytes.append(littleEndianBits: scalars.isEmpty ? [0] : scalars)
    self.init(shape: [], elementType: ElementType(.unicode, bytes.count), bytes: bytes)
  }

  // MARK: Values

  /// The elements as `Float`, rounded where needed; nil for text.
  public var floats: [Float]? {
    switch (elementType.kind, elementType.size) {
    case (.float, 4): bytes.mapValues(UInt32.self) { Float(bitPattern: $0) }
    case (.float, 2): bytes.mapValues(UInt16.self) { Float(Float16(bitPattern: $0)) }
    case (.float, 8): bytes.mapValues(UInt64.self) { Float(Double(bitPattern: $0)) }
    default: mapIntegers { Float($0) }
    }
  }

  /// The elements as `Double`; nil for text. 64-bit integers beyond 2⁵³ are rounded.
  public var doubles: [Double]? {
    switch (elementType.kind, elementType.size) {
    case (.float, 4): bytes.mapValues(UInt32.self) { Double(Float(bitPattern: $0)) }
    case (.float, 2): bytes.mapValues(UInt16.self) { Double(Float16(bitPattern: $0)) }
    case (.float, 8): bytes.mapValues(UInt64.self) { Double(bitPattern: $0) }
    default: mapIntegers { Double($0) }
    }
  }

  /// The elements as `Int`; nil for text, for floats that are not whole, and for values outside `Int`.
  public var integers: [Int]? {
    if elementType.kind == .float {
      guard let values = doubles else { return nil }
      var result: [Int] = []
      result.reserveCapacity(values.count)
      for value in values {
        guard let integer = Int(exactly: value) else { return nil }
        result.append(integer)
      }
      return result
    }
    if elementType == .uint64 {
      let raw = bytes.mapValues(UInt64.self) { $0 }
      guard raw.allSatisfy({ $0 <= UInt64(Int.max) }) else { return nil }
      return raw.map { Int($0) }
    }
    return mapIntegers { Int(truncatingIfNeeded: $0) }
  }

  /// The text of a string array with one element; nil for anything else and for invalid characters.
  public var string: String? {
    guard count == 1 else { return nil }
    switch elementType.kind {
    case .unicode:
      var scalars = bytes.mapValues(UInt32.self) { $0 }
      while scalars.last == 0 { scalars.removeLast() }
      var text = ""
      for value in scalars {
        guard let scalar = Unicode.Scalar(value) else { return nil }
        text.unicodeScalars.append(scalar)
      }
      return text
    case .bytes:
      var content = bytes
      while content.last == 0 { content.removeLast() }
      return String(validating: content, as: UTF8.self)
    default: return nil
    }
  }

  private func mapIntegers<T>(_ transform: (Int128) -> T) -> [T]? {
    switch (elementType.kind, elementType.size) {
    case (.bool, _), (.unsigned, 1): bytes.map { transform(Int128($0)) }
    case (.signed, 1): bytes.map { transform(Int128(Int8(bitPattern: $0))) }
    case (.signed, 2): bytes.mapValues(Int16.self) { transform(Int128($0)) }
    case (.signed, 4): bytes.mapValues(Int32.self) { transform(Int128($0)) }
    case (.signed, 8): bytes.mapValues(Int64.self) { transform(Int128($0)) }
    case (.unsigned, 2): bytes.mapValues(UInt16.self) { transform(Int128($0)) }
    case (.unsigned, 4): bytes.mapValues(UInt32.self) { transform(Int128($0)) }
    case (.unsigned, 8): bytes.mapValues(UInt64.self) { transform(Int128($0)) }
    default: nil
    }
  }

  // MARK: Files

  /// Reads an `.npy` file.
  public init(file path: String) throws(FileError) {
    try self.init(npy: try FileContents.read(path), file: path)
  }

  /// Reads the bytes of an `.npy` file; `file` names it in errors.
  public init(npy bytes: [UInt8], file: String) throws(FileError) {
    let source = StoredSource(bytes, range: 0..<bytes.count, file: file, entry: nil)
    self = try NPYHeader.readArray(from: source)
  }

  /// The bytes of an `.npy` file, format version 1.0.
  public var npy: [UInt8] { header + bytes }

  /// Writes an `.npy` file atomically.
  public func write(to path: String) throws(FileError) { try AtomicFile.write(npy, to: path) }

  private var header: [UInt8] {
    let dimensions = shape.map { "\($0)" }.joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var text = "{'descr': '\(elementType)', 'fortran_order': False, 'shape': (\(dimensions)), }"
    // The format asks for a header that ends in a newline and a data part aligned to 64 bytes.
    let unpadded = NPYHeader.magic.count + 4 + text.utf8.count + 1
    text += String(repeating: " ", count: (64 - unpadded % 64) % 64) + "\n"
    var bytes = NPYHeader.magic + [1, 0]
    bytes.append(littleEndian: UInt16(text.utf8.count))
    return bytes + Array(text.utf8)
  }
}
