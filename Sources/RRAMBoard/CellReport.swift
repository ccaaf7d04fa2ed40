public import RRAMUnits
public import RRAMWire

/// What became of each selected cell in an operation; split requests are joined again.
///
/// Every array has one value a selected cell, in row-major order. Not converging is a result, not an error.
public struct CellReport: Sendable, Hashable {
  public var selection: CellSelection
  /// Siemens: the last read; NaN where the cell was not read.
  public var conductance: [Float]
  public var pulses: [UInt32]
  public var reads: [UInt32]
  public var reasons: [CellReason]
  /// Volts at which the cell formed, NaN elsewhere.
  public var formingVoltage: [Float]
  /// Three a cell, ``PulseResponse/offsets`` as the pulses have shown them, NaN where they have not; empty unless written by a
  /// ``PulseResponse``.
  public var offsets: [Float] = []
  /// Pulse rounds, summed over the parts.
  public var rounds = 0
  /// The operations it took, in order.
  public var operationIDs: [UInt64] = []

  /// A report in which nothing was reached yet.
  public init(selection: CellSelection) {
    self.selection = selection
    let count = selection.count
    conductance = Array(repeating: .nan, count: count)
    pulses = Array(repeating: 0, count: count)
    reads = Array(repeating: 0, count: count)
    reasons = Array(repeating: .notReached, count: count)
    formingVoltage = Array(repeating: .nan, count: count)
  }

  /// Addresses of the selected cells, in the order of the arrays.
  public var addresses: [CellAddress] { selection.indices.map { selection.block.address(at: $0) } }
  public var convergedCount: Int { reasons.count { $0 == .converged } }
  /// Cells that did not converge, with the reason.
  public var failures: [(cell: CellAddress, reason: CellReason)] {
    zip(addresses, reasons).filter { $1 != .converged }.map { (cell: $0, reason: $1) }
  }
  public var totalPulses: Int { pulses.reduce(0) { $0 + Int($1) } }
  public var totalReads: Int { reads.reduce(0) { $0 + Int($1) } }

  /// Enters one response frame of the part whose first cell is selected cell `offset`.
  ///
  /// False if the frame does not fit.
  mutating func enter(_ results: CellResults, offset: Int, partCount: Int) -> Bool {
    guard results.indices.isEmpty else { return enter(outOfOrder: results, offset: offset, partCount: partCount) }
    guard results.firstIndex >= 0, results.count >= 0, results.count <= partCount - results.firstIndex else {
      return false
    }
    let start = offset + results.firstIndex
    func put<T>(_ values: [T], into array: inout [T]) {
      array.replaceSubrange(start..<start + values.count, with: values)
    }
    put(results.conductance, into: &conductance)
    put(results.pulses, into: &pulses)
    put(results.reads, into: &reads)
    put(results.reasons, into: &reasons)
    put(results.formingVoltage, into: &formingVoltage)
    if !results.offsets.isEmpty {
      if offsets.isEmpty { offsets = Array(repeating: .nan, count: 3 * reasons.count) }
      offsets.replaceSubrange(3 * start..<3 * start + results.offsets.count, with: results.offsets)
    }
    return true
  }

  private mutating func enter(outOfOrder results: CellResults, offset: Int, partCount: Int) -> Bool {
    guard results.indices.allSatisfy({ $0 < partCount }) else { return false }
    for (k, index) in results.indices.enumerated() {
      let place = offset + Int(index)
      if !results.conductance.isEmpty { conductance[place] = results.conductance[k] }
      if !results.pulses.isEmpty { pulses[place] = results.pulses[k] }
      if !results.reads.isEmpty { reads[place] = results.reads[k] }
      if !results.reasons.isEmpty { reasons[place] = results.reasons[k] }
    }
    return true
  }

  func written(_ k: Int, at cell: CellAddress, target: Float) -> WrittenCell {
    WrittenCell(
      cell: cell, target: target, conductance: conductance[k], pulses: pulses[k], reads: reads[k], reason: reasons[k])
  }

  /// Enters cells of the selection that were written before.
  mutating func enter(_ before: [WrittenCell]) {
    guard !before.isEmpty else { return }
    let places = Dictionary(uniqueKeysWithValues: addresses.enumerated().map { ($1, $0) })
    for known in before {
      guard let place = places[known.cell] else { continue }
      conductance[place] = known.conductance
      pulses[place] = known.pulses
      reads[place] = known.reads
      reasons[place] = known.reason
    }
  }

  /// Selected cells on which work has ended, well or not.
  var finished: [Int] { reasons.indices.filter { reasons[$0] != .notReached && reasons[$0].rawValue != 0 } }

  /// Adds what a further operation on some of these cells found: counts add up, what was read last stands.
  mutating func merge(_ other: CellReport) {
    let places = Dictionary(uniqueKeysWithValues: selection.indices.enumerated().map { ($1, $0) })
    for (k, index) in other.selection.indices.enumerated() {
      guard let place = places[index] else { continue }
      if other.reads[k] > 0 { conductance[place] = other.conductance[k] }
      pulses[place] += other.pulses[k]
      reads[place] += other.reads[k]
      reasons[place] = other.reasons[k]
      if !other.formingVoltage[k].isNaN { formingVoltage[place] = other.formingVoltage[k] }
      if !other.offsets.isEmpty {
        if offsets.isEmpty { offsets = Array(repeating: .nan, count: 3 * reasons.count) }
        offsets.replaceSubrange(3 * place..<3 * place + 3, with: other.offsets[3 * k..<3 * k + 3])
      }
    }
    rounds += other.rounds
    operationIDs += other.operationIDs
  }
}

/// A cell on which a write has ended, as it is kept by whoever may have to go on with the run.
public struct WrittenCell: Sendable, Hashable {
  public var cell: CellAddress
  /// Siemens, as the request named it.
  public var target: Float
  /// Siemens: the last read.
  public var conductance: Float
  public var pulses: UInt32
  public var reads: UInt32
  public var reason: CellReason

  public init(cell: CellAddress, target: Float, conductance: Float, pulses: UInt32, reads: UInt32, reason: CellReason) {
    self.cell = cell
    self.target = target
    self.conductance = conductance
    self.pulses = pulses
    self.reads = reads
    self.reason = reason
  }
}
