public import RRAMUnits
public import RRAMWire

/// How the pulses of a write-verify are chosen, cell by cell: reads go in, a pulse comes out, nothing else happens.
///
/// Firmware and host run the same strategy in a ``WriteProcess``, which keeps what all strategies share: windows, confirming reads,
/// pairs, caps, and reasons. A new strategy is one file with a type of this kind.
public protocol WriteStrategy: Sendable {
  /// What it remembers of one cell.
  associatedtype Cell: Sendable

  /// σ of a read ÷ G, where it is known; 0: what a read says is taken for the truth.
  var readSpread: Double { get }

  /// A cell before its first read.
  ///
  /// - Parameter index: among the selected cells.
  func begin(_ index: Int) -> Cell

  /// The pulse that brings a cell which lies outside of its window towards the goal.
  func pulse(_ cell: inout Cell, at reading: CellReading, to goal: WriteGoal) -> WritePulse

  /// The cell gets no further pulse: the last chance to learn from the one before.
  func end(_ cell: inout Cell, at reading: CellReading)

  /// What the pulses have shown of the cell, as ``PulseResponse/offsets``; nil if the strategy does not learn.
  func offsets(_ cell: Cell) -> [Float]?
}

extension WriteStrategy {
  public var readSpread: Double { 0 }
  public func end(_ cell: inout Cell, at reading: CellReading) {}
  public func offsets(_ cell: Cell) -> [Float]? { nil }
}

/// What was read of a cell since its last pulse.
public struct CellReading: Sendable, Hashable {
  /// Mean of the reads.
  public var conductance: Siemens
  public var count: Int

  public init(conductance: Siemens, count: Int = 1) {
    self.conductance = conductance
    self.count = count
  }
}

/// Where a cell shall go.
public struct WriteGoal: Sendable, Hashable {
  public var target: Siemens
  /// Conductances that count as reached.
  public var window: ClosedRange<Siemens>

  public init(target: Siemens, window: ClosedRange<Siemens>) {
    self.target = target
    self.window = window
  }
}

/// One pulse as a strategy asks for it.
public struct WritePulse: Sendable, Hashable {
  public var kind: PulseKind
  public var wordLine: Volts
  /// On the line that the kind drives.
  public var amplitude: Volts
  public var width: Duration
  /// True if no stronger pulse of this kind can follow: a cell that such pulses do not move is stuck.
  public var isStrongest: Bool

  public init(kind: PulseKind, wordLine: Volts, amplitude: Volts, width: Duration, isStrongest: Bool) {
    self.kind = kind
    self.wordLine = wordLine
    self.amplitude = amplitude
    self.width = width
    self.isStrongest = isStrongest
  }
}

extension WriteVerify {
  /// The strategy that the request names.
  public func makeStrategy() -> any WriteStrategy {
    switch strategy {
    case .ramps: IncrementalPulses(set: set, reset: reset)
    case .gateRamp(let ramp): GateAttempts(ramp, set: set, reset: reset)
    case .response(let response): ResponsePulses(response, set: set, reset: reset)
    }
  }
}

extension PulseRamp {
  /// Amplitude of pulse `index` of the ramp: it stays at `stop` once there.
  public func amplitude(_ index: Int) -> Volts { min(start + Double(index) * step, stop) }
}
