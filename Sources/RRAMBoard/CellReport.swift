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
    return true
  }
}
