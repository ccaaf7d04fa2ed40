public struct Hello: WireRequest {
  public typealias Response = HelloResult

  /// Highest protocol level the host speaks.
  public var protocolLevel: Int
  /// Lowest protocol level the host accepts.
  public var minimumLevel: Int
  /// Random, not 0.
  public var sessionID: UInt64
  /// Name and version of the client, for the board's log; at most 64 bytes of UTF-8.
  public var client: String

  public init(
    protocolLevel: Int = ProtocolLevel.current, minimumLevel: Int = ProtocolLevel.minimum, sessionID: UInt64,
    client: String
  ) {
    self.protocolLevel = protocolLevel
    self.minimumLevel = minimumLevel
    self.sessionID = sessionID
    self.client = client
  }

  public var body: RequestBody { .hello(self) }
}

/// The protocol levels this version of the library speaks.
public enum ProtocolLevel {
  /// Level of `rram.board.v1` described by these types.
  public static let current = 1
  /// Oldest level still understood.
  public static let minimum = 1
}

/// What a board can do. Open: later firmware may have more.
public struct Capability: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
  public var rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// Chip time can be advanced without waiting.
  public static let advanceTime = Capability(rawValue: 1)
  public static let form = Capability(rawValue: 2)
  public static let writeVerify = Capability(rawValue: 3)
  public static let matrixProduct = Capability(rawValue: 4)
  public static let closedLoop = Capability(rawValue: 5)
  public static let loopNoise = Capability(rawValue: 6)
  public static let loopTrajectory = Capability(rawValue: 7)
  /// ``SetDAC`` and ``ReadADC``.
  public static let rawConverters = Capability(rawValue: 8)
  /// Strategies of a write-verify beyond incremental pulses, windows of single cells, pairs, caps on energy and wear.
  public static let writeStrategies = Capability(rawValue: 9)
  /// Start points drawn by the board: ``RunLoop/startDeviation``.
  public static let loopStart = Capability(rawValue: 10)
  /// ``CycleCells``.
  public static let cycleCells = Capability(rawValue: 11)
  /// ``SetTrigger``.
  public static let triggerOutput = Capability(rawValue: 12)
  /// ``ADCKind/loopback``.
  public static let converterLoopback = Capability(rawValue: 13)

  public var description: String {
    switch self {
    case .advanceTime: "advance time"
    case .form: "form"
    case .writeVerify: "write-verify"
    case .matrixProduct: "matrix product"
    case .closedLoop: "closed loop"
    case .loopNoise: "loop noise"
    case .loopTrajectory: "loop trajectory"
    case .rawConverters: "raw converters"
    case .writeStrategies: "write strategies"
    case .loopStart: "loop start"
    case .cycleCells: "cycle cells"
    case .triggerOutput: "trigger output"
    case .converterLoopback: "converter loopback"
    default: "capability \(rawValue)"
    }
  }
}

/// Who the board is and what it takes.
public struct HelloResult: WireResponse, Hashable {
  /// Level in use; 0 if none is shared.
  public var protocolLevel: Int
  public var firmwareMinimumLevel: Int
  public var firmwareMaximumLevel: Int
  /// These five are at most 32 bytes of UTF-8 each.
  public var firmwareVersion: String
  public var serial: String
  /// Name of the board description.
  public var board: String
  /// Names the chip in the socket, for the host's records; empty if the board cannot tell.
  public var chipID: String
  /// Name of the chip's profile; empty on a board that does not know it.
  public var chipProfile: String
  public var capabilities: Set<Capability>
  /// Payload bytes of one frame the board takes, at least 1024.
  public var maximumRequestBytes: Int
  /// Payload bytes of one frame the board sends, at least 4096.
  public var maximumResponseBytes: Int
  /// Requests the board queues, at least 1.
  public var maximumInFlight: Int
  public var maximumScheduleTicks: Int
  /// Silence after which an energised board makes itself safe, whole milliseconds; 0: no watchdog.
  public var watchdog: Duration
  public var isEnergised: Bool
  public var isEmulated: Bool
  /// Time of a round trip that pipelining does not hide, whole microseconds; 0: not modelled.
  public var busRoundTrip: Duration
  /// Payload bytes a second; 0: not modelled.
  public var busBytesPerSecond: Int
  /// Virtual time that an emulated chip had seen at the board's boot, whole microseconds; nil on hardware.
  public var chipTimeAtBoot: Duration?

