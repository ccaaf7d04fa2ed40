public import RRAMFiles
internal import RRAMUnits

/// The arrays that a step recorded, by name; the unit ends the name (`conductance_S`), or it is a plain number.
public struct Measurement: Sendable {
  public private(set) var arrays: [(name: String, array: NPYArray)] = []

  public init() {}

  mutating func add(_ values: [Double], shape: [Int]? = nil, as name: String) {
    arrays.append((name, NPYArray(values, shape: shape)))
  }

  mutating func add(_ values: [Float], shape: [Int]? = nil, as name: String) {
    arrays.append((name, NPYArray(values, shape: shape)))
  }

  mutating func add(_ values: [Int], shape: [Int]? = nil, as name: String) {
    arrays.append((name, NPYArray(values.map { Int64($0) }, shape: shape)))
  }

  mutating func add(_ text: String, as name: String) { arrays.append((name, NPYArray(text))) }

  /// Adds the row and column of every cell, in the order of the other arrays' last axis.
  mutating func add(_ cells: [CellAddress]) {
    add(cells.map(\.row), as: "row")
    add(cells.map(\.column), as: "column")
  }

  /// Reads what ``write(to:)`` wrote.
  public init(file path: String) throws {
    let archive = try NPZArchive(file: path)
    for key in archive.keys { arrays.append((key, try archive.array(key))) }
  }

  public func write(to path: String) throws {
    var writer = NPZWriter()
    for (name, array) in arrays { writer.add(array, as: name) }
    try writer.write(to: path)
  }

  func array(_ name: String) throws -> NPYArray {
    guard let found = arrays.first(where: { $0.name == name }) else {
      throw CharacterizationError(
        .malformedRecord, "a measurement has no '\(name)' but \(arrays.map(\.name).joined(separator: ", "))")
    }
    return found.array
  }

  func values(_ name: String) throws -> [Double] {
    let array = try array(name)
    if let doubles = array.doubles { return doubles }
    if let integers = array.integers { return integers.map(Double.init) }
    throw CharacterizationError(.malformedRecord, "'\(name)' of a measurement is \(array.elementType), not numbers")
  }

  /// The same, or nil if there is no such array: records that were imported hold what somebody else took down.
  func optionalValues(_ name: String) throws -> [Double]? {
    arrays.contains { $0.name == name } ? try values(name) : nil
  }

  func value(_ name: String) throws -> Double {
    let values = try values(name)
    guard let first = values.first else {
      throw CharacterizationError(.malformedRecord, "'\(name)' of a measurement is empty")
    }
    return first
  }

  /// Rows of a two-dimensional array.
  func rows(_ name: String) throws -> [[Double]] {
    let (values, shape) = (try values(name), try array(name).shape)
    guard shape.count == 2 else {
      throw CharacterizationError(.malformedRecord, "'\(name)' of a measurement has \(shape.count) axes, not 2")
    }
    return (0..<shape[0]).map { Array(values[$0 * shape[1]..<($0 + 1) * shape[1]]) }
  }
}
