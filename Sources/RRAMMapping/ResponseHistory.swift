internal import Foundation
public import RRAMBoard
public import RRAMRecords
internal import RRAMUnits
public import RRAMWire

/// What a chip's own writes have shown of its response to pulses: `response.json` in the chip's folder of the records.
///
/// Cells that were written before are known each by its own offsets; the others by the mean and spread of these.
public struct ResponseHistory: Sendable, Hashable, Codable {
  /// Offsets of single cells, from the profile's response: V of SET, V of RESET, ln G of the gate.
  struct Known: Sendable, Hashable, Codable {
    var macro: Int
    var row: Int
    var column: Int
    var offsets: [Float?]
  }

  static let currentSchema = 1
  var schema = ResponseHistory.currentSchema
  /// The response that the offsets count from; another profile makes them useless.
  var base: Base?
  var cells: [CellAddress: [Float?]] = [:]

  /// What identifies a response.
  struct Base: Sendable, Hashable, Codable {
    var set: Volts
    var reset: Volts
    var voltsPerDecade: Volts
    var gateThreshold: Volts
    var gateSlope: Double

    init(_ response: PulseResponse) {
      set = response.set
      reset = response.reset
      voltsPerDecade = response.voltsPerDecade
      gateThreshold = response.gateThreshold
      gateSlope = response.gateSlope
    }
  }

  public init() {}

  /// Cells of which something is known.
  public var count: Int { cells.count }

  /// Cells that must be known before their mean stands for the chip.
  private static let leastCells = 32

  /// The response with what is known of the cells of a selection.
  public func response(_ response: PulseResponse, for selection: CellSelection) -> PulseResponse {
    guard base == Base(response), !cells.isEmpty else { return response }
    var result = response
    var means: [Float] = [0, 0, 0]
    for k in 0..<3 {
      let values = cells.values.compactMap { $0[k] }
      guard values.count >= Self.leastCells else { continue }
      let mean = values.reduce(0) { $0 + Double($1) } / Double(values.count)
      let variance = values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(values.count)
      means[k] = Float(mean)
      switch k {
      case 0: result.set = result.set + Volts(mean)
      case 1: result.reset = result.reset + Volts(mean)
      // The gate's line is left as it is: offsets of ln G are not a shift of the voltage.
      default: means[k] = 0
      }
      if k < 2 { result.cellSpread = max(result.cellSpread, Volts(variance.squareRoot())) }
    }
    result.offsets = selection.indices.flatMap { index -> [Float] in
      let known = cells[selection.block.address(at: index)]
      return (0..<3).map { k in (known?[k]).map { $0 - means[k] } ?? .nan }
    }
    return result
  }

  /// Enters what a write with `response` as it was sent has shown.
  ///
  /// - Parameter base: the profile's response, which all offsets count from.
  public mutating func enter(_ report: CellReport, sent response: PulseResponse, base response0: PulseResponse) {
    guard !report.offsets.isEmpty else { return }
    if base != Base(response0) {
      base = Base(response0)
      cells = [:]
    }
    let shifts = [
      Float((response.set - response0.set).rawValue), Float((response.reset - response0.reset).rawValue), 0,
    ]
    for (position, address) in report.addresses.enumerated() {
      // What failed says more of the failure than of the cell.
      guard report.reasons[position] == .converged else { continue }
      var offsets = cells[address] ?? [nil, nil, nil]
      for k in 0..<3 where report.offsets[3 * position + k].isFinite {
        offsets[k] = report.offsets[3 * position + k] + shifts[k]
      }
      if offsets.contains(where: { $0 != nil }) { cells[address] = offsets }
    }
  }

  // MARK: Records

  enum CodingKeys: String, CodingKey { case schema, base, cells }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    schema = try container.decode(Int.self, forKey: .schema)
    base = try container.decodeIfPresent(Base.self, forKey: .base)
    for known in try container.decode([Known].self, forKey: .cells) {
      guard known.offsets.count == 3 else {
        throw DecodingError.dataCorruptedError(
          forKey: .cells, in: container, debugDescription: "\(known.offsets.count) offsets of a cell")
      }
      cells[CellAddress(macro: known.macro, row: known.row, column: known.column)] = known.offsets
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(schema, forKey: .schema)
    try container.encodeIfPresent(base, forKey: .base)
    let known = cells.map { Known(macro: $0.macro, row: $0.row, column: $0.column, offsets: $1) }
    try container.encode(
      known.sorted { ($0.macro, $0.row, $0.column) < ($1.macro, $1.row, $1.column) }, forKey: .cells)
  }

  private static func file(_ home: RecordsHome, _ chip: String) -> URL {
    home.chip(chip).appending(path: "response.json")
  }

  /// What is known of a chip; nothing if there is no record.
  public static func load(chip: String, home: RecordsHome) throws -> ResponseHistory {
    let file = file(home, chip)
    guard FileManager.default.fileExists(atPath: file.path) else { return ResponseHistory() }
    do {
      let history = try JSONDecoder().decode(ResponseHistory.self, from: Data(contentsOf: file))
      guard history.schema <= currentSchema else {
        throw MappingError(
          .malformedRecord, "\(file.path): layout \(history.schema) is newer than this toolkit's \(currentSchema)")
      }
      return history
    } catch let error as MappingError {
      throw error
    } catch {
      throw MappingError(.malformedRecord, "\(file.path): is no record of a chip's response", underlying: error)
    }
  }

  public func save(chip: String, home: RecordsHome) throws {
    let file = Self.file(home, chip)
    do {
      try FileManager.default.createDirectory(at: home.chip(chip), withIntermediateDirectories: true)
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys]
      try encoder.encode(self).write(to: file, options: .atomic)
    } catch {
      throw MappingError(.malformedRecord, "\(file.path): cannot be written", underlying: error)
    }
  }
}