  public init(
    protocolLevel: Int = ProtocolLevel.current, firmwareMinimumLevel: Int = ProtocolLevel.minimum,
    firmwareMaximumLevel: Int = ProtocolLevel.current, firmwareVersion: String, serial: String, board: String,
    chipID: String = "", chipProfile: String = "", capabilities: Set<Capability> = [], maximumRequestBytes: Int,
    maximumResponseBytes: Int, maximumInFlight: Int, maximumScheduleTicks: Int, watchdog: Duration = .seconds(2),
    isEnergised: Bool = false, isEmulated: Bool = false, busRoundTrip: Duration = .zero, busBytesPerSecond: Int = 0,
    chipTimeAtBoot: Duration? = nil
  ) {
    self.protocolLevel = protocolLevel
    self.firmwareMinimumLevel = firmwareMinimumLevel
    self.firmwareMaximumLevel = firmwareMaximumLevel
    self.firmwareVersion = firmwareVersion
    self.serial = serial
    self.board = board
    self.chipID = chipID
    self.chipProfile = chipProfile
    self.capabilities = capabilities
    self.maximumRequestBytes = maximumRequestBytes
    self.maximumResponseBytes = maximumResponseBytes
    self.maximumInFlight = maximumInFlight
    self.maximumScheduleTicks = maximumScheduleTicks
    self.watchdog = watchdog
    self.isEnergised = isEnergised
    self.isEmulated = isEmulated
    self.busRoundTrip = busRoundTrip
    self.busBytesPerSecond = busBytesPerSecond
    self.chipTimeAtBoot = chipTimeAtBoot
  }

  /// Least value of ``maximumRequestBytes`` a board may state.
  public static let leastRequestBytes = 1024
  /// Least value of ``maximumResponseBytes`` a board may state.
  public static let leastResponseBytes = 4096

  public init?(_ body: ResponseBody) {
    guard case .hello(let value) = body else { return nil }
    self = value
  }

  public var body: ResponseBody { .hello(self) }
}

extension Hello {
  init(_ message: Rram_Board_V1_Hello) throws(WireError) {
    protocolLevel = Int(message.protocolLevel)
    minimumLevel = Int(message.minimumLevel)
    sessionID = message.sessionID
    client = try text(message.client, limit: 64, "hello.client")
    guard sessionID != 0 else { throw WireError(.missingField, field: "hello.session_id", "it must not be 0") }
  }

  func message() throws(WireError) -> Rram_Board_V1_Hello {
    guard sessionID != 0 else { throw WireError(.missingField, field: "hello.session_id", "it must not be 0") }
    var message = Rram_Board_V1_Hello()
    message.protocolLevel = try wire32(protocolLevel, "hello.protocol_level")
    message.minimumLevel = try wire32(minimumLevel, "hello.minimum_level")
    message.sessionID = sessionID
    message.client = try text(client, limit: 64, "hello.client")
    return message
  }
}

