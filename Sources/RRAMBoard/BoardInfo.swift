public import RRAMWire

/// Who a board is, as it said in the handshake.
public struct BoardInfo: Sendable, Hashable {
  public var address: String
  public var serial: String
  /// Name of the board description.
  public var board: String
  public var firmwareVersion: String
  /// Names the chip in the socket; empty if the board cannot tell.
  public var chipID: String
  /// Name of the chip's profile; empty on a board that does not know it.
  public var chipProfile: String
  /// Level in use, and the levels the firmware speaks.
  public var protocolLevel: Int
  public var firmwareLevels: ClosedRange<Int>
  public var capabilities: Set<Capability>
  /// Payload bytes of one frame.
  public var maximumRequestBytes: Int
  public var maximumResponseBytes: Int
  public var maximumInFlight: Int
  public var maximumScheduleTicks: Int
  /// Silence after which an energised board makes itself safe; 0: no watchdog.
  public var watchdog: Duration
  public var isEmulated: Bool
  /// Drawn at each boot of the board; as it was at the handshake.
  public var bootID: UInt64
  /// Time of a round trip that pipelining does not hide, and payload bytes a second; 0: not modelled.
  public var busRoundTrip: Duration
  public var busBytesPerSecond: Int
  /// Virtual time that an emulated chip had seen at the board's boot; nil on hardware.
  public var chipTimeAtBoot: Duration?

  init(_ hello: HelloResult, bootID: UInt64, address: String) {
    self.address = address
    serial = hello.serial
    board = hello.board
    firmwareVersion = hello.firmwareVersion
    chipID = hello.chipID
    chipProfile = hello.chipProfile
    protocolLevel = hello.protocolLevel
    firmwareLevels = hello.firmwareMinimumLevel...max(hello.firmwareMinimumLevel, hello.firmwareMaximumLevel)
    capabilities = hello.capabilities
    maximumRequestBytes = hello.maximumRequestBytes
    maximumResponseBytes = hello.maximumResponseBytes
    maximumInFlight = hello.maximumInFlight
    maximumScheduleTicks = hello.maximumScheduleTicks
    watchdog = hello.watchdog
    isEmulated = hello.isEmulated
    self.bootID = bootID
    busRoundTrip = hello.busRoundTrip
    busBytesPerSecond = hello.busBytesPerSecond
    chipTimeAtBoot = hello.chipTimeAtBoot
  }
}
