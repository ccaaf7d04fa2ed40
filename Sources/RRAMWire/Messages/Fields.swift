internal import FoundationEssentials
internal import RRAMUnits

// Conversions between our value types and protobuf fields. Each checks the range and names the field when it refuses.

/// An index as a byte of a packed field.
func wire8(_ value: Int, _ field: @autoclosure () -> String) throws(WireError) -> UInt8 {
  guard let result = UInt8(exactly: value) else {
    throw WireError(.outOfRange, field: field(), "\(value) is not in 0 ... \(UInt8.max)")
  }
  return result
}

/// A count, index or address as a 32-bit field.
func wire32(_ value: Int, _ field: @autoclosure () -> String) throws(WireError) -> UInt32 {
  guard let result = UInt32(exactly: value) else {
    throw WireError(.outOfRange, field: field(), "\(value) is not in 0 ... \(UInt32.max)")
  }
  return result
}

/// A count as a 64-bit field.
func wire64(_ value: Int, _ field: @autoclosure () -> String) throws(WireError) -> UInt64 {
  guard let result = UInt64(exactly: value) else {
    throw WireError(.outOfRange, field: field(), "\(value) is negative")
  }
  return result
}

/// A 64-bit count that must fit an `Int`.
func count(_ value: UInt64, _ field: @autoclosure () -> String) throws(WireError) -> Int {
  guard let result = Int(exactly: value) else {
    throw WireError(.outOfRange, field: field(), "\(value) is over \(Int.max)")
  }
  return result
}

/// A quantity as a float field.
func wireFloat(_ value: some Quantity, _ field: @autoclosure () -> String) throws(WireError) -> Float {
  let result = Float(value.rawValue)
  guard result.isFinite else { throw WireError(.notFinite, field: field(), "the value is \(value)") }
  return result
}

/// A float field as a quantity: the shortest decimal that rounds to the float.
///
/// Limits and voltages are decimals that people wrote. 0.2 becomes the float 0.200000003 and must come back as 0.2, or a board
/// would refuse exactly the voltage it permits. The mapping is monotonic, so firmware may compare the floats themselves.
func quantity<Q: Quantity>(_ value: Float, _ field: @autoclosure () -> String) throws(WireError) -> Q {
  guard value.isFinite else { throw WireError(.notFinite, field: field(), "the value is \(value)") }
  return Q(Double(value.description) ?? Double(value))
}

/// A duration as a whole number of nanoseconds, rounded to the nearest.
func nanoseconds(_ duration: Duration, _ field: @autoclosure () -> String) throws(WireError) -> UInt64 {
  try rounded(duration, unit: 1_000_000_000, field())
}

/// A duration as a whole number of microseconds, rounded to the nearest.
func microseconds(_ duration: Duration, _ field: @autoclosure () -> String) throws(WireError) -> UInt64 {
  try rounded(duration, unit: 1_000_000_000_000, field())
}

/// A duration in units of `unit` attoseconds, as an unsigned number.
private func rounded(_ duration: Duration, unit: Int128, _ field: @autoclosure () -> String) throws(WireError) -> UInt64
{
  let (seconds, attoseconds) = duration.components
  let total = Int128(seconds) * 1_000_000_000_000_000_000 + Int128(attoseconds)
  guard total >= 0, let result = UInt64(exactly: (total + unit / 2) / unit) else {
    throw WireError(.outOfRange, field: field(), "\(duration) is not a duration the field can hold")
  }
  return result
}

/// A duration in nanoseconds as a 32-bit field.
func wireNanoseconds(_ duration: Duration, _ field: @autoclosure () -> String) throws(WireError) -> UInt32 {
  guard let result = UInt32(exactly: try nanoseconds(duration, field())) else {
    throw WireError(.outOfRange, field: field(), "\(duration) is over \(UInt32.max) ns")
  }
  return result
}

/// UTF-8 text of at most `limit` bytes.
func text(_ value: String, limit: Int, _ field: @autoclosure () -> String) throws(WireError) -> String {
  guard value.utf8.count <= limit else {
    throw WireError(.wrongLength, field: field(), "\(value.utf8.count) bytes of text, at most \(limit)")
  }
  return value
}

/// A message field that must be set.
func required<T>(_ isSet: Bool, _ value: T, _ field: @autoclosure () -> String) throws(WireError) -> T {
  guard isSet else { throw WireError(.missingField, field: field(), "it must be set") }
  return value
}

/// Values of fixed width as they stand in a `bytes` field.
protocol PackedValue: BitwiseCopyable, Sendable {
  var littleEndianBytesSwapped: Self { get }
}

extension UInt8: PackedValue {
  var littleEndianBytesSwapped: UInt8 { self }
}

extension UInt16: PackedValue {
  var littleEndianBytesSwapped: UInt16 { littleEndian }
}

extension UInt32: PackedValue {
  var littleEndianBytesSwapped: UInt32 { littleEndian }
}

extension Float: PackedValue {
  var littleEndianBytesSwapped: Float { Float(bitPattern: bitPattern.littleEndian) }
}

/// The values as little-endian bytes.
func pack<T: PackedValue>(_ values: [T]) -> Data {
  #if _endian(little)
    values.withUnsafeBytes { Data($0) }
  #else
    values.map(\.littleEndianBytesSwapped).withUnsafeBytes { Data($0) }
  #endif
}

/// The values of a `bytes` field.
///
/// - Parameter expected: how many there must be; `nil` where any whole number will do.
/// - Throws: `wrongLength` if the byte count is not the width times `expected`.
func unpack<T: PackedValue>(
  _ data: Data, count expected: Int?, _ field: @autoclosure () -> String
) throws(WireError) -> [T] {
  let width = MemoryLayout<T>.size
  let (count, rest) = data.count.quotientAndRemainder(dividingBy: width)
  guard rest == 0, expected == nil || count == expected else {
    let wanted = expected.map { "\($0) × \(width) bytes" } ?? "a multiple of \(width) bytes"
    throw WireError(.wrongLength, field: field(), "\(data.count) bytes where \(wanted) belong")
  }
  var values = [T](unsafeUninitializedCapacity: count) { buffer, initialized in
    _ = data.copyBytes(to: UnsafeMutableRawBufferPointer(buffer))
    initialized = count
  }
  #if !_endian(little)
    for i in values.indices { values[i] = values[i].littleEndianBytesSwapped }
  #endif
  return values
}

/// As ``unpack(_:count:_:)``, but empty is right as well.
func unpackOptional<T: PackedValue>(
  _ data: Data, count: Int, _ field: @autoclosure () -> String
) throws(WireError) -> [T] {
  data.isEmpty ? [] : try unpack(data, count: count, field())
}

/// Throws `wrongLength` unless there are `count` values.
func check<T>(_ values: [T], count: Int, orEmpty: Bool = false, _ field: @autoclosure () -> String) throws(WireError) {
  guard values.count == count || (orEmpty && values.isEmpty) else {
    throw WireError(.wrongLength, field: field(), "\(values.count) values where \(count) belong")
  }
}

/// Throws `notFinite` at the first infinity or NaN.
func checkFinite(_ values: [Float], _ field: @autoclosure () -> String) throws(WireError) {
  // x − x is 0 for every finite x and NaN otherwise, so one sum without a branch tells.
  var sum: Float = 0
  for value in values { sum += value - value }
  guard sum == 0 else {
    let index = values.firstIndex { !$0.isFinite } ?? 0
    throw WireError(.notFinite, field: field(), "value \(index) is \(values[index])")
  }
}
