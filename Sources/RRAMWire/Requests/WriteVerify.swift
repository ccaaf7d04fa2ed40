internal import FoundationEssentials
public import RRAMUnits

/// Write-verify on the board: read, pulse by a strategy, repeat until a cell lies in its window.
///
/// Every round reads all open cells of the selection, then pulses them; cells that pass drop out.
public struct WriteVerify: StreamingRequest {
  public typealias Response = CellResults

  public var cells: CellSelection
  /// S, one a selected cell.
  public var targets: [Float]
  /// Half width of the window, |G − target| ≤ tolerance, where ``windows`` does not give another.
  public var tolerance: Siemens
  public var set: PulseRamp
  public var reset: PulseRamp
  public var verify: ReadBias
  /// Further reads before a cell is accepted, one a round, without a pulse between.
  public var confirmReads: Int
  /// Per cell.
  public var maximumPulses: Int
  /// Changes of direction per cell.
  public var maximumReversals: Int
  public var credit: Int
  /// The window of each selected cell, S, ends included, instead of target ± tolerance; empty: none.
  public var windows: [ClosedRange<Float>] = []
  /// False: the first read and every confirming one must lie in the window. True: their mean must.
  public var confirmMean = false
  /// Selected cells 2k and 2k + 1 are a pair of which only the difference counts, to ± tolerance; the cell with more room is moved.
  public var pairs = false
  /// The most energy a cell may take, estimated as V²·G·width from its last read; nil: no such cap.
  public var maximumEnergy: Joules?
  /// The most SET–RESET cycles a cell may take, as its reads show: a way through the whole permitted window is half a cycle; nil: no such cap.
  public var maximumCycles: Double?
  public var strategy = Strategy.ramps

  /// How the pulses of a cell are chosen. No pulse exceeds the stop of its ramp.
  public enum Strategy: Sendable, Hashable {
    /// Incremental step pulse programming: the ramp climbs from pulse to pulse and begins again when the direction changes.
    case ramps
    case gateRamp(GateRamp)
    case response(PulseResponse)
  }

  public init(
    cells: CellSelection, targets: [Float], tolerance: Siemens, set: PulseRamp, reset: PulseRamp, verify: ReadBias,
    confirmReads: Int = 0, maximumPulses: Int, maximumReversals: Int, credit: Int
  ) {
    self.cells = cells
    self.targets = targets
    self.tolerance = tolerance
    self.set = set
    self.reset = reset
    self.verify = verify
    self.confirmReads = confirmReads
    self.maximumPulses = maximumPulses
    self.maximumReversals = maximumReversals
    self.credit = credit
  }

  public var body: RequestBody { .writeVerify(self) }
}

extension WriteVerify {
  /// True if a board needs ``Capability/writeStrategies`` for it.
  public var needsStrategies: Bool {
    strategy != .ramps || !windows.isEmpty || confirmMean || pairs || maximumEnergy != nil || maximumCycles != nil
  }

  /// The most that ``bytesPerCell`` can be.
  public static let mostBytesPerCell = 6 * MemoryLayout<Float>.size

  /// Bytes that a request says of each cell.
  public var bytesPerCell: Int {
    let values =
      switch strategy {
      case .ramps: 1
      case .gateRamp: 2
      case .response(let response): response.offsets.isEmpty ? 1 : 4
      }
    return MemoryLayout<Float>.size * (values + (windows.isEmpty ? 0 : 2))
  }

  /// The same for a part of the selected cells: those at `places`, ascending, which are `cells`.
  public func part(_ places: some Collection<Int>, cells: CellSelection) -> WriteVerify {
    var part = self
    part.cells = cells
    part.targets = places.map { targets[$0] }
    if !windows.isEmpty { part.windows = places.map { windows[$0] } }
    switch strategy {
    case .ramps: break
    case .gateRamp(var ramp):
      ramp.first = places.map { ramp.first[$0] }
      part.strategy = .gateRamp(ramp)
    case .response(var response):
      if !response.offsets.isEmpty {
        response.offsets = places.flatMap { response.offsets[3 * $0..<3 * $0 + 3] }
      }
      part.strategy = .response(response)
    }
    return part
  }

