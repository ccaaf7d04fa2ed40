/// The header of an `.npy` file (numpy.lib.format, versions 1.0 to 3.0): a Python dict literal.
struct NPYHeader {
  static let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]  // \x93NUMPY
  /// Largest array read, in bytes.
  static let dataLimit = 256 << 20
  /// Longest header text accepted; numpy writes 118 bytes for ordinary arrays.
  static let textLimit = 65_536
  /// numpy's own limit of dimensions.
  static let dimensionLimit = 64

  var elementType: NPYArray.ElementType
  var bigEndian: Bool
  var fortranOrder: Bool
  var shape: [Int]
  /// Bytes of the data part.
  var dataSize: Int

  /// Reads a whole array: header, exactly the data it implies, nothing after it.
  static func readArray(from source: any ByteSource) throws(FileError) -> NPYArray {
    let header = try NPYHeader(from: source)
    guard header.dataSize <= source.bytesLeft else {
      throw source.failure(
        .truncated, at: source.position,
        "shape \(header.shape) of \(header.elementType) needs \(header.dataSize) bytes, \(source.bytesLeft) are there")
    }
    var data = try source.read(header.dataSize)
    try source.finish()
    if header.bigEndian { header.swapBytes(&data) }
    if header.fortranOrder && header.shape.count > 1 { data = header.rowMajor(data) }
    return NPYArray(shape: header.shape, elementType: header.elementType, bytes: data)
  }

  init(from source: any ByteSource) throws(FileError) {
    guard source.bytesLeft >= 10 else {
      throw source.failure(.truncated, at: source.position, "\(source.bytesLeft) bytes are too few for an npy header")
    }
    let start = try source.read(8)
    guard Array(start.prefix(6)) == Self.magic else {
      throw source.failure(.malformed, at: 0, "not an npy array: the magic bytes are missing")
    }
    let major = start[6]
    guard (1...3).contains(major), start[7] == 0 else {
      throw source.failure(.unsupported, at: 6, "npy version \(major).\(start[7]); 1.0, 2.0 and 3.0 are read")
    }
    let lengthSize = major == 1 ? 2 : 4
    let lengthBytes = try source.read(lengthSize)
    let length = lengthBytes.enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    guard length <= Self.textLimit else {
      throw source.failure(.tooLarge, at: 8, "header of \(length) bytes, the limit is \(Self.textLimit)")
    }
    guard length <= source.bytesLeft else {
      throw source.failure(.truncated, at: 8, "header of \(length) bytes, \(source.bytesLeft) are there")
    }
    let base = source.position
    var scanner = Scanner(text: try source.read(length), base: base, source: source)
    (elementType, bigEndian, fortranOrder, shape) = try scanner.dictionary()

    guard shape.count <= Self.dimensionLimit else {
      throw source.failure(.malformed, at: base, "\(shape.count) dimensions, the limit is \(Self.dimensionLimit)")
    }
    var size = elementType.size
    for dimension in shape where dimension != 0 {
      let (product, overflow) = size.multipliedReportingOverflow(by: dimension)
      guard !overflow else {
        throw source.failure(.tooLarge, at: base, "shape \(shape) overflows; the limit is \(Self.dataLimit) bytes")
      }
      size = product
    }
    dataSize = shape.contains(0) ? 0 : size
    guard dataSize <= Self.dataLimit else {
      throw source.failure(
        .tooLarge, at: base,
        "shape \(shape) of \(elementType) is \(dataSize) bytes, the limit is \(Self.dataLimit)")
    }
  }

  private func swapBytes(_ data: inout [UInt8]) {
    let width = elementType.kind == .unicode ? 4 : elementType.size
    guard width > 1 else { return }
    for start in stride(from: 0, to: data.count, by: width) { data[start..<start + width].reverse() }
  }

  /// Fortran order to C order.
  private func rowMajor(_ data: [UInt8]) -> [UInt8] {
    let size = elementType.size
    guard !data.isEmpty else { return data }
    var strides: [Int] = []  // of the source, in elements
    var stride = 1
    for dimension in shape {
      strides.append(stride)
      stride *= dimension
    }
    var index = [Int](repeating: 0, count: shape.count)
    var position = 0
    var result: [UInt8] = []
    result.reserveCapacity(data.count)
    for _ in 0..<data.count / size {
      result.append(contentsOf: data[position * size..<(position + 1) * size])
      var axis = shape.count - 1
      while axis >= 0 {
        index[axis] += 1
        position += strides[axis]
        if index[axis] < shape[axis] { break }
        position -= strides[axis] * shape[axis]
        index[axis] = 0
        axis -= 1
      }
    }
    return result
  }

  /// Reads exactly the subset of Python literals that numpy writes.
  private struct Scanner {
    let text: [UInt8]
    let base: Int
    let source: any ByteSource
    var at = 0

    init(text: [UInt8], base: Int, source: any ByteSource) {
      self.text = text
      self.base = base
      self.source = source
    }

    func failure(_ reason: String, _ code: FileError.Code = .malformed) -> FileError {
      source.failure(code, at: base + at, reason)
    }

    mutating func skipSpace() {
      while at < text.count, [0x20, 0x09, 0x0A, 0x0D].contains(text[at]) { at += 1 }
    }

    mutating func accept(_ character: Character) -> Bool {
      skipSpace()
      guard at < text.count, text[at] == character.asciiValue else { return false }
      at += 1
      return true
    }

    mutating func expect(_ character: Character) throws(FileError) {
      guard accept(character) else { throw failure("npy header: '\(character)' expected") }
    }

    mutating func quoted() throws(FileError) -> String {
      skipSpace()
      guard at < text.count, text[at] == UInt8(ascii: "'") || text[at] == UInt8(ascii: "\"") else {
        throw failure("npy header: a quoted text expected")
      }
      let quote = text[at]
      guard let end = text[(at + 1)...].firstIndex(of: quote) else {
        throw failure("npy header: a quoted text does not end")
      }
      let content = text[(at + 1)..<end]
      guard content.allSatisfy({ $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }) else {
        throw failure("npy header: a quoted text holds characters that are not plain ASCII")
      }
      at = end + 1
      return String(decoding: content, as: UTF8.self)
    }

    mutating func word() -> String {
      skipSpace()
      let start = at
      while at < text.count, (0x41...0x5A).contains(text[at] & ~0x20) { at += 1 }
      return String(decoding: text[start..<at], as: UTF8.self)
    }

    mutating func dimension() throws(FileError) -> Int {
      skipSpace()
      if at < text.count, text[at] == UInt8(ascii: "-") { throw failure("npy header: a negative dimension") }
      let start = at
      var value = 0
      while at < text.count, (0x30...0x39).contains(text[at]) {
        let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, carry) = scaled.addingReportingOverflow(Int(text[at] - 0x30))
        guard !overflow, !carry else { throw failure("npy header: a dimension beyond 64 bits", .tooLarge) }
        value = sum
        at += 1
      }
      guard at > start else { throw failure("npy header: a dimension expected") }
      if at < text.count, text[at] == UInt8(ascii: "L") { at += 1 }  // Python 2 wrote 3L
      return value
    }

    mutating func tuple() throws(FileError) -> [Int] {
      try expect("(")
      var result: [Int] = []
      while !accept(")") {
        result.append(try dimension())
        guard result.count <= NPYHeader.dimensionLimit else { throw failure("npy header: too many dimensions") }
        if !accept(",") {
          try expect(")")
          break
        }
      }
      return result
    }

    mutating func dictionary() throws(FileError) -> (NPYArray.ElementType, Bool, Bool, [Int]) {
      var type: (NPYArray.ElementType, Bool)?
      var fortran: Bool?
      var shape: [Int]?
      try expect("{")
      while !accept("}") {
        let key = try quoted()
        try expect(":")
        switch key {
        case "descr" where type == nil:
          skipSpace()
          if at < text.count, text[at] == UInt8(ascii: "[") {
            throw failure("a structured element type; plain ones are read", .unsupported)
          }
          type = try elementType(try quoted())
        case "fortran_order" where fortran == nil:
          switch word() {
          case "True": fortran = true
          case "False": fortran = false
          default: throw failure("npy header: True or False expected")
          }
        case "shape" where shape == nil: shape = try tuple()
        case "descr", "fortran_order", "shape": throw failure("npy header: '\(key)' comes twice")
        default: throw failure("npy header: unknown key '\(key)'")
        }
        if !accept(",") {
          try expect("}")
          break
        }
      }
      skipSpace()
      guard at == text.count else { throw failure("npy header: text after the closing brace") }
      guard let type, let fortran, let shape else {
        let absent = [
          type == nil ? "descr" : nil, fortran == nil ? "fortran_order" : nil, shape == nil ? "shape" : nil,
        ]
        throw failure("npy header: no \(absent.compactMap { $0 }.joined(separator: ", "))")
      }
      return (type.0, type.1, fortran, shape)
    }

    func elementType(_ descriptor: String) throws(FileError) -> (NPYArray.ElementType, Bool) {
      let unknown = failure(
        "element type '\(descriptor)'; f2, f4, f8, b1, i1 to i8, u1 to u8, S and U are read", .unsupported)
      var rest = Substring(descriptor)
      guard let order = rest.popFirst(), "<>|=".contains(order), let kind = rest.popFirst(),
        rest.allSatisfy({ $0.isASCII && $0.isNumber }), let number = Int(rest)
      else { throw unknown }
      let big = order == ">"
      switch (kind, number) {
      case ("f", 2), ("f", 4), ("f", 8): return (NPYArray.ElementType(.float, number), big)
      case ("i", 1), ("i", 2), ("i", 4), ("i", 8): return (NPYArray.ElementType(.signed, number), big)
      case ("u", 1), ("u", 2), ("u", 4), ("u", 8): return (NPYArray.ElementType(.unsigned, number), big)
      case ("b", 1): return (.bool, false)
      case ("S", 1...NPYHeader.dataLimit): return (NPYArray.ElementType(.bytes, number), false)
      case ("U", 1...NPYHeader.dataLimit / 4): return (NPYArray.ElementType(.unicode, 4 * number), big)
      default: throw unknown
      }
    }
  }
}