extension HelloResult {
  init(_ message: Rram_Board_V1_HelloResult) throws(WireError) {
    protocolLevel = Int(message.protocolLevel)
    firmwareMinimumLevel = Int(message.firmwareMinimumLevel)
    firmwareMaximumLevel = Int(message.firmwareMaximumLevel)
    firmwareVersion = try text(message.firmwareVersion, limit: 32, "hello.firmware_version")
    serial = try text(message.serial, limit: 32, "hello.serial")
    board = try text(message.board, limit: 32, "hello.board")
    chipID = try text(message.chipID, limit: 32, "hello.chip_id")
    chipProfile = try text(message.chipProfile, limit: 32, "hello.chip_profile")
    capabilities = Set(message.capabilities.map { Capability(rawValue: $0.rawValue) })
    maximumRequestBytes = Int(message.maxRequestBytes)
    maximumResponseBytes = Int(message.maxResponseBytes)
    maximumInFlight = Int(message.maxInFlight)
    maximumScheduleTicks = Int(message.maxScheduleTicks)
    watchdog = .milliseconds(Int64(message.watchdogMs))
    isEnergised = message.energised
    isEmulated = message.emulated
    busRoundTrip = .microseconds(Int64(message.busRoundTripUs))
    busBytesPerSecond = Int(message.busBytesPerSecond)
    chipTimeAtBoot = message.hasChipTimeAtBootUs ? .microseconds(Int64(clamping: message.chipTimeAtBootUs)) : nil
    try checkSizes()
  }

  func message() throws(WireError) -> Rram_Board_V1_HelloResult {
    try checkSizes()
    var message = Rram_Board_V1_HelloResult()
    message.protocolLevel = try wire32(protocolLevel, "hello.protocol_level")
    message.firmwareMinimumLevel = try wire32(firmwareMinimumLevel, "hello.firmware_minimum_level")
    message.firmwareMaximumLevel = try wire32(firmwareMaximumLevel, "hello.firmware_maximum_level")
    message.firmwareVersion = try text(firmwareVersion, limit: 32, "hello.firmware_version")
    message.serial = try text(serial, limit: 32, "hello.serial")
    message.board = try text(board, limit: 32, "hello.board")
    message.chipID = try text(chipID, limit: 32, "hello.chip_id")
    message.chipProfile = try text(chipProfile, limit: 32, "hello.chip_profile")
    message.capabilities = capabilities.map(\.rawValue).sorted().map {
      Rram_Board_V1_Capability(rawValue: $0) ?? .UNRECOGNIZED($0)
    }
    message.maxRequestBytes = try wire32(maximumRequestBytes, "hello.max_request_bytes")
    message.maxResponseBytes = try wire32(maximumResponseBytes, "hello.max_response_bytes")
    message.maxInFlight = try wire32(maximumInFlight, "hello.max_in_flight")
    message.maxScheduleTicks = try wire32(maximumScheduleTicks, "hello.max_schedule_ticks")
    let milliseconds = try microseconds(watchdog, "hello.watchdog_ms") / 1000
    message.watchdogMs = try wire32(Int(milliseconds), "hello.watchdog_ms")
    message.energised = isEnergised
    message.emulated = isEmulated
    let roundTrip = try microseconds(busRoundTrip, "hello.bus_round_trip_us")
    message.busRoundTripUs = try wire32(Int(clamping: roundTrip), "hello.bus_round_trip_us")
    message.busBytesPerSecond = try wire32(busBytesPerSecond, "hello.bus_bytes_per_second")
    if let chipTimeAtBoot {
      message.chipTimeAtBootUs = UInt64(try microseconds(chipTimeAtBoot, "hello.chip_time_at_boot_us"))
    }
    return message
  }

  private func checkSizes() throws(WireError) {
    guard maximumRequestBytes >= Self.leastRequestBytes else {
      throw WireError(
        .outOfRange, field: "hello.max_request_bytes", "\(maximumRequestBytes), at least \(Self.leastRequestBytes)")
    }
    guard maximumResponseBytes >= Self.leastResponseBytes else {
      throw WireError(
        .outOfRange, field: "hello.max_response_bytes", "\(maximumResponseBytes), at least \(Self.leastResponseBytes)")
    }
    guard maximumInFlight >= 1 else {
      throw WireError(.outOfRange, field: "hello.max_in_flight", "\(maximumInFlight), at least 1")
    }
  }
}