  init(_ message: Rram_Board_V1_WriteVerify) throws(WireError) {
    cells = try CellSelection(try required(message.hasCells, message.cells, "write_verify.cells"), "write_verify.cells")
    targets = try unpack(message.targets, count: cells.count, "write_verify.targets")
    try checkFinite(targets, "write_verify.targets")
    tolerance = try quantity(message.toleranceS, "write_verify.tolerance_s")
    set = try PulseRamp(try required(message.hasSet, message.set, "write_verify.set"), "write_verify.set")
    reset = try PulseRamp(try required(message.hasReset, message.reset, "write_verify.reset"), "write_verify.reset")
    verify = try ReadBias(try required(message.hasVerify, message.verify, "write_verify.verify"), "write_verify.verify")
    confirmReads = Int(message.confirmReads)
    maximumPulses = Int(message.maxPulses)
    maximumReversals = Int(message.maxReversals)
    credit = Int(message.credit)
    windows = try Self.windows(message, count: cells.count)
    confirmMean = message.confirmMean
    pairs = message.pairs
    guard !pairs || cells.count.isMultiple(of: 2) else {
      throw WireError(.wrongLength, field: "write_verify.pairs", "\(cells.count) cells are no pairs")
    }
    guard !pairs || windows.isEmpty else {
      throw WireError(.outOfRange, field: "write_verify.pairs", "pairs have no windows of single cells")
    }
    maximumEnergy = try cap(message.maxEnergyJ, "write_verify.max_energy_j").map { Joules($0) }
    maximumCycles = try cap(message.maxCycles, "write_verify.max_cycles")
    strategy =
      switch message.strategy {
      case nil: .ramps
      case .gateRamp(let ramp): .gateRamp(try GateRamp(ramp, count: cells.count))
      case .response(let response): .response(try PulseResponse(response, count: cells.count))
      }
  }

  private static func windows(
    _ message: Rram_Board_V1_WriteVerify, count: Int
  ) throws(WireError) -> [ClosedRange<Float>] {
    let lower: [Float] = try unpackOptional(message.lower, count: count, "write_verify.lower")
    let upper: [Float] = try unpackOptional(message.upper, count: count, "write_verify.upper")
    try check(upper, count: lower.count, "write_verify.upper")
    try checkFinite(lower, "write_verify.lower")
    try checkFinite(upper, "write_verify.upper")
    var windows: [ClosedRange<Float>] = []
    windows.reserveCapacity(lower.count)
    for (low, high) in zip(lower, upper) {
      guard low <= high else {
        throw WireError(.outOfRange, field: "write_verify.upper", "\(high) S is below the lower end of \(low) S")
      }
      windows.append(low...high)
    }
    return windows
  }

  func message() throws(WireError) -> Rram_Board_V1_WriteVerify {
    var message = Rram_Board_V1_WriteVerify()
    message.cells = try cells.message("write_verify.cells")
    try check(targets, count: cells.count, "write_verify.targets")
    try checkFinite(targets, "write_verify.targets")
    message.targets = pack(targets)
    message.toleranceS = try wireFloat(tolerance, "write_verify.tolerance_s")
    message.set = try set.message("write_verify.set")
    message.reset = try reset.message("write_verify.reset")
    message.verify = try verify.message("write_verify.verify")
    message.confirmReads = try wire32(confirmReads, "write_verify.confirm_reads")
    message.maxPulses = try wire32(maximumPulses, "write_verify.max_pulses")
    message.maxReversals = try wire32(maximumReversals, "write_verify.max_reversals")
    message.credit = try wire32(credit, "write_verify.credit")
    try check(windows, count: cells.count, orEmpty: true, "write_verify.lower")
    message.lower = pack(windows.map(\.lowerBound))
    message.upper = pack(windows.map(\.upperBound))
    message.confirmMean = confirmMean
    message.pairs = pairs
    message.maxEnergyJ =
      try maximumEnergy.map { value throws(WireError) in
        try wireFloat(value, "write_verify.max_energy_j")
      } ?? 0
    message.maxCycles = Float(maximumCycles ?? 0)
    switch strategy {
    case .ramps: break
    case .gateRamp(let ramp): message.strategy = .gateRamp(try ramp.message(count: cells.count))
    case .response(let response): message.strategy = .response(try response.message(count: cells.count))
    }
    return message
  }
}

/// A cap of which 0 means none.
private func cap(_ value: Float, _ field: @autoclosure () -> String) throws(WireError) -> Double? {
  guard value >= 0, value.isFinite else {
    throw WireError(.outOfRange, field: field(), "\(value) is no number from 0 on")
  }
  return value == 0 ? nil : Double(value.description) ?? Double(value)
}
