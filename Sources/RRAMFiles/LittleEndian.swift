extension [UInt8] {
  /// The little-endian integer at `offset`; the caller has checked the bounds.
  func integer<T: FixedWidthInteger>(_ type: T.Type, at offset: Int) -> T {
    precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count)
    return withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
  }

  mutating func append<T: FixedWidthInteger>(littleEndian value: T) {
    Swift.withUnsafeBytes(of: value.littleEndian) { self.append(contentsOf: $0) }
  }

  /// Appends the little-endian bit patterns of `values` in order.
  mutating func append<S: Sequence>(littleEndianBits values: S) where S.Element: FixedWidthInteger {
    let size = MemoryLayout<S.Element>.size
    let expected = values.underestimatedCount
    var iterator = values.makeIterator()
    // Appending value by value costs a capacity check each, which shows in files of millions of values.
    self += [UInt8](unsafeUninitializedCapacity: expected * size) { buffer, filled in
      let raw = UnsafeMutableRawBufferPointer(buffer)
      while filled < expected * size, let value = iterator.next() {
        raw.storeBytes(of: value.littleEndian, toByteOffset: filled, as: S.Element.self)
        filled += size
      }
    }
    while let value = iterator.next() { append(littleEndian: value) }
  }

  /// Maps the buffer as consecutive little-endian values.
  func mapValues<Raw: FixedWidthInteger, T>(_ raw: Raw.Type, _ transform: (Raw) -> T) -> [T] {
    let size = MemoryLayout<Raw>.size
    return withUnsafeBytes { buffer in
      let n = buffer.count / size
      return [T](unsafeUninitializedCapacity: n) { output, filled in
        for i in 0..<n {
          let bits = Raw(littleEndian: buffer.loadUnaligned(fromByteOffset: i * size, as: Raw.self))
          output.initializeElement(at: i, to: transform(bits))
        }
        filled = n
      }
    }
  }
}
