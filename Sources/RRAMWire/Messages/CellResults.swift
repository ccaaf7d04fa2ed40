internal import FoundationEssentials

/// Why work on a cell ended. Open: later firmware may have more reasons.
public struct CellReason: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
  public var rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// In tolerance, and in all confirming reads.
  public static let converged = CellReason(rawValue: 1)
  /// Does not rise under SET.
  public static let stuckLow = CellReason(rawValue: 2)
  /// Does not fall under RESET.
  public static let stuckHigh = CellReason(rawValue: 3)
  /// Too many changes of direction.
  public static let oscillating = CellReason(rawValue: 4)
  /// The allowed number of pulses is used up.
  public static let pulseLimit = CellReason(rawValue: 5)
  /// Left out on purpose.
  public static let masked = CellReason(rawValue: 6)
  /// The next pulse would exceed a limit.
  public static let limit = CellReason(rawValue: 7)
  /// Pristine: it must be formed first.
  public static let notFormed = CellReason(rawValue: 8)
  /// The operation ended before its turn came.
  public static let notReached = CellReason(rawValue: 9)

  public var description: String {
    switch self {
    case .converged: "converged"
    case .stuckLow: "stuck low"
    case .stuckHigh: "stuck high"
    case .oscillating: "oscillating"
    case .pulseLimit: "pulse limit"
    case .masked: "masked"
    case .limit: "limit refused"
    case .notFormed: "not formed"
    case .notReached: "not reached"
    default: "reason \(rawValue)"
    }
  }
}

/// How far a long operation has come.
public struct OperationProgress: Sendable, Hashable {
  /// Cells finished, of how many.
  public var finished: Int
  public var total: Int
  public var pulses: Int
  public var reads: Int
  /// Pulse rounds so far.
  public var rounds: Int

  public init(finished: Int = 0, total: Int = 0, pulses: Int = 0, reads: Int = 0, rounds: Int = 0) {
    self.finished = finished
    self.total = total
    self.pulses = pulses
    self.reads = reads
    self.rounds = rounds
  }
}

/// Part of the answer to ``Form``, ``Pulse`` and ``WriteVerify``: `count` selected cells from `firstIndex` on.
///
/// Every array holds `count` values, or none where the board does not report it. `count` 0 reports progress, and in the frames between
/// the rounds of a ``WriteVerify`` the cells that are finished, by ``indices``.
public struct CellResults: WireResponse, Hashable {
  /// Index among the selected cells of the first one reported here.
  public var firstIndex: Int
  public var count: Int
  /// S: the last read; NaN where the cell was not read.
  public var conductance: [Float]
  /// Pulses given to each cell in this operation.
  public var pulses: [UInt32]
  /// Reads of each cell in this operation.
  public var reads: [UInt32]
  public var reasons: [CellReason]
  /// V at which the cell formed, NaN where it did not; only from ``Form``.
  public var formingVoltage: [Float]
  /// Three a cell, ``PulseResponse/offsets`` as its pulses have shown them; only from a ``WriteVerify`` with a ``PulseResponse``.
  public var offsets: [Float]
  /// Of the whole operation so far.
  public var progress: OperationProgress
  /// Numbers among the selected cells of those that are finished now; the arrays hold one value for each of them, and `count` is 0.
  public var indices: [UInt32]

  public init(
    firstIndex: Int, count: Int, conductance: [Float] = [], pulses: [UInt32] = [], reads: [UInt32] = [],
    reasons: [CellReason] = [], formingVoltage: [Float] = [], offsets: [Float] = [],
    progress: OperationProgress = OperationProgress(), indices: [UInt32] = []
  ) {
    self.firstIndex = firstIndex
    self.count = count
    self.conductance = conductance
    self.pulses = pulses
    self.reads = reads
    self.reasons = reasons
    self.formingVoltage = formingVoltage
    self.offsets = offsets
    self.progress = progress
    self.indices = indices
  }

  public init?(_ body: ResponseBody) {
    guard case .cellResults(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .cellResults(self) }
}

extension OperationProgress {
  init(_ message: Rram_Board_V1_Progress) throws(WireError) {
    finished = try RRAMWire.count(message.finished, "progress.finished")
    total = try RRAMWire.count(message.total, "progress.total")
    pulses = try RRAMWire.count(message.pulses, "progress.pulses")
    reads = try RRAMWire.count(message.reads, "progress.reads")
    rounds = Int(message.rounds)
  }

  func message() throws(WireError) -> Rram_Board_V1_Progress {
    var message = Rram_Board_V1_Progress()
    message.finished = try wire64(finished, "progress.finished")
    message.total = try wire64(total, "progress.total")
    message.pulses = try wire64(pulses, "progress.pulses")
    message.reads = try wire64(reads, "progress.reads")
    message.rounds = try wire32(rounds, "progress.rounds")
    return message
  }
}

extension CellResults {
  init(_ message: Rram_Board_V1_CellResults) throws(WireError) {
    firstIndex = Int(message.firstIndex)
    count = Int(message.count)
    indices = try unpack(message.indices, count: nil, "cell_results.indices")
    guard count == 0 || indices.isEmpty else {
      throw WireError(.outOfRange, field: "cell_results.indices", "cells in order and out of order in one frame")
    }
    let values = count + indices.count
    conductance = try unpackOptional(message.conductance, count: values, "cell_results.conductance")
    pulses = try unpackOptional(message.pulses, count: values, "cell_results.pulses")
    reads = try unpackOptional(message.reads, count: values, "cell_results.reads")
    let numbers: [UInt8] = try unpackOptional(message.reason, count: values, "cell_results.reason")
    reasons = numbers.map(CellReason.init(rawValue:))
    formingVoltage = try unpackOptional(message.formingVoltage, count: values, "cell_results.forming_voltage")
    offsets = try unpackOptional(message.offsets, count: 3 * count, "cell_results.offsets")
    progress = try OperationProgress(message.progress)
  }

  func message() throws(WireError) -> Rram_Board_V1_CellResults {
    guard count == 0 || indices.isEmpty else {
      throw WireError(.outOfRange, field: "cell_results.indices", "cells in order and out of order in one frame")
    }
    let values = count + indices.count
    try check(conductance, count: values, orEmpty: true, "cell_results.conductance")
    try check(pulses, count: values, orEmpty: true, "cell_results.pulses")
    try check(reads, count: values, orEmpty: true, "cell_results.reads")
    try check(reasons, count: values, orEmpty: true, "cell_results.reason")
    try check(formingVoltage, count: values, orEmpty: true, "cell_results.forming_voltage")
    try check(offsets, count: 3 * count, orEmpty: true, "cell_results.offsets")
    var message = Rram_Board_V1_CellResults()
    message.firstIndex = try wire32(firstIndex, "cell_results.first_index")
    message.count = try wire32(count, "cell_results.count")
    message.conductance = pack(conductance)
    message.pulses = pack(pulses)
    message.reads = pack(reads)
    message.reason = pack(reasons.map(\.rawValue))
    message.formingVoltage = pack(formingVoltage)
    message.offsets = pack(offsets)
    message.progress = try progress.message()
    message.indices = pack(indices)
    return message
  }
}
