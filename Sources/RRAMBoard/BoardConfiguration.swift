public import RRAMProfiles
public import RRAMUnits
public import RRAMWire

/// How a ``Board`` is opened and how long it waits; all times are of the link, not of the chip.
public struct BoardConfiguration: Sendable {
  /// Name and version of the program, for the board's log; at most 64 bytes.
  public var client = "rram"
  /// `nil`: random. Given in tests and replays; operation ids count up from it.
  public var sessionID: UInt64?
  /// The host's own limits for the chip that the handshake found; the strictest of these and the board's hold.
  public var chipLimits: (@Sendable (BoardInfo) throws -> LimitRecord?)?
  /// What may exceed the limits of the host's own records; the board's firmware keeps its own.
  public var allowance = LimitAllowance()
  /// Pulses that each cell of a macro has got in its life before this session, forming included; `nil`: nobody counted.
  public var lifetimePulses: (@Sendable (_ chip: String, _ macro: Int) throws -> [UInt32]?)?
  /// Handshake, each request of it.
  public var openLimit = Duration.seconds(5)
  /// Silence after which a request counts as lost. Each frame of its answer, and each frame of an answer the board has to
  /// give before it, starts the time anew.
  public var responseLimit = Duration.seconds(10)
  /// Silence allowed while the board lets chip time pass.
  public var advanceLimit = Duration.seconds(120)
  /// Wait for a frame to make the board safe, before it is done by a control request.
  public var safeLimit = Duration.seconds(1)
  /// While energised, something is sent at least this often.
  public var heartbeatInterval = Duration.milliseconds(500)
  /// Response frames of one stream that may be under way or wait for the consumer.
  public var streamWindow = 8

  /// How often a request whose answer was lost is asked again where that changes nothing, and how often a write goes on after the
  /// board was asked what became of it. A pulse is never repeated.
  public var retries = 0
  /// Told of cells as soon as a write-verify has ended with them.
  public var cellsWritten: (@Sendable ([WrittenCell]) throws -> Void)?
  /// What a run that goes on knows of a cell with this target: it is not written again.
  public var writtenBefore: (@Sendable (_ cell: CellAddress, _ target: Float) -> WrittenCell?)?

  /// What raises the board's trigger output during the session; `nil`: nothing. A board without one cannot be opened with it.
  public var trigger: SetTrigger?

  /// Told of every operation that pulsed cells, once it has ended, well or not.
  public var pulsed: (@Sendable (PulsesGiven) -> Void)?

  /// What the read chain of the board with this chip adds; asked for once, at the handshake.
  public var readCalibration: (@Sendable (BoardInfo, BoardDescription) throws -> ReadCalibration?)?
  /// What the loop's amplifiers make of the conductances that reads show; asked for once, at the handshake.
  public var loopCalibration: (@Sendable (BoardInfo, BoardDescription) throws -> LoopCalibration?)?
  /// What the converters of the board's closed loop add; asked for once, at the handshake.
  public var lineCalibration: (@Sendable (BoardInfo, BoardDescription) throws -> ConverterLineCalibration?)?
  /// Pulses a cell may get in its life beside what the limit records say, as a ledger keeps it; `nil`: no further limit.
  public var pulsesPerLife: (@Sendable (BoardInfo) throws -> Int?)?

  /// Operation ids count up from it, and all of them take ten bytes on the wire: chip time goes with the bytes on an emulated board's bus, and
  /// equal runs shall take equal time.
  static func randomSessionID() -> UInt64 { UInt64.random(in: 1 << 63...UInt64.max - (1 << 32)) }

  public init() {}
}

/// Pulses that an operation gave, for books on the wear of a chip.
public struct PulsesGiven: Sendable, Hashable {
  public var chip: String
  public var cells: CellSelection
  /// One a selected cell, in row-major order. Of an operation whose answer was lost on the way: what was known by then.
  public var pulses: [UInt32]
  public var isForming: Bool
  /// Of the board's macros.
  public var macroShape: MacroShape

  public init(chip: String, macroShape: MacroShape, cells: CellSelection, pulses: [UInt32], isForming: Bool) {
    self.chip = chip
    self.macroShape = macroShape
    self.cells = cells
    self.pulses = pulses
    self.isForming = isForming
  }
}
